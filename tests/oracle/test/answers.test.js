// SPDX-License-Identifier: Apache-2.0
// Every known answer of section 26 of docs/e2ee.md, in its order.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, filled, hex, unhex, utf8, zeros } from '../lib/bytes.js';
import { openAttachment, sealAttachment } from '../lib/attachments.js';
import { backupId, readRecoveryKey, showRecoveryKey, unwrap, wrap } from '../lib/backup.js';
import { listHash } from '../lib/device_list.js';
import { openName, parseRecord, recordHash } from '../lib/device_record.js';
import { unpad } from '../lib/envelope.js';
import { linkCheck, linkFinish, linkGrant, linkOffer, linkReveal, linkStart } from '../lib/linking.js';
import { directoryDigest } from '../lib/prekeys.js';
import { H, ed25519Public } from '../lib/primitives.js';
import { RandomTape } from '../lib/random.js';
import { encrypt } from '../lib/ratchet.js';
import { safetyNumber } from '../lib/safety.js';
import {
  changeGroup, entryHash, groupIdOf, groupStateHash, makeEntry, stateBytes,
} from '../lib/groups.js';
import { infoHash, invitationSecret, linkText, makeRequest, openInfo, requestHash, sealInfo } from '../lib/invitations.js';
import { distributionOf, encryptGroup, makeChain, receiveChain, rosterHash } from '../lib/sender_chains.js';
import { addBegun } from '../lib/sessions.js';
import { begin } from '../lib/setup.js';
import { hashOfRows, sessionRows } from '../lib/state.js';
import { receiveGroup, receiveSlice } from '../lib/streams.js';
import { ALICE_BOB, TIME, aliceAndBob, outcome, paddedText, tape, textEnvelope } from '../support/fixture.js';

const world = aliceAndBob();
const aliceKey = ed25519Public(world.alice.accountSeed);
const bobKey = ed25519Public(world.bob.accountSeed);
const is = (actual, wanted) => assert.equal(hex(actual), wanted);

test('account key, records and lists', () => {
  const { alice, bob, aliceList, bobList } = world;
  is(aliceKey, 'd04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737');
  assert.equal(alice.record.length, 304);
  is(recordHash(alice.record), '71cb36bcba60bfa04f6a1ed9c0efdd5576f6ac3c6fdd2e545a8eadb6f88cb000');
  assert.equal(openName(parseRecord(alice.record), alice.accountSeed), 'Alice\'s phone');
  assert.equal(aliceList.length, 196);
  is(listHash(aliceList), '02d9095bd1654c28ca2d95d6fbc72759ecfe3da2f412caf6b7966e9485c2cd71');
  assert.equal(bob.record.length, 166);
  is(recordHash(bob.record), 'a5918687b933aa380febaeedf907d1dc98966da11e90396e2f7eefd6c8668e0f');
  is(listHash(bobList), '6ee13a15c0d9f492af53f015ab30f313a6144c136f184fbec5a0fa0a2178f97c');
});

test('prekeys and the digest of a device', () => {
  is(H(world.signed), '2233c267413fff15dcd8c0942e676e50077eac228f525c06245b733414e82fdc');
  is(H(world.lastResort), '93c9183ed207586caf65b8d604c77e3e443235b65c01256e6547b46276725ad0');
  is(H(world.oneTime), '7e72c1d28a35a6ce391c8ed9539691bb82ab6b696852619a4ad17a1b2be73dd7');
  is(H(world.kem), 'aa338b1f504652c6b7bc75d3f61e11edc484345b55f9aad9c93bd4486ebd9411');
  is(directoryDigest(world.bob.record, world.signed, world.lastResort),
    '4876181d4ee2ea841c963861eed71624bbd144a483e7072772ea7692e419bcdf');
});

const bundle = { record: world.bob.record, signed: world.signed, kem: world.kem, oneTime: world.oneTime };
const setUp = () => begin(world.alice, 'bob', 2n, bundle, tape([0x41, 32], [0x42, 32]), TIME);

test('set-up', () => {
  const { session, T } = setUp();
  is(T, '8e7d1c1f38e9dfb7e6cebb064b92d89085f4cee3753526503926eed20d248bb5');
  is(session.root, '8071a8144b55f74a54430ecb08b4b7330f702fb9e706172f8e6e005cecb0cec4');
  is(session.ad, 'e81c96edd7d57785cffafb7940802ef339be95b0e3b33983a348aedbd9bad434');
  is(session.sessionId, 'bd498de2569a2827');
  assert.equal(session.prefix.length, 1_148 + world.alice.record.length);
  is(H(session.prefix), '242dfd5b180af4b7afe10638c6b133abce6162c879309fd2d457802f72d1b42b');
  const poor = { ...bundle, kem: world.lastResort, oneTime: null };
  is(begin(world.alice, 'bob', 2n, poor, tape([0x41, 32], [0x42, 32]), TIME).session.sessionId, 'fa1c714c869526c1');
});

