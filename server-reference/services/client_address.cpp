// SPDX-License-Identifier: Apache-2.0
#include "server-reference/services/client_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "protocol/http.h"

namespace chatsdk::server {

namespace {

using Bytes16 = std::array<unsigned char, 16>;
constexpr unsigned kMappedBits = 96;  // of an IPv4 address within IPv6

struct Parsed {
  Bytes16 bytes{};
  bool is_v4 = false;
};

std::optional<Parsed> parse_address(std::string_view address) {
  if (address.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  const std::string text(address);
  Parsed parsed;
  if (inet_pton(AF_INET6, text.c_str(), parsed.bytes.data()) == 1) return parsed;
  parsed.is_v4 = inet_pton(AF_INET, text.c_str(), parsed.bytes.data() + kMappedBits / 8) == 1;
  if (!parsed.is_v4) return std::nullopt;
  parsed.bytes[10] = 0xFF;
  parsed.bytes[11] = 0xFF;
  return parsed;
}

bool same_network(const Bytes16& a, const Bytes16& b, unsigned prefix_bits) {
  const unsigned whole = prefix_bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const unsigned rest = prefix_bits % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Some proxies write a port behind the address: "192.0.2.7:4711", "[2001:db8::7]:4711".
std::string_view without_port(std::string_view entry) {
  if (entry.starts_with('[')) return entry.substr(1, entry.find(']') - 1);
  const std::size_t colon = entry.find(':');
  const bool is_port = colon != std::string_view::npos && entry.find(':', colon + 1) == std::string_view::npos;
  return is_port ? entry.substr(0, colon) : entry;
}

}  // namespace

Status AddressRanges::add(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = parse_address(text.substr(0, slash));
  if (!address) return error(Code::kInvalidArgument, "is no numeric address or network");
  const unsigned offset = address->is_v4 ? kMappedBits : 0;
  Range range{address->bytes, 128};
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    unsigned bits = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    const bool is_decimal =
        failure == std::errc() && end == digits.data() + digits.size() && (digits.size() == 1 || digits.front() != '0');
    if (!is_decimal || bits > 128 - offset) {
      return error(Code::kInvalidArgument, "has no prefix length from 0 to " + std::to_string(128 - offset));
    }
    range.prefix_bits = bits + offset;
  }
  ranges_.push_back(range);
  return {};
}

bool AddressRanges::contains(std::string_view address) const {
  const auto parsed = parse_address(address);
  return parsed && std::any_of(ranges_.begin(), ranges_.end(), [&](const Range& range) {
           return same_network(parsed->bytes, range.network, range.prefix_bits);
         });
}

std::string client_address(const std::map<std::string, std::string>& headers, std::string_view peer,
                           const AddressRanges& trusted_proxies) {
  std::string_view client = peer;
  std::string_view forwarded = header(headers, "x-forwarded-for");
  while (!forwarded.empty() && trusted_proxies.contains(client)) {
    const std::size_t comma = forwarded.rfind(',');
    const std::string_view entry = forwarded.substr(comma == std::string_view::npos ? 0 : comma + 1);
    const std::string_view address = without_port(trimmed(entry));
    if (!parse_address(address)) break;
    client = address;
    forwarded = comma == std::string_view::npos ? std::string_view() : forwarded.substr(0, comma);
  }
  return std::string(client);
}

}  // namespace chatsdk::server
