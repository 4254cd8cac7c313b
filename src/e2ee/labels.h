// SPDX-License-Identifier: Apache-2.0
//
// Every label of the end-to-end encryption: the strings that keep what is hashed, signed or derived for one purpose
// apart from the same bytes for another (docs/e2ee.md section 3). What follows a label is known where it is used.
//
// Threads: constants.
// Invariants:
//   1. No label is used in two places.
//   2. A label is its text and one byte 0x00, so that none is the beginning of another.
#pragma once

#include <array>
#include <cstddef>

#include "base/bytes.h"

namespace chatsdk::e2ee {

// Only a string literal becomes a label: its terminating zero is the label's own.
class Label {
 public:
  template <std::size_t kSize>
  consteval Label(const char (&text)[kSize]) : bytes_(text, kSize) {}  // NOLINT(google-explicit-constructor)

  constexpr BytesView bytes() const { return bytes_; }

 private:
  BytesView bytes_;
};

namespace label {

inline constexpr Label kSigDevice = "csdk1/sig/device";
inline constexpr Label kSigList = "csdk1/sig/list";
inline constexpr Label kSigSignedPrekey = "csdk1/sig/signed-prekey";
inline constexpr Label kSigKemPrekey = "csdk1/sig/kem-prekey";
inline constexpr Label kSigLastResort = "csdk1/sig/last-resort";
inline constexpr Label kSigGroupEntry = "csdk1/sig/group-entry";
inline constexpr Label kSigGroupRequest = "csdk1/sig/group-request";
inline constexpr Label kSigGroupMessage = "csdk1/sig/group-message";
inline constexpr Label kHashDevice = "csdk1/hash/device";
inline constexpr Label kHashList = "csdk1/hash/list";
inline constexpr Label kHashGroupEntry = "csdk1/hash/group-entry";
inline constexpr Label kHashGroupState = "csdk1/hash/group-state";
inline constexpr Label kHashGroupInfo = "csdk1/hash/group-info";
inline constexpr Label kHashGroupRequest = "csdk1/hash/group-request";
inline constexpr Label kHashAttachment = "csdk1/hash/attachment";
inline constexpr Label kHashBackup = "csdk1/hash/backup";
inline constexpr Label kHashManifest = "csdk1/hash/manifest";
inline constexpr Label kName = "csdk1/name";
inline constexpr Label kKeysDigest = "csdk1/keys/digest";
inline constexpr Label kPqxdhTranscript = "csdk1/pqxdh/transcript";
inline constexpr Label kPqxdhKeys = "csdk1/pqxdh/X25519+ML-KEM-768/SHA-512";
inline constexpr Label kSessionId = "csdk1/sid";
inline constexpr Label kRatchetRoot = "csdk1/dr/root";
inline constexpr Label kRatchetChain = "csdk1/dr/chain";
inline constexpr Label kMessage = "csdk1/msg";
inline constexpr Label kLinkCommit = "csdk1/link/commit";
inline constexpr Label kLinkEarly = "csdk1/link/early";
inline constexpr Label kLinkReveal = "csdk1/link/reveal";
inline constexpr Label kLinkTranscript = "csdk1/link/transcript";
inline constexpr Label kLinkCode = "csdk1/link/code";
inline constexpr Label kLinkGrant = "csdk1/link/grant";
inline constexpr Label kSafety = "csdk1/safety";
inline constexpr Label kGroupId = "csdk1/grp/id";
inline constexpr Label kGroupRoster = "csdk1/grp/roster";
inline constexpr Label kGroupInvitation = "csdk1/grp/invitation";
inline constexpr Label kGroupRequest = "csdk1/grp/request";
inline constexpr Label kGroupInfo = "csdk1/grp/info";
inline constexpr Label kGroupAd = "csdk1/grp/ad";
inline constexpr Label kGroupChain = "csdk1/grp/chain";
inline constexpr Label kGroupMessage = "csdk1/grp/msg";
inline constexpr Label kBackupId = "csdk1/backup/id";
inline constexpr Label kBackupAuth = "csdk1/backup/auth";
inline constexpr Label kBackupFile = "csdk1/backup/file";
inline constexpr Label kBackupManifest = "csdk1/backup/manifest";
inline constexpr Label kBackupCheck = "csdk1/backup/check";
inline constexpr Label kBackupWrap = "csdk1/backup/wrap";
inline constexpr Label kState = "csdk1/state";

inline constexpr std::array kAll = {kSigDevice,
                                    kSigList,
                                    kSigSignedPrekey,
                                    kSigKemPrekey,
                                    kSigLastResort,
                                    kSigGroupEntry,
                                    kSigGroupRequest,
                                    kHashGroupState,
                                    kHashGroupInfo,
                                    kHashGroupRequest,
                                    kGroupId,
                                    kGroupInvitation,
                                    kGroupRequest,
                                    kGroupInfo,
                                    kSigGroupMessage,
                                    kHashDevice,
                                    kHashList,
                                    kHashGroupEntry,
                                    kHashAttachment,
                                    kHashBackup,
                                    kHashManifest,
                                    kName,
                                    kKeysDigest,
                                    kPqxdhTranscript,
                                    kPqxdhKeys,
                                    kSessionId,
                                    kRatchetRoot,
                                    kRatchetChain,
                                    kMessage,
                                    kLinkCommit,
                                    kLinkEarly,
                                    kLinkReveal,
                                    kLinkTranscript,
                                    kLinkCode,
                                    kLinkGrant,
                                    kSafety,
                                    kGroupRoster,
                                    kGroupAd,
                                    kGroupChain,
                                    kGroupMessage,
                                    kBackupId,
                                    kBackupAuth,
                                    kBackupFile,
                                    kBackupManifest,
                                    kBackupCheck,
                                    kBackupWrap,
                                    kState};

}  // namespace label
}  // namespace chatsdk::e2ee