test('the conversation of m0, m1, m2, r0 and m3', () => {
  const alice = world.alice.copy();
  const bob = world.bob.copy();
  addBegun(alice, setUp().session, TIME);
  const send = (device, text, idByte, random) => {
    const { session, message } = encrypt(device.sessions[0], paddedText(text, idByte), random);
    device.sessions = [session];
    return message;
  };
  const receive = (device, sender, message, idByte, ms) => {
    const item = {
      ...sender, listVersion: 1n, message, kind: 'MESSAGE', clientMessageId: filled(idByte, 16), binding: ALICE_BOB,
    };
    return receiveSlice(device, item, TIME + BigInt(ms)).bytes;
  };
  const stateIs = (device, wanted) => is(hashOfRows(sessionRows(device.sessions[0])), wanted);
  const fromAlice = { userId: 'alice', deviceId: 1n };
  const fromBob = { userId: 'bob', deviceId: 2n };

  is(textEnvelope('hello', 0x51), '0101515151515151515151515151515151510105000000616c69636503000000626f62'
    + '00505c18a301000000000000090000000a070a0568656c6c6f');
  const m0 = send(alice, 'hello', 0x51, tape([0x61, 32], [0x62, 24]));
  assert.equal(m0.length, 1_640);
  is(H(m0), '23894d008f1560620a1c1ca526de0459062ee52aa7682d66e50ad46bcd4f7aba');
  const m1 = send(alice, 'one', 0x52, tape([0x63, 24]));
  const m2 = send(alice, 'two', 0x53, tape([0x64, 24]));
  stateIs(alice, 'ccb515e2f6b9611c3bf5cd66e8022616fac6453490b5851c138c4be2d8553939');

  is(receive(bob, fromAlice, m0, 0x51, 1), hex(textEnvelope('hello', 0x51)));
  stateIs(bob, '9b57a0c94fc66bb4bf0e1f4bb06c0f0e913e89df2c1ba0906469e16b0e67e08e');
  assert.deepEqual([...bob.prekeys.keys()], [1, 2], 'the one-time keys are gone');
  receive(bob, fromAlice, m2, 0x53, 2);
  stateIs(bob, 'e13d9c8448358a7e46fa19f984949de12d553c20f2c7fe8948927e2680e44561');
  const r0 = send(bob, 'answer', 0x54, tape([0x65, 32], [0x66, 24]));
  is(r0, '0102bd498de2569a2827fb41b1fcf75c1227fa08876056a5ed07ac44fe0c116ec2de80b8e523959d782400000000000000000000'
    + '666666666666666666666666666666666666666666666666c34632758b4817d4d26264710ecde6e90f68e136ad69df19663ba66a28b253b9'
    + '243ab522d84e844b3e233186668b327d932f879b8ff32186ad61bb083986204fc43cefc539f51694a16f760d07e61df1bfd22593ee16ae01'
    + '1decc4154e85da8752f4944613f1e21ae62796587e5e1b1f');
  receive(alice, fromBob, r0, 0x54, 3);
  stateIs(alice, '4435d3347ea2e602d2417554a9bca43596c03c0510765dadb1da0a72dd2b4c9a');
  const m3 = send(alice, 'three', 0x55, tape([0x67, 32], [0x68, 24]));
  assert.equal(m3.length, 188);
  is(H(m3), '75a85b09c627d2c4b7701c2e53c24bd0300509c970cfda7ef82b0a2c1c43334a');
  receive(bob, fromAlice, m3, 0x55, 4);
  stateIs(bob, '0eb2ee14ad7593f496d7399878e1c86e60ebb0c8d7607e3c5db1a5349e5676a1');
  receive(bob, fromAlice, m1, 0x52, 5);
  stateIs(bob, '92323f0c782308b2b5a0319c2081f8d92a9e7824985f3ac89e05909746bbbbb9');
  assert.throws(() => receive(bob, fromAlice, m3, 0x55, 6), outcome('duplicate'));
  assert.throws(() => receive(bob, fromAlice, m1, 0x52, 6), outcome('bad_message'));
  stateIs(bob, '92323f0c782308b2b5a0319c2081f8d92a9e7824985f3ac89e05909746bbbbb9');
});

test('safety number', () => {
  const wanted = {
    digits: '68127 67110 71430 36163 80537 31568 83301 98569 01961 60777 74292 81737',
    scannable: 'csdk-safety:AR8nOfTsRioaU0UmXN3BlwOqcS-RmeFMVbJwA02wlq9HReVdDDrJAfDxYEnkNDINyeX8DYQ0Q6J8nWn7WHgcwQc',
  };
  const both = [{ userId: 'alice', accountKey: aliceKey }, { userId: 'bob', accountKey: bobKey }];
  assert.deepEqual(safetyNumber(both[0], both[1]), wanted);
  assert.deepEqual(safetyNumber(both[1], both[0]), wanted);
});

