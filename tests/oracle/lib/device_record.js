// SPDX-License-Identifier: Apache-2.0
// Section 5.1: the device record, signed by its own device signing key, and the sealed name in it.
import { EMPTY, Reader, allZero, concat, fromUtf8, lp, u32, u64, u8, user, utf8, zeros } from './bytes.js';
import { ED25519, X25519, key, readValidKey } from './keys.js';
import { label } from './labels.js';
import { Refused, need } from './outcome.js';
import { H, HKDF, ed25519Public, sign, verify, x25519Public } from './primitives.js';
import { seal, unseal } from './seal.js';

export const SUITE = 1;
const NAME_BYTES = 64;
const SEALED_NAME_BYTES = 136;

/** `u8(length) ‖ name ‖ zeros`, 64 bytes. @param {string} name of 0 to 63 bytes */
export function packName(name) {
  const bytes = utf8(name);
  need(bytes.length < NAME_BYTES, 'a name has at most 63 bytes');
  return concat(u8(bytes.length), bytes, zeros(NAME_BYTES - 1 - bytes.length));
}

/** @returns {string} empty where there is no name */
export function unpackName(packed) {
  need(packed.length === NAME_BYTES && packed[0] < NAME_BYTES, 'a name has at most 63 bytes');
  need(allZero(packed.slice(1 + packed[0])), 'zeros follow a name');
  return fromUtf8(packed.slice(1, 1 + packed[0]));
}

const nameKey = (accountSeed, r) =>
  HKDF(zeros(64), accountSeed, concat(label('csdk1/name'), user(r.userId), u64(r.deviceId), u32(r.registrationId)), 64);

/**
 * @param {object} own userId, deviceId (bigint), registrationId (number), dskSeed 32, dakSecret 32, suites (number),
 *   createdMs (bigint), name ('' for none), nameNonce 24 (with a name), accountSeed 32 (with a name)
 * @returns {Uint8Array} the record: 153 bytes and the user_id, 136 more with a name
 */
export function makeRecord(own) {
  const sealedName = own.name ? seal(nameKey(own.accountSeed, own), own.nameNonce, packName(own.name), EMPTY) : EMPTY;
  const body = concat(
    u8(1), user(own.userId), u64(own.deviceId), u32(own.registrationId),
    key(ED25519, ed25519Public(own.dskSeed)), key(X25519, x25519Public(own.dakSecret)),
    u32(own.suites), u64(own.createdMs), lp(sealedName),
  );
  return concat(body, sign(own.dskSeed, 'csdk1/sig/device', body));
}

/** Reads a record and refuses one that section 5.1 does not call valid. */
export function parseRecord(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of a device record');
  const record = { userId: r.user(), deviceId: r.u64(), registrationId: r.u32() };
  record.dsk = readValidKey(r, ED25519);
  record.dak = readValidKey(r, X25519);
  record.suites = r.u32();
  record.createdMs = r.u64();
  record.sealedName = r.lp();
  const signed = r.before();
  const signature = r.take(64);
  r.end();
  need(record.deviceId !== 0n, 'a device_id is not 0');
  need(record.registrationId !== 0, 'a registration_id is not 0');
  need((record.suites & 1) === 1, 'suite 1 is not spoken');
  need([0, SEALED_NAME_BYTES].includes(record.sealedName.length), 'length of a sealed name');
  need(verify(record.dsk, 'csdk1/sig/device', signed, signature), 'signature of a device record');
  return record;
}

/** A record that is valid for (userId, deviceId). */
export function parseRecordOf(bytes, userId, deviceId) {
  const record = parseRecord(bytes);
  need(record.userId === userId && record.deviceId === deviceId, 'the record of another device');
  return record;
}

export const recordHash = (bytes) => H(label('csdk1/hash/device'), bytes);

/** The name of an own device, or undefined where there is none or it does not open. */
export function openName(record, accountSeed) {
  try {
    return unpackName(unseal(nameKey(accountSeed, record), record.sealedName, EMPTY)) || undefined;
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
}

/** The highest suite that both name: of this page, suite 1. */
export const highestSuite = (a, b) => ((a.suites & b.suites & 1) === 1 ? SUITE : 0);
