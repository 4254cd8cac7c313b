// SPDX-License-Identifier: Apache-2.0
// Sections 7 to 11: set-up, ratchet, envelopes, and which session sends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY, compare, concat, filled, hex, u32, u64, zeros } from '../lib/bytes.js';
import { age } from '../lib/ageing.js';
import { listHash } from '../lib/device_list.js';
import { learn } from '../lib/learning.js';
import { CONTENT, REPAIR, RETRY, makeEnvelope, pad, paddedLength, unpad } from '../lib/envelope.js';
import {
  ARCHIVED_KEPT, ARCHIVED_MAX, CHAINS_MAX, JUMP_MAX, SIGNED_KEPT, SKIPPED_KEPT, SKIPPED_SESSION_MAX,
} from '../lib/limits.js';
import { makePrekeys } from '../lib/prekeys.js';
import { RandomTape } from '../lib/random.js';
import { encrypt } from '../lib/ratchet.js';
import { heal, sessionOfRequest } from '../lib/retry.js';
import { activeSession, addBegun } from '../lib/sessions.js';
import { begin, parseSetup } from '../lib/setup.js';
import { deviceOfRows, rowsOf, stateHash } from '../lib/state.js';
import { receiveSlice } from '../lib/streams.js';
import {
  ALICE_BOB, TIME, aliceAndBob, listOf, outcome, paddedText, tape, textContent, textEnvelope, turned,
} from '../support/fixture.js';

const bad = outcome('bad_message');
const FIRST = { userId: 'alice', deviceId: 1n };
const SECOND = { userId: 'bob', deviceId: 2n };

/** Bytes that differ from call to call, also when X25519 has clamped the first and the last of them. */
let drawn = 0;
const random = { take: (n) => concat(filled(0xee, 8), u32(drawn += 1), filled(0xee, 52)).slice(0, n) };

function world() {
  const w = aliceAndBob();
  w.bundle = { record: w.bob.record, signed: w.signed, kem: w.kem, oneTime: w.oneTime };
  const [signed, lastResort] = makePrekeys(w.alice, true, 0, 0, new RandomTape(filled(0x38, 96)), TIME);
  w.bundleOfAlice = { record: w.alice.record, signed, kem: lastResort, oneTime: null };
  return w;
}

function beginWith(device, peer, bundle, now = TIME) {
  const { session } = begin(device, peer.userId, peer.deviceId, bundle, random, now);
  addBegun(device, session, now);
  return session;
}

function send(device, peer, idByte = 1) {
  const active = activeSession(device, peer.userId, peer.deviceId);
  const { session, message } = encrypt(active, paddedText('text', idByte), random);
  device.sessions = device.sessions.map((s) => (s === active ? session : s));
  return message;
}

const item = (peer, message, change = {}) => ({
  ...peer, listVersion: 1n, message, kind: 'MESSAGE', clientMessageId: filled(1, 16), binding: ALICE_BOB, ...change,
});

/** Like a transcript's decrypt: nothing has changed when it fails. */
function receive(device, peer, message, { now = TIME, ...change } = {}) {
  const next = device.copy();
  const envelope = receiveSlice(next, item(peer, message, change), now);
  Object.assign(device, next);
  return envelope;
}

const rejects = (device, peer, message, wanted, change) => {
  const before = hex(stateHash(device));
  assert.throws(() => receive(device, peer, message, change), outcome(wanted));
  assert.equal(hex(stateHash(device)), before, 'nothing changes');
};

function talking() {
  const w = world();
  beginWith(w.alice, SECOND, w.bundle);
  receive(w.bob, FIRST, send(w.alice, SECOND));
  receive(w.alice, SECOND, send(w.bob, FIRST));
  return w;
}

test('a set-up message with any byte changed does not open', () => {
  const w = world();
  beginWith(w.alice, SECOND, w.bundle);
  const message = send(w.alice, SECOND);
  const before = hex(stateHash(w.bob));
  const inRecord = (at) => at >= 7 && at < 7 + w.alice.record.length;
  for (let at = 0; at < message.length; at += inRecord(at) ? 31 : 13) {
    assert.throws(() => receive(w.bob, FIRST, turned(message, at)));
  }
  assert.equal(hex(stateHash(w.bob)), before);
  receive(w.bob, FIRST, message);
});

