// SPDX-License-Identifier: Apache-2.0
// Sections 14.1 to 14.3, 14.6 and 14.7: states, entries, who may what, who comes, invitations and infos.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, filled, hex, zeros } from '../lib/bytes.js';
import {
  ADMIN, MEMBER, OWNER, RIGHTS, UNLIMITED, changeGroup, entryHash, groupIdOf, groupStateHash, join, judge, makeEntry,
  parseEntry, parseState, stateBytes,
} from '../lib/groups.js';
import {
  admit, invitationSecret, linkText, makeRequest, openInfo, parseLink, parseRequest, requestHash, sealInfo,
} from '../lib/invitations.js';
import { INVITATIONS_MAX, LINK_VALID, REQUEST_VALID } from '../lib/limits.js';
import { ed25519Public } from '../lib/primitives.js';
import { TIME, outcome } from '../support/fixture.js';

const bad = outcome('bad_message');
const untrusted = outcome('untrusted');

/** Account key seed and DSK seed of somebody, from one byte. */
const PEOPLE = { alice: 0x11, ann: 0x41, bob: 0x21, carol: 0x51, dan: 0x61, erin: 0x71 };
const DEVICES = { alice: 1n, ann: 5n, bob: 2n, carol: 3n, dan: 4n, erin: 6n };
const accountSeed = (userId) => filled(PEOPLE[userId], 32);
const dskSeed = (userId) => filled(PEOPLE[userId] + 1, 32);
const member = (userId, role = MEMBER, seed = accountSeed(userId)) => (
  { userId, role, accountKey: ed25519Public(seed) });
const OTHER = filled(0x99, 32);
const roster = () => new Map(Object.keys(PEOPLE).map((userId) => [userId, {
  accountKey: ed25519Public(accountSeed(userId)),
  devices: new Map([[DEVICES[userId], ed25519Public(dskSeed(userId))]]),
}]));

const ORIGIN = { creator: 'alice', accountKey: ed25519Public(accountSeed('alice')), salt: filled(0x80, 16) };
const TABLE = [1, 1, 2, 2, 2, 2, 3, 3];

function entryOf(state, previous, operation, change, actor, changes = {}) {
  return makeEntry(changes.seed ?? dskSeed(actor), {
    groupId: state.groupId, number: state.number, previous, operation, change, actor, deviceId: DEVICES[actor],
    timeMs: TIME, stateHash: groupStateHash(stateBytes(state)), ...changes,
  });
}

function created(permissions = TABLE) {
  const state = {
    groupId: groupIdOf(ORIGIN), number: 1n, origin: ORIGIN, permissions, infoNumber: 0n, infoHash: zeros(32),
    members: [member('alice', OWNER), member('ann', ADMIN), member('bob'), member('carol')], invitations: [],
  };
  const entry = entryOf(state, zeros(32), 'create', {}, 'alice');
  return { state, entry, head: { state, entryHash: entryHash(entry) } };
}

/** The state after a change, which holds as an entry for everybody, too. */
function change({ head }, actor, operation, what, timeMs = TIME) {
  const state = changeGroup(head.state, actor, operation, what, timeMs);
  const entry = entryOf(state, head.entryHash, operation, what, actor, { timeMs });
  const after = judge(head, entry, roster());
  assert.deepEqual(after.state, state);
  assert.equal(hex(stateBytes(parseState(stateBytes(state)))), hex(stateBytes(state)));
  return { state, entry, head: after };
}
const refused = (group, actor, operation, what, timeMs) => assert.throws(
  () => change(group, actor, operation, what, timeMs), bad, `${operation} by ${actor}`);

const byHand = (...people) => ({ source: 0, people });
const table = (right, role) => TABLE.map((least, i) => (i === RIGHTS.indexOf(right) ? role : least));
const invite = (id, uses = UNLIMITED, expiresMs = 0n) => ({ id: filled(id, 16), expiresMs, uses });
const byLink = (userId, id) => (
  { source: 1, invitation: filled(id, 16), requestHash: filled(9, 32), people: [member(userId)] });