test('linking', () => {
  const old = world.alice.copy();
  const fresh = aliceAndBob().alice;
  Object.assign(fresh, { record: null, accountSeed: null, userId: null, deviceId: 0n });
  fresh.users.clear();
  const secrets = tape([0x76, 32], [0x77, 32], [0x71, 16], [0x72, 32], [0x73, 32]).bytes;
  const random = new RandomTape(concat(unhex('0c0b0a09'), secrets));
  const start = linkStart('alice', 3n, 'laptop', random, TIME);
  fresh.linking = start.linking;
  assert.equal(start.qr, 'csdk-link:AXFxcXFxcXFxcXFxcXFxcXEFAAAAYWxpY2UDAAAAAAAAAM1I0Ggepz8JoA-DhZvRCIDfVoIgGc2jyIPg0'
    + 'VFONbEG8VTA4xL0kA-xZGxiPddhD8zE5vQXJImRy1UL8hbRsOLAd2UYowEAAA');
  const offered = linkOffer(old, start.qr, tape([0x74, 32], [0x75, 32]), TIME);
  old.linking = offered.linking;
  assert.equal(offered.offer.length, 90);
  const revealed = linkReveal(fresh, offered.offer, tape([0x78, 24]));
  fresh.linking = revealed.linking;
  assert.equal(revealed.code, '9419 3830');
  assert.equal(revealed.reveal.length, 261);
  is(H(revealed.reveal), '21b9fcf0fe0f9873f9f13cd612167b1d05053fa5481f63a9945070d141783fdf');
  const checked = linkCheck(old, revealed.reveal);
  old.linking = checked.linking;
  assert.equal(checked.code, '9419 3830');
  assert.equal(checked.name, 'laptop');
  const grant = linkGrant(old, world.aliceList, tape([0x79, 24]));
  is(H(grant), '87eea71a5fae2b15339091af173d7a466338044d0f6e6d9bd525712ff697003e');
  linkFinish(fresh, grant, [world.alice.record], tape([0x7a, 24]), TIME);
  is(fresh.accountSeed, hex(world.alice.accountSeed));
  assert.equal(openName(parseRecord(fresh.record), fresh.accountSeed), 'laptop');
});

const ORIGIN = { creator: 'alice', accountKey: ed25519Public(filled(0x11, 32)), salt: filled(0x80, 16) };
const GROUP = groupIdOf(ORIGIN);

test('a group, its first entries, an invitation and its info', () => {
  assert.equal(GROUP, 'f5083713bc632476ef66abc216d921b7');
  const member = (userId, role, seed) => ({ userId, role, accountKey: ed25519Public(filled(seed, 32)) });
  const first = {
    groupId: GROUP, number: 1n, origin: ORIGIN, permissions: [1, 1, 2, 2, 2, 2, 3, 3], infoNumber: 0n,
    infoHash: zeros(32), members: [member('alice', 3, 0x11), member('bob', 1, 0x21)], invitations: [],
  };
  const made = (previous, operation, change, state) => makeEntry(filled(0x12, 32), {
    groupId: GROUP, number: state.number, previous, operation, change, actor: 'alice', deviceId: 1n, timeMs: TIME,
    stateHash: groupStateHash(stateBytes(state)),
  });
  is(groupStateHash(stateBytes(first)), 'e864d06a1e73809f81ecbc36dc85ebb21e05185bdc2ec1dab56d08f7cf9bd56f');
  const create = made(zeros(32), 'create', {}, first);
  is(entryHash(create), 'ecf8f4adbe2a3f121d9fd7964ef7129a70c1cd58cf3b844cd622e4774ca4f4c5');
  const change = { id: filled(0x88, 16), expiresMs: TIME + 86_400_000n, uses: 5 };
  const second = changeGroup(first, 'alice', 'invite', change, TIME);
  is(groupStateHash(stateBytes(second)), '0fd4d323e981a7a94c29dc191021bc8169c261fdeac81d0d86b9f2ed6442b6fd');
  is(entryHash(made(entryHash(create), 'invite', change, second)), '6cae3087a8c466b0ab62c30ec7011170dd2cbad3de0d6acfabc0de66ce875f0c');
  const secret = invitationSecret(filled(0x11, 32), GROUP, filled(0x88, 16));
  const link = {
    groupId: GROUP, invitationId: filled(0x88, 16), inviter: 'alice', accountKey: ORIGIN.accountKey, secret,
  };
  assert.equal(linkText(link), 'csdk-group:AfUINxO8YyR272arwhbZIbeIiIiIiIiIiIiIiIiIiIiIBQAAAGFsaWNlAdBKsjJ0K7SrOhNovUYV5ObQIkq3GgFrr4UgozLJd4c31hmAl6WklFo9yVFxK2YudcsAaCukJnmdYKkXRLZd_vY');
  const request = makeRequest(filled(0x52, 32), {
    groupId: GROUP, invitationId: filled(0x88, 16), userId: 'carol', accountKey: ed25519Public(filled(0x51, 32)),
    deviceId: 3n, timeMs: TIME,
  }, secret);
  is(requestHash(request), 'e4ac170b4b323bd1f65b5a8908a8ebf08539150d3c3b89a5dc97bc306cfd67de');
  const sealed = sealInfo(unhex('0a04626f6f6b'), filled(0x87, 32), filled(0x89, 24), GROUP);
  assert.equal(sealed.length, 136);
  is(infoHash(sealed), 'da20c3078a5353c7a2cbe5f0dcb62d5b5939beda70182c13c571da99c0901dca');
  is(openInfo(sealed, filled(0x87, 32), GROUP), '0a04626f6f6b');
});

