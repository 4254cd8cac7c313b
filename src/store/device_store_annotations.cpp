// SPDX-License-Identifier: Apache-2.0
//
// Annotations of the device store: messages that are not shown and change what is shown of others (docs/content.md).
// What they come to is kept beside the message that they name, and is looked at anew, by the fold, at the end of each
// transaction that touched any of it: whatever order things came in, the tables say what the fold says.
#include <utility>

#include "protocol/content.h"
#include "protocol/fold.h"
#include "store/device_store_impl.h"

namespace chatsdk {

namespace {

using rows::Blob;
using rows::LostState;
using rows::unsigned_at;

constexpr char kNoteAnnotation[] =
    "INSERT INTO annotation(message, conversation, author, target) VALUES (?1, ?2, ?3, ?4) ON CONFLICT(message) DO "
    "UPDATE SET conversation = ?2, author = ?3, target = ?4";
constexpr char kNamedBy[] = "SELECT conversation, target FROM annotation WHERE message = ?1";
constexpr char kIsNamed[] = "SELECT 1 FROM annotation WHERE conversation = ?1 AND target = ?2 LIMIT 1";
constexpr char kAllNamed[] = "SELECT DISTINCT target FROM annotation WHERE conversation = ?1";
constexpr char kForgetAnnotation[] = "DELETE FROM annotation WHERE message = ?1";
constexpr char kForgetShown[] = "DELETE FROM shown WHERE message = ?1";
constexpr char kForgetReactions[] = "DELETE FROM reaction WHERE message = ?1";
constexpr char kForgetReaction[] = "DELETE FROM reaction WHERE message = ?1 AND user = ?2";
constexpr char kNamedPosts[] =
    "SELECT key, sender, place, lost, content = ?3, content = x'' FROM message WHERE client_message_id = ?1 AND "
    "conversation = ?2 AND "
    "unshown = 0";
// What a server has lost counts for nothing.
constexpr char kAnnotationsOf[] =
    "SELECT m.key, m.place, m.sender, m.content, coalesce(o.failure, 0) FROM annotation a JOIN message m ON m.key = "
    "a.message LEFT JOIN outbox o ON o.id = a.message WHERE a.conversation = ?1 AND a.target = ?2 AND a.author IS ?3 "
    "AND m.lost <> 3 ORDER BY m.place, m.key";
constexpr char kSaveContent[] = "UPDATE message SET content = ?2 WHERE key = ?1";
constexpr char kSavedShown[] = "SELECT edit, edits, pinned, deleted, failed FROM shown WHERE message = ?1";
constexpr char kSaveShown[] =
    "INSERT INTO shown(message, edit, edits, pinned, deleted, failed) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON "
    "CONFLICT(message) DO UPDATE SET edit = ?2, edits = ?3, pinned = ?4, deleted = ?5, failed = ?6";
constexpr char kSavedReactions[] = "SELECT user, keys FROM reaction WHERE message = ?1";
constexpr char kSaveReaction[] =
    "INSERT INTO reaction(message, user, keys) VALUES (?1, ?2, ?3) ON CONFLICT(message, user) DO UPDATE SET keys = ?3";
constexpr char kFilled[] =
    "SELECT m.sender, m.client_message_id, m.content, m.place, m.lost, m.unshown FROM message m WHERE m.key = ?1";
constexpr char kNamed[] =
    "SELECT m.conversation, m.client_message_id, m.sender, m.unshown, m.content = ?2 OR EXISTS (SELECT 1 FROM shown s "
    "WHERE s.message = m.key AND s.deleted = 1) FROM message m WHERE m.key = ?1";
constexpr char kHide[] = "UPDATE message SET unshown = 1 WHERE key = ?1";

}  // namespace

Result<DeviceStore::Named> DeviceStore::named(MessageKey message) {
  rows::Query query = impl_->sql(kNamed);
  CHATSDK_ASSIGN(const bool found, query.first(message, Blob{rows::erased_content()}));
  if (!found) return error(Code::kNotFound, "no such message");
  Named named;
  named.conversation = ConversationKey{unsigned_at(query.row(), 0)};
  named.id = rows::client_id_at(query.row(), 1);
  named.own = query->is_null(2);
  named.author = named.own ? impl_->owner : UserId(query->text(2));
  named.shown = query->integer(3) == 0;
  named.deleted = query->integer(4) != 0;
  return named;
}

// ---- What is touched -----------------------------------------------------------------------------------------------

Status DeviceStore::Impl::note_annotation(const MessageRef& message, const UserId& sender, BytesView bytes) {
  const content::Content read = content::read(bytes);
  const auto* annotation = std::get_if<content::Annotation>(&read);
  const content::Target* target = annotation == nullptr ? nullptr : annotation->target();
  if (target == nullptr) return {};
  const UserId& author = target->author.empty() ? sender : target->author;
  const auto stored = is_owner(author) ? std::nullopt : std::optional<std::string_view>(author);
  memory.any_annotation = true;
  touched.insert({message.conversation, target->id});
  return sql(kNoteAnnotation).run(message.message, message.conversation, stored, target->id);
}

Status DeviceStore::Impl::touch_post(ConversationKey conversation, const ClientMessageId& id) {
  if (!memory.any_annotation) return {};
  rows::Query query = sql(kIsNamed);
  CHATSDK_ASSIGN(const bool named, query.first(conversation, id));
  if (named) touched.insert({conversation, id});
  return {};
}

Result<bool> DeviceStore::Impl::touch_annotation(MessageKey message) {
  if (!memory.any_annotation) return false;
  rows::Query query = sql(kNamedBy);
  CHATSDK_ASSIGN(const bool is_annotation, query.first(message));
  if (!is_annotation) return false;
  touched.insert({ConversationKey{unsigned_at(query.row(), 0)}, rows::client_id_at(query.row(), 1)});
  return true;
}

Status DeviceStore::Impl::touch_all(ConversationKey conversation) {
  if (!memory.any_annotation) return {};
  rows::Query query = sql(kAllNamed);
  for (auto more = query.first(conversation);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) return {};
    touched.insert({conversation, rows::client_id_at(query.row(), 0)});
  }
}

