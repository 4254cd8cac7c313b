// SPDX-License-Identifier: Apache-2.0
// Sections 14.1 to 14.3: what a group is, the entries that change it, how they are judged, and who comes.
import { Reader, allZero, compare, concat, equal, hex, lp, u32, u64, u8, unhex, user, utf8 } from './bytes.js';
import { readGroupId } from './envelope.js';
import { ED25519, key, readValidKey } from './keys.js';
import { label } from './labels.js';
import { ENTRY_PEOPLE_MAX, ENTRY_VALUE_MAX, INVITATIONS_MAX, MEMBERS_MAX } from './limits.js';
import { Refused, need } from './outcome.js';
import { H, sign, verify } from './primitives.js';

export const MEMBER = 1;
export const ADMIN = 2;
export const OWNER = 3;
/** The rights of the table, in the order of its bytes, and the least role that each may want. */
export const RIGHTS = ['send', 'pin', 'add', 'invite', 'remove', 'info', 'roles', 'permissions'];
const LEAST = [1, 1, 1, 1, 2, 1, 2, 2];
export const OPERATIONS = [
  'create', 'add', 'remove', 'leave', 'role', 'owner', 'info', 'permissions', 'invite', 'revoke',
];
export const UNLIMITED = 2 ** 32 - 1;

const byUser = (a, b) => compare(utf8(a.userId), utf8(b.userId));
const ascending = (list, order, what) => list.forEach((x, i) => need(i === 0 || order(list[i - 1], x) < 0, what));

// ---- The state (14.1)

/** @param {{creator: string, accountKey: Uint8Array, salt: Uint8Array}} origin @returns {string} hexadecimal */
export const groupIdOf = (origin) => hex(H(
  label('csdk1/grp/id'), user(origin.creator), key(ED25519, origin.accountKey), origin.salt).slice(0, 16));

const personBytes = (p) => concat(user(p.userId), u8(p.role), key(ED25519, p.accountKey));

function readPerson(r) {
  const person = { userId: r.user(), role: r.u8(), accountKey: readValidKey(r, ED25519) };
  need(person.role >= MEMBER && person.role <= OWNER, 'unknown role');
  return person;
}

function readPermissions(r) {
  const permissions = [...r.take(8)];
  permissions.forEach((role, i) => need(role >= LEAST[i] && role <= OWNER, 'a role that the right cannot want'));
  return permissions;
}

/**
 * @param {object} s groupId, number (bigint), origin, permissions (8 numbers), infoNumber (bigint), infoHash 32,
 *   members [{userId, role, accountKey}], invitations [{id 16, inviter, expiresMs (bigint), usesLeft}], both in order
 */
export const stateBytes = (s) => concat(
  u8(1), unhex(s.groupId), u64(s.number), user(s.origin.creator), key(ED25519, s.origin.accountKey), s.origin.salt,
  Uint8Array.from(s.permissions), u64(s.infoNumber), s.infoHash,
  u32(s.members.length), ...s.members.map(personBytes),
  u8(s.invitations.length),
  ...s.invitations.map((i) => concat(i.id, user(i.inviter), u64(i.expiresMs), u32(i.usesLeft))));

export const groupStateHash = (bytes) => H(label('csdk1/hash/group-state'), bytes);

const memberOf = (state, userId) => state.members.find((member) => member.userId === userId);
const ownerOf = (state) => state.members.find((member) => member.role === OWNER);
const hasRight = (state, userId, right) => {
  const member = memberOf(state, userId);
  return member !== undefined && member.role >= state.permissions[RIGHTS.indexOf(right)];
};

export function parseState(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of a state');
  const state = { groupId: readGroupId(r), number: r.u64() };
  state.origin = { creator: r.user(), accountKey: readValidKey(r, ED25519), salt: r.take(16) };
  state.permissions = readPermissions(r);
  state.infoNumber = r.u64();
  state.infoHash = r.take(32);
  const members = r.u32();
  need(members <= MEMBERS_MAX, 'too many members');
  state.members = Array.from({ length: members }, () => readPerson(r));
  const invitations = r.u8();
  need(invitations <= INVITATIONS_MAX, 'too many invitations');
  state.invitations = Array.from({ length: invitations }, () => (
    { id: r.take(16), inviter: r.user(), expiresMs: r.u64(), usesLeft: r.u32() }));
  r.end();
  need(state.number !== 0n, 'there is no entry 0');
  need(state.groupId === groupIdOf(state.origin), 'a group_id that is not of this origin');
  need(state.infoNumber <= state.number, 'an info of a later entry');
  need((state.infoNumber === 0n) === allZero(state.infoHash), 'an info without hash, or a hash without info');
  ascending(state.members, byUser, 'members ascend');
  need(state.members.filter((member) => member.role === OWNER).length <= 1, 'two owners');
  ascending(state.invitations, (a, b) => compare(a.id, b.id), 'invitations ascend');
  for (const invitation of state.invitations) {
    need(!allZero(invitation.id), 'an invitation_id is not zeros');
    need(memberOf(state, invitation.inviter), 'an invitation of nobody');
    need(invitation.usesLeft !== 0, 'an invitation that is used up');
  }
  return state;
}

