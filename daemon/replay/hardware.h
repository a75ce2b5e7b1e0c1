// What a recording tells about the machine: which devices there were, what had to be there before
// each of them, what they held, and how the world answered the daemon's effects.
//
// This is all that a shuffle or a what-if question knows. What is not in here is *unknown*: the
// machine (machine.h) answers it with an error that says so, and never with a guess.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/event.h"
#include "daemon/replay/recording.h"
#include "rules/rule.h"

namespace muster::replay {

// How an effect ended.
struct Outcome {
  bool ok = true;
  Json result = Json::object();
  std::string error;
  Errc code = Errc::io;
};

// What one generation (DISKSEQ) of a block device holds, as effects found it. Absent: unknown.
struct Content {
  std::optional<Outcome> probe;             // "probe read"
  std::map<std::string, Outcome> examined;  // "medium examine", by the arguments that ask: see
  std::map<std::string, Outcome> taken;     // "medium take"        question()
  std::optional<Outcome> tools;             // "medium tools"
};

// One uevent of a device, or its first appearance in a scan of /sys.
struct Moment {
  Micros time = 0;
  DeviceEvent event;
  std::size_t life_above = 0;  // how often the parent part had been added by then
};

// A device that hardware, a driver or the kernel brought, not an effect of ours.
struct Part {
  std::string devpath;
  std::optional<std::size_t> parent;  // nearest device above it that is a part
  std::vector<Moment> life;           // in order; begins with an add
  std::set<std::string> modules;      // must be live before it can appear
  std::set<std::string> stands_on;    // devpaths: an array that ran before the recording began
  std::set<std::string> comes_after;  // devpaths whose life must be over: the same disk elsewhere
  bool at_start = false;              // the first scan found it

  [[nodiscard]] bool is_block() const { return life.front().event.subsystem == "block"; }
  [[nodiscard]] bool is_partition() const;
  [[nodiscard]] bool is_disk() const { return is_block() && !is_partition(); }
};

// A block device that an effect makes.
struct Built {
  DeviceEvent settled;  // its last event before the launch: attributes, size
  Content content;
  std::vector<DeviceEvent> partitions;  // of an array; devpaths below settled.devpath
  std::vector<Content> partition_contents;
};

struct Hardware {
  Json header;  // of the recording's segment
  std::vector<rules::Source> rules;
  Json facts;
  std::vector<Part> parts;  // parents before children, else in the order of their arrival
  std::map<std::pair<std::string, std::uint64_t>, Content> contents;  // devpath of a part, DISKSEQ
  std::map<std::string, Built> built;  // "md UUID" or the map's device-mapper UUID
  // What one `lvm` call makes: the UUIDs of its maps in their order. By "VG/LV".
  std::map<std::string, std::vector<std::string>> activations;

  // By alias, then by how often the module tree had been read again before.
  std::map<std::string, std::map<std::size_t, Outcome>> aliases;
  std::map<std::string, Outcome> modules;  // insert and install, by name
  // By "HANDLER VERB SUBJECT": everything else that was answered, last answer.
  std::map<std::string, Outcome> answers;
  std::vector<Command> commands;  // that decided something, in order
  std::set<std::string> timers;   // that came due

  // Devices that no effect was about, and that nothing which counts is below of, are no parts.
  std::size_t left_out = 0;
};

// The arguments of an effect that make up its question: all but names that depend on the order of
// arrival.
[[nodiscard]] std::string question(const Effect& effect);

// Errors: a segment that begins with a snapshot, or without facts, does not tell what the machine
// was.
[[nodiscard]] Result<Hardware> hardware_of(const Segment& segment);

}  // namespace muster::replay
