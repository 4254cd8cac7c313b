// SPDX-License-Identifier: Apache-2.0
// Section 16: the recovery key, backup files with their manifest, and the key wrapped by a passphrase.
import { Reader, allZero, concat, equal, lp, u32, u64, u8, user, zeros } from './bytes.js';
import { padFile } from './attachments.js';
import { paddedLength } from './envelope.js';
import { label } from './labels.js';
import { BACKUP_MAX } from './limits.js';
import { need } from './outcome.js';
import { H, HKDF, HM, argon2id } from './primitives.js';
import { SEAL_BYTES, seal, unseal } from './seal.js';
import { openStream, sealStream, sealedLength } from './secretstream.js';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const FRAME_MAX = 1_048_576;
const FRAME_ACCOUNT_SEED = 1;

/** The shown form: 14 groups of four. */
export function showRecoveryKey(R) {
  const bytes = concat(R, H(label('csdk1/backup/check'), R).slice(0, 3));
  let number = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  let text = '';
  for (let i = 0; i < 56; i += 1) {
    text = ALPHABET[Number(number % 32n)] + text;
    number /= 32n;
  }
  return text.match(/.{4}/g).join('-');
}

export function readRecoveryKey(shown) {
  const text = shown.replace(/[- ]/g, '').toUpperCase().replace(/O/g, '0').replace(/[IL]/g, '1');
  need(text.length === 56, 'a recovery key has 56 characters');
  let number = 0n;
  for (const character of text) {
    const value = ALPHABET.indexOf(character);
    need(value >= 0, 'a character that cannot be');
    number = number * 32n + BigInt(value);
  }
  const bytes = new Uint8Array(35);
  for (let i = 34; i >= 0; i -= 1) {
    bytes[i] = Number(number % 256n);
    number /= 256n;
  }
  const R = bytes.slice(0, 32);
  need(equal(H(label('csdk1/backup/check'), R).slice(0, 3), bytes.slice(32)), 'the checksum is wrong');
  return R;
}

const derived = (R, labelName, userId, n) => HKDF(zeros(64), R, concat(label(labelName), user(userId)), n);
export const backupId = (R, userId) => derived(R, 'csdk1/backup/id', userId, 16);
export const backupAuth = (R, userId) => derived(R, 'csdk1/backup/auth', userId, 32);
const macKey = (R, userId) => derived(R, 'csdk1/backup/manifest', userId, 64);
const fileKey = (R, salt, id, sequence) => HKDF(salt, R, concat(label('csdk1/backup/file'), id, u64(sequence)), 32);
const macOf = (R, userId, before) => HM(macKey(R, userId), before).slice(0, 32);

export const manifestHash = (manifest) => H(label('csdk1/hash/manifest'), manifest);

function checkFrames(frames) {
  for (const frame of frames) need(frame.length >= 1 && frame.length <= FRAME_MAX, 'length of a frame');
  const [first] = frames;
  need(first && first[0] === FRAME_ACCOUNT_SEED && first.length === 33, 'the first frame is the seed');
}

/**
 * @param {Uint8Array[]} frames each `u8(kind) ‖ bytes`
 * @param {Uint8Array} previous 32. @param random salt 32, header 24
 */
export function sealBackup(device, R, frames, sequence, previous, random, now) {
  checkFrames(frames);
  const salt = random.take(32);
  const header = random.take(24);
  const id = backupId(R, device.userId);
  const padded = padFile(concat(...frames.map(lp), u32(0)));
  const ciphertext = sealStream(fileKey(R, salt, id, sequence), header, padded);
  const before = concat(
    u8(1), id, u64(sequence), previous, u64(device.deviceId), u64(now), u8(0), salt, header, u64(BigInt(padded.length)),
    H(label('csdk1/hash/backup'), ciphertext));
  return { ciphertext, manifest: concat(before, macOf(R, device.userId, before)) };
}

/** Reads a manifest in the order of the page: lengths, version, id, MAC; then compression and sizes. */
export function parseManifest(R, userId, bytes) {
  const r = new Reader(bytes);
  need(bytes.length === 202, 'length of a manifest');
  r.fixed(1, 'version of a manifest');
  const m = { id: r.take(16), sequence: r.u64(), previous: r.take(32), deviceId: r.u64(), timeMs: r.u64() };
  m.compression = r.u8();
  m.salt = r.take(32);
  m.header = r.take(24);
  m.paddedBytes = r.u64();
  m.hash = r.take(32);
  const before = r.before();
  need(equal(m.id, backupId(R, userId)), 'the backup of another key or user');
  need(equal(macOf(R, userId, before), r.take(32)), 'the MAC of a manifest');
  need(m.compression === 0, 'compressed');
  need(m.sequence >= 1n, 'sequence begins with 1');
  need(m.paddedBytes <= BigInt(paddedLength(Number(BACKUP_MAX))), 'longer than backup_max');
  return m;
}

/** @returns {Uint8Array[]} the frames, each `u8(kind) ‖ bytes` */
export function openBackup(userId, R, ciphertext, manifest) {
  const m = parseManifest(R, userId, manifest);
  need(ciphertext.length === sealedLength(Number(m.paddedBytes)), 'another size');
  need(equal(H(label('csdk1/hash/backup'), ciphertext), m.hash), 'the hash of the file is wrong');
  const r = new Reader(openStream(fileKey(R, m.salt, m.id, m.sequence), m.header, ciphertext));
  const frames = [];
  for (let frame = r.lp(); frame.length > 0; frame = r.lp()) frames.push(frame);
  checkFrames(frames);
  need(paddedLength(r.at) === r.bytes.length, 'length of the padding');
  need(allZero(r.rest()), 'padding is zeros');
  return frames;
}

const PASSES = { min: 2, max: 16 };
const MEMORY_KIB = { min: 65_536, max: 1_048_576 };
const within = (n, { min, max }) => n >= min && n <= max;

function checkCost(passphrase, passes, memoryKib) {
  need(passphrase.length >= 8 && passphrase.length <= 1_024, 'length of a passphrase');
  need(within(passes, PASSES) && within(memoryKib, MEMORY_KIB), 'cost of a passphrase');
}

function wrapKey(userId, passphrase, salt, passes, memoryKib) {
  checkCost(passphrase, passes, memoryKib);
  const stretched = argon2id(passphrase, salt, passes, memoryKib, 32);
  return HKDF(zeros(64), stretched, concat(label('csdk1/backup/wrap'), user(userId)), 64);
}

/** @param {Uint8Array} passphrase. @param random salt 16, nonce 24. @returns {Uint8Array} 130 bytes */
export function wrap(userId, R, passphrase, passes, memoryKib, random) {
  checkCost(passphrase, passes, memoryKib);
  const salt = random.take(16);
  const before = concat(u8(1), u8(1), u32(passes), u32(memoryKib), salt);
  const K = wrapKey(userId, passphrase, salt, passes, memoryKib);
  return concat(before, seal(K, random.take(24), R, concat(user(userId), before)));
}

export function unwrap(userId, wrapped, passphrase) {
  const r = new Reader(wrapped);
  r.fixed(1, 'version of a wrapped key');
  r.fixed(1, 'kdf of a wrapped key');
  const passes = r.u32();
  const memoryKib = r.u32();
  const salt = r.take(16);
  const before = r.before();
  const sealed = r.take(32 + SEAL_BYTES);
  r.end();
  return unseal(wrapKey(userId, passphrase, salt, passes, memoryKib), sealed, concat(user(userId), before));
}

