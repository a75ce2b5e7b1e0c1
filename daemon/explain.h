// Why we wait: the world told to people and programs. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "daemon/event.h"

namespace muster {

class Engine;
class World;
struct Thing;

// For each requirement (or for one subject: a device name, an id or part of a title) the chain down
// to what is missing, as of `now`. An object:
//   "summary", "phase", "mode", "now_us", "problems" (of the plan, texts)
//   "chains": what is not met; where a subject was given, the things of that name
//   "met": titles of the requirements that are met
//   "also": things that are broken or impossible and stand in no chain
//   "without_driver": controllers and disks that no module drives, while something is not met
//   "disks": of a nuke, those that no drive of the mountlist is bound to, while one is not there
//   "scanning": /sys is being read once more;  "under_way": effects that stand in no chain
//   "device": of a subject, if it is one
// A link of a chain has "id", "what", "state", "why", "since_us", "requirement", and where there is
// such: "device", "then" and "due_us" (what happens at which deadline), "under_way" and "tried"
// (effects), "past" (what was, until when), "needs" (links), "perhaps" (that it is needed is a
// guess), "told" (it stands further above).
[[nodiscard]] Json explain_json(const Engine& engine, const std::string& subject, Micros now);

// The same for people.
[[nodiscard]] std::string explain_text(const Json& explained);
[[nodiscard]] std::string explain_text(const Engine& engine, const std::string& subject);

// The things that a need of `by` stands for: by id, by a name under /dev, or, where nothing has
// that name today, what may get it once it is up.
struct Needed {
  const Thing* thing;
  bool perhaps;
};
[[nodiscard]] std::vector<Needed> needed_things(const World& world, const Thing& by,
                                                const std::string& need);

// Controllers and disks that no module drives: what is not seen may be behind them.
[[nodiscard]] std::vector<const Thing*> storage_without_driver(const World& world);

// What will be done about this thing by itself, and when; 0: nothing has a deadline.
[[nodiscard]] std::pair<std::string, Micros> deadline_of(const Engine& engine, const Thing& thing);

// Everything `muster status --json` prints.
[[nodiscard]] Json status_json(const Engine& engine);

}  // namespace muster
