// SPDX-License-Identifier: Apache-2.0
// Sections 5 and 6: records, lists, learning, prekeys and bundles.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, filled, hex, zeros } from '../lib/bytes.js';
import { Device } from '../lib/device.js';
import { listHash, makeList, parseList, verifyList } from '../lib/device_list.js';
import { makeRecord, openName, parseRecord, parseRecordOf, recordHash } from '../lib/device_record.js';
import { forget, keptList, learn, listed } from '../lib/learning.js';
import { refusedAs } from '../lib/outcome.js';
import { checkBundle } from '../lib/prekeys.js';
import { ed25519Public } from '../lib/primitives.js';
import { addBegun } from '../lib/sessions.js';
import { begin } from '../lib/setup.js';
import { stateHash } from '../lib/state.js';
import { TIME, aliceAndBob, listOf, makeDevice, outcome, tape, turned } from '../support/fixture.js';

const bad = outcome('bad_message');

test('a record is refused with bits turned, cut short or with a byte more', () => {
  const { bob } = aliceAndBob();
  for (let at = 0; at < bob.record.length; at += 5) {
    assert.throws(() => parseRecord(turned(bob.record, at)), bad, `byte ${at}`);
  }
  assert.throws(() => parseRecord(bob.record.slice(0, -1)), bad);
  assert.throws(() => parseRecord(concat(bob.record, zeros(1))), bad);
});

test('a record is valid for its own user and device only', () => {
  const { bob } = aliceAndBob();
  parseRecordOf(bob.record, 'bob', 2n);
  assert.throws(() => parseRecordOf(bob.record, 'bob', 3n), bad);
  assert.throws(() => parseRecordOf(bob.record, 'alice', 2n), bad);
});

test('a record without suite 1 or without a registration_id is refused', () => {
  const { bob } = aliceAndBob();
  const made = (change) => makeRecord({ ...bob, suites: 1, createdMs: TIME, name: '', ...change });
  parseRecord(made({ suites: 0x80000001 }));
  assert.throws(() => parseRecord(made({ suites: 2 })), bad);
  assert.throws(() => parseRecord(made({ registrationId: 0 })), bad);
});

test('a name that does not open is shown as none', () => {
  const { alice } = aliceAndBob();
  assert.equal(openName(parseRecord(alice.record), filled(0x55, 32)), undefined);
});

test('a list is refused with bits turned, cut short or with a byte more', () => {
  const { bobList } = aliceAndBob();
  const read = (bytes) => verifyList(parseList(bytes));
  read(bobList);
  for (let at = 0; at < bobList.length; at += 5) assert.throws(() => read(turned(bobList, at)), bad, `byte ${at}`);
  assert.throws(() => read(bobList.slice(0, -1)), bad);
  assert.throws(() => read(concat(bobList, zeros(1))), bad);
});

test('a list has device_ids that ascend, each once, and 1 to 8 of them', () => {
  const of = (...ids) => makeList(filled(1, 32), {
    userId: 'u', version: 2n, previous: zeros(32), timeMs: TIME,
    devices: ids.map((deviceId) => ({ deviceId, hash: zeros(32) })),
  });
  parseList(of(1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n));
  for (const ids of [[], [0n], [2n, 1n], [1n, 1n], [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n]]) {
    assert.throws(() => parseList(of(...ids)), bad);
  }
});

/** Bob with a second device, and lists 1 to 3: one device, two, the second alone. */
function bobs() {
  const { alice, bob } = aliceAndBob();
  const second = makeDevice({ userId: 'bob', deviceId: 4n, account: 0x21, dsk: 0x26, dak: 0x27 });
  const one = listOf(bob, [bob]);
  const two = listOf(bob, [bob, second], 2n, listHash(one));
  const three = listOf(bob, [second], 3n, listHash(two));
  alice.users.delete('bob');
  return { alice, bob, second, one, two, three, records: [bob.record, second.record] };
}
const learnBob = (device, lists, records) => learn(device, 'bob', lists, records, TIME);

test('learning tells what came and what went', () => {
  const { alice, one, two, three, records } = bobs();
  assert.deepEqual(learnBob(alice, [one], records), { result: 'first', added: [], removed: [] });
  assert.deepEqual(learnBob(alice, [one, two], records), { result: 'changed', added: [4n], removed: [] });
  assert.deepEqual(learnBob(alice, [three], []), { result: 'changed', added: [], removed: [2n] });
  assert.deepEqual(learnBob(alice, [one, two, three], []), { result: 'same', added: [], removed: [] });
  assert.equal(listed(alice, 'bob', 2n), undefined);
  assert.equal(hex(listed(alice, 'bob', 2n, 2n).bytes), hex(records[0]));
});

test('a device that came and went between two looks is told', () => {
  const { alice, bob, one, two, three, records } = bobs();
  learnBob(alice, [one], records);
  const four = listOf(bob, [bob], 4n, listHash(three));
  assert.deepEqual(learnBob(alice, [two, three, four], records), { result: 'changed', added: [2n, 4n], removed: [2n, 4n] });
});

