// SPDX-License-Identifier: Apache-2.0
#include "server-reference/gateway/stream_table.h"

#include <algorithm>

namespace chatsdk::server {

std::vector<StreamEntry>::iterator StreamTable::lower_bound(StreamId id) {
  return std::lower_bound(entries_.begin(), entries_.end(), id,
                          [](const StreamEntry& entry, StreamId wanted) { return entry.id < wanted; });
}

StreamEntry* StreamTable::find(StreamId id) {
  const auto place = lower_bound(id);
  return place != entries_.end() && place->id == id ? &*place : nullptr;
}

StreamEntry& StreamTable::find_or_add(StreamId id, wire::StreamKind kind) {
  const auto place = lower_bound(id);
  if (place != entries_.end() && place->id == id) return *place;
  StreamEntry entry;
  entry.id = id;
  entry.kind = kind;
  return *entries_.insert(place, entry);
}

void StreamTable::remove(StreamId id) {
  const auto place = lower_bound(id);
  if (place != entries_.end() && place->id == id) entries_.erase(place);
}

void DeliveryWindow::add(StreamId stream, Seq after, Seq last, std::size_t items, std::size_t bytes) {
  flights_.push_back(Flight{stream, after, last, static_cast<std::uint32_t>(items), static_cast<std::uint32_t>(bytes)});
  items_ += items;
  bytes_ += bytes;
}

bool DeliveryWindow::acknowledge(StreamId stream, Seq seq) {
  bool freed = false;
  const bool erased = erase_if([&](Flight& flight) {
    if (flight.stream != stream || flight.after >= seq) return false;
    if (flight.last <= seq) return true;
    // Part of a frame. Where a skip covers several positions their items cannot be told apart: then it counts whole
    // until its last item is acknowledged.
    if (flight.last - flight.after != flight.items) return false;
    const auto applied = static_cast<std::uint32_t>(seq - flight.after);
    const auto bytes = static_cast<std::uint32_t>(std::uint64_t{flight.bytes} * applied / flight.items);
    flight.after = seq;
    flight.items -= applied;
    flight.bytes -= bytes;
    items_ -= applied;
    bytes_ -= bytes;
    freed = true;
    return false;
  });
  return freed || erased;
}

void DeliveryWindow::forget(StreamId stream) {
  erase_if([&](const Flight& flight) { return flight.stream == stream; });
}

void DeliveryWindow::clear() {
  std::vector<Flight>().swap(flights_);
  items_ = 0;
  bytes_ = 0;
}

template <typename Gone>
bool DeliveryWindow::erase_if(Gone gone) {
  std::size_t kept = 0;
  for (Flight& flight : flights_) {
    if (gone(flight)) {
      items_ -= flight.items;
      bytes_ -= flight.bytes;
    } else {
      flights_[kept++] = flight;
    }
  }
  if (kept == flights_.size()) return false;
  flights_.resize(kept);
  // An idle connection keeps no buffer of its busy times.
  constexpr std::size_t kKeptCapacity = 8;
  if (flights_.empty() && flights_.capacity() > kKeptCapacity) std::vector<Flight>().swap(flights_);
  return true;
}

}  // namespace chatsdk::server
