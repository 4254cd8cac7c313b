// SPDX-License-Identifier: Apache-2.0
// Section 21: the operations of a transcript. An operation takes its inputs, its time and its random bytes from a line
// and gives back the line with the outputs and the state hash that it computed.
import { compare, equal, hex, unhex, utf8, zeros } from './bytes.js';
import { age } from './ageing.js';
import { openAttachment, sealAttachment } from './attachments.js';
import { openBackup, sealBackup, unwrap, wrap } from './backup.js';
import { Device } from './device.js';
import { listHash, makeList } from './device_list.js';
import { SUITE, makeRecord, parseRecord, recordHash } from './device_record.js';
import { pad } from './envelope.js';
import {
  changeGroup, checkFirst, groupIdOf, groupStateHash, makeEntry, parseChange, parseEntry, parseState, stateBytes,
} from './groups.js';
import { DEVICES_MAX } from './limits.js';
import { forget, keptList, learn } from './learning.js';
import { drawRegistrationId, linkCheck, linkFinish, linkGrant, linkOffer, linkReveal, linkStart } from './linking.js';
import { Refused, need, refusedAs } from './outcome.js';
import { makePrekeys } from './prekeys.js';
import { ed25519Public } from './primitives.js';
import { RandomTape } from './random.js';
import { encrypt } from './ratchet.js';
import { safetyNumber } from './safety.js';
import { distributionOf, encryptGroup, makeChain, receiveChain } from './sender_chains.js';
import { activate, activeSession, addBegun, archive } from './sessions.js';
import { begin } from './setup.js';
import { deviceOfRows, rowsOf, stateHash } from './state.js';
import { receiveGroup, receiveSlice } from './streams.js';

export const FORMAT = { format: 'chatsdk-e2ee', version: 1 };
const COMMON = ['op', 'device', 'now_ms', 'random', 'state', 'error'];

const bindingOf = (json) => (json.users ? { users: json.users } : { groupId: json.group_id });
const rosterOf = (line) => ({ number: BigInt(line.number ?? 0), hash: unhex(line.roster_hash ?? '00'.repeat(16)) });
const infoOf = (line) => (line.info_key ? { number: BigInt(line.info_number), key: unhex(line.info_key) } : null);
const itemOf = (line) => ({
  userId: line.user_id, deviceId: BigInt(line.device_id), listVersion: BigInt(line.list_version),
  message: unhex(line.message), kind: line.kind, clientMessageId: unhex(line.client_message_id),
  binding: bindingOf(line.binding), roster: rosterOf(line),
});
const bundleOf = (json) => ({
  record: unhex(json.device_record), signed: unhex(json.signed_prekey), kem: unhex(json.kem_prekey),
  oneTime: json.one_time_prekey ? unhex(json.one_time_prekey) : null,
});

function ownChain(device, line) {
  const chain = device.ownChains.get(line.group_id);
  need(chain, 'no sender chain in the group', 'no_session');
  return chain;
}

/** The successor of the own user's newest list, without `remove` and with `add`. */
function nextList(device, line, now) {
  const before = keptList(device, device.userId);
  const entries = new Map(before ? before.devices.map((entry) => [entry.deviceId, entry.hash]) : []);
  for (const id of line.remove ?? []) need(entries.delete(BigInt(id)), 'the device is not in the list');
  for (const record of (line.add ?? []).map(unhex)) {
    const { deviceId, userId } = parseRecord(record);
    need(userId === device.userId && !entries.has(deviceId), 'the device is in the list, or another user\'s');
    entries.set(deviceId, recordHash(record));
  }
  need(entries.size >= 1 && entries.size <= DEVICES_MAX, 'count of devices');
  return makeList(device.accountSeed, {
    userId: device.userId, version: before ? before.version + 1n : 1n, timeMs: now,
    previous: before ? listHash(before.bytes) : new Uint8Array(32),
    devices: [...entries].map(([deviceId, hash]) => ({ deviceId, hash }))
      .sort((a, b) => (a.deviceId < b.deviceId ? -1 : 1)),
  });
}

