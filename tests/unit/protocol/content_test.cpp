// SPDX-License-Identifier: Apache-2.0
#include "protocol/content.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "content.pb.h"
#include "protocol/frames.h"

namespace chatsdk::content {
namespace {

using namespace std::string_literals;

constexpr std::size_t kTextMax = limits::kTextBytesMax;

ClientMessageId id_of(char c) { return *ClientMessageId::from_bytes(std::string(16, c)); }

template <typename Kind>
Post post_of(Kind kind) {
  Post post;
  post.kind = std::move(kind);
  return post;
}

template <typename Kind>
Annotation annotation_of(Kind kind) {
  Annotation annotation;
  annotation.kind = std::move(kind);
  return annotation;
}

Bytes bytes_of(const Content& content) {
  return std::visit([](const auto& one) { return write(one); }, content);
}

// Every field of every kind, at its largest where it has an end.
std::vector<Content> contents() {
  const auto most = [](std::size_t bytes) { return std::string(bytes, 'x'); };
  std::vector<Content> all;
  Post full = post_of(Text{"hello \xF0\x9F\x98\x80 all"});
  full.reply = Reply{{most(64), id_of('r')}, most(limits::content::kQuoteBytesMax)};
  full.thread = Target{"", id_of('t')};
  full.mentions = {{0, 5, "ann", false}, {6, 4, most(64), false}, {11, 3, "", true}};
  full.forwarded = Forwarded{"eve", 1'700'000'000'000, 3};
  full.silent = true;
  full.expires_after_s = limits::content::kExpirySecondsMax;
  full.fallback = most(limits::content::kFallbackBytesMax);
  all.emplace_back(full);
  all.emplace_back(post_of(Text{most(kTextMax)}));
  all.emplace_back(post_of(Location{-900'000'000, 1'800'000'000, 0xFFFF'FFFF, most(256), most(512)}));
  all.emplace_back(post_of(Location{}));
  all.emplace_back(post_of(
      Contact{most(256), most(64), std::vector<std::string>(8, most(32)), std::vector<std::string>(8, most(254))}));
  all.emplace_back(post_of(Sticker{most(128), most(128), most(64)}));
  all.emplace_back(post_of(Custom{"application/" + most(116), Bytes(3'000, '\0')}));
  all.emplace_back(post_of(Erased{}));
  Post edited = post_of(Text{"hello bob"});
  edited.mentions = {{6, 3, "bob", false}};
  all.emplace_back(annotation_of(Edit{{"", id_of('e')}, edited}));
  all.emplace_back(annotation_of(Delete{{"ann", id_of('d')}}));
  all.emplace_back(annotation_of(Reaction{{most(64), id_of('k')}, {most(64), "b", "c", "d", "e", "f", "g", "h"}}));
  all.emplace_back(annotation_of(Reaction{{"ann", id_of('k')}, {}}));
  all.emplace_back(annotation_of(Pin{{"", id_of('p')}, true}));
  all.emplace_back(annotation_of(Pin{{"ann", id_of('p')}, false}));
  all.emplace_back(annotation_of(Timer{86'400}));
  all.emplace_back(annotation_of(Timer{0}));
  all.emplace_back(annotation_of(Erased{}));
  return all;
}

// ---- What goes comes back ------------------------------------------------------------------------------------------

TEST(Content, OfEachKindComesBackAsItWent) {
  for (const Content& content : contents()) {
    SCOPED_TRACE(content.index() * 100 + std::visit([](const auto& one) { return one.kind.index(); }, content));
    ASSERT_TRUE(check(content, kTextMax).ok()) << check(content, kTextMax).error().detail;
    const Bytes bytes = bytes_of(content);
    EXPECT_EQ(read(bytes), content);
    const auto strictly = read_strictly(bytes, kTextMax);
    ASSERT_TRUE(strictly.ok());
    EXPECT_EQ(*strictly, content);
    EXPECT_EQ(is_annotation(bytes), std::holds_alternative<Annotation>(content));
    EXPECT_EQ(bytes_of(*strictly), bytes);
  }
}

TEST(Content, IsWhatEveryProtobufLibraryReadsAndWrites) {
  for (const Content& content : contents()) {
    const Bytes bytes = bytes_of(content);
    v1::Content generated;
    ASSERT_TRUE(generated.ParseFromString(bytes));
    EXPECT_EQ(generated.SerializeAsString(), bytes);
  }
  v1::Content message;
  message.mutable_reaction()->mutable_target()->set_author("ann");
  message.mutable_reaction()->mutable_target()->set_client_message_id(std::string(16, 'i'));
  message.mutable_reaction()->add_keys("+1");
  EXPECT_EQ(read(message.SerializeAsString()), Content(annotation_of(Reaction{{"ann", id_of('i')}, {"+1"}})));
  v1::Content location;
  location.mutable_location()->set_latitude_e7(-5);
  location.mutable_location()->set_longitude_e7(7);
  EXPECT_EQ(read(location.SerializeAsString()), Content(post_of(Location{-5, 7, 0, "", ""})));
}

TEST(Content, ThatIsATextIsFoundAsOne) {
  for (const std::string& text : {"a"s, "line\nline"s, "a\0b"s, "\xE2\x82\xAC"s, std::string(kTextMax, 'x')}) {
    EXPECT_EQ(text_of(encode_text_content(text)), text);
  }
  EXPECT_EQ(text_of(write(post_of(Sticker{"pack", "one", ""}))), std::nullopt);
  EXPECT_EQ(text_of(write(annotation_of(Timer{1}))), std::nullopt);
  EXPECT_EQ(text_of(""), std::nullopt);
  EXPECT_EQ(text_of(encode_text_content("\x80")), std::nullopt);
}

// ---- What is not known ---------------------------------------------------------------------------------------------

TEST(Content, OfAnUnknownKindIsAPostOrAnAnnotationByItsNumber) {
  const auto number = [](std::uint32_t tag, const Bytes& rest = {}) {
    Bytes bytes;
    for (std::uint32_t left = tag * 8 + 2; left > 0; left >>= 7) bytes.push_back(char(left | (left > 127 ? 128 : 0)));
    return bytes + '\0' + rest;
  };
  Post with_fallback;
  with_fallback.fallback = "a poll";
  EXPECT_EQ(read(number(7)), Content(Post()));
  EXPECT_EQ(read(number(7,
                        "\xB2\x02\x06"
                        "a poll")),
            Content(with_fallback));
  EXPECT_EQ(read(number(14)), Content(Post()));
  EXPECT_EQ(read(number(21)), Content(Annotation()));
  EXPECT_EQ(read(number(30)), Content(Annotation()));
  // Attributes, known or not, are no kind.
  EXPECT_EQ(read(number(40)), Content(Post()));
  EXPECT_EQ(read_strictly(number(40), kTextMax).code(), Code::kMalformed);
  EXPECT_TRUE(read_strictly(number(7), kTextMax).ok());
  EXPECT_TRUE(read_strictly(number(21), kTextMax).ok());
}

TEST(Content, KeepsItsKindBesideAttributesThatNobodyKnows) {
  const Bytes bytes = encode_text_content("hello") +
                      "\xC2\x02\x01x\xC8\x02\x01\xCD\x02"
                      "1234"s;
  EXPECT_EQ(text_of(bytes), "hello");
}

TEST(Content, ThatDoesNotFitIsUnknownAndStaysWhatItWouldBe) {
  struct Bad {
    const char* name;
    Bytes bytes;
    bool is_annotation;
    Code code = Code::kMalformed;
  };
  const std::string target = "\x0A\x12\x12\x10" + std::string(16, 'i');
  const std::vector<Bad> table = {
      {"nothing", "", false},
      {"bytes of no meaning", "\xFF\xFF", false},
      {"two kinds", "\x0A\x03\x0A\x01x\x2A\x00"s, false},
      {"a kind twice", "\x0A\x03\x0A\x01x\x0A\x03\x0A\x01x", false},
      {"a kind that is a number", "\x08\x01", false},
      {"an attribute before its kind", "\xA0\x02\x01\x0A\x03\x0A\x01x", false},
      {"a text cut short", "\x0A\x03\x0A\x02x", false},
      {"a text twice", "\x0A\x06\x0A\x01x\x0A\x01y", false},
      {"an empty text", "\x0A\x00"s, false, Code::kInvalidArgument},
      {"a text that is no UTF-8", "\x0A\x03\x0A\x01\xFF", false, Code::kInvalidUtf8},
      {"a text, and an attribute that does not fit", "\x0A\x03\x0A\x01x\xA0\x02\x02", false},
      {"an edit of nothing", "\x82\x01\x00"s, true},
      {"an edit without content", "\x82\x01\x14" + target, true},
      {"an edit of an annotation", "\x82\x01\x18" + target + "\x12\x02\xA2\x01"s, true},
      {"a deletion without target", "\x8A\x01\x00"s, true},
      {"a target of 15 bytes", "\x8A\x01\x13\x0A\x11\x12\x0F" + std::string(15, 'i'), true},
      {"a target of zeros", "\x8A\x01\x14\x0A\x12\x12\x10" + std::string(16, '\0'), true},
      {"a deletion that is a reply", "\x8A\x01\x14" + target + "\x82\x02\x14" + target, true},
      {"a pin that is neither on nor off", "\x9A\x01\x16" + target + "\x10\x02", true},
      {"a key twice", "\x92\x01\x1A" + target + "\x12\x01x\x12\x01x", true, Code::kInvalidArgument},
  };
  for (const Bad& bad : table) {
    SCOPED_TRACE(bad.name);
    EXPECT_EQ(is_annotation(bad.bytes), bad.is_annotation);
    EXPECT_EQ(read(bad.bytes), bad.is_annotation ? Content(Annotation()) : Content(Post()));
    EXPECT_EQ(read_strictly(bad.bytes, kTextMax).code(), bad.code);
  }
}

// ---- Limits --------------------------------------------------------------------------------------------------------

TEST(Content, IsTakenUpToEachLimitAndNotAbove) {
  struct Limit {
    const char* name;
    std::size_t most;
    std::function<Content(std::size_t)> make;
    Code above = Code::kTooLarge;
  };
  const auto text = [](std::size_t bytes) { return std::string(bytes, 'x'); };
  const auto with = [](const std::function<void(Post&)>& set) {
    Post post = post_of(Text{std::string(200, 'x')});
    set(post);
    return Content(post);
  };
  namespace most = limits::content;
  const std::vector<Limit> table = {
      {"text", kTextMax, [&](std::size_t n) { return Content(post_of(Text{text(n)})); }},
      {"edited text", kTextMax,
       [&](std::size_t n) {
         return Content(annotation_of(Edit{{"", id_of('e')}, post_of(Text{text(n)})}));
       }},
      {"quote", most::kQuoteBytesMax,
       [&](std::size_t n) { return with([&](Post& post) {
                              post.reply = Reply{{"", id_of('r')}, text(n)};
                            }); }},
      {"author", 64, [&](std::size_t n) { return with([&](Post& p) {
                                            p.thread = Target{text(n), id_of('r')};
                                          }); }},
      {"fallback", most::kFallbackBytesMax,
       [&](std::size_t n) { return with([&](Post& post) { post.fallback = text(n); }); }},
      {"mentions", most::kMentionsMax,
       [&](std::size_t n) {
         return with([&](Post& post) {
           for (std::uint32_t i = 0; i < n; ++i) post.mentions.push_back({i, 1, "ann", false});
         });
       }},
      {"mentioned user", 64,
       [&](std::size_t n) { return with([&](Post& post) {
                              post.mentions = {{0, 1, text(n), false}};
                            }); }},
      {"forwarded author", 64,
       [&](std::size_t n) { return with([&](Post& post) {
                              post.forwarded = Forwarded{text(n), 1, 1};
                            }); }},
      {"expiry", most::kExpirySecondsMax,
       [&](std::size_t n) { return with([&](Post& post) { post.expires_after_s = static_cast<std::uint32_t>(n); }); },
       Code::kInvalidArgument},
      {"timer", most::kExpirySecondsMax,
       [&](std::size_t n) { return Content(annotation_of(Timer{static_cast<std::uint32_t>(n)})); },
       Code::kInvalidArgument},
      {"keys", most::kReactionKeysMax,
       [&](std::size_t n) {
         Reaction reaction{{"", id_of('k')}, {}};
         for (std::size_t i = 0; i < n; ++i) reaction.keys.push_back(std::to_string(i));
         return Content(annotation_of(reaction));
       }},
      {"key", most::kReactionKeyBytesMax,
       [&](std::size_t n) {
         return Content(annotation_of(Reaction{{"", id_of('k')}, {text(n)}}));
       }},
      {"name of a place", most::kNameBytesMax,
       [&](std::size_t n) {
         return Content(post_of(Location{0, 0, 0, text(n), ""}));
       }},
      {"address", most::kAddressBytesMax,
       [&](std::size_t n) {
         return Content(post_of(Location{0, 0, 0, "", text(n)}));
       }},
      {"latitude", 900'000'000,
       [&](std::size_t n) {
         return Content(post_of(Location{static_cast<std::int32_t>(n), 0, 0, "", ""}));
       },
       Code::kInvalidArgument},
      {"longitude", 1'800'000'000,
       [&](std::size_t n) {
         return Content(post_of(Location{0, -static_cast<std::int32_t>(n), 0, "", ""}));
       },
       Code::kInvalidArgument},
      {"name of a contact", most::kNameBytesMax,
       [&](std::size_t n) {
         return Content(post_of(Contact{text(n), "", {}, {}}));
       }},
      {"user of a contact", 64,
       [&](std::size_t n) {
         return Content(post_of(Contact{"a", text(n), {}, {}}));
       }},
      {"phones", most::kContactEntriesMax,
       [&](std::size_t n) {
         return Content(post_of(Contact{"a", "", std::vector<std::string>(n, "1"), {}}));
       }},
      {"phone", most::kContactPhoneBytesMax,
       [&](std::size_t n) {
         return Content(post_of(Contact{"a", "", {text(n)}, {}}));
       }},
      {"emails", most::kContactEntriesMax,
       [&](std::size_t n) {
         return Content(post_of(Contact{"a", "", {}, std::vector<std::string>(n, "1")}));
       }},
      {"email", limits::kEmailBytesMax,
       [&](std::size_t n) {
         return Content(post_of(Contact{"a", "", {}, {text(n)}}));
       }},
      {"pack", most::kStickerNameBytesMax,
       [&](std::size_t n) {
         return Content(post_of(Sticker{text(n), "a", ""}));
       }},
      {"sticker", most::kStickerNameBytesMax,
       [&](std::size_t n) {
         return Content(post_of(Sticker{"a", text(n), ""}));
       }},
      {"emoji", most::kEmojiBytesMax,
       [&](std::size_t n) {
         return Content(post_of(Sticker{"a", "b", text(n)}));
       }},
      {"type", most::kTypeBytesMax,
       [&](std::size_t n) {
         return Content(post_of(Custom{"application/" + text(n - 12), ""}));
       }},
  };
  for (const Limit& limit : table) {
    SCOPED_TRACE(limit.name);
    for (const std::size_t fits : {limit.most - 1, limit.most}) {
      const Content content = limit.make(fits);
      EXPECT_TRUE(check(content, kTextMax).ok());
      EXPECT_EQ(read(bytes_of(content)), content);
    }
    const Content above = limit.make(limit.most + 1);
    EXPECT_EQ(check(above, kTextMax).code(), limit.above);
    EXPECT_EQ(read_strictly(bytes_of(above), kTextMax).code(), limit.above);
    EXPECT_NE(read(bytes_of(above)), above);
  }
  EXPECT_EQ(check(Content(post_of(Text{"four"})), 3).code(), Code::kTooLarge);
}

TEST(Content, WithoutWhatItNeedsIsRefused) {
  struct Bad {
    const char* name;
    Content content;
  };
  const auto with = [](const std::function<void(Post&)>& set) {
    Post post = post_of(Text{"\xE2\x82\xAC is a sign"});
    set(post);
    return Content(post);
  };
  Post reply = post_of(Text{"x"});
  reply.reply = Reply{{"", id_of('r')}, ""};
  const std::vector<Bad> table = {
      {"an empty text", post_of(Text{})},
      {"a contact without name", post_of(Contact{})},
      {"an empty phone", post_of(Contact{"a", "", {""}, {}})},
      {"an empty email", post_of(Contact{"a", "", {}, {""}})},
      {"a sticker without pack", post_of(Sticker{"", "a", ""})},
      {"a sticker without name", post_of(Sticker{"a", "", ""})},
      {"a type of another tree", post_of(Custom{"text/plain", ""})},
      {"a type without name", post_of(Custom{"application/", ""})},
      {"a type in capitals", post_of(Custom{"application/Chess", ""})},
      {"a type with a blank", post_of(Custom{"application/a b", ""})},
      {"a mention of nobody", with([](Post& p) {
         p.mentions = {{0, 3, "", false}};
       })},
      {"a mention of one and all", with([](Post& p) {
         p.mentions = {{0, 3, "ann", true}};
       })},
      {"an empty mention", with([](Post& p) {
         p.mentions = {{0, 0, "ann", false}};
       })},
      {"a mention beyond the end", with([](Post& p) {
         p.mentions = {{4, 100, "ann", false}};
       })},
      {"the longest mention", with([](Post& p) {
         p.mentions = {{0xFFFF'FFFF, 0xFFFF'FFFF, "ann", false}};
       })},
      {"a mention from within a character", with([](Post& p) {
         p.mentions = {{1, 2, "ann", false}};
       })},
      {"a mention into a character", with([](Post& p) {
         p.mentions = {{0, 2, "ann", false}};
       })},
      {"mentions over one another", with([](Post& p) {
         p.mentions = {{4, 2, "ann", false}, {5, 2, "bob", false}};
       })},
      {"mentions that descend", with([](Post& p) {
         p.mentions = {{7, 1, "ann", false}, {4, 1, "bob", false}};
       })},
      {"a mention at a place of no text",
       [] {
         Post post = post_of(Location{});
         post.mentions = {{0, 1, "ann", false}};
         return Content(post);
       }()},
      {"forwarded never", with([](Post& p) {
         p.forwarded = Forwarded{"ann", 1, 0};
       })},
      {"a reply to nothing", with([](Post& p) { p.reply = Reply{}; })},
      {"an edit of another's", annotation_of(Edit{{"ann", id_of('e')}, post_of(Text{"x"})})},
      {"an edit that is a reply", annotation_of(Edit{{"", id_of('e')}, reply})},
      {"an edit that erases", annotation_of(Edit{{"", id_of('e')}, post_of(Erased{})})},
      {"a deletion of nothing", annotation_of(Delete{})},
      {"a reaction to nothing", annotation_of(Reaction{})},
      {"an empty key", annotation_of(Reaction{{"", id_of('k')}, {""}})},
      {"a key twice", annotation_of(Reaction{{"", id_of('k')}, {"a", "b", "a"}})},
      {"a pin of nothing", annotation_of(Pin{})},
  };
  for (const Bad& bad : table) {
    SCOPED_TRACE(bad.name);
    EXPECT_EQ(check(bad.content, kTextMax).code(), Code::kInvalidArgument);
  }
  Post at_no_text = post_of(Sticker{"pack", "one", ""});
  at_no_text.mentions = {{0, 0, "ann", false}};
  EXPECT_TRUE(check(Content(at_no_text), kTextMax).ok());
}

TEST(Content, ThatIsNotUtf8IsRefused) {
  // A lone continuation, an overlong form, a surrogate, beyond U+10FFFF, cut in the middle.
  for (const char* bad : {"\x80", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "a\xE2\x82"}) {
    Post post = post_of(Text{"x"});
    post.fallback = bad;
    const std::vector<Content> contents = {post_of(Text{bad}),
                                           post,
                                           post_of(Location{0, 0, 0, bad, ""}),
                                           post_of(Location{0, 0, 0, "", bad}),
                                           post_of(Contact{bad, "", {}, {}}),
                                           post_of(Contact{"a", bad, {}, {}}),
                                           post_of(Contact{"a", "", {bad}, {}}),
                                           post_of(Contact{"a", "", {}, {bad}}),
                                           post_of(Sticker{bad, "a", ""}),
                                           post_of(Sticker{"a", bad, ""}),
                                           post_of(Sticker{"a", "b", bad}),
                                           annotation_of(Delete{{bad, id_of('d')}}),
                                           annotation_of(Reaction{{"", id_of('k')}, {bad}})};
    for (const Content& content : contents) EXPECT_EQ(check(content, kTextMax).code(), Code::kInvalidUtf8);
  }
}

TEST(Content, ThatIsErasedHoldsNothing) {
  EXPECT_EQ(erased(), "\x7A\x00"s);
  EXPECT_EQ(erased_annotation(), "\xFA\x01\x00"s);
  EXPECT_FALSE(is_annotation(erased()));
  EXPECT_TRUE(is_annotation(erased_annotation()));
  EXPECT_EQ(read(erased()), Content(post_of(Erased{})));
  EXPECT_EQ(read(erased_annotation()), Content(annotation_of(Erased{})));
}

TEST(Content, NamesTheTargetOfAnAnnotation) {
  const Target target{"ann", id_of('t')};
  EXPECT_EQ(*annotation_of(Delete{target}).target(), target);
  EXPECT_EQ(*annotation_of(Reaction{target, {}}).target(), target);
  EXPECT_EQ(*annotation_of(Pin{target, true}).target(), target);
  EXPECT_EQ(*annotation_of(Edit{target, Post()}).target(), target);
  EXPECT_EQ(annotation_of(Timer{}).target(), nullptr);
  EXPECT_EQ(annotation_of(Erased{}).target(), nullptr);
  EXPECT_EQ(Annotation().target(), nullptr);
}

}  // namespace
}  // namespace chatsdk::content
