// SPDX-License-Identifier: Apache-2.0
// Section 2, random bytes: the one source of an operation. In a transcript they come from its line.

export class RandomTape {
  /** @param {Uint8Array} bytes all that the operation may draw, in order */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  take(n) {
    if (n > this.bytes.length - this.at) throw new RangeError(`wants ${n} random bytes more than the line has`);
    this.at += n;
    return this.bytes.slice(this.at - n, this.at);
  }

  used() {
    return this.bytes.slice(0, this.at);
  }
}
