// SPDX-License-Identifier: Apache-2.0
// A world with a worse network, and devices that mend what it broke. Of messages under way there are up to a hundred;
// they come in another order, twice, long after they were opened, damaged, or to whom they were not sent; set-ups
// cross; a device is read again from its rows after any operation; what does not open is asked for and repaired
// (section 11.2). At times somebody goes to a limit of section 4 and over it (limits.js).
//
// What must hold of it besides that two implementations agree stands in `wrong`: one line for each time that it did
// not.
import { concat, hex, u32, u64, unhex } from '../lib/bytes.js';
import { REPAIR, RETRY } from '../lib/envelope.js';
import { SKIPPED_KEPT, UNANSWERED_MAX } from '../lib/limits.js';
import { parsePairwise } from '../lib/ratchet.js';
import { Sent, asks, sessionOfRequest } from '../lib/retry.js';
import { parseSetup } from '../lib/setup.js';
import { DAY, Seeded, World, idsOf } from './world.js';
import { CHEAP, DEAR, LONG } from './limits.js';

const PHASE = 150;
const REMEMBERED = 300;
const FACTS = { isMember: true, isThere: true };

/** The session_id of a whole pairwise message. */
export function sessionIdOf(message) {
  const bytes = unhex(message);
  return bytes[1] === 1 ? parseSetup(bytes).sessionId : parsePairwise(bytes).sessionId;
}

export class Storm extends World {
  constructor(seed, emit) {
    super(seed, emit);
    this.reloads = new Seeded(`reloads ${seed}`);
    this.wrong = [];
    this.steps = 0;
    this.seq = 0n;
    /** Of what was delivered lately: it may come again. */
    this.remembered = [];
    /** Of each device, by its name: what it was sent and sent, for requests. */
    this.notes = new Map();
    /** By `requester asked`: the session_id that was begun for the last request. */
    this.begunForRequest = new Map();
    this.counts = { came: 0, opened: 0, asked: 0, answered: 0, repaired: 0, limits: 0 };
  }

  do(op, peer, inputs) {
    const done = super.do(op, peer, inputs);
    if (op !== 'reload' && this.reloads.below(4) === 0) super.do('reload', peer);
    return done;
  }

  tell(what) {
    this.wrong.push(`step ${this.steps}: ${what}`);
  }

  /** Puts a message under way. `about` is what a request or a repair is for. */
  post(from, to, item, about = {}) {
    this.seq += 1n;
    const sent = { op: 'decrypt', from, to, item, seq: this.seq, ...about };
    this.underWay.push(sent);
    return sent;
  }

  /** An active session to send in: one that had no answer for too long is archived, and a new one begun. */
  prepare(from, to) {
    const active = this.activeSession(from, to);
    if (active?.prefix && this.now - active.createdMs >= UNANSWERED_MAX) this.do('archive', from, idsOf(to));
    else if (active) return;
    this.begin(from, to);
  }

  /** A message that may be asked for: its sender remembers it. */
  postMessage(from, to) {
    const content = this.text();
    const item = this.write(from, to, 'MESSAGE', undefined, content);
    if (!item) return;
    const sent = this.post(from, to, item, { content });
    const notes = this.notesOf(from);
    notes.note('', unhex(item.client_message_id), [to], this.now);
    notes.accepted('', unhex(item.client_message_id), sent.seq);
  }

  notesOf(peer) {
    if (!this.notes.has(peer.name)) this.notes.set(peer.name, new Sent());
    return this.notes.get(peer.name);
  }

  send() {
    const { from, to } = this.pair();
    if (this.dice.below(40) === 0) this.begin(from, to);
    this.prepare(from, to);
    if (this.dice.below(12) === 0) this.lose(from, to, 1 + this.dice.below(60));
    this.postMessage(from, to);
  }

  lose(from, to, count) {
    for (let i = 0; i < count; i += 1) this.write(from, to);
  }

  /** Both begin, and write before they hear of each other. */
  cross() {
    const { from, to } = this.pair();
    this.begin(from, to);
    this.begin(to, from);
    for (let i = this.dice.below(3); i >= 0; i -= 1) {
      this.postMessage(from, to);
      this.postMessage(to, from);
    }
  }

