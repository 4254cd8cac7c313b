// SPDX-License-Identifier: Apache-2.0
#include "e2ee/state.h"

namespace chatsdk::e2ee {

Self Self::clone() const {
  Self copy;
  copy.account_seed = account_seed.clone();
  copy.keys.registration_id = keys.registration_id;
  copy.keys.signing_seed = keys.signing_seed.clone();
  copy.keys.agreement_secret = keys.agreement_secret.clone();
  copy.next_key_id = next_key_id;
  copy.record = record;
  copy.replaces = replaces;
  return copy;
}

bool holds_account_of(const Self& self, const KnownUser& own) {
  return own.account_key == signing_key_of(self.account_seed);
}

bool is_in_own_list(const Self& self, const KnownUser* own) {
  const DeviceRecord* record = own == nullptr ? nullptr : listed(*own, self.record.device_id);
  return record != nullptr && record->bytes == self.record.bytes && holds_account_of(self, *own);
}

SessionSummary summary_of(const Session& session) {
  return {session.session_id,  session.role,       session.status,      !session.prefix.empty(),
          session.peer_record, session.created_ms, session.archived_ms, session.send_count};
}

}  // namespace chatsdk::e2ee
