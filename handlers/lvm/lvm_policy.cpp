#include "handlers/lvm/lvm_policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/quote.h"
#include "handlers/target/assembly_scope.h"

namespace muster {

Json state::Custom<lvm::Metadata>::save(const lvm::Metadata& metadata) {
  return *metadata.text;
}

void state::Custom<lvm::Metadata>::restore(const Json& json, lvm::Metadata& metadata) {
  expect(json.is_string(), "a text");
  metadata.text = std::make_shared<const std::string>(json.get_ref<const std::string&>());
  auto parsed = lvm::parse_volume_group(*metadata.text);
  if (!parsed) {
    throw Malformed(": " + parsed.error().text);
  }
  static_cast<lvm::VolumeGroup&>(metadata) = std::move(*parsed);
}

}  // namespace muster

namespace muster::lvm {
namespace {

bool is_dm_device(const Device& device) {
  return device.is_block() && device.kernel.starts_with("dm-");
}

bool is_live(const Device& device) {
  return device.attribute("dm/suspended") == "0" && device.size_bytes() != 0;
}

std::string thing_id(const VolumeGroup& vg, const std::string& lv) {
  return "lv:" + vg.name + "/" + lv;
}

// The dm target module of a segment type that is lvm's to activate.
std::string target_module(std::string_view type) {
  if (type.starts_with("raid")) {
    return "dm-raid";
  }
  if (type.starts_with("thin")) {
    return "dm-thin-pool";
  }
  if (type.starts_with("cache")) {
    return "dm-cache";
  }
  if (type == "mirror") {
    return "dm-mirror";
  }
  if (type == "snapshot") {
    return "dm-snapshot";
  }
  return {};
}

void collect_modules(const VolumeGroup& vg, std::uint32_t lv, std::set<std::uint32_t>& seen,
                     std::set<std::string>& modules) {
  if (!seen.insert(lv).second) {
    return;
  }
  for (const auto& segment : vg.lvs[lv].segments) {
    if (auto module = target_module(segment.type); !module.empty()) {
      modules.insert(std::move(module));
    }
    for (const auto& area : segment.areas) {
      if (area.on == SegmentArea::On::lv) {
        collect_modules(vg, area.index, seen, modules);
      }
    }
    for (const auto& reference : segment.references) {
      collect_modules(vg, reference.lv, seen, modules);
    }
  }
}

}  // namespace

void LvmPolicy::plan_changed(Context& context) {
  for (const auto& [uuid, group] : groups_) {
    dirty_.insert(uuid);
  }
  context.touch();
}

void LvmPolicy::device(const Device& device, Context& context) {
  if (is_dm_device(device)) {
    adopt(device, context);
    return;
  }
  if (!device.signature || !device.signature->details.contains("lvm")) {
    return;
  }
  const Json& label = device.signature->details.at("lvm");
  Pv pv;
  pv.uuid = label.value("pv_uuid", std::string());
  const auto text = label.find("metadata");
  const bool has_text = text != label.end() && text->is_string();
  if (const auto known = pvs_.find(device.devpath);
      known != pvs_.end() && known->second.uuid == pv.uuid &&
      (has_text ? known->second.text != nullptr &&
                      *known->second.text == text->get_ref<const std::string&>()
                : known->second.text == nullptr)) {
    return;
  }
  if (has_text) {
    pv.text = std::make_shared<const std::string>(text->get<std::string>());
  }
  if (pv.text) {
    auto parsed = parse_volume_group(*pv.text);
    if (parsed) {
      pv.vg = parsed->id;
      pv.seqno = parsed->seqno;
      auto& group = groups_[parsed->id];
      group.uuid = parsed->id;
    } else {
      context.report(
          fmt::format("{}: volume group metadata: {}", device.kernel, parsed.error().text));
    }
  }
  device_gone(device, context);
  if (!pv.vg.empty()) {
    dirty_.insert(pv.vg);
  }
  devices_of_pv_[pv.uuid].insert(device.devpath);
  for (const auto& [uuid, group] : groups_) {
    if (group.metadata && group.metadata->find_pv(pv.uuid)) {
      dirty_.insert(uuid);
    }
  }
  pvs_[device.devpath] = std::move(pv);
  context.request("module:dm_mod");
}

void LvmPolicy::device_gone(const Device& device, Context& context) {
  if (is_dm_device(device)) {
    // Of what bears another name now, or none, nobody tells us when it goes.
    const Device* there = context.world().find(device.devpath);
    forget_map(device.devpath, there == nullptr ? std::string_view() : there->attribute("dm/uuid"));
    return;
  }
  const auto it = pvs_.find(device.devpath);
  if (it == pvs_.end()) {
    return;
  }
  for (auto& [uuid, group] : groups_) {
    if (uuid == it->second.vg || (group.metadata && group.metadata->find_pv(it->second.uuid))) {
      dirty_.insert(uuid);
      for (auto& [lv_name, lv] : group.lvs) {
        lv.failed.clear();
        lv.pv_went = true;
      }
    }
  }
  if (const auto devices = devices_of_pv_.find(it->second.uuid); devices != devices_of_pv_.end()) {
    devices->second.erase(device.devpath);
    if (devices->second.empty()) {
      devices_of_pv_.erase(devices);
    }
  }
  pvs_.erase(it);
}

// The map that was at this device is gone, unless it has this UUID.
void LvmPolicy::forget_map(const std::string& devpath, std::string_view unless) {
  std::erase_if(dm_devices_, [&](const auto& entry) {
    return entry.second == devpath && entry.first != unless;
  });
  for (auto& [uuid, group] : groups_) {
    for (auto& [lv_name, lv] : group.lvs) {
      if (lv.devpath == devpath && lv.dm_uuid != unless) {
        lv.devpath.clear();
        lv.made_with.clear();
        lv.on.clear();
        lv.cannot_remove.clear();
        dirty_.insert(uuid);
      }
    }
  }
}

void LvmPolicy::adopt(const Device& device, Context& context) {
  const std::string uuid(device.attribute("dm/uuid"));
  if (!uuid.starts_with("LVM-")) {
    return;
  }
  // Numbers are used again, and the removal may have gone unseen.
  forget_map(device.devpath, uuid);
  dm_devices_[uuid] = device.devpath;
  for (auto& [vg, group] : groups_) {
    for (const auto& [lv_name, lv] : group.lvs) {
      if (lv.dm_uuid == uuid) {
        dirty_.insert(vg);
      }
    }
  }
  context.touch();
}

// Nothing of it is there or on its way: what was made and is not announced yet counts.
bool LvmPolicy::is_idle(const Lv& lv) {
  return lv.devpath.empty() && lv.activating == 0 && lv.removing == 0 && lv.made_with.empty();
}

// The copy with the highest seqno speaks for the group; LVs follow it.
void LvmPolicy::refresh(const std::string& vg_uuid, Context& context) {
  auto& group = groups_[vg_uuid];
  std::uint64_t newest = 0;
  std::shared_ptr<const std::string> text;
  bool differ = false;
  for (const auto& [devpath, pv] : pvs_) {
    if (pv.vg != vg_uuid) {
      continue;
    }
    if (pv.seqno > newest) {
      newest = pv.seqno;
      text = pv.text;
      differ = false;
    } else if (pv.seqno == newest && text && *pv.text != *text) {
      differ = true;  // lvm2 writes one text to every PV of a group
    }
  }
  group.text_error.clear();
  if (!text) {
    // No PV with metadata is left. What runs stays known until it is taken down.
    if (std::all_of(group.lvs.begin(), group.lvs.end(),
                    [](const auto& entry) { return is_idle(entry.second); })) {
      for (const auto& [lv_name, lv] : group.lvs) {
        if (group.metadata) {
          context.withdraw(thing_id(*group.metadata, lv_name));
        }
      }
      groups_.erase(vg_uuid);
    }
    return;
  }
  if (differ) {
    group.text_error =
        fmt::format("its PVs carry different metadata with the same seqno {}", newest);
  }
  if (!group.metadata || group.metadata->seqno != newest) {
    auto parsed = parse_volume_group(*text);
    if (!parsed) {
      return;
    }
    group.metadata = Metadata{std::move(*parsed), text};
    for (const auto& lv : group.metadata->lvs) {
      if (lv.is_visible) {
        auto& known = group.lvs[lv.name];
        known.name = lv.name;
        known.dm_name = dm_name(*group.metadata, lv.name);
        known.dm_uuid = dm_uuid(*group.metadata, lv);
      }
    }
  }
}

std::string LvmPolicy::refusal(const Group& group) const {
  const auto& vg = *group.metadata;
  if (!group.text_error.empty()) {
    return group.text_error;
  }
  for (const auto& [uuid, other] : groups_) {
    if (uuid != group.uuid && other.metadata && other.metadata->name == vg.name) {
      return fmt::format("two volume groups are called {}: {} and {}", quote(vg.name),
                         std::min(uuid, group.uuid), std::max(uuid, group.uuid));
    }
  }
  if (vg.is_exported) {
    return fmt::format("volume group {} is exported", quote(vg.name));
  }
  if (!vg.system_id.empty()) {
    return fmt::format("volume group {} belongs to another system ({})", quote(vg.name),
                       quote(vg.system_id));
  }
  if (vg.is_clustered || (!vg.lock_type.empty() && vg.lock_type != "none")) {
    return fmt::format("volume group {} is shared with other hosts", quote(vg.name));
  }
  return {};
}

const Device* LvmPolicy::pv_device(const Group& group, const PhysicalVolume& pv, const World& world,
                                   std::string* why, std::vector<std::string>* needs) const {
  const std::string hint =
      pv.device_hint.empty() ? std::string() : fmt::format(" (was {})", quote(pv.device_hint));
  if (pv.is_missing) {
    *why = fmt::format("PV {}{} is flagged missing in the volume group", pv.id, hint);
    return nullptr;
  }
  const auto it = devices_of_pv_.find(pv.id);
  if (it == devices_of_pv_.end()) {
    *why = fmt::format("PV {}{} not seen", pv.id, hint);
    if (pv.device_hint.starts_with("/dev/")) {
      needs->push_back(pv.device_hint);
    }
    return nullptr;
  }
  const auto kernel_name = [&](const std::string& devpath) {
    const Device* device = world.find(devpath);
    return device == nullptr ? devpath : device->kernel;
  };
  if (it->second.size() > 1) {
    std::vector<std::string> names;
    for (const auto& devpath : it->second) {
      names.push_back(kernel_name(devpath));
    }
    *why = fmt::format("PV {} is there more than once: {}", pv.id, fmt::join(names, " and "));
    return nullptr;
  }
  const auto& devpath = *it->second.begin();
  const auto& known = pvs_.at(devpath);
  if (known.seqno != 0 && known.seqno < group.metadata->seqno) {
    *why = fmt::format("PV {} on {} is stale: its metadata has seqno {}, the newest is {}", pv.id,
                       kernel_name(devpath), known.seqno, group.metadata->seqno);
    return nullptr;
  }
  if (world.lost(devpath)) {
    *why = fmt::format("PV {} on {}: what it stands on is being taken down", pv.id,
                       kernel_name(devpath));
    return nullptr;
  }
  return world.find(devpath);
}

void LvmPolicy::show(const Group& group, const Lv& lv, State state, std::string why,
                     std::vector<std::string> needs, Context& context) {
  Thing thing;
  thing.id = thing_id(*group.metadata, lv.name);
  thing.what = fmt::format("LV {}/{}", group.metadata->name, lv.name);
  thing.state = state;
  thing.why = std::move(why);
  thing.needs = std::move(needs);
  thing.names = {fmt::format("/dev/{}/{}", group.metadata->name, lv.name),
                 "/dev/mapper/" + lv.dm_name};
  thing.devpath = lv.devpath;
  if (!lv.devpath.empty()) {
    thing.on.assign(lv.on.begin(), lv.on.end());
  }
  context.publish(std::move(thing));
}

void LvmPolicy::consider(Group& group, Lv& lv, Context& context) {
  const World& world = context.world();
  if (lv.activating != 0 || lv.removing != 0) {
    return;
  }
  const auto& vg = *group.metadata;
  const auto index = vg.find_lv(lv.name);
  if (lv.devpath.empty()) {
    if (const auto it = dm_devices_.find(lv.dm_uuid); it != dm_devices_.end()) {
      lv.devpath = it->second;
    }
  }
  const Device* device = lv.devpath.empty() ? nullptr : world.find(lv.devpath);

  // What it would be made of now.
  std::string why = refusal(group);
  State blocked = State::impossible;
  std::vector<std::string> needs;
  std::set<std::string> on;
  std::map<std::string, const Device*> device_of_pv;
  if (why.empty() && index) {
    for (const auto& pv_id : pvs_of(vg, *index)) {
      const auto pv = vg.find_pv(pv_id);
      std::string missing;
      const Device* carrier = pv_device(group, vg.pvs[*pv], world, &missing, &needs);
      if (carrier == nullptr) {
        const bool may_come = !devices_of_pv_.contains(pv_id) && !vg.pvs[*pv].is_missing;
        blocked = why.empty() && may_come ? State::waiting : blocked;
        why = why.empty() ? missing : why + "; " + missing;
        continue;
      }
      device_of_pv[pv_id] = carrier;
      on.insert(carrier->devpath);
    }
  }
  if (!index) {
    why = "no longer in the newest metadata of its volume group";
  }

  // The arguments decide whether what runs is still what it should be.
  Json arguments;
  const bool native = index && !why_not_linear(vg, *index);
  if (why.empty() && index) {
    const auto& volume = vg.lvs[*index];
    if (native) {
      Json table = Json::array();
      const auto lines = linear_table(vg, *index);
      for (const auto& line : *lines) {
        std::string params;
        const auto part_text = [&](const TableLine::Part& part) {
          return fmt::format("{} {}", device_of_pv.at(part.pv_id)->devno->text(), part.offset);
        };
        if (line.target == TableLine::Target::striped) {
          params = fmt::format("{} {}", line.parts.size(), line.stripe_size);
          for (const auto& part : line.parts) {
            params += " " + part_text(part);
          }
        } else {
          params = part_text(line.parts.front());
        }
        table.push_back({{"start", line.start},
                         {"length", line.length},
                         {"type", line.target == TableLine::Target::striped ? "striped" : "linear"},
                         {"params", std::move(params)}});
      }
      arguments = {{"dm_name", lv.dm_name},
                   {"dm_uuid", lv.dm_uuid},
                   {"read_only", !volume.is_writable},
                   {"table", std::move(table)}};
    } else {
      Json devices = Json::array();
      for (const auto& pv : vg.pvs) {
        std::string ignored;
        std::vector<std::string> ignored_needs;
        if (const Device* carrier = pv_device(group, pv, world, &ignored, &ignored_needs)) {
          devices.push_back(carrier->dev_name());
        }
      }
      arguments = {
          {"vg", vg.name}, {"lv", lv.name}, {"vg_uuid", vg.id}, {"devices", std::move(devices)}};
    }
  }

  if (device != nullptr && is_live(*device)) {
    if (lv.on.empty()) {
      lv.on = on;
    }
    const Thing* known = world.thing(thing_id(vg, lv.name));
    const bool doomed = known != nullptr && known->doomed && world.phase() == Phase::gathering;
    // Newer metadata that changes this LV, or a refusal that became known, takes the activation
    // back.
    const bool outdated =
        lv.native && !lv.made_with.empty() && (!why.empty() || arguments.dump() != lv.made_with);
    if (!doomed && (!outdated || world.phase() != Phase::gathering)) {
      show(group, lv, State::ready, {}, {}, context);
      return;
    }
    const std::string reason =
        doomed ? "a PV is gone" : (why.empty() ? "newer metadata changes it" : why);
    held_up_.insert(group.uuid);
    if (const auto holders = world.holders(lv.devpath); !holders.empty()) {
      show(group, lv, State::broken,
           fmt::format("{}; to be taken down once {} is down", reason, holders.front()->what), {},
           context);
      return;
    }
    if (!lv.cannot_remove.empty()) {
      show(group, lv, State::broken,
           fmt::format("{}; it cannot be taken down: {}", reason, lv.cannot_remove), {}, context);
      return;
    }
    show(group, lv, State::broken, reason + "; being taken down", {}, context);
    if (lv.native) {
      lv.removing =
          context.want("remove", lv.dm_name, {{"dm_name", lv.dm_name}, {"dm_uuid", lv.dm_uuid}},
                       world.plan().tool_ms());
    } else {
      Json devices = Json::array();
      for (const auto& devpath : lv.on) {
        if (const Device* carrier = world.find(devpath)) {
          devices.push_back(carrier->dev_name());
        }
      }
      lv.removing = context.want("deactivate", lv.dm_name,
                                 {{"vg", vg.name},
                                  {"lv", lv.name},
                                  {"vg_uuid", vg.id},
                                  {"devices", devices},
                                  {"dm_name", lv.dm_name}},
                                 world.plan().tool_ms());
    }
    return;
  }
  if (world.phase() != Phase::gathering) {
    return;
  }
  if (!why.empty()) {
    show(group, lv, blocked, why, needs, context);
    return;
  }
  if (!target::may_assemble(world, on, &why)) {
    show(group, lv, State::waiting, why, {}, context);
    return;
  }
  std::set<std::string> modules{"dm_mod"};
  if (!native) {
    const auto wanted = target::lvs(world.plan().mountlist);
    const bool named = std::any_of(wanted.begin(), wanted.end(), [&](const target::TargetLv& each) {
      return each.name.vg == vg.name && each.name.lv == lv.name;
    });
    if (!named) {
      show(group, lv, State::waiting,
           fmt::format("{}; not activated, since the plan does not name it",
                       *why_not_linear(vg, *index)),
           {}, context);
      return;
    }
    std::set<std::uint32_t> seen;
    collect_modules(vg, *index, seen, modules);
  }
  for (const auto& module : modules) {
    const std::string id = "module:" + module;
    context.request(id);
    const Thing* needed = world.thing(id);
    // A missing target module is lvm's to name; dm itself must be there.
    const bool settled =
        needed != nullptr &&
        (needed->state == State::ready || (module != "dm_mod" && needed->state != State::working));
    if (!settled) {
      show(group, lv, State::waiting, fmt::format("its PVs are there; needs module {}", module),
           {id}, context);
      return;
    }
  }
  const std::string with = arguments.dump();
  if (lv.made_with == with) {
    show(group, lv, State::working, "activated; the kernel does not call it live yet", {}, context);
    return;
  }
  if (!lv.failed.empty() && lv.failed_with == with) {
    show(group, lv, State::broken, lv.failed, {}, context);
    return;
  }
  lv.failed.clear();
  lv.pv_went = false;
  lv.native = native;
  lv.on = on;
  lv.made_with = with;
  show(group, lv, State::working, "its PVs are there; being activated", {}, context);
  lv.activating = context.want(native ? "create" : "activate", lv.dm_name, std::move(arguments),
                               world.plan().tool_ms());
}

void LvmPolicy::done(const Effect& effect, const EffectDone& outcome, Context& context) {
  for (auto& [uuid, group] : groups_) {
    for (auto& [lv_name, lv] : group.lvs) {
      if (lv.activating == effect.id) {
        lv.activating = 0;
        dirty_.insert(uuid);
        if (!outcome.ok) {
          // With a PV that went meanwhile it is another attempt, even if it is there again.
          lv.failed = lv.pv_went ? std::string() : outcome.error;
          lv.failed_with = std::exchange(lv.made_with, {});
          lv.on.clear();
          context.report(fmt::format("LV {} is not activated: {}", lv.dm_name, outcome.error));
        } else if (const auto kernel = outcome.result.value("kernel", std::string());
                   !kernel.empty()) {
          context.read_again("/devices/virtual/block/" + kernel);
        }
        return;
      }
      if (lv.removing == effect.id) {
        lv.removing = 0;
        dirty_.insert(uuid);
        if (outcome.ok) {
          lv.cannot_remove.clear();
          if (!lv.devpath.empty()) {
            context.read_again(lv.devpath);
          }
        } else {
          lv.cannot_remove = outcome.error;
        }
        return;
      }
    }
  }
}

void LvmPolicy::late(const Effect& effect, Context& context) {
  context.report(
      fmt::format("lvm: {} of {} takes longer than expected", effect.verb, effect.subject));
}

void LvmPolicy::thing(const Thing& thing, bool withdrawn, Context& context) {
  if (thing.id.starts_with("module:dm")) {
    plan_changed(context);
    return;
  }
  if (thing.owner == name()) {
    if (thing.doomed && !withdrawn) {
      plan_changed(context);
    }
    return;
  }
  // Something came down: what waits for its holders, or could not be taken down, may be now.
  for (const auto& uuid : held_up_) {
    if (const auto group = groups_.find(uuid); group != groups_.end()) {
      for (auto& [lv_name, lv] : group->second.lvs) {
        lv.cannot_remove.clear();
      }
      dirty_.insert(uuid);
      context.touch();
    }
  }
  held_up_.clear();
}

void LvmPolicy::decide(Context& context) {
  const auto dirty = std::exchange(dirty_, {});
  std::set<std::string> names;
  for (const auto& uuid : dirty) {
    if (groups_.contains(uuid)) {
      refresh(uuid, context);
    }
    if (const auto it = groups_.find(uuid); it != groups_.end() && it->second.metadata) {
      names.insert(it->second.metadata->name);
    }
  }
  // A group's name may be another's too: all of that name are judged again.
  for (auto& [uuid, group] : groups_) {
    if (!group.metadata || !names.contains(group.metadata->name)) {
      continue;
    }
    std::vector<std::string> volumes;
    for (const auto& [lv_name, lv] : group.lvs) {
      volumes.push_back(lv_name);
    }
    for (const auto& lv_name : volumes) {
      auto& lv = group.lvs.at(lv_name);
      if (is_idle(lv) && !dm_devices_.contains(lv.dm_uuid) && !group.metadata->find_lv(lv_name)) {
        context.withdraw(thing_id(*group.metadata, lv_name));
        group.lvs.erase(lv_name);
        continue;
      }
      consider(group, lv, context);
    }
  }
}

}  // namespace muster::lvm
