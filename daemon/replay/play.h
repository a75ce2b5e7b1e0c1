// One boot on the recorded hardware: the engine on one side, the machine on the other, and an order
// in which things happen.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/engine.h"
#include "daemon/replay/hardware.h"
#include "daemon/replay/recording.h"

namespace muster::replay {

// What can be plugged and pulled: a disk with all that comes and goes with it.
struct Unit {
  std::size_t root = 0;  // the part that is pulled
  std::size_t disk = 0;  // the disk's part
  std::string name;      // the recording's name for it
};
[[nodiscard]] std::vector<Unit> units_of(const Hardware& hardware);

using MakePolicies = std::function<std::vector<std::unique_ptr<Policy>>()>;

struct PlayOptions {
  // recorded: arrivals as the recording has them, everything that they cause before the next one.
  // random: any of the things that may happen next, drawn from `seed`.
  // given: as recorded, but the units' disks in the order of `order`.
  enum class Order { recorded, random, given } order_of = Order::recorded;
  std::uint64_t seed = 0;
  std::vector<std::size_t> order;  // indices of units
  std::set<std::size_t> absent;    // units that never come
  double drop = 0;                 // share of uevents that are lost, with an overrun to tell so
  double duplicate = 0;            // share of uevents that come twice
  bool remove = false;             // a unit goes and comes back
  bool late = false;               // gaps and answers are stretched, deadlines pass
  // The last step before the launch waits until nothing else is left to happen, so that all facts
  // are known before it.
  bool hold_launch = false;
  MakePolicies policies;  // empty: those that ship
};

struct Played {
  Segment segment;          // replays
  std::string breach;       // of a promise; empty if none was broken
  std::string final_state;  // without kernel names and numbers
  std::string facts;        // what was known at the launch, or at the end if there was none
  std::size_t arrivals = 0;
  std::vector<std::string> story;  // one line each arrival and effect that matters
  std::string board;               // at the end
  std::string explained;           // what `muster explain` would say at the end
  std::set<std::string> unknown;   // questions that the recording has no answer to
};

[[nodiscard]] Played play(const Hardware& hardware, const PlayOptions& options);

}  // namespace muster::replay
