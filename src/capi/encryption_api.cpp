// SPDX-License-Identifier: Apache-2.0
//
// Entry points of the C ABI: end-to-end encryption, identities and linking. Each checks its arguments, calls the
// runtime and translates; no logic lives here.
#include <cstring>

#include "base/limits.h"
#include "capi/guard.h"
#include "capi/handles.h"

using namespace chatsdk;        // NOLINT(google-build-using-namespace): this file is the boundary
using namespace chatsdk::capi;  // NOLINT(google-build-using-namespace)

namespace {

static_assert(static_cast<std::int32_t>(EncryptionState::kPreparing) == CHATSDK_ENCRYPTION_PREPARING);
static_assert(static_cast<std::int32_t>(EncryptionState::kReady) == CHATSDK_ENCRYPTION_READY);
static_assert(static_cast<std::int32_t>(EncryptionState::kLinkNeeded) == CHATSDK_ENCRYPTION_LINK_NEEDED);

Status check(const chatsdk_identity* identity) {
  if (identity == nullptr) return error(Code::kInvalidArgument, "identity is NULL");
  return {};
}

}  // namespace

extern "C" {

int32_t chatsdk_client_encryption_state(chatsdk_client* client, int32_t* out_state, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (out_state == nullptr) return error(Code::kInvalidArgument, "out_state is NULL");
    CHATSDK_ASSIGN(const EncryptionState state, client->runtime.with_engine<EncryptionState>([](Client& engine) {
      return Result<EncryptionState>(engine.encryption_state());
    }));
    *out_state = static_cast<std::int32_t>(state);
    return {};
  });
}

// ---- Identities ----------------------------------------------------------------------------------------------------

int32_t chatsdk_client_identity(chatsdk_client* client, const char* peer, size_t peer_length,
                                chatsdk_identity** out_identity, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (out_identity == nullptr) return error(Code::kInvalidArgument, "out_identity is NULL");
    CHATSDK_ASSIGN(const std::string_view user, text_in(peer, peer_length, {"peer", 1, limits::kUserIdBytesMax}));
    CHATSDK_ASSIGN(PeerIdentity identity, client->runtime.with_engine<PeerIdentity>(
                                              [&](Client& engine) { return engine.identity(std::string(user)); }));
    *out_identity = new chatsdk_identity(std::move(identity));
    return {};
  });
}

int32_t chatsdk_client_set_verified(chatsdk_client* client, const chatsdk_identity* identity, int32_t is_verified,
                                    chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_TRY(check(identity));
    if (is_verified != 0 && is_verified != 1) return error(Code::kInvalidArgument, "is_verified is neither 0 nor 1");
    return client->runtime.with_engine<void>(
        [&](Client& engine) { return engine.set_verified(identity->identity.peer, is_verified == 1); });
  });
}

int32_t chatsdk_client_accept_identity(chatsdk_client* client, const chatsdk_identity* identity,
                                       chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_TRY(check(identity));
    return client->runtime.with_engine<void>(
        [&](Client& engine) { return engine.accept_identity(identity->identity.peer); });
  });
}

int32_t chatsdk_client_forget_identity(chatsdk_client* client, const chatsdk_identity* identity,
                                       chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_TRY(check(identity));
    return client->runtime.with_engine<void>(
        [&](Client& engine) { return engine.forget_identity(identity->identity.peer); });
  });
}

int32_t chatsdk_client_signed_devices(chatsdk_client* client, const char* user, size_t user_length,
                                      chatsdk_signed_devices** out_devices, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (out_devices == nullptr) return error(Code::kInvalidArgument, "out_devices is NULL");
    CHATSDK_ASSIGN(const std::string_view name, text_in(user, user_length, {"user", 1, limits::kUserIdBytesMax}));
    CHATSDK_ASSIGN(const std::vector<SignedDevice> devices,
                   client->runtime.with_engine<std::vector<SignedDevice>>(
                       [&](Client& engine) { return engine.signed_devices(std::string(name)); }));
    *out_devices = new chatsdk_signed_devices(devices);
    return {};
  });
}

int32_t chatsdk_client_replace_identity(chatsdk_client* client, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    return client->runtime.change<void>([](Client& engine) { return engine.replace_account(); });
  });
}

int32_t chatsdk_identity_compare(const chatsdk_identity* identity, const char* scanned, size_t scanned_length) {
  std::int32_t found = CHATSDK_SCAN_DIFFERENT;
  guard(nullptr, [&]() -> Status {
    CHATSDK_TRY(check(identity));
    CHATSDK_ASSIGN(const std::string_view text,
                   text_in(scanned, scanned_length, {"scanned", 1, limits::e2ee::kScannedBytesMax}));
    const e2ee::Scan scan = e2ee::compare_scanned(identity->number, text);
    if (scan == e2ee::Scan::kEqual) found = CHATSDK_SCAN_EQUAL;
    if (scan == e2ee::Scan::kOtherVersion) found = CHATSDK_SCAN_OTHER_VERSION;
    return {};
  });
  return found;
}

// ---- Linking -------------------------------------------------------------------------------------------------------

int32_t chatsdk_client_begin_link(chatsdk_client* client, char* buffer, size_t capacity, size_t* out_length,
                                  chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    if (buffer == nullptr || out_length == nullptr) {
      return error(Code::kInvalidArgument, "buffer or out_length is NULL");
    }
    if (capacity < CHATSDK_LINK_TEXT_SIZE) {
      return error(Code::kTooSmall, "capacity " + std::to_string(capacity) + " B, " +
                                        std::to_string(CHATSDK_LINK_TEXT_SIZE) + " B are needed");
    }
    CHATSDK_ASSIGN(const std::string text,
                   client->runtime.change<std::string>([](Client& engine) { return engine.begin_link(); }));
    if (text.size() > capacity) return error(Code::kInternal, "a link text of " + std::to_string(text.size()) + " B");
    std::memcpy(buffer, text.data(), text.size());
    *out_length = text.size();
    return {};
  });
}

int32_t chatsdk_client_scan_link(chatsdk_client* client, const char* text, size_t text_length,
                                 chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    CHATSDK_ASSIGN(const std::string_view scanned, text_in(text, text_length, {"text", 1, CHATSDK_LINK_TEXT_SIZE}));
    return client->runtime.change<void>([&](Client& engine) { return engine.scan_link(scanned); });
  });
}

int32_t chatsdk_client_confirm_link(chatsdk_client* client, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    return client->runtime.change<void>([](Client& engine) { return engine.confirm_link(); });
  });
}

int32_t chatsdk_client_cancel_link(chatsdk_client* client, chatsdk_error** out_error) {
  return on_client(client, out_error, [&]() -> Status {
    return client->runtime.change<void>([](Client& engine) {
      engine.cancel_link();
      return Status();
    });
  });
}

}  // extern "C"
