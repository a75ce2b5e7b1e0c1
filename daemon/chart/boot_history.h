// What happened in a recording, and what set off what.
//
// The recording is replayed, so that the engine tells at every step what stands and what waits. If
// the replay parts from the recording, what was recorded is still taken; only the states are
// missing from there on (replayed_to).
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daemon/chart/boot_chart.h"
#include "daemon/engine.h"
#include "daemon/replay/recording.h"

namespace muster::chart {

using ActId = std::size_t;  // index in History::acts

// An effect, or an event that came of itself.
struct Act {
  Kind kind = Kind::other;
  Micros start = 0;
  Micros end = 0;
  bool done = false;  // over
  bool failed = false;
  bool late = false;
  bool effect = false;
  std::string handler;
  std::string verb;
  std::string subject;
  std::string detail;   // arguments, outcome: lines for people
  std::string devpath;  // that it is about; may be empty
  std::string made;     // kernel name of the device that came of it
  std::size_t line = 0;
  std::optional<ActId> by;  // what set it off
};

// A state that a thing was in, and what brought it there.
struct Span {
  State state = State::waiting;
  std::string why;
  Micros start = 0;
  std::optional<Micros> end;
  ActId by = 0;
};

struct Life {
  Thing thing;  // as it was last
  std::vector<Span> spans;
  bool there = true;
};

// A device path over the whole recording.
struct Seen {
  std::string kernel;
  std::string subsystem;
  std::string modalias;
  std::string identity;  // serial or WWN, size
  std::string holds;     // what a read found on it
  std::string array;     // id of the array that it is a member of
  int slot = -1;
  std::vector<ActId> arrivals;
  std::vector<ActId> removals;
  bool there = false;
};

struct History {
  std::vector<Act> acts;
  std::map<std::string, Life, std::less<>> lives;  // by thing id
  std::map<std::string, Seen, std::less<>> devices;
  // Which thing a device was, from when on; empty: none any more.
  std::map<std::string, std::vector<std::pair<Micros, std::string>>, std::less<>> claims;
  std::map<std::string, std::string, std::less<>> alias_of_module;  // who asked for it first
  std::map<std::string, std::vector<std::string>, std::less<>> modules_of_alias;
  std::map<std::string, std::vector<ActId>, std::less<>> inserts_of_module;
  std::map<std::string, std::vector<ActId>, std::less<>> makers;  // of devices, by kernel name
  std::map<std::string, std::string, std::less<>> life_by_name;   // "/dev/md/0" -> thing id
  std::vector<Micros> segments;
  Micros begin = 0;
  Micros end = 0;
  std::size_t uevents = 0;
  std::size_t effects = 0;
  Phase phase = Phase::gathering;
  std::string mode;
  std::size_t parted_at = 0;  // line of the first step that replays differently; 0: none

  // What the device of this act was: a thing's id, or empty.
  [[nodiscard]] std::string thing_of(std::string_view devpath, Micros at) const;
  // What set this act off; for hardware that appeared, what most likely brought it.
  [[nodiscard]] std::optional<ActId> cause(ActId id) const;
};

[[nodiscard]] Result<History> read_history(const replay::Recording& recording);

[[nodiscard]] inline bool is_virtual(std::string_view devpath) {
  return devpath.starts_with("/devices/virtual/");
}

}  // namespace muster::chart
