// SPDX-License-Identifier: Apache-2.0
// Section 6: prekeys and bundles. Section 17: the digest of what the server holds for a device.
import { EMPTY, Reader, concat, equal, lp, u32, u64, u8, user } from './bytes.js';
import { parseRecordOf, recordHash } from './device_record.js';
import { ML_KEM_768, X25519, key, readKey, validKey } from './keys.js';
import { label } from './labels.js';
import { listed } from './learning.js';
import { need, refusedAs } from './outcome.js';
import { H, kemPublic, sign, verify, x25519Public } from './primitives.js';

export const SIGNED = 1;
export const ONE_TIME = 2;
export const KEM = 3;
export const LAST_RESORT = 4;

const SIGNATURE_LABEL = {
  [SIGNED]: 'csdk1/sig/signed-prekey', [KEM]: 'csdk1/sig/kem-prekey', [LAST_RESORT]: 'csdk1/sig/last-resort',
};
const isKem = (kind) => kind === KEM || kind === LAST_RESORT;
export const secretBytes = (kind) => (isKem(kind) ? 64 : 32);

/** The body of a prekey, 46 or 1,198 bytes. @param {import('./device.js').Prekey} prekey */
export function prekeyBody(prekey) {
  const publicKey = isKem(prekey.kind)
    ? key(ML_KEM_768, kemPublic(prekey.secret)) : key(X25519, x25519Public(prekey.secret));
  return concat(u8(prekey.kind), u32(prekey.keyId), publicKey, u64(prekey.createdMs));
}

const signedPart = (userId, deviceId, body) => concat(user(userId), u64(deviceId), body);

/** The prekey as it is uploaded: its body and, except for kind 2, the signature. */
export function prekeyBytes(device, prekey) {
  const body = prekeyBody(prekey);
  if (prekey.kind === ONE_TIME) return body;
  const signed = signedPart(device.userId, device.deviceId, body);
  return concat(body, sign(device.dskSeed, SIGNATURE_LABEL[prekey.kind], signed));
}

/**
 * Makes prekeys with the next key ids, in the order 1, 4, all of 2, all of 3.
 * @param {boolean} signed whether a signed and a last-resort prekey are made
 * @returns {Uint8Array[]} as they are uploaded
 */
export function makePrekeys(device, signed, oneTime, kem, random, now) {
  need(device.record, 'prekeys are signed for a device');
  const kinds = [...(signed ? [SIGNED, LAST_RESORT] : []), ...Array(oneTime).fill(ONE_TIME), ...Array(kem).fill(KEM)];
  if (signed) {
    for (const old of device.prekeys.values()) {
      if ([SIGNED, LAST_RESORT].includes(old.kind) && old.successorMs === 0n) old.successorMs = now;
    }
  }
  return kinds.map((kind) => {
    const prekey = {
      kind, keyId: device.nextKeyId, secret: random.take(secretBytes(kind)), createdMs: now, successorMs: 0n,
    };
    device.nextKeyId += 1;
    device.prekeys.set(prekey.keyId, prekey);
    return prekeyBytes(device, prekey);
  });
}

/** Reads a prekey of one of these kinds: its form alone. */
export function parsePrekey(bytes, kinds) {
  const r = new Reader(bytes);
  const kind = r.u8();
  need(kinds.includes(kind), 'another kind of prekey');
  const prekey = { kind, keyId: r.u32() };
  prekey.publicKey = readKey(r, isKem(kind) ? ML_KEM_768 : X25519);
  prekey.createdMs = r.u64();
  prekey.body = r.before();
  prekey.signature = kind === ONE_TIME ? EMPTY : r.take(64);
  r.end();
  need(prekey.keyId !== 0, 'a key_id is not 0');
  return prekey;
}

/**
 * The five checks of a bundle, in their order.
 * @param {{record: Uint8Array, signed: Uint8Array, kem: Uint8Array, oneTime: ?Uint8Array}} bundle
 * @returns {{record: object, recordBytes: Uint8Array, spk: object, kpk: object, opk: ?object}}
 */
export function checkBundle(device, userId, deviceId, bundle) {
  return refusedAs('untrusted', () => {
    const wanted = listed(device, userId, deviceId);
    need(wanted && equal(recordHash(bundle.record), wanted.hash), 'the record is not the listed one');
    const spk = parsePrekey(bundle.signed, [SIGNED]);
    const kpk = parsePrekey(bundle.kem, [KEM, LAST_RESORT]);
    const opk = bundle.oneTime ? parsePrekey(bundle.oneTime, [ONE_TIME]) : null;
    const keyIds = [spk, kpk, opk].filter(Boolean).map((prekey) => prekey.keyId);
    need(new Set(keyIds).size === keyIds.length, 'key ids are different');
    need(validKey(X25519, spk.publicKey) && (!opk || validKey(X25519, opk.publicKey)), 'an X25519 key is not valid');
    const record = parseRecordOf(bundle.record, userId, deviceId);
    for (const prekey of [spk, kpk]) {
      const signed = signedPart(userId, deviceId, prekey.body);
      need(verify(record.dsk, SIGNATURE_LABEL[prekey.kind], signed, prekey.signature), 'signature of a prekey');
    }
    need(validKey(ML_KEM_768, kpk.publicKey), 'the encapsulation key is not valid');
    return { record, recordBytes: bundle.record, spk, kpk, opk };
  });
}

/** Section 17: what a device compares after each log-in. */
export const directoryDigest = (record, signedPrekey, lastResortPrekey) =>
  H(label('csdk1/keys/digest'), lp(record), lp(signedPrekey), lp(lastResortPrekey));
