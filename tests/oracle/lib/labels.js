// SPDX-License-Identifier: Apache-2.0
// Section 3: every label. A label stands in the bytes as its ASCII characters and one byte 0x00.
import { concat, utf8, zeros } from './bytes.js';

export const LABELS = [
  'csdk1/sig/device', 'csdk1/sig/list', 'csdk1/sig/signed-prekey', 'csdk1/sig/kem-prekey', 'csdk1/sig/last-resort',
  'csdk1/sig/group-entry', 'csdk1/sig/group-request', 'csdk1/sig/group-message', 'csdk1/hash/device', 'csdk1/hash/list',
  'csdk1/hash/group-entry', 'csdk1/hash/group-state', 'csdk1/hash/group-info', 'csdk1/hash/group-request',
  'csdk1/hash/attachment', 'csdk1/hash/backup', 'csdk1/hash/manifest', 'csdk1/name', 'csdk1/keys/digest',
  'csdk1/pqxdh/transcript', 'csdk1/pqxdh/X25519+ML-KEM-768/SHA-512', 'csdk1/sid', 'csdk1/dr/root', 'csdk1/dr/chain',
  'csdk1/msg', 'csdk1/link/commit', 'csdk1/link/early', 'csdk1/link/reveal', 'csdk1/link/transcript',
  'csdk1/link/code', 'csdk1/link/grant', 'csdk1/safety', 'csdk1/grp/id', 'csdk1/grp/roster',
  'csdk1/grp/invitation', 'csdk1/grp/request', 'csdk1/grp/info', 'csdk1/grp/ad', 'csdk1/grp/chain',
  'csdk1/grp/msg', 'csdk1/backup/id', 'csdk1/backup/auth', 'csdk1/backup/file', 'csdk1/backup/manifest',
  'csdk1/backup/check', 'csdk1/backup/wrap', 'csdk1/state',
];

const KNOWN = new Map(LABELS.map((name) => [name, concat(utf8(name), zeros(1))]));

/** @returns {Uint8Array} the label's bytes, the 0x00 included */
export function label(name) {
  const bytes = KNOWN.get(name);
  if (!bytes) throw new TypeError(`no such label: ${name}`);
  return bytes;
}