test('a set-up tells what it refuses', () => {
  const w = world();
  beginWith(w.alice, SECOND, w.bundle);
  const message = send(w.alice, SECOND);
  const at = { record: 7, version: 7 + 304, ek: 319, spk: 351, opk: 355, algorithm: 359, kpk: 360 };
  rejects(w.bob, FIRST, turned(message, 2), 'bad_message');
  rejects(w.bob, FIRST, turned(message, at.record + 20), 'untrusted');
  rejects(w.bob, FIRST, turned(message, at.version), 'bad_message');
  rejects(w.bob, FIRST, turned(message, at.version + 1), 'bad_message');
  rejects(w.bob, FIRST, turned(message, at.spk), 'no_session');
  rejects(w.bob, FIRST, turned(message, at.opk), 'no_session');
  rejects(w.bob, FIRST, turned(message, at.algorithm), 'bad_message');
  rejects(w.bob, FIRST, turned(message, at.kpk), 'no_session');
  rejects(w.bob, FIRST, message, 'untrusted', { deviceId: 3n });
  rejects(w.bob, FIRST, message, 'untrusted', { listVersion: 2n });
  rejects(w.bob, FIRST, concat(message.slice(0, at.ek), zeros(32), message.slice(at.ek + 32)), 'bad_message');
});

test('a repeated set-up opens nothing, with one-time keys or with the last-resort prekey', () => {
  for (const poor of [false, true]) {
    const w = world();
    if (poor) Object.assign(w.bundle, { kem: w.lastResort, oneTime: null });
    beginWith(w.alice, SECOND, w.bundle);
    const message = send(w.alice, SECOND);
    receive(w.bob, FIRST, message);
    rejects(w.bob, FIRST, message, 'duplicate');
    w.bob.sessions = [];
    rejects(w.bob, FIRST, message, 'no_session');
  }
});

test('every message is a set-up message until the first was opened', () => {
  const w = world();
  beginWith(w.alice, SECOND, w.bundle);
  const messages = [send(w.alice, SECOND), send(w.alice, SECOND)];
  assert.equal(hex(parseSetup(messages[0]).prefix), hex(parseSetup(messages[1]).prefix));
  receive(w.bob, FIRST, messages[1]);
  receive(w.bob, FIRST, messages[0]);
  receive(w.alice, SECOND, send(w.bob, FIRST));
  assert.equal(send(w.alice, SECOND)[1], 2);
});

test('a message is bound to its conversation, its item and its kind', () => {
  const w = talking();
  const message = send(w.alice, SECOND);
  rejects(w.bob, FIRST, message, 'bad_message', { clientMessageId: filled(2, 16) });
  rejects(w.bob, FIRST, message, 'bad_message', { binding: { users: ['alice', 'carol'] } });
  rejects(w.bob, FIRST, message, 'bad_message', { binding: { groupId: '07'.repeat(16) } });
  for (const kind of ['KEYS', 'RETRY', 'REPAIR']) rejects(w.bob, FIRST, message, 'bad_message', { kind });
  rejects(w.bob, FIRST, turned(message, 3), 'no_session');
  for (let at = 10; at < message.length; at += 1) rejects(w.bob, FIRST, turned(message, at), 'bad_message');
  receive(w.bob, FIRST, message);
  rejects(w.bob, FIRST, message, 'duplicate');
});

