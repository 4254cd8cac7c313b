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

SessionSummary summary_of(const Session& session) {
  return {session.session_id,  session.role,       session.status,      !session.prefix.empty(),
          session.peer_record, session.created_ms, session.archived_ms, session.send_count};
}

}  // namespace chatsdk::e2ee
