// SPDX-License-Identifier: Apache-2.0
// A transcript's part that does every operation of section 21 at least once, and some of them so that they fail.
import { EMPTY, concat, filled, hex, u64, unhex, user } from '../lib/bytes.js';
import { CONTENT, INFO_KEY, REPAIR, RETRY, SENDER_CHAIN, makeEnvelope } from '../lib/envelope.js';
import { manifestHash } from '../lib/backup.js';
import { entryHash } from '../lib/groups.js';
import { ed25519Public } from '../lib/primitives.js';
import { directBinding } from '../lib/streams.js';

const TEXT = unhex('0a070a0568656c6c6f');

/** The hexadecimal text with its last bit turned. */
const damaged = (text) => text.slice(0, -1) + (parseInt(text.slice(-1), 16) ^ 1).toString(16);

const peer = (name, userId, deviceId) => ({ name, userId, deviceId, stock: [] });
const idsOf = (p) => ({ user_id: p.userId, device_id: String(p.deviceId) });

/** @param {import('./world.js').World} world whose devices of the tour are dora-1, dora-2 and emil-3 */
export function tour(world) {
  const dora = peer('dora-1', 'dora', 1n);
  const second = peer('dora-2', 'dora', 2n);
  const emil = peer('emil-3', 'emil', 3n);
  const learnBoth = (op, lists) => {
    for (const p of [dora, emil]) world.do('learn', p, { user_id: op, ...lists });
  };

  // Two users who know each other.
  for (const p of [dora, emil]) {
    world.do('account', p);
    p.record = world.do('device', p, { ...idsOf(p), ...(p === dora ? { name: 'Dora\'s phone' } : {}) }).record;
    const { list } = world.do('list', p, { add: [p.record], remove: [] });
    learnBoth(p.userId, { lists: [list], records: [p.record] });
    world.upload(p, true);
    p.list = list;
  }
  world.do('list', dora, { add: [], remove: ['9'] });
  world.do('learn', emil, { user_id: 'dora', lists: [damaged(dora.list)], records: [] });
  world.do('verify', emil, { user_id: 'dora', verified: true });
  world.do('safety', emil, { user_id: 'dora' });
  world.do('safety', dora, { user_id: 'nobody' });

  // A message of each kind, each also where it does not belong.
  const binding = directBinding('dora', 'emil');
  const send = (from, to, kind, bodyType, body, where = binding, roster = {}) => {
    world.sent += 1;
    const id = concat(u64(BigInt(world.sent)), filled(0xdd, 8));
    const forEnvelope = where.users ? where : { groupId: where.group_id };
    const envelope = makeEnvelope({
      bodyType, clientMessageId: id, binding: forEnvelope, senderTimeMs: world.now, expiresAfterS: 60, body,
    });
    const { message } = world.do('encrypt', from, { ...idsOf(to), envelope: hex(envelope) });
    const item = { ...idsOf(from), list_version: '1', message, kind, client_message_id: hex(id), binding: where, ...roster };
    world.do('decrypt', to, { ...item, kind: kind === 'RETRY' ? 'REPAIR' : 'RETRY' });
    world.do('decrypt', to, { ...item, list_version: '7' });
    world.do('decrypt', to, item);
    world.do('decrypt', to, item);
  };
  world.do('encrypt', dora, { ...idsOf(emil), envelope: '00' });
  world.do('begin', dora, { ...idsOf(emil), bundle: { ...world.bundle(emil), device_record: dora.record } });
  const { session_id: session } = world.do('begin', dora, { ...idsOf(emil), bundle: world.bundle(emil) });
  send(dora, emil, 'MESSAGE', CONTENT, TEXT);
  send(emil, dora, 'MESSAGE', CONTENT, TEXT);
  send(dora, emil, 'RETRY', RETRY, concat(u64(4n), filled(1, 16), filled(2, 8)));
  send(emil, dora, 'REPAIR', REPAIR, concat(u64(4n), filled(1, 16), Uint8Array.of(TEXT.length, 0, 0, 0), TEXT));
  world.do('archive', dora, idsOf(emil));
  world.do('archive', dora, idsOf(emil));
  world.do('activate', dora, { ...idsOf(emil), session_id: damaged(session) });
  world.do('activate', dora, { ...idsOf(emil), session_id: session });
  world.do('archive', dora, idsOf(emil));
  send(emil, dora, 'MESSAGE', CONTENT, TEXT);

  // A sender chain that travels in the session, and a group message.
  const group = { group_id: '70'.repeat(16) };
  const roster = { number: '2', roster_hash: '5c'.repeat(16) };
  world.do('distribute', dora, { ...group, ...roster });
  world.do('chain', dora, { ...group, roster_revision: '2' });
  const info = { info_number: '1', info_key: '5d'.repeat(32) };
  const { distribution } = world.do('distribute', dora, { ...group, ...roster, ...info });
  send(dora, emil, 'KEYS', SENDER_CHAIN, unhex(distribution), group, { ...roster, number: '3' });
  send(dora, emil, 'KEYS', SENDER_CHAIN, unhex(distribution), group, roster);
  const handed = { ...idsOf(dora), ...group, ...roster, distribution };
  world.do('chain_receive', emil, { ...handed, number: '3' });
  world.do('chain_receive', emil, { ...handed, group_id: '71'.repeat(16) });
  world.do('chain_receive', emil, handed);
  world.do('chain_receive', emil, handed);
  const forGroup = (bodyType, body) => hex(makeEnvelope({
    bodyType, clientMessageId: filled(0x3c, 16), binding: { groupId: group.group_id }, senderTimeMs: world.now,
    expiresAfterS: 0, body,
  }));
  const toGroup = { ...group, ...roster, roster_revision: '2' };
  const { message } = world.do('group_encrypt', dora, { ...toGroup, envelope: forGroup(CONTENT, TEXT) });
  const item = {
    ...idsOf(dora), ...roster, list_version: '1', message, kind: 'MESSAGE', client_message_id: '3c'.repeat(16),
    binding: group,
  };
  world.do('group_decrypt', emil, { ...item, number: '3' });
  world.do('group_decrypt', emil, { ...item, kind: 'KEYS' });
  world.do('group_decrypt', emil, item);
  world.do('group_decrypt', emil, item);
  const key = forGroup(INFO_KEY, concat(u64(1n), filled(0x5d, 32)));
  const told = world.do('group_encrypt', dora, { ...toGroup, envelope: key }).message;
  world.do('group_decrypt', emil, { ...item, message: told });
  world.do('group_decrypt', emil, { ...item, message: told, kind: 'KEYS' });

  changesOfAGroup(world, dora, emil);

  // A second device is linked, and later unlinked; then a new account key.
  world.do('learn', second, { user_id: 'dora', lists: [dora.list], records: [dora.record] });
  const { qr } = world.do('link_start', second, { ...idsOf(second), name: 'laptop' });
  world.do('link_offer', emil, { qr });
  const { offer } = world.do('link_offer', dora, { qr });
  const { reveal } = world.do('link_reveal', second, { offer });
  world.do('link_check', dora, { reveal: damaged(reveal) });
  world.do('link_check', dora, { reveal });
  const { grant } = world.do('link_grant', dora);
  second.record = world.do('link_finish', second, { grant }).record;
  const linked = world.do('list', second, { add: [second.record], remove: [] }).list;
  learnBoth('dora', { lists: [linked], records: [second.record] });
  world.do('learn', second, { user_id: 'dora', lists: [linked], records: [] });
  const unlinked = world.do('list', dora, { add: [], remove: ['2'] }).list;
  learnBoth('dora', { lists: [dora.list, linked, unlinked], records: [] });
  learnBoth('dora', { lists: [unlinked], records: [] });
  // One who has not heard of that goes on from the list before.
  world.do('learn', second, { user_id: 'dora', lists: [linked], records: [second.record] });
  const branch = world.do('list', second, { add: [], remove: [] }).list;
  world.do('learn', second, { user_id: 'dora', lists: [branch], records: [] });
  const longer = world.do('list', second, { add: [], remove: [] }).list;
  const joined = world.do('list', second, { add: [], remove: ['2'] }).list;
  for (const lists of [[branch], [branch, longer], [joined], [branch, joined]]) {
    world.do('learn', emil, { user_id: 'dora', lists, records: [] });
  }
  const anew = peer('dora-5', 'dora', 5n);
  world.do('adopt', anew, { account_seed: '7e'.repeat(32) });
  anew.record = world.do('device', anew, idsOf(anew)).record;
  const first = world.do('list', anew, { add: [anew.record], remove: [] }).list;
  world.do('learn', emil, { user_id: 'dora', lists: [first], records: [anew.record] });
  world.do('learn', emil, { user_id: 'dora', lists: [dora.list], records: [dora.record] });
  world.do('forget', emil, { user_id: 'dora' });
  world.do('reload', emil);
  world.do('age', emil);

  // Files.
  const file = world.do('attachment_seal', dora, { plain: '0badcafe'.repeat(300) });
  const attachment = { ciphertext: file.ciphertext, attachment_key: file.attachment_key };
  world.do('attachment_open', emil, attachment);
  world.do('attachment_open', emil, { ...attachment, ciphertext: `00${attachment.ciphertext.slice(2)}` });
  const recovery = { recovery_key: '91'.repeat(32) };
  const frames = [`01${'7d'.repeat(32)}`, '02aabb', '63'];
  const backup = world.do('backup_seal', dora, { ...recovery, frames, sequence: '1', previous: '00'.repeat(32) });
  const previous = hex(manifestHash(unhex(backup.manifest)));
  const { ciphertext, manifest } = world.do('backup_seal', dora, { ...recovery, frames, sequence: '2', previous });
  world.do('backup_open', dora, { ...recovery, ciphertext, manifest });
  world.do('backup_open', dora, { ...recovery, ciphertext, manifest: backup.manifest });
}

