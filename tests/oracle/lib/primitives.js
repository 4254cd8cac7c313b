// SPDX-License-Identifier: Apache-2.0
// Section 2: the primitives under the names of the page. All computing is noble's; here stand the names, the strict
// verification of signatures and the construction of XChaCha20-Poly1305's parts that secretstream needs.
import { chacha20, hchacha, xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { poly1305 as macOfPoly1305 } from '@noble/ciphers/_poly1305.js';
import { ed25519, x25519 as curve25519 } from '@noble/curves/ed25519.js';
import { argon2id as noblesArgon2id } from '@noble/hashes/argon2.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { concat, equal, hex, littleEndian, u32, zeros } from './bytes.js';
import { label } from './labels.js';
import { Refused, need } from './outcome.js';

export const SHA512 = (x) => sha512(x);

/** @returns {Uint8Array} 32 bytes */
export const H = (...parts) => sha512(concat(...parts)).slice(0, 32);

/** @returns {Uint8Array} 64 bytes */
export const HM = (k, ...parts) => hmac(sha512, k, concat(...parts));

export const HKDF = (salt, ikm, info, n) => hkdf(sha512, ikm, salt, info, n);

/** Two halves of 32 bytes. */
export const halves = (bytes) => [bytes.slice(0, 32), bytes.slice(32, 64)];

/** @returns {Uint8Array} 32 bytes, never all 0x00: such a result is refused */
export function x25519(secret, publicKey) {
  let shared;
  try {
    shared = curve25519.scalarMult(secret, publicKey);
  } catch {
    throw new Refused('bad_message', 'X25519 gave zero');
  }
  need(!shared.every((byte) => byte === 0), 'X25519 gave zero');
  return shared;
}

export const x25519Public = (secret) => curve25519.scalarMultBase(secret);
export const ed25519Public = (seed) => ed25519.getPublicKey(seed);

const POINTS_KEPT = 1_000;
const points = new Map();

/** Ed25519's key as a point, or undefined when section 2.1 does not allow it. Judged keys are remembered, for speed. */
export function ed25519Point(publicKey) {
  const name = hex(publicKey);
  if (!points.has(name)) {
    if (points.size === POINTS_KEPT) points.clear();
    points.set(name, judgePoint(publicKey));
  }
  return points.get(name);
}

function judgePoint(publicKey) {
  let point;
  try {
    point = ed25519.Point.fromBytes(publicKey);
  } catch {
    return undefined;
  }
  const canonical = equal(point.toBytes(), publicKey);
  return canonical && !point.equals(ed25519.Point.ZERO) && point.isTorsionFree() ? point : undefined;
}

/** Section 2.2. @returns {Uint8Array} 64 bytes */
export const sign = (seed, labelName, x) => ed25519.sign(concat(label(labelName), x), seed);

/** Section 2.2: the equation without the cofactor, the encoding compared byte for byte. */
export function verifyBytes(publicKey, message, signature) {
  const A = ed25519Point(publicKey);
  if (!A || signature.length !== 64) return false;
  const R = signature.slice(0, 32);
  const S = littleEndian(signature.slice(32));
  const order = ed25519.Point.Fn.ORDER;
  if (S >= order) return false;
  const k = littleEndian(sha512(concat(R, publicKey, message))) % order;
  const wanted = ed25519.Point.BASE.multiplyUnsafe(S).subtract(A.multiplyUnsafe(k));
  // A and B are of the prime-order subgroup, so the one point of small order that can be wanted is the neutral one.
  return !wanted.equals(ed25519.Point.ZERO) && equal(wanted.toBytes(), R);
}

export const verify = (publicKey, labelName, x, signature) =>
  verifyBytes(publicKey, concat(label(labelName), x), signature);

/** @param {Uint8Array} seed `d ‖ z`, 64 bytes. @returns {Uint8Array} the encapsulation key, 1,184 bytes */
export const kemPublic = (seed) => ml_kem768.keygen(seed).publicKey;

/** @param {Uint8Array} m 32 bytes. @returns {{ct: Uint8Array, ss: Uint8Array}} 1,088 and 32 bytes */
export function kemEncaps(encapsulationKey, m) {
  const { cipherText, sharedSecret } = ml_kem768.encapsulate(encapsulationKey, m);
  return { ct: cipherText, ss: sharedSecret };
}

/** @returns {Uint8Array} 32 bytes, also for a ciphertext that nobody made */
export const kemDecaps = (seed, ct) => ml_kem768.decapsulate(ct, ml_kem768.keygen(seed).secretKey);

export const aeadSeal = (k, nonce, p, ad) => xchacha20poly1305(k, nonce, ad).encrypt(p);

export function aeadOpen(k, nonce, ciphertext, ad) {
  try {
    return xchacha20poly1305(k, nonce, ad).decrypt(ciphertext);
  } catch {
    throw new Refused('bad_message', 'the tag is wrong');
  }
}

/** RFC 9106, version 0x13, one lane. @returns {Uint8Array} n bytes */
export const argon2id = (passphrase, salt, passes, memoryKib, n) =>
  noblesArgon2id(passphrase, salt, { t: passes, m: memoryKib, p: 1, dkLen: n, version: 0x13, maxmem: 2 ** 32 - 1 });

const words = (bytes) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
};
const CHACHA_CONSTANT = words(new TextEncoder().encode('expand 32-byte k'));

/** HChaCha20 of a 32-byte key and 16 bytes. @returns {Uint8Array} 32 bytes */
export function hchacha20(key, input) {
  const out = new Uint32Array(8);
  hchacha(CHACHA_CONSTANT, words(key), words(input), out);
  return concat(...Array.from(out, (word) => u32(word)));
}

/** x xor ChaCha20's key stream (RFC 8439) from block i on; n has 12 bytes. */
export const chachaXor = (k, n, i, x) => chacha20(k, n, x, undefined, i);

/** The first `length` bytes of ChaCha20's key stream from block i on. */
export const chachaStream = (k, n, i, length) => chachaXor(k, n, i, zeros(length));

/** @returns {Uint8Array} 16 bytes */
export const poly1305 = (key, message) => macOfPoly1305(message, key);
