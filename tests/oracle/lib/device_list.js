// SPDX-License-Identifier: Apache-2.0
// Section 5.2: the device list, signed by the account key and chained by its hash.
import { Reader, concat, u64, u8, user } from './bytes.js';
import { ED25519, key, readValidKey } from './keys.js';
import { label } from './labels.js';
import { DEVICES_MAX, LIST_VERSION_MAX } from './limits.js';
import { need } from './outcome.js';
import { H, ed25519Public, sign, verify } from './primitives.js';

/**
 * @param {object} list userId, version (bigint), previous 32, timeMs (bigint), devices [{deviceId, hash}] ascending
 * @returns {Uint8Array} the list: 147 bytes, the user_id and 40 for each device
 */
export function makeList(accountSeed, list) {
  const body = concat(
    u8(1), user(list.userId), key(ED25519, ed25519Public(accountSeed)), u64(list.version), list.previous,
    u64(list.timeMs), u8(list.devices.length),
    ...list.devices.map((device) => concat(u64(device.deviceId), device.hash)),
  );
  return concat(body, sign(accountSeed, 'csdk1/sig/list', body));
}

/** Reads a list. Its signature is checked by verifyList, since a kept list was verified when it was learned. */
export function parseList(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of a device list');
  const list = { bytes, userId: r.user(), accountKey: readValidKey(r, ED25519), version: r.u64() };
  list.previous = r.take(32);
  list.timeMs = r.u64();
  const count = r.u8();
  need(count >= 1 && count <= DEVICES_MAX, 'count of devices');
  list.devices = Array.from({ length: count }, () => ({ deviceId: r.u64(), hash: r.take(32) }));
  list.signed = r.before();
  list.signature = r.take(64);
  r.end();
  need(list.version >= 1n && list.version <= LIST_VERSION_MAX, 'list_version is 1 to 2^63 - 1');
  need(list.version !== 1n || list.previous.every((byte) => byte === 0), 'there is no list before list_version 1');
  list.devices.forEach((device, i) => {
    need(device.deviceId > (i === 0 ? 0n : list.devices[i - 1].deviceId), 'device_ids ascend and are not 0');
  });
  return list;
}

export const verifyList = (list) => need(
  verify(list.accountKey, 'csdk1/sig/list', list.signed, list.signature), 'signature of a device list');

export const listHash = (bytes) => H(label('csdk1/hash/list'), bytes);
