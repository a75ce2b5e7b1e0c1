#include "daemon/replay/play.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <random>

#include "daemon/board.h"
#include "daemon/explain.h"
#include "daemon/replay/machine.h"
#include "daemon/replay/promises.h"
#include "handlers/registry.h"

namespace muster::replay {
namespace {

constexpr std::size_t kMaxSteps = 400'000;
constexpr Micros kTick = 1000;  // between two events
// A timer that sets itself again would keep a play going for ever.
constexpr std::size_t kTimersAtRest = 64;

std::string last_component(std::string_view devpath) {
  return std::string(devpath.substr(devpath.rfind('/') + 1));
}

// Drives by their names make the order of arrival a fact: then names stay as recorded.
bool names_are_free(const Hardware& hardware) {
  const auto names_a_disk = [](const std::string& text) {
    for (const std::string_view family : {"/dev/sd", "/dev/vd", "/dev/hd", "/dev/xvd", "/dev/sr"}) {
      if (text.find(family) != std::string::npos) {
        return true;
      }
    }
    return false;
  };
  const Plan plan = make_plan(hardware.facts, Json());
  if (plan.mode == Mode::nuke) {
    // Each drive is bound to an identity, or nothing starts until the operator accepts names.
    return hardware.commands.empty();
  }
  for (const auto* file : {"mountlist.txt", "mondo-restore.cfg", "command_line", "muster.toml"}) {
    const auto fact = hardware.facts.find(file);
    if (fact != hardware.facts.end() && fact->is_string() &&
        names_a_disk(fact->get<std::string>())) {
      return false;
    }
  }
  return std::none_of(hardware.parts.begin(), hardware.parts.end(),
                      [](const Part& part) { return !part.stands_on.empty(); });
}

class Player {
 public:
  Player(const Hardware& hardware, const PlayOptions& options)
      : hardware_(hardware),
        options_(options),
        units_(units_of(hardware)),
        machine_(hardware,
                 options.order_of != PlayOptions::Order::recorded && names_are_free(hardware),
                 absent_parts()),
        random_(options.seed) {
    std::vector<rules::Diagnostic> diagnostics;
    engine_ = std::make_unique<Engine>(rules::RuleSet::load(hardware.rules, diagnostics),
                                       options.policies ? options.policies() : make_policies());
    played_.segment.header = hardware.header;
    played_.segment.rules = hardware.rules;
    for (const auto& unit : units_) {
      unit_of_disk_[unit.disk] = static_cast<std::size_t>(&unit - units_.data());
    }
    // Some plays rush the hardware in, some let everything settle in between.
    static constexpr double kRush[] = {0.02, 0.2, 0.5, 0.9};
    rush_ = kRush[random_() % std::size(kRush)];
    if (options.remove && !units_.empty()) {
      const std::size_t count = 1 + random_() % 2;
      for (std::size_t i = 0; i < count; ++i) {
        to_be_pulled_.push_back(units_[random_() % units_.size()].root);
      }
    }
  }

  Played run() {
    deliver(FactsRead{hardware_.facts});
    while (steps_ < kMaxSteps && played_.breach.empty() && go_on()) {
    }
    if (steps_ >= kMaxSteps) {
      note_breach("the effects never end");
    }
    if (played_.breach.empty()) {
      promises_.settled(*engine_);
      note_breach(promises_.breach());
    }
    if (!promises_.launched()) {
      played_.facts = (options_.hold_launch ? "all before the launch\n" : "") + facts();
    }
    if (!promises_.launched() || options_.hold_launch) {
      played_.final_state += final_state();
    }
    played_.unknown = machine_.unknown();
    played_.board = board_text(*engine_);
    played_.explained = explain_text(*engine_, {});
    return std::move(played_);
  }

 private:
  [[nodiscard]] std::set<std::size_t> absent_parts() const {
    std::set<std::size_t> absent;
    for (const auto unit : options_.absent) {
      absent.insert(units_[unit].root);
    }
    return absent;
  }