/**
 * Name, outputs, and what is done. Each gets a copy of the device, which it may change, the line, its random bytes and
 * its time; it gives back the outputs.
 * @type {Record<string, {out: string[], run: (d: Device, line: object, random: object, now: bigint) => object | void}>}
 */
export const OPS = {
  account: {
    out: ['account_key'],
    run(d, line, random) {
      d.accountSeed = random.take(32);
      return { account_key: hex(ed25519Public(d.accountSeed)) };
    },
  },
  device: {
    out: ['record'],
    run(d, line, random, now) {
      need(!line.name || d.accountSeed, 'a name is sealed under the account key');
      d.userId = line.user_id;
      d.deviceId = BigInt(line.device_id);
      d.registrationId = drawRegistrationId(random);
      d.dskSeed = random.take(32);
      d.dakSecret = random.take(32);
      const nameNonce = line.name ? random.take(24) : undefined;
      d.record = makeRecord({ ...d, suites: SUITE, createdMs: now, name: line.name ?? '', nameNonce });
      return { record: hex(d.record) };
    },
  },
  adopt: {
    out: ['account_key'],
    run(d, line) {
      d.accountSeed = unhex(line.account_seed);
      return { account_key: hex(ed25519Public(d.accountSeed)) };
    },
  },
  list: {
    out: ['list'],
    run(d, line, random, now) {
      need(d.accountSeed && d.record, 'no account key, or no device');
      return { list: hex(nextList(d, line, now)) };
    },
  },
  learn: {
    out: ['result', 'added', 'removed'],
    run(d, line, random, now) {
      const learned = refusedAs('untrusted', () =>
        learn(d, line.user_id, line.lists.map(unhex), line.records.map(unhex), now));
      return { result: learned.result, added: learned.added.map(String), removed: learned.removed.map(String) };
    },
  },
  verify: {
    out: [],
    run(d, line) {
      const known = d.users.get(line.user_id);
      need(known, 'nothing is kept of the user');
      known.verified = line.verified;
    },
  },
  prekeys: {
    out: ['prekeys'],
    run: (d, line, random, now) => ({
      prekeys: makePrekeys(d, line.signed, line.one_time, line.kem, random, now).map(hex),
    }),
  },
  begin: {
    out: ['session_id'],
    run(d, line, random, now) {
      const { session } = begin(d, line.user_id, BigInt(line.device_id), bundleOf(line.bundle), random, now);
      addBegun(d, session, now);
      return { session_id: hex(session.sessionId) };
    },
  },
  encrypt: {
    out: ['message'],
    run(d, line, random) {
      const active = activeSession(d, line.user_id, BigInt(line.device_id));
      need(active, 'no active session', 'no_session');
      const { session, message } = encrypt(active, pad(unhex(line.envelope)), random);
      d.sessions = d.sessions.map((s) => (s === active ? session : s));
      return { message: hex(message) };
    },
  },
  decrypt: {
    out: ['envelope'],
    run: (d, line, random, now) => ({ envelope: hex(receiveSlice(d, itemOf(line), now).bytes) }),
  },
  archive: {
    out: [],
    run(d, line, random, now) {
      const active = activeSession(d, line.user_id, BigInt(line.device_id));
      need(active, 'no active session', 'no_session');
      archive(d, active, now);
    },
  },
  activate: {
    out: [],
    run(d, line, random, now) {
      const session = d.sessionOf(line.user_id, BigInt(line.device_id), unhex(line.session_id));
      need(session, 'no session of that id', 'no_session');
      activate(d, session, now);
    },
  },
  forget: { out: [], run: (d, line) => forget(d, line.user_id) },
  age: { out: [], run: (d, line, random, now) => age(d, now) },
  chain: {
    out: [],
    run(d, line, random, now) {
      d.ownChains.set(line.group_id, makeChain(line.group_id, BigInt(line.roster_revision), random, now));
    },
  },
  distribute: {
    out: ['distribution'],
    run: (d, line) => ({ distribution: hex(distributionOf(d, ownChain(d, line), rosterOf(line), infoOf(line))) }),
  },
  chain_receive: {
    out: [],
    run: (d, line) => receiveChain(
      d, line.user_id, BigInt(line.device_id), line.group_id, rosterOf(line), unhex(line.distribution)),
  },
  group_encrypt: {
    out: ['message'],
    run(d, line, random, now) {
      const padded = pad(unhex(line.envelope));
      const { chain, message } = encryptGroup(d, ownChain(d, line), rosterOf(line), padded, random, now);
      d.ownChains.set(chain.groupId, chain);
      return { message: hex(message) };
    },
  },
  group_decrypt: {
    out: ['envelope'],
    run: (d, line) => ({ envelope: hex(receiveGroup(d, itemOf(line)).bytes) }),
  },
  group_create: {
    out: ['entry', 'state_after'],
    run(d, line, random, now) {
      need(d.record && d.accountSeed, 'no device yet');
      const origin = { creator: d.userId, accountKey: ed25519Public(d.accountSeed), salt: unhex(line.salt) };
      const members = line.members
        .map((m) => ({ userId: m.user_id, role: m.role, accountKey: unhex(m.account_key) }))
        .sort((a, b) => compare(utf8(a.userId), utf8(b.userId)));
      const bytes = stateBytes({
        groupId: groupIdOf(origin), number: 1n, origin, permissions: [...unhex(line.permissions)], infoNumber: 0n,
        infoHash: zeros(32), members, invitations: [],
      });
      const state = parseState(bytes);
      const entry = makeEntry(d.dskSeed, {
        groupId: state.groupId, number: 1n, previous: zeros(32), operation: 'create', change: {}, actor: d.userId,
        deviceId: d.deviceId, timeMs: now, stateHash: groupStateHash(bytes),
      });
      checkFirst(parseEntry(entry), state);
      return { entry: hex(entry), state_after: hex(bytes) };
    },
  },
  group_entry: {
    out: ['entry', 'state_after'],
    run(d, line, random, now) {
      const before = parseState(unhex(line.group_state));
      const { operation, change } = parseChange(line.operation, unhex(line.value));
      const after = changeGroup(before, d.userId, operation, change, now);
      const bytes = stateBytes(after);
      const entry = makeEntry(d.dskSeed, {
        groupId: after.groupId, number: after.number, previous: unhex(line.entry_hash), operation, change,
        actor: d.userId, deviceId: d.deviceId, timeMs: now, stateHash: groupStateHash(bytes),
      });
      return { entry: hex(entry), state_after: hex(bytes) };
    },
  },
  reload: {
    out: [],
    run(d) {
      const again = deviceOfRows(rowsOf(d));
      if (!equal(stateHash(again), stateHash(d))) throw new Error('the rows do not give the same state');
      // An account key without a device has no row, and a linking is no state: both stay as they are.
      if (!d.record) again.accountSeed = d.accountSeed;
      Object.assign(d, again, { linking: d.linking });
    },
  },
  safety: {
    out: ['digits', 'scannable'],
    run(d, line) {
      const known = d.users.get(line.user_id);
      need(known && d.accountSeed, 'nothing is kept of the user');
      return safetyNumber(
        { userId: d.userId, accountKey: ed25519Public(d.accountSeed) },
        { userId: line.user_id, accountKey: known.accountKey });
    },
  },
  link_start: {
    out: ['qr'],
    run(d, line, random, now) {
      const { linking, qr } = linkStart(line.user_id, BigInt(line.device_id), line.name ?? '', random, now);
      d.linking = linking;
      return { qr };
    },
  },
  link_offer: {
    out: ['offer'],
    run(d, line, random, now) {
      const { linking, offer } = linkOffer(d, line.qr, random, now);
      d.linking = linking;
      return { offer: hex(offer) };
    },
  },
  link_reveal: {
    out: ['reveal', 'code'],
    run(d, line, random) {
      const { linking, reveal, code } = linkReveal(d, unhex(line.offer), random);
      d.linking = linking;
      return { reveal: hex(reveal), code };
    },
  },
  link_check: {
    out: ['code', 'name'],
    run(d, line) {
      const { linking, code, name } = linkCheck(d, unhex(line.reveal));
      d.linking = linking;
      return { code, ...(name ? { name } : {}) };
    },
  },
  link_grant: {
    out: ['grant'],
    run(d, line, random) {
      const newest = keptList(d, d.userId);
      need(newest && d.accountSeed, 'no list to grant');
      return { grant: hex(linkGrant(d, newest.bytes, random)) };
    },
  },
  link_finish: {
    out: ['account_key', 'record'],
    run(d, line, random, now) {
      linkFinish(d, unhex(line.grant), (line.records ?? []).map(unhex), random, now);
      return { account_key: hex(ed25519Public(d.accountSeed)), record: hex(d.record) };
    },
  },
  attachment_seal: {
    out: ['ciphertext', 'attachment_key'],
    run(d, line, random) {
      const { ciphertext, attachmentKey } = sealAttachment(unhex(line.plain), random);
      return { ciphertext: hex(ciphertext), attachment_key: hex(attachmentKey) };
    },
  },
  attachment_open: {
    out: ['plain'],
    run: (d, line) => ({ plain: hex(openAttachment(unhex(line.ciphertext), unhex(line.attachment_key))) }),
  },
  backup_seal: {
    out: ['ciphertext', 'manifest'],
    run(d, line, random, now) {
      const { ciphertext, manifest } = sealBackup(
        d, unhex(line.recovery_key), line.frames.map(unhex), BigInt(line.sequence), unhex(line.previous), random, now);
      return { ciphertext: hex(ciphertext), manifest: hex(manifest) };
    },
  },
  backup_open: {
    out: ['frames'],
    run: (d, line) => ({
      frames: openBackup(d.userId, unhex(line.recovery_key), unhex(line.ciphertext), unhex(line.manifest)).map(hex),
    }),
  },
  wrap: {
    out: ['wrapped'],
    run: (d, line, random) => ({
      wrapped: hex(wrap(
        d.userId, unhex(line.recovery_key), utf8(line.passphrase), line.passes, line.memory_kib, random)),
    }),
  },
  unwrap: {
    out: ['recovery_key'],
    run: (d, line) => ({ recovery_key: hex(unwrap(d.userId, unhex(line.wrapped), utf8(line.passphrase))) }),
  },
};

