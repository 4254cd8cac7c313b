// SPDX-License-Identifier: Apache-2.0
// Section 8: the Double Ratchet. Both functions take a session and give back the next one; the one they were given is
// as it was.
import { EMPTY, Reader, concat, equal, u16, u32, u8 } from './bytes.js';
import { copySession } from './device.js';
import { X25519, validKey } from './keys.js';
import { label } from './labels.js';
import { CHAINS_MAX, COUNT_MAX, PADDED_MAX, SKIPPED_SESSION_MAX } from './limits.js';
import { Refused, need } from './outcome.js';
import { HKDF, HM, halves, x25519, x25519Public } from './primitives.js';
import { seal, unseal } from './seal.js';

const rootStep = (root, dh) => halves(HKDF(root, dh, label('csdk1/dr/root'), 64));
const chainStep = (chainKey) => halves(HM(chainKey, label('csdk1/dr/chain')));
const messageKeys = (messageKey) => HM(messageKey, label('csdk1/msg'));

/**
 * @param {Uint8Array} padded
 * @param random ratchet secret 32 if there is no sending chain, then nonce 24
 * @returns {{session: object, message: Uint8Array}} 124 bytes more than padded, and the set-up prefix if there is one
 */
export function encrypt(session, padded, random) {
  need(padded.length <= PADDED_MAX, 'longer than padded_max');
  const s = copySession(session);
  if (!s.sendingKey) {
    s.ratchetSecret = random.take(32);
    s.ratchetPublic = x25519Public(s.ratchetSecret);
    [s.root, s.sendingKey] = rootStep(s.root, x25519(s.ratchetSecret, s.peerRatchetKey));
    s.sendCount = 0;
  }
  need(s.sendCount !== COUNT_MAX - 1, 'the session is used up');
  let messageKey;
  [s.sendingKey, messageKey] = chainStep(s.sendingKey);
  const header = concat(
    u8(1), u8(2), s.sessionId, s.ratchetPublic, u32(s.previousCount), u32(s.sendCount), u16(0));
  s.sendCount += 1;
  const before = concat(s.prefix ?? EMPTY, header);
  const sealed = seal(messageKeys(messageKey), random.take(24), padded, concat(s.ad, before));
  return { session: s, message: concat(before, sealed) };
}

/** Reads a pairwise message. `header` is all before the nonce, `sealed` the rest. */
export function parsePairwise(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of a pairwise message');
  r.fixed(2, 'type of a pairwise message');
  const m = { sessionId: r.take(8), ratchetKey: r.take(32), PN: r.u32(), N: r.u32() };
  need(r.u16() === 0, 'suite 1 has no post-quantum block');
  m.header = r.before();
  m.sealed = r.rest();
  need(m.PN < COUNT_MAX && m.N < COUNT_MAX, 'a count is too high');
  need(validKey(X25519, m.ratchetKey), 'the ratchet key is not valid');
  const ciphertextBytes = m.sealed.length - 56;
  need(ciphertextBytes >= 80 && ciphertextBytes <= PADDED_MAX + 16, 'length of the ciphertext');
  return m;
}

/**
 * @param {Uint8Array} prefix of a set-up message, or nothing
 * @param {Uint8Array} bytes the pairwise message
 * @param {number} jumpMax
 * @returns {{session: object, padded: Uint8Array}}
 */
export function open(session, prefix, bytes, jumpMax, now) {
  const m = parsePairwise(bytes);
  need(equal(m.sessionId, session.sessionId), 'a message of another session');
  const t = copySession(session);
  const chain = t.chains.find((c) => equal(c.ratchetKey, m.ratchetKey));
  const messageKey = chain ? keyOfChain(t, chain, m.N, jumpMax, now) : keyOfNewChain(t, m, jumpMax, now);
  const padded = unseal(messageKeys(messageKey), m.sealed, concat(t.ad, prefix, m.header));
  t.prefix = null;
  tidy(t);
  return { session: t, padded };
}

function keyOfChain(t, chain, N, jumpMax, now) {
  if (N < chain.next) {
    const name = `${chain.number}/${N}`;
    const skipped = t.skipped.get(name);
    if (!skipped) throw new Refused('duplicate', 'the key of that number was used or is gone');
    t.skipped.delete(name);
    return skipped.key;
  }
  need(N < chain.end, 'beyond the end of the chain');
  need(N - chain.next <= jumpMax, 'too far ahead');
  return advance(t, chain, N, now);
}

function keyOfNewChain(t, m, jumpMax, now) {
  need(t.ratchetSecret, 'a new ratchet key where none is awaited');
  const current = t.chains.find((c) => c.number === t.chainsBegun);
  if (current) {
    need(m.PN >= current.next && m.PN - current.next <= jumpMax, 'PN does not fit the current chain');
  } else {
    need(m.PN === 0, 'there was no chain before');
  }
  need(m.N <= jumpMax, 'too far ahead');
  const [root, chainKey] = rootStep(t.root, x25519(t.ratchetSecret, m.ratchetKey));
  if (current) Object.assign(current, { end: m.PN, supersededMs: now });
  t.root = root;
  t.chainsBegun += 1;
  const chain = {
    number: t.chainsBegun, ratchetKey: m.ratchetKey, chainKey, next: 0, end: COUNT_MAX, supersededMs: 0n,
  };
  t.chains.push(chain);
  t.previousCount = t.sendingKey ? t.sendCount : 0;
  t.sendCount = 0;
  Object.assign(t, { ratchetSecret: null, ratchetPublic: null, sendingKey: null, peerRatchetKey: m.ratchetKey });
  return advance(t, chain, m.N, now);
}

/** Steps the chain to N, keeping a skipped key for each number on the way. @returns {Uint8Array} the key of N, 32 */
function advance(t, chain, N, now) {
  let key;
  while (chain.next < N) {
    [chain.chainKey, key] = chainStep(chain.chainKey);
    t.skipped.set(`${chain.number}/${chain.next}`, { number: chain.number, n: chain.next, key, createdMs: now });
    chain.next += 1;
  }
  [chain.chainKey, key] = chainStep(chain.chainKey);
  chain.next += 1;
  return key;
}

function tidy(t) {
  const numbersSkipped = new Set([...t.skipped.values()].map((skipped) => skipped.number));
  t.chains = t.chains.filter((c) => c.number === t.chainsBegun || c.next < c.end || numbersSkipped.has(c.number));
  while (t.chains.length > CHAINS_MAX) dropChain(t, t.chains[0]);
  if (t.skipped.size > SKIPPED_SESSION_MAX) {
    const ascending = [...t.skipped.values()].sort((a, b) => a.number - b.number || a.n - b.n);
    for (const { number, n } of ascending.slice(0, t.skipped.size - SKIPPED_SESSION_MAX)) {
      t.skipped.delete(`${number}/${n}`);
    }
  }
}

/** Deletes a receiving chain and its skipped keys. */
export function dropChain(t, chain) {
  t.chains = t.chains.filter((c) => c !== chain);
  for (const [name, skipped] of t.skipped) if (skipped.number === chain.number) t.skipped.delete(name);
}
