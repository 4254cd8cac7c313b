// SPDX-License-Identifier: Apache-2.0
// Section 11.4: what is older than section 4 says is deleted.
import { ARCHIVED_KEPT, ONE_TIME_KEPT, ONE_TIME_STORED, SIGNED_KEPT, SKIPPED_KEPT } from './limits.js';
import { LAST_RESORT, SIGNED } from './prekeys.js';
import { dropChain } from './ratchet.js';

/** `age(now)`. */
export function age(device, now) {
  const old = (t, limit) => now - t >= limit;
  const prekeys = [...device.prekeys.values()];
  const isOld = (prekey) => {
    if (prekey.kind === SIGNED || prekey.kind === LAST_RESORT) {
      return prekey.successorMs !== 0n && old(prekey.successorMs, SIGNED_KEPT);
    }
    const newer = prekeys.filter((other) => other.kind === prekey.kind && other.keyId > prekey.keyId).length;
    return newer >= ONE_TIME_STORED && old(prekey.createdMs, ONE_TIME_KEPT);
  };
  for (const prekey of prekeys.filter(isOld)) {
    device.prekeys.delete(prekey.keyId);
    for (const [name, note] of device.seen) if (note.keyId === prekey.keyId) device.seen.delete(name);
  }
  device.sessions = device.sessions.filter((s) => s.active || !old(s.archivedMs, ARCHIVED_KEPT));
  for (const session of device.sessions) {
    for (const [name, skipped] of session.skipped) {
      if (old(skipped.createdMs, SKIPPED_KEPT)) session.skipped.delete(name);
    }
    const superseded = session.chains.filter(
      (c) => c.number !== session.chainsBegun && old(c.supersededMs, SKIPPED_KEPT));
    for (const chain of superseded) dropChain(session, chain);
  }
}
