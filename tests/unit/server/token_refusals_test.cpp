// SPDX-License-Identifier: Apache-2.0
//
// The attack table: every known way to forge a token, each its own case, tried against our access tokens and against
// assertions signed with RS256, ES256 and EdDSA. Unless a case says otherwise the forger even holds the private key, so
// that what is refused is the form and not the signature.
#include <gtest/gtest.h>
#include <sodium.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "unit/server/forge.h"

namespace chatsdk::server {
namespace {

using nlohmann::json;
using testing::Forge;
using testing::kForgeNow;
using testing::TokenWorld;

const std::string kBom = "\xEF\xBB\xBF";

struct Attack {
  const char* name;
  std::function<std::string(const Forge&)> token;
};

std::array<std::string, 3> parts_of(const std::string& token) {
  const std::size_t first = token.find('.');
  const std::size_t second = token.find('.', first + 1);
  return {token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1)};
}

std::string with_signature(const Forge& forge, const Bytes& signature) {
  const auto [header, claims, honest] = parts_of(forge.honest());
  return header + "." + claims + "." + to_base64url(signature);
}
Bytes signature_of(const std::string& token) { return from_base64url(parts_of(token)[2]).value(); }
Bytes honest_signature(const Forge& forge) { return signature_of(forge.honest()); }

// An HS256 token whose key is something that everybody knows.
std::string hmac_token(const Forge& forge, const Bytes& key) {
  json header = forge.header;
  header["alg"] = "HS256";
  const std::string input = to_base64url(header.dump()) + "." + to_base64url(forge.claims.dump());
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(key.data()), key.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(input.data()), input.size());
  Bytes mac(crypto_auth_hmacsha256_BYTES, '\0');
  crypto_auth_hmacsha256_final(&state, reinterpret_cast<unsigned char*>(mac.data()));
  return input + "." + to_base64url(mac);
}

std::string alg(const Forge& forge, json value) { return forge.with_header("alg", std::move(value)); }
std::string kid(const Forge& forge, json value) { return forge.with_header("kid", std::move(value)); }