test('older versions are learned when they join what is kept', () => {
  const { alice, one, two, three, records } = bobs();
  learnBob(alice, [three], records);
  assert.throws(() => learnBob(alice, [one], records), bad, 'a gap');
  assert.equal(learnBob(alice, [one, two], records).result, 'changed');
  assert.equal(keptList(alice, 'bob', 1n).version, 1n);
});

test('a list is refused when it forks, leaves a gap, lacks a record or breaks the chain', () => {
  const { alice, bob, second, one, two, three, records } = bobs();
  learnBob(alice, [one], records);
  const before = hex(stateHash(alice));
  const fork = listOf(bob, [second], 1n);
  const wrongPrevious = listOf(bob, [bob, second], 2n, zeros(32));
  for (const lists of [[fork], [three], [wrongPrevious], [one, three], [two, one], [one, wrongPrevious], []]) {
    assert.throws(() => learnBob(alice, lists, records), bad);
  }
  assert.throws(() => learnBob(alice, [two], []), bad);
  assert.throws(() => learn(alice, 'alice', [two], records, TIME), bad);
  assert.equal(hex(stateHash(alice)), before);
});

test('of two branches the longer one counts, unless it takes in who was taken out', () => {
  const { alice, bob, second, one, two, three, records } = bobs();
  const other = makeDevice({ userId: 'bob', deviceId: 6n, account: 0x21, dsk: 0x28, dak: 0x29 });
  const all = [...records, other.record];
  learnBob(alice, [one, two, three], records);
  const branch = listOf(bob, [bob, second, other], 3n, listHash(two));
  const same = listOf(bob, [bob, second], 4n, listHash(branch));
  const joined = listOf(bob, [second, other], 4n, listHash(branch));
  const before = hex(stateHash(alice));
  for (const lists of [[branch], [branch, same], [joined]]) assert.throws(() => learnBob(alice, lists, all), bad);
  assert.equal(hex(stateHash(alice)), before);
  assert.deepEqual(learnBob(alice, [branch, joined], all), { result: 'changed', added: [2n, 6n], removed: [2n] });
  assert.deepEqual(keptList(alice, 'bob', 3n).devices.length, 3);
  assert.equal(keptList(alice, 'bob', 1n).version, 1n);
  assert.throws(() => learnBob(alice, [three], records), bad, 'the one that was left does not come back');
});

test('two devices of a list have no key in common', () => {
  const { alice, bob } = bobs();
  const twin = makeDevice({ userId: 'bob', deviceId: 4n, account: 0x21, dsk: 0x26, dak: 0x23 });
  assert.throws(() => learnBob(alice, [listOf(bob, [bob, twin])], [bob.record, twin.record]), bad);
});

test('another account key is an identity change, and the old one does not come back', () => {
  const { alice, one, records } = bobs();
  learnBob(alice, [one], records);
  alice.users.get('bob').verified = true;
  const again = makeDevice({ userId: 'bob', deviceId: 6n, account: 0x2a, dsk: 0x26, dak: 0x27 });
  assert.equal(learnBob(alice, [listOf(again, [again])], [again.record]).result, 'identity_changed');
  assert.equal(alice.users.get('bob').verified, false);
  assert.equal(learnBob(alice, [one], records).result, 'ignored');
  assert.equal(alice.records.has(hex(recordHash(records[0]))), false, 'no kept list names the record');
});

test('the newest 16 account keys that were replaced are known again', () => {
  const device = new Device();
  const bobs = Array.from({ length: 19 }, (_, i) => makeDevice(
    { userId: 'bob', deviceId: 2n, account: i, dsk: 0x40 + i, dak: 0x60 + i }));
  const show = (i, version) => learnBob(device, [listOf(bobs[i], [bobs[i]], version)], [bobs[i].record]).result;
  bobs.forEach((_, i) => show(i, BigInt(i + 1)));
  const { replaced } = device.users.get('bob');
  assert.deepEqual(replaced.map(hex), bobs.slice(2, 18).map((bob) => hex(ed25519Public(bob.accountSeed))));
  for (let i = 0; i < 18; i += 1) assert.equal(show(i, BigInt(i + 1)), 'ignored');
  assert.equal(show(2, 20n), 'ignored');
  assert.equal(show(1, 20n), 'identity_changed');
});

test('the newest 64 versions are kept', () => {
  const { alice, bob, one, records } = bobs();
  const lists = [one];
  while (lists.length < 66) lists.push(listOf(bob, [bob], BigInt(lists.length + 1), listHash(lists[lists.length - 1])));
  learnBob(alice, lists, records);
  assert.equal(keptList(alice, 'bob', 2n), undefined);
  assert.equal(keptList(alice, 'bob', 3n).version, 3n);
  assert.equal(keptList(alice, 'bob').version, 66n);
});

const bundleOf = (w) => ({ record: w.bob.record, signed: w.signed, kem: w.kem, oneTime: w.oneTime });

