// SPDX-License-Identifier: Apache-2.0
// Section 2.3: the one form of authenticated encryption, `nonce 24 ‖ commitment 32 ‖ ciphertext ‖ tag 16`.
import { concat, equal } from './bytes.js';
import { need } from './outcome.js';
import { aeadOpen, aeadSeal, halves } from './primitives.js';

export const SEAL_BYTES = 72;

/** @param {Uint8Array} K 64 bytes. @param {Uint8Array} nonce 24 bytes */
export function seal(K, nonce, p, ad) {
  const [ke, kc] = halves(K);
  return concat(nonce, kc, aeadSeal(ke, nonce, p, concat(ad, nonce, kc)));
}

export function unseal(K, x, ad) {
  const [ke, kc] = halves(K);
  need(x.length >= SEAL_BYTES, 'too short to be sealed');
  need(equal(kc, x.slice(24, 56)), 'the commitment is another key\'s');
  return aeadOpen(ke, x.slice(0, 24), x.slice(56), concat(ad, x.slice(0, 56)));
}
