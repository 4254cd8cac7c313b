// SPDX-License-Identifier: Apache-2.0
// Sections 14.6 and 14.7: invitations, requests to join, and the sealed info of a group.
import { Reader, allZero, base64url, concat, equal, lp, u64, u8, unbase64url, unhex, user, zeros } from './bytes.js';
import { pad, paddedLength, readGroupId } from './envelope.js';
import { ED25519, key, readValidKey } from './keys.js';
import { label } from './labels.js';
import { GROUP_INFO_MAX, LINK_VALID, REQUEST_VALID } from './limits.js';
import { need, refusedAs } from './outcome.js';
import { H, HKDF, HM, sign, verify } from './primitives.js';
import { seal, unseal } from './seal.js';

const LINK = 'csdk-group:';

export const invitationSecret = (accountSeed, groupId, invitationId) => HKDF(
  zeros(64), accountSeed, concat(label('csdk1/grp/invitation'), unhex(groupId), invitationId), 32);

/** @param {object} l groupId, invitationId 16, inviter, accountKey 32, secret 32 */
export const linkText = (l) => LINK + base64url(concat(
  u8(1), unhex(l.groupId), l.invitationId, user(l.inviter), key(ED25519, l.accountKey), l.secret));

export function parseLink(text) {
  need(text.startsWith(LINK), 'not an invitation');
  const r = new Reader(unbase64url(text.slice(LINK.length)));
  r.fixed(1, 'version of a link');
  const link = { groupId: readGroupId(r), invitationId: r.take(16), inviter: r.user() };
  link.accountKey = readValidKey(r, ED25519);
  link.secret = r.take(32);
  r.end();
  need(!allZero(link.invitationId), 'an invitation_id is not zeros');
  return link;
}

const macOf = (secret, before) => HM(secret, label('csdk1/grp/request'), before).slice(0, 32);

/** @param {object} q groupId, invitationId 16, userId, accountKey 32, deviceId, timeMs. @param secret 32, or null */
export function makeRequest(dskSeed, q, secret) {
  const before = concat(
    u8(1), u8(5), unhex(q.groupId), q.invitationId, user(q.userId), key(ED25519, q.accountKey), u64(q.deviceId),
    u64(q.timeMs));
  const body = concat(before, secret ? macOf(secret, before) : zeros(32));
  return concat(body, sign(dskSeed, 'csdk1/sig/group-request', body));
}

export function parseRequest(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of a request');
  r.fixed(5, 'type of a request');
  const request = { groupId: readGroupId(r), invitationId: r.take(16), userId: r.user() };
  request.accountKey = readValidKey(r, ED25519);
  request.deviceId = r.u64();
  request.timeMs = r.u64();
  request.before = r.before();
  request.mac = r.take(32);
  request.signed = r.before();
  request.signature = r.take(64);
  r.end();
  need(request.deviceId !== 0n, 'a device_id is not 0');
  need(!allZero(request.invitationId) || allZero(request.mac), 'a MAC without a link');
  return request;
}

export const requestHash = (bytes) => H(label('csdk1/hash/group-request'), bytes);

/**
 * The change that admits who asks.
 * @param {object} a state, ownUser, accountSeed, requester {userId, accountKey, devices}, used (hashes), now
 */
export function admit(bytes, a) {
  return refusedAs('untrusted', () => {
    const q = parseRequest(bytes);
    const hash = requestHash(bytes);
    need(q.groupId === a.state.groupId, 'another group');
    need(!a.used.some((used) => equal(used, hash)), 'it was admitted before');
    need(q.timeMs <= a.now ? a.now - q.timeMs <= REQUEST_VALID : q.timeMs - a.now <= LINK_VALID, 'not in its time');
    need(a.requester.userId === q.userId && equal(a.requester.accountKey, q.accountKey), 'another identity');
    const dsk = a.requester.devices.get(q.deviceId);
    need(dsk && verify(dsk, 'csdk1/sig/group-request', q.signed, q.signature), 'signature of a request');
    const people = [{ userId: q.userId, role: 1, accountKey: q.accountKey }];
    if (allZero(q.invitationId)) return { source: 2, requestHash: hash, people };
    const invitation = a.state.invitations.find((other) => equal(other.id, q.invitationId));
    need(invitation && invitation.inviter === a.ownUser, 'no invitation of the own user');
    need(invitation.expiresMs === 0n || invitation.expiresMs > a.now, 'the invitation has expired');
    need(!a.state.members.some((member) => member.userId === q.userId), 'a member');
    need(equal(q.mac, macOf(invitationSecret(a.accountSeed, q.groupId, q.invitationId), q.before)), 'another secret');
    return { source: 1, invitation: q.invitationId, requestHash: hash, people };
  });
}

const infoKeys = (infoKey, groupId) => HKDF(zeros(64), infoKey, concat(label('csdk1/grp/info'), unhex(groupId)), 64);

export function sealInfo(info, infoKey, nonce, groupId) {
  need(info.length <= GROUP_INFO_MAX, 'an info above its limit');
  return seal(infoKeys(infoKey, groupId), nonce, pad(lp(info)), unhex(groupId));
}

export function openInfo(sealed, infoKey, groupId) {
  const r = new Reader(unseal(infoKeys(infoKey, groupId), sealed, unhex(groupId)));
  const info = r.lp();
  need(info.length <= GROUP_INFO_MAX, 'an info above its limit');
  need(r.bytes.length === paddedLength(r.at) && allZero(r.rest()), 'padding is zeros');
  return info;
}

export const infoHash = (sealed) => H(label('csdk1/hash/group-info'), sealed);
