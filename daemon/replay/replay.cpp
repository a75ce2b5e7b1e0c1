#include "daemon/replay/replay.h"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/event_json.h"
#include "daemon/json_line.h"
#include "handlers/registry.h"

namespace muster::replay {
namespace {

constexpr std::size_t kShown = 160;  // bytes of JSON in a line for people

bool same(const Effect& a, const Effect& b) {
  return a.id == b.id && a.deadline_ms == b.deadline_ms && a.handler == b.handler &&
         a.verb == b.verb && a.subject == b.subject && a.lane == b.lane &&
         a.arguments == b.arguments;
}

// The first index at which the two lists part; nothing where they are the same.
std::optional<std::size_t> first_difference(const std::vector<Effect>& recorded,
                                            const std::vector<Effect>& replayed) {
  const auto [left, right] =
      std::mismatch(recorded.begin(), recorded.end(), replayed.begin(), replayed.end(), same);
  if (left == recorded.end() && right == replayed.end()) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(left - recorded.begin());
}

std::string shortened(const Json& json) {
  std::string text = to_line(json);
  if (text.size() > kShown) {
    std::size_t end = kShown;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
      --end;
    }
    text.resize(end);
    text += " …";
  }
  return text;
}

std::optional<EffectId> answers(const Event& event) {
  if (const auto* done = std::get_if<EffectDone>(&event.body)) {
    return done->id;
  }
  if (const auto* late = std::get_if<EffectLate>(&event.body)) {
    return late->id;
  }
  return std::nullopt;
}

// The latest step before this one that sent the effect it answers, or set its timer.
std::optional<std::size_t> cause_of(const Segment& segment, std::size_t index) {
  const Event& event = segment.steps[index].event;
  const auto id = answers(event);
  const auto* timer = std::get_if<TimerDue>(&event.body);
  if (!id && timer == nullptr) {
    return std::nullopt;
  }
  while (index-- > 0) {
    for (const auto& effect : segment.steps[index].effects) {
      if ((id && effect.id == *id) ||
          (timer != nullptr && effect.handler == "timer" && effect.subject == timer->name)) {
        return index;
      }
    }
  }
  return std::nullopt;
}

std::string step_line(const Segment& segment, std::size_t index) {
  const Step& step = segment.steps[index];
  std::string text = fmt::format("line {}: {}", step.line, describe(step.event));
  if (const auto id = answers(step.event)) {
    if (const auto cause = cause_of(segment, index)) {
      for (const auto& effect : segment.steps[*cause].effects) {
        if (effect.id == *id) {
          text += fmt::format(" (effect {}: {} {} {})", effect.id, effect.handler, effect.verb,
                              effect.subject);
        }
      }
    }
  }
  return text;
}

}  // namespace

Result<std::unique_ptr<Engine>> engine_for(const Segment& segment) {
  std::vector<rules::Diagnostic> diagnostics;
  auto engine =
      std::make_unique<Engine>(rules::RuleSet::load(segment.rules, diagnostics), make_policies());
  if (const auto snapshot = segment.header.find("snapshot"); snapshot != segment.header.end()) {
    if (auto restored = engine->restore(*snapshot); !restored) {
      return tl::unexpected(restored.error());
    }
  }
  return engine;
}

Result<Replayed> replay(const Recording& recording, const Until& until, const Watcher& watch) {
  Replayed result;
  for (std::size_t s = 0; s < recording.segments.size(); ++s) {
    const Segment& segment = recording.segments[s];
    auto engine = engine_for(segment);
    if (!engine) {
      return tl::unexpected(
          engine.error().within(fmt::format("{}: line {}", recording.name, segment.line)));
    }
    for (std::size_t i = 0; i < segment.steps.size(); ++i) {
      const Step& step = segment.steps[i];
      if ((until.events && result.events >= *until.events) ||
          (until.time && step.event.time > *until.time)) {
        return result;
      }
      const auto effects = (*engine)->on(step.event);
      ++result.events;
      result.effects += effects.size();
      // With the last line more may be cut off that came of the last event.
      const bool open_end =
          recording.cut_off && s + 1 == recording.segments.size() && i + 1 == segment.steps.size();
      if (const auto at = first_difference(step.effects, effects);
          at && !(open_end && *at == step.effects.size())) {
        Difference difference{s, i, *at, std::nullopt, std::nullopt};
        if (*at < step.effects.size()) {
          difference.recorded = step.effects[*at];
        }
        if (*at < effects.size()) {
          difference.replayed = effects[*at];
        }
        result.difference = std::move(difference);
        return result;
      }
      if (watch && !watch(**engine, step)) {
        return result;
      }
    }
  }
  return result;
}

std::vector<std::string> cause_chain(const Segment& segment, std::size_t step) {
  std::vector<std::string> chain{step_line(segment, step)};
  while (const auto cause = cause_of(segment, step)) {
    step = *cause;
    chain.push_back(step_line(segment, step));
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

std::string describe(const Event& event) {
  struct Text {
    std::string operator()(const FactsRead&) const { return "what is known at the start"; }
    std::string operator()(const DeviceEvent& e) const {
      return fmt::format("{} {} {}", e.origin == DeviceEvent::Origin::scan ? "scan" : "uevent",
                         to_string(e.action), e.devpath);
    }
    std::string operator()(const ScanDone& e) const {
      return fmt::format("the scan of /sys is complete: {} devices", e.devpaths.size());
    }
    std::string operator()(const EventsLost& e) const {
      return fmt::format("uevents were lost: {}", e.reason);
    }
    std::string operator()(const EffectDone& e) const {
      return e.ok ? fmt::format("effect {} done", e.id)
                  : fmt::format("effect {} failed: {}", e.id, e.error);
    }
    std::string operator()(const EffectLate& e) const {
      return fmt::format("effect {} is late", e.id);
    }
    std::string operator()(const TimerDue& e) const { return fmt::format("timer {}", e.name); }
    std::string operator()(const Command& e) const {
      return fmt::format("operator: muster {} {}", e.verb, shortened(e.arguments));
    }
  };
  return fmt::format("{:.6f} s  {}", static_cast<double>(event.time) / 1e6,
                     std::visit(Text{}, event.body));
}

std::string describe(const Effect& effect) {
  return fmt::format("effect {}: {} {} {} {}", effect.id, effect.handler, effect.verb,
                     effect.subject, shortened(effect.arguments));
}

std::string difference_text(const Recording& recording, const Difference& difference) {
  const Segment& segment = recording.segments[difference.segment];
  const Step& step = segment.steps[difference.step];
  const auto line = step.line + 1 + difference.effect;
  std::string text = fmt::format("{}: line {}: the engine does something else than was recorded\n",
                                 recording.name, line);
  text += "  recorded: " +
          (difference.recorded ? describe(*difference.recorded) : std::string("nothing more")) +
          "\n";
  text += "  replayed: " +
          (difference.replayed ? describe(*difference.replayed) : std::string("nothing more")) +
          "\n";
  if (difference.recorded && difference.replayed &&
      difference.recorded->arguments != difference.replayed->arguments) {
    const auto patch = Json::diff(difference.recorded->arguments, difference.replayed->arguments);
    for (const auto& change : patch) {
      text += "  differs:  " + shortened(change) + "\n";
    }
  }
  text += "  because of:\n";
  for (const auto& cause : cause_chain(segment, difference.step)) {
    text += "    " + cause + "\n";
  }
  return text;
}

}  // namespace muster::replay
