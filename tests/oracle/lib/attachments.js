// SPDX-License-Identifier: Apache-2.0
// Section 15: attachments and their key.
import { Reader, allZero, concat, equal, lp, u64, u8, utf8, zeros } from './bytes.js';
import { paddedLength } from './envelope.js';
import { label } from './labels.js';
import { ATTACHMENT_MAX } from './limits.js';
import { need } from './outcome.js';
import { H } from './primitives.js';
import { openStream, sealStream, sealedLength } from './secretstream.js';

export const padFile = (plain) => concat(plain, zeros(paddedLength(plain.length) - plain.length));

/** @param random key 32, header 24. @returns the ciphertext and the first 106 bytes of the attachment key */
export function sealAttachment(plain, random) {
  need(BigInt(plain.length) <= ATTACHMENT_MAX, 'longer than attachment_max');
  const key = random.take(32);
  const header = random.take(24);
  const ciphertext = sealStream(key, header, padFile(plain));
  const attachmentKey = concat(
    u8(1), u8(1), key, header, H(label('csdk1/hash/attachment'), ciphertext), u64(BigInt(paddedLength(plain.length))),
    u64(BigInt(plain.length)));
  return { ciphertext, attachmentKey };
}

/** The whole attachment key. @param {string} location, @param {string} mediaType */
export const withLocation = (attachmentKey, location, mediaType) =>
  concat(attachmentKey, lp(utf8(location)), lp(utf8(mediaType)));

function readKeyPart(r) {
  r.fixed(1, 'version of an attachment key');
  r.fixed(1, 'algorithm of an attachment key');
  const k = { key: r.take(32), header: r.take(24), hash: r.take(32), paddedBytes: r.u64(), trueBytes: r.u64() };
  need(k.trueBytes <= ATTACHMENT_MAX, 'longer than attachment_max');
  need(k.paddedBytes === BigInt(paddedLength(Number(k.trueBytes))), 'padded_bytes is not P(true_bytes)');
  return k;
}

/** Reads a whole attachment key. */
export function parseAttachmentKey(bytes) {
  const r = new Reader(bytes);
  const k = readKeyPart(r);
  k.location = r.lp();
  k.mediaType = r.lp();
  r.end();
  need(k.location.length <= 256 && k.mediaType.length <= 128, 'location or media type is too long');
  return k;
}

/** @param {Uint8Array} keyPart 106 bytes: the attachment key without location and media type */
export function openAttachment(ciphertext, keyPart) {
  const r = new Reader(keyPart);
  const k = readKeyPart(r);
  r.end();
  need(ciphertext.length === sealedLength(Number(k.paddedBytes)), 'another size');
  need(equal(H(label('csdk1/hash/attachment'), ciphertext), k.hash), 'the hash of the ciphertext is wrong');
  const padded = openStream(k.key, k.header, ciphertext);
  need(allZero(padded.slice(Number(k.trueBytes))), 'padding is zeros');
  return padded.slice(0, Number(k.trueBytes));
}
