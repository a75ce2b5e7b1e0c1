// A journal read back: what replay, shuffle, explain and chart work on.
//
// Pure values, once read. A recording that is cut off within its last line (its writer died, or
// still writes) is read up to there; everything else that is not a journal is an error that names
// the line.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "daemon/event.h"
#include "rules/rule.h"

namespace muster::replay {

// One event, and what the engine answered.
struct Step {
  std::size_t line = 0;  // of the event, from 1
  Event event;
  std::vector<Effect> effects;  // their lines follow the event's
};

// What one engine lived through: from its start, or from a snapshot, to the next header line.
struct Segment {
  std::size_t line = 0;  // of the header
  Json header;           // daemon/JOURNAL.md
  std::vector<rules::Source> rules;
  std::vector<Step> steps;
};

struct Recording {
  std::string name;  // the file's
  std::vector<Segment> segments;
  bool cut_off = false;

  [[nodiscard]] std::size_t events() const;
  [[nodiscard]] std::size_t effects() const;
};

// Above this a file is no boot of ours (a segment is bounded by JournalWriter's limit), and reading
// it into memory would be its writer's choice.
inline constexpr std::size_t kMaxRecording = std::size_t{256} * 1024 * 1024;

// "FILE: line N: WHY" on errors.
[[nodiscard]] Result<Recording> read_recording(const std::string& path,
                                               std::size_t limit = kMaxRecording);

// The lines of a journal, each with its newline; what read_recording() reads back.
[[nodiscard]] std::string to_text(const Segment& segment);

}  // namespace muster::replay
