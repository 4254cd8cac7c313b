// SPDX-License-Identifier: Apache-2.0
// Section 5.3: learning a user's lists, and which device is listed.
import { equal, hex } from './bytes.js';
import { listHash, parseList, verifyList } from './device_list.js';
import { parseRecordOf, recordHash } from './device_record.js';
import { LIST_TIME_MAX, LIST_VERSIONS_AHEAD, LIST_VERSIONS_MAX, REPLACED_MAX } from './limits.js';
import { need } from './outcome.js';
import { ed25519Public } from './primitives.js';
import { archive, retireKeysOf } from './sessions.js';

/**
 * @param {import('./device.js').Device} device changed only when it all holds
 * @param {Uint8Array[]} lists ascending by list_version
 * @param {Uint8Array[]} records
 * @returns {{result: string, added: bigint[], removed: bigint[]}}
 */
export function learn(device, userId, lists, records, now) {
  const offered = new Map(records.map((record) => [hex(recordHash(record)), record]));
  const recordOf = (hash) => offered.get(hex(hash)) ?? device.records.get(hex(hash));
  const parsed = lists.map((bytes) => judgeList(bytes, userId, recordOf));
  need(parsed.length > 0, 'no list');
  for (let i = 1; i < parsed.length; i += 1) {
    need(equal(parsed[i].accountKey, parsed[i - 1].accountKey), 'two account keys at once');
    needSuccessor(parsed[i - 1], parsed[i]);
  }
  const accountKey = parsed[0].accountKey;
  const known = device.users.get(userId);
  if (!known) {
    needReachable(parsed, 0n);
    needRecords(parsed, recordOf);
    device.users.set(userId, { accountKey, verified: false, lists: [], replaced: [] });
    keep(device, userId, parsed, recordOf);
    return { result: 'first', added: [], removed: [] };
  }
  if (!equal(accountKey, known.accountKey)) {
    if (known.replaced.some((old) => equal(old, accountKey))) return { result: 'ignored', added: [], removed: [] };
    const newest = known.lists[known.lists.length - 1];
    const last = parsed[parsed.length - 1];
    needReachable(parsed, newest.version);
    if (last.version < newest.version && last.timeMs <= newest.timeMs) return { result: 'ignored', added: [], removed: [] };
    needRecords(parsed, recordOf);
    known.replaced = [...known.replaced, known.accountKey].slice(-REPLACED_MAX);
    Object.assign(known, { accountKey, verified: false, lists: [] });
    keep(device, userId, parsed, recordOf);
    retireKeysOf(device, userId, now);
    return { result: 'identity_changed', added: [], removed: [] };
  }
  return extend(device, userId, known, parsed, recordOf, now);
}

/** A list that stands alone: parsed, signed, and each record that is here valid for its entry. */
function judgeList(bytes, userId, recordOf) {
  const list = parseList(bytes);
  need(list.userId === userId, 'the list of another user');
  verifyList(list);
  const used = new Set();
  for (const entry of list.devices) {
    const bytesOfRecord = recordOf(entry.hash);
    if (!bytesOfRecord) continue;
    const record = parseRecordOf(bytesOfRecord, userId, entry.deviceId);
    for (const publicKey of [`dsk ${hex(record.dsk)}`, `dak ${hex(record.dak)}`]) {
      need(!used.has(publicKey), 'two devices with one key');
      used.add(publicKey);
    }
  }
  return list;
}

/** Nothing is kept of lists that name a record which is not here. */
function needRecords(lists, recordOf) {
  for (const list of lists) for (const entry of list.devices) need(recordOf(entry.hash), 'a record is missing');
}

/** Lists that somebody can have come to. */
function needReachable(lists, version) {
  for (const list of lists) {
    need(list.version <= version + LIST_VERSIONS_AHEAD && list.timeMs <= LIST_TIME_MAX, 'a list that is made up');
  }
}

function needSuccessor(earlier, later) {
  need(later.version === earlier.version + 1n, 'versions are not consecutive');
  need(isSuccessor(earlier, later), 'the hash chain is broken');
}

const isSuccessor = (earlier, later) => later.version === earlier.version + 1n
  && equal(later.previous, listHash(earlier.bytes));