Status DeviceStore::Impl::forget_annotations(MessageKey message) {
  CHATSDK_ASSIGN(const bool is_annotation, touch_annotation(message));
  if (is_annotation) {
    annotations_gone.insert(message);
    return sql(kForgetAnnotation).run(message);
  }
  if (!memory.any_annotation) return {};
  CHATSDK_TRY(sql(kForgetShown).run(message));
  return sql(kForgetReactions).run(message);
}

Status DeviceStore::Impl::content_came(const MessageRef& message, Changes& changes) {
  std::optional<ClientMessageId> id;
  UserId sender;
  Bytes bytes;
  Seq seq = 0;
  {
    rows::Query query = sql(kFilled);
    CHATSDK_ASSIGN(const bool found, query.first(message.message));
    if (!found) return error(Code::kInternal, "the content of no message");
    sender = query->is_null(0) ? owner : UserId(query->text(0));
    id = ClientMessageId::from_bytes(query->blob(1));
    bytes = Bytes(query->blob(2));
    const bool on_server = static_cast<LostState>(query->integer(4)) == LostState::kNo;
    if (on_server && !rows::is_pending(query->integer(3))) seq = rows::seq_at(query->integer(3));
  }
  const bool unshown = content::is_annotation(bytes);
  CHATSDK_ASSIGN(const Shown before, saved_shown(message.message));
  if (unshown) {
    CHATSDK_TRY(sql(kHide).run(message.message));
    CHATSDK_TRY(note_annotation(message, sender, bytes));
    changes.removed.push_back(message);
  } else {
    changes.updated.push_back(message);
    if (id) CHATSDK_TRY(touch_post(message.conversation, *id));
  }
  if (before.deleted || (!unshown && bytes != rows::erased_content())) return {};
  AnnotatedPost uncounted;
  uncounted.message = message;
  uncounted.author = sender;
  uncounted.own = is_owner(sender);
  uncounted.seq = seq;
  return count_deleted(uncounted, true, changes);
}

