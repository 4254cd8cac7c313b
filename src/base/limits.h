// SPDX-License-Identifier: Apache-2.0
//
// Every limit of chatsdk, with its reason, in one place. Both sides derive from these.
//
// What an app or a peer can run into has a test below, at and above it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace chatsdk::limits {

using namespace std::chrono_literals;

// ---- Names and ids -------------------------------------------------------------------------------------------------
inline constexpr std::size_t kUserIdBytesMax = 64;  // fits an index key and every id scheme in use
inline constexpr std::size_t kDeviceNameBytesMax = 128;
inline constexpr std::size_t kThreadNameBytesMax = 10;  // Linux keeps 15 bytes of a name, and what is added takes five
inline constexpr std::size_t kEmailBytesMax = 254;      // RFC 5321 section 4.5.3.1, less the angle brackets
inline constexpr std::size_t kPhoneBytesMax = 16;       // E.164: '+' and 15 digits
inline constexpr std::size_t kPasswordBytesMin = 8;     // NIST SP 800-63B section 5.1.1.1
inline constexpr std::size_t kPasswordBytesMax = 1024;  // bounds the work of one hash
inline constexpr std::size_t kClientMessageIdBytes = 16;
inline constexpr std::size_t kInstallationIdBytes = 16;
inline constexpr std::size_t kRequestIdBytes = 16;
inline constexpr std::size_t kDisplayNameBytesMax = 256;
inline constexpr std::size_t kEmailLocalBytesMax = 64;  // RFC 5321 section 4.5.3.1.1
inline constexpr std::size_t kUrlBytesMax = 2'048;      // of a server or gateway; every HTTP server takes as much
inline constexpr std::size_t kHostBytesMax = 253;       // RFC 1035 section 2.3.4, in text form
inline constexpr std::size_t kPathBytesMax = 4'096;     // of a file that the app names; what Linux opens
// Of a store's path once it begins at the root, and of its last part. SQLite holds 512 bytes and file systems 255, of
// which the names of the files beside the store ("-journal", ".corrupt-<n>") need the rest.
inline constexpr std::size_t kStorePathBytesMax = 500;
inline constexpr std::size_t kStoreNameBytesMax = 240;

// ---- Message content -----------------------------------------------------------------------------------------------
inline constexpr std::size_t kTextBytesDefault = 65'536;
inline constexpr std::size_t kTextBytesMax = 524'288;  // 100,000 characters of any script