// The header's or claims' text with its first brace replaced, to add what a JSON library would not write.
std::string raw_header(const Forge& forge, const std::string& start) {
  return forge.token(start + forge.header.dump().substr(1), forge.claims.dump());
}
std::string raw_claims(const Forge& forge, const std::string& start) {
  return forge.token(forge.header.dump(), start + forge.claims.dump().substr(1));
}
std::string raw_exp(const Forge& forge, const std::string& value) {
  json claims = forge.claims;
  claims.erase("exp");
  return forge.token(forge.header.dump(), "{\"exp\":" + value + "," + claims.dump().substr(1));
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

// S + L: the same scalar in a spelling above the group's order.
Bytes unreduced(Bytes signature) {
  constexpr std::array<unsigned char, 32> kOrder{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                                 0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                                 0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
  unsigned carry = 0;
  for (std::size_t i = 0; i < kOrder.size() && signature.size() == 64; ++i) {
    const unsigned sum = static_cast<unsigned char>(signature[32 + i]) + kOrder[i] + carry;
    signature[32 + i] = static_cast<char>(sum & 0xFF);
    carry = sum >> 8;
  }
  if (signature.size() != 64) signature[0] = static_cast<char>(signature[0] ^ 0x40);
  return signature;
}

const std::vector<Attack>& attacks() {
  static const std::vector<Attack> kAttacks = {
      // The algorithm.
      {"AlgNone", [](const Forge& f) { return alg(f, "none"); }},
      {"AlgNoneCapital", [](const Forge& f) { return alg(f, "None"); }},
      {"AlgNoneUpper", [](const Forge& f) { return alg(f, "NONE"); }},
      {"AlgNoneMixed", [](const Forge& f) { return alg(f, "nOnE"); }},
      {"AlgNoneWithoutSignature",
       [](const Forge& f) {
         const auto parts = parts_of(alg(f, "none"));
         return parts[0] + "." + parts[1] + ".";
       }},
      {"AlgEmpty", [](const Forge& f) { return alg(f, ""); }},
      {"AlgNull", [](const Forge& f) { return alg(f, nullptr); }},
      {"AlgMissing", [](const Forge& f) { return f.without_header("alg"); }},
      {"AlgArray", [](const Forge& f) { return alg(f, json::array({f.algorithm})); }},
      {"AlgObject", [](const Forge& f) { return alg(f, {{"alg", f.algorithm}}); }},
      {"AlgNumber", [](const Forge& f) { return alg(f, 256); }},
      {"AlgInOtherCase",
       [](const Forge& f) {
         std::string name = f.algorithm;
         name[0] = static_cast<char>(name[0] ^ 0x20);
         return alg(f, name);
       }},
      {"AlgWithSpace", [](const Forge& f) { return alg(f, f.algorithm + " "); }},
      {"AlgRs384", [](const Forge& f) { return alg(f, "RS384"); }},
      {"AlgPs256", [](const Forge& f) { return alg(f, "PS256"); }},
      {"AlgEs512", [](const Forge& f) { return alg(f, "ES512"); }},
      {"AlgEs256K", [](const Forge& f) { return alg(f, "ES256K"); }},
      {"AlgOfAnotherKind", [](const Forge& f) { return alg(f, f.algorithm == "RS256" ? "ES256" : "RS256"); }},
      {"AlgDuplicate", [](const Forge& f) { return raw_header(f, "{\"alg\":\"none\","); }},
      {"HmacWithPublicPem", [](const Forge& f) { return hmac_token(f, f.public_pem); }},
      {"HmacWithPublicPemWithoutNewline",
       [](const Forge& f) { return hmac_token(f, f.public_pem.substr(0, f.public_pem.size() - 1)); }},
      {"HmacWithPublicDer", [](const Forge& f) { return hmac_token(f, f.public_der); }},
      {"HmacWithEmptyKey", [](const Forge& f) { return hmac_token(f, ""); }},
      {"HmacWithOneByteKey", [](const Forge& f) { return hmac_token(f, Bytes(1, '\0')); }},
      // The signature.
      {"SignatureStripped", [](const Forge& f) { return with_signature(f, ""); }},
      {"SignatureTruncated",
       [](const Forge& f) {
         Bytes signature = honest_signature(f);
         signature.pop_back();
         return with_signature(f, signature);
       }},
      {"SignatureExtended", [](const Forge& f) { return with_signature(f, honest_signature(f) + '\0'); }},
      {"SignatureFirstBitFlipped",
       [](const Forge& f) {
         Bytes signature = honest_signature(f);
         signature.front() = static_cast<char>(signature.front() ^ 1);
         return with_signature(f, signature);
       }},
      {"SignatureLastBitFlipped",
       [](const Forge& f) {
         Bytes signature = honest_signature(f);
         signature.back() = static_cast<char>(signature.back() ^ 1);
         return with_signature(f, signature);
       }},
      {"SignatureAllZero", [](const Forge& f) { return with_signature(f, Bytes(honest_signature(f).size(), '\0')); }},
      {"SignatureFirstHalfZero",
       [](const Forge& f) {
         Bytes signature = honest_signature(f);
         signature.replace(0, 32, 32, '\0');
         return with_signature(f, signature);
       }},
      {"SignatureSecondHalfZero",
       [](const Forge& f) {
         Bytes signature = honest_signature(f);
         signature.replace(signature.size() - 32, 32, 32, '\0');
         return with_signature(f, signature);
       }},
      {"SignatureAllOnes", [](const Forge& f) { return with_signature(f, Bytes(honest_signature(f).size(), '\xff')); }},
      {"SignatureUnreduced", [](const Forge& f) { return with_signature(f, unreduced(honest_signature(f))); }},
      {"SignatureInDer",
       [](const Forge& f) {
         const Bytes raw = honest_signature(f);
         const Bytes half = raw.substr(0, 32);
         const Bytes other = raw.substr(32, 32);
         return with_signature(f, Bytes("\x30\x46\x02\x21\x00", 5) + half + Bytes("\x02\x21\x00", 3) + other);
       }},
      {"SignatureOfAnotherToken",
       [](const Forge& f) {
         return with_signature(f, signature_of(f.with_claim("sub", "mallory")));
       }},
      {"ClaimsOfAnotherToken",
       [](const Forge& f) {
         const auto honest = parts_of(f.honest());
         return honest[0] + "." + parts_of(f.with_claim("sub", "mallory"))[1] + "." + honest[2];
       }},
      {"SignedByAStranger",
       [](const Forge& f) {
         Forge stranger = f;
         const auto key = f.algorithm == "RS256"   ? JwsAlgorithm::kRs256
                          : f.algorithm == "ES256" ? JwsAlgorithm::kEs256
                                                   : JwsAlgorithm::kEdDsa;
         stranger.sign = [signer = testing::Signer::make(key)](std::string_view input) { return signer.sign(input); };
         return stranger.honest();
       }},
      {"SignedAsHmacButNamedAsItself",
       [](const Forge& f) { return with_signature(f, signature_of(hmac_token(f, f.public_pem))); }},
      // Keys and extensions that the token brings along.
      {"EmbeddedJwk", [](const Forge& f) { return f.with_header("jwk", {{"kty", "OKP"}, {"crv", "Ed25519"}}); }},
      {"JwkSetUrl", [](const Forge& f) { return f.with_header("jku", "https://127.0.0.1/keys"); }},
      {"CertificateUrl", [](const Forge& f) { return f.with_header("x5u", "https://127.0.0.1/cert"); }},
      {"CertificateChain", [](const Forge& f) { return f.with_header("x5c", json::array({"MIIB"})); }},
      {"CertificateThumbprint", [](const Forge& f) { return f.with_header("x5t", "AAAA"); }},
      {"CritUnknown", [](const Forge& f) { return f.with_header("crit", json::array({"exp"})); }},
      {"CritEmpty", [](const Forge& f) { return f.with_header("crit", json::array()); }},
      {"PayloadNotEncoded",
       [](const Forge& f) {
         json header = f.header;
         header["b64"] = false;
         header["crit"] = json::array({"b64"});
         return f.token(header.dump(), f.claims.dump());
       }},
      {"B64WithoutCrit", [](const Forge& f) { return f.with_header("b64", false); }},
      {"Zip", [](const Forge& f) { return f.with_header("zip", "DEF"); }},
      {"NestedByContentType", [](const Forge& f) { return f.with_header("cty", "JWT"); }},
      {"NestedToken", [](const Forge& f) { return f.token(f.header.dump(), f.honest()); }},
      {"UnknownParameter", [](const Forge& f) { return f.with_header("x", "y"); }},
      // The key's name.
      {"KidMissing", [](const Forge& f) { return f.without_header("kid"); }},
      {"KidEmpty", [](const Forge& f) { return kid(f, ""); }},
      {"KidUnknown", [](const Forge& f) { return kid(f, "nobody"); }},
      {"KidNumber", [](const Forge& f) { return kid(f, 1); }},
      {"KidArray", [](const Forge& f) { return kid(f, json::array({f.key_id})); }},
      {"KidPathTraversal", [](const Forge& f) { return kid(f, "../../../../dev/null"); }},
      {"KidAbsolutePath", [](const Forge& f) { return kid(f, "/etc/passwd"); }},
      {"KidDeviceFile", [](const Forge& f) { return kid(f, "/dev/null"); }},
      {"KidUrl", [](const Forge& f) { return kid(f, "https://127.0.0.1/" + f.key_id); }},
      {"KidSqlQuote", [](const Forge& f) { return kid(f, f.key_id + "' OR '1'='1"); }},
      {"KidWithNul", [](const Forge& f) { return kid(f, f.key_id + std::string(1, '\0')); }},
      {"KidPrefix", [](const Forge& f) { return kid(f, f.key_id.substr(0, f.key_id.size() - 1)); }},
      {"KidWithSpace", [](const Forge& f) { return kid(f, " " + f.key_id); }},
      {"KidOverLimit", [](const Forge& f) { return kid(f, std::string(limits::kKeyIdBytesMax + 1, 'k')); }},
      {"KidOf64KiB", [](const Forge& f) { return kid(f, std::string(65'536, 'k')); }},
      {"KidDuplicate", [](const Forge& f) { return raw_header(f, "{\"kid\":\"nobody\","); }},
      {"TypUnknown", [](const Forge& f) { return f.with_header("typ", "JOSE"); }},
      {"TypOfTheOtherFamily",
       [](const Forge& f) { return f.with_header("typ", f.header["typ"] == "JWT" ? "at+jwt" : "JWT"); }},
      {"TypNumber", [](const Forge& f) { return f.with_header("typ", 1); }},
      // Time.
      {"ExpMissing", [](const Forge& f) { return f.without_claim("exp"); }},
      {"ExpPast", [](const Forge& f) { return f.with_claim("exp", kForgeNow.count() - 61); }},
      {"ExpFloat", [](const Forge& f) { return raw_exp(f, std::to_string(kForgeNow.count() + 60) + ".5"); }},
      {"ExpExponent", [](const Forge& f) { return raw_exp(f, "17000001e2"); }},
      {"ExpString", [](const Forge& f) { return f.with_claim("exp", std::to_string(kForgeNow.count() + 60)); }},
      {"ExpNegative", [](const Forge& f) { return f.with_claim("exp", -1); }},
      {"ExpZero", [](const Forge& f) { return f.with_claim("exp", 0); }},
      {"ExpAbove64Bits", [](const Forge& f) { return raw_exp(f, "18446744073709551616"); }},
      {"ExpAbove63Bits", [](const Forge& f) { return raw_exp(f, "9223372036854775808"); }},
      {"ExpLargest63Bits", [](const Forge& f) { return raw_exp(f, "9223372036854775807"); }},
      {"ExpHuge", [](const Forge& f) { return raw_exp(f, "1e999"); }},
      {"ExpNull", [](const Forge& f) { return f.with_claim("exp", nullptr); }},
      {"ExpTrue", [](const Forge& f) { return f.with_claim("exp", true); }},
      {"ExpArray", [](const Forge& f) { return f.with_claim("exp", json::array({kForgeNow.count() + 60})); }},
      {"ExpDuplicate", [](const Forge& f) { return raw_claims(f, "{\"exp\":1,"); }},
      {"LifetimeTooLong", [](const Forge& f) { return f.with_claim("exp", kForgeNow.count() + 3'601); }},
      {"IatInTheFuture",
       [](const Forge& f) { return f.with_claim("iat", kForgeNow.count() + 61); }},
      {"IatString", [](const Forge& f) { return f.with_claim("iat", "now"); }},
      {"IatFloat", [](const Forge& f) { return f.with_claim("iat", 1.5); }},
      // Who and for whom.
      {"IssMissing", [](const Forge& f) { return f.without_claim("iss"); }},
      {"IssWrong", [](const Forge& f) { return f.with_claim("iss", "https://other.example"); }},
      {"IssPrefix", [](const Forge& f) { return f.with_claim("iss", f.claims["iss"].get<std::string>() + "/"); }},
      {"IssInOtherCase",
       [](const Forge& f) {
         std::string issuer = f.claims["iss"];
         issuer[0] = static_cast<char>(issuer[0] ^ 0x20);
         return f.with_claim("iss", issuer);
       }},
      {"IssArray", [](const Forge& f) { return f.with_claim("iss", json::array({f.claims["iss"]})); }},
      {"IssNull", [](const Forge& f) { return f.with_claim("iss", nullptr); }},
      {"IssDuplicate", [](const Forge& f) { return raw_claims(f, "{\"iss\":\"x\","); }},
      {"AudMissing", [](const Forge& f) { return f.without_claim("aud"); }},
      {"AudWrong", [](const Forge& f) { return f.with_claim("aud", "other"); }},
      {"AudPrefix",
       [](const Forge& f) {
         const std::string audience = f.claims["aud"];
         return f.with_claim("aud", audience.substr(0, audience.size() - 1));
       }},
      {"AudLonger", [](const Forge& f) { return f.with_claim("aud", f.claims["aud"].get<std::string>() + ".evil"); }},
      {"AudEmptyArray", [](const Forge& f) { return f.with_claim("aud", json::array()); }},
      {"AudArrayOfOthers", [](const Forge& f) { return f.with_claim("aud", json::array({"a", "b"})); }},
      {"AudArrayWithNumber", [](const Forge& f) { return f.with_claim("aud", json::array({f.claims["aud"], 1})); }},
      {"AudObject", [](const Forge& f) { return f.with_claim("aud", {{"aud", f.claims["aud"]}}); }},
      {"AudNumber", [](const Forge& f) { return f.with_claim("aud", 1); }},
      {"SubMissing", [](const Forge& f) { return f.without_claim("sub"); }},
      {"SubEmpty", [](const Forge& f) { return f.with_claim("sub", ""); }},
      {"SubNumber", [](const Forge& f) { return f.with_claim("sub", 7); }},
      {"SubOverLimit", [](const Forge& f) { return f.with_claim("sub", std::string(65, 'a')); }},
      {"SubWithNul", [](const Forge& f) { return f.with_claim("sub", std::string("al\0ice", 6)); }},
      {"SubWithSpace", [](const Forge& f) { return f.with_claim("sub", "alice "); }},
      {"SubDuplicate", [](const Forge& f) { return raw_claims(f, "{\"sub\":\"mallory\","); }},
      {"SubDuplicateEscaped", [](const Forge& f) { return raw_claims(f, "{\"\\u0073ub\":\"mallory\","); }},
      {"DuplicateDeepInClaims", [](const Forge& f) { return raw_claims(f, "{\"x\":{\"a\":1,\"a\":2},"); }},
      // The form.
      {"Empty", [](const Forge&) { return std::string(); }},
      {"OnePart", [](const Forge& f) { return parts_of(f.honest())[0]; }},
      {"TwoParts",
       [](const Forge& f) {
         const auto parts = parts_of(f.honest());
         return parts[0] + "." + parts[1];
       }},
      {"FourParts", [](const Forge& f) { return f.honest() + ".AAAA"; }},
      {"FiveParts", [](const Forge& f) { return f.honest() + ".AAAA.AAAA"; }},
      {"DotsOnly", [](const Forge&) { return std::string(".."); }},
      {"TrailingDot", [](const Forge& f) { return f.honest() + "."; }},
      {"HeaderEmpty",
       [](const Forge& f) {
         const auto parts = parts_of(f.honest());
         return "." + parts[1] + "." + parts[2];
       }},
      {"PayloadEmpty", [](const Forge& f) { return f.token(f.header.dump(), ""); }},
      {"Padded", [](const Forge& f) { return f.honest() + "="; }},
      {"PaddedTwice", [](const Forge& f) { return f.honest() + "=="; }},
      {"SpaceBefore", [](const Forge& f) { return " " + f.honest(); }},
      {"SpaceAfter", [](const Forge& f) { return f.honest() + " "; }},
      {"NewlineAfter", [](const Forge& f) { return f.honest() + "\n"; }},
      {"NewlineInside",
       [](const Forge& f) {
         const auto parts = parts_of(f.honest());
         return parts[0] + ".\n" + parts[1] + "." + parts[2];
       }},
      {"NulAfter", [](const Forge& f) { return f.honest() + std::string(1, '\0'); }},
      {"StandardAlphabet",
       [](const Forge& f) {
         std::string token = f.with_claim("x", "~~~~~~\xC3\xBF>>>");
         bool changed = false;
         for (char& c : token) {
           changed = changed || c == '-' || c == '_';
           c = c == '-' ? '+' : c == '_' ? '/' : c;
         }
         return changed ? token : std::string("+/+/.+/+/.+/+/");
       }},
      {"TrailingBits",
       [](const Forge& f) {
         // The signatures of 64 and 256 bytes leave four and four unused bits in their last character.
         std::string token = f.honest();
         const char last = token.back();
         token.back() = last == 'A' ? 'B' : last == 'Q' ? 'R' : last == 'g' ? 'h' : 'x';
         return token;
       }},
      {"OfOneMiB", [](const Forge& f) { return f.with_claim("x", std::string(1 << 20, 'x')); }},
      {"JustOverLimit",
       [](const Forge& f) { return f.with_claim("x", std::string(limits::kTokenBytesMax * 3 / 4, 'x')); }},
      {"HeaderDeeplyNested", [](const Forge& f) { return raw_header(f, "{\"x\":" + nested(2'000) + ","); }},
      {"ClaimsDeeplyNested", [](const Forge& f) { return raw_claims(f, "{\"x\":" + nested(1'500) + ","); }},
      {"ClaimsNestedJustTooDeep",
       [](const Forge& f) { return raw_claims(f, "{\"x\":" + nested(limits::kJsonDepthMax) + ","); }},
      {"HeaderByteOrderMark", [](const Forge& f) { return f.token(kBom + f.header.dump(), f.claims.dump()); }},
      {"ClaimsByteOrderMark", [](const Forge& f) { return f.token(f.header.dump(), kBom + f.claims.dump()); }},
      {"HeaderSpaceAround", [](const Forge& f) { return f.token(" " + f.header.dump() + " ", f.claims.dump()); }},
      {"HeaderTrailingText", [](const Forge& f) { return f.token(f.header.dump() + "{}", f.claims.dump()); }},
      {"ClaimsTrailingText", [](const Forge& f) { return f.token(f.header.dump(), f.claims.dump() + "{}"); }},
      {"HeaderThatEndsAtAZeroByte",
       [](const Forge& f) { return f.token(f.header.dump() + std::string("\0{}", 3), f.claims.dump()); }},
      {"ClaimsThatEndAtAZeroByte",
       [](const Forge& f) { return f.token(f.header.dump(), f.claims.dump() + std::string("\0{}", 3)); }},
      {"HeaderArray", [](const Forge& f) { return f.token(json::array({f.header}).dump(), f.claims.dump()); }},
      {"ClaimsArray", [](const Forge& f) { return f.token(f.header.dump(), json::array({f.claims}).dump()); }},
      {"ClaimsNotJson", [](const Forge& f) { return f.token(f.header.dump(), "alice"); }},
      {"ClaimsWithComment", [](const Forge& f) { return raw_claims(f, "{/*x*/"); }},
      {"ClaimsTrailingComma",
       [](const Forge& f) {
         std::string claims = f.claims.dump();
         claims.insert(claims.size() - 1, ",");
         return f.token(f.header.dump(), claims);
       }},
      {"ClaimsInvalidUtf8", [](const Forge& f) { return raw_claims(f, "{\"x\":\"\xC0\xAF\","); }},
      {"ClaimsLoneSurrogate", [](const Forge& f) { return raw_claims(f, "{\"x\":\"\\ud800\","); }},
      {"HeaderUnicodeEscapedDuplicate", [](const Forge& f) { return raw_header(f, "{\"\\u0061lg\":\"none\","); }},
      // Tokens of another kind.
      {"RefreshToken", [](const Forge&) {
         const TokenWorld& world = TokenWorld::instance();
         return world.refresh.make(world.session);
       }},
      {"TokenOfTheOtherFamily",
       [](const Forge& f) {
         const TokenWorld& world = TokenWorld::instance();
         return f.name == "Access" ? world.app_forges[2].honest() : world.access_forge.honest();
       }},
      {"OtherServersToken",
       [](const Forge& f) {
         const TokenWorld& world = TokenWorld::instance();
         if (f.name != "Access") return world.access_forge.honest();
         SeededRandom random(9);
         return AccessTokens(Bytes(32, 'o'), {}).mint(world.session, testing::forge_now(), random).token;
       }},
  };
  return kAttacks;
}

std::vector<Forge> all_forges() {
  std::vector<Forge> forges = TokenWorld::instance().app_forges;
  forges.push_back(TokenWorld::instance().access_forge);
  return forges;
}

// ---- The table -----------------------------------------------------------------------------------------------------

class RefusedToken : public ::testing::TestWithParam<Attack> {};

TEST_P(RefusedToken, IsUnauthenticatedAndItsReasonQuotesNothing) {
  for (const Forge& forge : all_forges()) {
    const Status status = forge.verify(GetParam().token(forge));

    ASSERT_EQ(status.code(), Code::kUnauthenticated) << forge.name;
    EXPECT_EQ(status.error().detail.find("alice"), std::string::npos) << status.error().detail;
    EXPECT_EQ(status.error().detail.find("mallory"), std::string::npos) << status.error().detail;
    EXPECT_LT(status.error().detail.size(), 100U);
  }
}

INSTANTIATE_TEST_SUITE_P(AttackTable, RefusedToken, ::testing::ValuesIn(attacks()),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(TokenHeader, WithAParameterThatIsNotTakenIsRefusedForThat) {
  for (const Forge& forge : all_forges()) {
    const Status status = forge.verify(forge.with_header("crit", json::array({"exp"})));

    ASSERT_EQ(status.code(), Code::kUnauthenticated);
    EXPECT_EQ(status.error().detail, "token header has an unknown parameter");
  }
}

// What only our access tokens carry.
class RefusedAccessToken : public ::testing::TestWithParam<Attack> {};

TEST_P(RefusedAccessToken, IsUnauthenticated) {
  const Forge& forge = TokenWorld::instance().access_forge;
  EXPECT_EQ(forge.verify(GetParam().token(forge)).code(), Code::kUnauthenticated);
}

INSTANTIATE_TEST_SUITE_P(
    AttackTable, RefusedAccessToken,
    ::testing::Values(
        Attack{"DeviceMissing", [](const Forge& f) { return f.without_claim("did"); }},
        Attack{"DeviceNumber", [](const Forge& f) { return f.with_claim("did", 71); }},
        Attack{"DeviceZero", [](const Forge& f) { return f.with_claim("did", "0"); }},
        Attack{"DeviceLeadingZero", [](const Forge& f) { return f.with_claim("did", "071"); }},
        Attack{"DeviceSigned", [](const Forge& f) { return f.with_claim("did", "+71"); }},
        Attack{"DeviceAbove64Bits", [](const Forge& f) { return f.with_claim("did", "18446744073709551616"); }},
        Attack{"DeviceWithText", [](const Forge& f) { return f.with_claim("did", "71x"); }},
        Attack{"SessionMissing", [](const Forge& f) { return f.without_claim("sid"); }},
        Attack{"SessionEmpty", [](const Forge& f) { return f.with_claim("sid", ""); }},
        Attack{"TokenIdMissing", [](const Forge& f) { return f.without_claim("jti"); }},
        Attack{"IatMissing", [](const Forge& f) { return f.without_claim("iat"); }},
        Attack{"TypMissing", [](const Forge& f) { return f.without_header("typ"); }},
        Attack{"ExpiredThisSecond", [](const Forge& f) { return f.with_claim("exp", kForgeNow.count()); }},
        Attack{"LifetimeOneSecondTooLong", [](const Forge& f) { return f.with_claim("exp", kForgeNow.count() + 901); }},
        Attack{"AudArray", [](const Forge& f) { return f.with_claim("aud", json::array({"chatsdk"})); }}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

// What only assertions carry.
class RefusedAssertion : public ::testing::TestWithParam<Attack> {};

TEST_P(RefusedAssertion, IsUnauthenticated) {
  for (const Forge& forge : TokenWorld::instance().app_forges) {
    EXPECT_EQ(forge.verify(GetParam().token(forge)).code(), Code::kUnauthenticated) << forge.name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    AttackTable, RefusedAssertion,
    ::testing::Values(
        Attack{"NbfInTheFuture", [](const Forge& f) { return f.with_claim("nbf", kForgeNow.count() + 61); }},
        Attack{"NbfString", [](const Forge& f) { return f.with_claim("nbf", "now"); }},
        Attack{"NbfNegative", [](const Forge& f) { return f.with_claim("nbf", -5); }},
        Attack{"ExpiredBeyondTheLeeway", [](const Forge& f) { return f.with_claim("exp", kForgeNow.count() - 60); }},
        Attack{"KeyOfAnotherAlgorithm",
               [](const Forge& f) { return f.with_header("kid", f.key_id == "rsa-1" ? "p256-1" : "rsa-1"); }},
        Attack{"LifetimeTooLongWithoutIat",
               [](const Forge& f) {
                 json claims = f.claims;
                 claims.erase("iat");
                 claims["exp"] = kForgeNow.count() + 3'661;
                 return f.token(f.header.dump(), claims.dump());
               }}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

// ---- Mutations -----------------------------------------------------------------------------------------------------

std::string mutated(std::string token, SeededRandom& random) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ";
  const std::uint64_t changes = 1 + random.below(3);
  for (std::uint64_t i = 0; i < changes; ++i) {
    const std::size_t at = random.below(token.size());
    const char drawn = kAlphabet[random.below(kAlphabet.size())];
    switch (random.below(6)) {
      case 0:
        token[at] = static_cast<char>(token[at] ^ (1 << random.below(8)));
        break;
      case 1:
        token[at] = drawn;
        break;
      case 2:
        token.insert(at, 1, drawn);
        break;
      case 3:
        token.erase(at, 1 + random.below(4));
        break;
      case 4:
        std::swap(token[at], token[random.below(token.size())]);
        break;
      default:
        token.insert(at, token.substr(random.below(token.size()), random.below(16)));
        break;
    }
    if (token.empty()) token = ".";
  }
  return token;
}

TEST(TokenMutations, NoneOfTwoThousandIsAccepted) {
  constexpr std::uint64_t kSeed = 20'240'117;
  SeededRandom random(kSeed);
  for (const Forge& forge : all_forges()) {
    const std::string honest = forge.honest();
    ASSERT_TRUE(forge.verify(honest).ok()) << forge.name;
    int tried = 0;
    while (tried < 2'000) {
      const std::string token = mutated(honest, random);
      if (token == honest) continue;
      ++tried;
      ASSERT_EQ(forge.verify(token).code(), Code::kUnauthenticated)
          << "seed " << kSeed << ", " << forge.name << ": " << token;
    }
  }
}

}  // namespace
}  // namespace chatsdk::server