  // One thing happens. False: nothing is left that could.
  bool go_on() {
    auto choices = machine_.choices();
    std::erase_if(choices, [this](const Choice& choice) { return !is_free(choice); });
    if (options_.late && chance(0.02)) {
      if (const auto id = machine_.can_be_late()) {
        deliver(machine_.say_late(*id));
        return true;
      }
    }
    if (due_timer()) {
      return true;
    }
    if (!to_be_pulled_.empty() && machine_.is_there(to_be_pulled_.back()) &&
        (choices.empty() || chance(0.05))) {
      const std::size_t part = to_be_pulled_.back();
      to_be_pulled_.pop_back();
      tell(fmt::format("{} is pulled", last_component(hardware_.parts[part].devpath)));
      ++played_.arrivals;
      machine_.pull(part);
      return true;
    }
    if (choices.empty()) {
      return at_rest();
    }
    happen(choose(choices));
    return true;
  }

  // May this choice be taken now?
  [[nodiscard]] bool is_free(const Choice& choice) const {
    if (choice.kind == Choice::Kind::act) {
      return true;
    }
    if (choice.kind == Choice::Kind::appear && options_.order_of == PlayOptions::Order::given) {
      const auto unit = unit_of_disk_.find(choice.index);
      return unit == unit_of_disk_.end() || next_in_order_ >= options_.order.size() ||
             std::find(options_.order.begin(), options_.order.end(), unit->second) ==
                 options_.order.end() ||
             options_.order[next_in_order_] == unit->second || machine_.is_there(choice.index);
    }
    if (choice.kind == Choice::Kind::finish && holding_ &&
        held_ == machine_.finishing(choice.index)) {
      return false;
    }
    return true;
  }

  Choice choose(const std::vector<Choice>& choices) {
    std::vector<Choice> arrivals;
    std::vector<Choice> rest;
    for (const auto& choice : choices) {
      (choice.kind == Choice::Kind::appear ? arrivals : rest).push_back(choice);
    }
    if (options_.order_of == PlayOptions::Order::random) {
      const bool arrive = rest.empty() || (!arrivals.empty() && chance(rush_));
      const auto& from = arrive ? arrivals : rest;
      return from[random_() % from.size()];
    }
    if (!rest.empty()) {
      return rest.front();
    }
    return *std::min_element(arrivals.begin(), arrivals.end(),
                             [this](const Choice& a, const Choice& b) {
                               return machine_.recorded_time(a) < machine_.recorded_time(b);
                             });
  }

  void happen(const Choice& choice) {
    ++steps_;
    if (choice.kind == Choice::Kind::appear) {
      ++played_.arrivals;
      if (unit_of_disk_.contains(choice.index)) {
        tell(machine_.title(choice));
      }
      if (const auto unit = unit_of_disk_.find(choice.index);
          unit != unit_of_disk_.end() && next_in_order_ < options_.order.size() &&
          options_.order[next_in_order_] == unit->second) {
        ++next_in_order_;
      }
      now_ = std::max(now_, machine_.recorded_time(choice));
    }
    if (choice.kind == Choice::Kind::receive) {
      if (options_.drop > 0 && chance(options_.drop) && machine_.lose_uevent()) {
        lost_ = true;
        return;
      }
      if (std::exchange(lost_, false)) {
        deliver(EventsLost{"the buffer of the socket ran over"});
      }
    }
    if (auto event = machine_.happen(choice)) {
      const bool again = choice.kind == Choice::Kind::receive && options_.duplicate > 0 &&
                         std::holds_alternative<DeviceEvent>(*event) && chance(options_.duplicate);
      if (again) {
        deliver(EventBody(*event));
      }
      deliver(std::move(*event));
    }
    note_breach(machine_.offence());
  }

