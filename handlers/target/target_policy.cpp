#include "handlers/target/target_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "daemon/quote.h"
#include "handlers/md/raid_level.h"
#include "handlers/target/target_binding.h"

namespace muster::target {
namespace {

std::string kernel_name(std::string_view device) {
  return std::string(device.starts_with("/dev/") ? device.substr(5) : device);
}

// The personalities and targets that mondorestore needs for what a nuke creates.
std::set<std::string> modules_of(const Plan& plan) {
  std::set<std::string> modules;
  for (const auto& format : file_systems(plan.mountlist)) {
    modules.insert("module:fs-" + format);
  }
  if (!arrays(plan.mountlist).empty()) {
    modules.insert("module:md_mod");
    for (const auto& array : plan.raidtab.arrays) {
      const int level = array.level.value_or(1);
      modules.insert("module:" +
                     (level == kRaidLevelMultipath
                          ? "multipath"
                          : md::personality(level).value_or(fmt::format("raid{}", level))));
    }
  }
  if (plan.has_lvm_recipe || !lvs(plan.mountlist).empty()) {
    modules.insert("module:dm_mod");
  }
  return modules;
}

std::string unseen_lv(const World& world, const LvName& lv) {
  const std::string prefix = fmt::format("lv:{}/", lv.vg);
  const auto it = world.things().lower_bound(prefix);
  return it != world.things().end() && it->first.starts_with(prefix)
             ? fmt::format("volume group {} is there, but has no LV {}", quote(lv.vg), quote(lv.lv))
             : fmt::format("no PV of volume group {} seen yet", quote(lv.vg));
}

}  // namespace

void TargetPolicy::plan_changed(Context& context) {
  new_plan_ = true;
  context.touch();
}
void TargetPolicy::device(const Device&, Context& context) {
  context.touch();
}
void TargetPolicy::device_gone(const Device&, Context& context) {
  context.touch();
}

void TargetPolicy::thing(const Thing& thing, bool, Context& context) {
  if (thing.owner == name()) {
    return;
  }
  context.touch();
  Judged& judged = judged_.value;
  if (!judged.only_things) {
    return;
  }
  for (const auto& its_name : thing.names) {
    if (judged.devices.contains(its_name)) {
      judged.touched.insert(its_name);
    }
  }
  // Its names may have been others.
  if (const auto met = judged.names.find(thing.id); met != judged.names.end()) {
    judged.touched.insert(met->second.begin(), met->second.end());
  }
  if (thing.id.starts_with("lv:")) {
    judged.touched.insert(judged.unseen.begin(), judged.unseen.end());
  }
}

void TargetPolicy::require(const std::string& id, Need need, Context& context) {
  wanted_.insert(id);
  published_.insert(id);
  Thing thing;
  thing.id = id;
  thing.what = std::move(need.what);
  thing.state = need.state;
  thing.why = std::move(need.why);
  thing.needs = std::move(need.needs);
  thing.requirement = true;
  context.publish(std::move(thing));
}

bool TargetPolicy::need_device(const std::string& device, Context& context) {
  const World& world = context.world();
  Need need{.what = "target " + device, .state = State::waiting, .why = {}, .needs = {}};
  const auto lv = split_lv_device(device);
  const std::string name = lv ? fmt::format("/dev/{}/{}", lv->vg, lv->lv) : device;
  const bool built = lv.has_value() || device.starts_with("/dev/md");
  if (built) {
    const auto things = world.things_named(name);
    Judged& judged = judged_.value;
    judged.devices[name].insert(device);
    for (const Thing* thing : things) {
      judged.names[thing->id].insert(name);
    }
    if (lv && things.empty()) {
      judged.unseen.insert(name);
    } else {
      judged.unseen.erase(name);
    }
    const auto ready = std::find_if(things.begin(), things.end(), [](const Thing* thing) {
      return thing->state == State::ready && !thing->doomed;
    });
    if (ready != things.end()) {
      need.state = State::ready;
    } else if (things.empty()) {
      need.why = lv ? unseen_lv(world, *lv)
                    : fmt::format("no array with the number of {} seen yet", device);
      need.needs.push_back(name);
    } else {
      const Thing& thing = *things.front();
      need.state = thing.state == State::impossible ? State::impossible : State::waiting;
      need.why = "needs " + thing.what;
      need.needs.push_back(thing.id);
    }
  } else {
    const Device* found = world.block_by_kernel_name(kernel_name(device));
    if (found != nullptr && found->size_bytes() != 0) {
      need.state = State::ready;
    } else {
      need.why = found == nullptr ? "not seen yet" : "has no size";
    }
  }
  require("need:" + device, std::move(need), context);
  return built;
}

void TargetPolicy::need_drive(const std::string& drive, Context& context) {
  Need need{.what = "drive " + drive, .state = State::ready, .why = {}, .needs = {}};
  const Device* disk = context.world().block_by_kernel_name(kernel_name(drive));
  if (disk == nullptr || disk->size_bytes() == 0) {
    need.state = State::waiting;
    need.why = disk == nullptr ? "not seen yet" : "has no size";
  }
  require("need:" + drive, std::move(need), context);
}

void TargetPolicy::need_nuke(Context& context) {
  const World& world = context.world();
  const Plan& plan = world.plan();
  const auto all = bindings(world);
  const auto listed = drives(plan.mountlist);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& binding = all[i];
    Need need{.what = "erase " + binding.drive, .state = State::waiting, .why = {}, .needs = {}};
    if (!binding.conflict.empty()) {
      need.state = State::impossible;
      need.why = binding.conflict;
    } else if (!binding.bound) {
      need.why = binding.proposal == nullptr
                     ? "not bound to a disk (muster.target), and none has that name"
                     : fmt::format("not bound to a disk; today that is {}: `muster go` accepts it",
                                   identity_text(world, *binding.proposal));
    } else if (binding.disk == nullptr) {
      need.why = fmt::format("the disk with {} not seen yet", binding.identity);
    } else {
      const auto twin = std::find_if(all.begin(), all.end(), [&](const DriveBinding& other) {
        return &other != &binding && other.disk == binding.disk;
      });
      const auto size_kib = static_cast<std::int64_t>(binding.disk->size_bytes() >> 10);
      const auto holders = world.holders(binding.disk->devpath);
      if (twin != all.end()) {
        need.state = State::impossible;
        need.why = fmt::format("{} and {} are bound to the same disk {}", binding.drive,
                               twin->drive, binding.disk->kernel);
      } else if (plan.command_line.noresize && listed[i].allocated_kib > size_kib) {
        need.state = State::impossible;
        need.why = fmt::format(
            "{} has {} KiB, the mountlist allocates {} KiB and noresize forbids to scale it",
            binding.disk->kernel, size_kib, listed[i].allocated_kib);
      } else if (binding.disk->attribute("ro") == "1") {
        need.state = State::impossible;
        need.why = fmt::format("{} is read-only", binding.disk->kernel);
      } else if (!holders.empty()) {
        need.why = fmt::format("{} is held by {}", binding.disk->kernel, holders.front()->what);
        need.needs.push_back(holders.front()->id);
      } else {
        need.state = State::ready;
        need.what +=
            fmt::format(" = {} ({})", binding.disk->kernel, identity_text(world, *binding.disk));
      }
    }
    require("need:" + binding.drive, std::move(need), context);
  }
  // mondorestore makes its arrays by name: one that runs under such a name is somebody else's.
  std::set<std::string> made;
  for (const auto& array : arrays(plan.mountlist)) {
    made.insert(array.device);
  }
  for (const auto& array : plan.raidtab.arrays) {
    made.insert(array.device);
  }
  for (const auto& array : made) {
    const Device* device = world.block_by_kernel_name(kernel_name(array));
    const Thing* thing = device == nullptr ? nullptr : world.provider(device->devpath);
    if (thing != nullptr) {
      require("need:" + array,
              Need{.what = "create " + array,
                   .state = State::impossible,
                   .why = fmt::format("that name is taken by {}", thing->what),
                   .needs = {thing->id}},
              context);
    }
  }
  for (const auto& module : modules_of(plan)) {
    const Thing* thing = world.thing(module);
    Need need{.what = "driver " + module.substr(7),
              .state = State::waiting,
              .why = "being looked up",
              .needs = {module}};
    if (thing != nullptr) {
      need.state = thing->state == State::broken ? State::impossible : thing->state;
      need.why = thing->why;
    }
    if (need.state == State::working) {
      need.state = State::waiting;
    }
    require("need:" + module, std::move(need), context);
  }
}