/** Every operation on a group, by who may and by who may not. */
function changesOfAGroup(world, dora, emil) {
  const keyOf = (p) => hex(ed25519Public(world.run.devices.get(p.name).accountSeed));
  const members = [
    { user_id: 'dora', role: 3, account_key: keyOf(dora) }, { user_id: 'emil', role: 1, account_key: keyOf(emil) },
  ];
  const first = { salt: '80'.repeat(16), permissions: '0101020202020303', members };
  world.do('group_create', emil, first);
  world.do('group_create', dora, { ...first, permissions: '0101020201020303' });
  let group = world.do('group_create', dora, first);
  const person = (userId, role) => concat(user(userId), Uint8Array.of(role, 1), unhex(keyOf(dora)));
  const values = [
    [2, concat(Uint8Array.of(0, 2), person('anna', 2), person('zoe', 1))], [3, user('zoe')], [7, filled(1, 32)],
    [8, Uint8Array.of(2, 1, 2, 2, 2, 2, 2, 3)], [9, concat(filled(7, 16), u64(0n), Uint8Array.of(2, 0, 0, 0))],
    [2, concat(Uint8Array.of(1), filled(7, 16), filled(9, 32), Uint8Array.of(1), person('nora', 1))],
    [2, concat(Uint8Array.of(2), filled(9, 32), Uint8Array.of(1), person('olga', 1))], [10, filled(7, 16)],
    [5, concat(user('emil'), Uint8Array.of(2))], [6, user('emil')], [4, EMPTY],
  ];
  for (const [operation, value] of values) {
    const before = { group_state: group.state_after, entry_hash: hex(entryHash(unhex(group.entry))), operation };
    world.do('group_entry', emil, { ...before, value: hex(value) });
    world.do('group_entry', dora, { ...before, value: hex(concat(value, Uint8Array.of(0))) });
    group = world.do('group_entry', dora, { ...before, value: hex(value) });
  }
}

/** The operations with Argon2id, which takes a second each. */
export function tourOfPassphrases(world) {
  const dora = peer('dora-1', 'dora', 1n);
  const inputs = { recovery_key: '91'.repeat(32), passphrase: 'correct horse battery', passes: 2, memory_kib: 65_536 };
  const { wrapped } = world.do('wrap', dora, inputs);
  world.do('wrap', dora, { ...inputs, passes: 1 });
  world.do('unwrap', dora, { wrapped, passphrase: inputs.passphrase });
}
