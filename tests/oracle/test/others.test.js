// SPDX-License-Identifier: Apache-2.0
// Sections 11.2 to 16: retries, linking, sender chains, attachments and backups.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, filled, hex, u32, utf8, zeros } from '../lib/bytes.js';
import { openAttachment, parseAttachmentKey, sealAttachment, withLocation } from '../lib/attachments.js';
import { openBackup, parseManifest, readRecoveryKey, sealBackup, showRecoveryKey, unwrap } from '../lib/backup.js';
import { linkCheck, linkFinish, linkGrant, linkIsDone, linkOffer, linkReveal, linkStart } from '../lib/linking.js';
import { Device } from '../lib/device.js';
import { RandomTape } from '../lib/random.js';
import { RetryRate, Sent, asks } from '../lib/retry.js';
import { ed25519Public } from '../lib/primitives.js';
import { SENDER_CHAINS_MAX } from '../lib/limits.js';
import {
  distributionOf, encryptGroup, makeChain, receiveChain, rosterHash,
} from '../lib/sender_chains.js';
import { openStream, sealStream } from '../lib/secretstream.js';
import { receiveGroup } from '../lib/streams.js';
import { TIME, aliceAndBob, outcome, paddedText, tape, turned } from '../support/fixture.js';

const bad = outcome('bad_message');
const GROUP = '07'.repeat(16);
const many = () => new RandomTape(Uint8Array.from({ length: 4_096 }, (_, i) => (i * 7 + (i >> 8)) & 255));

// Sender chains.

function group() {
  const w = aliceAndBob();
  const roster = { number: 3n, hash: filled(0x33, 16) };
  const item = (message, change = {}) => ({
    userId: 'alice', deviceId: 1n, listVersion: 1n, message, kind: 'MESSAGE', clientMessageId: filled(1, 16),
    binding: { groupId: GROUP }, roster, ...change,
  });
  let chain;
  const random = many();
  return {
    ...w, roster, item,
    fresh() {
      chain = makeChain(GROUP, 3n, random, TIME);
      return distributionOf(w.alice, chain, roster, null);
    },
    distribution: () => distributionOf(w.alice, chain, roster, null),
    send() {
      const sent = encryptGroup(w.alice, chain, roster, paddedText('hi', 1, { groupId: GROUP }), random, TIME);
      chain = sent.chain;
      return sent.message;
    },
    chainNow: () => chain,
  };
}

test('a group message is refused with any part changed', () => {
  const g = group();
  receiveChain(g.bob, 'alice', 1n, GROUP, g.roster, g.fresh());
  const message = g.send();
  const refused = (bytes, wanted, change) =>
    assert.throws(() => receiveGroup(g.bob, g.item(bytes, change)), outcome(wanted));
  for (const at of [0, 1]) refused(turned(message, at), 'bad_message');
  for (const at of [2, 18, 26, 42]) refused(turned(message, at), 'untrusted');
  refused(turned(message, 50), 'no_session');
  for (const at of [66, 70, 98, 138, -65, -64, -1]) refused(turned(message, at), 'bad_message');
  refused(message, 'untrusted', { roster: { ...g.roster, number: 4n } });
  refused(message, 'untrusted', { roster: { ...g.roster, hash: zeros(16) } });
  refused(message, 'untrusted', { binding: { groupId: '08'.repeat(16) } });
  refused(message, 'untrusted', { userId: 'bob', deviceId: 2n });
  refused(message, 'bad_message', { clientMessageId: filled(2, 16) });
  receiveGroup(g.bob, g.item(message));
  refused(message, 'duplicate');
});

test('what was passed over in a group never opens', () => {
  const g = group();
  receiveChain(g.bob, 'alice', 1n, GROUP, g.roster, g.fresh());
  const [first, second] = [g.send(), g.send()];
  receiveGroup(g.bob, g.item(second));
  assert.throws(() => receiveGroup(g.bob, g.item(first)), outcome('duplicate'));
});

test('who gets a chain later reads nothing older', () => {
  const g = group();
  g.fresh();
  const early = g.send();
  receiveChain(g.bob, 'alice', 1n, GROUP, g.roster, g.distribution());
  assert.throws(() => receiveGroup(g.bob, g.item(early)), outcome('duplicate'));
  receiveGroup(g.bob, g.item(g.send()));
});

