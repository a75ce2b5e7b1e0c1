// A hash table whose entries lie side by side, for the tables that hold something for every device:
// one look at the index and one at the entry, however many there are.
//
//   DenseMap<std::string, Reading, TextHash> readings;
//   readings.try_emplace(devpath).first->size = size;
//   if (Reading* known = readings.find(devpath)) …
//
// It has no order of its own that anybody may see: what is made of all entries goes through
// sorted(). A pointer into it holds until something is inserted or erased.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace muster {

// Eight bytes at a time. The same on every machine, though nothing may depend on that.
[[nodiscard]] inline std::uint64_t text_hash(std::string_view text) {
  constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15U;
  const auto mix = [](std::uint64_t hash) {
    hash *= kFactor;
    return hash ^ (hash >> 32);
  };
  std::uint64_t hash = text.size();
  std::uint64_t word = 0;
  while (text.size() >= sizeof word) {
    std::memcpy(&word, text.data(), sizeof word);
    hash = mix(hash ^ word);
    text.remove_prefix(sizeof word);
  }
  word = 0;
  if (!text.empty()) {  // its data may be null
    std::memcpy(&word, text.data(), text.size());
  }
  return mix(mix(hash ^ word));
}

struct TextHash {
  std::uint64_t operator()(std::string_view text) const { return text_hash(text); }
};

// Finds, by their hash, entries that lie elsewhere and are known here by a number.
class DenseIndex {
 public:
  static constexpr std::size_t kNowhere = ~std::size_t{0};

  // Where an entry with this hash stands of which `is_it(number)` holds; kNowhere if none does.
  template <typename IsIt>
  [[nodiscard]] std::size_t find(std::uint64_t hash, const IsIt& is_it) const {
    if (places_.empty()) {
      return kNowhere;
    }
    const std::size_t mask = places_.size() - 1;
    const auto half = static_cast<std::uint32_t>(hash);
    for (std::size_t at = half & mask; places_[at].entry != 0; at = (at + 1) & mask) {
      if (places_[at].hash == half && is_it(places_[at].entry - 1)) {
        return at;
      }
    }
    return kNowhere;
  }
  [[nodiscard]] std::uint32_t entry(std::size_t place) const { return places_[place].entry - 1; }
  void set_entry(std::size_t place, std::uint32_t entry) { places_[place].entry = entry + 1; }

  // One that is not in it.
  void insert(std::uint64_t hash, std::uint32_t entry) {
    if ((size_ + 1) * 4 > places_.size() * 3) {
      grow();
    }
    put({entry + 1, static_cast<std::uint32_t>(hash)});
    ++size_;
  }
  void erase(std::size_t place) {
    // Those behind it move up, so that no search ends too early.
    const std::size_t mask = places_.size() - 1;
    for (std::size_t next = (place + 1) & mask; places_[next].entry != 0;
         next = (next + 1) & mask) {
      const std::size_t home = places_[next].hash & mask;
      if (((next - home) & mask) >= ((next - place) & mask)) {
        places_[place] = places_[next];
        place = next;
      }
    }
    places_[place] = {};
    --size_;
  }
  void clear() {
    places_.clear();
    size_ = 0;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  // In no order that means anything.
  template <typename Visit>
  void each(const Visit& visit) const {
    for (const Place& place : places_) {
      if (place.entry != 0) {
        visit(place.entry - 1);
      }
    }
  }

 private:
  struct Place {
    std::uint32_t entry = 0;  // its number, from 1; 0: free
    std::uint32_t hash = 0;   // the lower half: enough for as many places as entries can be
  };

  void put(Place place) {
    const std::size_t mask = places_.size() - 1;
    std::size_t at = place.hash & mask;
    while (places_[at].entry != 0) {
      at = (at + 1) & mask;
    }
    places_[at] = place;
  }

  void grow() {
    const auto old =
        std::exchange(places_, std::vector<Place>(std::max<std::size_t>(8, places_.size() * 2)));
    for (const Place& place : old) {
      if (place.entry != 0) {
        put(place);
      }
    }
  }

  std::vector<Place> places_;  // a power of two of them, at most three quarters taken
  std::size_t size_ = 0;
};

template <typename Key, typename Value, typename Hash>
class DenseMap {
 public:
  using key_type = Key;
  using mapped_type = Value;
  struct Entry {
    Key first;
    [[no_unique_address]] Value second;
  };

  template <typename K>
  [[nodiscard]] Value* find(const K& key) {
    const std::size_t place = place_of(key, Hash{}(key));
    return place == kNowhere ? nullptr : &entries_[index_.entry(place)].second;
  }
  template <typename K>
  [[nodiscard]] const Value* find(const K& key) const {
    const std::size_t place = place_of(key, Hash{}(key));
    return place == kNowhere ? nullptr : &entries_[index_.entry(place)].second;
  }
  template <typename K>
  [[nodiscard]] bool contains(const K& key) const {
    return place_of(key, Hash{}(key)) != kNowhere;
  }

  // The entry's value, and whether it is new.
  template <typename K>
  std::pair<Value*, bool> try_emplace(const K& key) {
    const std::uint64_t hash = Hash{}(key);
    if (const std::size_t place = place_of(key, hash); place != kNowhere) {
      return {&entries_[index_.entry(place)].second, false};
    }
    entries_.push_back({Key(key), Value{}});
    index_.insert(hash, static_cast<std::uint32_t>(entries_.size() - 1));
    return {&entries_.back().second, true};
  }
  template <typename K>
  Value& operator[](const K& key) {
    return *try_emplace(key).first;
  }

  template <typename K>
  bool erase(const K& key) {
    const std::size_t place = place_of(key, Hash{}(key));
    if (place == kNowhere) {
      return false;
    }
    // `key` may be the entry's own.
    const std::size_t gone = index_.entry(place);
    const std::size_t last = entries_.size() - 1;
    if (gone != last) {
      index_.set_entry(place_of(entries_[last].first, Hash{}(entries_[last].first)),
                       static_cast<std::uint32_t>(gone));
      std::swap(entries_[gone], entries_[last]);
    }
    entries_.pop_back();
    index_.erase(place);
    return true;
  }
  void clear() {
    entries_.clear();
    index_.clear();
  }

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }

  // In no order that means anything: for what sorts by itself, or counts.
  [[nodiscard]] const std::vector<Entry>& unsorted() const { return entries_; }
  [[nodiscard]] std::vector<const Entry*> sorted() const {
    std::vector<const Entry*> all;
    all.reserve(entries_.size());
    for (const Entry& entry : entries_) {
      all.push_back(&entry);
    }
    std::sort(all.begin(), all.end(),
              [](const Entry* a, const Entry* b) { return a->first < b->first; });
    return all;
  }

 private:
  static constexpr std::size_t kNowhere = DenseIndex::kNowhere;

  template <typename K>
  [[nodiscard]] std::size_t place_of(const K& key, std::uint64_t hash) const {
    return index_.find(hash, [&](std::uint32_t entry) { return entries_[entry].first == key; });
  }

  std::vector<Entry> entries_;
  DenseIndex index_;
};

}  // namespace muster
