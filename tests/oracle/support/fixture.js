// SPDX-License-Identifier: Apache-2.0
// Alice's device 1 and Bob's device 2 as section 26 gives them.
import { concat, filled, utf8 } from '../lib/bytes.js';
import { Device } from '../lib/device.js';
import { makeList } from '../lib/device_list.js';
import { makeRecord, recordHash } from '../lib/device_record.js';
import { CONTENT, makeEnvelope, pad } from '../lib/envelope.js';
import { learn } from '../lib/learning.js';
import { makePrekeys } from '../lib/prekeys.js';
import { RandomTape } from '../lib/random.js';
import { Refused } from '../lib/outcome.js';

export const TIME = 1_800_000_000_000n;
export const ALICE_BOB = { users: ['alice', 'bob'] };

/** Random bytes: n times the byte, for each pair [byte, n]. */
export const tape = (...pairs) => new RandomTape(concat(...pairs.map(([byte, n]) => filled(byte, n))));

/** A device with its keys and its record, which has not learned any list. Its keys are one byte each. */
export function makeDevice(o) {
  const device = new Device();
  Object.assign(device, {
    userId: o.userId, deviceId: o.deviceId, registrationId: o.registrationId ?? 9, accountSeed: filled(o.account, 32),
    dskSeed: filled(o.dsk, 32), dakSecret: filled(o.dak, 32),
  });
  device.record = makeRecord({ ...device, suites: 1, createdMs: TIME, name: o.name ?? '', nameNonce: o.nameNonce });
  return device;
}

export const listOf = (owner, devices, version = 1n, previous = new Uint8Array(32), timeMs = TIME) => makeList(
  owner.accountSeed, {
    userId: owner.userId, version, previous, timeMs,
    devices: devices.map((d) => ({ deviceId: d.deviceId, hash: recordHash(d.record) })),
  },
);

/** @returns Alice, Bob, their lists, and Bob's prekeys 1 to 4 as he uploads them */
export function aliceAndBob() {
  const alice = makeDevice({
    userId: 'alice', deviceId: 1n, registrationId: 0x01020304, account: 0x11, dsk: 0x12, dak: 0x13,
    name: 'Alice\'s phone', nameNonce: filled(0x14, 24),
  });
  const bob = makeDevice({
    userId: 'bob', deviceId: 2n, registrationId: 0x05060708, account: 0x21, dsk: 0x22, dak: 0x23,
  });
  const aliceList = listOf(alice, [alice]);
  const bobList = listOf(bob, [bob]);
  for (const device of [alice, bob]) {
    learn(device, 'alice', [aliceList], [alice.record], TIME);
    learn(device, 'bob', [bobList], [bob.record], TIME);
  }
  const secrets = tape([0x31, 32], [0x32, 32], [0x33, 32], [0x34, 32], [0x35, 32], [0x36, 32]);
  const [signed, lastResort, oneTime, kem] = makePrekeys(bob, true, 1, 1, secrets, TIME);
  return { alice, bob, aliceList, bobList, signed, lastResort, oneTime, kem };
}

/** A serialised Content with a text of less than 128 bytes. */
export function textContent(text) {
  const bytes = utf8(text);
  const inner = concat(Uint8Array.of(0x0a, bytes.length), bytes);
  return concat(Uint8Array.of(0x0a, inner.length), inner);
}

export const textEnvelope = (text, idByte, binding = ALICE_BOB) => makeEnvelope({
  bodyType: CONTENT, clientMessageId: filled(idByte, 16), binding, senderTimeMs: TIME, expiresAfterS: 0,
  body: textContent(text),
});

export const paddedText = (...args) => pad(textEnvelope(...args));

/** A predicate for assert.throws. */
export const outcome = (wanted) => (error) => error instanceof Refused && error.outcome === wanted;

/** `bytes` with one bit of the byte at `at` turned. */
export function turned(bytes, at) {
  const out = bytes.slice();
  out[at < 0 ? bytes.length + at : at] ^= 1;
  return out;
}

