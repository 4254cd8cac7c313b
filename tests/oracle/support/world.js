// SPDX-License-Identifier: Apache-2.0
// Makes transcripts: users with several devices, a server that hands out prekeys, and a network that loses, repeats,
// reorders and damages. All of it follows from the seed.
import { EMPTY, concat, hex, u32, u64, unhex, user, utf8 } from '../lib/bytes.js';
import { CONTENT, makeEnvelope } from '../lib/envelope.js';
import { listHash } from '../lib/device_list.js';
import { OPERATIONS, UNLIMITED, entryHash } from '../lib/groups.js';
import { CHAIN_AGE_MAX } from '../lib/limits.js';
import { parsePrekey } from '../lib/prekeys.js';
import { SHA512, ed25519Public } from '../lib/primitives.js';
import { rosterHash } from '../lib/sender_chains.js';
import { activeSession } from '../lib/sessions.js';
import { directBinding } from '../lib/streams.js';
import { Run } from '../lib/transcript.js';

export const GROUP = '07'.repeat(16);
export const OTHER_GROUP = '08'.repeat(16);
export const DAY = 86_400_000n;

export const idsOf = (peer) => ({ user_id: peer.userId, device_id: String(peer.deviceId) });

/** Devices of one user write in that user's conversation with bob, or with alice. */
export function bindingOf(from, to) {
  const other = from.userId === 'bob' ? 'alice' : 'bob';
  return directBinding(from.userId, from.userId === to.userId ? other : to.userId);
}

/** Bytes that follow from a seed: SHA-512 of seed and a counter. */
export class Seeded {
  constructor(seed) {
    this.seed = utf8(seed);
    this.count = 0;
    this.left = EMPTY;
  }

  take(n) {
    while (this.left.length < n) {
      this.left = concat(this.left, SHA512(concat(this.seed, u32(this.count))));
      this.count += 1;
    }
    const out = this.left.slice(0, n);
    this.left = this.left.slice(n);
    return out;
  }

  below(n) {
    return new DataView(this.take(4).buffer).getUint32(0, true) % n;
  }

  oneOf(values) {
    return values[this.below(values.length)];
  }
}

/** A source that notes what an operation drew. */
class Noted {
  constructor(source) {
    this.source = source;
    this.bytes = EMPTY;
  }

  take(n) {
    const out = this.source.take(n);
    this.bytes = concat(this.bytes, out);
    return out;
  }

  used() {
    return this.bytes;
  }
}

const NAMES = [['alice', 1n], ['alice', 2n], ['bob', 3n], ['bob', 4n], ['carol', 5n]];

export class World {
  /** @param {string} seed. @param {(line: object) => void} emit takes each line of the transcript */
  constructor(seed, emit) {
    this.dice = new Seeded(`dice ${seed}`);
    this.random = new Seeded(`random ${seed}`);
    this.emit = emit;
    this.run = new Run();
    this.now = 1_800_000_000_000n;
    this.peers = NAMES.map(([userId, deviceId]) => ({ name: `${userId}-${deviceId}`, userId, deviceId, stock: [] }));
    this.underWay = [];
    this.sent = 0;
    this.outcomes = {};
    /** By user_id what `learn` takes. @type {Map<string, {lists: string[], records: string[]}>} */
    this.lists = new Map();
    /** Lines of pairwise messages that came whole, for the first time, and did not open. */
    this.lost = [];
  }

  do(op, peer, inputs = {}) {
    const line = { op, device: peer.name, now_ms: String(this.now), ...inputs };
    const done = this.run.do(line, new Noted(this.random));
    this.outcomes[`${op} ${done.error ?? 'ok'}`] = (this.outcomes[`${op} ${done.error ?? 'ok'}`] ?? 0) + 1;
    this.emit(done);
    return done;
  }

  /** Account keys, records, one list of each user that everybody learns, and prekeys. */
  start() {
    for (const userId of new Set(this.peers.map((peer) => peer.userId))) {
      const own = this.peers.filter((peer) => peer.userId === userId);
      this.do('account', own[0]);
      const seed = hex(this.run.devices.get(own[0].name).accountSeed);
      for (const peer of own.slice(1)) this.do('adopt', peer, { account_seed: seed });
      const ids = (peer) => ({ user_id: userId, device_id: String(peer.deviceId), name: `device ${peer.deviceId}` });
      const records = own.map((peer) => this.do('device', peer, ids(peer)).record);
      own.forEach((peer, i) => Object.assign(peer, { record: records[i] }));
      const { list } = this.do('list', own[0], { add: records, remove: [] });
      this.lists.set(userId, { lists: [list], records });
    }
    for (const peer of this.peers) {
      for (const [userId, known] of this.lists) this.do('learn', peer, { user_id: userId, ...known });
      this.upload(peer, true);
    }
    const members = [...this.lists].map(([userId, known]) => (
      { userId, listVersion: 1n, listHash: listHash(unhex(known.lists[0])) }));
    this.roster = { number: '2', roster_hash: hex(rosterHash(GROUP, 2n, unhex('5c'.repeat(32)), members)) };
  }

