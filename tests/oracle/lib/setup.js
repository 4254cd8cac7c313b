// SPDX-License-Identifier: Apache-2.0
// Section 7: PQXDH. `begin` makes a session of a bundle, `accept` one of a set-up message.
import { EMPTY, Reader, concat, equal, filled, hex, lp, u32, u64, u8, zeros } from './bytes.js';
import { SUITE, highestSuite, parseRecord } from './device_record.js';
import { ML_KEM_768, X25519, key, validKey } from './keys.js';
import { label } from './labels.js';
import { holdsAccount, keptList, listed } from './learning.js';
import { LIST_VERSION_MAX, SEEN_MAX } from './limits.js';
import { need } from './outcome.js';
import { KEM, LAST_RESORT, ONE_TIME, SIGNED, checkBundle, prekeyBody } from './prekeys.js';
import { H, HKDF, halves, kemDecaps, kemEncaps, x25519, x25519Public } from './primitives.js';

/** What both sides compute. @returns {{T, root, ad: Uint8Array 32 each, sessionId: Uint8Array 8}} */
function derive(p) {
  const T = H(
    label('csdk1/pqxdh/transcript'), u8(SUITE), u64(p.listVersion), lp(p.initiatorRecord), lp(p.responderRecord),
    key(X25519, p.ek), lp(p.spkBody), lp(p.opkBody), lp(p.kpkBody), lp(p.ct),
  );
  const info = concat(label('csdk1/pqxdh/X25519+ML-KEM-768/SHA-512'), T);
  const [root, ad] = halves(HKDF(zeros(64), concat(filled(0xff, 32), ...p.dh, p.ss), info, 64));
  return { T, root, ad, sessionId: H(label('csdk1/sid'), T).slice(0, 8) };
}

const blankSession = (userId, deviceId, peerRecord, derived, now) => ({
  userId, deviceId, peerRecord, sessionId: derived.sessionId, suite: SUITE, role: 0, active: true,
  ad: derived.ad, root: derived.root, ratchetSecret: null, ratchetPublic: null, sendingKey: null,
  sendCount: 0, previousCount: 0, peerRatchetKey: null, chainsBegun: 0, createdMs: now, archivedMs: 0n,
  prefix: null, chains: [], skipped: new Map(),
});

/**
 * @param bundle as checkBundle takes it
 * @param random ek 32, m 32
 * @returns {{session: import('./device.js').Session, T: Uint8Array}} a session that is not yet the device's
 */
export function begin(device, userId, deviceId, bundle, random, now) {
  const { record, recordBytes, spk, kpk, opk } = checkBundle(device, userId, deviceId, bundle);
  const ownList = keptList(device, device.userId);
  const own = ownList && listed(device, device.userId, device.deviceId);
  need(own && equal(own.bytes, device.record), 'this device is not in its own user\'s newest list', 'untrusted');
  need(holdsAccount(device), 'its own user\'s lists are under another account key', 'untrusted');
  const ek = random.take(32);
  const m = random.take(32);
  const EK = x25519Public(ek);
  const dh = [
    x25519(device.dakSecret, spk.publicKey), x25519(ek, record.dak), x25519(ek, spk.publicKey),
    ...(opk ? [x25519(ek, opk.publicKey)] : []),
  ];
  const { ct, ss } = kemEncaps(kpk.publicKey, m);
  const derived = derive({
    listVersion: ownList.version, initiatorRecord: device.record, responderRecord: recordBytes, ek: EK,
    spkBody: spk.body, opkBody: opk ? opk.body : EMPTY, kpkBody: kpk.body, ct, dh, ss,
  });
  need(!device.sessionOf(userId, deviceId, derived.sessionId), 'a session has this session_id');
  const session = blankSession(userId, deviceId, listed(device, userId, deviceId).hash, derived, now);
  session.role = 1;
  session.peerRatchetKey = spk.publicKey;
  session.prefix = concat(
    u8(1), u8(1), u8(SUITE), lp(device.record), u64(ownList.version), EK, u32(spk.keyId), u32(opk ? opk.keyId : 0),
    u8(ML_KEM_768), u32(kpk.keyId), ct,
  );
  return { session, T: derived.T };
}