// ---- Entries (14.2)

const VALUE = {
  create: () => new Uint8Array(0),
  add: (c) => concat(
    u8(c.source), ...(c.source === 1 ? [c.invitation] : []), ...(c.source === 0 ? [] : [c.requestHash]),
    u8(c.people.length), ...c.people.map(personBytes)),
  remove: (c) => user(c.userId),
  leave: () => new Uint8Array(0),
  role: (c) => concat(user(c.userId), u8(c.role)),
  owner: (c) => user(c.userId),
  info: (c) => c.infoHash,
  permissions: (c) => Uint8Array.from(c.permissions),
  invite: (c) => concat(c.id, u64(c.expiresMs), u32(c.uses)),
  revoke: (c) => c.id,
};

function readInvitationId(r) {
  const id = r.take(16);
  need(!allZero(id), 'an invitation_id is not zeros');
  return id;
}

const READ = {
  create: () => ({}),
  add(r) {
    const change = { source: r.u8() };
    need(change.source <= 2, 'unknown source');
    if (change.source === 1) change.invitation = r.take(16);
    if (change.source !== 0) change.requestHash = r.take(32);
    const count = r.u8();
    need(count >= 1 && count <= ENTRY_PEOPLE_MAX, 'count of people');
    change.people = Array.from({ length: count }, () => readPerson(r));
    ascending(change.people, byUser, 'people ascend');
    need(change.source === 0 || (count === 1 && change.people[0].role === MEMBER), 'one member asked');
    return change;
  },
  remove: (r) => ({ userId: r.user() }),
  leave: () => ({}),
  role(r) {
    const change = { userId: r.user(), role: r.u8() };
    need(change.role === MEMBER || change.role === ADMIN, 'a role that is given');
    return change;
  },
  owner: (r) => ({ userId: r.user() }),
  info: (r) => ({ infoHash: r.take(32) }),
  permissions: (r) => ({ permissions: readPermissions(r) }),
  invite(r) {
    const change = { id: readInvitationId(r), expiresMs: r.u64(), uses: r.u32() };
    need(change.uses !== 0, 'an invitation for nobody');
    return change;
  },
  revoke: (r) => ({ id: readInvitationId(r) }),
};

/**
 * @param {object} e groupId, number (bigint), previous 32, operation (a name), change, actor, deviceId (bigint),
 *   timeMs (bigint), stateHash 32
 */
export function makeEntry(dskSeed, e) {
  const body = concat(
    u8(1), unhex(e.groupId), u64(e.number), e.previous, u8(OPERATIONS.indexOf(e.operation) + 1), user(e.actor),
    u64(e.deviceId), u64(e.timeMs), lp(VALUE[e.operation](e.change)), e.stateHash);
  return concat(body, sign(dskSeed, 'csdk1/sig/group-entry', body));
}

/** Reads the value of an operation, given by its number. */
export function parseChange(number, value) {
  const operation = OPERATIONS[number - 1];
  need(operation, 'unknown operation');
  need(value.length <= ENTRY_VALUE_MAX, 'a value above its limit');
  const r = new Reader(value);
  const change = READ[operation](r);
  r.end();
  return { operation, change };
}

export function parseEntry(bytes) {
  const r = new Reader(bytes);
  r.fixed(1, 'version of a membership entry');
  const entry = { groupId: readGroupId(r), number: r.u64(), previous: r.take(32) };
  const operation = r.u8();
  entry.actor = r.user();
  entry.deviceId = r.u64();
  entry.timeMs = r.u64();
  const value = r.lp();
  entry.stateHash = r.take(32);
  entry.signed = r.before();
  entry.signature = r.take(64);
  r.end();
  Object.assign(entry, parseChange(operation, value));
  need(entry.number !== 0n && entry.deviceId !== 0n, 'a number and a device_id are not 0');
  need((entry.number === 1n) === (entry.operation === 'create'), 'the first entry creates, and no other');
  need(entry.number !== 1n || allZero(entry.previous), 'nothing is before the first entry');
  return entry;
}

export const entryHash = (bytes) => H(label('csdk1/hash/group-entry'), bytes);