test('the first message of a newer chain ends the older ones', () => {
  const g = group();
  receiveChain(g.bob, 'alice', 1n, GROUP, g.roster, g.fresh());
  const old = g.send();
  receiveChain(g.bob, 'alice', 1n, GROUP, g.roster, g.fresh());
  receiveGroup(g.bob, g.item(g.send()));
  assert.equal(g.bob.receivedChains.length, 1);
  assert.throws(() => receiveGroup(g.bob, g.item(old)), outcome('no_session'));
});

test('the newest sender chains of a device are kept', () => {
  const g = group();
  for (let i = 0; i < SENDER_CHAINS_MAX + 2; i += 1) receiveChain(g.bob, 'alice', 1n, GROUP, g.roster, g.fresh());
  assert.deepEqual(g.bob.receivedChains.map((chain) => chain.order), [3, 4, 5, 6, 7]);
});

test('a chain_id that is known changes nothing, with another signing key it is refused', () => {
  const g = group();
  const distribution = g.fresh();
  receiveChain(g.bob, 'alice', 1n, GROUP, g.roster, distribution);
  receiveGroup(g.bob, g.item(g.send()));
  receiveChain(g.bob, 'alice', 1n, GROUP, g.roster, distribution);
  assert.equal(g.bob.receivedChains[0].next, 1);
  const forged = concat(distribution.slice(0, 79), ed25519Public(filled(5, 32)), distribution.slice(111));
  assert.throws(() => receiveChain(g.bob, 'alice', 1n, GROUP, g.roster, forged), bad);
  assert.throws(() => receiveChain(g.bob, 'alice', 2n, GROUP, g.roster, distribution), bad);
});

test('a chain ends at 1,000 messages and at seven days', () => {
  const g = group();
  g.fresh();
  const encrypt = (change, now) =>
    encryptGroup(g.alice, { ...g.chainNow(), ...change }, g.roster, paddedText('hi', 1), many(), now);
  encrypt({ next: 999 }, TIME);
  assert.throws(() => encrypt({ next: 1_000 }, TIME), bad);
  encrypt({}, TIME + 604_799_999n);
  assert.throws(() => encrypt({}, TIME + 604_800_000n), bad);
});

test('the roster hash depends on each part, and not on the order of members', () => {
  const member = (userId, listVersion = 1n) => ({ userId, listVersion, listHash: filled(1, 32) });
  const both = [member('alice'), member('bob')];
  const [entry, other] = [filled(1, 32), filled(2, 32)];
  const wanted = hex(rosterHash(GROUP, 3n, entry, both));
  assert.equal(hex(rosterHash(GROUP, 3n, entry, [member('bob'), member('alice')])), wanted);
  for (const hash of [rosterHash('08'.repeat(16), 3n, entry, both), rosterHash(GROUP, 4n, entry, both),
    rosterHash(GROUP, 3n, other, both), rosterHash(GROUP, 3n, entry, [member('alice')]),
    rosterHash(GROUP, 3n, entry, [member('alice'), member('bob', 2n)])]) assert.notEqual(hex(hash), wanted);
});

// Linking.

function linked() {
  const { alice: old, aliceList } = aliceAndBob();
  const fresh = new Device();
  const start = linkStart('alice', 3n, '', many(), TIME);
  fresh.linking = start.linking;
  return { old, fresh, aliceList, qr: start.qr };
}

test('a device is linked, and the old one sees it in the list', () => {
  const { old, fresh, aliceList, qr } = linked();
  const offer = linkOffer(old, qr, tape([0x74, 32], [0x75, 32]), TIME + 599_999n);
  old.linking = offer.linking;
  const reveal = linkReveal(fresh, offer.offer, tape([0x78, 24]));
  fresh.linking = reveal.linking;
  const check = linkCheck(old, reveal.reveal);
  old.linking = check.linking;
  assert.equal(check.code, reveal.code);
  const grant = linkGrant(old, aliceList, tape([0x79, 24]));
  const { linking } = old;
  const again = fresh.copy();
  linkFinish(fresh, grant, [old.record], tape(), TIME);
  assert.equal(linkIsDone(linking, fresh.record), true);
  assert.equal(linkIsDone(linking, old.record), false);
  for (const at of [0, 1, 2, 18, 50, 80, -1]) {
    assert.throws(() => linkFinish(again.copy(), turned(grant, at), [old.record], tape(), TIME), bad);
  }
});