bool TargetPolicy::command(const Command& command, Context& context) {
  if (command.verb != "go" || context.world().plan().mode != Mode::nuke) {
    return false;
  }
  std::vector<std::string> accepted;
  for (const auto& binding : bindings(context.world())) {
    if (binding.bound) {
      continue;
    }
    if (binding.proposal == nullptr) {
      context.reply(command,
                    {{"error", fmt::format("{}: no disk has that name; nothing was accepted",
                                           binding.drive)}});
      return true;
    }
    accepted.push_back(binding.drive);
  }
  if (accepted.empty()) {
    return false;  // nothing to accept: launch it is
  }
  for (const auto& binding : bindings(context.world())) {
    if (!binding.bound) {
      Thing thing;
      thing.id = "binding:" + binding.drive;
      thing.what = accepted_text(context.world(), *binding.proposal);
      thing.state = State::ready;
      thing.names = {binding.proposal->devpath};
      context.publish(std::move(thing));
    }
  }
  context.reply(command, {{"text", fmt::format("accepted: {}", fmt::join(accepted, ", "))}});
  return true;
}

void TargetPolicy::decide(Context& context) {
  const World& world = context.world();
  Judged& judged = judged_.value;
  if (world.phase() != Phase::gathering) {
    judged = {};
    return;
  }
  const Plan& plan = world.plan();
  // Disks that come by the thousand change nothing for what is built of them.
  if (!new_plan_ && judged.only_things) {
    for (const auto& its_name : std::exchange(judged.touched, {})) {
      for (const auto& device : std::set(judged.devices.at(its_name))) {
        need_device(device, context);
      }
    }
    return;
  }
  judged = {};
  bool only_things = plan.mode == Mode::compare && plan.has_mountlist;
  if (std::exchange(new_plan_, false) && plan.mode != Mode::expert && plan.has_mountlist) {
    for (const auto& module : modules_of(plan)) {
      context.request(module);
    }
  }
  wanted_.clear();
  if (plan.mode == Mode::expert) {
    // A shell needs nothing.
  } else if (!plan.has_mountlist) {
    require("need:mountlist",
            Need{.what = "mountlist",
                 .state = State::waiting,
                 .why = "not in the image; the medium brings it",
                 .needs = {"need:medium"}},
            context);
  } else if (plan.mode == Mode::nuke) {
    need_nuke(context);
  } else {
    if (plan.mode == Mode::compare) {
      for (const auto& entry : needed_for_compare(plan.mountlist)) {
        only_things = need_device(entry.device, context) && only_things;
      }
    } else {
      for (const auto& drive : drives(plan.mountlist)) {
        need_drive(drive.device, context);
      }
      for (const auto& array : arrays(plan.mountlist)) {
        need_device(array.device, context);
      }
      for (const auto& lv : lvs(plan.mountlist)) {
        need_device(lv.device, context);
      }
    }
  }
  for (auto it = published_.begin(); it != published_.end();) {
    if (wanted_.contains(*it)) {
      ++it;
    } else {
      context.withdraw(*it);
      it = published_.erase(it);
    }
  }
  judged.only_things = only_things;
}

}  // namespace muster::target
