// SPDX-License-Identifier: Apache-2.0
// Section 9: the envelope, what is inside a ciphertext, and its padding.
import { Reader, allZero, compare, concat, hex, lp, u32, u64, u8, unhex, user, utf8, zeros } from './bytes.js';
import { need } from './outcome.js';

export const CONTENT = 1;
export const SENDER_CHAIN = 2;
export const REPAIR = 3;
export const RETRY = 4;
export const INFO_KEY = 5;

/** P(n), the padded length. */
export function paddedLength(n) {
  if (n <= 1_024) return Math.max(64, Math.ceil(n / 64) * 64);
  const floorLog2 = (x) => BigInt(x).toString(2).length - 1;
  const e = floorLog2(n);
  const step = 2 ** (e - (floorLog2(e) + 1));
  return Math.ceil(n / step) * step;
}

export const pad = (envelope) => concat(envelope, zeros(paddedLength(envelope.length) - envelope.length));

/**
 * @typedef {{users: [string, string]} | {groupId: string}} Binding a group_id in hexadecimal
 * @param {object} e bodyType, clientMessageId 16, binding, senderTimeMs (bigint), expiresAfterS (number), body
 * @returns {Uint8Array}
 */
export const makeEnvelope = (e) => concat(
  u8(1), u8(e.bodyType), e.clientMessageId, bindingBytes(e.binding), u64(e.senderTimeMs), u32(e.expiresAfterS),
  lp(e.body));

/** @param {Binding} binding */
export const bindingBytes = (binding) => (binding.users
  ? concat(u8(1), user(binding.users[0]), user(binding.users[1])) : concat(u8(2), unhex(binding.groupId)));

/** Reads a group_id. @returns {string} in hexadecimal */
export function readGroupId(r) {
  const groupId = r.take(16);
  need(!allZero(groupId), 'a group_id is not zeros');
  return hex(groupId);
}

function readBinding(r) {
  const kind = r.u8();
  if (kind === 1) {
    const users = [r.user(), r.user()];
    need(compare(utf8(users[0]), utf8(users[1])) < 0, 'two different users, the lower first');
    return { users };
  }
  need(kind === 2, 'unknown binding');
  return { groupId: readGroupId(r) };
}

/** Reads an envelope with its padding. @returns the fields, and `bytes`: the envelope without padding */
export function unpad(padded) {
  const r = new Reader(padded);
  r.fixed(1, 'version of an envelope');
  const envelope = { bodyType: r.u8(), clientMessageId: r.take(16), binding: readBinding(r) };
  envelope.senderTimeMs = r.u64();
  envelope.expiresAfterS = r.u32();
  envelope.body = r.lp();
  envelope.bytes = r.before();
  need(padded.length === paddedLength(envelope.bytes.length), 'length of the padding');
  need(allZero(r.rest()), 'padding is zeros');
  need([CONTENT, SENDER_CHAIN, REPAIR, RETRY, INFO_KEY].includes(envelope.bodyType), 'unknown body_type');
  return envelope;
}

/** The body of body_type 3. */
export function parseRepair(body) {
  const r = new Reader(body);
  const repair = { targetSeq: r.u64(), targetId: r.take(16), content: r.lp() };
  r.end();
  return repair;
}

/** The body of body_type 4. */
export function parseRetry(body) {
  const r = new Reader(body);
  const retry = { targetSeq: r.u64(), targetId: r.take(16), sessionId: r.take(8) };
  r.end();
  return retry;
}

/** The body of body_type 5. */
export function parseInfoKey(body) {
  const r = new Reader(body);
  const info = { number: r.u64(), key: r.take(32) };
  r.end();
  need(info.number !== 0n, 'no entry has the number 0');
  return info;
}
