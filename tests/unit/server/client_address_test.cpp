// SPDX-License-Identifier: Apache-2.0
//
// Whose request it is behind reverse proxies, and which addresses an operator may name as such.
//
// Threads: one.
#include "server-reference/services/client_address.h"

#include <gtest/gtest.h>

namespace chatsdk::server {
namespace {

AddressRanges ranges(const std::vector<std::string>& entries) {
  AddressRanges made;
  for (const std::string& entry : entries) EXPECT_TRUE(made.add(entry).ok()) << entry;
  return made;
}

TEST(AddressRanges, HoldAddressesAndNetworksOfBothFamilies) {
  const AddressRanges some = ranges({"192.0.2.7", "10.0.0.0/8", "172.16.0.0/12", "fd00::/8", "::1"});
  for (const char* inside : {"192.0.2.7", "::ffff:192.0.2.7", "10.255.0.1", "172.31.255.255", "fdab::1", "::1"}) {
    EXPECT_TRUE(some.contains(inside)) << inside;
  }
  for (const char* outside : {"192.0.2.8", "11.0.0.1", "172.32.0.0", "fe80::1", "::2", "", "localhost", "10.0.0"}) {
    EXPECT_FALSE(some.contains(outside)) << outside;
  }
  EXPECT_TRUE(ranges({"0.0.0.0/0"}).contains("203.0.113.9"));
  EXPECT_FALSE(ranges({"0.0.0.0/0"}).contains("2001:db8::1"));
}

TEST(AddressRanges, RefuseWhatIsNone) {
  for (const char* text : {"", "localhost", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/08",
                           "10.0.0.0/0x8", "10.0.0.0/8x", "::/129", "/8", "10.0.0.0/8/8", "1.2.3.4 "}) {
    AddressRanges refused;
    EXPECT_EQ(refused.add(text).code(), Code::kInvalidArgument) << text;
    EXPECT_TRUE(refused.empty());
  }
}

TEST(ClientAddress, IsTheRightmostThatIsNoTrustedProxy) {
  const AddressRanges proxies = ranges({"10.0.0.0/8", "fd00::/8"});
  struct Case {
    const char* peer;
    const char* forwarded;
    const char* client;
  };
  const Case cases[] = {
      {"198.51.100.1", "", "198.51.100.1"},
      {"198.51.100.1", "192.0.2.1", "198.51.100.1"},  // nobody we trust says so
      {"10.0.0.1", "", "10.0.0.1"},
      {"10.0.0.1", "192.0.2.1", "192.0.2.1"},
      {"10.0.0.1", "6.6.6.6, 192.0.2.1", "192.0.2.1"},  // the left one is what the client wrote
      {"10.0.0.1", "6.6.6.6,192.0.2.1 ,\t10.0.0.2", "192.0.2.1"},
      {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
      {"fd00::1", "2001:db8::7", "2001:db8::7"},
      {"10.0.0.1", "192.0.2.1:4711", "192.0.2.1"},
      {"10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"},
      {"10.0.0.1", "192.0.2.1, unknown", "10.0.0.1"},  // what is no address ends the chain
      {"10.0.0.1", "192.0.2.1, ", "10.0.0.1"},
      {"10.0.0.1", "[", "10.0.0.1"},
  };
  for (const Case& c : cases) {
    std::map<std::string, std::string> headers;
    if (*c.forwarded != 0) headers["x-forwarded-for"] = c.forwarded;
    EXPECT_EQ(client_address(headers, c.peer, proxies), c.client) << c.peer << " | " << c.forwarded;
    EXPECT_EQ(client_address(headers, c.peer, {}), c.peer) << "without a trusted proxy";
  }
}

}  // namespace
}  // namespace chatsdk::server