test('roster hash, distribution and a group message', () => {
  const members = [
    { userId: 'bob', listVersion: 1n, listHash: listHash(world.bobList) },
    { userId: 'alice', listVersion: 1n, listHash: listHash(world.aliceList) },
  ];
  const roster = { number: 1n, hash: rosterHash(GROUP, 1n, filled(0x86, 32), members) };
  is(roster.hash, '00f5d98eec7bf1b74039698bafd6b5f5');
  const chain = makeChain(GROUP, 3n, tape([0x81, 16], [0x82, 32], [0x83, 32]), TIME);
  const distribution = distributionOf(world.alice, chain, roster, { number: 5n, key: filled(0x87, 32) });
  assert.equal(distribution.length, 183);
  is(H(distribution), '32568f6e25f5bb21c291e18791458717fde641da63cf99440d87b172985941f2');
  const padded = paddedText('hello', 0x84, { groupId: GROUP });
  const { message } = encryptGroup(world.alice, chain, roster, padded, tape([0x85, 24]), TIME);
  is(H(message), '68f92a75b0d69ef475f92c01e74c9d725fe9fa0f68778e9ac82ce3e97bc1a5bf');
  const bob = world.bob.copy();
  receiveChain(bob, 'alice', 1n, GROUP, roster, distribution);
  const item = {
    userId: 'alice', deviceId: 1n, listVersion: 1n, message, kind: 'MESSAGE', clientMessageId: filled(0x84, 16),
    binding: { groupId: GROUP }, roster,
  };
  is(receiveGroup(bob, item).bytes, hex(unpad(padded).bytes));
  assert.throws(() => receiveGroup(bob, item), outcome('duplicate'));
});

test('attachment', () => {
  const plain = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251);
  const { ciphertext, attachmentKey } = sealAttachment(plain, tape([0xa1, 32], [0xa2, 24]));
  assert.equal(ciphertext.length, 100_386);
  assert.equal(new DataView(attachmentKey.buffer).getBigUint64(90, true), 100_352n);
  is(attachmentKey.slice(58, 90), '76b157e0311154c15c4a48257719c77282b6d4d2f1ccbdb1ad5c0c1946c8b312');
  is(openAttachment(ciphertext, attachmentKey), hex(plain));
});

test('recovery key', () => {
  const shown = 'J68S-34CH-J68S-34CH-J68S-34CH-J68S-34CH-J68S-34CH-J68S-34CH-J68Z-GSF2';
  assert.equal(showRecoveryKey(filled(0x91, 32)), shown);
  is(readRecoveryKey(shown.toLowerCase().replaceAll('-', ' ')), '91'.repeat(32));
  is(backupId(filled(0x91, 32), 'alice'), '820a61b1f99f206e9daaa08e8ee4d847');
});

test('wrapped recovery key', () => {
  const passphrase = utf8('correct horse battery');
  const random = tape([0x92, 16], [0x93, 24]);
  const wrapped = wrap('alice', filled(0x91, 32), passphrase, 2, 65_536, random);
  is(wrapped, '0101020000000000010092929292929292929292929292929292'
    + '939393939393939393939393939393939393939393939393'
    + '10ec0ec8ad21f3528a693d3b4b9c8d80b089661a05265a21294c6a11e24f59b0'
    + 'd0dbd22006ab928ec3de10afd8ca46e006691d56957318cfb45fef551074e18d465faa4fca067a65c3105ac3a9955c27');
  is(unwrap('alice', wrapped, passphrase), '91'.repeat(32));
});