// ---- What is shown -------------------------------------------------------------------------------------------------

Status DeviceStore::Impl::fold_touched(Changes& changes) {
  std::vector<MessageRef> shown;
  shown.reserve(changes.updated.size());
  for (const MessageRef& message : changes.updated) {
    CHATSDK_ASSIGN(const bool is_annotation, touch_annotation(message.message));
    (is_annotation ? changes.annotations : shown).push_back(message);
  }
  changes.updated = std::move(shown);
  std::erase_if(changes.removed,
                [this](const MessageRef& message) { return annotations_gone.contains(message.message); });
  for (const Touched& target : std::exchange(touched, {})) CHATSDK_TRY(fold_target(target, changes));
  return {};
}

Status DeviceStore::Impl::fold_target(const Touched& target, Changes& changes) {
  std::vector<AnnotatedPost> posts;
  {
    rows::Query query = sql(kNamedPosts);
    for (auto more = query.first(target.target, target.conversation, Blob{rows::erased_content()});;
         more = query.next()) {
      CHATSDK_ASSIGN(const bool row, std::move(more));
      if (!row) break;
      AnnotatedPost& post = posts.emplace_back();
      post.message = {target.conversation, MessageKey{unsigned_at(query.row(), 0)}};
      post.own = query->is_null(1);
      post.author = post.own ? owner : UserId(query->text(1));
      const std::int64_t place = query->integer(2);
      const bool on_server = static_cast<LostState>(query->integer(3)) == LostState::kNo && !rows::is_pending(place);
      post.seq = on_server ? rows::seq_at(place) : 0;
      post.waits = rows::is_pending(place);
      post.erased = query->integer(4) != 0;
      post.awaited = query->integer(5) != 0;
    }
  }
  for (const AnnotatedPost& post : posts) CHATSDK_TRY(fold_post(post, target.target, changes));
  return {};
}

Status DeviceStore::Impl::fold_post(const AnnotatedPost& post, const ClientMessageId& id, Changes& changes) {
  CHATSDK_ASSIGN(const Annotations annotations, annotations_of(post, id));
  content::Fold fold = content::fold(post.author, annotations.counted);
  const bool deleted = fold.deleted || post.erased;
  if (deleted) fold = {};
  const std::uint64_t edit = fold.edit ? annotations.counted[*fold.edit].at.key : 0;
  const Shown now{edit, fold.edits, fold.pinned, deleted, annotations.failed.value};
  CHATSDK_ASSIGN(const Shown before, saved_shown(post.message.message));
  // Also where it says nothing: reactions are looked for beside it.
  CHATSDK_TRY(sql(kSaveShown).run(post.message.message, now.edit, now.edits, now.pinned, now.deleted, now.failed));
  CHATSDK_ASSIGN(const bool reactions_changed, save_reactions(post.message.message, fold.reactions));
  if (now != before || reactions_changed) changes.updated.push_back(post.message);
  if (!post.erased && now.deleted != before.deleted) CHATSDK_TRY(count_deleted(post, now.deleted, changes));
  return deleted ? erase(post, annotations) : Status();
}

Result<DeviceStore::Impl::Shown> DeviceStore::Impl::saved_shown(MessageKey message) {
  rows::Query query = sql(kSavedShown);
  CHATSDK_ASSIGN(const bool saved, query.first(message));
  if (!saved) return Shown();
  return Shown{unsigned_at(query.row(), 0), unsigned_at(query.row(), 1), query->integer(2) != 0, query->integer(3) != 0,
               unsigned_at(query.row(), 4)};
}