test('repairs and retry requests come in items of their kind', () => {
  const w = talking();
  const toBob = (bodyType, body) => sendBody(w.alice, SECOND, bodyType, body);
  const content = textContent('again');
  const repair = concat(u64(9n), filled(3, 16), u32(content.length), content);
  receive(w.bob, FIRST, toBob(REPAIR, repair), { kind: 'REPAIR' });
  rejects(w.bob, FIRST, toBob(REPAIR, concat(repair, zeros(1))), 'bad_message', { kind: 'REPAIR' });
  receive(w.bob, FIRST, toBob(RETRY, zeros(32)), { kind: 'RETRY' });
  rejects(w.bob, FIRST, toBob(RETRY, zeros(31)), 'bad_message', { kind: 'RETRY' });
  receive(w.bob, FIRST, toBob(CONTENT, filled(0xff, 3)));
});

/** A message of any body in the active session of `device` with `peer`. */
function sendBody(device, peer, bodyType, body) {
  const envelope = makeEnvelope({
    bodyType, clientMessageId: filled(1, 16), binding: ALICE_BOB, senderTimeMs: TIME, expiresAfterS: 0, body,
  });
  const active = activeSession(device, peer.userId, peer.deviceId);
  const { session, message } = encrypt(active, pad(envelope), random);
  device.sessions = device.sessions.map((s) => (s === active ? session : s));
  return message;
}

test('a retry request heals what the requester has lost', () => {
  const w = talking();
  const [lost] = w.bob.sessions;
  w.bob.sessions = [];
  rejects(w.bob, FIRST, send(w.alice, SECOND), 'no_session');
  assert.equal(sessionOfRequest(w.bob, 'alice', 1n, null, TIME), undefined);
  const begun = beginWith(w.bob, FIRST, w.bundleOfAlice);
  assert.equal(sessionOfRequest(w.bob, 'alice', 1n, begun.sessionId, TIME), activeSession(w.bob, 'alice', 1n));
  assert.equal(sessionOfRequest(w.bob, 'alice', 1n, begun.sessionId, TIME + 86_400_000n), undefined);
  const request = sendBody(w.bob, FIRST, RETRY, concat(u64(4n), filled(1, 16), lost.sessionId));
  receive(w.alice, SECOND, request, { kind: 'RETRY' });
  assert.equal(hex(activeSession(w.alice, 'bob', 2n).sessionId), hex(begun.sessionId));
  receive(w.bob, FIRST, send(w.alice, SECOND));
});

test('a retry request that names the active session ends it, also where the lower session_id would stay', () => {
  for (let i = 0; i < 8; i += 1) {
    const w = world();
    const named = beginWith(w.alice, SECOND, w.bundle);
    const begun = beginWith(w.bob, FIRST, w.bundleOfAlice);
    const request = sendBody(w.bob, FIRST, RETRY, concat(u64(4n), filled(1, 16), named.sessionId));
    receive(w.alice, SECOND, request, { kind: 'RETRY' });
    heal(w.alice, { sessionId: named.sessionId }, w.alice.sessionOf('bob', 2n, begun.sessionId), TIME);
    assert.equal(hex(activeSession(w.alice, 'bob', 2n).sessionId), hex(begun.sessionId));
    assert.equal(w.alice.sessionOf('bob', 2n, named.sessionId).active, false);
  }
});

test('a jump of jump_max opens, one more does not', () => {
  const w = talking();
  const messages = Array.from({ length: JUMP_MAX + 2 }, () => send(w.alice, SECOND));
  rejects(w.bob, FIRST, messages[JUMP_MAX + 1], 'bad_message');
  receive(w.bob, FIRST, messages[JUMP_MAX]);
  receive(w.bob, FIRST, messages[JUMP_MAX + 1]);
  assert.equal(w.bob.sessions[0].skipped.size, SKIPPED_SESSION_MAX);
  rejects(w.bob, FIRST, messages[JUMP_MAX - SKIPPED_SESSION_MAX - 1], 'duplicate');
  receive(w.bob, FIRST, messages[JUMP_MAX - SKIPPED_SESSION_MAX]);
});

test('a new chain may be jump_max ahead, and not more', () => {
  const w = talking();
  receive(w.bob, FIRST, send(w.alice, SECOND));
  receive(w.alice, SECOND, send(w.bob, FIRST));
  const messages = Array.from({ length: JUMP_MAX + 2 }, () => send(w.alice, SECOND));
  rejects(w.bob, FIRST, messages[JUMP_MAX + 1], 'bad_message');
  receive(w.bob, FIRST, messages[JUMP_MAX]);
});

