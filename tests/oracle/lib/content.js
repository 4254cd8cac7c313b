// SPDX-License-Identifier: Apache-2.0
// The body of body_type 1 is a serialised protobuf message. Checked is what any reader of protobuf refuses: a tag, a
// number or a length that does not fit. Which fields there are decides nothing here.
import { need } from './outcome.js';

/** @param {Uint8Array} bytes a serialised Content, whose field 1 is a message too, whose field 1 is bytes */
export const checkContent = (bytes) => checkMessage(bytes, 1);

/** @param {number} depth how many levels of field 1 are messages */
function checkMessage(bytes, depth) {
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let i = 0; i < 10; i += 1) {
      need(at < bytes.length, 'a number does not end');
      const byte = bytes[at];
      at += 1;
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte < 0x80) return value;
    }
    return need(false, 'a number is too long');
  };
  const skip = (n) => {
    need(n <= BigInt(bytes.length - at), 'a length that does not fit');
    at += Number(n);
  };
  while (at < bytes.length) {
    const tag = varint();
    const fieldNumber = tag >> 3n;
    const wireType = Number(tag & 7n);
    need(fieldNumber >= 1n && fieldNumber < 2n ** 29n, 'a field number that cannot be');
    if (wireType === 0) varint();
    else if (wireType === 1) skip(8n);
    else if (wireType === 2) {
      const length = varint();
      const from = at;
      skip(length);
      if (fieldNumber === 1n && depth > 0) checkMessage(bytes.slice(from, at), depth - 1);
    } else if (wireType === 5) skip(4n);
    else need(false, 'a wire type that cannot be');
  }
}