Result<DeviceStore::Impl::Annotations> DeviceStore::Impl::annotations_of(const AnnotatedPost& post,
                                                                         const ClientMessageId& id) {
  Annotations found;
  const auto author = post.own ? std::nullopt : std::optional<std::string_view>(post.author);
  rows::Query query = sql(kAnnotationsOf);
  for (auto more = query.first(post.message.conversation, id, author);; more = query.next()) {
    CHATSDK_ASSIGN(const bool row, std::move(more));
    if (!row) return found;
    const MessageKey key{unsigned_at(query.row(), 0)};
    if (query->integer(4) != 0) {
      if (!found.failed) found.failed = key;
      continue;
    }
    content::Content read = content::read(query->blob(3));
    auto* annotation = std::get_if<content::Annotation>(&read);
    if (annotation == nullptr) continue;
    UserId by = query->is_null(2) ? owner : UserId(query->text(2));
    found.counted.push_back({{query->integer(1), key.value}, std::move(by), std::move(*annotation)});
  }
}

Result<bool> DeviceStore::Impl::save_reactions(MessageKey message,
                                               const std::map<UserId, std::vector<std::string>>& reactions) {
  std::map<std::string, Bytes> wanted;
  for (const auto& [user, chosen] : reactions) {
    wanted.emplace(std::string(mark_user(user)), rows::reaction_column(chosen));
  }
  std::vector<std::string> gone;
  {
    rows::Query query = sql(kSavedReactions);
    for (auto more = query.first(message);; more = query.next()) {
      CHATSDK_ASSIGN(const bool row, std::move(more));
      if (!row) break;
      const auto kept = wanted.find(std::string(query->text(0)));
      if (kept == wanted.end()) {
        gone.emplace_back(query->text(0));
      } else if (kept->second == query->blob(1)) {
        wanted.erase(kept);
      }
    }
  }
  for (const std::string& user : gone) CHATSDK_TRY(sql(kForgetReaction).run(message, user));
  for (const auto& [user, column] : wanted) CHATSDK_TRY(sql(kSaveReaction).run(message, user, Blob{column}));
  return !gone.empty() || !wanted.empty();
}

Status DeviceStore::Impl::count_deleted(const AnnotatedPost& post, bool deleted, Changes& changes) {
  if (post.own || post.author.empty() || post.seq == 0) return {};
  CHATSDK_ASSIGN(auto conversation, find_conversation(post.message.conversation));
  if (!conversation) return error(Code::kInternal, "a message of no conversation");
  if (post.seq <= conversation->read_up_to) return {};
  if (deleted) {
    --conversation->unread_count;
  } else {
    ++conversation->unread_count;
  }
  return save(*conversation, changes);
}

// Nothing of what it said stays in the file once the server has the deletion. What waits to be sent is needed until it
// was, and what waits for a repair is erased once that has come.
Status DeviceStore::Impl::erase(const AnnotatedPost& post, const Annotations& annotations) {
  bool is_final = post.erased;
  for (const content::Stated& annotation : annotations.counted) {
    const bool is_deletion = std::holds_alternative<content::Delete>(annotation.what.kind);
    is_final = is_final || (is_deletion && annotation.by == post.author && !rows::is_pending(annotation.at.place));
  }
  if (!is_final) return {};
  for (const content::Stated& annotation : annotations.counted) {
    const bool is_edit = std::holds_alternative<content::Edit>(annotation.what.kind);
    if (!is_edit || annotation.by != post.author || rows::is_pending(annotation.at.place)) continue;
    CHATSDK_TRY(sql(kSaveContent).run(annotation.at.key, Blob{content::erased_annotation()}));
  }
  if (post.erased || post.waits || post.awaited) return {};
  return sql(kSaveContent).run(post.message.message, Blob{rows::erased_content()});
}

}  // namespace chatsdk
