// SPDX-License-Identifier: Apache-2.0
// Section 11.2: who asks for what could not be opened, and who answers. The notes here are no rows of the state hash.
import { equal, hex } from './bytes.js';
import { listed } from './learning.js';
import { RESEND_KEPT } from './limits.js';
import { activate, activeSession } from './sessions.js';

const AT_ONCE = 10;
const REGAIN_MS = 60_000n;
const SESSION_REUSED_MS = 86_400_000n;

/** `retry_rate`: for each device, 10 requests sent to it at once and one a minute regained; answers likewise. */
export class RetryRate {
  constructor() {
    this.used = new Map();
  }

  /** Takes one for this device when there is one. */
  take(userId, deviceId, now) {
    const name = `${deviceId} ${userId}`;
    const { count, since } = this.used.get(name) ?? { count: 0n, since: now };
    const regained = (now - since) / REGAIN_MS;
    const left = count > regained ? count - regained : 0n;
    if (left >= BigInt(AT_ONCE)) return false;
    this.used.set(name, { count: left + 1n, since: left === 0n ? now : since + regained * REGAIN_MS });
    return true;
  }
}

/** Whether a failed item is asked for: a MESSAGE, once, of a listed device. */
export const asks = (kind, outcome, senderIsListed, askedBefore) =>
  kind === 'MESSAGE' && ['no_session', 'bad_message'].includes(outcome) && senderIsListed && !askedBefore;

/**
 * The session that a request goes through: the one that this device began for a request within the last day and that is
 * still active, else undefined: then it begins one, and the active one is archived.
 * @param {?Uint8Array} begunForRetry session_id of the last session that was begun for a request
 */
export function sessionOfRequest(device, userId, deviceId, begunForRetry, now) {
  const active = activeSession(device, userId, deviceId);
  const usable = active && begunForRetry && equal(active.sessionId, begunForRetry)
    && now - active.createdMs < SESSION_REUSED_MS;
  return usable ? active : undefined;
}

/** What was sent to whom, and which requests were answered. */
export class Sent {
  constructor() {
    this.notes = new Map();
    this.answered = new Set();
  }

  /** In the transaction that encrypts, and again when the item has its number. */
  note(conversation, clientMessageId, devices, now) {
    this.notes.set(`${conversation} ${hex(clientMessageId)}`, { devices, createdMs: now, seq: undefined });
  }

  accepted(conversation, clientMessageId, seq) {
    this.notes.get(`${conversation} ${hex(clientMessageId)}`).seq = seq;
  }

  /**
   * Whether a request is answered. It is noted as answered when it is.
   * @param {{targetSeq: bigint, targetId: Uint8Array}} request
   * @param {{userId: string, deviceId: bigint}} from
   * @param {{isMember: boolean, isThere: boolean}} facts the user is a member now; the message is there, not expired
   */
  answers(device, conversation, request, from, facts, now) {
    const name = `${conversation} ${hex(request.targetId)}`;
    const note = this.notes.get(name);
    const wasSentTo = note && note.seq === request.targetSeq && now - note.createdMs < RESEND_KEPT
      && note.devices.some((other) => other.userId === from.userId && other.deviceId === from.deviceId);
    const before = `${name} ${from.deviceId} ${from.userId}`;
    if (!listed(device, from.userId, from.deviceId) || !facts.isMember || !facts.isThere || !wasSentTo) return false;
    if (this.answered.has(before)) return false;
    this.answered.add(before);
    return true;
  }
}

/** Before the answer: where the request names the active session, the request's takes its place. */
export function heal(device, request, bySession, now) {
  const active = activeSession(device, bySession.userId, bySession.deviceId);
  if (!active || active === bySession || !equal(active.sessionId, request.sessionId)) return;
  activate(device, bySession, now);
}
