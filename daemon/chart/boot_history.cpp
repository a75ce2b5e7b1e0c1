#include "daemon/chart/boot_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "daemon/chart/chart_text.h"
#include "daemon/json_line.h"
#include "daemon/replay/replay.h"
#include "handlers/target/target_binding.h"

namespace muster::chart {
namespace {

constexpr std::size_t kDetail = 240;  // characters of JSON shown
// A device that appears this long after everything it needs came of itself: it was plugged in.
constexpr Micros kFoundWithin = 5'000'000;
// Far beyond any uptime, far below where sums overflow: a recording may hold any number.
constexpr Micros kLatest = Micros{1} << 50;

std::string text_of(const Json& json, const char* key) {
  if (json.is_object()) {
    if (const auto it = json.find(key); it != json.end() && it->is_string()) {
      return it->get<std::string>();
    }
  }
  return {};
}

const Json& child(const Json& json, const char* key) {
  static const Json kNone;
  if (json.is_object()) {
    if (const auto it = json.find(key); it != json.end()) {
      return *it;
    }
  }
  return kNone;
}

Kind kind_of(const Effect& effect) {
  static const std::map<std::string, Kind, std::less<>> kKinds = {
      {"driver", Kind::driver},  {"probe", Kind::read},         {"md", Kind::assemble},
      {"lvm", Kind::volume},     {"multipath", Kind::assemble}, {"medium", Kind::medium},
      {"network", Kind::medium}, {"launch", Kind::launch},      {"timer", Kind::deadline}};
  if (effect.handler == "launch" && effect.verb == "follow") {
    return Kind::running;
  }
  if (effect.handler == "source" && effect.verb == "scan") {
    return Kind::scan;
  }
  const auto it = kKinds.find(effect.handler);
  return it == kKinds.end() ? Kind::other : it->second;
}

std::string device_identity(const World& world, const Device& device) {
  std::vector<std::string> parts;
  if (!is_virtual(device.devpath)) {
    const auto identity = target::identity_of(world, device);
    if (!identity.serial.empty()) {
      parts.push_back("serial " + identity.serial);
    } else if (!identity.wwn.empty()) {
      parts.push_back(identity.wwn);
    }
  }
  if (const auto size = device.size_bytes(); size != 0) {
    parts.push_back(size_text(size));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

class Reader {
 public:
  explicit Reader(History& history) : h_(history) {}

  // What was under way goes on: a segment begins where the file before it had grown too long.
  void begin_segment(bool first, Micros time) {
    fresh_ = true;
    if (!first) {
      h_.segments.push_back(sane(time));
    }
  }
  void step(const replay::Step& step, const Engine* engine);
  void finish();

 private:
  static Micros sane(Micros time) { return std::clamp<Micros>(time, 0, kLatest); }
  ActId add(Act act) {
    h_.acts.push_back(std::move(act));
    return h_.acts.size() - 1;
  }
  ActId point(Kind kind, std::string handler, std::string verb, std::string subject) {
    Act act;
    act.kind = kind;
    act.start = act.end = time_;
    act.done = true;
    act.handler = std::move(handler);
    act.verb = std::move(verb);
    act.subject = std::move(subject);
    act.line = line_;
    return add(std::move(act));
  }
  void over(ActId id) {
    auto& act = h_.acts[id];
    act.done = true;
    act.end = std::max(act.start, time_);
  }

  ActId on(const FactsRead&) { return point(Kind::other, "musterd", "start", "the plan is read"); }
  ActId on(const DeviceEvent& event);
  ActId on(const ScanDone& event);
  ActId on(const EventsLost& event) {
    return point(Kind::other, "musterd", "lost", "uevents were lost: " + event.reason);
  }
  ActId on(const EffectDone& event);
  ActId on(const EffectLate& event) {
    const auto it = effects_.find(event.id);
    if (it == effects_.end()) {
      return point(Kind::other, "musterd", "late", fmt::format("effect {}", event.id));
    }
    h_.acts[it->second].late = true;
    return it->second;
  }
  ActId on(const TimerDue& event);
  ActId on(const Command& event) {
    return point(Kind::command, "operator", event.verb,
                 event.arguments.empty() ? std::string() : to_line(event.arguments));
  }
  void sent(const Effect& effect, ActId trigger);
  void resolved(const std::string& alias, const Json& result);
  void note_known(const DeviceEvent* event, const World& world);
  void note_device(const std::string& devpath, const World& world);
  void note_signature(const std::string& devpath, const World& world);
  void note_things(const World& world, ActId trigger);

  History& h_;
  Micros now_ = 0;   // the engine's: never goes back
  Micros time_ = 0;  // of this event; uevents wait in a queue and are stamped before
  std::size_t line_ = 0;
  std::unordered_map<EffectId, ActId> effects_;
  std::map<std::string, ActId, std::less<>> timers_;
  std::map<std::string, ActId, std::less<>> reads_;  // sysfs of one device, under way
  std::optional<ActId> scan_;
  std::size_t living_ = 0;
  bool fresh_ = true;  // the first step of a segment
};

ActId Reader::on(const DeviceEvent& event) {
  ++h_.uevents;
  auto& seen = h_.devices[event.devpath];
  if (seen.kernel.empty()) {
    seen.kernel = event.devpath.substr(event.devpath.rfind('/') + 1);
  }
  if (!event.subsystem.empty()) {
    seen.subsystem = event.subsystem;
  }
  std::optional<ActId> by;
  if (event.origin == DeviceEvent::Origin::scan) {
    --h_.uevents;
    if (const auto read = reads_.find(event.devpath); read != reads_.end()) {
      by = read->second;
      over(read->second);
      reads_.erase(read);
    } else {
      by = scan_;
    }
  }
  const bool removal = event.action == Action::remove;
  const bool arrival = !removal && !seen.there;
  const ActId id = point(removal   ? Kind::removal
                         : arrival ? Kind::arrival
                                   : Kind::other,
                         "uevent", std::string(to_string(event.action)), seen.kernel);
  h_.acts[id].devpath = event.devpath;
  h_.acts[id].by = by;
  h_.acts[id].detail = fmt::format(
      "{} {} {}", event.origin == DeviceEvent::Origin::scan ? "found in /sys:" : "uevent",
      to_string(event.action), clip(event.devpath, kDetail));
  if (removal) {
    if (seen.there) {
      seen.removals.push_back(id);
    }
    if (auto claim = h_.claims.find(event.devpath); claim != h_.claims.end()) {
      claim->second.emplace_back(time_, std::string());
    }
  } else if (arrival) {
    seen.arrivals.push_back(id);
  }
  seen.there = !removal;
  return id;
}

ActId Reader::on(const ScanDone& event) {
  const ActId id = scan_ ? *scan_ : point(Kind::scan, "source", "scan", "/sys");
  over(id);
  h_.acts[id].detail = fmt::format("{} devices", event.devpaths.size());
  scan_.reset();
  // What the scan did not find is gone, without a uevent.
  std::set<std::string_view> found(event.devpaths.begin(), event.devpaths.end());
  for (auto& [devpath, seen] : h_.devices) {
    if (seen.there && !found.contains(devpath)) {
      const ActId gone = point(Kind::removal, "scan", "remove", seen.kernel);
      h_.acts[gone].devpath = devpath;
      h_.acts[gone].by = id;
      h_.acts[gone].detail = "not found in /sys any more: " + clip(devpath, kDetail);
      seen.removals.push_back(gone);
      seen.there = false;
    }
  }
  return id;
}

ActId Reader::on(const EffectDone& event) {
  const auto it = effects_.find(event.id);
  if (it == effects_.end()) {
    return point(Kind::other, "musterd", "done", fmt::format("effect {}", event.id));
  }
  const ActId id = it->second;
  over(id);
  auto& act = h_.acts[id];
  act.failed = !event.ok;
  act.made = text_of(event.result, "kernel");
  if (!event.ok) {
    act.detail += "\nfailed: " + clip(event.error, kDetail);
  } else if (const auto& took = child(event.result, "took_us"); took.is_number_integer()) {
    act.detail += fmt::format("\n{} of it at work", seconds_text(sane(took.get<std::int64_t>())));
  }
  if (act.kind == Kind::running) {
    const auto& success = child(event.result, "success");
    act.failed = act.failed || (success.is_boolean() && !success.get<bool>());
    act.detail += "\n" + clip(text_of(event.result, "text"), kDetail);
  }
  if (act.handler == "driver" && act.verb == "resolve") {
    resolved(act.subject, event.result);
  }
  return id;
}

ActId Reader::on(const TimerDue& event) {
  const auto it = timers_.find(event.name);
  if (it == timers_.end()) {
    const ActId id = point(Kind::deadline, "timer", "due", event.name);
    h_.acts[id].effect = true;
    return id;
  }
  const ActId id = it->second;
  timers_.erase(it);
  over(id);
  h_.acts[id].verb = "due";
  return id;
}

void Reader::resolved(const std::string& alias, const Json& result) {
  auto& modules = h_.modules_of_alias[alias];
  for (const auto& entry : child(result, "modules")) {
    if (auto name = text_of(entry, "name"); !name.empty()) {
      h_.alias_of_module.emplace(name, alias);
      if (std::find(modules.begin(), modules.end(), name) == modules.end()) {
        modules.push_back(std::move(name));
      }
    }
  }
}

void Reader::sent(const Effect& effect, ActId trigger) {
  if (effect.handler == "report" || effect.handler == "control") {
    return;
  }
  ++h_.effects;
  if (effect.handler == "timer" && effect.verb != "set") {
    timers_.erase(effect.subject);
    return;
  }
  Act act{.kind = kind_of(effect),
          .start = now_,
          .end = now_,
          .effect = true,
          .handler = effect.handler,
          .verb = effect.verb,
          .subject = effect.subject,
          .detail = {},
          .devpath = text_of(effect.arguments, "devpath"),
          .made = {},
          .line = line_,
          .by = trigger};
  if (effect.arguments.is_object() && !effect.arguments.empty()) {
    act.detail = clip(to_line(effect.arguments), kDetail);
  }
  if (effect.handler == "source" && effect.verb == "read") {
    act.devpath = effect.subject;
  }
  const ActId id = add(std::move(act));
  if (effect.handler == "timer") {
    timers_[effect.subject] = id;
  } else if (effect.handler == "source") {
    if (effect.verb == "scan") {
      scan_ = id;
    } else {
      reads_[effect.subject] = id;
    }
  } else {
    effects_[effect.id] = id;
    if (effect.handler == "driver" && effect.verb != "resolve" && effect.verb != "reload") {
      h_.inserts_of_module[effect.subject].push_back(id);
    }
  }
}

// What a snapshot brought along: there before the first event.
void Reader::note_known(const DeviceEvent* event, const World& world) {
  for (const Device* device : world.devices_sorted()) {
    if ((event != nullptr && event->devpath == device->devpath) ||
        h_.devices.contains(device->devpath)) {
      continue;
    }
    auto& seen = h_.devices[device->devpath];
    seen.kernel = device->kernel;
    seen.subsystem = device->subsystem;
    seen.there = true;
    note_device(device->devpath, world);
    note_signature(device->devpath, world);
  }
}

void Reader::note_device(const std::string& devpath, const World& world) {
  const Device* device = world.find(devpath);
  if (device == nullptr) {
    return;
  }
  auto& seen = h_.devices[devpath];
  if (const auto alias = device->property("MODALIAS"); !alias.empty()) {
    seen.modalias = alias;
  }
  if (device->is_block()) {
    seen.identity = device_identity(world, *device);
  }
}

void Reader::note_signature(const std::string& devpath, const World& world) {
  const Device* device = world.find(devpath);
  if (device == nullptr || !device->signature) {
    return;
  }
  auto& seen = h_.devices[devpath];
  const auto& signature = *device->signature;
  const auto property = [&](std::string_view name) {
    return std::string(signature.properties.find(name).value_or(""));
  };
  seen.holds = property("ID_FS_TYPE");
  if (const auto label = property("ID_FS_LABEL"); !label.empty() && !seen.holds.empty()) {
    seen.holds += " " + label;
  }
  const Json& md = child(signature.details, "md");
  const auto uuid = text_of(md, "uuid");
  seen.array = uuid.empty() ? std::string() : "array:" + uuid;
  const Json& role = child(md, "role");
  seen.slot =
      role.is_number_integer() && role.get<std::int64_t>() >= 0 && role.get<std::int64_t>() < 4096
          ? static_cast<int>(role.get<std::int64_t>())
          : -1;
  const auto metadata = text_of(child(signature.details, "lvm"), "metadata");
  if (const auto end = metadata.find(' '); uuid.empty() && end != std::string::npos) {
    seen.holds = "PV of " + clip(metadata.substr(0, end), 40);
  }
}

void Reader::note_things(const World& world, ActId trigger) {
  std::size_t there = 0;
  for (const auto& [id, thing] : world.things()) {
    if (thing.owner == "driver" || thing.owner == "probe") {
      continue;  // shown by their effects
    }
    ++there;
    const auto found = h_.lives.find(id);
    const bool is_new = found == h_.lives.end() || !found->second.there;
    auto& life = found == h_.lives.end() ? h_.lives[id] : found->second;
    if (!is_new && life.thing.since == thing.since && life.thing.state == thing.state &&
        life.thing.devpath == thing.devpath && life.thing.why == thing.why) {
      continue;
    }
    living_ += is_new ? 1 : 0;
    life.there = true;
    if (life.thing.devpath != thing.devpath || is_new) {
      if (!thing.devpath.empty()) {
        h_.claims[thing.devpath].emplace_back(now_, id);
      }
    }
    if (is_new || life.spans.back().state != thing.state || life.spans.back().why != thing.why) {
      if (!life.spans.empty() && !life.spans.back().end) {
        life.spans.back().end = now_;
      }
      life.spans.push_back({thing.state, thing.why, now_, std::nullopt, trigger});
    }
    life.thing = thing;
    for (const auto& name : thing.names) {
      h_.life_by_name[name] = id;
    }
  }
  if (there == living_) {
    return;
  }
  for (auto& [id, life] : h_.lives) {
    if (life.there && world.thing(id) == nullptr) {
      life.there = false;
      life.spans.back().end = now_;
      --living_;
    }
  }
}

void Reader::step(const replay::Step& step, const Engine* engine) {
  line_ = step.line;
  time_ = sane(step.event.time);
  if (h_.acts.empty()) {
    h_.begin = time_;
  }
  h_.begin = std::min(h_.begin, time_);
  now_ = std::max(now_, time_);
  h_.end = now_;
  const ActId trigger = std::visit([this](const auto& body) { return on(body); }, step.event.body);
  for (const auto& effect : step.effects) {
    sent(effect, trigger);
  }
  if (engine == nullptr) {
    return;
  }
  const auto* event = std::get_if<DeviceEvent>(&step.event.body);
  if (std::exchange(fresh_, false)) {
    note_known(event, engine->world());
  }
  if (event != nullptr) {
    note_device(event->devpath, engine->world());
  } else if (h_.acts[trigger].handler == "probe") {
    note_signature(h_.acts[trigger].devpath, engine->world());
  }
  note_things(engine->world(), trigger);
  h_.phase = engine->world().phase();
  h_.mode = to_string(engine->world().plan().mode);
}

void Reader::finish() {
  for (ActId id = 0; id < h_.acts.size(); ++id) {
    auto& act = h_.acts[id];
    if (!act.done) {
      act.end = std::max(act.start, h_.end);
    }
    if (!act.made.empty()) {
      h_.makers[act.made].push_back(id);
    }
  }
}

}  // namespace

std::string History::thing_of(std::string_view devpath, Micros at) const {
  const auto it = claims.find(devpath);
  if (it == claims.end()) {
    return {};
  }
  // The last one before; where the device was nobody's then, the next.
  std::string current;
  for (const auto& [time, id] : it->second) {
    if (time > at && !current.empty()) {
      break;
    }
    current = id;
  }
  return current;
}

std::optional<ActId> History::cause(ActId id) const {
  const Act& act = acts[id];
  if (act.by) {
    return *act.by < id ? act.by : std::nullopt;
  }
  if (act.handler != "uevent" || act.kind == Kind::removal) {
    return std::nullopt;
  }
  if (act.devpath.starts_with("/devices/virtual/block/")) {
    // Arrays, volumes and loop devices: the effect that made it.
    const auto made = makers.find(act.subject);
    std::optional<ActId> maker;
    if (made != makers.end()) {
      for (const ActId each : made->second) {
        if (each < id && acts[each].start <= act.start) {
          maker = each;
        }
      }
    }
    return maker;
  }
  // Hardware: the device above it, or that one's driver if this came later.
  std::string_view path = act.devpath;
  for (auto cut = path.rfind('/'); cut != std::string_view::npos && cut > 8;
       cut = path.rfind('/')) {
    path = path.substr(0, cut);
    const auto above = devices.find(path);
    if (above == devices.end() || above->second.arrivals.empty()) {
      continue;
    }
    std::optional<ActId> came;
    for (const auto arrival : above->second.arrivals) {
      if (acts[arrival].start <= act.start && arrival < id) {
        came = arrival;
      }
    }
    if (!came) {
      continue;
    }
    std::optional<ActId> cause = came;
    if (const auto modules = modules_of_alias.find(above->second.modalias);
        !above->second.modalias.empty() && modules != modules_of_alias.end()) {
      for (const auto& module : modules->second) {
        const auto inserts = inserts_of_module.find(module);
        if (inserts == inserts_of_module.end()) {
          continue;
        }
        for (const auto insert : inserts->second) {
          const bool later = !cause || acts[insert].end >= acts[*cause].end;
          if (insert < id && acts[insert].start <= act.start && later) {
            cause = insert;
          }
        }
      }
    }
    const Micros ready = std::min(acts[*cause].end, act.start);
    return act.start - ready > kFoundWithin ? std::nullopt : cause;
  }
  return std::nullopt;
}

Result<History> read_history(const replay::Recording& recording) {
  History history;
  Reader reader(history);
  std::size_t segment = 0;
  std::size_t index = 0;
  const auto take = [&](const replay::Step& step, const Engine* engine) {
    while (segment < recording.segments.size() &&
           index == recording.segments[segment].steps.size()) {
      ++segment;
      index = 0;
    }
    if (index == 0) {
      reader.begin_segment(segment == 0, step.event.time);
    }
    ++index;
    reader.step(step, engine);
  };
  const auto replayed =
      replay::replay(recording, {}, [&](const Engine& engine, const replay::Step& step) {
        take(step, &engine);
        return true;
      });
  if (!replayed) {
    return tl::unexpected(replayed.error());
  }
  if (replayed->difference) {
    const auto& difference = *replayed->difference;
    for (std::size_t s = difference.segment; s < recording.segments.size(); ++s) {
      const auto& steps = recording.segments[s].steps;
      for (std::size_t i = s == difference.segment ? difference.step : 0; i < steps.size(); ++i) {
        take(steps[i], nullptr);
      }
    }
    history.parted_at = recording.segments[difference.segment].steps[difference.step].line;
  }
  reader.finish();
  return history;
}

}  // namespace muster::chart