  upload(peer, signed) {
    const { prekeys } = this.do('prekeys', peer, { signed, one_time: 3, kem: 3 });
    for (const bytes of prekeys) {
      const { kind } = parsePrekey(unhex(bytes), [1, 2, 3, 4]);
      if (kind === 1 || kind === 4) peer.stock = peer.stock.filter((other) => other.kind !== kind);
      peer.stock.push({ kind, bytes });
    }
  }

  /** What the server gives out of a device: one-time keys once. */
  bundle(peer) {
    const newest = (kind) => peer.stock.find((prekey) => prekey.kind === kind)?.bytes;
    const once = (kind) => {
      const at = peer.stock.findIndex((prekey) => prekey.kind === kind);
      return at < 0 ? undefined : peer.stock.splice(at, 1)[0].bytes;
    };
    const oneTime = once(2);
    const bundle = { device_id: String(peer.deviceId), device_record: peer.record, signed_prekey: newest(1) };
    bundle.kem_prekey = once(3) ?? newest(4);
    return oneTime ? { ...bundle, one_time_prekey: oneTime } : bundle;
  }

  text() {
    const text = utf8(`${this.sent}`.repeat(1 + this.dice.below(20)));
    const inner = concat(Uint8Array.of(0x0a, text.length), text);
    return concat(Uint8Array.of(0x0a, inner.length), inner);
  }

  envelope(binding, bodyType = CONTENT, body = undefined) {
    this.sent += 1;
    const id = concat(u32(this.sent), new Uint8Array(12));
    const bytes = makeEnvelope({
      bodyType, clientMessageId: id, binding, senderTimeMs: this.now, expiresAfterS: 0, body: body ?? this.text(),
    });
    return { id: hex(id), envelope: hex(bytes) };
  }

  pair() {
    const from = this.dice.oneOf(this.peers);
    return { from, to: this.dice.oneOf(this.peers.filter((peer) => peer !== from)) };
  }

  activeSession(from, to) {
    return activeSession(this.run.devices.get(from.name), to.userId, to.deviceId);
  }

  begin(from, to, bundle = this.bundle(to)) {
    return this.do('begin', from, { ...idsOf(to), bundle });
  }

  /** A new envelope, encrypted for a device, as an item; undefined where there is no session. */
  write(from, to, kind = 'MESSAGE', bodyType = CONTENT, body = undefined) {
    const binding = bindingOf(from, to);
    const { id, envelope } = this.envelope(binding, bodyType, body);
    const { message } = this.do('encrypt', from, { ...idsOf(to), envelope });
    if (!message) return undefined;
    return { ...idsOf(from), list_version: '1', message, kind, client_message_id: id, binding };
  }

  /** One message from a device to another, with a set-up where there is no active session, or without a reason. */
  send() {
    const { from, to } = this.pair();
    if (!this.activeSession(from, to) || this.dice.below(40) === 0) this.begin(from, to);
    const lost = this.dice.below(12) === 0 ? 1 + this.dice.below(30) : 0;
    for (let i = 0; i < lost; i += 1) this.write(from, to);
    const item = this.write(from, to);
    if (item) this.underWay.push({ op: 'decrypt', from, to, item });
  }

  /** A new own chain, which all others get. */
  distribute(from, group = GROUP) {
    const ids = { group_id: group };
    this.do('chain', from, { ...ids, roster_revision: '3' });
    const info = this.dice.below(2) === 0 ? {} : { info_number: '1', info_key: '5d'.repeat(32) };
    const { distribution } = this.do('distribute', from, { ...ids, ...this.roster, ...info });
    for (const to of this.peers.filter((peer) => peer !== from)) {
      this.do('chain_receive', to, { ...idsOf(from), ...ids, ...this.roster, distribution });
    }
  }

  /** A group message as an item; undefined where it cannot be encrypted. */
  writeGroup(from, group = GROUP) {
    const binding = { group_id: group };
    const { id, envelope } = this.envelope({ groupId: group });
    const { message } = this.do('group_encrypt', from, { ...binding, roster_revision: '3', ...this.roster, envelope });
    if (!message) return undefined;
    return {
      ...idsOf(from), list_version: '1', message, kind: 'MESSAGE', client_message_id: id, binding, ...this.roster,
    };
  }

