// The devpath of a device, as everybody keeps it: one text with its hash, shared by all copies.
//
// Devpaths are long and begin alike, and a machine of a hundred thousand devices is kept in a dozen
// tables by them: a copy costs a pointer here, and to find one costs no look at its text.
// Threads: copies share a count that is not guarded; an engine and all it holds belong to one
// thread.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/dense_map.h"

namespace muster {

class Devpath {
 public:
  Devpath() = default;  // empty
  explicit Devpath(std::string_view text)
      : shared_(text.empty() ? nullptr : new Shared{1, text_hash(text), std::string(text)}) {}
  Devpath(const Devpath& other) noexcept : shared_(other.shared_) {
    if (shared_ != nullptr) {
      ++shared_->users;
    }
  }
  Devpath(Devpath&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  Devpath& operator=(Devpath other) noexcept {
    std::swap(shared_, other.shared_);
    return *this;
  }
  ~Devpath() {
    if (shared_ != nullptr && --shared_->users == 0) {
      delete shared_;
    }
  }

  [[nodiscard]] const std::string& str() const {
    static const std::string kEmpty;
    return shared_ == nullptr ? kEmpty : shared_->text;
  }
  // Wherever a text is wanted it is one.
  operator const std::string&() const { return str(); }  // NOLINT(google-explicit-constructor)
  operator std::string_view() const { return str(); }    // NOLINT(google-explicit-constructor)
  [[nodiscard]] bool empty() const { return shared_ == nullptr; }
  [[nodiscard]] bool starts_with(std::string_view text) const { return str().starts_with(text); }
  [[nodiscard]] std::uint64_t hash() const {
    return shared_ == nullptr ? text_hash({}) : shared_->hash;
  }

  friend bool operator==(const Devpath& a, const Devpath& b) {
    return a.shared_ == b.shared_ || (a.hash() == b.hash() && a.str() == b.str());
  }
  friend bool operator==(const Devpath& a, std::string_view b) { return a.str() == b; }
  friend std::strong_ordering operator<=>(const Devpath& a, const Devpath& b) {
    return a.shared_ == b.shared_ ? std::strong_ordering::equal : a.str() <=> b.str();
  }
  friend std::strong_ordering operator<=>(const Devpath& a, std::string_view b) {
    return std::string_view(a.str()) <=> b;
  }
  friend std::string operator+(std::string_view before, const Devpath& path) {
    return std::string(before) += path.str();
  }

 private:
  struct Shared {
    std::size_t users;
    std::uint64_t hash;
    const std::string text;
  };
  Shared* shared_ = nullptr;
};

struct DevpathHash {
  std::uint64_t operator()(const Devpath& path) const { return path.hash(); }
  std::uint64_t operator()(std::string_view path) const { return text_hash(path); }
};

template <typename Value>
using DevpathMap = DenseMap<Devpath, Value, DevpathHash>;

// Some devices, of which now the first is asked for, now all in order, and mostly neither.
class DevpathSet {
 public:
  void insert(const Devpath& path) {
    const bool is_new = members_.try_emplace(path).second;
    if (!is_new) {
      return;
    }
    if (!heap_.empty()) {
      heap_.push_back(path);
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    }
    if (sorted_asked_) {
      added_.push_back(path);
    }
    forget_those_gone();
  }
  void erase(std::string_view path) { erased_ = members_.erase(path) || erased_; }
  void erase(const Devpath& path) { erased_ = members_.erase(path) || erased_; }
  [[nodiscard]] bool contains(std::string_view path) const { return members_.contains(path); }
  [[nodiscard]] bool empty() const { return members_.empty(); }
  [[nodiscard]] std::size_t size() const { return members_.size(); }

  // Whether it holds for one of them, whichever.
  template <typename Predicate>
  [[nodiscard]] bool any_of(const Predicate& holds) const {
    return std::any_of(members_.unsorted().begin(), members_.unsorted().end(),
                       [&](const auto& entry) { return holds(entry.first); });
  }

  // The first one in order; the set is not empty.
  [[nodiscard]] const Devpath& first() const {
    if (heap_.empty()) {
      for (const auto& member : members_.unsorted()) {
        heap_.push_back(member.first);
      }
      std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
    }
    while (!members_.contains(heap_.front())) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      heap_.pop_back();
    }
    return heap_.front();
  }

  // In order, for once.
  [[nodiscard]] std::vector<const Devpath*> in_order() const {
    std::vector<const Devpath*> all;
    for (const auto* entry : members_.sorted()) {
      all.push_back(&entry->first);
    }
    return all;
  }

  // In order. Costs little where it was asked for before and little has come or gone since.
  [[nodiscard]] const std::vector<Devpath>& sorted() const {
    if (!std::exchange(sorted_asked_, true)) {
      for (const auto& member : members_.unsorted()) {
        added_.push_back(member.first);
      }
    }
    const auto is_gone = [this](const Devpath& path) { return !members_.contains(path); };
    if (std::exchange(erased_, false)) {
      std::erase_if(sorted_, is_gone);
      std::erase_if(added_, is_gone);
    }
    if (!added_.empty()) {
      std::sort(added_.begin(), added_.end());
      const auto middle = static_cast<std::ptrdiff_t>(sorted_.size());
      sorted_.insert(sorted_.end(), added_.begin(), added_.end());
      // One that went and came again stands in both.
      std::inplace_merge(sorted_.begin(), sorted_.begin() + middle, sorted_.end());
      sorted_.erase(std::unique(sorted_.begin(), sorted_.end()), sorted_.end());
      added_ = {};
    }
    return sorted_;
  }

 private:
  static constexpr std::size_t kSpare = 64;

  // A device that comes and goes for hours while nobody asks leaves its former names behind.
  void forget_those_gone() {
    const std::size_t most = 2 * members_.size() + kSpare;
    if (heap_.size() > most) {
      heap_ = {};
    }
    if (sorted_.size() + added_.size() > most) {
      sorted_ = {};
      added_ = {};
      sorted_asked_ = false;
    }
  }

  struct Nothing {};
  DevpathMap<Nothing> members_;
  // What follows is made when it is asked for. Of the heap, and of the sorted ones while erased_,
  // some are members no more.
  mutable std::vector<Devpath> heap_;
  mutable bool sorted_asked_ = false;
  mutable std::vector<Devpath> sorted_;
  mutable std::vector<Devpath> added_;  // since it was sorted
  mutable bool erased_ = false;
};

}  // namespace muster

template <>
struct fmt::formatter<muster::Devpath> : fmt::formatter<std::string_view> {
  template <typename FormatContext>
  auto format(const muster::Devpath& path, FormatContext& context) const {
    return fmt::formatter<std::string_view>::format(path.str(), context);
  }
};