test('a right is for the roles of the table', () => {
  const cases = [
    ['add', 'add', 1, byHand(member('dan'))], ['invite', 'invite', 1, invite(1)],
    ['remove', 'remove', 2, { userId: 'carol' }], ['info', 'info', 1, { infoHash: filled(1, 32) }],
    ['roles', 'role', 2, { userId: 'carol', role: ADMIN }],
  ];
  for (const [right, operation, lowest, what] of cases) {
    for (let least = lowest; least <= OWNER; least += 1) {
      const group = created(table(right, least));
      for (const [actor, role] of [['bob', MEMBER], ['ann', ADMIN], ['alice', OWNER]]) {
        if (role >= least) change(group, actor, operation, what);
        else refused(group, actor, operation, what);
      }
      refused(group, 'dan', operation, what);
    }
  }
});

test('who is added, again, and under another account key', () => {
  const group = created();
  assert.equal(change(group, 'ann', 'add', byHand(member('dan'), member('erin'))).state.members.length, 6);
  refused(group, 'ann', 'add', byHand(member('dan', ADMIN)));
  change(group, 'alice', 'add', byHand(member('dan', ADMIN)));
  refused(group, 'alice', 'add', byHand(member('dan', OWNER)));
  const renewed = change(group, 'ann', 'add', byHand(member('alice', OWNER)));
  assert.deepEqual(renewed.state.members, group.state.members);
  refused(group, 'ann', 'add', byHand(member('alice', MEMBER)));
  refused(group, 'ann', 'add', byHand(member('ann', ADMIN)));
  const anew = changeGroup(group.state, 'ann', 'add', byHand(member('alice', MEMBER, OTHER)), TIME);
  assert.equal(anew.members[0].role, MEMBER);
  refused(group, 'ann', 'add', byHand(member('alice', MEMBER, OTHER)));
  assert.throws(() => changeGroup(group.state, 'ann', 'add', byHand(member('alice', OWNER, OTHER)), TIME), bad);
});

test('roles, removal, leaving and the owner', () => {
  const group = created(table('roles', ADMIN));
  refused(group, 'ann', 'remove', { userId: 'alice' });
  refused(group, 'ann', 'remove', { userId: 'ann' });
  refused(group, 'alice', 'leave', {});
  change(group, 'bob', 'leave', {});
  change(group, 'ann', 'role', { userId: 'bob', role: ADMIN });
  change(group, 'ann', 'role', { userId: 'ann', role: MEMBER });
  refused(group, 'ann', 'role', { userId: 'alice', role: MEMBER });
  refused(group, 'bob', 'role', { userId: 'bob', role: ADMIN });
  refused(group, 'ann', 'role', { userId: 'bob', role: MEMBER });
  refused(group, 'ann', 'owner', { userId: 'ann' });
  const handed = change(group, 'alice', 'owner', { userId: 'bob' });
  assert.deepEqual(handed.state.members.map((m) => m.role), [ADMIN, ADMIN, OWNER, MEMBER]);
  const without = { head: { ...group.head, state: { ...group.state, members: group.state.members.slice(1) } } };
  change(without, 'ann', 'owner', { userId: 'bob' });
  refused(without, 'bob', 'owner', { userId: 'bob' });
});

test('the table is changed up to the actor\'s role', () => {
  const group = created(table('permissions', ADMIN));
  const permissions = [...group.state.permissions];
  change(group, 'ann', 'permissions', { permissions: permissions.with(0, ADMIN) });
  refused(group, 'ann', 'permissions', { permissions: permissions.with(0, OWNER) });
  refused(group, 'ann', 'permissions', { permissions: permissions.with(6, ADMIN) });
  change(group, 'alice', 'permissions', { permissions: permissions.with(6, ADMIN) });
  refused(group, 'alice', 'permissions', { permissions: permissions.with(4, MEMBER) });
});