// A content is its text and the fields around it; an item adds ids and names; a frame adds its envelope.
constexpr std::size_t content_bytes_max(std::size_t text_bytes_max) { return text_bytes_max + 1'024; }
constexpr std::size_t item_bytes_max(std::size_t text_bytes_max) { return content_bytes_max(text_bytes_max) + 1'024; }
// Its fields beside the text: docs/content.md section 8.
namespace content {
inline constexpr std::size_t kQuoteBytesMax = 256;
inline constexpr std::size_t kFallbackBytesMax = 512;
inline constexpr std::size_t kMentionsMax = 50;
inline constexpr std::size_t kReactionKeysMax = 8;       // of one member
inline constexpr std::size_t kReactionKeyBytesMax = 64;  // the longest sequence of an emoji has 35, a name of the app's
inline constexpr std::size_t kNameBytesMax = 256;        // of a place or a contact
inline constexpr std::size_t kAddressBytesMax = 512;
inline constexpr std::size_t kContactEntriesMax = 8;  // phones, and e-mails
inline constexpr std::size_t kContactPhoneBytesMax = 32;
inline constexpr std::size_t kStickerNameBytesMax = 128;
inline constexpr std::size_t kEmojiBytesMax = 64;
inline constexpr std::size_t kTypeBytesMax = 128;
inline constexpr std::uint32_t kExpirySecondsMax = 31'536'000;
}  // namespace content
// A hello that names kHelloCursorsMax streams. Who has not greeted yet sends nothing larger.
inline constexpr std::size_t kFirstFrameBytesMax = 131'072;
// Slices of an encrypted item in one frame: their number, and their bytes unless one alone has more.
inline constexpr std::size_t kSlicesChunk = 128;
inline constexpr std::size_t kSlicesChunkBytes = 262'144;
// A pairwise message of a content: up to 256 bytes of envelope, less than a sixteenth of padding, 2,048 of message.
constexpr std::size_t slice_bytes_max(std::size_t text_bytes_max) {
  const std::size_t envelope = content_bytes_max(text_bytes_max) + 256;
  const std::size_t message = envelope + envelope / 16 + 64 + 2'048;
  constexpr std::size_t kLargest = 542'720;  // e2ee::kMessageMax
  return message < kLargest ? message : kLargest;
}
constexpr std::size_t client_frame_bytes_max(std::size_t text_bytes_max) {
  const std::size_t slice = slice_bytes_max(text_bytes_max);
  const std::size_t slices = (slice > kSlicesChunkBytes ? slice : kSlicesChunkBytes) + 4'096;
  const std::size_t send = item_bytes_max(text_bytes_max) + 1'024;
  return send > slices ? send : slices;
}
static_assert(kFirstFrameBytesMax <= client_frame_bytes_max(1));
inline constexpr std::size_t kItemsPerFrameMax = 64;
inline constexpr std::size_t kItemsBytesPerFrame = 262'144;  // a page closes at this size, or after one larger item
constexpr std::size_t server_frame_bytes_max(std::size_t text_bytes_max) {
  return kItemsBytesPerFrame + item_bytes_max(text_bytes_max) + 4'096;
}

// ---- Groups --------------------------------------------------------------------------------------------------------
namespace groups {
inline constexpr std::size_t kIdBytes = 16;            // of a group, an invitation's token, an operation
inline constexpr std::size_t kInvitationIdBytes = 32;  // the hash of its token
inline constexpr std::size_t kNameBytesMax = 256;
inline constexpr std::size_t kDescriptionBytesMax = 4'096;
inline constexpr std::size_t kPictureBytesMax = 1'024;  // a reference
inline constexpr std::size_t kMembersDefault = 200;     // of one group, unless the server is told otherwise
inline constexpr std::size_t kMembersMax = 1'000;       // that it may be told
inline constexpr std::size_t kPerUserMax = 1'000;       // below kHelloCursorsMax
inline constexpr std::size_t kInvitationsMax = 20;      // of one group
inline constexpr std::size_t kRequestsMax = 100;        // to join one group
inline constexpr std::size_t kRequestsPerUserMax = 20;  // of one user
inline constexpr std::size_t kOperationsMax = 1'000;    // of one device, that are not answered or not told
inline constexpr std::size_t kMemberPageDefault = 100;
inline constexpr std::size_t kMemberPageMax = 500;
// Of one user: a burst at once, and one more each time the refill has passed.
inline constexpr std::uint32_t kChangeBurst = 30;
inline constexpr auto kChangeRefill = 2s;
inline constexpr std::uint32_t kCreateBurst = 20;
inline constexpr auto kCreateRefill = 60s;
inline constexpr std::uint32_t kAddBurst = 2 * kMembersMax;  // members that one user adds
inline constexpr auto kAddRefill = 1s;
inline constexpr std::uint32_t kJoinBurst = 30;  // looks at invitations, and joins
inline constexpr auto kJoinRefill = 2s;
inline constexpr std::uint32_t kReadBurst = 200;
inline constexpr auto kReadRefill = 100ms;
}  // namespace groups

// ---- Delivery window -----------------------------------------------------------------------------------------------
// Unacknowledged items in flight to one device: four pages, so that pages are on their way while one is committed.
inline constexpr std::size_t kWindowItemsMax = 256;
inline constexpr std::size_t kWindowBytesMax = 262'144;
inline constexpr std::size_t kSendWindow = 16;         // unanswered sends of one device in one conversation
inline constexpr std::size_t kSendsInFlightMax = 256;  // unanswered sends of one connection, all conversations
// Their content; above it the connection is not read. Two of the largest texts: one is sent while one is stored; or a
// full window of messages of 4 KB.
inline constexpr std::size_t kSendsInFlightBytesMax = 1'048'576;
inline constexpr std::uint64_t kSendNumberMax = std::uint64_t{1} << 60;  // a server that names a higher one is mistaken
inline constexpr std::size_t kHelloCursorsMax = 4'096;                   // streams not named come from memberships
inline constexpr std::size_t kStreamsPerAckMax = 256;
inline constexpr std::uint32_t kFramesPerSecond = 20'000;  // of one connection; several times a busy device's
inline constexpr std::uint32_t kFramesBurst = 40'000;

// ---- Server queues and batches -------------------------------------------------------------------------------------
inline constexpr std::size_t kCommitBatchMax = 64;               // messages that share one fsync
inline constexpr std::size_t kCommitOpsMax = 512;                // writes of all kinds in one transaction
inline constexpr std::size_t kCommitBatchBytesMax = 8'388'608;   // a full batch of the default's largest texts and more
inline constexpr std::size_t kCommitQueueMax = 16'384;           // more and the server answers UNAVAILABLE
inline constexpr std::size_t kCommitQueueBytesMax = 67'108'864;  // likewise: a full queue of messages of 4 KB
inline constexpr std::size_t kBusInboxMessagesMax = 65'536;      // of one shard; it is healed by digests and the store
inline constexpr std::size_t kBusInboxBytesMax = 33'554'432;     // of their frames: a full inbox of messages of 400 B
inline constexpr std::size_t kMarkClaimsMax = 65'536;            // some seconds of every user of a full server
inline constexpr std::size_t kMarkClaimsPerUserMax = 8'192;      // between two flushes; twice what one hello can name
inline constexpr std::size_t kMarkRangesMax = 4;  // with gaps between them, of a user in one conversation
inline constexpr std::size_t kConnectionWriteBytesMax = 1'048'576;  // a peer that reads slower is closed
inline constexpr std::size_t kRequestBodyBytesMax = 65'536;         // REST bodies; 51 KEM prekeys in protobuf
inline constexpr std::size_t kDevicesPerUserMax = 32;
inline constexpr std::size_t kPurgeRecordsMax = 512;       // deduplication records that one write looks at
inline constexpr std::size_t kMarksPerFrameMax = 256;      // about 20 KB with long names
inline constexpr std::size_t kDigestStreamsMax = 65'536;   // a digest of this many streams is published at once
inline constexpr std::size_t kDigestsWaitingMax = 16;      // of one shard; the store heals the want of a later one
inline constexpr std::size_t kCachedStreamsMax = 32'768;   // a state takes some 400 bytes: under 16 MB
inline constexpr std::size_t kCachedSessionsMax = 65'536;  // of senders; an entry takes some 50 bytes
// Lines of the log for what is refused again and again, in half a second: sends and voids of one connection, requests
// of one kind, and kinds (or connections) beside each other.
inline constexpr auto kRefusalWindow = 500ms;
inline constexpr auto kNotStoredWindow = 1min;  // the same of batches that no disk takes
inline constexpr std::uint32_t kRefusedSendsLogged = 20;
inline constexpr std::uint32_t kRefusedRequestsLogged = 1;
inline constexpr std::size_t kRefusalKindsMax = 20;

// ---- Server connections --------------------------------------------------------------------------------------------
inline constexpr std::size_t kConnectionsDefault = 100'000;
// Generous, because behind a proxy or a carrier's NAT many people share an address.
inline constexpr std::size_t kConnectionsPerAddressDefault = 20'000;
inline constexpr std::size_t kListenerThreadsMax = 64;
inline constexpr std::size_t kOtherDescriptors = 512;  // beside those of connections: store, log, loops
inline constexpr std::size_t kDescriptorsMin = 64;     // with fewer a server does not start
inline constexpr int kAcceptsPerTurn = 64;             // a storm of connects does not starve those that are connected
// What those may hold together that have not proven who they are: of one address, so that it does not take what is
// there for all, and of all. Every connection takes a share from its accept until its first request head or first frame
// is whole: 16,384 at once from one address without TLS (a proxy's), 2,048 with it. Beyond that share counts what they
// have sent and is not answered, and what was answered and they have not read.
inline constexpr std::size_t kUnprovenBytesMax = 268'435'456;
inline constexpr std::size_t kUnprovenBytesPerAddressMax = 67'108'864;
inline constexpr std::size_t kUnprovenPlainBytes = 4'096;    // socket, parser, tables
inline constexpr std::size_t kUnprovenTlsBytes = 32'768;     // and OpenSSL's records and handshake
inline constexpr std::size_t kRequestHeadBytesMax = 16'384;  // request line and headers; a bearer token is under 1 KB
inline constexpr std::size_t kRequestHeadersMax = 64;
inline constexpr std::size_t kRequestTargetBytesMax = 2'048;
inline constexpr std::size_t kPipelinedBytesMax = 65'536;  // of later requests, kept while one is answered
inline constexpr std::size_t kPackedWriteBytes = 65'536;   // ready frames share one write of at most this size
inline constexpr std::size_t kSocketQueueBytesMax = 4 * kConnectionWriteBytesMax;  // the last line: the peer is cut off
inline constexpr std::size_t kJsonDepthMax = 16;               // nesting of a REST body or of a token's claims
inline constexpr std::size_t kTokenBytesMax = 8'192;           // any token: fits a header line of every HTTP server
inline constexpr std::size_t kKeyIdBytesMax = 128;             // kid of a signing key
inline constexpr std::size_t kAppKeysMax = 64;                 // keys of the app's backend, old and new together
inline constexpr std::size_t kRsaBitsMin = 2'048;              // NIST SP 800-131A
inline constexpr std::size_t kRsaBitsMax = 8'192;              // bounds the work of one verification
inline constexpr std::size_t kPasswordHashesInFlightMax = 32;  // each takes tens of megabytes while it runs
inline constexpr std::size_t kRateBucketsMax = 65'536;  // users, devices or addresses that one rate limit remembers
// What a cost of Argon2id may be: above, one log-in would hold a worker for minutes, or more memory than there is.
inline constexpr std::size_t kPasswordOperationsMax = 64;
inline constexpr std::size_t kPasswordMemoryBytesMax = std::size_t{1} << 30;
// Failed log-ins at once, and how soon one more: by a known installation or a user and address, of a user, of an
// address. Likewise accounts that an address makes.
inline constexpr std::uint32_t kFailuresPerGuesser = 10;
inline constexpr auto kFailuresPerGuesserRefill = 30s;
inline constexpr std::uint32_t kFailuresPerUser = 100;
inline constexpr auto kFailuresPerUserRefill = 60s;
inline constexpr std::uint32_t kFailuresPerAddress = 100;
inline constexpr auto kFailuresPerAddressRefill = 3s;
inline constexpr std::uint32_t kRegistrationsPerAddress = 60;
inline constexpr auto kRegistrationsPerAddressRefill = 60s;

// ---- Client queues -------------------------------------------------------------------------------------------------
inline constexpr std::size_t kOutboxMax = 100'000;  // queued messages of one device
// A file up to this size has its whole structure checked after an unclean end; it takes about half a second.
inline constexpr std::int64_t kStoreCheckBytesMax = 67'108'864;
// Pages of 4,096 bytes that a device's log may hold before a commit copies them into the file; more while catching up.
inline constexpr int kStoreLogPages = 1'000;
inline constexpr int kStoreLogPagesCatchingUp = 4'000;
inline constexpr std::size_t kEventQueueMax = 8'192;              // above it state events fold into one RESYNC
inline constexpr std::size_t kPageMax = 200;                      // rows of one history or list page
inline constexpr std::size_t kApplyBatchMax = 64;                 // items and cursor in one device transaction
inline constexpr std::size_t kSendBufferBytesMax = 1'048'576;     // of one connection; above it the engine pauses
inline constexpr std::size_t kInboundBufferBytesMax = 4'194'304;  // received and not yet taken; above it reading stops
inline constexpr std::size_t kAddressesMax = 8;                   // of one host, tried one after the other
inline constexpr std::size_t kResolverThreadsMax = 4;             // of one client; a hung look-up holds its thread
inline constexpr std::size_t kResponseBodyBytesMax = 1'048'576;   // of one HTTP answer
inline constexpr std::size_t kResponseHeaderBytesMax = 65'536;    // of one HTTP answer, all lines
inline constexpr unsigned kUpgradeRequestBytesMax = 16'384;       // whole; and what is read at a time
inline constexpr unsigned kUpgradeAnswerBytesMax = 8'192;
inline constexpr unsigned kTransportDescriptorsMax = 64;  // of one client; libwebsockets' tables are small only with it
inline constexpr std::size_t kClaimBytesMax = 262'144;    // of the outbox, claimed and encoded at a time
// Received items and frames that wait to be applied. A server within its window never has more on the way; beyond it
// the burst is applied without waiting for its end.
inline constexpr std::size_t kWaitingItemsMax = 4 * kWindowItemsMax;
inline constexpr std::size_t kWaitingFramesMax = 1'024;
inline constexpr std::size_t kPulledMax = kHelloCursorsMax;  // streams with a gap; with more the server is not well
inline constexpr std::size_t kOpenRequestsMax = 1'024;       // an app that asks faster than the network answers
inline constexpr std::size_t kIdleReadersMax = 4;            // connections to the store, kept for the app's next reads
inline constexpr std::uint32_t kGatewayAttemptsMax = 3;      // without a welcome; then discovery is asked again

// ---- Times ---------------------------------------------------------------------------------------------------------
inline constexpr auto kAccessTokenLifetime = 15min;
inline constexpr auto kRefreshTokenLifetime = 24h * 90;
inline constexpr auto kAssertionLifetimeMax = 1h;   // of a token that the app's backend signed
inline constexpr auto kAssertionLeeway = 60s;       // two servers' clocks differ by less
inline constexpr auto kRenewBeforeExpiry = 60s;     // in-band renewal starts this long before expiry
inline constexpr auto kRenewalIntervalMin = 500ms;  // between two renewals; a device needs one in minutes
inline constexpr auto kHelloTimeout = 10s;          // an unauthenticated connection lives this long
inline constexpr auto kHeartbeatDefault = 5s;       // an idle client sends a ping this often; the server sets it
inline constexpr auto kPongTimeout = 10s;           // a peer silent this long after a ping is gone
inline constexpr auto kStalledTimeout = 30s;        // no acknowledgement of a full window for this long: close
inline constexpr auto kMarkFlush = 250ms;           // watermarks coalesce for this long
inline constexpr auto kHeadCompare = 3s;            // how soon a lost hint is noticed
inline constexpr auto kRequestReadTimeout = 15s;    // TLS handshake, head and body of a request together
inline constexpr auto kKeepAliveTimeout = 60s;      // an HTTP connection idle this long is closed
inline constexpr auto kAnswerTimeout = 60s;         // a service that takes longer is answered for: 503
inline constexpr auto kCloseTimeout = 5s;           // of a closing handshake; a client: until its Close has left
inline constexpr auto kCloseAnswerTimeout = 2s;     // a client then waits this long for the server's Close
inline constexpr auto kLingerTimeout = 2s;          // between our last byte and the peer's, so that it can read ours
inline constexpr auto kConnectTimeout = 15s;
inline constexpr auto kWaitMax = 24h * 3'650;  // of a caller; ten years, so that no clock overflows
inline constexpr auto kRetryAfterMax = 1h;     // a server that asks for more is asked again by then
inline constexpr auto kRequestTimeout = 30s;
inline constexpr auto kHttpIdle = 10s;  // the HTTP thread ends after this long without a request
inline constexpr auto kBackoffBase = 500ms;
inline constexpr auto kBackoffCap = 60s;
inline constexpr auto kSendTimeLimitDefault = 24h * 7;  // then the sender asks the server to void the message
inline constexpr auto kDedupLifetime = 24h * 400;       // outlives every client's send time limit
inline constexpr auto kSendTimeLimitMax = 24h * 365;
static_assert(kSendTimeLimitMax + 24h * 30 <= kDedupLifetime, "a client may retry while its record lives");
inline constexpr auto kTrustFreshToken = 60s;  // of a device whose clock runs ahead, which finds every token expired
inline constexpr auto kKeepForgotten = 10min;  // of a connection that the transport does not end, though it should
inline constexpr auto kPullAgain = 5s;
inline constexpr auto kDrainGrace = 10s;  // a server that named a pause ends the connection itself, or is left
inline constexpr std::chrono::milliseconds kBackoffCapMax = 1h;
inline constexpr std::chrono::microseconds kDeadlineCheckMax = 1h;  // after a sleep a passed deadline is found by then
// A head that is overdue waits for the server; the others' deadlines are looked at this often meanwhile.
inline constexpr std::chrono::microseconds kOverdueCheck = 60s;
inline constexpr std::size_t kOverdueBatch = 256;  // messages that fail in one transaction
// Beyond these a server's word is taken for a mistake: a dead connection must be noticed, a live one not flooded, and a
// token be renewed neither in a hurry nor less than once a day.
inline constexpr std::chrono::milliseconds kHeartbeatMin = 1s;
inline constexpr std::chrono::milliseconds kHeartbeatMax = 10min;
inline constexpr std::chrono::milliseconds kDrainPauseMax = 10min;
inline constexpr std::chrono::milliseconds kRenewalDelayMin = 1s;
inline constexpr std::chrono::milliseconds kRenewalDelayMax = 24h;
inline constexpr std::chrono::milliseconds kRenewalPause = 5s;  // after one that failed; the token has time until then
inline constexpr std::chrono::seconds kGatewayTtlMax = 24h;
// What the server tells those to wait whom it cannot serve now.
inline constexpr std::chrono::milliseconds kRetryBusy = 1s;         // above a limit of theirs
inline constexpr std::chrono::milliseconds kRetryQueueFull = 1s;    // a full queue is written in about this long
inline constexpr std::chrono::milliseconds kRetryHashes = 2s;       // the hashes in flight have likely moved on
inline constexpr std::chrono::milliseconds kRetryStopping = 2s;     // another server, or this one anew, answers by then
inline constexpr std::chrono::milliseconds kRetryStorageFull = 5s;  // somebody has to make room first
inline constexpr std::chrono::seconds kRetryFull = 5s;              // as many connections as there may be
inline constexpr std::chrono::milliseconds kDrainSpread = 5s;       // reconnect times of a drain are within this
inline constexpr std::chrono::milliseconds kAcceptPause = 100ms;    // when no connection can be taken
inline constexpr std::chrono::seconds kLibraryTimeout = 120s;  // of libwebsockets; above every one of ours, which count
inline constexpr auto kNoRoomTold = 60s;         // between two lines that connections are closed for want of a share
inline constexpr auto kProbeInterval = 1s;       // of a store that refuses writes, however often readiness is asked
inline constexpr auto kPurgePause = 1s;          // between two looks at records of one sweep
inline constexpr auto kPurgeInterval = 1h;       // between two sweeps, and before the first
inline constexpr auto kPurgeClockStepMax = 24h;  // a clock set forward by more does not count

// ---- End-to-end encryption: docs/e2ee.md section 4 -----------------------------------------------------------------
namespace e2ee {
inline constexpr std::size_t kDevicesMax = 8;                            // of a device list
inline constexpr std::uint64_t kListVersionMax = 0x7FFF'FFFF'FFFF'FFFF;  // of a device list
inline constexpr std::size_t kListVersionsMax = 64;                      // of one user's list that a device keeps
// A user's first list, or one of another account key, that lies further above the newest that is known, 0 where none
// is, is made up: by kListChangeRefill nobody comes so far. So is one of a later time.
inline constexpr std::uint64_t kListVersionsAhead = std::uint64_t{1} << 32;
inline constexpr std::uint64_t kListTimeMax = std::uint64_t{1} << 53;  // in milliseconds
// Another account key is begun up to here: whoever meets the user first has to take what follows, too.
inline constexpr std::uint64_t kListBegunMax = kListVersionsAhead / 2;
inline constexpr std::size_t kReplacedMax = 16;      // replaced account keys of one user that are known again
inline constexpr std::size_t kDeviceEventsMax = 64;  // of one user's devices that wait for the app
inline constexpr std::size_t kFormerListsMax = 64;   // of one user, of account keys that were replaced
inline constexpr std::size_t kDeviceNameBytesMax = 63;
inline constexpr auto kSignedRotation = 24h * 2;         // age at which signed and last-resort prekey are replaced,
inline constexpr auto kSignedRotationShare = 12h;        // less a random share of this
inline constexpr auto kSignedKept = 24h * 30;            // their secrets after that
inline constexpr std::size_t kOneTimeBatch = 100;        // one-time keys of a kind in a refill
inline constexpr std::size_t kOneTimeLow = 20;           // a refill below it
inline constexpr std::size_t kOneTimeStored = 200;       // of a kind on the server
inline constexpr auto kOneTimeKept = 24h * 90;           // an unused secret, but the newest kOneTimeStored
inline constexpr std::uint32_t kJumpMax = 5'000;         // messages passed over in one chain at once
inline constexpr std::uint32_t kJumpMaxOwn = 25'000;     // from a device of the same user
inline constexpr std::uint32_t kCountMax = 0x7FFF'FFFF;  // numbers in a chain are below it
inline constexpr std::size_t kChainsMax = 5;             // receiving chains of a session
inline constexpr std::size_t kSkippedSessionMax = 2'000;
inline constexpr std::size_t kSkippedTotalMax = 20'000;  // of a device
inline constexpr auto kSkippedKept = 24h * 30;           // a skipped key, and a receiving chain that is not current
inline constexpr std::size_t kArchivedMax = 8;           // archived sessions with one device
inline constexpr auto kArchivedKept = 24h * 30;          // an archived session
inline constexpr auto kUnansweredMax = 24h * 30;         // a set-up is repeated for so long; then a new one is made
inline constexpr std::size_t kSeenMax = 20'000;          // set-ups noted under one last-resort prekey
inline constexpr std::uint32_t kSetUpBurst = 20;         // set-ups of one device that reach the KEM at once,
inline constexpr auto kSetUpRegain = 1min;               // and how long one more takes
inline constexpr std::uint32_t kRetryBurst = 10;         // likewise retry requests, sent to and answered for one device
inline constexpr auto kRetryRegain = 1min;
// Requests, and repairs, that wait for one device, for those of one user, and for all. Where all is full, whoever has
// most gives way to whoever has less.
inline constexpr std::size_t kRetryWaitingMax = 100;
inline constexpr std::size_t kRetryWaitingUserMax = 200;
inline constexpr std::size_t kRetryWaitingTotalMax = 1'000;
inline constexpr std::size_t kRatedDevicesMax = 4'096;  // devices whose rates are remembered at once
inline constexpr auto kRetrySessionKept = 24h;          // a session begun for a retry request serves others for so long
inline constexpr std::uint32_t kRefusalsMax = 5;        // of a send for its roster, in a row; then it waits
inline constexpr auto kResendKept = 24h * 30;           // what was sent to whom is remembered
inline constexpr std::size_t kPaddedMax = 540'672;      // the padded envelope of the largest content
inline constexpr std::size_t kMessageMax = kPaddedMax + 2'048;
static_assert(slice_bytes_max(kTextBytesMax) == kMessageMax);
inline constexpr std::uint32_t kChainMessagesMax = 1'000;  // of a sender chain
inline constexpr auto kChainAgeMax = 24h * 7;              // of a sender chain when it encrypts
inline constexpr std::size_t kSenderChainsMax = 5;         // kept of one device in one conversation
inline constexpr std::size_t kMembersMax = 1'000;          // of an encrypted group
inline constexpr std::size_t kInvitationsMax = 20;         // of an encrypted group
inline constexpr std::size_t kEntryPeopleMax = 16;         // whom one membership entry adds
inline constexpr std::size_t kEntryValueMax = 2'048;       // of a membership entry
inline constexpr std::size_t kGroupInfoMax = 8'192;        // before padding
inline constexpr auto kRequestValid = 24h * 7;             // a request to join when it is admitted
inline constexpr auto kLinkValid = 10min;                  // a QR text, and a mailbox of the server
inline constexpr std::size_t kStreamChunkBytes = 65'536;   // plaintext of a chunk of an attachment or a backup
inline constexpr std::uint64_t kAttachmentMax = 2'147'483'648;
inline constexpr std::size_t kLocationBytesMax = 256;  // of an attachment
inline constexpr std::size_t kMediaTypeBytesMax = 128;
inline constexpr std::uint64_t kBackupMax = 68'719'476'736;
inline constexpr std::size_t kBackupFrameMax = 1'048'576;  // kind and bytes
inline constexpr std::uint32_t kPassesMin = 2;             // of Argon2id, when a wrapped key is read
inline constexpr std::uint32_t kPassesMax = 16;
inline constexpr std::uint32_t kPasses = 3;  // when it is written
inline constexpr std::uint32_t kMemoryKibMin = 65'536;
inline constexpr std::uint32_t kMemoryKibMax = 1'048'576;
inline constexpr std::uint32_t kMemoryKib = 262'144;
inline constexpr std::size_t kPassphraseBytesMin = 8;
inline constexpr std::size_t kPassphraseBytesMax = 1'024;
static_assert(content_bytes_max(kTextBytesMax) + 256 <= kPaddedMax, "with the names of two users around it");
inline constexpr std::size_t kScannedBytesMax = 1'024;  // a scanned safety number, of whatever version
inline constexpr auto kLinkPoll = 1s;                   // between two looks into a linking's mailbox
// Before the lists of a user who had nothing new are asked for again: from the first on it doubles up to the other.
inline constexpr auto kListsPauseFirst = 1s;
inline constexpr auto kListsPause = 1min;
// Behind so many answers that changed a user's lists they are asked for again at once; one more is regained in each.
inline constexpr std::uint32_t kListsAtOnce = 16;
inline constexpr auto kListsRegain = 10min;
// Before the bundle of a device that has none is asked for again, doubling likewise; for one that does not hold it is
// the longest.
inline constexpr auto kBundlePauseFirst = 1s;
inline constexpr auto kBundlePause = 1min;
inline constexpr auto kDigestInterval = 24h;  // between two comparisons of what the server holds with what it should
inline constexpr auto kUpkeepLook = 1h;       // at most, until a device looks again whether its prekeys are due
inline constexpr auto kUpkeepLookMin = 1s;    // at least
// The server's share of encrypted conversations.
inline constexpr std::size_t kDirectSlicesMax = 2 * kDevicesMax - 1;  // the devices of two users, less the sender's
inline constexpr std::size_t kStagedChunksMax = kDirectSlicesMax;     // of one item: a slice or more in each
inline constexpr std::size_t kStagedBytesMax = 16'777'216;  // of one device: the largest item and as much again
static_assert(kDirectSlicesMax * kMessageMax <= kStagedBytesMax);
inline constexpr auto kStagedKept = 10min;                                      // a chunk whose item does not come
inline constexpr auto kUpkeepInterval = 10min;                                  // between two removals of what is over
inline constexpr std::uint64_t kEncryptionCounterMax = std::uint64_t{1} << 60;  // a device that names more is mistaken
inline constexpr std::size_t kRostersExtended = 32;          // conversations that one write tells of a changed list
inline constexpr std::size_t kUnaddressedRead = 1'024;       // items that one read passes over for a device
inline constexpr std::size_t kRosterChangedBytes = 262'144;  // of lists in an answer; the next one has the rest
// The server's key directory. A burst at once, and one more each time the refill has passed.
inline constexpr std::uint32_t kBundleBurst = 64;  // bundles of one user's devices that one user fetches
inline constexpr auto kBundleRefill = 30s;
inline constexpr std::uint32_t kBundleRequesterBurst = 512;  // bundles that one user fetches
inline constexpr auto kBundleRequesterRefill = 1s;
inline constexpr std::uint32_t kOneTimeBurst = 40;  // bundles of one device with one-time keys; beyond, without
inline constexpr auto kOneTimeRefill = 90s;
inline constexpr std::uint32_t kListBurst = 512;  // users whose device lists one user fetches
inline constexpr auto kListRefill = 100ms;
inline constexpr std::uint32_t kKeyUploadBurst = 32;  // uploads of one device; a refill of both kinds takes three
inline constexpr auto kKeyUploadRefill = 10s;
inline constexpr std::uint32_t kListChangeBurst = 32;  // uploads that change one user's device list,
inline constexpr auto kListChangeRefill = 1min;
inline constexpr std::uint32_t kKeyChangeBurst = 8;  // and of these those that replace the account key
inline constexpr auto kKeyChangeRefill = 1h;
// Between two refills of a kind: no server that keeps to these rates has handed out a refill's surplus sooner.
inline constexpr auto kRefillPause = 1h;
static_assert((kOneTimeBatch - kOneTimeLow - kOneTimeBurst) * kOneTimeRefill >= kRefillPause);
inline constexpr std::size_t kListUsersMax = 64;           // users whose device lists one request asks for
inline constexpr std::size_t kListsAnswerBytes = 262'144;  // an answer names no further user above this size
inline constexpr std::size_t kKeyChecksInFlightMax = 64;   // uploads whose signatures are being verified
// The server's mailboxes for linking. The sizes are those of docs/e2ee.md section 12.
inline constexpr std::size_t kLinkOfferBytes = 90;
inline constexpr std::size_t kLinkRevealBytes = 261;
inline constexpr std::size_t kLinkGrantBytesMax = 661;  // with the largest list in it
inline constexpr std::size_t kLinkMailboxesMax = 8;     // of one user; another one ends the oldest
inline constexpr std::uint32_t kLinkCallBurst = 64;     // calls of one user; two devices that wait ask once a second
inline constexpr auto kLinkCallRefill = 250ms;          // each, and there is room for as much again
}  // namespace e2ee

}  // namespace chatsdk::limits
