// SPDX-License-Identifier: Apache-2.0
// Section 15, secretstream: libsodium's crypto_secretstream_xchacha20poly1305 without associated data.
import { concat, equal, u32, u64, u8, zeros } from './bytes.js';
import { need } from './outcome.js';
import { chachaStream, chachaXor, hchacha20, poly1305 } from './primitives.js';

export const TAG_MESSAGE = 0;
export const TAG_FINAL = 3;
export const CHUNK_BYTES = 65_536;
const OVERHEAD = 17;

class Stream {
  /** @param {Uint8Array} key 32. @param {Uint8Array} header 24 */
  constructor(key, header) {
    this.k = hchacha20(key, header.slice(0, 16));
    this.counter = 1;
    this.inonce = header.slice(16, 24);
  }

  nonce() {
    return concat(u32(this.counter), this.inonce);
  }

  /** The MAC over the encrypted first block and the ciphertext, as libsodium pads it. */
  mac(block, c) {
    const input = concat(block, c, zeros(c.length % 16), u64(0n), u64(BigInt(64 + c.length)));
    return poly1305(chachaStream(this.k, this.nonce(), 0, 32), input);
  }

  step(mac) {
    this.inonce = this.inonce.map((byte, i) => byte ^ mac[i]);
    this.counter += 1;
  }

  push(m, tag) {
    const block = chachaXor(this.k, this.nonce(), 1, concat(u8(tag), zeros(63)));
    const c = chachaXor(this.k, this.nonce(), 2, m);
    const mac = this.mac(block, c);
    this.step(mac);
    return concat(block.slice(0, 1), c, mac);
  }

  pull(chunk) {
    need(chunk.length >= OVERHEAD, 'a chunk is too short');
    const stream = chachaStream(this.k, this.nonce(), 1, 64);
    const block = concat(chunk.slice(0, 1), stream.slice(1));
    const c = chunk.slice(1, chunk.length - 16);
    const mac = this.mac(block, c);
    need(equal(mac, chunk.slice(chunk.length - 16)), 'the MAC of a chunk is wrong');
    const tag = block[0] ^ stream[0];
    const m = chachaXor(this.k, this.nonce(), 2, c);
    this.step(mac);
    return { m, tag };
  }
}

export const sealedLength = (n) => n + OVERHEAD * Math.ceil(n / CHUNK_BYTES);

/** @param {Uint8Array} plain 1 byte or more. @returns {Uint8Array} the chunks, one after the other */
export function sealStream(key, header, plain) {
  const stream = new Stream(key, header);
  const chunks = [];
  for (let at = 0; at < plain.length; at += CHUNK_BYTES) {
    const last = at + CHUNK_BYTES >= plain.length;
    chunks.push(stream.push(plain.slice(at, at + CHUNK_BYTES), last ? TAG_FINAL : TAG_MESSAGE));
  }
  return concat(...chunks);
}

export function openStream(key, header, ciphertext) {
  const stream = new Stream(key, header);
  const parts = [];
  const step = CHUNK_BYTES + OVERHEAD;
  need(ciphertext.length > OVERHEAD, 'nothing in the stream');
  for (let at = 0; at < ciphertext.length; at += step) {
    const chunk = ciphertext.slice(at, at + step);
    need(chunk.length > OVERHEAD, 'an empty chunk');
    const { m, tag } = stream.pull(chunk);
    need(tag === (at + step >= ciphertext.length ? TAG_FINAL : TAG_MESSAGE), 'a wrong tag, or FINAL at a wrong place');
    parts.push(m);
  }
  return concat(...parts);
}
