// SPDX-License-Identifier: Apache-2.0
// Section 14: roster hash, membership entries, sender chains and group messages.
import { Reader, compare, concat, equal, u32, u64, u8, user, utf8 } from './bytes.js';
import { ED25519, key, readValidKey } from './keys.js';
import { label } from './labels.js';
import {
  CHAIN_AGE_MAX, CHAIN_MESSAGES_MAX, COUNT_MAX, MEMBERS_MAX, PADDED_MAX, SENDER_CHAINS_MAX,
} from './limits.js';
import { need } from './outcome.js';
import { H, HM, ed25519Public, halves, sign, verify } from './primitives.js';
import { seal, unseal } from './seal.js';

/**
 * Section 14.1.
 * @param {{userId: string, listVersion: bigint, listHash: Uint8Array}[]} members
 * @returns {Uint8Array} 16 bytes
 */
export function rosterHash(conversationId, revision, members) {
  need(members.length <= MEMBERS_MAX, 'too many members');
  const sorted = [...members].sort((a, b) => compare(utf8(a.userId), utf8(b.userId)));
  return H(
    label('csdk1/grp/roster'), u64(conversationId), u64(revision), u32(sorted.length),
    ...sorted.map((member) => concat(user(member.userId), u64(member.listVersion), member.listHash)),
  ).slice(0, 16);
}

const OPERATION_LEAVE = 4;

/**
 * Section 14.2.
 * @param {object} e conversationId, rosterRevision (bigint), previous 32, operation 1 to 5, role 0 to 3, subject,
 *   actor, actorDeviceId (bigint), timeMs (bigint)
 */
export function makeEntry(dskSeed, e) {
  const body = concat(
    u8(1), u64(e.conversationId), u64(e.rosterRevision), e.previous, u8(e.operation), u8(e.role), user(e.subject),
    user(e.actor), u64(e.actorDeviceId), u64(e.timeMs),
  );
  return concat(body, sign(dskSeed, 'csdk1/sig/group-entry', body));
}

/** Reads an entry; `dsk` is the key of the actor's device as it is listed at that point of the stream. */
export function parseEntry(bytes, dsk) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of a membership entry');
  const entry = { conversationId: r.u64(), rosterRevision: r.u64(), previous: r.take(32), operation: r.u8() };
  entry.role = r.u8();
  entry.subject = r.user();
  entry.actor = r.user();
  entry.actorDeviceId = r.u64();
  entry.timeMs = r.u64();
  const signed = r.before();
  const signature = r.take(64);
  r.end();
  need(entry.operation >= 1 && entry.operation <= 5, 'unknown operation');
  need(entry.role <= 3, 'unknown role');
  need(entry.operation !== OPERATION_LEAVE || entry.actor === entry.subject, 'one leaves for oneself');
  need(verify(dsk, 'csdk1/sig/group-entry', signed, signature), 'signature of a membership entry');
  return entry;
}

export const entryHash = (bytes) => H(label('csdk1/hash/group-entry'), bytes);

/** A new own sender chain. @param random chain_id 16, chain key 32, signing seed 32 */
export const makeChain = (conversationId, rosterRevision, random, now) => ({
  conversationId, rosterRevision, chainId: random.take(16), chainKey: random.take(32), signingSeed: random.take(32),
  next: 0, createdMs: now,
});

/** Section 14.3: the chain at its present `next`, 119 bytes. */
export const distributionOf = (device, chain) => concat(
  u8(1), u8(4), u64(chain.conversationId), u64(chain.rosterRevision), u64(device.deviceId), chain.chainId,
  u32(chain.next), chain.chainKey, key(ED25519, ed25519Public(chain.signingSeed)), u64(chain.createdMs));

export function parseDistribution(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of a distribution');
  r.fixed(4, 'type of a distribution');
  const chain = { conversationId: r.u64(), rosterRevision: r.u64(), deviceId: r.u64(), chainId: r.take(16) };
  chain.next = r.u32();
  chain.chainKey = r.take(32);
  chain.signingKey = readValidKey(r, ED25519);
  chain.createdMs = r.u64();
  r.end();
  need(chain.conversationId !== 0n && chain.deviceId !== 0n, 'an id is not 0');
  need(chain.next < COUNT_MAX, 'a count is too high');
  return chain;
}

const chainsOf = (device, conversationId, userId, deviceId) => device.receivedChains.filter(
  (c) => c.conversationId === conversationId && c.userId === userId && c.deviceId === deviceId);

