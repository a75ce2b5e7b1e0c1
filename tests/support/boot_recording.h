// Recordings made on the spot: real events of a machine that does not exist, and what the engine
// answers to them.
#pragma once

#include <string>
#include <vector>

#include "daemon/replay/recording.h"

namespace muster::test {

// With the shipped rules; the effects are the engine's own.
[[nodiscard]] replay::Recording recording_of(std::string name, const std::vector<Event>& events);

// A machine with this many disks, two dozen to an array, all of which the restore needs; the
// medium is there from the beginning. Reads and starts take their time, so that bars have lengths.
// `slow`: this disk comes half a minute after all others.
struct LargeBoot {
  unsigned disks = 500;
  int slow = -1;
  std::string serial_prefix = "SN";
  bool medium = true;
  Micros go_at = 0;  // the operator says `muster go`
};
[[nodiscard]] replay::Recording large_boot(const LargeBoot& boot);

}  // namespace muster::test
