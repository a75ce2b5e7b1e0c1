// The engine once more, on recorded events: does it do what it did?
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/engine.h"
#include "daemon/replay/recording.h"

namespace muster::replay {

// An engine as it was when this segment began. An error: the snapshot in its header is damaged.
[[nodiscard]] Result<std::unique_ptr<Engine>> engine_for(const Segment& segment);

// Where a replay ends: after so many events of the recording, or before the first one later than
// a moment.
struct Until {
  std::optional<std::size_t> events;
  std::optional<Micros> time;
};

// The first effect that is not as recorded. One of the two is absent where the other stands alone.
struct Difference {
  std::size_t segment = 0;  // index
  std::size_t step = 0;     // index within the segment
  std::size_t effect = 0;   // index within the step
  std::optional<Effect> recorded;
  std::optional<Effect> replayed;
};

struct Replayed {
  std::size_t events = 0;
  std::size_t effects = 0;
  std::optional<Difference> difference;
};

// Called after each step with the engine as it is then; false ends the replay.
using Watcher = std::function<bool(const Engine&, const Step&)>;

// Ends at the first difference. Errors: a segment that cannot be begun.
[[nodiscard]] Result<Replayed> replay(const Recording& recording, const Until& until = {},
                                      const Watcher& watch = {});

// How this step came about: from what came of itself (a uevent, a command, the start) down to the
// step, a line each.
[[nodiscard]] std::vector<std::string> cause_chain(const Segment& segment, std::size_t step);

// One line for people: "12.345 s  uevent add /devices/…/sda".
[[nodiscard]] std::string describe(const Event& event);
// "md assemble 8c…: {...}"
[[nodiscard]] std::string describe(const Effect& effect);

// What is to be said about a difference: where, both effects, what led there.
[[nodiscard]] std::string difference_text(const Recording& recording, const Difference& difference);

}  // namespace muster::replay