test('late messages of an earlier chain open, beyond its announced end none does', () => {
  const w = talking();
  const early = [send(w.alice, SECOND), send(w.alice, SECOND)];
  receive(w.bob, FIRST, early[1]);
  const forked = w.alice.copy();
  receive(w.alice, SECOND, send(w.bob, FIRST));
  receive(w.bob, FIRST, send(w.alice, SECOND));
  rejects(w.bob, FIRST, send(forked, SECOND), 'bad_message');
  receive(w.bob, FIRST, early[0]);
  assert.equal(w.bob.sessions[0].chains.length, 1, 'the chain is complete and gone');
});

test('no more than chains_max receiving chains are kept', () => {
  const w = talking();
  const lost = [];
  for (let i = 0; i < CHAINS_MAX + 2; i += 1) {
    lost.push(send(w.alice, SECOND));
    receive(w.bob, FIRST, send(w.alice, SECOND));
    receive(w.alice, SECOND, send(w.bob, FIRST));
  }
  assert.equal(w.bob.sessions[0].chains.length, CHAINS_MAX);
  rejects(w.bob, FIRST, lost[0], 'bad_message');
  receive(w.bob, FIRST, lost[lost.length - 1]);
});

test('a send after the last number is refused', () => {
  const w = talking();
  const [session] = w.alice.sessions;
  const used = { ...session, sendingKey: filled(1, 32), ratchetPublic: filled(2, 32), sendCount: 2 ** 31 - 2 };
  assert.throws(() => encrypt(used, paddedText('text', 1), random), bad);
  encrypt({ ...used, sendCount: 2 ** 31 - 3 }, paddedText('text', 1), random);
});

test('a device reads its state back from its rows after any step', () => {
  const w = talking();
  send(w.alice, SECOND);
  receive(w.bob, FIRST, send(w.alice, SECOND));
  for (const device of [w.alice, w.bob]) {
    const again = deviceOfRows(rowsOf(device));
    assert.equal(hex(stateHash(again)), hex(stateHash(device)));
    again.linking = device.linking;
    assert.deepEqual(again.sessions, device.sessions);
  }
});

test('simultaneous set-ups end in one session, that with the lower session_id', () => {
  for (let i = 0; i < 4; i += 1) {
    const w = world();
    const a = beginWith(w.alice, SECOND, w.bundle);
    const b = beginWith(w.bob, FIRST, w.bundleOfAlice);
    const [toBob, toAlice] = [send(w.alice, SECOND), send(w.bob, FIRST)];
    receive(w.bob, FIRST, toBob);
    receive(w.alice, SECOND, toAlice);
    const wanted = compare(a.sessionId, b.sessionId) < 0 ? a.sessionId : b.sessionId;
    for (const [device, peer] of [[w.alice, SECOND], [w.bob, FIRST]]) {
      assert.equal(hex(activeSession(device, peer.userId, peer.deviceId).sessionId), hex(wanted));
      assert.equal(device.sessions.length, 2);
    }
    receive(w.alice, SECOND, send(w.bob, FIRST));
    receive(w.bob, FIRST, send(w.alice, SECOND));
  }
});

test('a message in an archived session makes it active', () => {
  const w = talking();
  const late = send(w.bob, FIRST);
  const [old] = w.alice.sessions;
  const fresh = { record: w.bob.record, signed: w.signed, kem: w.lastResort, oneTime: null };
  beginWith(w.alice, SECOND, fresh, TIME + 5n);
  assert.notEqual(hex(activeSession(w.alice, 'bob', 2n).sessionId), hex(old.sessionId));
  receive(w.alice, SECOND, late, { now: TIME + 6n });
  assert.equal(hex(activeSession(w.alice, 'bob', 2n).sessionId), hex(old.sessionId));
  assert.equal(activeSession(w.alice, 'bob', 2n).archivedMs, 0n);
});

