// SPDX-License-Identifier: Apache-2.0
// Section 2.1: public keys on the wire, `key(a, k) = u8(a) ‖ k`, and which of them are valid.
import { concat, hex, littleEndian, u8 } from './bytes.js';
import { need } from './outcome.js';
import { ed25519Point } from './primitives.js';

export const ED25519 = 1;
export const X25519 = 2;
export const ML_KEM_768 = 3;

/** Bytes of k for each algorithm byte a. */
export const KEY_BYTES = { [ED25519]: 32, [X25519]: 32, [ML_KEM_768]: 1_184 };

const FIELD_PRIME = 2n ** 255n - 19n;
const ML_KEM_PRIME = 3_329;
const LOW_ORDER = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
]);

export const key = (a, k) => concat(u8(a), k);

const validEd25519 = (k) => ed25519Point(k) !== undefined;

// Bit 255 is the top one, so a key that has it set is not below the prime.
const validX25519 = (k) => littleEndian(k) < FIELD_PRIME && !LOW_ORDER.has(hex(k));

/** Twelve bits each, two coefficients in three bytes, the low bits first; the last 32 bytes are the seed rho. */
function validMlKem(k) {
  for (let at = 0; at < 1_152; at += 3) {
    const low = k[at] | ((k[at + 1] & 0x0f) << 8);
    const high = (k[at + 1] >> 4) | (k[at + 2] << 4);
    if (low >= ML_KEM_PRIME || high >= ML_KEM_PRIME) return false;
  }
  return true;
}

const VALID = { [ED25519]: validEd25519, [X25519]: validX25519, [ML_KEM_768]: validMlKem };

/** Whether k is a valid key of algorithm a. */
export const validKey = (a, k) => k.length === KEY_BYTES[a] && VALID[a](k);

/** Reads `key(a, k)`: the algorithm byte and the length only. @returns {Uint8Array} k */
export function readKey(reader, a) {
  reader.fixed(a, 'another algorithm');
  return reader.take(KEY_BYTES[a]);
}

/** Reads `key(a, k)` and refuses a k that is not valid. */
export function readValidKey(reader, a) {
  const k = readKey(reader, a);
  need(validKey(a, k), 'the key is not valid');
  return k;
}
