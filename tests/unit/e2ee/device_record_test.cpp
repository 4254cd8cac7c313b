// SPDX-License-Identifier: Apache-2.0
#include "e2ee/device_record.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "base/limits.h"
#include "unit/e2ee/people.h"

namespace chatsdk::e2ee {
namespace {

// The fields of a record as they are written, right or wrong, and then signed.
struct RecordFields {
  std::uint8_t version = 1;
  UserId user_id = "alice";
  std::uint64_t device_id = 1;
  std::uint32_t registration_id = 1;
  std::uint8_t signing_kind = 1;
  SigningKey signing_key = signing_key_of(secret_of<32>(0x12));
  std::uint8_t agreement_kind = 2;
  AgreementKey agreement_key = public_of(secret_of<32>(0x13));
  std::uint32_t suites = 1;
  Bytes sealed_name;
};
Bytes written_record(const RecordFields& fields) {
  Writer writer;
  writer.u8(fields.version).user(fields.user_id).u64(fields.device_id).u32(fields.registration_id);
  writer.u8(fields.signing_kind).raw(fields.signing_key).u8(fields.agreement_kind).raw(fields.agreement_key);
  writer.u32(fields.suites).u64(kThen).lp(fields.sealed_name);
  writer.raw(sign(secret_of<32>(0x12), label::kSigDevice, writer.view()));
  return writer.take();
}

std::optional<DeviceRecord> record_of_alice(BytesView bytes) {
  return valid_device_record(bytes, "alice", DeviceId{1});
}

TEST(DeviceRecord, HasTheBytesOfTheSpecification) {
  const DeviceRecord record_of_alice = alice().record;
  EXPECT_EQ(record_of_alice.bytes.size(), 304U);
  EXPECT_EQ(to_hex(record_of_alice.hash.view()), "71cb36bcba60bfa04f6a1ed9c0efdd5576f6ac3c6fdd2e545a8eadb6f88cb000");
  const DeviceRecord of_bob = bob().record;
  EXPECT_EQ(of_bob.bytes.size(), 166U);
  EXPECT_EQ(to_hex(of_bob.hash.view()), "a5918687b933aa380febaeedf907d1dc98966da11e90396e2f7eefd6c8668e0f");
}

TEST(DeviceRecord, ReadsWhatWasMade) {
  const Person alice = e2ee::alice();

  const auto record = record_of_alice(alice.record.bytes);

  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->user_id, "alice");
  EXPECT_EQ(record->device_id, DeviceId{1});
  EXPECT_EQ(record->registration_id, 0x01020304U);
  EXPECT_EQ(record->signing_key, signing_key_of(alice.keys.signing_seed));
  EXPECT_EQ(record->agreement_key, public_of(alice.keys.agreement_secret));
  EXPECT_EQ(record->suites, 1U);
  EXPECT_EQ(record->created_ms, kThen);
  EXPECT_EQ(record->hash, alice.record.hash);
}

TEST(DeviceRecord, IsTakenWholeOrNotAtAll) { expect_whole_or_nothing(alice().record.bytes, record_of_alice); }

TEST(DeviceRecord, RefusesEachFieldThatIsNotAsStated) {
  ASSERT_TRUE(record_of_alice(written_record({})).has_value());
  const struct {
    const char* name;
    std::function<void(RecordFields&)> spoil;
  } cases[] = {
      {"version 0", [](RecordFields& f) { f.version = 0; }},
      {"version 2", [](RecordFields& f) { f.version = 2; }},
      {"empty user", [](RecordFields& f) { f.user_id.clear(); }},
      {"user of 65 bytes", [](RecordFields& f) { f.user_id.assign(65, 'a'); }},
      {"user that is no UTF-8", [](RecordFields& f) { f.user_id = "\xFF"; }},
      {"other user", [](RecordFields& f) { f.user_id = "alicf"; }},
      {"device 0", [](RecordFields& f) { f.device_id = 0; }},
      {"other device", [](RecordFields& f) { f.device_id = 2; }},
      {"registration_id 0", [](RecordFields& f) { f.registration_id = 0; }},
      {"DSK of another kind", [](RecordFields& f) { f.signing_kind = 2; }},
      {"DSK of low order", [](RecordFields& f) { f.signing_key = SigningKey{}; }},
      {"DSK of another device", [](RecordFields& f) { f.signing_key = signing_key_of(secret_of<32>(0x22)); }},
      {"DAK of another kind", [](RecordFields& f) { f.agreement_kind = 1; }},
      {"DAK of low order", [](RecordFields& f) { f.agreement_key = AgreementKey{}; }},
      {"DAK not canonical", [](RecordFields& f) { f.agreement_key = fixed_of<AgreementKey>(0xFF); }},
      {"no suite", [](RecordFields& f) { f.suites = 0; }},
      {"suite 2 alone", [](RecordFields& f) { f.suites = 2; }},
      {"name of 1 byte", [](RecordFields& f) { f.sealed_name = Bytes(1, 'n'); }},
      {"name of 135 bytes", [](RecordFields& f) { f.sealed_name = Bytes(135, 'n'); }},
      {"name of 137 bytes", [](RecordFields& f) { f.sealed_name = Bytes(137, 'n'); }},
  };
  for (const auto& bad : cases) {
    RecordFields fields;
    bad.spoil(fields);
    EXPECT_FALSE(record_of_alice(written_record(fields)).has_value()) << bad.name;
  }
}

TEST(DeviceRecord, TakesWhatOnlyLooksUnusual) {
  RecordFields later_suites;
  later_suites.suites = 0xFFFFFFFF;
  RecordFields name_that_opens_nowhere;
  name_that_opens_nowhere.sealed_name = Bytes(136, 'n');
  EXPECT_TRUE(record_of_alice(written_record(later_suites)).has_value());
  EXPECT_TRUE(record_of_alice(written_record(name_that_opens_nowhere)).has_value());
}

TEST(DeviceRecord, RefusesEachChangedByte) {
  const Bytes good = alice().record.bytes;
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 0x04);
    EXPECT_FALSE(record_of_alice(changed).has_value()) << "byte " << at;
  }
}