  deliver() {
    if (this.underWay.length === 0) return;
    const at = this.dice.below(2) === 0 ? this.dice.below(this.underWay.length) : 0;
    const sent = this.underWay[at];
    const chance = this.dice.below(40);
    if (chance > 1) this.underWay.splice(at, 1);
    if (chance === 2 || chance === 3) return;
    if (chance === 4) this.arriveDamaged(sent);
    if (chance === 5 && sent.op === 'decrypt') this.misdirect(sent);
    if (chance === 6 && this.remembered.length > 0) this.arrive(this.dice.oneOf(this.remembered));
    if (chance === 7 || chance === 8) this.ask(sent, this.arriveDamaged(sent));
    else this.arrive(sent);
  }

  /** Gives the outcome back. */
  arriveDamaged({ op, to, item }) {
    const bytes = unhex(item.message);
    bytes[this.dice.below(bytes.length)] ^= 1 << this.dice.below(8);
    const done = this.do(op, to, { ...item, message: hex(bytes) });
    if (!done.error) this.tell(`a damaged message opened at ${to.name}`);
    return done.error;
  }

  /** A device forgets a user, and learns the user's list again: the sessions are gone at one end. */
  forget() {
    const { from, to } = this.pair();
    if (from.userId === to.userId) return;
    this.do('forget', from, { user_id: to.userId });
    this.do('learn', from, { user_id: to.userId, ...this.lists.get(to.userId) });
  }

  /** The same bytes at another device, from another device, in another conversation, or as another kind of item. */
  misdirect({ op, from, to, item }) {
    const other = this.dice.oneOf(this.peers.filter((peer) => peer !== to && peer !== from));
    const cases = [
      [other, item], [to, { ...item, ...idsOf(other) }], [to, { ...item, binding: { users: ['alice', 'zoe'] } }],
      [to, { ...item, kind: item.kind === 'RETRY' ? 'MESSAGE' : 'RETRY' }],
      [to, { ...item, client_message_id: 'ee'.repeat(16) }],
    ];
    const [where, changed] = this.dice.oneOf(cases);
    const done = this.do(op, where, changed);
    if (!done.error) this.tell(`a message for ${to.name} opened where it does not belong`);
  }

  /** The whole message comes to whom it was sent, for the first time or again. */
  arrive(sent) {
    const { op, to, item } = sent;
    const done = this.do(op, to, item);
    if (!sent.came) {
      this.remembered.push(sent);
      if (this.remembered.length > REMEMBERED) this.remembered.shift();
    }
    const first = !sent.came;
    sent.came = true;
    if (!done.error && sent.opened) this.tell(`a message to ${to.name} opened twice`);
    if (!done.error) sent.opened = true;
    if (op !== 'decrypt') return done;
    if (first && item.kind === 'MESSAGE') {
      this.counts.came += 1;
      if (!done.error) this.counts.opened += 1;
    }
    if (done.error) this.ask(sent, done.error);
    else if (first && sent.request) this.answer(sent);
    else if (first && sent.repairs && !sent.repairs.repaired) {
      sent.repairs.repaired = true;
      this.counts.repaired += 1;
    }
    return done;
  }

  /** Section 11.2: a message that did not open is asked for once, through a session that was begun for requests. */
  ask(sent, outcome) {
    const { from, to, item } = sent;
    if (sent.opened || !sent.content || !asks(item.kind, outcome, true, sent.asked)) return;
    sent.asked = true;
    this.counts.asked += 1;
    const name = `${to.name} ${from.name}`;
    const device = this.run.devices.get(to.name);
    const begun = this.begunForRequest.get(name);
    if (!sessionOfRequest(device, from.userId, from.deviceId, begun, this.now)) {
      this.begunForRequest.set(name, unhex(this.begin(to, from).session_id));
    }
    const failed = hex(sessionIdOf(item.message));
    const body = concat(u64(sent.seq), unhex(item.client_message_id), unhex(failed));
    const request = this.write(to, from, 'RETRY', RETRY, body);
    if (request) this.post(to, from, request, { request: sent, failed });
  }

