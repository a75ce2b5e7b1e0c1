// Many orders of one recording: does a promise break, do orders with the same facts end alike?
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/replay/hardware.h"
#include "daemon/replay/play.h"

namespace muster::replay {

// Up to here every order of the disks' arrival is played.
inline constexpr std::size_t kEveryOrderUpTo = 8;

struct ShuffleOptions {
  std::size_t plays = 1000;  // random ones
  std::uint64_t seed = 1;
  bool every_order = true;  // as well, with kEveryOrderUpTo or fewer units
  double drop = 0;          // as in PlayOptions
  double duplicate = 0;
  bool remove = false;
  bool late = false;
  MakePolicies policies;
  std::function<void(std::size_t played)> progress;  // called now and then
};

struct Violation {
  std::string what;           // which promise, and by what it was broken
  std::vector<Played> plays;  // one, or two that knew the same and ended differently
};

struct Shuffled {
  std::size_t plays = 0;
  std::size_t units = 0;    // what can arrive freely
  std::size_t classes = 0;  // of orders with the same facts before the launch
  bool every_order = false;
  std::set<std::string> unknown;       // questions that the recording has no answer to
  std::optional<Violation> violation;  // shrunk to the fewest arrivals that still show it
};

[[nodiscard]] Shuffled shuffle(const Hardware& hardware, const ShuffleOptions& options);

// A violation as a person reads it: what broke, and the order of things that led there.
[[nodiscard]] std::string story(const Violation& violation);
// How many things arrive in the longest of its orders.
[[nodiscard]] std::size_t arrivals(const Violation& violation);

}  // namespace muster::replay