  /** A message of the group, with a new chain where there is none, or without a reason. */
  sendGroup() {
    const from = this.dice.oneOf(this.peers);
    const chain = this.run.devices.get(from.name).ownChains.get(GROUP);
    if (!chain || this.now - chain.createdMs >= CHAIN_AGE_MAX || this.dice.below(10) === 0) this.distribute(from);
    const item = this.writeGroup(from);
    const to = this.dice.oneOf(this.peers.filter((peer) => peer !== from));
    if (item) this.underWay.push({ op: 'group_decrypt', from, to, item });
  }

  /** A value of an operation, that says something about the members, mostly. */
  changeOf(operation) {
    const { dice } = this;
    const someone = () => user(dice.oneOf(['alice', 'bob', 'carol', 'dan', 'zoe']));
    const role = () => Uint8Array.of(1 + dice.below(3));
    const key = () => concat(Uint8Array.of(1), ed25519Public(new Uint8Array(32).fill(dice.below(6) === 0 ? 7 : 8)));
    const invitation = () => new Uint8Array(16).fill(48 + dice.below(4));
    const value = () => {
      switch (OPERATIONS[operation - 1]) {
        case 'add': {
          const source = dice.below(4) === 0 ? dice.below(3) : 0;
          return concat(
            Uint8Array.of(source), ...(source === 1 ? [invitation()] : []),
            ...(source === 0 ? [] : [new Uint8Array(32).fill(114)]), Uint8Array.of(1), someone(),
            source === 0 ? role() : Uint8Array.of(1), key());
        }
        case 'remove': case 'owner': return someone();
        case 'role': return concat(someone(), role());
        case 'info': return new Uint8Array(32).fill(dice.below(3) === 0 ? 0 : 105);
        case 'permissions': return Uint8Array.from(
          { length: 8 }, (_, i) => (i === 4 || i >= 6 ? 2 + dice.below(2) : 1 + dice.below(3)));
        case 'invite': return concat(
          invitation(), u64(BigInt(dice.below(2)) * (this.now + BigInt(dice.below(86_400_000)))),
          u32(dice.below(3) === 0 ? UNLIMITED : 2));
        case 'revoke': return invitation();
        default: return new Uint8Array(0);
      }
    };
    return concat(value(), new Uint8Array(dice.below(40) === 0 ? 1 : 0));
  }

  /** Somebody changes the members' group, or tries to. */
  changeGroup() {
    if (!this.group || this.dice.below(60) === 0) {
      const members = [['alice', 3], ['bob', 1]].map(([userId, role]) => {
        const { name } = this.peers.find((peer) => peer.userId === userId);
        return { user_id: userId, role, account_key: hex(ed25519Public(this.run.devices.get(name).accountSeed)) };
      });
      this.group = this.do('group_create', this.peers.find((peer) => peer.userId === 'alice'), {
        salt: '73'.repeat(16), permissions: '0101010102010202', members,
      });
    }
    const operation = this.dice.below(12);
    const actors = this.dice.below(3) === 0 ? this.peers : this.peers.filter((peer) => peer.userId === 'alice');
    const done = this.do('group_entry', this.dice.oneOf(actors), {
      group_state: this.group.state_after, entry_hash: hex(entryHash(unhex(this.group.entry))), operation,
      value: hex(this.changeOf(operation)),
    });
    if (done.entry) this.group = done;
  }

  /** Something under way arrives: mostly the oldest, at times another, twice, damaged or never. */
  deliver() {
    if (this.underWay.length === 0) return;
    const at = this.dice.below(3) === 0 ? this.dice.below(this.underWay.length) : 0;
    const sent = this.underWay[at];
    const { op, to, item } = sent;
    const chance = this.dice.below(20);
    if (chance !== 0) this.underWay.splice(at, 1);
    if (chance === 1) return;
    if (chance === 2) {
      const bytes = unhex(item.message);
      bytes[this.dice.below(bytes.length)] ^= 1 << this.dice.below(8);
      this.do(op, to, { ...item, message: hex(bytes) });
    }
    const done = this.do(op, to, item);
    if (op === 'decrypt' && done.error && !sent.came) this.lost.push(done);
    sent.came = true;
  }

  step() {
    this.now += BigInt(this.dice.below(60_000));
    const chance = this.dice.below(100);
    if (chance < 35) this.send();
    else if (chance < 40) this.sendGroup();
    else if (chance < 46) this.changeGroup();
    else if (chance < 94) this.deliver();
    else if (chance < 96) this.do('reload', this.dice.oneOf(this.peers));
    else if (chance < 98) this.upload(this.dice.oneOf(this.peers), this.dice.below(2) === 0);
    else if (chance === 98) this.do('age', this.dice.oneOf(this.peers));
    else this.now += BigInt(this.dice.below(3)) * DAY;
  }
}
