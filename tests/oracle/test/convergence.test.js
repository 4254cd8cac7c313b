// SPDX-License-Identifier: Apache-2.0
// Section 11.1: however set-ups cross in a stream, everything opens, and both devices end with one session that sends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filled, hex } from '../lib/bytes.js';
import { makePrekeys } from '../lib/prekeys.js';
import { RandomTape } from '../lib/random.js';
import { encrypt } from '../lib/ratchet.js';
import { activeSession, addBegun } from '../lib/sessions.js';
import { begin } from '../lib/setup.js';
import { receiveSlice } from '../lib/streams.js';
import { ALICE_BOB, TIME, aliceAndBob, paddedText } from '../support/fixture.js';
import { Seeded } from '../support/world.js';

const RUNS = 8;
const STEPS = 30;

/** Two devices that begin sessions without a reason, and read one stream, each at its own pace. */
function run(seed) {
  const dice = new Seeded(`convergence ${seed}`);
  const w = aliceAndBob();
  const [signed, lastResort] = makePrekeys(w.alice, true, 0, 0, new RandomTape(filled(0x38, 96)), TIME);
  const sides = [
    { device: w.alice, userId: 'alice', deviceId: 1n, record: w.alice.record, signed, kem: lastResort },
    { device: w.bob, userId: 'bob', deviceId: 2n, record: w.bob.record, signed: w.signed, kem: w.lastResort },
  ];
  sides.forEach((side, i) => Object.assign(side, { peer: sides[1 - i], window: [], read: 0 }));
  const stream = [];
  let now = TIME;

  const send = (side) => {
    const { device, peer } = side;
    if (!activeSession(device, peer.userId, peer.deviceId) || dice.below(4) === 0) {
      addBegun(device, begin(device, peer.userId, peer.deviceId, { ...peer, oneTime: null }, dice, now).session, now);
    }
    const active = activeSession(device, peer.userId, peer.deviceId);
    const { session, message } = encrypt(active, paddedText('text', 1), dice);
    device.sessions = device.sessions.map((s) => (s === active ? session : s));
    side.window.push({ userId: side.userId, deviceId: side.deviceId, message });
  };
  const commit = (side) => {
    if (side.window.length > 0) stream.push(side.window.shift());
  };
  const read = (side) => {
    const item = stream[side.read];
    if (!item) return;
    side.read += 1;
    if (item.userId === side.userId) return;
    const whole = { ...item, listVersion: 1n, kind: 'MESSAGE', clientMessageId: filled(1, 16), binding: ALICE_BOB };
    receiveSlice(side.device, whole, now);
  };
  const settle = () => {
    for (const side of sides) while (side.window.length > 0) commit(side);
    for (const side of sides) while (side.read < stream.length) read(side);
  };

  for (let i = 0; i < STEPS; i += 1) {
    now += 1n;
    dice.oneOf([send, commit, commit, read, read])(dice.oneOf(sides));
  }
  settle();
  // From here on nobody begins without a reason.
  for (let i = 0; i < 6; i += 1) {
    const side = sides[i % 2];
    const active = activeSession(side.device, side.peer.userId, side.peer.deviceId);
    if (!active) continue;
    const { session, message } = encrypt(active, paddedText('text', 1), dice);
    side.device.sessions = side.device.sessions.map((s) => (s === active ? session : s));
    side.window.push({ userId: side.userId, deviceId: side.deviceId, message });
    settle();
  }
  return sides.map((side) => activeSession(side.device, side.peer.userId, side.peer.deviceId));
}

test('however set-ups cross, both devices end with the same active session', () => {
  for (let seed = 0; seed < RUNS; seed += 1) {
    const [a, b] = run(seed);
    assert.equal(hex(a.sessionId), hex(b.sessionId), `seed ${seed}`);
    assert.equal(a.prefix, null);
    assert.equal(b.prefix, null);
  }
});