// ---- Changes

const without = (state, userId) => ({
  ...state,
  members: state.members.filter((member) => member.userId !== userId),
  invitations: state.invitations.filter((invitation) => invitation.inviter !== userId),
});
const withMember = (state, person) => ({
  ...state,
  members: [...state.members.filter((member) => member.userId !== person.userId), person].sort(byUser),
});

function addPerson(state, person, actor, source) {
  const known = memberOf(state, person.userId);
  if (known) {
    need(source !== 1, 'a member needs no invitation');
    need(person.userId !== actor.userId, 'nobody adds themself');
    const same = equal(known.accountKey, person.accountKey);
    need(person.role === (same ? known.role : MEMBER), 'another role than they have');
  } else {
    need(person.role !== OWNER, 'nobody is added as the owner');
    need(person.role === MEMBER || hasRight(state, actor.userId, 'roles'), 'the right to make admins');
    need(state.members.length < MEMBERS_MAX, 'the group is full');
  }
  return withMember(state, person);
}

function useInvitation(state, id, actor, timeMs) {
  const invitation = state.invitations.find((other) => equal(other.id, id));
  need(invitation, 'no such invitation');
  need(invitation.inviter === actor.userId, 'the invitation of somebody else');
  need(invitation.expiresMs === 0n || invitation.expiresMs > timeMs, 'the invitation has expired');
  const usesLeft = invitation.usesLeft === UNLIMITED ? UNLIMITED : invitation.usesLeft - 1;
  const invitations = state.invitations.map((other) => (other === invitation ? { ...other, usesLeft } : other));
  return { ...state, invitations: invitations.filter((other) => other.usesLeft !== 0) };
}

const CHANGE = {
  create: () => need(false, 'the group is there'),
  add(state, actor, change, timeMs) {
    need(hasRight(state, actor.userId, change.source === 1 ? 'invite' : 'add'), 'the right to add');
    const from = change.source === 1 ? useInvitation(state, change.invitation, actor, timeMs) : state;
    return change.people.reduce((s, person) => addPerson(s, person, actor, change.source), from);
  },
  remove(state, actor, change) {
    const member = memberOf(state, change.userId);
    need(hasRight(state, actor.userId, 'remove') && member && member.role < actor.role, 'the right to remove');
    return without(state, change.userId);
  },
  leave(state, actor) {
    need(actor.role !== OWNER || state.members.length === 1, 'an owner of others');
    return without(state, actor.userId);
  },
  role(state, actor, change) {
    const member = memberOf(state, change.userId);
    need(member && member.role !== change.role, 'another role than they have');
    if (!(change.userId === actor.userId && actor.role === ADMIN)) {
      need(hasRight(state, actor.userId, 'roles'), 'the right to give roles');
      need(member.role < actor.role && change.role <= actor.role, 'a role that is not below');
    }
    return withMember(state, { ...member, role: change.role });
  },
  owner(state, actor, change) {
    const member = memberOf(state, change.userId);
    need(member, 'no member');
    const owner = ownerOf(state);
    if (owner) need(owner.userId === actor.userId && member !== owner, 'the owner hands the group over to another');
    else need(state.members.every((other) => other.role <= actor.role), 'somebody has a higher role');
    const handed = owner ? withMember(state, { ...owner, role: ADMIN }) : state;
    return withMember(handed, { ...member, role: OWNER });
  },
  info(state, actor, change) {
    need(hasRight(state, actor.userId, 'info'), 'the right to change the info');
    return { ...state, infoNumber: allZero(change.infoHash) ? 0n : state.number, infoHash: change.infoHash };
  },
  permissions(state, actor, change) {
    need(hasRight(state, actor.userId, 'permissions'), 'the right to change the table');
    change.permissions.forEach((role, i) => {
      const before = state.permissions[i];
      need(role === before || (role <= actor.role && before <= actor.role), 'a right above the actor\'s role');
    });
    return { ...state, permissions: change.permissions };
  },
  invite(state, actor, change) {
    need(hasRight(state, actor.userId, 'invite'), 'the right to invite');
    need(!state.invitations.some((other) => equal(other.id, change.id)), 'an invitation of that id');
    need(state.invitations.length < INVITATIONS_MAX, 'too many invitations');
    const invitation = { id: change.id, inviter: actor.userId, expiresMs: change.expiresMs, usesLeft: change.uses };
    return { ...state, invitations: [...state.invitations, invitation].sort((a, b) => compare(a.id, b.id)) };
  },
  revoke(state, actor, change) {
    const invitation = state.invitations.find((other) => equal(other.id, change.id));
    need(invitation, 'no such invitation');
    need(invitation.inviter === actor.userId || hasRight(state, actor.userId, 'invite'), 'the right to revoke');
    return { ...state, invitations: state.invitations.filter((other) => other !== invitation) };
  },
};

