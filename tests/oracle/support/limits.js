// SPDX-License-Identifier: Apache-2.0
// The ways to the limits of section 4 that messages reach, each up to the limit, where all is well, and one further. A
// way starts between two devices that share a session in which both have spoken (Storm.quiet); what it leaves behind
// stays. Not here: `count_max`, and `seen_max`, which take too many messages; what bounds lists and linking.
import { filled, hex } from '../lib/bytes.js';
import { CONTENT, makeEnvelope } from '../lib/envelope.js';
import {
  ARCHIVED_KEPT, ARCHIVED_MAX, CHAINS_MAX, CHAIN_AGE_MAX, CHAIN_MESSAGES_MAX, JUMP_MAX, JUMP_MAX_OWN_USER,
  ONE_TIME_KEPT, ONE_TIME_STORED, PADDED_MAX, SENDER_CHAINS_MAX, SIGNED_KEPT, SKIPPED_KEPT, SKIPPED_SESSION_MAX,
  SKIPPED_TOTAL_MAX,
} from '../lib/limits.js';
import { bindingOf } from './world.js';

const writeMany = (world, from, to, count) => Array.from({ length: count }, () => world.write(from, to));
const isStranger = (from, to) => from.userId !== to.userId;
const isOwn = (from, to) => from.userId === to.userId;

/** What a jump leaves of the messages that it passed over: `items` are those of the chain, `at` the one that came. */
function passedOver(world, to, items, at) {
  const oldest = at - SKIPPED_SESSION_MAX;
  world.expect(to, items[oldest - 1], 'duplicate');
  world.expect(to, items[oldest], 'ok');
  world.expect(to, items[oldest], 'duplicate');
  world.expect(to, items[at - 1], 'ok');
}

function jumpOfANewChain(world, from, to, max) {
  const items = writeMany(world, from, to, max + 2);
  world.expect(to, items[max + 1], 'bad_message');
  world.expect(to, items[max], 'ok');
  passedOver(world, to, items, max);
  world.expect(to, items[max + 1], 'ok');
}

function jumps(world, from, to) {
  jumpOfANewChain(world, from, to, JUMP_MAX);
  const items = writeMany(world, from, to, JUMP_MAX + 2);
  world.expect(to, items[JUMP_MAX + 1], 'bad_message');
  world.expect(to, items[JUMP_MAX], 'ok');
  passedOver(world, to, items, JUMP_MAX);
  world.expect(to, items[JUMP_MAX + 1], 'ok');
  // PN of the chain after it.
  const [next] = writeMany(world, from, to, JUMP_MAX + 1);
  world.expect(from, world.write(to, from), 'ok');
  const ofNewChain = world.write(from, to);
  world.expect(to, ofNewChain, 'bad_message');
  world.expect(to, next, 'ok');
  world.expect(to, ofNewChain, 'ok');
}

function jumpOfAnOwnDevice(world, from, to) {
  jumpOfANewChain(world, from, to, JUMP_MAX_OWN_USER);
}

function chains(world, from, to) {
  const leftOut = [];
  for (let i = 0; i < CHAINS_MAX + 2; i += 1) {
    world.expect(from, world.write(to, from), 'ok');
    leftOut.push(world.write(from, to));
    world.expect(to, world.write(from, to), 'ok');
  }
  leftOut.forEach((item, i) => world.expect(to, item, i < 2 ? 'bad_message' : 'ok'));
}

function archived(world, from, to) {
  const pairs = [];
  for (let i = 0; i < ARCHIVED_MAX + 3; i += 1) {
    world.begin(from, to);
    pairs.push(writeMany(world, from, to, 2));
  }
  for (const [first] of pairs) {
    world.now += 1n;
    world.expect(to, first, 'ok');
  }
  // The last one is active.
  pairs.forEach(([, second], i) => world.expect(to, second, i < 2 ? 'no_session' : 'ok'));
}

function crossing(world, from, to) {
  const ids = [[from, to], [to, from]].map(([a, b]) => world.begin(a, b).session_id);
  const [one, other] = [writeMany(world, from, to, 2), writeMany(world, to, from, 2)];
  for (let i = 0; i < 2; i += 1) {
    world.expect(to, one[i], 'ok');
    world.expect(from, other[i], 'ok');
  }
  for (const active of [world.activeSession(from, to), world.activeSession(to, from)]) {
    if (hex(active.sessionId) !== ids.sort()[0]) world.tell('set-ups that crossed did not end in the lower session');
  }
}

function ageOfSkippedKeys(world, from, to) {
  const items = writeMany(world, from, to, 3);
  world.expect(to, items[2], 'ok');
  world.now += SKIPPED_KEPT - 1n;
  world.do('age', to);
  world.expect(to, items[0], 'ok');
  world.now += 1n;
  world.do('age', to);
  world.expect(to, items[1], 'duplicate');
}

function ageOfSessions(world, from, to) {
  const before = writeMany(world, from, to, 2);
  world.begin(from, to);
  const after = writeMany(world, from, to, 2);
  world.expect(to, after[0], 'ok');
  world.now += ARCHIVED_KEPT - 1n;
  world.do('age', to);
  world.expect(to, before[0], 'ok');
  // Now the later one is archived.
  world.now += ARCHIVED_KEPT;
  world.do('age', to);
  world.expect(to, after[1], 'no_session');
  world.expect(to, before[1], 'ok');
}

