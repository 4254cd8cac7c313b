// SPDX-License-Identifier: Apache-2.0
//
// A whole linking (docs/e2ee.md section 12): the new device and a listed one, each with the client's REST calls, and
// the server's REST core between them.
//
// Threads: one.
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <utility>

#include "e2ee/linking.h"
#include "engine/rest_api.h"
#include "unit/server/key_people.h"

namespace chatsdk::server {
namespace {

using testing::KeyDevice;
using testing::KeyUser;
using testing::KeyWorld;
using testing::upload_of;

constexpr std::string_view kServer = "http://server.test";

// The client's HTTP with the server's REST service at its other end.
class DirectHttp final : public HttpClient {
 public:
  explicit DirectHttp(testing::RestWorld& world) : world_(world) {}

  RequestId request(HttpRequest request, Callback callback) override {
    const RequestId id = ++last_;
    open_.insert(id);
    request.url.erase(0, kServer.size());
    world_.rest->handle(std::move(request), "192.0.2.1",
                        [this, id, callback = std::move(callback)](HttpResponse response) mutable {
                          if (open_.erase(id) != 0) callback(std::move(response));
                        });
    return id;
  }
  void cancel(RequestId id) override { open_.erase(id); }

 private:
  testing::RestWorld& world_;
  std::set<RequestId> open_;
  RequestId last_ = 0;
};

class LinkFlow : public ::testing::Test {
 protected:
  std::uint64_t now_ms() const { return static_cast<std::uint64_t>(to_unix_ms(world_.clock.wall_now())); }
  e2ee::KnownUser known() const {
    e2ee::KnownUser known;
    known.user_id = ann_.user_id;
    known.account_key = ann_.newest->account_key;
    known.lists = {*ann_.newest};
    known.records.emplace(phone_.record.hash, phone_.record);
    return known;
  }

  Code put(const KeyDevice& by, const e2ee::LinkId& link, LinkStep step, BytesView message) {
    std::optional<Code> code;
    api_.put_link_message(by.token, link.view(), step, message, [&](const Status& done) { code = done.code(); });
    world_.run();
    return code.value();
  }
  Result<Bytes> get(const KeyDevice& by, const e2ee::LinkId& link, LinkStep step) {
    std::optional<Result<Bytes>> got;
    api_.link_message(by.token, link.view(), step, [&](Result<wire::LinkMessage> answer) {
      got.emplace(answer.ok() ? Result<Bytes>(answer->message()) : Result<Bytes>(answer.error()));
    });
    world_.run();
    return got.value();
  }

  KeyWorld world_;
  DirectHttp http_{world_};
  RestApi api_{http_, std::string(kServer)};
  KeyUser& ann_ = world_.add_reachable("ann");
  KeyDevice& phone_ = ann_.device();
  KeyDevice& laptop_ = world_.add_device(ann_);
};

TEST_F(LinkFlow, GivesTheNewDeviceTheAccountKeyAndItListsItself) {
  const e2ee::KnownUser own = known();
  auto shown = e2ee::LinkNew::start("ann", laptop_.id, "laptop", now_ms(), world_.random);
  ASSERT_TRUE(shown.ok());
  const e2ee::LinkId link = e2ee::parse_link_text(shown->text())->link_id;
  EXPECT_EQ(get(laptop_, link, LinkStep::kOffer).code(), Code::kNotFound);

  auto scanned = e2ee::LinkOld::scan(shown->text(), {ann_.user_id, phone_.id, &own}, now_ms(), world_.random);
  ASSERT_TRUE(scanned.ok());
  ASSERT_EQ(put(phone_, link, LinkStep::kOffer, scanned->offer()), Code::kOk);

  const auto offer = get(laptop_, link, LinkStep::kOffer);
  ASSERT_TRUE(offer.ok());
  const auto reveal = shown->reveal(*offer, nullptr, world_.random);
  ASSERT_TRUE(reveal.ok());
  ASSERT_EQ(put(laptop_, link, LinkStep::kReveal, *reveal), Code::kOk);

  ASSERT_TRUE(scanned->check(get(phone_, link, LinkStep::kReveal).value()).ok());
  EXPECT_EQ(scanned->code(), shown->code());
  EXPECT_EQ(scanned->name(), "laptop");
  EXPECT_EQ(get(laptop_, link, LinkStep::kGrant).code(), Code::kNotFound) << "the user has not confirmed";
  const auto grant = scanned->confirm(ann_.account_seed, *ann_.newest, world_.random);
  ASSERT_TRUE(grant.ok());
  ASSERT_EQ(put(phone_, link, LinkStep::kGrant, *grant), Code::kOk);

  const auto granted = shown->finish(get(laptop_, link, LinkStep::kGrant).value());
  ASSERT_TRUE(granted.ok());
  EXPECT_EQ(to_hex(e2ee::view(granted->account_seed)), to_hex(e2ee::view(ann_.account_seed)));
  EXPECT_EQ(granted->list, *ann_.newest);

  // The new device lists itself, and the old one finds in the list whom it has confirmed.
  const auto record = e2ee::make_device_record({"ann", laptop_.id, e2ee::kSuitesSpoken, now_ms(), {}}, granted->keys);
  const auto next = e2ee::next_device_list(granted->list, granted->account_seed, {&record, 1}, {}, now_ms());
  ASSERT_TRUE(next.ok());
  ASSERT_EQ(world_.post("/v1/keys/lists", laptop_.token, upload_of({*next}, {record})).status, 204);
  const wire::DeviceLists lists = world_.lists_of(phone_, "ann", &*ann_.newest);
  ASSERT_EQ(lists.users(0).records_size(), 2);
  int confirmed = 0;
  for (const Bytes& bytes : lists.users(0).records()) {
    const auto listed = e2ee::parse_device_record(bytes);
    ASSERT_TRUE(listed.has_value());
    confirmed += scanned->let_in(*ann_.newest).is(*listed) ? 1 : 0;
  }
  EXPECT_EQ(confirmed, 1);

  // What was left without an answer is left again, also now that the new device is listed.
  EXPECT_EQ(put(laptop_, link, LinkStep::kReveal, *reveal), Code::kOk);
  EXPECT_EQ(put(phone_, link, LinkStep::kGrant, *grant), Code::kOk);
}

TEST_F(LinkFlow, EndsWithItsText) {
  auto shown = e2ee::LinkNew::start("ann", laptop_.id, "", now_ms(), world_.random);
  const e2ee::LinkId link = e2ee::parse_link_text(shown->text())->link_id;
  const auto scanned = e2ee::LinkOld::scan(shown->text(), {ann_.user_id, phone_.id, nullptr}, now_ms(), world_.random);
  ASSERT_EQ(put(phone_, link, LinkStep::kOffer, scanned->offer()), Code::kOk);
  const Bytes reveal = shown->reveal(get(laptop_, link, LinkStep::kOffer).value(), nullptr, world_.random).value();
  world_.clock.advance(limits::e2ee::kLinkValid);
  EXPECT_EQ(get(laptop_, link, LinkStep::kOffer).code(), Code::kNotFound);
  EXPECT_EQ(put(laptop_, link, LinkStep::kReveal, reveal), Code::kConflict);
}

}  // namespace
}  // namespace chatsdk::server
