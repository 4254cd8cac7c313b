// SPDX-License-Identifier: Apache-2.0
// Section 21: transcripts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filled, hex } from '../lib/bytes.js';
import { OPS, Run, differences } from '../lib/transcript.js';
import { tour } from '../support/tour.js';
import { World } from '../support/world.js';

const TIME = '1800000000000';

function transcript(seed, steps) {
  const lines = [];
  const world = new World(seed, (line) => lines.push(JSON.stringify(line)));
  tour(world);
  world.start();
  for (let i = 0; i < steps; i += 1) world.step();
  return { lines, world };
}

test('a transcript that was made is replayed to the same bytes and states', () => {
  const { lines, world } = transcript('replay', 120);
  assert.deepEqual(world.lost, [], 'what comes whole opens');
  const run = new Run();
  for (const text of lines) {
    const line = JSON.parse(text);
    assert.deepEqual(differences(line, run.do(line)), []);
  }
  assert.deepEqual(run.states(), world.run.states());
  const done = new Set(lines.map((text) => JSON.parse(text)).filter((line) => !line.error).map((line) => line.op));
  assert.deepEqual(Object.keys(OPS).filter((op) => !done.has(op)), ['wrap', 'unwrap']);
});

test('a line that differs is told', () => {
  const wanted = new Run().do({ op: 'account', device: 'a', now_ms: TIME, random: '11'.repeat(32) });
  assert.deepEqual(differences(wanted, wanted), []);
  assert.deepEqual(differences({ ...wanted, account_key: '00' }, wanted), ['account_key']);
  assert.deepEqual(differences({ ...wanted, state: '00' }, wanted), ['state']);
  assert.deepEqual(differences({ ...wanted, random: `${wanted.random}00` }, wanted), ['random']);
  assert.deepEqual(differences({ ...wanted, error: 'untrusted' }, wanted), ['error']);
});

/** Runs ops of one device, each with random bytes of one value. */
function device(run, name) {
  return (op, inputs = {}, randomBytes = 0, now = TIME) =>
    run.do({ op, device: name, now_ms: now, random: hex(filled(0x21, randomBytes)), ...inputs });
}

test('a device\'s life: record, list, learning, prekeys, safety number, backup', () => {
  const run = new Run();
  const a = device(run, 'a');
  const b = device(run, 'b');
  const key = a('account', {}, 32).account_key;
  assert.equal(b('adopt', { account_seed: '21'.repeat(32) }).account_key, key);
  const { record } = a('device', { user_id: 'alice', device_id: '1', name: 'phone' }, 92);
  const { list } = a('list', { add: [record], remove: [] });
  assert.deepEqual(a('learn', { user_id: 'alice', lists: [list], records: [record] }).result, 'first');
  assert.equal(a('learn', { user_id: 'alice', lists: [list.slice(2)], records: [] }).error, 'untrusted');
  assert.equal(a('verify', { user_id: 'alice', verified: true }).error, undefined);
  assert.equal(a('verify', { user_id: 'bob', verified: true }).error, 'bad_message');
  assert.equal(a('prekeys', { signed: true, one_time: 1, kem: 1 }, 32 + 64 + 32 + 64).prekeys.length, 4);
  assert.equal(a('encrypt', { user_id: 'bob', device_id: '2', envelope: '00' }).error, 'no_session');
  assert.equal(a('archive', { user_id: 'bob', device_id: '2' }).error, 'no_session');
  const before = a('age').state;
  assert.equal(a('reload').state, before);
  assert.equal(a('safety', { user_id: 'alice' }).digits.length, 71);
  const recoveryKey = { recovery_key: '91'.repeat(32) };
  const frames = [`01${'21'.repeat(32)}`, '0205'];
  const sealed = a('backup_seal', { ...recoveryKey, frames, sequence: '1', previous: '00'.repeat(32) }, 56);
  assert.deepEqual(
    a('backup_open', { ...recoveryKey, ciphertext: sealed.ciphertext, manifest: sealed.manifest }).frames, frames);
  const file = a('attachment_seal', { plain: '0102' }, 56);
  const { ciphertext, attachment_key: attachmentKey } = file;
  assert.equal(a('attachment_open', { ciphertext, attachment_key: attachmentKey }).plain, '0102');
});

test('linking: the new device takes part with its record in the next list', () => {
  const run = new Run();
  const old = device(run, 'old');
  const fresh = device(run, 'new');
  old('account', {}, 32);
  const { record } = old('device', { user_id: 'alice', device_id: '1' }, 68);
  const { list } = old('list', { add: [record], remove: [] });
  old('learn', { user_id: 'alice', lists: [list], records: [record] });
  fresh('learn', { user_id: 'alice', lists: [list], records: [record] });
  const { qr } = run.do({
    op: 'link_start', device: 'new', now_ms: TIME, user_id: 'alice', device_id: '3', name: 'laptop',
    random: '33'.repeat(4 + 64 + 16 + 64),
  });
  const { offer } = old('link_offer', { qr }, 64);
  const { reveal, code } = fresh('link_reveal', { offer }, 24);
  const checked = old('link_check', { reveal });
  assert.equal(checked.code, code);
  assert.equal(checked.name, 'laptop');
  const { grant } = old('link_grant', {}, 24);
  const done = fresh('link_finish', { grant }, 24);
  assert.equal(done.error, undefined);
  const next = fresh('list', { add: [done.record], remove: [] });
  const learned = old('learn', { user_id: 'alice', lists: [next.list], records: [done.record] });
  assert.deepEqual([learned.result, learned.added, learned.removed], ['changed', ['3'], []]);
});
