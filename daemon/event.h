// Everything that may enter the engine, as plain values.
//
// Time is CLOCK_BOOTTIME in microseconds, stamped where the event was taken; the engine has no
// clock of its own. Threads: values, no sharing. Each event is one line of the journal
// (event_json.h).
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/result.h"

namespace muster {

using Json = nlohmann::json;
using Micros = std::int64_t;
using EffectId = std::uint64_t;

// The kernel's own words; `other` keeps unknown ones harmless.
enum class Action { add, remove, change, move, online, offline, bind, unbind, other };

std::string_view to_string(Action action);
Action action_from(std::string_view text);

using Properties = std::map<std::string, std::string, std::less<>>;
// A sysfs attribute that does not exist is a value too (nullopt).
using Attributes = std::map<std::string, std::optional<std::string>, std::less<>>;

// One uevent, or one device as a scan of /sys found it. The attributes that the rules name were
// read from sysfs as the event was taken. On Action::remove only the identity (devpath, subsystem,
// seqnum) is relied on.
struct DeviceEvent {
  enum class Origin { kernel, udev, scan };
  Origin origin = Origin::kernel;
  Action action = Action::add;
  std::string devpath;
  std::string subsystem;
  std::uint64_t seqnum = 0;  // 0: not from the kernel's numbering (scan)
  Properties properties;
  Attributes attributes;
};

// A scan of /sys is complete: what is not in `devpaths` is gone.
struct ScanDone {
  std::uint64_t seqnum = 0;  // /sys/kernel/uevent_seqnum before the scan
  std::vector<std::string> devpaths;
};

// Uevents were lost (overrun, truncation, a gap in SEQNUM): only a scan helps.
struct EventsLost {
  std::string reason;
};

// What the daemon knows at its start, and again when files that make the plan changed: texts, not
// conclusions. Keys: see plan.h.
struct FactsRead {
  Json facts;
};

struct EffectDone {
  EffectId id = 0;
  bool ok = false;
  Json result;        // what the handler's executor found; an object
  std::string error;  // one line, where !ok
  Errc code = Errc::io;
  Json tools = nullptr;  // programs that were run for it: for people, no decision reads it
};

// The deadline of an effect passed; its worker was replaced. EffectDone may still come.
struct EffectLate {
  EffectId id = 0;
};

struct TimerDue {
  std::string name;
};

// From `muster` over the control socket. `client` identifies the connection for the reply.
struct Command {
  std::uint64_t client = 0;
  std::string verb;
  Json arguments;
};

using EventBody = std::variant<FactsRead, DeviceEvent, ScanDone, EventsLost, EffectDone, EffectLate,
                               TimerDue, Command>;

struct Event {
  Micros time = 0;
  EventBody body;
};

// Something to be done to the world, outside the engine. `handler` names who does it, `verb` what,
// `subject` to whom (for people), `arguments` everything the executor needs: it knows nothing else.
struct Effect {
  EffectId id = 0;
  std::string handler;
  std::string verb;
  std::string subject;
  Json arguments;
  std::int64_t deadline_ms = 0;  // 0: none
  std::string lane;              // effects of one lane run one after the other; empty: side by side
};

}  // namespace muster
