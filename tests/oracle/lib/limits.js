// SPDX-License-Identifier: Apache-2.0
// Section 4: the limits and lifetimes that this implementation meets. Ages are BigInt milliseconds.
const DAY = 86_400_000n;

export const DEVICES_MAX = 8;
export const LIST_VERSION_MAX = 2n ** 63n - 1n;
export const LIST_VERSIONS_MAX = 64;
export const SIGNED_KEPT = 30n * DAY;
export const ONE_TIME_STORED = 200;
export const ONE_TIME_KEPT = 90n * DAY;
export const JUMP_MAX = 5_000;
export const JUMP_MAX_OWN_USER = 25_000;
export const COUNT_MAX = 2 ** 31 - 1;
export const CHAINS_MAX = 5;
export const SKIPPED_SESSION_MAX = 2_000;
export const SKIPPED_TOTAL_MAX = 20_000;
export const SKIPPED_KEPT = 30n * DAY;
export const ARCHIVED_MAX = 8;
export const ARCHIVED_KEPT = 30n * DAY;
export const UNANSWERED_MAX = 30n * DAY;
export const SEEN_MAX = 20_000;
export const REPLACED_MAX = 16;
export const PADDED_MAX = 540_672;
export const MESSAGE_MAX = PADDED_MAX + 2_048;
export const CHAIN_MESSAGES_MAX = 1_000;
export const CHAIN_AGE_MAX = 7n * DAY;
export const SENDER_CHAINS_MAX = 5;
export const MEMBERS_MAX = 1_000;
export const INVITATIONS_MAX = 20;
export const ENTRY_PEOPLE_MAX = 16;
export const ENTRY_VALUE_MAX = 2_048;
export const GROUP_INFO_MAX = 8_192;
export const REQUEST_VALID = 7n * DAY;
export const LINK_VALID = 600_000n;
export const ATTACHMENT_MAX = 2_147_483_648n;
export const BACKUP_MAX = 68_719_476_736n;
export const RESEND_KEPT = 30n * DAY;