TEST(DeviceRecord, SpeaksTheHighestSuiteThatBothAndThisLibraryKnow) {
  RecordFields later_suites;
  later_suites.suites = 0xFFFFFFFF;
  const DeviceRecord later = record_of_alice(written_record(later_suites)).value();
  EXPECT_EQ(common_suite(later, later), 1);
  EXPECT_EQ(common_suite(bob().record, later), 1);
}

TEST(DeviceKeys, AreDrawnInTheirOrder) {
  SeededRandom random(1);
  SeededRandom same(1);
  Bytes drawn;
  for (const std::size_t size : {4U, 32U, 32U}) drawn.append(same.bytes(size));

  const DeviceKeys keys = DeviceKeys::draw(random);

  Writer writer;
  writer.u32(keys.registration_id).raw(view(keys.signing_seed)).raw(view(keys.agreement_secret));
  EXPECT_EQ(writer.view(), drawn);
}

TEST(DeviceKeys, HaveARegistrationIdThatIsNotZero) {
  class ZerosFirst final : public Random {
   public:
    void fill(std::span<unsigned char> out) override {
      for (auto& byte : out) byte = calls_ < 2 ? 0 : 7;
      ++calls_;
    }

   private:
    int calls_ = 0;
  } random;

  EXPECT_EQ(DeviceKeys::draw(random).registration_id, 0x07070707U);
}

class DeviceName : public testing::Test {
 protected:
  Bytes sealed(std::string_view field) const {
    Writer whose;
    whose.label(label::kName).user("alice").u64(1).u32(0x01020304);
    return seal(hkdf<64>(no_salt(), view(seed_), {whose.view()}), Nonce{}, field, {});
  }
  std::optional<std::string> open(BytesView sealed_name) const { return open_device_name(sealed_name, seed_, device_); }

  SigningSeed seed_ = secret_of<32>(0x11);
  NamedDevice device_{"alice", DeviceId{1}, 0x01020304};
};

TEST_F(DeviceName, OpensForTheAccountKey) { EXPECT_EQ(open(alice().record.sealed_name), "Alice's phone"); }

TEST_F(DeviceName, OpensForItsDeviceAndItsKeysOnly) {
  const Bytes name = alice().record.sealed_name;
  EXPECT_FALSE(open_device_name(name, secret_of<32>(0x21), device_).has_value());
  EXPECT_FALSE(open_device_name(name, seed_, {"alicf", DeviceId{1}, 0x01020304}).has_value());
  EXPECT_FALSE(open_device_name(name, seed_, {"alice", DeviceId{2}, 0x01020304}).has_value());
  EXPECT_FALSE(open_device_name(name, seed_, {"alice", DeviceId{1}, 0x01020305}).has_value());
}

TEST_F(DeviceName, IsOpenedWholeOrNotAtAll) {
  expect_whole_or_nothing(alice().record.sealed_name, [this](BytesView name) { return open(name); });
}

TEST_F(DeviceName, BoundsItsLength) {
  const std::string longest(limits::e2ee::kDeviceNameBytesMax, 'n');
  EXPECT_EQ(seal_device_name("", seed_, device_, Nonce{}).code(), Code::kInvalidArgument);
  EXPECT_EQ(open(seal_device_name("n", seed_, device_, Nonce{}).value()), "n");
  EXPECT_EQ(open(seal_device_name(longest, seed_, device_, Nonce{}).value()), longest);
  EXPECT_EQ(seal_device_name(longest + "n", seed_, device_, Nonce{}).code(), Code::kInvalidArgument);
  EXPECT_EQ(seal_device_name("\xFF", seed_, device_, Nonce{}).code(), Code::kInvalidArgument);
}

TEST_F(DeviceName, IsNoneWhereItsFieldIsNotAsStated) {
  ASSERT_EQ(open(sealed("\x01n" + Bytes(62, '\0'))), "n");
  EXPECT_FALSE(open(sealed(Bytes(64, '\0'))).has_value());               // length 0
  EXPECT_FALSE(open(sealed("\x40" + Bytes(63, 'n'))).has_value());       // longer than the field
  EXPECT_FALSE(open(sealed("\x01nn" + Bytes(61, '\0'))).has_value());    // a byte behind it
  EXPECT_FALSE(open(sealed("\x01\xFF" + Bytes(62, '\0'))).has_value());  // no UTF-8
  EXPECT_FALSE(open(sealed("\x01n" + Bytes(61, '\0'))).has_value());     // a field of 63 bytes
  EXPECT_FALSE(open({}).has_value());
}

}  // namespace
}  // namespace chatsdk::e2ee
