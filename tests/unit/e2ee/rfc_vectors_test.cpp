// SPDX-License-Identifier: Apache-2.0
//
// The primitives against the numbers of the RFCs that define them (docs/e2ee.md section 22): X25519 of RFC 7748,
// Ed25519 of RFC 8032, HKDF of RFC 5869. What the library refuses beyond them is in primitives_test.cpp.
//
// Threads: one.
#include <gtest/gtest.h>
#include <sodium.h>

#include <string>
#include <string_view>
#include <utility>

#include "e2ee/hkdf.h"
#include "e2ee/primitives.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

template <std::size_t kSize>
Secret<kSize> secret_of_hex(std::string_view text) {
  return Secret<kSize>::copy_of(bytes_of_hex(text));
}
template <std::size_t kSize>
std::string hex_of(const Secret<kSize>& secret) {
  return to_hex(view(secret));
}

// ---- RFC 7748 -------------------------------------------------------------------------------------------------------

TEST(Rfc7748, Section52SingleVectors) {
  const struct {
    const char* scalar;
    const char* u;
    const char* product;
  } vectors[] = {
      {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
       "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
       "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
      // Bit 255 of u is passed over, as the RFC has it. is_valid() refuses such a key before it comes here.
      {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
       "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
       "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
  };
  for (const auto& vector : vectors) {
    const auto product = x25519(secret_of_hex<32>(vector.scalar), fixed_of_hex<AgreementKey>(vector.u));
    ASSERT_TRUE(product.has_value());
    EXPECT_EQ(hex_of(*product), vector.product);
  }
}

// The RFC's third number, after a million iterations, takes a minute and is left out.
TEST(Rfc7748, Section52Iterated) {
  AgreementSecret k = secret_of_hex<32>("0900000000000000000000000000000000000000000000000000000000000000");
  AgreementKey u = AgreementKey::from(view(k));
  for (int iteration = 1; iteration <= 1'000; ++iteration) {
    auto product = x25519(k, u);
    ASSERT_TRUE(product.has_value()) << iteration;
    u = AgreementKey::from(view(k));
    k = std::move(*product);
    if (iteration == 1) {
      EXPECT_EQ(hex_of(k), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
  }
  EXPECT_EQ(hex_of(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

TEST(Rfc7748, Section61) {
  const auto a = secret_of_hex<32>("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const auto b = secret_of_hex<32>("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  EXPECT_EQ(to_hex(public_of(a).view()), "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(to_hex(public_of(b).view()), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const std::string shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
  EXPECT_TRUE(is_valid(public_of(a)));
  EXPECT_TRUE(is_valid(public_of(b)));
  EXPECT_EQ(hex_of(x25519(a, public_of(b)).value()), shared);
  EXPECT_EQ(hex_of(x25519(b, public_of(a)).value()), shared);
}

// ---- RFC 8032 -------------------------------------------------------------------------------------------------------

struct SignatureVector {
  const char* name;
  const char* seed;
  const char* key;
  Bytes message;
  const char* signature;
};

// Section 7.1 but for TEST 1024, which is below.
const SignatureVector kSignatures[] = {
    {"TEST 1", "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
     "655141438e7a100b"},
    {"TEST 2", "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", bytes_of_hex("72"),
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
     "b00d291612bb0c00"},
    {"TEST 3", "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", bytes_of_hex("af82"),
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
     "c027beceea1ec40a"},
    {"TEST SHA(abc)", "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
     "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf", Bytes(view(sha512({"abc"}))),
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17a"
     "d9bef1177331a704"},
};

// sign() and verify() put a label before everything, and a label ends in a byte 0x00, which none of these messages has.
// So the key is the library's, and the signature that of the functions below it, in the same order of calls.
TEST(Rfc8032, Section71ShortMessages) {
  for (const SignatureVector& vector : kSignatures) {
    const SigningPair pair(secret_of_hex<32>(vector.seed));
    EXPECT_EQ(to_hex(pair.key().view()), vector.key) << vector.name;
    EXPECT_TRUE(is_valid(pair.key())) << vector.name;

    const Bytes expanded = Bytes(view(pair.seed())).append(pair.key().view());
    const auto bytes = [](BytesView view) { return reinterpret_cast<const unsigned char*>(view.data()); };
    Signature signature;
    crypto_sign_detached(signature.bytes.data(), nullptr, bytes(vector.message), vector.message.size(),
                         bytes(expanded));
    EXPECT_EQ(to_hex(signature.view()), vector.signature) << vector.name;
    EXPECT_EQ(crypto_sign_verify_detached(signature.bytes.data(), bytes(vector.message), vector.message.size(),
                                          pair.key().bytes.data()),
              0)
        << vector.name;
  }
}

// The 1,023 bytes have a byte 0x00 at place 67: what is before it is a label, and the library signs the whole.
constexpr Label kTest1024Label =
    "\x08\xb8\xb2\xb7\x33\x42\x42\x43\x76\x0f\xe4\x26\xa4\xb5\x49\x08\x63\x21\x10\xa6\x6c\x2f\x65\x91\xea\xbd"
    "\x33\x45\xe3\xe4\xeb\x98\xfa\x6e\x26\x4b\xf0\x9e\xfe\x12\xee\x50\xf8\xf5\x4e\x9f\x77\xb1\xe3\x55\xf6\xc5"
    "\x05\x44\xe2\x3f\xb1\x43\x3d\xdf\x73\xbe\x84\xd8\x79\xde\x7c";
constexpr std::string_view kTest1024Rest =
    "46dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d658675fc6ea534e0810a4432826bf58c941efb65d57a338bbd2e2664"
    "0f89ffbc1a858efcb8550ee3a5e1998bd177e93a7363c344fe6b199ee5d02e82d522c4feba15452f80288a821a579116ec6dad2b3b310da9"
    "03401aa62100ab5d1a36553e06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573cb116dbefefd75499da96bd68a8a97b92"
    "8a8bbc103b6621fcde2beca1231d206be6cd9ec7aff6f6c94fcd7204ed3455c68c83f4a41da4af2b74ef5c53f1d8ac70bdcb7ed185ce81bd"
    "84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2d17ba70eb6248e594e1a2297acbbb39d502f1a8c6eb6f1ce22b3de1a"
    "1f40cc24554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f27088d78b7e883c8759d2c4f5c65adb7553878ad575"
    "f9fad878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089beccf80cfe2df16a2cf65bd92dd597b0707e0917af48bbb75fed413d2"
    "38f5555a7a569d80c3414a8d0859dc65a46128bab27af87a71314f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51addd3b75a"
    "2b1ae0784504df543af8969be3ea7082ff7fc9888c144da2af58429ec96031dbcad3dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9"
    "b47acdb751fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c42f58c30c04aafdb038dda0847dd988dcda6f3bf"
    "d15c4b4c4525004aa06eeff8ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34dff7310fdc82aebfd904b01e1d"
    "c54b2927094b2db68d6f903b68401adebf5a7e08d78ff4ef5d63653a65040cf9bfd4aca7984a74d37145986780fc0b16ac451649de6188a7"
    "dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a3ca8e1b939ae49e488acba6b965610b5480109c8b17b80e1b7b750dfc7598d5d5011fd2d"
    "cc5600a32ef5b52a1ecc820e308aa342721aac0943bf6686b64b2579376504ccc493d97e6aed3fb0f9cd71a43dd497f01f17c0e2cb3797aa"
    "2a2f256656168e6c496afc5fb93246f6b1116398a346f1a641f3b041e989f7914f90cc2c7fff357876e506b50d334ba77c225bc307ba5371"
    "52f3f1610e4eafe595f6d9d90d11faa933a15ef1369546868a7f3a45a96768d40fd9d03412c091c6315cf4fde7cb68606937380db2eaaa70"
    "7b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac86aba41c0618983f8741c5ef68d3a101e8a3b8cac60c905c15fc910840b94c00"
    "a0b9d0";

TEST(Rfc8032, Section71Test1024) {
  const Bytes rest = bytes_of_hex(kTest1024Rest);
  ASSERT_EQ(kTest1024Label.bytes().size() + rest.size(), 1'023U);
  const SigningSeed seed = secret_of_hex<32>("f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5");
  const SigningKey key = signing_key_of(seed);
  EXPECT_EQ(to_hex(key.view()), "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e");

  const Signature signature = sign(seed, kTest1024Label, rest);
  EXPECT_EQ(to_hex(signature.view()),
            "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350"
            "aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03");
  EXPECT_EQ(sign(SigningPair(seed.clone()), kTest1024Label, rest), signature);
  EXPECT_TRUE(verify(key, kTest1024Label, rest, signature));
  EXPECT_FALSE(verify(key, kTest1024Label, BytesView(rest).substr(1), signature));
}

// ---- RFC 5869 -------------------------------------------------------------------------------------------------------

class HmacSha256 {
 public:
  static constexpr std::size_t kBytes = crypto_auth_hmacsha256_BYTES;

  explicit HmacSha256(BytesView key) { crypto_auth_hmacsha256_init(&state_, raw(key), key.size()); }
  void add(BytesView bytes) { crypto_auth_hmacsha256_update(&state_, raw(bytes), bytes.size()); }
  void finish(Secret<kBytes>& out) { crypto_auth_hmacsha256_final(&state_, out.data()); }

 private:
  static const unsigned char* raw(BytesView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

  crypto_auth_hmacsha256_state state_;
};

template <std::size_t kSize>
std::string hkdf_sha256(BytesView salt, BytesView ikm, Parts info) {
  Secret<HmacSha256::kBytes> extracted;
  HmacSha256 mac(salt);
  mac.add(ikm);
  mac.finish(extracted);
  Secret<kSize> out;
  hkdf_expand<HmacSha256>(extracted, info, {out.data(), kSize});
  return hex_of(out);
}

// The bytes from one to another.
Bytes counting(unsigned char first, unsigned char last) {
  Bytes bytes;
  for (int byte = first; byte <= last; ++byte) bytes.push_back(static_cast<char>(byte));
  return bytes;
}

// Cases 1 to 3 are those with SHA-256. Cases 4 to 7 are with SHA-1, which the library has not.
TEST(Rfc5869, AppendixACases1To3) {
  EXPECT_EQ(hkdf_sha256<42>(counting(0x00, 0x0c), repeated(0x0b, 22), {counting(0xf0, 0xf9)}),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  EXPECT_EQ(
      hkdf_sha256<82>(counting(0x60, 0xaf), counting(0x00, 0x4f), {counting(0xb0, 0xff)}),
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f"
      "09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
  EXPECT_EQ(hkdf_sha256<42>({}, repeated(0x0b, 22), {}),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

// The same inputs with the library's own hash; the outputs are Python's (hmac and hashlib).
TEST(Rfc5869, TheInputsOfAppendixAWithSha512) {
  EXPECT_EQ(hex_of(hkdf<42>(counting(0x00, 0x0c), repeated(0x0b, 22), {counting(0xf0, 0xf9)})),
            "832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da362cb8d9f925d7cb");
  EXPECT_EQ(hex_of(hkdf<82>(counting(0x60, 0xaf), counting(0x00, 0x4f), {counting(0xb0, 0xff)})),
            "ce6c97192805b346e6161e821ed165673b84f400a2b514b2fe23d84cd189ddf1b695b48cbd1c8388441137b3ce28f16aa64ba33b"
            "a466b24df6cfcb021ecff235f6a2056ce3af1de44d572097a8505d9e7a93");
  EXPECT_EQ(hex_of(hkdf<42>({}, repeated(0x0b, 22), {})),
            "f5fa02b18298a72a8c23898a8703472c6eb179dc204c03425c970e3b164bf90fff22d04836d0e2343bac");
}

}  // namespace
}  // namespace chatsdk::e2ee