/** Takes a chain out of a distribution that came from (userId, deviceId). */
export function receiveChain(device, userId, deviceId, bytes) {
  const given = parseDistribution(bytes);
  need(given.deviceId === deviceId, 'the sender chain of another device');
  const chains = chainsOf(device, given.conversationId, userId, deviceId);
  const known = chains.find((c) => equal(c.chainId, given.chainId));
  if (known) {
    need(equal(known.signingKey, given.signingKey), 'a known chain with another signing key');
    return;
  }
  const order = 1 + Math.max(0, ...chains.map((c) => c.order));
  device.receivedChains.push({
    conversationId: given.conversationId, userId, deviceId, chainId: given.chainId, chainKey: given.chainKey,
    next: given.next, signingKey: given.signingKey, order,
  });
  const lowest = order - SENDER_CHAINS_MAX + 1;
  const excess = new Set(chains.filter((c) => c.order < lowest));
  device.receivedChains = device.receivedChains.filter((c) => !excess.has(c));
}

const chainAd = (conversationId, userId, deviceId, chainId, signingKey) => H(
  label('csdk1/grp/ad'), u64(conversationId), user(userId), u64(deviceId), chainId, key(ED25519, signingKey));
const chainStep = (chainKey) => halves(HM(chainKey, label('csdk1/grp/chain')));
const messageKeys = (messageKey) => HM(messageKey, label('csdk1/grp/msg'));

/**
 * Section 14.4.
 * @param chain an own one. @param roster { revision: bigint, hash: 16 bytes }. @param random nonce 24
 * @returns {{chain: object, message: Uint8Array}} 198 bytes more than padded
 */
export function encryptGroup(device, chain, roster, padded, random, now) {
  need(padded.length <= PADDED_MAX, 'longer than padded_max');
  need(chain.next < CHAIN_MESSAGES_MAX && now - chain.createdMs < CHAIN_AGE_MAX, 'the chain is used up');
  const [chainKey, messageKey] = chainStep(chain.chainKey);
  const header = concat(
    u8(1), u8(3), u64(chain.conversationId), u64(roster.revision), roster.hash, u64(device.deviceId), chain.chainId,
    u32(chain.next));
  const ad = chainAd(
    chain.conversationId, device.userId, device.deviceId, chain.chainId, ed25519Public(chain.signingSeed));
  const body = concat(header, seal(messageKeys(messageKey), random.take(24), padded, concat(ad, header)));
  const message = concat(body, sign(chain.signingSeed, 'csdk1/sig/group-message', body));
  return { chain: { ...chain, chainKey, next: chain.next + 1 }, message };
}

/** Reads a group message. */
export function parseGroup(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of a group message');
  r.fixed(3, 'type of a group message');
  const m = { conversationId: r.u64(), rosterRevision: r.u64(), rosterHash: r.take(16), deviceId: r.u64() };
  m.chainId = r.take(16);
  m.N = r.u32();
  m.header = r.before();
  const left = bytes.length - m.header.length;
  need(left >= 56 + 80 + 64 && left <= 56 + PADDED_MAX + 16 + 64, 'length of the ciphertext');
  m.sealed = r.take(left - 64);
  m.signed = r.before();
  m.signature = r.take(64);
  return m;
}

/**
 * `open_group`.
 * @param {import('./streams.js').Item} item whose sender's device is listed
 * @returns {{padded: Uint8Array, chain: object}} the chain as it is after the message
 */
export function openGroup(device, item, roster, record, jumpMax) {
  const m = parseGroup(item.message);
  need(m.conversationId === item.binding.conversationId, 'a message of another conversation', 'untrusted');
  need(m.rosterRevision === roster.revision && equal(m.rosterHash, roster.hash), 'another roster', 'untrusted');
  need(record && m.deviceId === item.deviceId, 'a message of another device', 'untrusted');
  const chain = chainsOf(device, m.conversationId, item.userId, item.deviceId).find((c) => equal(c.chainId, m.chainId));
  need(chain, 'no chain of that id', 'no_session');
  need(m.N >= chain.next, 'the number was used or passed over', 'duplicate');
  need(m.N - chain.next <= jumpMax && m.N < COUNT_MAX, 'too far ahead');
  need(verify(chain.signingKey, 'csdk1/sig/group-message', m.signed, m.signature), 'signature of a group message');
  let { chainKey, next } = chain;
  let messageKey;
  while (next <= m.N) {
    [chainKey, messageKey] = chainStep(chainKey);
    next += 1;
  }
  const ad = chainAd(m.conversationId, item.userId, item.deviceId, m.chainId, chain.signingKey);
  const padded = unseal(messageKeys(messageKey), m.sealed, concat(ad, m.header));
  return { padded, chain: { ...chain, chainKey, next } };
}
