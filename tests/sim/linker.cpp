// SPDX-License-Identifier: Apache-2.0
#include "sim/linker.h"

#include "sim/world.h"

namespace chatsdk::sim {

namespace {

constexpr std::chrono::seconds kLookEvery{2};
constexpr std::chrono::seconds kCleanEvery{20};
constexpr std::chrono::seconds kPatience{40};  // of a user who waits for a code, or for the end

}  // namespace

void Linker::begin() {
  world_.scheduler().after(kLookEvery, [this] {
    look();
    begin();
  });
}

void Linker::look() {
  for (UserNumber user = 1; user <= world_.options().users; ++user) look_at(user);
}

void Linker::look_at(UserNumber user) {
  if (const auto linking = under_way_.find(user); linking != under_way_.end()) {
    if (world_.scheduler().now() >= linking->second.until) end(user, linking->second.number, false);
    return;
  }
  if (stopped_) return;
  DeviceNode* fresh = nullptr;
  DeviceNode* listed = nullptr;
  for (DeviceNode* device : world_.devices()) {
    if (device->user() != user || !device->online()) continue;
    if (device->encryption_state() == EncryptionState::kLinkNeeded) fresh = device;
    if (device->encryption_state() == EncryptionState::kReady) listed = device;
  }
  if (fresh != nullptr && listed != nullptr) return link(user, *fresh, *listed);
  const auto has_left = [this](NodeId number) { return world_.has_left(number); };
  const auto is_here = [this](NodeId number) { return !world_.has_left(number); };
  const bool all_are_lost = fresh != nullptr && listed == nullptr && !world_.lists().names_any(user, is_here);
  const bool some_have_left = listed != nullptr && world_.lists().names_any(user, has_left);
  MonotonicTime& next = next_cleanup_[user];
  if ((!all_are_lost && !some_have_left) || world_.scheduler().now() < next) return;
  next = world_.scheduler().now() + kCleanEvery;
  all_are_lost ? fresh->replace_identity() : listed->remove_devices_if(has_left);
}

void Linker::link(UserNumber user, DeviceNode& fresh, DeviceNode& listed) {
  const std::uint64_t number = ++last_;
  under_way_[user] = {number, fresh.number(), listed.number(), world_.scheduler().now() + kPatience, {}};
  for (DeviceNode* device : {&fresh, &listed}) {
    device->on_code = [this, user, number](const std::string& code) { on_code(user, number, code); };
    // The new device is in the list by then; the other says that it has handed over what it had to.
    const bool is_fresh = device == &fresh;
    device->on_link_end = [this, user, number, is_fresh](const Status& status) {
      if (!status.ok() || is_fresh) end(user, number, status.ok());
    };
  }
  fresh.on_text = [this, user, number](const std::string& text) {
    const Linking* const linking = current(user, number);
    DeviceNode* const other = linking == nullptr ? nullptr : world_.device(linking->listed);
    if (other != nullptr) other->scan_link(text);
  };
  fresh.begin_link();
}

void Linker::on_code(UserNumber user, std::uint64_t number, const std::string& code) {
  Linking* const linking = current(user, number);
  if (linking == nullptr) return;
  if (linking->code.empty()) {
    linking->code = code;
    return;
  }
  if (linking->code != code) {
    world_.violation("linking",
                     Finding("Devices " + std::to_string(linking->fresh) + " and " + std::to_string(linking->listed) +
                             " show the codes " + linking->code + " and " + code + "."));
    return;
  }
  for (const NodeId number_of : {linking->fresh, linking->listed}) {
    if (DeviceNode* const device = world_.device(number_of)) device->confirm_link();
  }
}

void Linker::end(UserNumber user, std::uint64_t number, bool linked) {
  const Linking* const linking = current(user, number);
  if (linking == nullptr) return;
  const NodeId both[] = {linking->fresh, linking->listed};
  under_way_.erase(user);
  if (linked) {
    ++linked_;
    return;
  }
  for (const NodeId one : both) {
    if (DeviceNode* const device = world_.device(one)) device->cancel_link();
  }
}

Linker::Linking* Linker::current(UserNumber user, std::uint64_t number) {
  const auto found = under_way_.find(user);
  return found != under_way_.end() && found->second.number == number ? &found->second : nullptr;
}

}  // namespace chatsdk::sim
