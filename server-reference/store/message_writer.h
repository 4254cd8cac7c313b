// SPDX-License-Identifier: Apache-2.0
//
// The writes about messages: append, void, marks, cursors, and the end of deduplication records. Here stand the rules
// of acceptance; how rows are written is the stream writer's business.
//
// Every check of an op comes before its first write, so a refused op has written nothing and needs no savepoint. The
// look-up of a repeat comes first in meaning; an op that nothing else speaks against is tried by inserting its
// deduplication record, and the record that is already there is the look-up's hit. That saves the hot path one search.
//
// An encrypted message is looked up first and then judged by the newest device lists of both members. What they have
// that the conversation's roster has not is told to the conversation before that, and stays told when the message is
// not accepted: it is no part of the message.
//
// Threads: the writer's.
#pragma once

#include <optional>

#include "base/result.h"
#include "server-reference/store/open_sessions.h"
#include "server-reference/store/operation_log.h"
#include "server-reference/store/roster_writer.h"
#include "server-reference/store/slice_writer.h"
#include "server-reference/store/store.h"
#include "server-reference/store/stream_writer.h"
#include "store/sqlite.h"

namespace chatsdk::server {

// In each call the Status tells whether the store works; the op's own answer or refusal goes to `answer`.
class MessageWriter {
 public:
  MessageWriter(sqlite::Database& db, StreamWriter& streams, OpenSessions& sessions, RosterWriter& rosters,
                SliceWriter& slices, OperationLog& operations)
      : db_(db), streams_(streams), sessions_(sessions), rosters_(rosters), slices_(slices), operations_(operations) {}
  Status prepare();

  void begin(CommitResult& result) { result_ = &result; }
  Status apply(const AppendMessage& op, Result<WriteAnswer>& answer);
  Status apply(const VoidMessage& op, Result<WriteAnswer>& answer);
  Status apply(const AdvanceMarks& op, Result<WriteAnswer>& answer);
  Status apply(const AdvanceCursor& op, Result<WriteAnswer>& answer);
  Status apply(const PurgeRecords& op, Result<WriteAnswer>& answer);
  // Lets go of what statements borrow.
  void release();

 private:
  // What a deduplication record says.
  struct Record {
    Seq seq = 0;  // 0: voided
    Bytes payload_hash;
  };

  // The common part of AppendMessage and VoidMessage.
  template <typename Op>
  Result<StreamState*> locate(const Op& op);
  template <typename Op>
  Result<std::optional<Error>> refusal_of_sender(const Op& op);
  template <typename Op>
  Result<std::optional<Error>> refusal_in(StreamState& stream, const Op& op);
  template <typename Op>
  Result<std::optional<Error>> refusal_of_first(const Op& op);
  template <typename Op>
  Result<std::optional<Record>> record_of(const StreamState& stream, const Op& op);
  // False: the record is already there.
  template <typename Op>
  Result<bool> insert_record(const StreamState& stream, const Op& op, Seq seq, BytesView payload_hash);
  template <typename Op>
  Status close_number(StreamState& stream, const Op& op);

  // What was asked of both members' newest lists.
  struct Lists {
    RosterWriter::Newest own;
    RosterWriter::Newest peer;
    UserId peer_id;
  };
  Status append_encrypted(const AppendMessage& op, Result<WriteAnswer>& answer);
  // stream: none where there is no conversation yet, or one without an item.
  Result<std::optional<Error>> refusal_of_encrypted(const StreamState* stream, const AppendMessage& op,
                                                    const Lists& lists);
  Result<std::optional<Error>> refusal_of_target(const StreamState& stream, const AppendMessage& op);
  Result<RosterChanged> roster_changed(const AppendMessage& op, const Lists& lists, std::uint64_t revision,
                                       std::string detail);
  Status write_encrypted(StreamState& stream, const AppendMessage& op, const SliceWriter::Set& set,
                         BytesView payload_hash, const Lists& lists, Result<WriteAnswer>& answer);

  Status answer_repeat(const StreamState& stream, BytesView payload_hash, const Record& record,
                       Result<WriteAnswer>& answer);
  Status answer_repeat(const StreamState& stream, const VoidMessage& op, const Record& record,
                       Result<WriteAnswer>& answer);
  // stream: none when there is no such conversation.
  Status answer_only_repeat(const StreamState* stream, const AppendMessage& op, Result<WriteAnswer>& answer);
  // Of a message of the sender's in a plain conversation. 0: no such message, or it is no post.
  struct Post {
    Seq seq = 0;
    bool erased = false;
  };
  Result<Post> post_of(const StreamState& stream, const UserId& sender, const ClientMessageId& id);
  Status erase(const StreamState& stream, const UserId& sender, const ClientMessageId& id);
  Status erase_item(const StreamState& stream, Seq seq, BytesView left);
  Result<Appended> accepted_at(const StreamState& stream, Seq seq);
  // The conversation's first item, and the news of it in the account streams of both.
  Status announce(StreamState& stream, bool encrypted, WallTime now);
  Result<StreamState*> account_stream(const UserId& user_id);
  Result<bool> may_be_filled(const StreamState& stream, const UserId& user_id, Seq mark, Seq from);
  MovedMarks& moved_marks(const StreamState& stream);

  sqlite::Database& db_;
  StreamWriter& streams_;
  OpenSessions& sessions_;
  RosterWriter& rosters_;
  SliceWriter& slices_;
  OperationLog& operations_;
  CommitResult* result_ = nullptr;

  sqlite::Statement select_account_stream_;
  sqlite::Statement select_record_;
  sqlite::Statement insert_record_;
  sqlite::Statement select_accepted_;
  sqlite::Statement select_payload_;
  sqlite::Statement update_payload_;
  sqlite::Statement insert_edit_;
  sqlite::Statement select_edits_;
  sqlite::Statement select_target_;
  sqlite::Statement select_cursor_;
  sqlite::Statement put_cursor_;
  sqlite::Statement select_fillable_;
  sqlite::Statement select_records_;
  sqlite::Statement delete_record_;
};

}  // namespace chatsdk::server
