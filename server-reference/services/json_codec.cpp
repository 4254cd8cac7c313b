// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/json_codec.h"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "server-reference/services/strict_json.h"

namespace chatsdk::server {

// The FileDescriptorSet that the build embeds.
extern const std::string_view kDescriptorSet;

namespace {

namespace pb = google::protobuf;

constexpr const char* kUrlPrefix = "type.googleapis.com";

// The name of the first text in the fields of a message that is not UTF-8; empty: there is none.
std::string text_that_is_not_utf8(const pb::Descriptor& message, const pb::UnknownFieldSet& fields) {
  for (int i = 0; i < fields.field_count(); ++i) {
    const pb::UnknownField& field = fields.field(i);
    const pb::FieldDescriptor* known = message.FindFieldByNumber(field.number());
    if (known == nullptr || field.type() != pb::UnknownField::TYPE_LENGTH_DELIMITED) continue;
    if (known->type() == pb::FieldDescriptor::TYPE_STRING && !is_utf8(field.length_delimited())) return known->name();
    pb::UnknownFieldSet inner;
    if (known->type() != pb::FieldDescriptor::TYPE_MESSAGE || !inner.ParseFromString(field.length_delimited()))
      continue;
    if (std::string name = text_that_is_not_utf8(*known->message_type(), inner); !name.empty()) return name;
  }
  return {};
}

std::string type_url(std::string_view message) { return std::string(kUrlPrefix) + "/" + std::string(message); }

}  // namespace

JsonCodec::JsonCodec() {
  pb::FileDescriptorSet set;
  CHATSDK_ASSERT(set.ParseFromArray(kDescriptorSet.data(), static_cast<int>(kDescriptorSet.size())));
  for (const auto& file : set.file()) CHATSDK_ASSERT(pool_.BuildFile(file) != nullptr);
  resolver_.reset(pb::util::NewTypeResolverForDescriptorPool(kUrlPrefix, &pool_));
}

JsonCodec::~JsonCodec() = default;

Result<Bytes> JsonCodec::to_binary(std::string_view message, std::string_view json) const {
  // The mapping's own parser is lenient (single quotes, trailing commas, duplicate names, one field in both spellings):
  // RFC 8259 is checked first.
  CHATSDK_TRY(check_strict_json(json, limits::kJsonDepthMax, JsonNames::kOfFields));
  pb::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  Bytes binary;
  const std::string text(json);
  if (!pb::util::JsonToBinaryString(resolver_.get(), type_url(message), text, &binary, options).ok()) {
    return error(Code::kMalformed, "JSON does not fit the message's fields");
  }
  return binary;
}

Error JsonCodec::why_not(std::string_view message, BytesView binary) const {
  const pb::Descriptor* descriptor = pool_.FindMessageTypeByName(std::string(message));
  pb::UnknownFieldSet fields;
  if (descriptor != nullptr && fields.ParseFromArray(binary.data(), static_cast<int>(binary.size()))) {
    const std::string name = text_that_is_not_utf8(*descriptor, fields);
    if (!name.empty()) return error(Code::kInvalidUtf8, name + " is not UTF-8");
  }
  return error(Code::kMalformed, "body is not the message that this path takes");
}

Result<Bytes> JsonCodec::to_json(std::string_view message, BytesView binary, Defaults defaults) const {
  pb::util::JsonPrintOptions options;
  options.always_print_primitive_fields = defaults == Defaults::kPrint;
  Bytes json;
  const std::string bytes(binary);
  if (!pb::util::BinaryToJsonString(resolver_.get(), type_url(message), bytes, &json, options).ok()) {
    return error(Code::kInternal, "message does not map to JSON");
  }
  return json;
}

}  // namespace chatsdk::server
