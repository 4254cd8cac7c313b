// SPDX-License-Identifier: Apache-2.0
//
// Where one connection stands in each stream that its device follows, and what is on its way to the device without an
// acknowledgement. Plain data and arithmetic: it sends nothing and reads nothing.
//
// Threads: the shard's executor.
// Invariants:
//   1. Entries are ordered by stream id, each id once.
//   2. acknowledged <= sent <= head in every entry.
//   3. The window's totals are the sums over its entries, and every entry lies in (acknowledged, sent] of its stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "protocol/frames.h"

namespace chatsdk::server {

struct StreamEntry {
  StreamId id;
  Seq acknowledged = 0;
  Seq sent = 0;                  // everything up to here was sent on this connection, or was there before
  Seq head = 0;                  // the highest known to exist
  std::uint64_t marks_sent = 0;  // the revision that the device knows once it has read its frames
  std::uint64_t marks_head = 0;
  wire::StreamKind kind = wire::STREAM_KIND_CONVERSATION;

  bool last_again = false;  // the device has sent + 1 as well, which it is sent once more
  bool lacks_some = false;  // of what is acknowledged, as the device said last

  // What the device may speak of.
  Seq known_to_device() const { return last_again ? sent + 1 : sent; }
  void set_sent(Seq seq) {
    sent = seq;
    last_again = false;
  }
  bool behind() const { return sent < head; }
  bool marks_behind() const { return marks_sent < marks_head; }
};

class StreamTable {
 public:
  StreamEntry* find(StreamId id);
  // The entry, made at the beginning of its stream when there is none. Invalidates other entries' pointers.
  StreamEntry& find_or_add(StreamId id, wire::StreamKind kind);
  void remove(StreamId id);
  void reserve(std::size_t count) { entries_.reserve(count); }
  void clear() { std::vector<StreamEntry>().swap(entries_); }

  // The first entry after `previous`, around the end, for which wanted() holds: taking turns keeps streams fair.
  template <typename Wanted>
  StreamEntry* next_after(StreamId previous, Wanted wanted);

  std::vector<StreamEntry>& entries() { return entries_; }

 private:
  std::vector<StreamEntry>::iterator lower_bound(StreamId id);

  std::vector<StreamEntry> entries_;
};

// What was sent and is not acknowledged.
class DeliveryWindow {
 public:
  std::size_t items() const { return items_; }
  std::size_t bytes() const { return bytes_; }
  bool empty() const { return flights_.empty(); }

  // A frame with items of (after, last] left.
  void add(StreamId stream, Seq after, Seq last, std::size_t items, std::size_t bytes);
  // Everything up to seq is applied; true when that made room.
  bool acknowledge(StreamId stream, Seq seq);
  // What is on its way of a stream will be sent again.
  void forget(StreamId stream);
  void clear();

 private:
  struct Flight {
    StreamId stream;
    Seq after = 0;
    Seq last = 0;
    std::uint32_t items = 0;
    std::uint32_t bytes = 0;
  };

  template <typename Gone>
  bool erase_if(Gone gone);

  std::vector<Flight> flights_;
  std::size_t items_ = 0;
  std::size_t bytes_ = 0;
};

template <typename Wanted>
StreamEntry* StreamTable::next_after(StreamId previous, Wanted wanted) {
  const std::size_t count = entries_.size();
  std::size_t place = 0;
  while (place < count && entries_[place].id <= previous) ++place;
  for (std::size_t step = 0; step < count; ++step, ++place) {
    if (place >= count) place = 0;
    if (wanted(entries_[place])) return &entries_[place];
  }
  return nullptr;
}

}  // namespace chatsdk::server