test('invitations are used, used up, expire and are revoked', () => {
  const group = change(created(), 'ann', 'invite', invite(7, 2, TIME + 10n));
  refused(group, 'alice', 'add', byLink('dan', 7));
  refused(group, 'ann', 'add', byLink('bob', 7));
  refused(group, 'ann', 'add', byLink('dan', 8));
  refused(group, 'ann', 'add', byLink('dan', 7), TIME + 10n);
  const used = change(group, 'ann', 'add', byLink('dan', 7), TIME + 9n);
  assert.equal(used.state.invitations[0].usesLeft, 1);
  assert.equal(change(used, 'ann', 'add', byLink('erin', 7)).state.invitations.length, 0);
  refused(group, 'bob', 'revoke', { id: filled(7, 16) });
  assert.equal(change(group, 'alice', 'revoke', { id: filled(7, 16) }).state.invitations.length, 0);
  assert.equal(change(group, 'ann', 'leave', {}).state.invitations.length, 0);
  let full = created();
  for (let i = 1; i <= INVITATIONS_MAX; i += 1) full = change(full, 'ann', 'invite', invite(i));
  refused(full, 'ann', 'invite', invite(200));
});

test('an entry is refused with anything changed, and where it does not follow', () => {
  const group = created();
  const { state } = change(group, 'ann', 'remove', { userId: 'bob' });
  const made = (changes = {}, actor = 'ann') => entryOf(
    state, group.head.entryHash, 'remove', { userId: 'bob' }, actor, changes);
  const judged = (entry, users = roster()) => judge(group.head, entry, users);
  const entry = made();
  judged(entry);
  for (let at = 0; at < entry.length; at += 1) {
    const turned = entry.slice();
    turned[at] ^= 1;
    assert.throws(() => judged(turned), bad);
  }
  assert.throws(() => judged(concat(entry, zeros(1))), bad);
  for (const changes of [{ number: 3n }, { number: 1n }, { previous: zeros(32) }, { groupId: '01'.repeat(16) },
    { stateHash: zeros(32) }, { seed: dskSeed('bob') }, { deviceId: 1n }]) {
    assert.throws(() => judged(made(changes)), bad);
  }
  assert.throws(() => judged(made({}, 'carol')), bad);
  assert.throws(() => judged(group.entry), bad);
  const users = roster();
  users.get('ann').accountKey = ed25519Public(OTHER);
  assert.throws(() => judged(entry, users), bad);
  users.set('ann', { ...roster().get('ann'), devices: new Map() });
  assert.throws(() => judged(entry, users), bad);
});

test('a state is refused with anything not as stated', () => {
  const group = change(created(), 'ann', 'invite', invite(1));
  const spoilt = (changes) => assert.throws(() => parseState(stateBytes({ ...group.state, ...changes })), bad);
  parseState(stateBytes(group.state));
  const { members, invitations } = group.state;
  spoilt({ number: 0n });
  spoilt({ groupId: '01'.repeat(16) });
  spoilt({ origin: { ...ORIGIN, salt: zeros(16) } });
  spoilt({ permissions: TABLE.with(4, MEMBER) });
  spoilt({ infoNumber: 3n, infoHash: filled(1, 32) });
  spoilt({ infoHash: filled(1, 32) });
  spoilt({ members: [...members].reverse() });
  spoilt({ members: [members[0], { ...members[1], role: OWNER }, ...members.slice(2)] });
  spoilt({ invitations: [...invitations, ...invitations] });
  spoilt({ invitations: [{ ...invitations[0], inviter: 'dan' }] });
  spoilt({ invitations: [{ ...invitations[0], usesLeft: 0 }] });
});

