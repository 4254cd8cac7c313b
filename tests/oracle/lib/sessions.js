// SPDX-License-Identifier: Apache-2.0
// Section 11.1: which session sends. At most one with a device is active; the others are archived and only receive.
import { compare } from './bytes.js';
import { ARCHIVED_MAX } from './limits.js';

export const activeSession = (device, userId, deviceId) =>
  device.sessionsWith(userId, deviceId).find((session) => session.active);

const byAge = (a, b) => {
  if (a.archivedMs !== b.archivedMs) return a.archivedMs < b.archivedMs ? -1 : 1;
  return compare(a.sessionId, b.sessionId);
};

/** Archives a session; one that is archived stays as it is. */
export function archive(device, session, now) {
  if (!session.active) return;
  session.active = false;
  session.archivedMs = now;
  dropArchived(device, session.userId, session.deviceId);
}

function dropArchived(device, userId, deviceId) {
  const archived = device.sessionsWith(userId, deviceId).filter((session) => !session.active).sort(byAge);
  const gone = new Set(archived.slice(0, Math.max(0, archived.length - ARCHIVED_MAX)));
  device.sessions = device.sessions.filter((session) => !gone.has(session));
}

/** Makes a session of the device the one that sends and archives the one before. */
export function activate(device, session, now) {
  const before = activeSession(device, session.userId, session.deviceId);
  if (before === session) return;
  session.active = true;
  session.archivedMs = 0n;
  if (before) archive(device, before, now);
}

/** Adds a session that this device began, which sends from now on. */
export function addBegun(device, session, now) {
  const before = activeSession(device, session.userId, session.deviceId);
  device.sessions.push(session);
  if (before) archive(device, before, now);
}

/**
 * After a message was opened in `session`, which is one of the device's or a new one.
 * @param {boolean} isNew whether `accept` made it
 * @param {number} type of the message: 1 or 2
 */
export function afterOpening(device, session, isNew, type, now) {
  const active = activeSession(device, session.userId, session.deviceId);
  if (isNew) {
    session.active = false;
    session.archivedMs = now;
    device.sessions.push(session);
  }
  if (active === session) return;
  const activeWins = type === 1 && active && active.role === 1 && active.prefix && session.role === 2
    && compare(active.sessionId, session.sessionId) < 0;
  if (activeWins) dropArchived(device, session.userId, session.deviceId);
  else activate(device, session, now);
}

/**
 * On an identity change: every session with the user is archived, and every sender chain received from there deleted; all
 * that there are, and own sender chains too, where the user is this device's own.
 */
export function retireKeysOf(device, userId, now) {
  const own = userId === device.userId;
  for (const session of [...device.sessions]) if (own || session.userId === userId) archive(device, session, now);
  device.receivedChains = own ? [] : device.receivedChains.filter((chain) => chain.userId !== userId);
  if (own) device.ownChains = new Map();
}
