#include "handlers/launch/launch_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "handlers/launch/journal_keeper.h"
#include "handlers/target/assembly_scope.h"
#include "handlers/target/target_binding.h"

namespace muster::launch {
namespace {

constexpr std::string_view kNeed = "launch";
constexpr std::string_view kLane = "launch";

std::string at_end(const Options& options) {
  switch (options.at_end) {
    case AtEnd::shell:
      return "shell";
    case AtEnd::reboot:
      return "reboot";
    case AtEnd::poweroff:
      return "poweroff";
  }
  return "shell";
}

std::string what_it_waits_for(const World& world) {
  if (!world.scanned()) {
    return "until /sys was read once";
  }
  return world.plan().mode == Mode::nuke
             ? "until every requirement is met; a nuke is not started before, not even by `muster "
               "go`"
             : "until every requirement is met; `muster go` starts it as it is";
}

}  // namespace

void LaunchPolicy::plan_changed(Context& context) {
  const auto& state = context.world().plan().launch_state;
  if (!follow_ && stage_ == Stage::waiting && (state == "running" || state == "exited")) {
    follow_ = true;
    stage_ = Stage::running;
    context.set_phase(Phase::restoring);
    pending_ = context.want("follow", "mondorestore", Json::object(), 0, kLane);
    show(State::working, "mondorestore runs", context);
  }
  context.touch();
}

void LaunchPolicy::thing(const Thing& thing, bool, Context& context) {
  if (thing.requirement || thing.id == "medium") {
    context.touch();
  }
}

void LaunchPolicy::show(State state, std::string why, Context& context) {
  Thing thing;
  thing.id = kNeed;
  thing.what = "launch of mondorestore";
  thing.state = state;
  thing.why = std::move(why);
  context.publish(std::move(thing));
}

bool LaunchPolicy::all_met(const World& world) const {
  bool any = false;
  for (const auto& [id, thing] : world.things()) {
    if (thing.requirement) {
      any = true;
      if (thing.state != State::ready) {
        return false;
      }
    }
  }
  return any;
}

// A duplicate that is in the machine from the start counts in every order: /sys must have been read
// once. What an operator said never stands for a requirement of a nuke.
bool LaunchPolicy::may_start(const World& world) const {
  return (forced_ && world.plan().mode != Mode::nuke) || (world.scanned() && all_met(world));
}

// Everything mondorestore will look for, as arguments: the executor knows nothing else.
Json LaunchPolicy::preparation(const World& world) const {
  const Plan& plan = world.plan();
  Json arguments = {{"mode", to_string(plan.mode)}};
  if (const Thing* medium = world.thing("medium"); medium != nullptr && !medium->on.empty()) {
    if (const Device* device = world.find(medium->on.front())) {
      const Device* disk = device->is_partition() ? world.parent(*device) : device;
      arguments["medium"] = {{"devpath", (disk == nullptr ? device : disk)->devpath},
                             {"devno", device->devno ? device->devno->text() : std::string()},
                             {"dev_name", device->dev_name()}};
    }
  }
  if (plan.mode == Mode::nuke) {
    // The names of the mountlist must lead to the disks that they are bound to, whatever the kernel
    // calls them today.
    Json drives = Json::array();
    for (const auto& binding : target::bindings(world)) {
      if (binding.disk != nullptr && binding.disk->devno) {
        drives.push_back({{"name", binding.drive},
                          {"devno", binding.disk->devno->text()},
                          {"kernel", binding.disk->kernel}});
      }
    }
    arguments["drives"] = std::move(drives);
    // What a medium lies on: hidden from LVM like every other foreign disk.
    std::set<std::string> arrays;
    for (const auto& [id, thing] : world.things()) {
      const Device* device =
          thing.owner == "md" && !thing.devpath.empty() ? world.find(thing.devpath) : nullptr;
      if (device != nullptr) {
        arrays.insert(device->kernel);
      }
    }
    if (!arrays.empty()) {
      arguments["arrays"] = arrays;
    }
  }
  return arguments;
}

// Where the restored system's /var/log is. mondorestore unmounts everything before it ends, so
// after a nuke that succeeded it is mounted once more; in every other case only what is still
// mounted is written to.
Json LaunchPolicy::home_of_journal(const World& world) const {
  constexpr std::string_view kFolder = kJournalFolder;
  const Plan& plan = world.plan();
  if (plan.mode != Mode::nuke) {
    return nullptr;
  }
  const target::MountlistEntry* home = nullptr;
  for (const auto& entry : plan.mountlist.entries) {
    const std::string_view point = entry.mount_point;
    const bool holds = point == "/" || (point.starts_with('/') && kFolder.starts_with(point) &&
                                        kFolder.substr(point.size()).starts_with('/'));
    if (holds && (home == nullptr || point.size() > home->mount_point.size())) {
      home = &entry;
    }
  }
  if (home == nullptr) {
    return nullptr;
  }
  const auto point = home->mount_point == "/" ? std::size_t{0} : home->mount_point.size();
  return {{"device", home->device},
          {"format", home->format},
          {"below", kFolder.substr(point)},
          {"drives", preparation(world).value("drives", Json::array())}};
}

void LaunchPolicy::step(Stage stage, std::string_view verb, Json arguments,
                        std::int64_t deadline_ms, Context& context) {
  stage_ = stage;
  pending_ = context.want(verb, "mondorestore", std::move(arguments), deadline_ms, kLane);
}

void LaunchPolicy::done(const Effect& effect, const EffectDone& outcome, Context& context) {
  if (effect.id != pending_) {
    return;
  }
  pending_ = 0;
  const World& world = context.world();
  if (effect.verb == "follow") {
    stage_ = Stage::ended;
    if (!outcome.ok) {
      // It may run still: nothing is touched, and nothing ends.
      context.report(fmt::format("mondorestore cannot be followed: {}", outcome.error));
      show(State::broken, "mondorestore cannot be followed: " + outcome.error, context);
      return;
    }
    if (!outcome.result.value("started", true)) {
      call_off(outcome.result.value("text", std::string()), context);
      return;
    }
    const bool success = outcome.result.value("success", false);
    const auto text = outcome.result.value("text", std::string());
    context.report(fmt::format("mondorestore ended: {}", text));
    show(success ? State::ready : State::broken, "mondorestore ended: " + text, context);
    context.set_phase(Phase::done);
    const auto then = at_end(world.plan().options);
    Json arguments = {{"then", then}};
    if (auto home = home_of_journal(world); success && !home.is_null()) {
      arguments["journal"] = std::move(home);
    }
    pending_ = context.want("end", then, std::move(arguments), 0, kLane);
    return;
  }
  if (effect.verb == "end" || effect.verb == "shell") {
    if (!outcome.ok) {
      context.report(outcome.error);
    } else if (const auto kept = outcome.result.find("journal"); kept != outcome.result.end()) {
      const auto file = kept->value("file", std::string());
      context.report(file.empty() ? fmt::format("the journal is not on the restored system: {}",
                                                kept->value("why", std::string()))
                                  : "the journal is on the restored system: " + file);
    }
    return;
  }
  if (!outcome.ok) {
    call_off(outcome.error, context);
    return;
  }
  // What was met when the step began may not be met any more.
  if (stage_ != Stage::launching && !may_start(world)) {
    stage_ = Stage::waiting;
    return;
  }
  const Plan& plan = world.plan();
  switch (stage_) {
    case Stage::preparing:
      if (plan.mode == Mode::nuke) {
        step(Stage::filtering, "filter", preparation(world), plan.tool_ms(), context);
        show(State::working, "hiding every volume group but the plan's from LVM", context);
        return;
      }
      [[fallthrough]];
    case Stage::filtering:
      // From here on mondorestore may run: nobody opens a disk any more.
      context.set_phase(Phase::launching);
      stage_ = Stage::settling;
      settle(context);
      return;
    case Stage::launching:
      stage_ = Stage::running;
      show(State::working, "mondorestore runs", context);
      context.set_phase(Phase::restoring);
      pending_ = context.want("follow", "mondorestore", Json::object(), 0, kLane);
      return;
    default:
      return;
  }
}

void LaunchPolicy::call_off(std::string why, Context& context) {
  context.report(fmt::format("no launch: {}", why));
  failed_ = std::move(why);
  failed_with_ = preparation(context.world()).dump();
  forced_ = false;
  stage_ = Stage::waiting;
  context.set_phase(Phase::gathering);
  context.touch();
}

void LaunchPolicy::settle(Context& context) {
  const World& world = context.world();
  const Plan& plan = world.plan();
  // In this phase requirements do not change any more; that a drive or the medium went still does.
  if (preparation(world).dump() != prepared_) {
    stage_ = Stage::waiting;
    context.set_phase(Phase::gathering);
    return;
  }
  if (plan.mode == Mode::nuke) {
    const auto drives = target::bound_disks(world);
    const auto busy = std::find_if(drives.begin(), drives.end(), [&](const std::string& devpath) {
      return context.at_work_on(devpath);
    });
    if (busy != drives.end()) {
      const Device* disk = world.find(*busy);
      show(State::working,
           fmt::format("until {} is not read any more", disk == nullptr ? *busy : disk->dev_name()),
           context);
      return;
    }
  }
  step(Stage::launching, "run",
       {{"program", plan.options.launch.program},
        {"arguments", launch_arguments(plan.options.launch, plan.mode)}},
       plan.tool_ms(), context);
  show(State::working, "being started", context);
}

void LaunchPolicy::late(const Effect& effect, Context& context) {
  context.report(fmt::format("launch: {} takes longer than expected", effect.verb));
}

bool LaunchPolicy::command(const Command& command, Context& context) {
  if (command.verb != "go") {
    return false;
  }
  const World& world = context.world();
  if (world.phase() != Phase::gathering) {
    context.reply(command, {{"error", "mondorestore was started already"}});
    return true;
  }
  if (world.plan().mode == Mode::nuke && !all_met(world)) {
    std::vector<std::string> open;
    for (const auto& [id, thing] : world.things()) {
      if (thing.requirement && thing.state != State::ready) {
        open.push_back(fmt::format("{}: {}", thing.what, thing.why));
      }
    }
    context.reply(command, {{"error", fmt::format("a nuke starts only when everything is met: {}",
                                                  fmt::join(open, "; "))}});
    return true;
  }
  forced_ = world.plan().mode != Mode::nuke;
  failed_.clear();
  context.reply(command, {{"text", "mondorestore is being started"}});
  return true;
}

void LaunchPolicy::decide(Context& context) {
  const World& world = context.world();
  if (stage_ == Stage::settling) {
    settle(context);
    return;  // if it is off, the others say first what is missing now
  }
  if (stage_ != Stage::waiting || world.phase() != Phase::gathering) {
    return;
  }
  if (world.plan().mode == Mode::expert) {
    show(State::ready, "expert mode: a shell, no mondorestore", context);
    step(Stage::ended, "shell", Json::object(), 0, context);
    return;
  }
  if (!may_start(world)) {
    show(State::waiting, what_it_waits_for(world), context);
    return;
  }
  auto arguments = preparation(world);
  if (!failed_.empty() && failed_with_ == arguments.dump()) {
    show(State::broken, failed_ + "; `muster go` tries again", context);
    return;
  }
  failed_.clear();
  show(State::working, "being prepared", context);
  prepared_ = arguments.dump();
  step(Stage::preparing, "prepare", std::move(arguments), world.plan().tool_ms(), context);
}

}  // namespace muster::launch
