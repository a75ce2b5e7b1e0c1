// A recording as a picture, before anything is drawn: rows, bars, and the critical path.
//
// Plain values; nothing here knows of pixels. The same recording gives the same chart, whatever
// file it was read from.
//
// Every bar knows what set it off (`by`): the event that the engine answered with this effect. An
// engine that is a pure function of its events makes that exact: before this event the effect was
// not wanted, after it it was. Going back from the launch along `by` is therefore the critical
// path, and no estimate. Only where hardware appears is the cause guessed (what_brought()): the
// kernel does not say which driver found a device.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "daemon/event.h"
#include "daemon/replay/recording.h"

namespace muster::chart {

// Top to bottom, as things are built on each other.
enum class Section { drivers, disks, arrays, volumes, media, requirements, launch, others };

enum class Kind {
  present,   // there, from its arrival to its removal; up, for what was built
  waiting,   // not yet, or not any more: `text` says for what
  arrival,   // a uevent, or the scan that found it
  removal,   //
  scan,      // of /sys
  driver,    // a module looked up or inserted
  found,     // between a driver and the device that appeared under it: the kernel at work
  read,      // by the probe
  assemble,  // arrays, maps
  volume,    // logical volumes
  medium,    // examined, taken, unpacked
  launch,    //
  running,   // mondorestore
  deadline,  // a timer that fired
  command,   // the operator's
  other,
};

struct Bar {
  Kind kind = Kind::other;
  Micros start = 0;
  Micros end = 0;     // == start: a point
  bool open = false;  // not over when the recording ends
  bool failed = false;
  bool late = false;
  bool critical = false;
  Micros critical_end = 0;        // where the critical path leaves it: at what it set off
  std::string label;              // a word or two; empty: not worth one
  std::string text;               // all there is to say, several lines, without the times
  std::size_t id = 0;             // of the first of what it shows; unique in the chart
  std::optional<std::size_t> by;  // id of what set it off; not always in the chart
  std::size_t count = 1;          // bars that were drawn as one
  std::size_t line = 0;           // of the recording; 0: none
};

struct Row {
  Section section = Section::others;
  std::string key;       // unique: "array:UUID", a devpath, ...
  std::string title;     // "sda", "md0"
  std::string identity;  // what it is whatever its name: serial, "raid5 f0d77917…"
  std::string alike;     // rows that share this may be drawn as one
  std::vector<Bar> bars;
  std::size_t count = 1;  // devices or things that were drawn as one
  bool critical = false;
  bool trouble = false;  // failed, late, or gone before the launch
};

// One step of the critical path, in order of time; each begins where the one before it ends.
struct Hop {
  std::size_t id = 0;  // of the bar
  std::string row;     // key of its row
  std::string text;    // "examine sdg"
  Micros start = 0;
  Micros end = 0;
};

struct Chart {
  std::string title;      // name of the recording
  std::string subtitle;   // kernel, mode, how much there was
  std::string verdict;    // one line: launched when, and what was waited for; or why not
  std::string breakdown;  // one line: where the time went
  std::vector<std::string> notes;
  Micros begin = 0;
  Micros end = 0;
  std::optional<Micros> launched;
  std::vector<Micros> segments;  // where the journal began anew
  std::vector<Row> rows;         // sections in order, each ordered
  std::vector<Hop> path;
};

// Errors: a segment that cannot be begun.
[[nodiscard]] Result<Chart> boot_chart(const replay::Recording& recording);

// The same with at most so many rows in each section: what is alike is drawn as one row, the
// critical path and what went wrong last.
[[nodiscard]] Chart condensed(const Chart& chart, std::size_t rows_per_section);

}  // namespace muster::chart
