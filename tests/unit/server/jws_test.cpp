// SPDX-License-Identifier: Apache-2.0
//
// The mathematics against the vectors of RFC 7515 and RFC 8037, and the keys that must and must not load.
#include "server-reference/services/jws.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "unit/server/forge.h"

namespace chatsdk::server {
namespace {

using testing::Signer;

Bytes decoded(std::string_view text) { return from_base64url(text).value(); }

constexpr std::string_view kRfc7515Claims =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

TEST(JwsVectors, Rfc7515A2VerifiesWithRs256) {
  const auto key = VerificationKey::rsa(
      decoded(
          "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2"
          "lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"
          "UTo7WTBEMa2"
          "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
          "h9iaGNj8q2ethFkMLs91kzk2PAcDTW"
          "9gb54h4FRWyuXpoQ"),
      decoded("AQAB"));
  ASSERT_TRUE(key.ok()) << key.error().detail;
  const std::string input = "eyJhbGciOiJSUzI1NiJ9." + std::string(kRfc7515Claims);
  const Bytes signature = decoded(
      "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
      "O8W2Fp5jujGbds9uJdbF9CUAr7t1d"
      "nZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"
      "xi12jzDwu"
      "sC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_"
      "IoypGlUPQGe77Rw");

  EXPECT_TRUE(key->verify(input, signature).ok());
  EXPECT_FALSE(key->verify(input + "x", signature).ok());
}

TEST(JwsVectors, Rfc7515A3VerifiesWithEs256) {
  const auto key = VerificationKey::p256(decoded("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
                                         decoded("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"));
  ASSERT_TRUE(key.ok()) << key.error().detail;
  const std::string input = "eyJhbGciOiJFUzI1NiJ9." + std::string(kRfc7515Claims);
  const Bytes signature =
      decoded("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");

  EXPECT_TRUE(key->verify(input, signature).ok());
  EXPECT_FALSE(key->verify(input + "x", signature).ok());
}

TEST(JwsVectors, Rfc8037A5VerifiesWithEdDsa) {
  const auto key = VerificationKey::ed25519(decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
  ASSERT_TRUE(key.ok()) << key.error().detail;
  const std::string input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
  const Bytes signature =
      decoded("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");

  EXPECT_TRUE(key->verify(input, signature).ok());
  EXPECT_FALSE(key->verify(input + "x", signature).ok());
}

// ---- Keys ----------------------------------------------------------------------------------------------------------

TEST(VerificationKeys, LoadFromPemWithTheirAlgorithm) {
  for (const auto algorithm : {JwsAlgorithm::kRs256, JwsAlgorithm::kEs256, JwsAlgorithm::kEdDsa}) {
    const Signer signer = Signer::make(algorithm);
    const auto key = VerificationKey::from_pem(signer.public_pem());
    ASSERT_TRUE(key.ok()) << key.error().detail;
    EXPECT_EQ(key->algorithm(), algorithm);
    EXPECT_TRUE(key->verify("input", signer.sign("input")).ok());
  }
}

TEST(VerificationKeys, RefuseAPrivateKey) {
  const auto key = VerificationKey::from_pem(Signer::make(JwsAlgorithm::kEs256).private_pem());
  EXPECT_EQ(key.code(), Code::kInvalidArgument);
  EXPECT_NE(key.error().detail.find("private"), std::string::npos);
}

TEST(VerificationKeys, RefuseAnRsaKeyBelow2048Bits) {
  const auto key = VerificationKey::from_pem(Signer::make_rsa(1024).public_pem());
  EXPECT_EQ(key.code(), Code::kInvalidArgument);
  EXPECT_NE(key.error().detail.find("1024 bits"), std::string::npos) << key.error().detail;
}

TEST(VerificationKeys, TakeAnRsaKeyOf2048Bits) {
  EXPECT_TRUE(
      VerificationKey::from_pem(Signer::make_rsa(static_cast<unsigned>(limits::kRsaBitsMin)).public_pem()).ok());
}

TEST(VerificationKeys, RefuseAnRsaKeyAbove8192BitsBeforeAnyWorkOnIt) {
  const Bytes exponent("\x01\x00\x01", 3);
  const auto at_limit = VerificationKey::rsa(Bytes(limits::kRsaBitsMax / 8, '\xFF'), exponent);
  EXPECT_EQ(at_limit.error().detail.find("limit"), std::string::npos) << "it is no key, but not for its size";

  const auto above = VerificationKey::rsa(Bytes(limits::kRsaBitsMax / 8 + 1, '\xFF'), exponent);
  EXPECT_EQ(above.code(), Code::kInvalidArgument);
  EXPECT_NE(above.error().detail.find("8200 bits, limit 8192"), std::string::npos) << above.error().detail;
}

TEST(VerificationKeys, RefuseAnotherCurve) {
  EXPECT_EQ(VerificationKey::from_pem(Signer::make_curve("P-384").public_pem()).code(), Code::kInvalidArgument);
}

TEST(VerificationKeys, RefuseAPointOffTheCurve) {
  EXPECT_EQ(VerificationKey::p256(Bytes(32, '\1'), Bytes(32, '\2')).code(), Code::kInvalidArgument);
}

TEST(VerificationKeys, RefuseAnEd25519PointOfSmallOrder) {
  Bytes identity(32, '\0');
  identity[0] = 1;
  EXPECT_EQ(VerificationKey::ed25519(identity).code(), Code::kInvalidArgument);
  EXPECT_EQ(VerificationKey::ed25519(Bytes(32, '\0')).code(), Code::kInvalidArgument);
  EXPECT_EQ(VerificationKey::ed25519(Bytes(31, 'k')).code(), Code::kInvalidArgument);
}

TEST(VerificationKeys, RefuseWhatIsNoPem) {
  for (const std::string text : {"", "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}) {
    EXPECT_EQ(VerificationKey::from_pem(text).code(), Code::kInvalidArgument);
  }
}

// ---- Key sets ------------------------------------------------------------------------------------------------------

struct KeySet : ::testing::Test {
  AppKeys keys{AppTokenOptions{"issuer", "audience"}};
  nlohmann::json jwk = Signer::make(JwsAlgorithm::kEs256).public_jwk("k1");

  Status add(const nlohmann::json& key) { return keys.add_jwk_set(nlohmann::json{{"keys", {key}}}.dump()); }
};

TEST_F(KeySet, LoadsASetOfEveryKind) {
  nlohmann::json set = {{"keys", nlohmann::json::array()}};
  for (const auto algorithm : {JwsAlgorithm::kRs256, JwsAlgorithm::kEs256, JwsAlgorithm::kEdDsa}) {
    set["keys"].push_back(Signer::make(algorithm).public_jwk(std::string(jws_algorithm_name(algorithm))));
  }
  EXPECT_TRUE(keys.add_jwk_set(set.dump()).ok());
  EXPECT_EQ(keys.size(), 3U);
}

TEST_F(KeySet, PassesOverKeysOfAnotherUse) {
  for (const nlohmann::json& use : {nlohmann::json("enc"), nlohmann::json("other"), nlohmann::json(7)}) {
    nlohmann::json other = jwk;
    other["use"] = use;
    EXPECT_TRUE(keys.add_jwk_set(nlohmann::json{{"keys", {other, jwk}}}.dump()).ok()) << use;
    EXPECT_EQ(keys.size(), 1U);
    jwk["kid"] = "after " + use.dump();
    keys = AppKeys(AppTokenOptions{"issuer", "audience"});
  }
}

TEST_F(KeySet, RefusesASetWithoutAKeyForSigning) {
  EXPECT_EQ(keys.add_jwk_set("{\"keys\":[]}").error().detail, "JWK set holds no key");
  jwk["use"] = "enc";
  EXPECT_EQ(add(jwk).error().detail, "JWK set holds no key for signing: the \"use\" of each is another");
  jwk["use"] = "sig";
  EXPECT_TRUE(add(jwk).ok());
  // Also beside keys that are there: a set that gives nothing is a mistake.
  jwk["use"] = "enc";
  EXPECT_EQ(add(jwk).code(), Code::kInvalidArgument);
  EXPECT_EQ(keys.size(), 1U);
}

TEST_F(KeySet, RefusesADuplicateKeyId) {
  EXPECT_TRUE(add(jwk).ok());
  EXPECT_EQ(add(jwk).code(), Code::kAlreadyExists);
}

TEST_F(KeySet, AddsAllKeysOrNone) {
  nlohmann::json other = Signer::make(JwsAlgorithm::kEdDsa).public_jwk("k2");
  other["x"] = "!";
  EXPECT_EQ(keys.add_jwk_set(nlohmann::json{{"keys", {jwk, other}}}.dump()).code(), Code::kInvalidArgument);
  EXPECT_EQ(keys.size(), 0U);
}

TEST_F(KeySet, RefusesMoreKeysThanTheLimit) {
  for (std::size_t i = 0; i < limits::kAppKeysMax; ++i) {
    jwk["kid"] = "key " + std::to_string(i);
    ASSERT_TRUE(add(jwk).ok());
  }
  jwk["kid"] = "one more";
  EXPECT_EQ(add(jwk).code(), Code::kLimitReached);
}

TEST_F(KeySet, RefusesUnsoundMembers) {
  const auto changed = [this](const char* member, nlohmann::json value) {
    nlohmann::json copy = jwk;
    copy[member] = std::move(value);
    return copy;
  };
  for (const auto& bad :
       {changed("d", "c2VjcmV0"), changed("k", "c2VjcmV0"), changed("kty", "oct"), changed("kty", 1),
        changed("crv", "P-384"), changed("x", "AA"), changed("x", "not base64!"), changed("alg", "RS256"),
        changed("alg", "ES512"), changed("alg", nullptr), changed("kid", ""), changed("kid", 7),
        changed("kid", std::string(limits::kKeyIdBytesMax + 1, 'k')), nlohmann::json("text")}) {
    EXPECT_EQ(add(bad).code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(keys.add_jwk_set("{}").code(), Code::kInvalidArgument);
  EXPECT_EQ(keys.add_jwk_set("[]").code(), Code::kInvalidArgument);
  EXPECT_EQ(keys.add_jwk_set("{\"keys\":[],\"keys\":[]}").code(), Code::kInvalidArgument);
  EXPECT_EQ(keys.size(), 0U);
}

}  // namespace
}  // namespace chatsdk::server
