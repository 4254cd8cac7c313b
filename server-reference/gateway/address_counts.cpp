// SPDX-License-Identifier: Apache-2.0
#include "server-reference/gateway/address_counts.h"

#include <netinet/in.h>

#include <utility>

#include "base/assert.h"

namespace chatsdk::server {

namespace {

std::uint64_t big_endian(const unsigned char* bytes, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

// The networks of IPv6 that IPv4's keys coincide with, ::/32, are none that a peer is given.
AddressCounts::Key AddressCounts::key_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr);
  if (address.ss_family != AF_INET6) return 0;
  const in6_addr& bytes = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&bytes)) return big_endian(bytes.s6_addr + 12, 4);
  return big_endian(bytes.s6_addr, 8);
}

AddressCounts::Entry AddressCounts::enter(Key address, std::size_t max) {
  std::lock_guard lock(mutex_);
  Count& count = counts_[address];
  if (count.connections < max) {
    ++count.connections;
    return Entry::kAdmitted;
  }
  return std::exchange(count.refusing, true) ? Entry::kRefused : Entry::kRefusedFirst;
}

void AddressCounts::leave(Key address, std::size_t max) {
  std::lock_guard lock(mutex_);
  const auto found = counts_.find(address);
  CHATSDK_ASSERT(found != counts_.end() && found->second.connections > 0);
  if (--found->second.connections == 0) {
    counts_.erase(found);
  } else if (found->second.connections <= max / 2) {
    found->second.refusing = false;
  }
}

}  // namespace chatsdk::server