test('a QR text is refused for another user, too late, of a listed device, or damaged', () => {
  const { old, qr } = linked();
  const random = () => tape([0x74, 32], [0x75, 32]);
  assert.throws(() => linkOffer(old, qr, random(), TIME + 600_000n), bad);
  assert.throws(() => linkOffer(old, `${qr}A`, random(), TIME), bad);
  assert.throws(() => linkOffer(old, `${qr}==`, random(), TIME), bad);
  assert.throws(() => linkOffer(old, qr.slice(1), random(), TIME), bad);
  assert.throws(() => linkOffer(old, linkStart('alicf', 3n, '', many(), TIME).qr, random(), TIME), bad);
  assert.throws(() => linkOffer(old, linkStart('alice', 1n, '', many(), TIME).qr, random(), TIME), bad);
});

test('an offer or a reveal that was changed goes nowhere, and a second offer is not taken', () => {
  const { old, fresh, qr } = linked();
  const { offer, linking } = linkOffer(old, qr, tape([0x74, 32], [0x75, 32]), TIME);
  old.linking = linking;
  for (const at of [0, 1, 2]) assert.throws(() => linkReveal(fresh, turned(offer, at), tape([0x78, 24])), bad);
  const reveal = linkReveal(fresh, offer, tape([0x78, 24]));
  fresh.linking = reveal.linking;
  assert.throws(() => linkReveal(fresh, offer, tape([0x78, 24])), bad);
  for (const at of [0, 1, 2, 18, 50, 80, 110, -1]) assert.throws(() => linkCheck(old, turned(reveal.reveal, at)), bad);
});

test('who stands between changes the code or is found out', () => {
  const { old, fresh, qr } = linked();
  const between = linkOffer(old, qr, tape([0x7b, 32], [0x75, 32]), TIME);
  old.linking = linkOffer(old, qr, tape([0x74, 32], [0x75, 32]), TIME).linking;
  const { reveal } = linkReveal(fresh, between.offer, tape([0x78, 24]));
  assert.throws(() => linkCheck(old, reveal), bad);
});

// Attachments and backups.

test('an attachment of any length opens again, empty ones and whole chunks too', () => {
  for (const length of [0, 1, 63, 64, 65, 65_535, 65_536, 65_537]) {
    const plain = filled(7, length);
    const { ciphertext, attachmentKey } = sealAttachment(plain, tape([1, 32], [2, 24]));
    assert.equal(openAttachment(ciphertext, attachmentKey).length, length);
  }
});

test('an attachment is refused with bits turned, cut or with another key', () => {
  const { ciphertext, attachmentKey } = sealAttachment(filled(7, 100), tape([1, 32], [2, 24]));
  for (const at of [0, 1, 64, -1]) assert.throws(() => openAttachment(turned(ciphertext, at), attachmentKey), bad);
  for (const at of [0, 1, 2, 34, 58, 90, 104]) {
    assert.throws(() => openAttachment(ciphertext, turned(attachmentKey, at)), bad);
  }
  assert.throws(() => openAttachment(ciphertext.slice(0, -1), attachmentKey), bad);
  const whole = withLocation(attachmentKey, 'media-1', 'image/png');
  assert.equal(parseAttachmentKey(whole).trueBytes, 100n);
  assert.throws(() => parseAttachmentKey(withLocation(attachmentKey, 'x'.repeat(257), '')), bad);
  assert.throws(() => parseAttachmentKey(withLocation(attachmentKey, '', 'x'.repeat(129))), bad);
});

test('a stream without its end, with its end early, or with chunks exchanged is refused', () => {
  const [key, header] = [filled(1, 32), filled(2, 24)];
  const sealed = sealStream(key, header, filled(3, 3 * 65_536));
  const chunk = 65_536 + 17;
  const [a, b, c] = [0, 1, 2].map((i) => sealed.slice(i * chunk, (i + 1) * chunk));
  assert.equal(openStream(key, header, sealed).length, 3 * 65_536);
  for (const parts of [[a, b], [a, b, c, c], [b, a, c], [a, c], [a, b, c.slice(0, 17)], [zeros(0)]]) {
    assert.throws(() => openStream(key, header, concat(...parts)), bad);
  }
});

const FRAMES = [concat(Uint8Array.of(1), filled(0x11, 32)), Uint8Array.of(2, 3, 4), Uint8Array.of(99)];
const R = filled(0x91, 32);
const backup = (frames = FRAMES) => sealBackup(aliceAndBob().alice, R, frames, 1n, zeros(32), many(), TIME);

