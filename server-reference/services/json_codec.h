// SPDX-License-Identifier: Apache-2.0
//
// REST bodies between protobuf and its JSON mapping, through the embedded descriptors of chatsdk.proto. The generated
// code is the lite one and exists once in a process; this maps bytes to bytes and names no generated type.
//
// Threads: immutable after construction; any.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/type_resolver.h>

#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace chatsdk::server {

class JsonCodec {
 public:
  // Whether fields at their default value appear.
  enum class Defaults { kPrint, kOmit };

  JsonCodec();
  ~JsonCodec();

  // message is the full name: "chatsdk.v1.Session". Unknown fields are dropped. MALFORMED and INVALID_UTF8 quote
  // nothing of the text.
  Result<Bytes> to_binary(std::string_view message, std::string_view json) const;
  // Why binary does not parse as the message: INVALID_UTF8 names the text that is not UTF-8, else it is MALFORMED.
  Error why_not(std::string_view message, BytesView binary) const;
  // 64-bit numbers become strings, as the mapping demands.
  Result<Bytes> to_json(std::string_view message, BytesView binary, Defaults defaults) const;

 private:
  google::protobuf::DescriptorPool pool_;
  std::unique_ptr<google::protobuf::util::TypeResolver> resolver_;
};

}  // namespace chatsdk::server
