// SPDX-License-Identifier: Apache-2.0
// Section 10: what a device does with one slice or one group message of an item, sections 7, 8 and 11.1 included.
import { EMPTY, Reader, compare, equal, hex, utf8 } from './bytes.js';
import {
  CONTENT, INFO_KEY, REPAIR, RETRY, SENDER_CHAIN, bindingBytes, parseInfoKey, parseRepair, parseRetry, unpad,
} from './envelope.js';
import { holdsAccount, listed } from './learning.js';
import { JUMP_MAX, JUMP_MAX_OWN_USER, MESSAGE_MAX, SKIPPED_TOTAL_MAX } from './limits.js';
import { need } from './outcome.js';
import { open } from './ratchet.js';
import { checkDistribution, openGroup, parseDistribution } from './sender_chains.js';
import { afterOpening } from './sessions.js';
import { accept, consume, parseSetup } from './setup.js';

export const MESSAGE = 'MESSAGE';
const CHECK_BODY = {
  [CONTENT]: (body) => body, [SENDER_CHAIN]: parseDistribution, [REPAIR]: parseRepair, [RETRY]: parseRetry,
  [INFO_KEY]: parseInfoKey,
};

/** The body_type that a slice holds. */
function bodyTypeOfSlice(item) {
  if (item.kind === 'REPAIR') return REPAIR;
  if (item.kind === 'RETRY') return RETRY;
  if (item.kind === 'KEYS') return SENDER_CHAIN;
  need(item.kind === MESSAGE, 'unknown kind of item');
  return item.binding.users ? CONTENT : SENDER_CHAIN;
}

/** How far ahead a message of this user may be. */
export const jumpMaxOf = (device, userId) => (userId === device.userId ? JUMP_MAX_OWN_USER : JUMP_MAX);

/**
 * @typedef {object} Item
 * @property {string} userId @property {bigint} deviceId the sender's @property {bigint} listVersion that counts
 * @property {Uint8Array} message the slice, or the common payload of a group
 * @property {string} kind MESSAGE, KEYS, RETRY or REPAIR
 * @property {Uint8Array} clientMessageId 16 @property {import('./envelope.js').Binding} binding
 * @property {{number: bigint, hash: Uint8Array}} [roster] of a group, at the item
 */

/**
 * Opens a slice.
 * @param {import('./device.js').Device} device a copy, to be dropped when this refuses
 * @param {Item} item
 * @returns the envelope
 */
export function receiveSlice(device, item, now) {
  const record = senderRecord(device, item);
  const type = typeOf(item.message);
  const opened = type === 1 ? openSetup(device, record, item, now) : openSteady(device, record, item, now);
  const envelope = checkEnvelope(opened.padded, item, bodyTypeOfSlice(item));
  if (opened.accepted) consume(device, opened.accepted);
  else device.sessions = device.sessions.map((s) => (s === opened.before ? opened.session : s));
  afterOpening(device, opened.session, Boolean(opened.accepted), type, now);
  dropSkippedOverTotal(device);
  return envelope;
}

/** Opens the common payload of a group's item. */
export function receiveGroup(device, item) {
  const record = senderRecord(device, item);
  need((item.kind === MESSAGE || item.kind === 'KEYS') && !item.binding.users, 'no item of a group');
  const { padded, chain } = openGroup(device, item, item.roster, record, jumpMaxOf(device, item.userId));
  const envelope = checkEnvelope(padded, item, item.kind === MESSAGE ? CONTENT : INFO_KEY);
  device.receivedChains = device.receivedChains
    .map((c) => (c.order === chain.order && c.userId === chain.userId && c.deviceId === chain.deviceId
      && c.groupId === chain.groupId ? chain : c))
    .filter((c) => c.userId !== chain.userId || c.deviceId !== chain.deviceId
      || c.groupId !== chain.groupId || c.order >= chain.order);
  return envelope;
}

function senderRecord(device, item) {
  const record = listed(device, item.userId, item.deviceId, item.listVersion);
  need(record, 'the sender\'s device is not listed', 'untrusted');
  need(item.userId !== device.userId || holdsAccount(device), 'the own user under another account key', 'untrusted');
  need(!item.binding.users || item.binding.users.includes(item.userId), 'the sender is not a member', 'untrusted');
  need(item.message.length <= MESSAGE_MAX, 'longer than message_max');
  return record;
}

function typeOf(message) {
  const r = new Reader(message);
  r.fixed(1, 'version of a message');
  const type = r.u8();
  need(type === 1 || type === 2, 'unknown type of a pairwise message');
  return type;
}

function openSetup(device, record, item, now) {
  const setup = parseSetup(item.message);
  const before = device.sessionOf(item.userId, item.deviceId, setup.sessionId);
  if (before) return openIn(device, before, record, setup.prefix, setup.inner, now);
  const accepted = accept(device, item.userId, item.deviceId, setup, item.listVersion, now);
  const opened = openIn(device, accepted.session, record, setup.prefix, setup.inner, now);
  return { ...opened, accepted };
}

function openSteady(device, record, item, now) {
  const r = new Reader(item.message.slice(2));
  const before = device.sessionOf(item.userId, item.deviceId, r.take(8));
  need(before, 'no session of that id', 'no_session');
  return openIn(device, before, record, EMPTY, item.message, now);
}

function openIn(device, before, record, prefix, message, now) {
  need(equal(before.peerRecord, record.hash), 'the session is with another record', 'untrusted');
  return { before, ...open(before, prefix, message, jumpMaxOf(device, before.userId), now) };
}

function checkEnvelope(padded, item, bodyType) {
  const envelope = unpad(padded);
  need(envelope.bodyType === bodyType, 'the body_type does not fit the item\'s kind');
  need(equal(envelope.clientMessageId, item.clientMessageId), 'the client_message_id is another item\'s');
  need(equal(bindingBytes(envelope.binding), bindingBytes(item.binding)), 'bound to another conversation');
  const body = CHECK_BODY[bodyType](envelope.body);
  if (bodyType === SENDER_CHAIN) {
    need(item.binding.groupId, 'a sender chain in no group');
    checkDistribution(body, item.deviceId, item.binding.groupId, item.roster);
  }
  return envelope;
}

/** Section 8: when a transaction leaves more than skipped_total_max on the device, the oldest are deleted in it. */
function dropSkippedOverTotal(device) {
  const count = device.sessions.reduce((sum, session) => sum + session.skipped.size, 0);
  if (count <= SKIPPED_TOTAL_MAX) return;
  const all = device.sessions.flatMap(
    (session) => [...session.skipped.values()].map((skipped) => ({ session, skipped })));
  all.sort((a, b) => Number(a.skipped.createdMs - b.skipped.createdMs)
    || compare(a.session.sessionId, b.session.sessionId)
    || a.skipped.number - b.skipped.number || a.skipped.n - b.skipped.n);
  for (const { session, skipped } of all.slice(0, count - SKIPPED_TOTAL_MAX)) {
    session.skipped.delete(`${skipped.number}/${skipped.n}`);
  }
}

/** The binding of the direct conversation of two users. */
export const directBinding = (a, b) => ({ users: compare(utf8(a), utf8(b)) < 0 ? [a, b] : [b, a] });

/** A session's name, for messages to people. */
export const sessionName = (session) => `${session.userId}/${session.deviceId}/${hex(session.sessionId)}`;
