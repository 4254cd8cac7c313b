// SPDX-License-Identifier: Apache-2.0
// Section 20: the rows of a device's state, their hash, and a device read back from its rows.
import { Reader, allZero, compare, concat, hex, lp, u32, u64, u8, unhex, user, zeros } from './bytes.js';
import { Device } from './device.js';
import { parseList } from './device_list.js';
import { recordHash } from './device_record.js';
import { label } from './labels.js';
import { H } from './primitives.js';

const bytesOr0 = (bytes) => bytes ?? zeros(32);
const peerOf = (x) => concat(user(x.userId), u64(x.deviceId));

const selfRow = (d) => concat(
  u8(1), user(d.userId), u64(d.deviceId), u32(d.registrationId), bytesOr0(d.accountSeed), d.dskSeed, d.dakSecret,
  u32(d.nextKeyId), lp(d.record));

const prekeyRow = (p) => concat(
  u8(2), u8(p.kind), u32(p.keyId), lp(p.secret), u64(p.createdMs), u64(p.successorMs));

const seenRow = (note) => concat(u8(3), u32(note.keyId), note.ek);

function userRows(userId, known) {
  const versions = known.lists.map((list) => list.version);
  return [
    concat(
      u8(4), user(userId), known.accountKey, u64(versions[0]), u64(versions[versions.length - 1]),
      u8(known.verified ? 1 : 0)),
    ...known.replaced.map((accountKey) => concat(u8(5), user(userId), accountKey)),
    ...known.lists.map((list) => concat(u8(6), lp(list.bytes))),
  ];
}

/** A skipped key never changes, nor the session that it is of; there may be thousands. */
const skippedRows = new WeakMap();

function skippedRow(name, k) {
  if (!skippedRows.has(k)) {
    skippedRows.set(k, concat(u8(11), name, u32(k.number), u32(k.n), k.key, u64(k.createdMs)));
  }
  return skippedRows.get(k);
}

/** The rows 8 to 11 of one session. */
export function sessionRows(s) {
  const name = concat(peerOf(s), s.sessionId);
  return [
    concat(
      u8(8), name, s.peerRecord, u8(s.suite), u8(s.role), u8(s.active ? 1 : 2), s.ad, s.root, bytesOr0(s.ratchetSecret),
      bytesOr0(s.ratchetPublic), bytesOr0(s.sendingKey), u32(s.sendCount), u32(s.previousCount),
      bytesOr0(s.peerRatchetKey), u32(s.chainsBegun), u64(s.createdMs), u64(s.archivedMs)),
    ...(s.prefix ? [concat(u8(9), name, lp(s.prefix))] : []),
    ...s.chains.map((c) => concat(
      u8(10), name, u32(c.number), c.ratchetKey, c.chainKey, u32(c.next), u32(c.end), u64(c.supersededMs))),
    ...[...s.skipped.values()].map((k) => skippedRow(name, k)),
  ];
}

const ownChainRow = (c) => concat(
  u8(12), unhex(c.groupId), c.chainId, c.chainKey, u32(c.next), c.signingSeed, u64(c.rosterRevision),
  u64(c.createdMs));

const receivedChainRow = (c) => concat(
  u8(13), unhex(c.groupId), peerOf(c), c.chainId, c.chainKey, u32(c.next), c.signingKey, u32(c.order));

/** @param {Device} d. @returns {Uint8Array[]} in no order */
export const rowsOf = (d) => [
  ...(d.record ? [selfRow(d)] : []),
  ...[...d.prekeys.values()].map(prekeyRow),
  ...[...d.seen.values()].map(seenRow),
  ...[...d.users].flatMap(([userId, known]) => userRows(userId, known)),
  ...[...d.records.values()].map((record) => concat(u8(7), lp(record))),
  ...d.sessions.flatMap(sessionRows),
  ...[...d.ownChains.values()].map(ownChainRow),
  ...d.receivedChains.map(receivedChainRow),
];

