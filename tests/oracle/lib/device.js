// SPDX-License-Identifier: Apache-2.0
// The state of one device, as section 20 lists its rows. An operation works on a copy; the copy becomes the device when
// the operation has succeeded. Byte strings are shared between copies, since nothing changes them.
import { hex } from './bytes.js';

/**
 * @typedef {object} Session section 8.1
 * @property {string} userId @property {bigint} deviceId of the peer
 * @property {Uint8Array} peerRecord 32 @property {Uint8Array} sessionId 8
 * @property {number} suite @property {number} role 1 or 2 @property {boolean} active
 * @property {Uint8Array} ad 32 @property {Uint8Array} root 32
 * @property {?Uint8Array} ratchetSecret 32 @property {?Uint8Array} ratchetPublic 32
 * @property {?Uint8Array} sendingKey 32
 * @property {number} sendCount @property {number} previousCount
 * @property {?Uint8Array} peerRatchetKey 32
 * @property {number} chainsBegun @property {bigint} createdMs @property {bigint} archivedMs
 * @property {?Uint8Array} prefix the set-up prefix, until the first message is opened
 * @property {Chain[]} chains ascending by number @property {Map<string, Skipped>} skipped by `number/n`
 *
 * @typedef {{number: number, ratchetKey: Uint8Array, chainKey: Uint8Array, next: number, end: number,
 *   supersededMs: bigint}} Chain
 * @typedef {{number: number, n: number, key: Uint8Array, createdMs: bigint}} Skipped
 *
 * @typedef {object} Prekey
 * @property {number} kind @property {number} keyId @property {Uint8Array} secret 32, or 64 of a KEM prekey
 * @property {bigint} createdMs @property {bigint} successorMs 0: none
 *
 * @typedef {object} User section 5.3
 * @property {Uint8Array} accountKey 32, pinned @property {boolean} verified
 * @property {object[]} lists parsed, ascending by version @property {Uint8Array[]} replaced account keys of before
 */

export class Device {
  constructor() {
    this.userId = null;
    this.deviceId = 0n;
    this.registrationId = 0;
    this.accountSeed = null;
    this.dskSeed = null;
    this.dakSecret = null;
    this.nextKeyId = 1;
    this.record = null;
    /** @type {Map<number, Prekey>} by key_id */
    this.prekeys = new Map();
    /** @type {Map<string, {keyId: number, ek: Uint8Array}>} by `keyId/EK` */
    this.seen = new Map();
    /** @type {Map<string, User>} */
    this.users = new Map();
    /** @type {Map<string, Uint8Array>} records by their hash in hexadecimal */
    this.records = new Map();
    /** @type {Session[]} */
    this.sessions = [];
    /** @type {Map<string, object>} own sender chains by group_id */
    this.ownChains = new Map();
    /** @type {object[]} received sender chains */
    this.receivedChains = [];
    /** A linking under way: no state. */
    this.linking = null;
  }

  copy() {
    const other = Object.assign(new Device(), this);
    other.prekeys = new Map([...this.prekeys].map(([id, prekey]) => [id, { ...prekey }]));
    other.seen = new Map(this.seen);
    other.users = new Map([...this.users].map(([id, known]) => [id, copyUser(known)]));
    other.records = new Map(this.records);
    other.sessions = this.sessions.map(copySession);
    other.ownChains = new Map([...this.ownChains].map(([id, chain]) => [id, { ...chain }]));
    other.receivedChains = this.receivedChains.map((chain) => ({ ...chain }));
    other.linking = this.linking && { ...this.linking };
    return other;
  }

  /** All sessions with one device. @returns {Session[]} */
  sessionsWith(userId, deviceId) {
    return this.sessions.filter((s) => s.userId === userId && s.deviceId === deviceId);
  }

  sessionOf(userId, deviceId, sessionId) {
    return this.sessionsWith(userId, deviceId).find((s) => hex(s.sessionId) === hex(sessionId));
  }
}

const copyUser = (known) => ({ ...known, lists: [...known.lists], replaced: [...known.replaced] });

/** @param {Session} s */
export const copySession = (s) => ({ ...s, chains: s.chains.map((c) => ({ ...c })), skipped: new Map(s.skipped) });
