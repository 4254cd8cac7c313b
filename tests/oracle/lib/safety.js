// SPDX-License-Identifier: Apache-2.0
// Section 13: the safety number of two users, and its scannable form.
import { base64url, compare, concat, littleEndian, u8, user } from './bytes.js';
import { ED25519, key } from './keys.js';
import { label } from './labels.js';
import { SHA512 } from './primitives.js';

const ROUNDS = 5_199;
const SCANNABLE = 'csdk-safety:';

function fingerprint(userId, accountKey) {
  let h = SHA512(concat(label('csdk1/safety'), user(userId), key(ED25519, accountKey)));
  for (let i = 0; i < ROUNDS; i += 1) h = SHA512(concat(h, accountKey));
  return h;
}

const digitsOf = (h) => Array.from({ length: 6 }, (_, i) =>
  String(littleEndian(h.slice(5 * i, 5 * i + 5)) % 100_000n).padStart(5, '0')).join('');

/**
 * @param {{userId: string, accountKey: Uint8Array}} a one user, @param b the other
 * @returns {{digits: string, scannable: string}} digits as twelve groups of five with a blank between
 */
export function safetyNumber(a, b) {
  const h = [a, b].map((one) => fingerprint(one.userId, one.accountKey));
  const digits = h.map(digitsOf).sort().join('').match(/.{5}/g).join(' ');
  const [low, high] = h.map((x) => x.slice(0, 32)).sort(compare);
  return { digits, scannable: SCANNABLE + base64url(concat(u8(1), low, high)) };
}