test('who comes takes what the adder signed', () => {
  const group = created();
  const own = (userId) => ({ userId, accountKey: ed25519Public(accountSeed(userId)) });
  const first = join(null, group.entry, stateBytes(group.state), roster(), own('bob'));
  assert.deepEqual(first.head, group.head);
  const added = change(group, 'ann', 'add', byHand(member('dan')));
  const bytes = stateBytes(added.state);
  assert.equal(join(null, added.entry, bytes, roster(), own('dan')).confirmed, true);
  const not = (...given) => assert.throws(() => join(...given), untrusted);
  not(null, added.entry, bytes, roster(), own('bob'));
  not(null, added.entry, bytes, roster(), { ...own('dan'), accountKey: ed25519Public(OTHER) });
  not(null, added.entry, stateBytes(group.state), roster(), own('dan'));
  not(added.head, added.entry, bytes, roster(), own('dan'));
  const forged = entryOf(added.state, group.head.entryHash, 'add', byHand(member('dan')), 'bob');
  not(null, forged, bytes, roster(), own('dan'));
  const stranger = { ...added.state, members: [...added.state.members, member('erin', ADMIN)] };
  const made = entryOf(stranger, group.head.entryHash, 'add', byHand(member('dan')), 'erin');
  assert.equal(join(group.head, made, stateBytes(stranger), roster(), own('dan')).confirmed, false);
  const stolen = { ...group.state, origin: { ...ORIGIN, creator: 'ann' } };
  not(null, entryOf(stolen, zeros(32), 'create', {}, 'ann'), stateBytes(stolen), roster(), own('bob'));
});

test('an invitation admits who knows its secret, once and in time', () => {
  const group = change(created(), 'ann', 'invite', invite(7));
  const { groupId } = group.state;
  const secret = invitationSecret(accountSeed('ann'), groupId, filled(7, 16));
  const text = linkText({
    groupId, invitationId: filled(7, 16), inviter: 'ann', accountKey: ed25519Public(accountSeed('ann')), secret });
  assert.equal(linkText(parseLink(text)), text);
  const asked = (changes = {}, mac = secret) => makeRequest(dskSeed('dan'), {
    groupId, invitationId: filled(7, 16), userId: 'dan', accountKey: ed25519Public(accountSeed('dan')), deviceId: 4n,
    timeMs: TIME, ...changes,
  }, mac);
  const admission = (changes = {}) => ({
    state: group.state, ownUser: 'ann', accountSeed: accountSeed('ann'), used: [], now: TIME,
    requester: { userId: 'dan', ...roster().get('dan') }, ...changes,
  });
  const request = asked();
  change(group, 'ann', 'add', admit(request, admission()));
  const not = (bytes, changes) => assert.throws(() => admit(bytes, admission(changes)), untrusted);
  for (let at = 0; at < request.length; at += 1) {
    const turned = request.slice();
    turned[at] ^= 1;
    not(turned);
  }
  not(asked({}, OTHER));
  not(asked({}, null));
  not(request, { used: [requestHash(request)] });
  not(request, { ownUser: 'alice' });
  not(request, { accountSeed: OTHER });
  not(request, { now: TIME + REQUEST_VALID + 1n });
  not(request, { now: TIME - LINK_VALID - 1n });
  admit(request, admission({ now: TIME + REQUEST_VALID }));
  const open = asked({ invitationId: zeros(16) }, null);
  assert.equal(admit(open, admission()).source, 2);
  assert.throws(() => parseRequest(asked({ invitationId: zeros(16) })), bad);
});

test('an info opens under its key in its group', () => {
  const sealed = sealInfo(filled(5, 100), filled(1, 32), filled(2, 24), '07'.repeat(16));
  assert.equal(hex(openInfo(sealed, filled(1, 32), '07'.repeat(16))), '05'.repeat(100));
  assert.throws(() => openInfo(sealed, filled(2, 32), '07'.repeat(16)), bad);
  assert.throws(() => openInfo(sealed, filled(1, 32), '08'.repeat(16)), bad);
  assert.throws(() => sealInfo(filled(5, 8_193), filled(1, 32), filled(2, 24), '07'.repeat(16)), bad);
});

test('entries are read as they were made', () => {
  const group = created();
  assert.equal(parseEntry(group.entry).operation, 'create');
  assert.equal(group.entry.length, 183);
});