/** Lists of the pinned account key: they must agree with what is kept and join it without a gap. */
function extend(device, userId, known, parsed, recordOf, now) {
  const oldest = known.lists[0];
  const newest = known.lists[known.lists.length - 1];
  const first = parsed[0];
  const last = parsed[parsed.length - 1];
  const kept = new Map(known.lists.map((list) => [list.version, list]));
  const parts = parsed.some((list) => kept.has(list.version) && !equal(kept.get(list.version).bytes, list.bytes));
  if (parts || (first.version === newest.version + 1n && !isSuccessor(newest, first))
      || (last.version + 1n === oldest.version && !isSuccessor(last, oldest))) {
    return takeBranch(device, userId, known, parsed, recordOf, now);
  }
  const fresh = parsed.filter((list) => !kept.has(list.version));
  if (fresh.length === 0) return { result: 'same', added: [], removed: [] };
  need(first.version <= newest.version + 1n && last.version + 1n >= oldest.version, 'a gap between versions');
  needRecords(fresh, recordOf);
  keep(device, userId, fresh, recordOf);
  const steps = fresh.filter((list) => list.version > newest.version);
  const before = [newest, ...steps];
  const changes = (of) => ascending(steps.flatMap((list, i) => of(before[i], list).map((entry) => entry.deviceId)));
  const added = changes((earlier, later) => later.devices.filter(lacks(earlier)));
  const removed = changes((earlier, later) => earlier.devices.filter(lacks(later)));
  archiveWith(device, userId, removed, now);
  return { result: 'changed', added, removed };
}

/** Lists that part from the kept ones: the longer branch counts, where it takes nobody in whom the other took out. */
function takeBranch(device, userId, known, parsed, recordOf, now) {
  const newest = known.lists[known.lists.length - 1];
  const last = parsed[parsed.length - 1];
  need(last.version > newest.version, 'a branch that is no longer than the kept one');
  const goneHere = known.lists.flatMap((list) => list.devices).filter(lacks(newest));
  need(last.devices.every(lacks({ devices: goneHere })), 'a branch with a device that was taken out');
  const stays = known.lists.filter((list) => list.version < parsed[0].version);
  need(stays.length === 0 || isSuccessor(stays[stays.length - 1], parsed[0]), 'a branch that connects nowhere');
  needRecords(parsed, recordOf);
  const isKept = (list) => known.lists.some((other) => equal(other.bytes, list.bytes));
  const named = [newest, ...parsed.filter((list) => !isKept(list))].flatMap((list) => list.devices);
  known.lists = stays;
  keep(device, userId, parsed, recordOf);
  const added = ascending(named.filter(lacks(newest)).map((entry) => entry.deviceId));
  const removed = ascending(named.filter(lacks(last)).map((entry) => entry.deviceId));
  archiveWith(device, userId, removed, now);
  return { result: 'changed', added, removed };
}

const lacks = (list) => (entry) => !list.devices.some(
  (other) => other.deviceId === entry.deviceId && equal(other.hash, entry.hash));
const ascending = (ids) => [...new Set(ids)].sort((a, b) => (a < b ? -1 : 1));

function archiveWith(device, userId, deviceIds, now) {
  for (const deviceId of deviceIds) {
    for (const session of device.sessionsWith(userId, deviceId)) archive(device, session, now);
  }
}

/** Keeps these lists with their records; the newest versions stay, and the records that a kept list names. */
function keep(device, userId, lists, recordOf) {
  const known = device.users.get(userId);
  known.lists = [...known.lists, ...lists].sort((a, b) => (a.version < b.version ? -1 : 1)).slice(-LIST_VERSIONS_MAX);
  for (const list of lists) {
    for (const entry of list.devices) device.records.set(hex(entry.hash), recordOf(entry.hash));
  }
  forgetUnnamedRecords(device);
}

function forgetUnnamedRecords(device) {
  const named = new Set();
  for (const known of device.users.values()) {
    for (const list of known.lists) for (const entry of list.devices) named.add(hex(entry.hash));
  }
  for (const hash of device.records.keys()) if (!named.has(hash)) device.records.delete(hash);
}

/** The app has all that is kept of a user forgotten, sessions included. */
export function forget(device, userId) {
  need(device.users.delete(userId), 'nothing is kept of the user');
  device.sessions = device.sessions.filter((s) => s.userId !== userId);
  device.receivedChains = device.receivedChains.filter((chain) => chain.userId !== userId);
  forgetUnnamedRecords(device);
}

/** Whether the own user's lists are under the account key that this device holds. */
export function holdsAccount(device) {
  const own = device.users.get(device.userId);
  return Boolean(own && device.accountSeed && equal(ed25519Public(device.accountSeed), own.accountKey));
}

/** The list of a version, the newest where none is given, or undefined. */
export function keptList(device, userId, version) {
  const lists = device.users.get(userId)?.lists ?? [];
  return version === undefined ? lists[lists.length - 1] : lists.find((list) => list.version === version);
}

/**
 * `listed(user_id, version, device_id)`.
 * @returns {{bytes: Uint8Array, hash: Uint8Array} | undefined} the record
 */
export function listed(device, userId, deviceId, version) {
  const entry = keptList(device, userId, version)?.devices.find((other) => other.deviceId === deviceId);
  return entry && { bytes: device.records.get(hex(entry.hash)), hash: entry.hash };
}
