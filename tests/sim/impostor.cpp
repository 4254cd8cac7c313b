// SPDX-License-Identifier: Apache-2.0
#include "sim/impostor.h"

#include <utility>

#include "base/limits.h"
#include "e2ee/pqxdh.h"

namespace chatsdk::sim {

namespace {

// Those of devices are counted from 1.
constexpr std::uint32_t kSignedId = 0x7000'0001;
constexpr std::uint32_t kLastResortId = 0x7000'0002;
constexpr std::size_t kAccountKeyAt(const UserId& user_id) { return 1 + 4 + user_id.size() + 1; }

e2ee::DeviceRecord record_of(UserId user_id, DeviceId device_id, const e2ee::DeviceKeys& keys, std::uint64_t now_ms) {
  return e2ee::make_device_record({std::move(user_id), device_id, e2ee::kSuitesSpoken, now_ms, {}}, keys);
}

e2ee::BundleBytes bundle_of(const e2ee::DeviceRecord& record, const e2ee::DeviceKeys& keys,
                            const e2ee::OwnPrekey& signed_prekey, const e2ee::OwnPrekey& last_resort) {
  const e2ee::PrekeyOwner owner{record.user_id, record.device_id};
  const auto published = [&](const e2ee::OwnPrekey& prekey) {
    return e2ee::published(prekey, owner, keys.signing_seed, own_kem()).value();
  };
  return {record.bytes, published(signed_prekey), published(last_resort), {}};
}

}  // namespace

Impostor::Impostor(UserId user_id, DeviceId device_id, std::uint64_t now_ms, Random& random)
    : account_seed_(e2ee::draw_secret<32>(random)),
      account_key_(e2ee::signing_key_of(account_seed_)),
      keys_(e2ee::DeviceKeys::draw(random)),
      record_(record_of(std::move(user_id), device_id, keys_, now_ms)),
      signed_prekey_(e2ee::OwnPrekey::draw(e2ee::PrekeyKind::kSigned, kSignedId, now_ms, random)),
      last_resort_(e2ee::OwnPrekey::draw(e2ee::PrekeyKind::kLastResort, kLastResortId, now_ms, random)),
      bundle_(bundle_of(record_, keys_, signed_prekey_, last_resort_)) {}

std::optional<Bytes> Impostor::list_after(const e2ee::DeviceList& before, std::uint64_t now_ms) const {
  if (before.find(device_id()) != nullptr) return std::nullopt;
  const auto list = e2ee::next_device_list(before, account_seed_, {&record_, 1}, {}, now_ms);
  return list.ok() ? std::optional(list->bytes) : std::nullopt;
}

std::optional<Bytes> Impostor::forged_after(const e2ee::DeviceList& before, std::uint64_t now_ms) const {
  auto list = list_after(before, now_ms);
  if (!list) return std::nullopt;
  list->replace(kAccountKeyAt(before.user_id), e2ee::SigningKey::size(), before.account_key.view());
  list->resize(list->size() - e2ee::Signature::size());
  list->append(e2ee::sign(account_seed_, e2ee::label::kSigList, *list).view());
  return list;
}

std::optional<Bytes> Impostor::open(BytesView slice, std::uint64_t now_ms) {
  const auto set_up = e2ee::parse_set_up_message(slice);
  const auto message = e2ee::parse_pairwise_message(set_up ? set_up->inner : slice);
  if (!message) return std::nullopt;
  const BytesView prefix = set_up ? set_up->prefix : BytesView();
  if (const auto known = sessions_.find(message->session_id); known != sessions_.end()) {
    return open_in(known->second.clone(), prefix, set_up ? set_up->inner : slice, now_ms);
  }
  if (!set_up || set_up->signed_id != kSignedId || set_up->kem_id != kLastResortId) return std::nullopt;
  const auto sender = e2ee::parse_device_record(set_up->initiators_record);
  if (!sender || !e2ee::check_set_up(*set_up, *sender, record_).ok()) return std::nullopt;
  auto accepted = e2ee::accept_set_up(
      *set_up, *sender, {record_, keys_.agreement_secret, &signed_prekey_, nullptr, &last_resort_, false, 0},
      own_kem());
  if (!accepted.ok()) return std::nullopt;
  return open_in(e2ee::accepted_session(std::move(*accepted), sender->hash, now_ms), prefix, set_up->inner, now_ms);
}

std::optional<Bytes> Impostor::open_in(e2ee::Session session, BytesView prefix, BytesView message,
                                       std::uint64_t now_ms) {
  auto opened = e2ee::open(session, prefix, message, limits::e2ee::kJumpMax, now_ms);
  if (!opened.ok()) return std::nullopt;
  const e2ee::SessionId id = opened->session.session_id;
  sessions_.insert_or_assign(id, std::move(opened->session));
  return std::move(opened->padded);
}

}  // namespace chatsdk::sim
