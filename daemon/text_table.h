// Names and their values as a device carries them: read often, replaced as a whole, and kept for
// every device of the machine. Devices of a kind have the same names, which they share; the values
// lie in one piece.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daemon/event.h"

namespace muster {

// One name and what it is; without a value where it is known to be absent (a sysfs attribute).
struct NamedText {
  std::string_view name;
  std::optional<std::string_view> value;
  bool operator==(const NamedText&) const = default;
};

// A list of names, in order.
class Names {
 public:
  explicit Names(std::span<const NamedText> texts);
  [[nodiscard]] std::size_t size() const { return names_.size(); }
  [[nodiscard]] const std::string& operator[](std::size_t index) const { return names_[index]; }
  [[nodiscard]] std::vector<std::string>::const_iterator begin() const { return names_.begin(); }
  [[nodiscard]] std::vector<std::string>::const_iterator end() const { return names_.end(); }
  // Where a name stands; size() if it is not among them.
  [[nodiscard]] std::size_t find(std::string_view name) const;

 private:
  struct Place {
    std::uint32_t hash = 0;
    std::uint32_t name = 0;  // its number, from 1; 0: free
  };
  std::vector<std::string> names_;
  std::vector<Place> places_;  // a power of two of them, at most half of them taken
};

// The lists of names that occur.
class NamePool {
 public:
  [[nodiscard]] std::shared_ptr<const Names> names_of(std::span<const NamedText> texts);

 private:
  std::unordered_multimap<std::uint64_t, std::shared_ptr<const Names>> lists_;
  std::size_t looked_through_at_ = 64;  // so many lists: those that nobody has any more go
};

class TextTable {
 public:
  TextTable() = default;  // empty
  // In order of their names, each once.
  TextTable(std::span<const NamedText> texts, NamePool& pool)
      : TextTable(texts, pool.names_of(texts)) {}
  explicit TextTable(std::span<const NamedText> texts);  // shares its names with nobody
  TextTable(const TextTable& other);
  TextTable(TextTable&&) noexcept = default;
  TextTable& operator=(TextTable other) noexcept;
  ~TextTable() = default;

  [[nodiscard]] std::size_t size() const { return names_ == nullptr ? 0 : names_->size(); }
  [[nodiscard]] NamedText at(std::size_t index) const {
    NamedText text{(*names_)[index], std::nullopt};
    if ((data_[index] & kAbsent) == 0) {
      const std::uint32_t begin = index == 0 ? 0 : data_[index - 1] & ~kAbsent;
      const char* const values = reinterpret_cast<const char*>(data_.get() + names_->size());
      text.value = std::string_view(values + begin, data_[index] - begin);
    }
    return text;
  }
  // Nothing if there is no such name, or no value.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  void share_names(NamePool& pool);
  // These, which may be its own in part, instead of what it holds.
  void replace(std::span<const NamedText> texts, NamePool& pool);
  // It will be read soon, and was not for long.
  void prefetch() const {
    if (const auto* begin = reinterpret_cast<const char*>(data_.get())) {
      __builtin_prefetch(begin);
      __builtin_prefetch(begin + kCacheLine);
      __builtin_prefetch(begin + 2 * kCacheLine);
    }
  }

  // As maps, for those who put events together.
  operator Properties() const;  // NOLINT(google-explicit-constructor)
  operator Attributes() const;  // NOLINT(google-explicit-constructor)

 private:
  TextTable(std::span<const NamedText> texts, std::shared_ptr<const Names> names);

  static constexpr std::size_t kCacheLine = 64;
  static constexpr std::uint32_t kAbsent = std::uint32_t{1} << 31;

  std::shared_ptr<const Names> names_;
  // Where each value ends, with kAbsent; then the values.
  std::unique_ptr<std::uint32_t[]> data_;
};

// Sorted texts of a map of an event's.
template <typename Map>
[[nodiscard]] std::vector<NamedText> named_texts(const Map& map) {
  std::vector<NamedText> texts;
  texts.reserve(map.size());
  for (const auto& [name, value] : map) {
    texts.push_back({name, value});
  }
  return texts;
}

}  // namespace muster