export const hashOfRows = (rows) => H(label('csdk1/state'), ...[...rows].sort(compare).map(lp));
export const stateHash = (d) => hashOfRows(rowsOf(d));

const none0 = (bytes) => (allZero(bytes) ? null : bytes);

const READ_ROW = {
  1: (d, r) => Object.assign(d, {
    userId: r.user(), deviceId: r.u64(), registrationId: r.u32(), accountSeed: none0(r.take(32)), dskSeed: r.take(32),
    dakSecret: r.take(32), nextKeyId: r.u32(), record: r.lp(),
  }),
  2: (d, r) => {
    const prekey = { kind: r.u8(), keyId: r.u32(), secret: r.lp(), createdMs: r.u64(), successorMs: r.u64() };
    d.prekeys.set(prekey.keyId, prekey);
  },
  3: (d, r) => {
    const note = { keyId: r.u32(), ek: r.take(32) };
    d.seen.set(`${note.keyId}/${hex(note.ek)}`, note);
  },
  4: (d, r) => {
    const userId = r.user();
    const accountKey = r.take(32);
    r.take(16);
    d.users.set(userId, { accountKey, verified: r.u8() === 1, lists: [], replaced: [] });
  },
  5: (d, r) => d.users.get(r.user()).replaced.push(r.take(32)),
  6: (d, r) => {
    const list = parseList(r.lp());
    const known = d.users.get(list.userId);
    known.lists = [...known.lists, list].sort((a, b) => (a.version < b.version ? -1 : 1));
  },
  7: (d, r) => {
    const record = r.lp();
    d.records.set(hex(recordHash(record)), record);
  },
  8: (d, r) => d.sessions.push({
    userId: r.user(), deviceId: r.u64(), sessionId: r.take(8), peerRecord: r.take(32), suite: r.u8(), role: r.u8(),
    active: r.u8() === 1, ad: r.take(32), root: r.take(32), ratchetSecret: none0(r.take(32)),
    ratchetPublic: none0(r.take(32)), sendingKey: none0(r.take(32)), sendCount: r.u32(), previousCount: r.u32(),
    peerRatchetKey: none0(r.take(32)), chainsBegun: r.u32(), createdMs: r.u64(), archivedMs: r.u64(),
    prefix: null, chains: [], skipped: new Map(),
  }),
  9: (d, r) => Object.assign(ownerOf(d, r), { prefix: r.lp() }),
  10: (d, r) => {
    const session = ownerOf(d, r);
    session.chains.push({
      number: r.u32(), ratchetKey: r.take(32), chainKey: r.take(32), next: r.u32(), end: r.u32(), supersededMs: r.u64(),
    });
    session.chains.sort((a, b) => a.number - b.number);
  },
  11: (d, r) => {
    const session = ownerOf(d, r);
    const skipped = { number: r.u32(), n: r.u32(), key: r.take(32), createdMs: r.u64() };
    session.skipped.set(`${skipped.number}/${skipped.n}`, skipped);
  },
  12: (d, r) => {
    const chain = {
      groupId: hex(r.take(16)), chainId: r.take(16), chainKey: r.take(32), next: r.u32(), signingSeed: r.take(32),
      rosterRevision: r.u64(), createdMs: r.u64(),
    };
    d.ownChains.set(chain.groupId, chain);
  },
  13: (d, r) => d.receivedChains.push({
    groupId: hex(r.take(16)), userId: r.user(), deviceId: r.u64(), chainId: r.take(16), chainKey: r.take(32),
    next: r.u32(), signingKey: r.take(32), order: r.u32(),
  }),
};

const ownerOf = (d, r) => d.sessionOf(r.user(), r.u64(), r.take(8));

/** The device of these rows. */
export function deviceOfRows(rows) {
  const d = new Device();
  // A row's first byte tells its kind, and what a row belongs to has a lower one.
  for (const row of [...rows].sort((a, b) => a[0] - b[0])) {
    const r = new Reader(row);
    READ_ROW[r.u8()](d, r);
    r.end();
  }
  return d;
}