/** The state after a change; refuses what the actor may not. */
export function changeGroup(before, actor, operation, change, timeMs) {
  const member = memberOf(before, actor);
  need(member, 'the actor is no member');
  return CHANGE[operation]({ ...before, number: before.number + 1n }, member, change, timeMs);
}

// ---- judge and join

/**
 * @typedef {{accountKey: Uint8Array, devices: Map<bigint, Uint8Array>}} RosterUser the list of a user in the roster at
 *   the item: its account key, and the DSK of each device
 */
function checkSignature(entry, state, users) {
  const member = memberOf(state, entry.actor);
  const listed = users.get(entry.actor);
  need(member && listed && equal(member.accountKey, listed.accountKey), 'the actor is no member under that key');
  const dsk = listed.devices.get(entry.deviceId);
  need(dsk, 'the actor\'s device is not listed');
  need(verify(dsk, 'csdk1/sig/group-entry', entry.signed, entry.signature), 'signature of a membership entry');
}

/**
 * @param {{state: object, entryHash: Uint8Array}} head what a device has of the group
 * @param {Map<string, RosterUser>} users
 * @returns {{state: object, entryHash: Uint8Array}} the head after the entry
 */
export function judge(head, bytes, users) {
  const entry = parseEntry(bytes);
  need(entry.groupId === head.state.groupId, 'an entry of another group');
  need(entry.number === head.state.number + 1n, 'another number than the next');
  need(equal(entry.previous, head.entryHash), 'an entry of another chain');
  checkSignature(entry, head.state, users);
  for (const person of entry.operation === 'add' ? entry.change.people : []) {
    const listed = users.get(person.userId);
    need(listed && equal(listed.accountKey, person.accountKey), 'another account key than that of the list');
  }
  const state = changeGroup(head.state, entry.actor, entry.operation, entry.change, entry.timeMs);
  need(equal(groupStateHash(stateBytes(state)), entry.stateHash), 'another state than the entry says');
  return { state, entryHash: entryHash(bytes) };
}

/** The rule of create. */
export function checkFirst(entry, state) {
  const owner = ownerOf(state);
  need(entry.operation === 'create' && state.number === 1n, 'not the first entry');
  need(owner && owner.userId === state.origin.creator && equal(owner.accountKey, state.origin.accountKey),
    'the creator is the owner');
  need(entry.actor === owner.userId, 'somebody else creates');
  need(state.invitations.length === 0 && state.infoNumber === 0n, 'something was before');
}

function checkAdd(entry, state, own) {
  need(entry.operation === 'add', 'an entry by which nobody comes');
  need(hasRight(state, entry.actor, entry.change.source === 1 ? 'invite' : 'add'), 'the right to add');
  for (const person of entry.change.people) {
    const member = memberOf(state, person.userId);
    need(member && member.role === person.role && equal(member.accountKey, person.accountKey), 'not as it was added');
  }
  need(entry.change.people.some((person) => person.userId === own.userId), 'somebody else is added');
}

/**
 * @param before the head that the device had, or null. @param {{userId: string, accountKey: Uint8Array}} own
 * @returns {{head: object, entry: object, confirmed: boolean}}
 */
export function join(before, entryBytes, stateOfIt, users, own) {
  try {
    const entry = parseEntry(entryBytes);
    const state = parseState(stateOfIt);
    need(entry.groupId === state.groupId && entry.number === state.number, 'the state of another entry');
    need(equal(entry.stateHash, groupStateHash(stateOfIt)), 'another state than the entry says');
    const self = memberOf(state, own.userId);
    need(self && equal(self.accountKey, own.accountKey), 'not a member under the own key');
    checkSignature(entry, state, users);
    if (entry.number === 1n) checkFirst(entry, state);
    else checkAdd(entry, state, own);
    let confirmed = true;
    if (before) {
      need(before.state.groupId === entry.groupId && entry.number > before.state.number, 'not above the last one');
      const known = memberOf(before.state, entry.actor);
      confirmed = known !== undefined && equal(known.accountKey, memberOf(state, entry.actor).accountKey)
        && hasRight(before.state, entry.actor, entry.change.source === 1 ? 'invite' : 'add');
    }
    return { head: { state, entryHash: entryHash(entryBytes) }, entry, confirmed };
  } catch (error) {
    if (error instanceof Refused) throw new Refused('untrusted', error.message);
    throw error;
  }
}