test('a backup opens again, and only whole', () => {
  const { ciphertext, manifest } = backup();
  assert.equal(manifest.length, 202);
  assert.deepEqual(openBackup('alice', R, ciphertext, manifest).map(hex), FRAMES.map(hex));
  for (let at = 0; at < manifest.length; at += 3) {
    assert.throws(() => parseManifest(R, 'alice', turned(manifest, at)), bad);
  }
  for (const at of [0, 1, -1]) assert.throws(() => openBackup('alice', R, turned(ciphertext, at), manifest), bad);
  assert.throws(() => openBackup('bob', R, ciphertext, manifest), bad);
  assert.throws(() => openBackup('alice', turned(R, 0), ciphertext, manifest), bad);
  assert.throws(() => openBackup('alice', R, ciphertext.slice(0, -1), manifest), bad);
});

test('a backup begins with the account key\'s seed', () => {
  for (const frames of [[], FRAMES.slice(1), [FRAMES[0].slice(0, 32)]]) assert.throws(() => backup(frames), bad);
});

test('a recovery key is read with its usual mistakes, and not with others', () => {
  const shown = showRecoveryKey(R);
  assert.equal(hex(readRecoveryKey(` ${shown.toLowerCase()} `)), hex(R));
  assert.equal(hex(readRecoveryKey(showRecoveryKey(zeros(32)).replaceAll('0', 'o'))), hex(zeros(32)));
  const first = (character) => shown.replace('J', character);
  for (const wrong of [first('K'), first('U'), first('É'), shown.slice(1), `${shown}0`]) {
    assert.throws(() => readRecoveryKey(wrong), bad);
  }
});

test('the cost of a passphrase is bounded before anything runs', () => {
  const passphrase = utf8('correct horse battery');
  const wrapped = (passes, memory) => concat(Uint8Array.of(1, 1), u32(passes), u32(memory), zeros(16 + 104));
  for (const [passes, memory] of [[1, 65_536], [17, 65_536], [2, 65_535], [2, 1_048_577]]) {
    assert.throws(() => unwrap('alice', wrapped(passes, memory), passphrase), bad);
  }
  assert.throws(() => unwrap('alice', wrapped(2, 65_536), utf8('short')), bad);
  assert.throws(() => unwrap('alice', wrapped(2, 65_536).slice(1), passphrase), bad);
});

// Retries.

test('a request is made once, for a message of a listed device that could not be opened', () => {
  assert.equal(asks('MESSAGE', 'bad_message', true, false), true);
  assert.equal(asks('MESSAGE', 'no_session', true, false), true);
  for (const args of [['MESSAGE', 'duplicate', true, false], ['MESSAGE', 'untrusted', true, false],
    ['KEYS', 'bad_message', true, false], ['MESSAGE', 'bad_message', false, false],
    ['MESSAGE', 'bad_message', true, true]]) assert.equal(asks(...args), false);
});

test('a request is answered once, to whom the message was sent', () => {
  const { alice } = aliceAndBob();
  const bob = { userId: 'bob', deviceId: 2n };
  const id = filled(1, 16);
  const facts = { isMember: true, isThere: true };
  const request = { targetSeq: 5n, targetId: id };
  const answer = (change = {}, now = TIME) => {
    const sent = new Sent();
    sent.note('c', id, change.devices ?? [bob], TIME);
    sent.accepted('c', id, 5n);
    const asked = { ...request, ...change.request };
    const told = { ...facts, ...change.facts };
    const ask = () => sent.answers(alice, 'c', asked, change.from ?? bob, told, now);
    return [ask(), ask()];
  };
  assert.deepEqual(answer(), [true, false]);
  for (const change of [{ devices: [] }, { request: { targetSeq: 6n } }, { request: { targetId: filled(2, 16) } },
    { from: { userId: 'bob', deviceId: 9n } }, { facts: { isMember: false } }, { facts: { isThere: false } }]) {
    assert.deepEqual(answer(change), [false, false]);
  }
  assert.deepEqual(answer({}, TIME + 30n * 86_400_000n), [false, false]);
});

test('ten requests at once, and one a minute regained', () => {
  const rate = new RetryRate();
  const taken = (n, now) => Array.from({ length: n }, () => rate.take('bob', 2n, now)).filter(Boolean).length;
  assert.equal(taken(12, TIME), 10);
  assert.equal(taken(2, TIME + 59_999n), 0);
  assert.equal(taken(2, TIME + 60_000n), 1);
  assert.equal(taken(20, TIME + 3_600_000n), 10);
  assert.equal(rate.take('bob', 3n, TIME), true);
});

