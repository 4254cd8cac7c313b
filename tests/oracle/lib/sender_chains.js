// SPDX-License-Identifier: Apache-2.0
// Sections 14.4, 14.8 and 14.9: roster hash, sender chains and group messages. What a group is: groups.js.
import { Reader, allZero, compare, concat, equal, hex, u32, u64, u8, unhex, user, utf8, zeros } from './bytes.js';
import { readGroupId } from './envelope.js';
import { ED25519, key, readValidKey } from './keys.js';
import { label } from './labels.js';
import {
  CHAIN_AGE_MAX, CHAIN_MESSAGES_MAX, COUNT_MAX, MEMBERS_MAX, PADDED_MAX, SENDER_CHAINS_MAX,
} from './limits.js';
import { need } from './outcome.js';
import { H, HM, ed25519Public, halves, sign, verify } from './primitives.js';
import { seal, unseal } from './seal.js';

/**
 * Section 14.4.
 * @param {string} groupId in hexadecimal @param {bigint} number @param {Uint8Array} entryHash of the newest entry
 * @param {{userId: string, listVersion: bigint, listHash: Uint8Array}[]} members
 * @returns {Uint8Array} 16 bytes
 */
export function rosterHash(groupId, number, entryHash, members) {
  need(members.length <= MEMBERS_MAX, 'too many members');
  const sorted = [...members].sort((a, b) => compare(utf8(a.userId), utf8(b.userId)));
  return H(
    label('csdk1/grp/roster'), unhex(groupId), u64(number), entryHash, u32(sorted.length),
    ...sorted.map((member) => concat(user(member.userId), u64(member.listVersion), member.listHash)),
  ).slice(0, 16);
}

/** A new own sender chain. @param random chain_id 16, chain key 32, signing seed 32 */
export const makeChain = (groupId, rosterRevision, random, now) => ({
  groupId, rosterRevision, chainId: random.take(16), chainKey: random.take(32), signingSeed: random.take(32),
  next: 0, createdMs: now,
});

/**
 * Section 14.8: the chain at its present `next`, 183 bytes.
 * @param roster { number: bigint, hash: 16 bytes }. @param info { number: bigint, key: 32 bytes } or null
 */
export const distributionOf = (device, chain, roster, info) => concat(
  u8(1), u8(4), unhex(chain.groupId), u64(roster.number), roster.hash, u64(device.deviceId), chain.chainId,
  u32(chain.next), chain.chainKey, key(ED25519, ed25519Public(chain.signingSeed)), u64(chain.createdMs),
  u64(info ? info.number : 0n), info ? info.key : zeros(32));

export function parseDistribution(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of a distribution');
  r.fixed(4, 'type of a distribution');
  const chain = { groupId: readGroupId(r), number: r.u64(), rosterHash: r.take(16), deviceId: r.u64() };
  chain.chainId = r.take(16);
  chain.next = r.u32();
  chain.chainKey = r.take(32);
  chain.signingKey = readValidKey(r, ED25519);
  chain.createdMs = r.u64();
  chain.infoNumber = r.u64();
  chain.infoKey = r.take(32);
  r.end();
  need(chain.deviceId !== 0n, 'a device_id is not 0');
  need(chain.infoNumber !== 0n || allZero(chain.infoKey), 'a key of no info');
  need(chain.next < COUNT_MAX, 'a count is too high');
  return chain;
}

/** What a distribution has to be in a group, from a device, at a roster. */
export function checkDistribution(given, deviceId, groupId, roster) {
  need(given.deviceId === deviceId, 'the sender chain of another device');
  need(given.groupId === groupId, 'a sender chain for another group');
  need(given.number === roster.number && equal(given.rosterHash, roster.hash), 'another roster', 'untrusted');
}

const chainsOf = (device, groupId, userId, deviceId) => device.receivedChains.filter(
  (c) => c.groupId === groupId && c.userId === userId && c.deviceId === deviceId);

/** Takes a chain out of a distribution that came from (userId, deviceId). */
export function receiveChain(device, userId, deviceId, groupId, roster, bytes) {
  const given = parseDistribution(bytes);
  checkDistribution(given, deviceId, groupId, roster);
  const chains = chainsOf(device, groupId, userId, deviceId);
  const known = chains.find((c) => equal(c.chainId, given.chainId));
  if (known) {
    need(equal(known.signingKey, given.signingKey), 'a known chain with another signing key');
    return;
  }
  const order = 1 + Math.max(0, ...chains.map((c) => c.order));
  device.receivedChains.push({
    groupId, userId, deviceId, chainId: given.chainId, chainKey: given.chainKey,
    next: given.next, signingKey: given.signingKey, order,
  });
  const lowest = order - SENDER_CHAINS_MAX + 1;
  const excess = new Set(chains.filter((c) => c.order < lowest));
  device.receivedChains = device.receivedChains.filter((c) => !excess.has(c));
}

const chainAd = (groupId, userId, deviceId, chainId, signingKey) => H(
  label('csdk1/grp/ad'), unhex(groupId), user(userId), u64(deviceId), chainId, key(ED25519, signingKey));
const chainStep = (chainKey) => halves(HM(chainKey, label('csdk1/grp/chain')));
const messageKeys = (messageKey) => HM(messageKey, label('csdk1/grp/msg'));

/**
 * Section 14.9.
 * @param chain an own one. @param roster { number: bigint, hash: 16 bytes }. @param random nonce 24
 * @returns {{chain: object, message: Uint8Array}} 206 bytes more than padded
 */
export function encryptGroup(device, chain, roster, padded, random, now) {
  need(padded.length <= PADDED_MAX, 'longer than padded_max');
  need(chain.next < CHAIN_MESSAGES_MAX && now - chain.createdMs < CHAIN_AGE_MAX, 'the chain is used up');
  const [chainKey, messageKey] = chainStep(chain.chainKey);
  const header = concat(
    u8(1), u8(3), unhex(chain.groupId), u64(roster.number), roster.hash, u64(device.deviceId), chain.chainId,
    u32(chain.next));
  const ad = chainAd(
    chain.groupId, device.userId, device.deviceId, chain.chainId, ed25519Public(chain.signingSeed));
  const body = concat(header, seal(messageKeys(messageKey), random.take(24), padded, concat(ad, header)));
  const message = concat(body, sign(chain.signingSeed, 'csdk1/sig/group-message', body));
  return { chain: { ...chain, chainKey, next: chain.next + 1 }, message };
}

/** Reads a group message. */
export function parseGroup(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of a group message');
  r.fixed(3, 'type of a group message');
  const m = { groupId: hex(r.take(16)), number: r.u64(), rosterHash: r.take(16), deviceId: r.u64() };
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
  need(m.groupId === item.binding.groupId, 'a message of another group', 'untrusted');
  need(m.number === roster.number && equal(m.rosterHash, roster.hash), 'another roster', 'untrusted');
  need(record && m.deviceId === item.deviceId, 'a message of another device', 'untrusted');
  const chain = chainsOf(device, m.groupId, item.userId, item.deviceId).find((c) => equal(c.chainId, m.chainId));
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
  const ad = chainAd(m.groupId, item.userId, item.deviceId, m.chainId, chain.signingKey);
  const padded = unseal(messageKeys(messageKey), m.sealed, concat(ad, m.header));
  return { padded, chain: { ...chain, chainKey, next } };
}