/** The devices of one run. */
export class Run {
  constructor() {
    /** @type {Map<string, Device>} by the name in the transcript */
    this.devices = new Map();
  }

  /**
   * Does one line.
   * @param {object} line its outputs and its state are not looked at
   * @param [random] where random bytes come from: the line's own where none is given
   * @returns {object} the line as it must be
   */
  do(line, random = new RandomTape(unhex(line.random ?? ''))) {
    const op = OPS[line.op];
    if (!op) throw new TypeError(`no such op: ${line.op}`);
    const given = Object.entries(line).filter(([name]) => !COMMON.includes(name) && !op.out.includes(name));
    const device = this.devices.get(line.device) ?? new Device();
    const next = device.copy();
    let outputs;
    try {
      outputs = op.run(next, line, random, BigInt(line.now_ms)) ?? {};
      this.devices.set(line.device, next);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      outputs = { error: error.outcome };
      this.devices.set(line.device, device);
    }
    return {
      op: line.op, device: line.device, now_ms: line.now_ms, random: hex(random.used()), ...Object.fromEntries(given),
      ...outputs, state: hex(stateHash(this.devices.get(line.device))),
    };
  }

  /** The states of all devices, with which a run ends. */
  states() {
    return Object.fromEntries([...this.devices].map(([name, device]) => [name, hex(stateHash(device))]));
  }
}

/** What of a line is not as it must be. A line without a state tells inputs only, and nothing of it can differ. */
export function differences(line, wanted) {
  if (line.state === undefined) return [];
  const names = new Set([...Object.keys(line), ...Object.keys(wanted)]);
  return [...names].filter((name) => !sameJson(line[name] ?? '', wanted[name] ?? ''));
}

function sameJson(a, b) {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every((name) => sameJson(a[name], b[name]));
}

