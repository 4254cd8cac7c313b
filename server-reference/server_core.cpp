// SPDX-License-Identifier: Apache-2.0
#include "server-reference/server_core.h"

#include <utility>

#include "base/limits.h"
#include "base/wipe.h"

namespace chatsdk::server {

ServerCore::ServerCore(ServerCoreOptions options, ServerSeams seams, Store& store)
    : options_(std::move(options)), seams_(std::move(seams)), store_(store, write_health_) {}

ServerCore::~ServerCore() { stop(); }

Result<std::unique_ptr<ServerCore>> ServerCore::create(ServerCoreOptions options, ServerSeams seams, Store& store) {
  std::unique_ptr<ServerCore> core(new ServerCore(std::move(options), std::move(seams), store));
  CHATSDK_TRY(core->open());
  return core;
}

Status ServerCore::open() {
  CHATSDK_TRY(check_password_cost(options_.accounts.password_cost));
  CHATSDK_ASSIGN(gateway_reader_, store_.open_reader());
  CHATSDK_ASSIGN(rest_reader_, store_.open_reader());
  Bytes secret = store_.secret();
  const WipeAtEnd wiped(secret);  // the keys that are derived from it wipe themselves
  access_tokens_ = std::make_unique<AccessTokens>(secret, options_.access_tokens);
  refresh_tokens_ = std::make_unique<RefreshTokens>(secret);
  return {};
}

SubmitWrite ServerCore::submit() {
  return [this](WriteOp op, OnWritten on_written, Executor& reply_on) {
    committer_->submit(std::move(op), std::move(on_written), reply_on);
  };
}

void ServerCore::start(UniqueFunction<void(const Error&)> on_fatal) {
  seams_.run_on(seams_.writer, [&] {
    committer_ = std::make_unique<Committer>(store_, seams_.writer, seams_.log, options_.commit);
    committer_->set_on_fatal(std::move(on_fatal));
    delivery_ = std::make_unique<DeliveryService>(seams_.bus, seams_.writer, seams_.log);
    committer_->set_observer(delivery_.get());
    marks_ = std::make_unique<MarksService>(submit(), seams_.writer, seams_.log);
    purge_ = std::make_unique<RecordPurge>(submit(), seams_.writer, seams_.log);
    purge_->start();
    encryption_upkeep_ = std::make_unique<EncryptionUpkeep>(submit(), seams_.writer);
    encryption_upkeep_->start();
  });
  seams_.run_on(seams_.rest, [&] {
    RestOptions rest;
    rest.trusted_proxies = options_.trusted_proxies;
    rest.gateways.push_back({options_.websocket_url, "", 0});
    accounts_ = std::make_unique<AccountService>(
        AccountService::Parts{seams_.rest, *rest_reader_, submit(), seams_.hash_workers, seams_.bus, *access_tokens_,
                              *refresh_tokens_, options_.app_keys.get(), seams_.random, seams_.log, &write_health_},
        options_.accounts);
    keys_ = std::make_unique<KeyDirectory>(
        KeyDirectory::Parts{seams_.rest, *rest_reader_, submit(), seams_.hash_workers, seams_.bus, seams_.log,
                            [this] { encryption_upkeep_->rosters_due(); }},
        options_.keys);
    links_ =
        std::make_unique<LinkMailboxes>(LinkMailboxes::Parts{seams_.rest, *rest_reader_, submit()}, options_.links);
    groups_ =
        std::make_unique<GroupService>(GroupService::Parts{seams_.rest, *rest_reader_, submit()}, options_.groups);
    rest_service_ = std::make_unique<RestService>(
        seams_.rest, RestService::Services{*accounts_, *keys_, *links_, *groups_}, std::move(rest), seams_.log);
  });
  gateways_.resize(seams_.shards.size());
  for (std::size_t i = 0; i < gateways_.size(); ++i) make_gateway(i);
}

void ServerCore::make_gateway(std::size_t shard) {
  Executor& executor = *seams_.shards[shard];
  seams_.run_on(executor, [&] {
    gateways_[shard] = std::make_unique<Gateway>(
        GatewayParts{executor, seams_.bus, seams_.reader, *gateway_reader_, submit(), *marks_, *access_tokens_,
                     directory_, seams_.random.jitter, seams_.log, store_.epoch()},
        options_.gateway);
  });
}

void ServerCore::drain(Task drained) {
  drain_sessions([this, drained = std::move(drained)]() mutable { write_out(std::move(drained)); });
}

void ServerCore::drain_sessions(Task ended) {
  sessions_ended_ = std::move(ended);
  rest_service_->set_draining();
  gateways_to_drain_ = gateways_.size();
  for (std::size_t i = 0; i < gateways_.size(); ++i) {
    seams_.shards[i]->post([this, i] {
      gateways_[i]->drain([this] {
        if (gateways_to_drain_.fetch_sub(1) == 1) std::exchange(sessions_ended_, {})();
      });
    });
  }
}

// What devices acknowledged last is written before the committer closes.
void ServerCore::write_out(Task written) {
  marks_->flush([this, written = std::move(written)]() mutable { committer_->drain(std::move(written)); });
}

void ServerCore::see_levels(const std::function<void(const Level&)>& see) const {
  see({"writes that wait for a commit", committer_->queued(), options_.commit.queue_max});
  see({"bytes of writes", committer_->held_bytes(), options_.commit.queue_bytes_max});
  see({"marks gathered", marks_->claims(), limits::kMarkClaimsMax});
  see({"cursors gathered", marks_->cursors(), limits::kMarkClaimsMax});
  see({"entries of an account rate limit", accounts_->rated(), options_.accounts.rate_buckets_max});
  see({"entries of a key directory's rate limit", keys_->rated(), options_.keys.rate_buckets_max});
  see({"uploads of keys that are checked", keys_->checks_in_flight(), options_.keys.checks_in_flight_max});
  see({"entries of the linkings' rate limit", links_->rated(), options_.links.rate_buckets_max});
  see({"entries of the groups' rate limits", groups_->rated(), options_.groups.rate_buckets_max});
  for (const auto& gateway : gateways_) {
    if (gateway == nullptr) continue;
    const Gateway::Fullest most = gateway->fullest();
    see({"items in a delivery window", most.window_items, options_.gateway.window_items});
    see({"bytes in a delivery window", most.window_bytes, options_.gateway.window_bytes});
    see({"sends that a connection waits for", most.sends_in_flight, options_.gateway.sends_in_flight});
  }
}

void ServerCore::stop() {
  gateways_.clear();
  rest_service_.reset();
  groups_.reset();
  links_.reset();
  keys_.reset();
  accounts_.reset();
  encryption_upkeep_.reset();
  purge_.reset();
  marks_.reset();
  committer_.reset();
  delivery_.reset();
}

}  // namespace chatsdk::server
