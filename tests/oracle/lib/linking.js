// SPDX-License-Identifier: Apache-2.0
// Section 12: linking. N is the new device, O a listed one of the same user. Each step takes what the device has of the
// linking so far and gives back what goes on; a linking under way is no state of the device.
import { Reader, base64url, concat, equal, littleEndian, lp, u32, u64, u8, unbase64url, user, zeros } from './bytes.js';
import { parseList, verifyList } from './device_list.js';
import { SUITE, makeRecord, packName, parseRecord, unpackName } from './device_record.js';
import { ED25519, X25519, key, readValidKey, validKey } from './keys.js';
import { label } from './labels.js';
import { learn, listed } from './learning.js';
import { LINK_VALID } from './limits.js';
import { need } from './outcome.js';
import { H, HKDF, ed25519Public, x25519, x25519Public } from './primitives.js';
import { SEAL_BYTES, seal, unseal } from './seal.js';

const QR = 'csdk-link:';
const IDENTITY_BYTES = 139;

const identityOf = (keys, suites, name) => concat(
  u8(1), u32(keys.registrationId), key(ED25519, ed25519Public(keys.dskSeed)), key(X25519, x25519Public(keys.dakSecret)),
  u32(suites), packName(name));

function parseIdentity(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of an identity');
  const identity = { registrationId: r.u32(), dsk: readValidKey(r, ED25519), dak: readValidKey(r, X25519) };
  identity.suites = r.u32();
  identity.name = unpackName(r.take(64));
  r.end();
  need(identity.registrationId !== 0, 'a registration_id is not 0');
  need((identity.suites & 1) === 1, 'suite 1 is not spoken');
  return identity;
}

const commitmentOf = (linkId, userId, deviceId, EN, nonceN, identity) => H(
  label('csdk1/link/commit'), linkId, user(userId), u64(deviceId), EN, nonceN, lp(identity));

export function parseQr(text) {
  need(text.startsWith(QR), 'not a linking text');
  const body = unbase64url(text.slice(QR.length));
  const r = new Reader(body);
  r.fixed(1, 'version of a QR text');
  const qr = { body, linkId: r.take(16), userId: r.user(), deviceId: r.u64(), EN: r.take(32), commitment: r.take(32) };
  qr.expiresMs = r.u64();
  r.end();
  need(qr.deviceId !== 0n, 'a device_id is not 0');
  need(validKey(X25519, qr.EN), 'EN is not valid');
  return qr;
}

function parseOffer(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of an offer');
  r.fixed(1, 'type of an offer');
  const offer = { bytes, linkId: r.take(16), deviceId: r.u64(), EO: r.take(32), nonceO: r.take(32) };
  r.end();
  need(offer.deviceId !== 0n, 'a device_id is not 0');
  need(validKey(X25519, offer.EO), 'EO is not valid');
  return offer;
}

const earlyOf = (qrBody, offer) => H(label('csdk1/link/early'), lp(qrBody), lp(offer));
const revealKey = (dh, TE) => HKDF(zeros(64), dh, concat(label('csdk1/link/reveal'), TE), 64);
const grantKey = (dh, TL) => HKDF(zeros(64), dh, concat(label('csdk1/link/grant'), TL), 64);
const lateOf = (TE, nonceN, identity) => H(label('csdk1/link/transcript'), TE, nonceN, lp(identity));

/** Eight digits, shown as 4 and 4. */
function codeOf(TL) {
  const digits = String(littleEndian(H(label('csdk1/link/code'), TL).slice(0, 8)) % 100_000_000n).padStart(8, '0');
  return `${digits.slice(0, 4)} ${digits.slice(4)}`;
}

/** registration_id as it is drawn: again while it is 0. */
export function drawRegistrationId(random) {
  for (;;) {
    const drawn = new Reader(random.take(4)).u32();
    if (drawn !== 0) return drawn;
  }
}

/** N, step 1. @param random registration_id 4, DSK seed, DAK secret 32, link_id 16, EN secret, nonce_N 32 */
export function linkStart(userId, deviceId, name, random, now) {
  const keys = { registrationId: drawRegistrationId(random), dskSeed: random.take(32), dakSecret: random.take(32) };
  const linkId = random.take(16);
  const secret = random.take(32);
  const nonceN = random.take(32);
  const identity = identityOf(keys, SUITE, name);
  const EN = x25519Public(secret);
  const body = concat(
    u8(1), linkId, user(userId), u64(deviceId), EN, commitmentOf(linkId, userId, deviceId, EN, nonceN, identity),
    u64(now + LINK_VALID));
  const linking = { role: 'new', userId, deviceId, name, keys, linkId, secret, nonceN, identity, qrBody: body };
  return { linking, qr: QR + base64url(body) };
}