test('of archived sessions the newest stay', () => {
  const w = world();
  const poor = { ...w.bundle, kem: w.lastResort, oneTime: null };
  const begun = Array.from({ length: ARCHIVED_MAX + 2 }, (_, i) => beginWith(w.alice, SECOND, poor, TIME + BigInt(i)));
  assert.equal(w.alice.sessions.length, ARCHIVED_MAX + 1);
  assert.equal(w.alice.sessionOf('bob', 2n, begun[0].sessionId), undefined);
  assert.notEqual(w.alice.sessionOf('bob', 2n, begun[1].sessionId), undefined);
});

test('a set-up opens when the initiator names a newer list than the one that counts', () => {
  const w = world();
  const next = listOf(w.alice, [w.alice], 2n, listHash(w.aliceList));
  learn(w.alice, 'alice', [next], [], TIME);
  beginWith(w.alice, SECOND, w.bundle);
  receive(w.bob, FIRST, send(w.alice, SECOND));
});

test('padding is that of the page', () => {
  const steps = [
    [0, 64], [1, 64], [64, 64], [65, 128], [1_024, 1_024], [1_025, 1_088], [65_700, 67_584], [525_483, 540_672],
  ];
  for (const [n, wanted] of steps) assert.equal(paddedLength(n), wanted);
  const padded = pad(textEnvelope('x', 1));
  unpad(padded);
  assert.throws(() => unpad(turned(padded, -1)), bad);
  assert.throws(() => unpad(concat(padded, zeros(64))), bad);
  assert.throws(() => unpad(padded.slice(0, -1)), bad);
});

test('secrets age by the clock of the page', () => {
  const w = talking();
  const [, skipper] = [send(w.alice, SECOND), send(w.alice, SECOND)];
  receive(w.bob, FIRST, skipper, { now: TIME + 1n });
  assert.equal(w.bob.sessions[0].skipped.size, 1);
  const at = (now) => {
    const copy = w.bob.copy();
    age(copy, now);
    return copy;
  };
  assert.equal(at(TIME + SKIPPED_KEPT).sessions[0].skipped.size, 1);
  assert.equal(at(TIME + 1n + SKIPPED_KEPT).sessions[0].skipped.size, 0);
  assert.deepEqual([...at(TIME + 1_000n * SIGNED_KEPT).prekeys.keys()], [1, 2], 'the newest stay');
  makePrekeys(w.bob, true, 0, 0, new RandomTape(filled(0x39, 96)), TIME + 5n);
  assert.deepEqual([...at(TIME + 4n + SIGNED_KEPT).prekeys.keys()], [1, 2, 5, 6]);
  assert.deepEqual([...at(TIME + 5n + SIGNED_KEPT).prekeys.keys()], [5, 6]);
  w.bob.sessions[0].active = false;
  w.bob.sessions[0].archivedMs = TIME;
  assert.equal(at(TIME + ARCHIVED_KEPT - 1n).sessions.length, 1);
  assert.equal(at(TIME + ARCHIVED_KEPT).sessions.length, 0);
});

test('the newest 200 one-time secrets stay however old they are', () => {
  const { bob } = aliceAndBob();
  makePrekeys(bob, false, 201, 0, random, TIME);
  age(bob, TIME + 1_000n * SIGNED_KEPT);
  const kept = [...bob.prekeys.values()].filter((prekey) => prekey.kind === 2).map((prekey) => prekey.keyId);
  assert.equal(kept.length, 200);
  assert.equal(Math.min(...kept), 6);
});

test('nothing opens for a device that has no session and no keys', () => {
  const w = talking();
  w.bob.sessions = [];
  rejects(w.bob, FIRST, send(w.alice, SECOND), 'no_session');
  rejects(w.bob, FIRST, EMPTY, 'bad_message');
  rejects(w.bob, FIRST, zeros(600_000), 'bad_message');
});

test('what a tape lacks is not drawn', () => {
  assert.throws(() => tape([1, 3]).take(4), RangeError);
});
