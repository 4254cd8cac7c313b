// SPDX-License-Identifier: Apache-2.0
//
// What a server may say that is not so (liar.h), by name: each is a kind of fault too (fault_kinds.h).
//
// Threads: values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace chatsdk::sim {

enum class Lie : std::uint8_t {
  // Of an item that has a slice for the device.
  kAlteredSlice,         // one bit is another
  kAnotherDevicesSlice,  // of the same message
  kAnotherConversation,  // what was said in one is given out in another, with its sender and id
  kAnotherAuthor,
  kOlderItem,      // what came before, under a new place
  kPlainText,      // words of the server's own, not encrypted
  kMessageAsTask,  // as a retry request or a repair
  kTaskAsMessage,
  // Of the device lists of a user.
  kOldLists,        // as if the newest were not there
  kCutLists,        // without one in between
  kForgedLists,     // with a device of the attacker's, under the user's account key, which did not sign it
  kAnotherUser,     // another user's
  kAnotherAccount,  // with a device of the attacker's, under another account key
  kForgedRoster,    // forged lists in a ROSTER item
  // Of a bundle of prekeys.
  kAlteredBundle,
  kAnotherBundle,  // of another device, or of the attacker's
  kUsedPrekey,     // one-time keys that went out before
  kLowOrderPrekey,
  // Besides.
  kEndlessRefusal,  // the lists changed, it says of a send
  kNoPrekeysLeft,   // it has none of the device
  kWrongDigest,     // and others than the device uploaded
  kNobodysLists,    // it names none of the users whose lists were asked for
  // A send is refused for its lists, and given out all the same, in the place of what comes to a reader next.
  kRefusedAndGivenOut,
  kIdentityInEachAnswer,  // another account each time that lists are asked for, and that there are newer ones
};
inline constexpr std::size_t kLies = 24;

// Of each: one in so many occasions; 0: never.
using Lies = std::array<std::uint32_t, kLies>;

inline constexpr std::array<const char*, kLies> kLieNames = {"lie_altered_slice",
                                                             "lie_another_devices_slice",
                                                             "lie_another_conversation",
                                                             "lie_another_author",
                                                             "lie_older_item",
                                                             "lie_plain_text",
                                                             "lie_message_as_task",
                                                             "lie_task_as_message",
                                                             "lie_old_lists",
                                                             "lie_cut_lists",
                                                             "lie_forged_lists",
                                                             "lie_another_users_lists",
                                                             "lie_another_account",
                                                             "lie_forged_roster",
                                                             "lie_altered_bundle",
                                                             "lie_another_bundle",
                                                             "lie_used_prekey",
                                                             "lie_low_order_prekey",
                                                             "lie_endless_refusal",
                                                             "lie_no_prekeys_left",
                                                             "lie_wrong_digest",
                                                             "lie_nobodys_lists",
                                                             "lie_refused_and_given_out",
                                                             "lie_identity_in_each_answer"};
constexpr const char* to_text(Lie lie) { return kLieNames[static_cast<std::size_t>(lie)]; }

}  // namespace chatsdk::sim
