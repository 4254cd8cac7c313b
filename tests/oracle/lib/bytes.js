// SPDX-License-Identifier: Apache-2.0
// Section 1: notation. Byte strings are Uint8Array and are never changed in place once they are made; 64-bit numbers
// are BigInt, shorter ones Number.
import { Buffer } from 'node:buffer';
import { Refused, need } from './outcome.js';

export const EMPTY = new Uint8Array(0);
const TEXT_TO_BYTES = new TextEncoder();
const BYTES_TO_TEXT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @returns {Uint8Array} one byte string after the other */
export function concat(...parts) {
  let at = 0;
  for (const part of parts) at += part.length;
  const whole = new Uint8Array(at);
  at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const hex = (bytes) => Buffer.from(bytes).toString('hex');

export function unhex(text) {
  if (typeof text !== 'string' || text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) {
    throw new TypeError(`not lower-case hexadecimal: ${text}`);
  }
  return new Uint8Array(Buffer.from(text, 'hex'));
}

export const base64url = (bytes) => Buffer.from(bytes).toString('base64url');

/** Reads RFC 4648 section 5 without padding, in its one canonical form. */
export function unbase64url(text) {
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  need(base64url(bytes) === text, 'not canonical base64url');
  return bytes;
}

export const utf8 = (text) => TEXT_TO_BYTES.encode(text);

export function fromUtf8(bytes) {
  try {
    return BYTES_TO_TEXT.decode(bytes);
  } catch {
    throw new Refused('bad_message', 'not UTF-8');
  }
}

export const equal = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** Unsigned bytes from the left; a prefix comes first. Negative, 0 or positive. */
export const compare = (a, b) => Buffer.compare(a, b);

export const zeros = (n) => new Uint8Array(n);
export const filled = (byte, n) => new Uint8Array(n).fill(byte);
export const allZero = (bytes) => bytes.every((byte) => byte === 0);

const NUMBER = new Uint8Array(8);
const NUMBER_VIEW = new DataView(NUMBER.buffer);

export const u8 = (n) => Uint8Array.of(n);

export function u16(n) {
  NUMBER_VIEW.setUint16(0, n, true);
  return NUMBER.slice(0, 2);
}

export function u32(n) {
  NUMBER_VIEW.setUint32(0, n, true);
  return NUMBER.slice(0, 4);
}

/** @param {bigint} n */
export function u64(n) {
  NUMBER_VIEW.setBigUint64(0, n, true);
  return NUMBER.slice();
}

export const lp = (bytes) => concat(u32(bytes.length), bytes);
export const user = (userId) => lp(utf8(userId));

/** The bytes as one number, least significant byte first. */
export const littleEndian = (bytes) => bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);

/** Reads a structure field by field. Whatever does not fit is `bad_message`. */
export class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = 0;
  }

  /** Where the next n bytes are. */
  next(n) {
    need(n <= this.bytes.length - this.at, 'a length that does not fit');
    this.at += n;
    return this.at - n;
  }

  take(n) {
    const from = this.next(n);
    return this.bytes.slice(from, from + n);
  }

  u8() {
    return this.view.getUint8(this.next(1));
  }

  u16() {
    return this.view.getUint16(this.next(2), true);
  }

  u32() {
    return this.view.getUint32(this.next(4), true);
  }

  u64() {
    return this.view.getBigUint64(this.next(8), true);
  }

  lp() {
    return this.take(this.u32());
  }

  user() {
    const bytes = this.lp();
    need(bytes.length >= 1 && bytes.length <= 64, 'a user_id has 1 to 64 bytes');
    return fromUtf8(bytes);
  }

  /** A byte that can have one value only. */
  fixed(value, what) {
    need(this.u8() === value, what);
  }

  /** All bytes read so far. */
  before() {
    return this.bytes.slice(0, this.at);
  }

  rest() {
    return this.take(this.bytes.length - this.at);
  }

  end() {
    need(this.at === this.bytes.length, 'a byte left over');
  }
}
