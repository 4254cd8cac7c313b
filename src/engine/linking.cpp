// SPDX-License-Identifier: Apache-2.0
#include "engine/linking.h"

#include <algorithm>
#include <utility>

#include "base/fault.h"

namespace chatsdk {

Linking::Linking(const EngineContext& context, E2eeStore& store, Session& session, RestApi& rest, KeyUpkeep& upkeep)
    : context_(context),
      store_(store),
      session_(session),
      rest_(rest),
      upkeep_(upkeep),
      end_timer_(context.executor),
      timer_(context.executor) {}

void Linking::on_server_time(std::int64_t server_time_ms) {
  server_time_ = ServerTime{clamp_unix_ms(server_time_ms), context_.now()};
}

std::uint64_t Linking::now_ms() const {
  if (!server_time_) return static_cast<std::uint64_t>(to_unix_ms(context_.wall_now()));
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(context_.now() - server_time_->at);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(server_time_->unix_ms + since.count(), 0));
}

// ---- The app -------------------------------------------------------------------------------------------------------

Status Linking::may_begin() const {
  if (step_ != Step::kIdle) return error(Code::kBusy, "another linking runs");
  if (!session_.logged_in()) return error(Code::kNotLoggedIn, "no session: log in first");
  return {};
}

// Whatever is open by then: an answer may be late, or name a later time for the next attempt; and a user who does not
// answer has not agreed.
void Linking::start() {
  step_ = Step::kBusy;
  end_timer_.start_after(limits::e2ee::kLinkValid, [this] { end(error(Code::kTimedOut, missing_)); });
}

Result<std::string> Linking::begin() {
  CHATSDK_TRY(may_begin());
  CHATSDK_ASSIGN(const e2ee::Standing standing, upkeep_.standing());
  if (standing == e2ee::Standing::kListed) return error(Code::kWrongState, "this device is linked");
  CHATSDK_ASSIGN(auto link, e2ee::LinkNew::start(session_.owner(), session_.device_id(), upkeep_.device_name(),
                                                 now_ms(), context_.random.keys));
  link_id_ = e2ee::parse_link_text(link.text())->link_id;
  new_ = std::move(link);
  start();
  await(LinkStep::kOffer);
  return new_->text();
}

// Nobody would be told behind the grant that there was no room for the new device.
Status Linking::has_room(const e2ee::KnownUser* own) {
  if (own == nullptr) return error(Code::kWrongState, "this device is not linked itself");
  if (own->newest().version >= limits::e2ee::kListVersionMax) {
    return error(Code::kLimitReached, "the device list has come to its last version");
  }
  const std::size_t devices = own->newest().devices.size();
  if (devices < limits::e2ee::kDevicesMax) return {};
  return error(Code::kLimitReached, std::to_string(devices) + " devices are linked, limit " +
                                        std::to_string(limits::e2ee::kDevicesMax) + ": remove one first");
}

Status Linking::scan(std::string_view text) {
  CHATSDK_TRY(may_begin());
  CHATSDK_ASSIGN(const e2ee::Standing standing, upkeep_.standing());
  if (standing != e2ee::Standing::kListed) return error(Code::kWrongState, "this device is not linked itself");
  if (upkeep_.is_apart()) return error(Code::kWrongState, "the device list is another one on the server");
  CHATSDK_ASSIGN(const e2ee::KnownUser* own, store_.state().user(session_.owner()));
  CHATSDK_TRY(has_room(own));
  CHATSDK_ASSIGN(auto link, e2ee::LinkOld::scan(text, {session_.owner(), session_.device_id(), own}, now_ms(),
                                                context_.random.keys));
  link_id_ = e2ee::parse_link_text(text)->link_id;
  old_ = std::move(link);
  start();
  leave(LinkStep::kOffer, old_->offer());
  return {};
}

Status Linking::confirm() {
  if (step_ != Step::kConfirm) return error(Code::kWrongState, "no code was shown");
  if (new_) {
    step_ = Step::kBusy;
    await(LinkStep::kGrant);
    return {};
  }
  CHATSDK_ASSIGN(const e2ee::Self* self, store_.state().self());
  CHATSDK_ASSIGN(const e2ee::KnownUser* own, store_.state().user(session_.owner()));
  if (self == nullptr) return error(Code::kWrongState, "this device is not linked itself");
  CHATSDK_TRY(has_room(own));
  // First: the device may come to a list that this one reads only after a restart.
  CHATSDK_TRY(keep_let_in(old_->let_in(own->newest())));
  step_ = Step::kBusy;
  CHATSDK_ASSIGN(Bytes grant, old_->confirm(self->account_seed, own->newest(), context_.random.keys));
  leave(LinkStep::kGrant, std::move(grant));
  return {};
}

void Linking::cancel(const Error& cause) {
  if (step_ != Step::kIdle) end(cause);
}