/** O, step 2. @param random EO secret, nonce_O 32 */
export function linkOffer(device, text, random, now) {
  const qr = parseQr(text);
  need(qr.userId === device.userId, 'another user\'s linking text');
  need(now < qr.expiresMs, 'the linking text has expired');
  need(!listed(device, device.userId, qr.deviceId), 'the device is listed already');
  const secret = random.take(32);
  const nonceO = random.take(32);
  const offer = concat(u8(1), u8(1), qr.linkId, u64(device.deviceId), x25519Public(secret), nonceO);
  const linking = { role: 'old', qr, dh: x25519(secret, qr.EN), TE: earlyOf(qr.body, offer) };
  return { linking, offer };
}

/** N, step 3. @param random nonce 24 */
export function linkReveal(device, bytes, random) {
  const own = device.linking;
  need(own && own.role === 'new' && !own.TE, 'no linking that waits for an offer');
  const offer = parseOffer(bytes);
  need(equal(offer.linkId, own.linkId), 'the offer of another linking');
  const known = device.users.has(own.userId);
  need(!known || listed(device, own.userId, offer.deviceId), 'the offering device is not listed');
  const dh = x25519(own.secret, offer.EO);
  const TE = earlyOf(own.qrBody, bytes);
  const TL = lateOf(TE, own.nonceN, own.identity);
  const before = concat(u8(1), u8(2), own.linkId, own.nonceN);
  const reveal = concat(before, seal(revealKey(dh, TE), random.take(24), own.identity, before));
  return { linking: { ...own, dh, TE, TL, offeredBy: offer.deviceId }, reveal, code: codeOf(TL) };
}

/** O, step 3. */
export function linkCheck(device, bytes) {
  const own = device.linking;
  need(own && own.role === 'old' && !own.TL, 'no linking that waits for a reveal');
  const r = new Reader(bytes);
  r.fixed(1, 'version of a reveal');
  r.fixed(2, 'type of a reveal');
  need(equal(r.take(16), own.qr.linkId), 'the reveal of another linking');
  const nonceN = r.take(32);
  const before = r.before();
  const sealed = r.take(IDENTITY_BYTES + SEAL_BYTES);
  r.end();
  const identity = unseal(revealKey(own.dh, own.TE), sealed, before);
  const { linkId, userId, deviceId, EN, commitment } = own.qr;
  const wanted = commitmentOf(linkId, userId, deviceId, EN, nonceN, identity);
  need(equal(wanted, commitment), 'the commitment is another\'s');
  const parsed = parseIdentity(identity);
  const TL = lateOf(own.TE, nonceN, identity);
  return { linking: { ...own, TL, identity: parsed }, code: codeOf(TL), name: parsed.name };
}

/** O, step 4, when the user has confirmed. @param {Uint8Array} newest list. @param random nonce 24 */
export function linkGrant(device, newest, random) {
  const own = device.linking;
  need(own && own.role === 'old' && own.TL, 'no linking that was checked');
  const before = concat(u8(1), u8(3), own.qr.linkId);
  const inside = concat(device.accountSeed, lp(newest));
  return concat(before, seal(grantKey(own.dh, own.TL), random.take(24), inside, before));
}

/**
 * N, step 5: the device becomes one with a record, and learns the list of the grant.
 * @param {Uint8Array[]} records that the list names, where they are not known yet
 * @param random nonce 24 if there is a name
 */
export function linkFinish(device, bytes, records, random, now) {
  const own = device.linking;
  need(own && own.role === 'new' && own.TL, 'no linking that waits for a grant');
  const r = new Reader(bytes);
  r.fixed(1, 'version of a grant');
  r.fixed(3, 'type of a grant');
  need(equal(r.take(16), own.linkId), 'the grant of another linking');
  const before = r.before();
  const inside = new Reader(unseal(grantKey(own.dh, own.TL), r.rest(), before));
  const accountSeed = inside.take(32);
  const list = parseList(inside.lp());
  inside.end();
  verifyList(list);
  need(list.userId === own.userId, 'the list of another user');
  need(equal(ed25519Public(accountSeed), list.accountKey), 'the seed of another account key');
  need(list.devices.some((entry) => entry.deviceId === own.offeredBy), 'the offering device is not in the list');
  learn(device, own.userId, [list.bytes], records, now);
  Object.assign(device, own.keys, { userId: own.userId, deviceId: own.deviceId, accountSeed, linking: null });
  device.record = makeRecord({
    ...own.keys, userId: own.userId, deviceId: own.deviceId, suites: SUITE, createdMs: now, name: own.name, accountSeed,
    nameNonce: own.name ? random.take(24) : undefined,
  });
}

/** O, step 6: whether the list that came names N with the confirmed keys. */
export function linkIsDone(linking, recordBytes) {
  const record = parseRecord(recordBytes);
  return record.deviceId === linking.qr.deviceId && record.registrationId === linking.identity.registrationId
    && equal(record.dsk, linking.identity.dsk) && equal(record.dak, linking.identity.dak);
}