test('a session with a device that leaves its list is archived', () => {
  const w = aliceAndBob();
  addBegun(w.alice, begin(w.alice, 'bob', 2n, bundleOf(w), tape([0x41, 32], [0x42, 32]), TIME).session, TIME);
  const second = makeDevice({ userId: 'bob', deviceId: 4n, account: 0x21, dsk: 0x26, dak: 0x27 });
  learn(w.alice, 'bob', [listOf(w.bob, [second], 2n, listHash(w.bobList))], [second.record], TIME + 7n);
  assert.equal(w.alice.sessions[0].active, false);
  assert.equal(w.alice.sessions[0].archivedMs, TIME + 7n);
});

test('with a new identity its sessions are archived, and with one of the own user all', () => {
  for (const userId of ['bob', 'alice']) {
    const w = aliceAndBob();
    addBegun(w.alice, begin(w.alice, 'bob', 2n, bundleOf(w), tape([0x41, 32], [0x42, 32]), TIME).session, TIME);
    const other = makeDevice({ userId, deviceId: 6n, account: 0x2a, dsk: 0x28, dak: 0x29 });
    const { result } = learn(w.alice, userId, [listOf(other, [other], 3n)], [other.record], TIME + 7n);
    assert.equal(result, 'identity_changed');
    assert.equal(w.alice.sessions.length, 1);
    assert.equal(w.alice.sessions[0].active, false);
    assert.equal(w.alice.sessions[0].archivedMs, TIME + 7n);
  }
});

test('lists of another key that are older in version and time are ignored', () => {
  const { alice, one, two, three, records } = bobs();
  const again = makeDevice({ userId: 'bob', deviceId: 6n, account: 0x2a, dsk: 0x26, dak: 0x27 });
  learnBob(alice, [listOf(again, [again], 4n, listHash(three))], [again.record]);
  for (const lists of [[one], [one, two, three]]) assert.equal(learnBob(alice, lists, records).result, 'ignored');
  assert.equal(keptList(alice, 'bob').version, 4n);
});

test('a first list, or one of another key, is refused beyond what anybody can have come to', () => {
  for (const base of [0n, 3n]) {
    const at = (version, timeMs) => {
      const { alice, one, two, three, records } = bobs();
      if (base !== 0n) learnBob(alice, [one, two, three], records);
      const again = makeDevice({ userId: 'bob', deviceId: 6n, account: 0x2a, dsk: 0x26, dak: 0x27 });
      return learnBob(alice, [listOf(again, [again], version, undefined, timeMs)], [again.record]).result;
    };
    const learned = base === 0n ? 'first' : 'identity_changed';
    assert.equal(at(base + 2n ** 32n, 2n ** 53n), learned);
    assert.throws(() => at(base + 2n ** 32n + 1n, 2n ** 53n), bad);
    assert.throws(() => at(base + 1n, 2n ** 53n + 1n), bad);
  }
});

test('what is forgotten is a first contact again', () => {
  const w = aliceAndBob();
  addBegun(w.alice, begin(w.alice, 'bob', 2n, bundleOf(w), tape([0x41, 32], [0x42, 32]), TIME).session, TIME);
  forget(w.alice, 'bob');
  assert.deepEqual(w.alice.sessions, []);
  assert.equal(learn(w.alice, 'bob', [w.bobList], [w.bob.record], TIME).result, 'first');
});

test('a bundle is untrusted with any prekey changed or out of its place', () => {
  const w = aliceAndBob();
  const good = bundleOf(w);
  checkBundle(w.alice, 'bob', 2n, good);
  checkBundle(w.alice, 'bob', 2n, { ...good, oneTime: null, kem: w.lastResort });
  const untrusted = outcome('untrusted');
  const refused = (change, why) =>
    assert.throws(() => checkBundle(w.alice, 'bob', 2n, { ...good, ...change }), untrusted, why);
  for (const at of [0, 1, 5, 6, 37, 38, 46, 109]) refused({ signed: turned(w.signed, at) }, `signed, byte ${at}`);
  for (const at of [0, 1, 5, 6, 1_189, 1_190, 1_198, 1_261]) refused({ kem: turned(w.kem, at) }, `KEM, byte ${at}`);
  for (const at of [0, 5]) refused({ oneTime: turned(w.oneTime, at) }, `one-time prekey, byte ${at}`);
  refused({ oneTime: concat(w.oneTime.slice(0, 6), zeros(32), w.oneTime.slice(38)) }, 'low order');
  refused({ oneTime: concat(w.oneTime.slice(0, 1), w.signed.slice(1, 5), w.oneTime.slice(5)) }, 'one key_id twice');
  refused({ signed: w.signed.slice(0, -1) }, 'too short');
  refused({ signed: concat(w.signed, zeros(1)) }, 'too long');
  refused({ kem: w.signed }, 'wrong kind');
  refused({ record: w.alice.record }, 'another device\'s record');
  assert.throws(() => checkBundle(w.alice, 'bob', 3n, good), untrusted);
});

test('what is refused under one name can be told under another', () => {
  assert.throws(() => refusedAs('untrusted', () => parseRecord(zeros(3))), outcome('untrusted'));
});