Status Linking::keep_let_in(const e2ee::LetIn& device) {
  const auto written = store_.write([&device](E2eeTransaction& transaction) -> Status {
    CHATSDK_ASSIGN(auto devices, transaction.notes().let_in());
    std::erase_if(devices, [&device](const e2ee::LetIn& known) { return known.device_id == device.device_id; });
    devices.push_back(device);
    if (devices.size() > limits::e2ee::kDevicesMax) devices.erase(devices.begin());
    return transaction.notes().put_let_in(devices);
  });
  return written.ok() ? Status() : Status(written.error());
}

Status Linking::forget_let_in(DeviceId device) {
  const auto written = store_.write([device](E2eeTransaction& transaction) -> Status {
    CHATSDK_ASSIGN(auto devices, transaction.notes().let_in());
    std::erase_if(devices, [device](const e2ee::LetIn& known) { return known.device_id == device; });
    return transaction.notes().put_let_in(devices);
  });
  return written.ok() ? Status() : Status(written.error());
}

void Linking::on_own_lists() {
  auto devices = store_.notes().let_in();
  const auto own = store_.state().user(session_.owner());
  if (!devices.ok() || devices->empty() || !own.ok() || *own == nullptr) return;
  bool all_alone = true;
  const std::size_t judged = std::erase_if(*devices, [&](const e2ee::LetIn& device) {
    const std::optional<bool> alone = e2ee::came_alone(device, **own);
    all_alone = all_alone && alone.value_or(true);
    return alone.has_value();
  });
  if (judged == 0) return;
  const auto written = store_.write([&](E2eeTransaction& transaction) -> Status {
    CHATSDK_TRY(transaction.notes().put_let_in(*devices));
    if (all_alone) return {};
    return transaction.notes().keep_events(
        std::vector{e2ee::Event{e2ee::EventKind::kListRefused, session_.owner(), {}}});
  });
  if (!written.ok()) context_.debug("linking", "who was let in could not be judged");
}

void Linking::end(Status status) {
  step_ = Step::kIdle;
  new_.reset();
  old_.reset();
  end_timer_.cancel();
  timer_.cancel();
  guard_.renew();
  upkeep_.forget_adoption();
  context_.events.link_ended(std::move(status));
}

// ---- The mailbox ---------------------------------------------------------------------------------------------------

void Linking::await(LinkStep step) {
  missing_ = "nobody answered in time";
  timer_.start_after(limits::e2ee::kLinkPoll, [this, step] { ask(step); });
}

void Linking::ask(LinkStep step) {
  session_.authorized<wire::LinkMessage>(
      [this, step](const std::string& token, RestApi::Callback<wire::LinkMessage> done) {
        rest_.link_message(token, link_id_.view(), step, std::move(done));
      },
      guard_.wrap([this, step](Result<wire::LinkMessage> answer) {
        if (answer.ok()) return take(step, answer->message());
        if (answer.code() == Code::kNotFound || code_is_retryable(answer.code())) return await(step);
        end(answer.error());
      }));
}

void Linking::leave(LinkStep step, Bytes message, bool again) {
  missing_ = "the server could not be reached in time";
  auto kept = std::make_shared<Bytes>(std::move(message));
  session_.authorized<void>(
      [this, step, kept](const std::string& token, RestApi::Callback<void> done) {
        rest_.put_link_message(token, link_id_.view(), step, *kept, std::move(done));
      },
      guard_.wrap([this, step, kept, again](Status answer) {
        if (answer.ok()) return left(step);
        if (!code_is_retryable(answer.code())) {
          if (step == LinkStep::kGrant && !again && !forget_let_in(old_->device_id()).ok()) {
            context_.debug("linking", "who was not let in could not be forgotten");
          }
          return end(answer.error());
        }
        // The same bytes: the answer alone may have been lost.
        timer_.start_after(std::max<std::chrono::milliseconds>(limits::e2ee::kLinkPoll, answer.error().retry_after),
                           [this, step, kept] { leave(step, *kept, true); });
      }));
}

void Linking::left(LinkStep step) {
  switch (step) {
    case LinkStep::kOffer:
      return await(LinkStep::kReveal);
    case LinkStep::kReveal:
      return show_code();
    case LinkStep::kGrant:
      return end({});
  }
}

void Linking::take(LinkStep step, const Bytes& message) {
  if (step == LinkStep::kOffer) {
    const auto known = upkeep_.own_lists();
    if (!known.ok()) return end(known.error());
    auto reveal = new_->reveal(message, *known, context_.random.keys);
    if (!reveal.ok()) return end(reveal.error());
    return leave(LinkStep::kReveal, std::move(*reveal));
  }
  if (step == LinkStep::kReveal) {
    if (auto checked = old_->check(message); !checked.ok()) return end(std::move(checked));
    return show_code();
  }
  adopt(message);
}

void Linking::show_code() {
  step_ = Step::kConfirm;
  missing_ = "the code was not confirmed in time";
  context_.events.link_code(new_ ? new_->code() : old_->code(), new_ ? new_->name() : old_->name());
}

void Linking::adopt(const Bytes& grant) {
  auto granted = new_->finish(grant);
  if (!granted.ok()) return end(granted.error());
  missing_ = "the server did not show the list in time";
  upkeep_.adopt(std::move(*granted), guard_.wrap([this](Status adopted) { end(std::move(adopted)); }));
}

}  // namespace chatsdk