/** Two set-ups under a bundle of before, one of them opened in the last moment. */
function lateSetUps(world, from, to, bundles, kept) {
  const items = bundles.map((bundle) => {
    world.begin(from, to, bundle);
    return world.write(from, to);
  });
  world.now += kept - 1n;
  world.do('age', to);
  world.expect(to, items[0], 'ok');
  world.now += 1n;
  world.do('age', to);
  world.expect(to, items[1], 'no_session');
}

function ageOfSignedPrekeys(world, from, to) {
  const bundles = [world.bundle(to), world.bundle(to)];
  world.upload(to, true);
  lateSetUps(world, from, to, bundles, SIGNED_KEPT);
}

function ageOfOneTimePrekeys(world, from, to) {
  const [oneTime, kem] = [2, 3];
  const empty = () => {
    to.stock = to.stock.filter(({ kind }) => kind !== oneTime && kind !== kem);
  };
  empty();
  world.upload(to, false);
  const bundles = [world.bundle(to), world.bundle(to)];
  // The server keeps the newest ones only, so it gives none of before any more.
  empty();
  world.do('prekeys', to, { signed: false, one_time: ONE_TIME_STORED, kem: 0 });
  lateSetUps(world, from, to, bundles, ONE_TIME_KEPT);
}

function senderChains(world, from, to) {
  const items = [];
  for (let i = 0; i < SENDER_CHAINS_MAX + 2; i += 1) {
    world.distribute(from, '08'.repeat(16));
    items.push(world.writeGroup(from, '08'.repeat(16)));
  }
  items.forEach((item, i) => world.expect(to, item, i < 2 ? 'no_session' : 'ok', 'group_decrypt'));
  world.expect(to, items[items.length - 2], 'no_session', 'group_decrypt');
}

function ageOfASenderChain(world, from, to) {
  world.distribute(from, '09'.repeat(16));
  world.now += CHAIN_AGE_MAX - 1n;
  world.expect(to, world.writeGroup(from, '09'.repeat(16)), 'ok', 'group_decrypt');
  world.now += 1n;
  if (world.writeGroup(from, '09'.repeat(16))) world.tell('a sender chain encrypted at chain_age_max');
}

function messagesOfASenderChain(world, from, to) {
  world.distribute(from, '09'.repeat(16));
  const items = Array.from({ length: CHAIN_MESSAGES_MAX }, () => world.writeGroup(from, '09'.repeat(16)));
  world.expect(to, items[CHAIN_MESSAGES_MAX - 1], 'ok', 'group_decrypt');
  world.expect(to, items[CHAIN_MESSAGES_MAX - 2], 'duplicate', 'group_decrypt');
  if (world.writeGroup(from, '09'.repeat(16))) world.tell('a sender chain encrypted more than chain_messages_max');
}

function longest(world, from, to) {
  const empty = makeEnvelope({
    bodyType: CONTENT, clientMessageId: filled(1, 16), binding: bindingOf(from, to), senderTimeMs: 0n, expiresAfterS: 0,
    body: new Uint8Array(0),
  });
  const room = PADDED_MAX - empty.length;
  world.expect(to, world.write(from, to, 'MESSAGE', CONTENT, filled(0x78, room)), 'ok');
  const over = world.write(from, to, 'MESSAGE', CONTENT, filled(0x78, room + 1));
  if (over) world.tell('more than padded_max was encrypted');
}

/** All skipped keys of a device: the sessions of two others fill them up, then one more goes over. */
function skippedKeysOfADevice(world, from, to) {
  const another = world.peers.find((peer) => peer !== from && peer !== to);
  world.quiet(another, to);
  const leave = (peer, count) => {
    world.begin(peer, to);
    const items = writeMany(world, peer, to, count + 1);
    world.now += 1n;
    world.expect(to, items[count], 'ok');
    return items;
  };
  const sessions = [];
  for (let i = 0; i < SKIPPED_TOTAL_MAX / SKIPPED_SESSION_MAX; i += 1) {
    sessions.push(leave(i % 2 === 0 ? from : another, SKIPPED_SESSION_MAX));
  }
  const [oldest] = sessions;
  world.expect(to, oldest[0], 'ok');
  leave(from, 2);
  world.expect(to, oldest[1], 'duplicate');
  world.expect(to, oldest[2], 'ok');
}

const way = (run, suits = () => true) => ({ run, suits });

/** Of some ten messages. */
export const CHEAP = [
  way(chains), way(archived), way(crossing), way(ageOfSkippedKeys), way(ageOfSessions), way(ageOfSignedPrekeys),
  way(senderChains), way(ageOfASenderChain),
];
/** Of some thousand messages. */
export const DEAR = [way(jumps, isStranger), way(messagesOfASenderChain), way(longest), way(ageOfOneTimePrekeys)];
/** Of more than twenty thousand. */
export const LONG = [way(jumpOfAnOwnDevice, isOwn), way(skippedKeysOfADevice)];