/** Reads a set-up message: its prefix, and the session_id of the pairwise message in it. */
export function parseSetup(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of a set-up message');
  r.fixed(1, 'type of a set-up message');
  const setup = { suite: r.u8(), record: r.lp(), listVersion: r.u64(), ek: r.take(32), spkId: r.u32(), opkId: r.u32() };
  need(setup.listVersion <= LIST_VERSION_MAX, 'list_version of a set-up message');
  setup.kemAlgorithm = r.u8();
  setup.kpkId = r.u32();
  setup.ct = r.take(1_088);
  setup.prefix = r.before();
  setup.inner = r.rest();
  const inner = new Reader(setup.inner);
  inner.fixed(1, 'version of a pairwise message');
  inner.fixed(2, 'type of a pairwise message');
  setup.sessionId = inner.take(8);
  return setup;
}

/**
 * `accept` up to the opening of the inner message, for a session_id that this device does not have with the sender.
 * @param {bigint} version of the sender's list that counts
 * @returns {{session: object, consumed: number[], seen: ?{keyId: number, ek: Uint8Array}}} to be kept when it opens
 */
export function accept(device, userId, deviceId, setup, version, now) {
  const wanted = listed(device, userId, deviceId, version);
  need(wanted && equal(setup.record, wanted.bytes), 'the record is not the listed one', 'untrusted');
  need(device.record, 'this device has no keys', 'no_session');
  const peer = parseRecord(setup.record);
  need(setup.suite === SUITE && highestSuite(peer, parseRecord(device.record)) === SUITE, 'not the highest suite');
  need(setup.kemAlgorithm === ML_KEM_768, 'another KEM');
  need(validKey(X25519, setup.ek), 'EK is not valid');
  const own = (keyId, ...kinds) => {
    const prekey = device.prekeys.get(keyId);
    need(prekey && kinds.includes(prekey.kind), 'the prekey is not kept', 'no_session');
    return prekey;
  };
  const spk = own(setup.spkId, SIGNED);
  const opk = setup.opkId === 0 ? null : own(setup.opkId, ONE_TIME);
  const kpk = own(setup.kpkId, KEM, LAST_RESORT);
  const lastResort = kpk.kind === LAST_RESORT;
  if (lastResort) {
    const noted = [...device.seen.values()].filter((note) => note.keyId === kpk.keyId);
    const repeated = noted.some((note) => equal(note.ek, setup.ek));
    need(!repeated && noted.length < SEEN_MAX, 'a set-up that was seen before', 'no_session');
  }
  const dh = [
    x25519(spk.secret, peer.dak), x25519(device.dakSecret, setup.ek), x25519(spk.secret, setup.ek),
    ...(opk ? [x25519(opk.secret, setup.ek)] : []),
  ];
  const derived = derive({
    listVersion: setup.listVersion, initiatorRecord: setup.record, responderRecord: device.record, ek: setup.ek,
    spkBody: prekeyBody(spk), opkBody: opk ? prekeyBody(opk) : EMPTY, kpkBody: prekeyBody(kpk), ct: setup.ct, dh,
    ss: kemDecaps(kpk.secret, setup.ct),
  });
  need(equal(derived.sessionId, setup.sessionId), 'another session_id than the transcript gives');
  const session = blankSession(userId, deviceId, wanted.hash, derived, now);
  session.role = 2;
  session.ratchetSecret = spk.secret;
  session.ratchetPublic = x25519Public(spk.secret);
  return {
    session,
    consumed: [...(opk ? [opk.keyId] : []), ...(lastResort ? [] : [kpk.keyId])],
    seen: lastResort ? { keyId: kpk.keyId, ek: setup.ek } : null,
  };
}

/** In the transaction of the message: the keys of `accept` are gone, or noted as seen. */
export function consume(device, accepted) {
  for (const keyId of accepted.consumed) device.prekeys.delete(keyId);
  if (accepted.seen) device.seen.set(`${accepted.seen.keyId}/${hex(accepted.seen.ek)}`, accepted.seen);
}