  // Nothing happens by itself any more.
  bool at_rest() {
    if (std::exchange(lost_, false)) {
      deliver(EventsLost{"the buffer of the socket ran over"});
      return true;
    }
    if (std::exchange(holding_, false)) {
      held_released_ = true;
      return true;
    }
    if (!machine_.restoring() && next_command_ < hardware_.commands.size()) {
      deliver(hardware_.commands[next_command_++]);
      return true;
    }
    // What a deadline of this recording's brought about is a fact of it.
    for (auto it = timers_.begin(); it != timers_.end(); ++it) {
      if (hardware_.timers.contains(it->first) && timers_at_rest_ < kTimersAtRest) {
        ++timers_at_rest_;
        now_ = std::max(now_, it->second);
        fire(it->first);
        return true;
      }
    }
    if (machine_.restoring()) {
      tell("mondorestore ends");
      deliver(machine_.end_restore());
      return true;
    }
    return false;
  }

  bool due_timer() {
    if (!options_.late) {
      return false;
    }
    for (const auto& [name, at] : timers_) {
      if (at <= now_) {
        fire(name);
        return true;
      }
    }
    return false;
  }

  void fire(const std::string& timer) {
    const std::string name = timer;
    timers_.erase(name);
    fired_.insert(name);
    tell("the deadline '" + name + "' passes");
    deliver(TimerDue{name});
  }

  void deliver(EventBody body) {
    now_ += kTick;
    if (options_.late && chance(0.05)) {
      now_ += static_cast<Micros>(random_() % 30'000'000);
    }
    Step step{0, Event{now_, std::move(body)}, {}};
    const bool gathered = engine_->world().phase() == Phase::gathering;
    step.effects = engine_->on(step.event);
    // What becomes known from here on changes nothing.
    if (gathered && engine_->world().phase() == Phase::launching) {
      played_.facts = (options_.hold_launch ? "all before the launch\n" : "") + facts();
      decided_with_ = final_state();
    }
    promises_.step(step.event, step.effects, *engine_);
    note_breach(promises_.breach());
    for (const auto& effect : step.effects) {
      if (effect.handler == "timer") {
        if (effect.verb == "set") {
          timers_[effect.subject] = effect.arguments.value("at", Micros{0});
        } else {
          timers_.erase(effect.subject);
        }
      }
      if (effect.handler == "launch" && effect.verb == "prepare" && options_.hold_launch &&
          !held_released_) {
        holding_ = true;
        held_ = effect.id;
      }
      if (effect.handler == "launch" && effect.verb == "run") {
        played_.final_state = "at the launch of " + effect.arguments.dump() + ":\n" + decided_with_;
      }
      tell_effect(effect);
      machine_.take(effect);
    }
    played_.segment.steps.push_back(std::move(step));
  }

  void note_breach(const std::string& breach) {
    if (played_.breach.empty()) {
      played_.breach = breach;
    }
  }

  void tell(std::string line) { played_.story.push_back(std::move(line)); }

  void tell_effect(const Effect& effect) {
    if (effect.handler == "md" || effect.handler == "lvm" || effect.handler == "medium" ||
        effect.handler == "launch" || effect.handler == "report") {
      tell(fmt::format("  -> {} {} {}", effect.handler, effect.verb,
                       machine_.in_recorded_names(effect.subject)));
    }
  }

  bool chance(double share) {
    return std::uniform_real_distribution<double>(0, 1)(random_) < share;
  }

