#include "daemon/replay/promises.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "handlers/target/target_binding.h"

namespace muster::replay {
namespace {

// Everything that may be done before the launch; none of it writes to a disk. (LVM types that write
// as they are activated are excepted by name in the design, and go through "activate".)
const std::set<std::pair<std::string_view, std::string_view>>& allowed_before_launch() {
  static const std::set<std::pair<std::string_view, std::string_view>> verbs = {
      {"source", "scan"},    {"source", "read"},    {"timer", "set"},         {"timer", "cancel"},
      {"control", "reply"},  {"report", "line"},    {"driver", "resolve"},    {"driver", "insert"},
      {"driver", "install"}, {"driver", "reload"},  {"driver", "bind"},       {"probe", "read"},
      {"md", "start_ro"},    {"md", "assemble"},    {"md", "mdadm_assemble"}, {"md", "stop"},
      {"md", "inspect"},     {"lvm", "create"},     {"lvm", "remove"},        {"lvm", "activate"},
      {"lvm", "deactivate"}, {"node", "link"},      {"node", "unlink"},       {"node", "node"},
      {"medium", "poll"},    {"medium", "examine"}, {"medium", "take"},       {"medium", "tools"},
      {"medium", "release"}, {"launch", "prepare"}, {"launch", "filter"},     {"launch", "run"},
      {"launch", "follow"},  {"launch", "shell"},   {"launch", "end"}};
  return verbs;
}

// Handlers that open devices or build on them: silent while mondorestore runs.
bool is_hands_off(std::string_view handler) {
  return handler == "probe" || handler == "md" || handler == "lvm" || handler == "medium";
}

// These are about what is to be taken away, and it may be gone already.
bool takes_away(const Effect& effect) {
  return effect.verb == "stop" || effect.verb == "remove" || effect.verb == "deactivate" ||
         effect.verb == "unlink" || effect.verb == "release";
}

void each_text(const Json& json, std::string_view name,
               const std::function<void(const std::string&)>& visit) {
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      if (key == name && value.is_string()) {
        visit(value.get<std::string>());
      } else {
        each_text(value, name, visit);
      }
    }
  } else if (json.is_array()) {
    for (const auto& value : json) {
      each_text(value, name, visit);
    }
  }
}

}  // namespace

void Promises::break_promise(std::string text) {
  if (breach_.empty()) {
    breach_ = std::move(text);
  }
}

void Promises::step(const Event& event, const std::vector<Effect>& effects, const Engine& engine) {
  if (const auto* command = std::get_if<Command>(&event.body)) {
    told_to_go_ = told_to_go_ || command->verb == "go";
  }
  if (const auto* done = std::get_if<EffectDone>(&event.body)) {
    if (const auto it = inserts_.find(done->id); it != inserts_.end()) {
      loading_.erase(it->second);
      inserts_.erase(it);
    }
  }
  if (!engine.reports().empty()) {
    const std::string& last = engine.reports().back();
    if (last.starts_with("internal error") || last.starts_with("an event could not be used")) {
      break_promise("10: " + last);
    }
  }
  for (const auto& effect : effects) {
    check(effect, engine);
  }
}

void Promises::check(const Effect& effect, const Engine& engine) {
  const auto named = [&] {
    return fmt::format("{} {} {}", effect.handler, effect.verb, effect.subject);
  };
  if (!launched_ && !allowed_before_launch().contains({effect.handler, effect.verb})) {
    break_promise(fmt::format("4: '{}' before the launch may write", named()));
  }
  if (launched_ && is_hands_off(effect.handler) && !takes_away(effect)) {
    break_promise(fmt::format("'{}' while mondorestore runs: hands off storage", named()));
  }
  if (effect.handler == "driver" && effect.verb == "insert") {
    if (!loading_.insert(effect.subject).second) {
      break_promise(fmt::format("module {} inserted twice at once", effect.subject));
    }
    inserts_[effect.id] = effect.subject;
  }
  if (!takes_away(effect)) {
    acts_on_what_is_there(effect, engine);
  }
  leaves_targets_alone(effect, engine);
  if (effect.handler == "launch" && effect.verb == "run") {
    if (std::exchange(launched_, true)) {
      break_promise("5: mondorestore is launched a second time");
    }
    for (const auto& [id, thing] : engine.world().things()) {
      // A nuke is never started with less, whatever an operator says.
      const bool excused = told_to_go_ && engine.world().plan().mode != Mode::nuke;
      if (thing.requirement && thing.state != State::ready && !excused) {
        break_promise(fmt::format("5: mondorestore is launched while {} is {} ({})", thing.what,
                                  to_string(thing.state), thing.why));
      }
    }
  }
}

void Promises::acts_on_what_is_there(const Effect& effect, const Engine& engine) {
  if (effect.handler == "source" || effect.handler == "control" || effect.handler == "timer" ||
      effect.handler == "report") {
    return;
  }
  const World& world = engine.world();
  each_text(effect.arguments, "devno", [&](const std::string& text) {
    const auto devno = devno_from(text);
    if (devno && world.block_by_devno(*devno) == nullptr) {
      break_promise(fmt::format("'{} {} {}' acts on device {}, which is not there", effect.handler,
                                effect.verb, effect.subject, text));
    }
  });
  each_text(effect.arguments, "devpath", [&](const std::string& devpath) {
    if (!devpath.empty() && world.find(devpath) == nullptr) {
      break_promise(fmt::format("'{} {} {}' acts on {}, which is not there", effect.handler,
                                effect.verb, effect.subject, devpath));
    }
  });
}

// Nothing on a drive that a nuke will overwrite is assembled.
void Promises::leaves_targets_alone(const Effect& effect, const Engine& engine) {
  const World& world = engine.world();
  const bool builds =
      (effect.handler == "md" && effect.verb.find("assemble") != std::string::npos) ||
      (effect.handler == "lvm" && (effect.verb == "create" || effect.verb == "activate"));
  if (!builds || world.plan().mode != Mode::nuke) {
    return;
  }
  std::set<std::string> drives;
  for (const auto& binding : target::bindings(world)) {
    if (binding.disk != nullptr) {
      drives.insert(binding.disk->devpath);
    }
  }
  const auto touches = [&](const Device* device) {
    if (device == nullptr) {
      return;
    }
    for (const auto& disk : world.disks_below(device->devpath)) {
      if (drives.contains(disk)) {
        break_promise(fmt::format("'{} {} {}' builds on {}, a drive that the nuke is for",
                                  effect.handler, effect.verb, effect.subject, disk));
      }
    }
  };
  each_text(effect.arguments, "devno", [&](const std::string& text) {
    if (const auto devno = devno_from(text)) {
      touches(world.block_by_devno(*devno));
    }
  });
}

void Promises::settled(const Engine& engine) {
  for (const auto& [id, thing] : engine.world().things()) {
    if (thing.state != State::ready && thing.why.empty() && thing.needs.empty()) {
      break_promise(
          fmt::format("9: {} is {}, and nothing says why", thing.what, to_string(thing.state)));
    }
    if (thing.state == State::working) {
      break_promise(fmt::format("9: {} is being worked on ({}), but nothing is under way",
                                thing.what, thing.why));
    }
  }
}

}  // namespace muster::replay
