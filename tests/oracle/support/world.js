// SPDX-License-Identifier: Apache-2.0
// Makes transcripts: users with several devices, a server that hands out prekeys, and a network that loses, repeats,
// reorders and damages. All of it follows from the seed.
import { EMPTY, concat, hex, u32, unhex, utf8 } from '../lib/bytes.js';
import { CONTENT, makeEnvelope } from '../lib/envelope.js';
import { listHash } from '../lib/device_list.js';
import { CHAIN_AGE_MAX } from '../lib/limits.js';
import { parsePrekey } from '../lib/prekeys.js';
import { SHA512 } from '../lib/primitives.js';
import { rosterHash } from '../lib/sender_chains.js';
import { activeSession } from '../lib/sessions.js';
import { directBinding } from '../lib/streams.js';
import { Run } from '../lib/transcript.js';

export const GROUP = 7n;
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
    this.roster = { roster_revision: '3', roster_hash: hex(rosterHash(GROUP, 3n, members)) };
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
  distribute(from, conversation = GROUP) {
    const ids = { conversation_id: String(conversation) };
    this.do('chain', from, { ...ids, roster_revision: this.roster.roster_revision });
    const { distribution } = this.do('distribute', from, ids);
    for (const to of this.peers.filter((peer) => peer !== from)) {
      this.do('chain_receive', to, { ...idsOf(from), distribution });
    }
  }

  /** A group message as an item; undefined where it cannot be encrypted. */
  writeGroup(from, conversation = GROUP) {
    const binding = { conversation_id: String(conversation) };
    const { id, envelope } = this.envelope({ conversationId: conversation });
    const { message } = this.do('group_encrypt', from, { ...binding, ...this.roster, envelope });
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
    else if (chance < 94) this.deliver();
    else if (chance < 96) this.do('reload', this.dice.oneOf(this.peers));
    else if (chance < 98) this.upload(this.dice.oneOf(this.peers), this.dice.below(2) === 0);
    else if (chance === 98) this.do('age', this.dice.oneOf(this.peers));
    else this.now += BigInt(this.dice.below(3)) * DAY;
  }
}