  // What the engine knows: the devices that are there, and of which it knows what they hold; what
  // it was about to find out; deadlines that passed.
  [[nodiscard]] std::string facts() const {
    std::set<std::string> lines;
    for (const Device* device : engine_->world().devices_sorted()) {
      if (device->is_block()) {
        // A map's number may be another's by now: what counts is what the engine was told.
        lines.insert(fmt::format("{} {}{}", machine_.identity(device->devpath),
                                 device->attribute("dm/uuid"), device->signature ? " read" : ""));
      }
    }
    // What was made and is not announced yet is known by its effect alone.
    for (const auto& [devpath, identity] : machine_.built()) {
      const Device* device = engine_->world().find(devpath);
      if (device == nullptr ||
          (device->kernel.starts_with("dm-") && device->attribute("dm/uuid") != identity)) {
        lines.insert(identity + " made");
      }
    }
    for (const auto& [id, effect] : engine_->pending()) {
      if (effect.handler != "launch" && effect.handler != "node") {
        lines.insert(fmt::format("{} {} {}{}", effect.handler, effect.verb,
                                 machine_.in_recorded_names(effect.subject),
                                 engine_->late().contains(id) ? " late" : ""));
      }
    }
    for (const auto& name : fired_) {
      lines.insert("timer " + name);
    }
    return fmt::format("{}", fmt::join(lines, "\n"));
  }

  [[nodiscard]] std::string final_state() const {
    const World& world = engine_->world();
    std::set<std::string> lines;
    for (const auto& [id, thing] : world.things()) {
      // What the plan asks for goes by the plan's names.
      const bool is_asked_for = id.starts_with("need:") || id.starts_with("binding:");
      lines.insert(fmt::format("{}: {}{}", is_asked_for ? id : machine_.in_recorded_names(id),
                               to_string(thing.state), thing.doomed ? ", doomed" : ""));
    }
    return fmt::format("phase: {}\n{}\n", to_string(world.phase()), fmt::join(lines, "\n"));
  }

  const Hardware& hardware_;
  const PlayOptions& options_;
  std::vector<Unit> units_;
  std::map<std::size_t, std::size_t> unit_of_disk_;
  Machine machine_;
  std::mt19937_64 random_;
  std::unique_ptr<Engine> engine_;
  Promises promises_;
  Played played_;
  double rush_ = 0.5;
  std::size_t steps_ = 0;
  std::size_t next_in_order_ = 0;
  std::size_t next_command_ = 0;
  std::size_t timers_at_rest_ = 0;
  std::vector<std::size_t> to_be_pulled_;
  std::string decided_with_;  // the state when the launch began
  std::map<std::string, Micros> timers_;
  std::set<std::string> fired_;
  bool lost_ = false;
  bool holding_ = false;
  bool held_released_ = false;
  EffectId held_ = 0;
  Micros now_ = 1'000'000;
};

}  // namespace

std::vector<Unit> units_of(const Hardware& hardware) {
  std::vector<std::size_t> disks_below(hardware.parts.size(), 0);
  for (std::size_t i = 0; i < hardware.parts.size(); ++i) {
    if (hardware.parts[i].is_disk()) {
      for (std::optional<std::size_t> at = i; at; at = hardware.parts[*at].parent) {
        ++disks_below[*at];
      }
    }
  }
  std::vector<Unit> units;
  for (std::size_t i = 0; i < hardware.parts.size(); ++i) {
    const Part& part = hardware.parts[i];
    if (!part.is_disk() || part.devpath.starts_with("/devices/virtual/")) {
      continue;
    }
    Unit unit{i, i, last_component(part.devpath)};
    for (auto above = part.parent; above && disks_below[*above] == 1;
         above = hardware.parts[*above].parent) {
      const Part& parent = hardware.parts[*above];
      const std::string& subsystem = parent.life.front().event.subsystem;
      const bool plugs =
          subsystem == "usb" || subsystem == "nvme" || subsystem == "virtio" ||
          (subsystem == "scsi" && !last_component(parent.devpath).starts_with("host"));
      if (plugs && !last_component(parent.devpath).starts_with("usb")) {
        unit.root = *above;
      }
    }
    units.push_back(std::move(unit));
  }
  return units;
}

Played play(const Hardware& hardware, const PlayOptions& options) {
  return Player(hardware, options).run();
}

}  // namespace muster::replay