  answer({ from, to, item, request, failed }) {
    const wanted = { targetSeq: request.seq, targetId: unhex(request.item.client_message_id) };
    const device = this.run.devices.get(to.name);
    if (!this.notesOf(to).answers(device, '', wanted, from, FACTS, this.now)) return;
    this.counts.answered += 1;
    const cameBy = hex(sessionIdOf(item.message));
    const active = this.activeSession(to, from);
    if (active && hex(active.sessionId) === failed && failed !== cameBy) {
      this.do('activate', to, { ...idsOf(from), session_id: cameBy });
    }
    this.prepare(to, from);
    const body = concat(
      u64(request.seq), unhex(request.item.client_message_id), u32(request.content.length), request.content);
    const repair = this.write(to, from, 'REPAIR', REPAIR, body);
    if (repair) this.post(to, from, repair, { repairs: request });
  }

  step() {
    this.now += BigInt(this.dice.below(60_000));
    this.steps += 1;
    this.goToSome();
    const filling = Math.floor(this.steps / PHASE) % 2 === 0;
    const chance = this.dice.below(1_000);
    if (chance < 20) this.upload(this.dice.oneOf(this.peers), this.dice.below(2) === 0);
    else if (chance < 30) this.do('age', this.dice.oneOf(this.peers));
    else if (chance < 40) this.now += BigInt(this.dice.below(3)) * DAY;
    else if (chance < 60) this.cross();
    else if (chance < 63) this.forget();
    else if (chance < 120) this.sendGroup();
    else if (chance < 150) this.changeGroup();
    else if (this.dice.below(100) < (filling ? 65 : 15)) this.send();
    else this.deliver();
  }

  // ---- Limits ------------------------------------------------------------------------------------------------------

  /** Goes to one limit, with two devices between which nothing else is under way. */
  goTo(limit) {
    let { from, to } = this.pair();
    while (!limit.suits(from, to)) ({ from, to } = this.pair());
    this.counts.limits += 1;
    if (this.dice.below(2) === 0) this.deliverAll();
    this.quiet(from, to);
    limit.run(this, from, to);
  }

  /** To all of them; before each one so much time passes that no skipped keys are left. */
  goToAll(limits) {
    for (const limit of limits) {
      this.now += SKIPPED_KEPT;
      for (const peer of this.peers) this.do('age', peer);
      this.goTo(limit);
    }
  }

  /** What is gone to along the way: at first what takes tens of messages, later what takes thousands. */
  goToSome() {
    if (this.steps === 50) this.goToAll(CHEAP);
    if (this.steps % 500 === 0) this.goTo(this.dice.oneOf(CHEAP));
    if (this.steps % 20_000 === 10_000) this.goToAll(DEAR);
    if (this.steps === 50_000) this.goToAll(LONG);
  }

  /** What is under way between the two is lost, and they have a session in which both have spoken. */
  quiet(from, to) {
    this.underWay = this.underWay.filter((sent) => ![from, to].includes(sent.from) || ![from, to].includes(sent.to));
    this.begin(from, to);
    this.prepare(to, from);
    // Twice: a set-up of the other device that had no answer yet may win.
    for (let i = 0; i < 2; i += 1) {
      this.expect(to, this.write(from, to), 'ok');
      this.expect(from, this.write(to, from), 'ok');
    }
  }

  expect(to, item, outcome, op = 'decrypt') {
    const is = item ? this.do(op, to, item).error ?? 'ok' : 'not written';
    if (is !== outcome) this.tell(`at a limit, ${op} at ${to.name} is ${is}, not ${outcome}: ${new Error().stack}`);
  }

  // ---- The end -----------------------------------------------------------------------------------------------------

  /** Everything that is under way comes, in order; then any two devices must understand each other again. */
  settle() {
    this.deliverAll();
    for (const a of this.peers) for (const b of this.peers.filter((peer) => peer.name > a.name)) this.meet(a, b);
  }

  /** Whether all of it opened. */
  deliverAll() {
    let whole = true;
    while (this.underWay.length > 0) whole = !this.arrive(this.underWay.shift()).error && whole;
    return whole;
  }

  meet(a, b) {
    const say = (from, to) => {
      this.prepare(from, to);
      this.postMessage(from, to);
      return this.deliverAll();
    };
    for (let i = 0; i < 3; i += 1) {
      say(a, b);
      say(b, a);
    }
    if (!say(a, b) || !say(b, a)) this.tell(`${a.name} and ${b.name} do not understand each other at the end`);
    const [one, other] = [this.activeSession(a, b), this.activeSession(b, a)];
    if (!one || !other || hex(one.sessionId) !== hex(other.sessionId)) {
      this.tell(`${a.name} and ${b.name} do not send in the same session at the end`);
    }
  }
}
