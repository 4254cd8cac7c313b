// SPDX-License-Identifier: Apache-2.0
//
// Whose request it is when reverse proxies stand in between: the address that the nearest proxy we trust has not
// vouched for as another proxy of ours. What anybody else writes into the header is not looked at.
//
// Threads: values and pure functions.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace chatsdk::server {

// Addresses of IPv4 and IPv6, single ones and whole networks.
class AddressRanges {
 public:
  // "192.0.2.7", "10.0.0.0/8", "::1" or "fd00::/8". INVALID_ARGUMENT for anything else.
  Status add(std::string_view text);
  // False for what is no numeric address.
  bool contains(std::string_view address) const;
  bool empty() const { return ranges_.empty(); }

 private:
  using Bytes16 = std::array<unsigned char, 16>;  // IPv4 as mapped into IPv6
  struct Range {
    Bytes16 network;
    unsigned prefix_bits;
  };
  std::vector<Range> ranges_;
};

// The client's address: the peer itself, unless it is a trusted proxy; then the last address of X-Forwarded-For, and so
// on to the left for as long as the address found is a trusted proxy's too.
std::string client_address(const std::map<std::string, std::string>& headers, std::string_view peer,
                           const AddressRanges& trusted_proxies);

}  // namespace chatsdk::server
