// SPDX-License-Identifier: Apache-2.0
// Section 2: published vectors, and what is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { argon2id as noblesArgon2id } from '@noble/hashes/argon2.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, filled, hex, littleEndian, unhex, utf8, zeros } from '../lib/bytes.js';
import { ED25519, ML_KEM_768, X25519, validKey } from '../lib/keys.js';
import { LABELS, label } from '../lib/labels.js';
import {
  H, ed25519Public, hchacha20, kemDecaps, kemEncaps, kemPublic, sign, verify, verifyBytes, x25519, x25519Public,
} from '../lib/primitives.js';
import { seal, unseal } from '../lib/seal.js';
import { outcome, turned } from '../support/fixture.js';

test('X25519 is that of RFC 7748 section 5.2', () => {
  const vectors = [
    ['a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4',
      'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c',
      'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552'],
    ['4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d',
      'e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493',
      '95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957'],
  ];
  for (const [scalar, u, wanted] of vectors) assert.equal(hex(x25519(unhex(scalar), unhex(u))), wanted);
});

test('X25519 agrees on the shared secret of RFC 7748 section 6.1', () => {
  const a = unhex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');
  const b = unhex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
  assert.equal(hex(x25519Public(a)), '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
  assert.equal(hex(x25519Public(b)), 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
  const shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742';
  assert.equal(hex(x25519(a, x25519Public(b))), shared);
  assert.equal(hex(x25519(b, x25519Public(a))), shared);
});

const RFC8032 = [
  ['d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b'
    + 'd25bf5f0595bbe24655141438e7a100b', '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'],
  ['3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c', '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c'
    + '387b2eaeb4302aeeb00d291612bb0c00', '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb'],
  ['fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025', 'af82',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659'
    + '4a7c15e9716ed28dc027beceea1ec40a', 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7'],
];

test('signatures of RFC 8032 section 7.1 verify, and no other', () => {
  for (const [publicKey, message, signature, seed] of RFC8032) {
    assert.equal(hex(ed25519Public(unhex(seed))), publicKey);
    assert.equal(verifyBytes(unhex(publicKey), unhex(message), unhex(signature)), true);
    for (const at of [0, 31, 32, 63]) {
      assert.equal(verifyBytes(unhex(publicKey), unhex(message), turned(unhex(signature), at)), false);
    }
  }
});

test('a signature is over its label', () => {
  const seed = filled(7, 32);
  const signature = sign(seed, 'csdk1/sig/device', utf8('x'));
  assert.equal(verify(ed25519Public(seed), 'csdk1/sig/device', utf8('x'), signature), true);
  assert.equal(verify(ed25519Public(seed), 'csdk1/sig/list', utf8('x'), signature), false);
});

test('S at or above the order of the group is refused', () => {
  const [publicKey, message, signature] = RFC8032[0].map(unhex);
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  let S = littleEndian(signature.slice(32)) + order;
  const higher = new Uint8Array(32).map(() => {
    const byte = Number(S & 255n);
    S >>= 8n;
    return byte;
  });
  assert.equal(verifyBytes(publicKey, message, concat(signature.slice(0, 32), higher)), false);
});

test('HKDF is that of RFC 5869, cases 1 and 3', () => {
  const run = (salt, info) => hex(hkdf(sha256, filled(0x0b, 22), unhex(salt), unhex(info), 42));
  assert.equal(run('000102030405060708090a0b0c', 'f0f1f2f3f4f5f6f7f8f9'),
    '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865');
  assert.equal(run('', ''), '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8');
});

// Four lanes, a secret and associated data: what libsodium does not take is tested where it can be. With one lane and
// without the others it is what answers.test.js wraps the recovery key of section 26 with, as the library does.
test('Argon2id is that of RFC 9106 section 5.3', () => {
  const settings = { t: 3, m: 32, p: 4, key: filled(3, 8), personalization: filled(4, 12), dkLen: 32, version: 0x13 };
  assert.equal(hex(noblesArgon2id(filled(1, 32), filled(2, 16), settings)),
    '0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659');
});

test('HChaCha20 is that of the XChaCha draft, section 2.2.1', () => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);
  assert.equal(hex(hchacha20(key, unhex('000000090000004a0000000031415927'))),
    '82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc');
});

test('H is the front of SHA-512', () => {
  assert.equal(hex(H(utf8('abc'))), 'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a');
});

test('decapsulation gives the encapsulated secret, and another one for another ciphertext', () => {
  const seed = concat(filled(1, 32), filled(2, 32));
  const { ct, ss } = kemEncaps(kemPublic(seed), filled(3, 32));
  assert.equal(ct.length, 1_088);
  assert.equal(hex(kemDecaps(seed, ct)), hex(ss));
  assert.notEqual(hex(kemDecaps(seed, turned(ct, 500))), hex(ss));
});

test('keys of low order and keys that are not canonical are not valid', () => {
  const good = x25519Public(filled(9, 32));
  assert.equal(validKey(X25519, good), true);
  for (const bad of ['00'.repeat(32), `01${'00'.repeat(31)}`, `ec${'ff'.repeat(30)}7f`, `ed${'ff'.repeat(30)}7f`,
    `ee${'ff'.repeat(30)}7f`, 'ff'.repeat(32), `02${'00'.repeat(30)}80`]) {
    assert.equal(validKey(X25519, unhex(bad)), false, bad);
    assert.equal(validKey(ED25519, unhex(bad)), false, bad);
  }
  assert.equal(validKey(ED25519, unhex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a')), false);
  assert.equal(validKey(ED25519, ed25519Public(filled(9, 32))), true);
});

test('a low-order key gives no X25519 result', () => {
  assert.throws(() => x25519(filled(9, 32), zeros(32)), outcome('bad_message'));
});

test('an encapsulation key with a coefficient of 3,329 is not valid', () => {
  const good = kemPublic(concat(filled(1, 32), filled(2, 32)));
  assert.equal(validKey(ML_KEM_768, good), true);
  const low = good.slice();
  [low[0], low[1]] = [0x01, (low[1] & 0xf0) | 0x0d];
  assert.equal(validKey(ML_KEM_768, low), false);
  const high = good.slice();
  [high[1150], high[1151]] = [(high[1150] & 0x0f) | 0x10, 0xd0];
  assert.equal(validKey(ML_KEM_768, high), false);
  assert.equal(validKey(ML_KEM_768, good.slice(1)), false);
});

test('labels are distinct, and none is a prefix of another', () => {
  for (const one of LABELS) {
    assert.equal(LABELS.filter((other) => hex(label(other)).startsWith(hex(label(one)))).length, 1);
  }
});

test('a seal opens under its key, its data and unchanged only', () => {
  const K = concat(filled(1, 32), filled(2, 32));
  const x = seal(K, filled(3, 24), utf8('plain'), utf8('ad'));
  assert.equal(x.length, 72 + 5);
  assert.equal(hex(unseal(K, x, utf8('ad'))), hex(utf8('plain')));
  assert.throws(() => unseal(K, x, utf8('da')), outcome('bad_message'));
  assert.throws(() => unseal(turned(K, 63), x, utf8('ad')), outcome('bad_message'));
  assert.throws(() => unseal(turned(K, 0), x, utf8('ad')), outcome('bad_message'));
  for (let at = 0; at < x.length; at += 1) {
    assert.throws(() => unseal(K, turned(x, at), utf8('ad')), outcome('bad_message'));
  }
  assert.throws(() => unseal(K, x.slice(0, 71), utf8('ad')), outcome('bad_message'));
});
