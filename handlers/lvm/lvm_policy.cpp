#include "handlers/lvm/lvm_policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/quote.h"
#include "handlers/lvm/map_name.h"
#include "handlers/target/assembly_scope.h"

namespace muster {

Json state::Custom<lvm::Metadata>::save(const lvm::Metadata& metadata) {
  return *metadata.text;
}

void state::Custom<lvm::Metadata>::restore(const Json& json, lvm::Metadata& metadata) {
  expect(json.is_string(), "a text");
  auto text = std::make_shared<const std::string>(json.get_ref<const std::string&>());
  auto parsed = lvm::parse_volume_group(*text);
  if (!parsed) {
    throw Malformed(": " + parsed.error().text);
  }
  metadata = lvm::Metadata(std::move(*parsed), std::move(text));
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

Metadata::Metadata(VolumeGroup group, std::shared_ptr<const std::string> its_text)
    : VolumeGroup(std::move(group)), text(std::move(its_text)) {
  for (std::uint32_t i = 0; i < lvs.size(); ++i) {
    Layout& layout = layouts[lvs[i].name];
    layout.lv = i;
    for (const auto& pv_id : pvs_of(*this, i)) {
      layout.pvs.push_back(*find_pv(pv_id));
    }
    layout.not_linear = why_not_linear(*this, i);
    if (!layout.not_linear) {
      layout.table = *linear_table(*this, i);
    }
  }
}

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
  // All PVs of a group carry one text: it is read once.
  const Group* says_nothing_new = nullptr;
  if (has_text) {
    const auto& its_text = text->get_ref<const std::string&>();
    for (const auto& [uuid, group] : groups_) {
      if (group.metadata && *group.metadata->text == its_text) {
        says_nothing_new = &group;
      }
    }
    if (says_nothing_new != nullptr) {
      pv.text = says_nothing_new->metadata->text;
      pv.vg = says_nothing_new->uuid;
      pv.seqno = says_nothing_new->metadata->seqno;
    } else {
      pv.text = std::make_shared<const std::string>(its_text);
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
  }
  device_gone(device, context);
  if (!pv.vg.empty() && says_nothing_new == nullptr) {
    dirty_.insert(pv.vg);
  }
  devices_of_pv_[pv.uuid].insert(device.devpath);
  for (const auto& [uuid, group] : groups_) {
    touch_users(group, pv.uuid);
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
        touched_[vg].insert(lv_name);
      }
    }
  }
  context.touch();
}

// The LVs that a PV which came says something about. Those that are lvm's to activate are told of
// every PV of their group.
void LvmPolicy::touch_users(const Group& group, const std::string& pv_uuid) {
  const auto pv = group.metadata ? group.metadata->find_pv(pv_uuid) : std::nullopt;
  if (!pv) {
    return;
  }
  for (const auto& [lv_name, lv] : group.lvs) {
    const auto layout = group.metadata->layouts.find(lv_name);
    if (layout != group.metadata->layouts.end() &&
        (layout->second.not_linear ||
         std::find(layout->second.pvs.begin(), layout->second.pvs.end(), *pv) !=
             layout->second.pvs.end())) {
      touched_[group.uuid].insert(lv_name);
    }
  }
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
  if (!group.metadata || group.metadata->seqno != newest || *group.metadata->text != *text) {
    auto parsed = parse_volume_group(*text);
    if (!parsed) {
      return;
    }
    group.metadata = Metadata(std::move(*parsed), text);
    for (const auto& lv : group.metadata->lvs) {
      if (lv.is_visible) {
        auto& known = group.lvs[lv.name];
        known.name = lv.name;
        known.dm_name = map_name(group.metadata->name, lv.name);
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

LvmPolicy::Standing LvmPolicy::standing_of(const Group& group, const PhysicalVolume& pv,
                                           const World& world) const {
  Standing standing;
  const auto hint = [&] {
    return pv.device_hint.empty() ? std::string() : fmt::format(" (was {})", quote(pv.device_hint));
  };
  if (pv.is_missing) {
    standing.why = fmt::format("PV {}{} is flagged missing in the volume group", pv.id, hint());
    return standing;
  }
  const auto it = devices_of_pv_.find(pv.id);
  if (it == devices_of_pv_.end()) {
    standing.why = fmt::format("PV {}{} not seen", pv.id, hint());
    if (pv.device_hint.starts_with("/dev/")) {
      standing.needs = pv.device_hint;
    }
    return standing;
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
    standing.why =
        fmt::format("PV {} is there more than once: {}", pv.id, fmt::join(names, " and "));
    return standing;
  }
  const auto& devpath = *it->second.begin();
  const auto& known = pvs_.at(devpath);
  if (known.seqno != 0 && known.seqno < group.metadata->seqno) {
    standing.why = fmt::format("PV {} on {} is stale: its metadata has seqno {}, the newest is {}",
                               pv.id, kernel_name(devpath), known.seqno, group.metadata->seqno);
    return standing;
  }
  if (world.lost(devpath)) {
    standing.why = fmt::format("PV {} on {}: what it stands on is being taken down", pv.id,
                               kernel_name(devpath));
    return standing;
  }
  standing.carrier = world.find(devpath);
  return standing;
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

void LvmPolicy::consider(Group& group, Lv& lv, Judgement& judgement, Context& context) {
  const World& world = context.world();
  if (lv.activating != 0 || lv.removing != 0) {
    return;
  }
  const auto& vg = *group.metadata;
  const auto found = vg.layouts.find(lv.name);
  const Layout* layout = found == vg.layouts.end() ? nullptr : &found->second;
  if (lv.devpath.empty()) {
    if (const auto it = dm_devices_.find(lv.dm_uuid); it != dm_devices_.end()) {
      lv.devpath = it->second;
    }
  }
  const Device* device = lv.devpath.empty() ? nullptr : world.find(lv.devpath);
  const bool live = device != nullptr && is_live(*device);
  if (world.phase() != Phase::gathering && !(live && lv.on.empty())) {
    // Nothing is put together or taken down any more, whatever its PVs would say.
    if (live) {
      show(group, lv, State::ready, {}, {}, context);
    }
    return;
  }
  const auto standing = [&](std::uint32_t pv) -> const Standing& {
    auto& known = judgement.pvs[pv];
    if (!known) {
      known = standing_of(group, vg.pvs[pv], world);
    }
    return *known;
  };

  // What it would be made of now.
  std::string why = judgement.refusal;
  State blocked = State::impossible;
  std::vector<std::string> needs;
  std::set<std::string> on;
  std::map<std::string_view, const Device*> device_of_pv;
  if (why.empty() && layout != nullptr) {
    for (const auto index : layout->pvs) {
      const PhysicalVolume& pv = vg.pvs[index];
      const Standing& its = standing(index);
      if (its.carrier == nullptr) {
        const bool may_come = !devices_of_pv_.contains(pv.id) && !pv.is_missing;
        blocked = why.empty() && may_come ? State::waiting : blocked;
        why = why.empty() ? its.why : why + "; " + its.why;
        if (!its.needs.empty()) {
          needs.push_back(its.needs);
        }
        continue;
      }
      device_of_pv[pv.id] = its.carrier;
      on.insert(its.carrier->devpath);
    }
  }
  if (layout == nullptr) {
    why = "no longer in the newest metadata of its volume group";
  }

  // The arguments decide whether what runs is still what it should be.
  Json arguments;
  const bool native = layout != nullptr && !layout->not_linear;
  if (why.empty()) {
    if (native) {
      Json table = Json::array();
      for (const auto& line : layout->table) {
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
                   {"read_only", !vg.lvs[layout->lv].is_writable},
                   {"table", std::move(table)}};
    } else {
      Json devices = Json::array();
      for (std::uint32_t pv = 0; pv < vg.pvs.size(); ++pv) {
        if (const Device* carrier = standing(pv).carrier) {
          devices.push_back(carrier->dev_name());
        }
      }
      arguments = {
          {"vg", vg.name}, {"lv", lv.name}, {"vg_uuid", vg.id}, {"devices", std::move(devices)}};
    }
  }

  if (live) {
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
           fmt::format("{}; not activated, since the plan does not name it", *layout->not_linear),
           {}, context);
      return;
    }
    std::set<std::uint32_t> seen;
    collect_modules(vg, layout->lv, seen, modules);
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
        touched_[uuid].insert(lv_name);
        if (!outcome.ok) {
          dirty_.insert(uuid);
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
  // Accepted drives are what an assembly may have waited for.
  if (thing.id.starts_with("module:dm") || thing.id.starts_with("binding:")) {
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

void LvmPolicy::judge(Group& group, const std::set<std::string>& volumes, Context& context) {
  Judgement judgement{refusal(group), {}};
  judgement.pvs.resize(group.metadata->pvs.size());
  for (const auto& lv_name : volumes) {
    const auto it = group.lvs.find(lv_name);
    if (it == group.lvs.end()) {
      continue;
    }
    if (is_idle(it->second) && !dm_devices_.contains(it->second.dm_uuid) &&
        !group.metadata->layouts.contains(lv_name)) {
      context.withdraw(thing_id(*group.metadata, lv_name));
      group.lvs.erase(it);
      continue;
    }
    consider(group, it->second, judgement, context);
  }
}

void LvmPolicy::decide(Context& context) {
  const auto dirty = std::exchange(dirty_, {});
  const auto touched = std::exchange(touched_, {});
  std::set<std::string> names;
  for (const auto& uuid : dirty) {
    if (groups_.contains(uuid)) {
      refresh(uuid, context);
    }
    if (const auto it = groups_.find(uuid); it != groups_.end() && it->second.metadata) {
      names.insert(it->second.metadata->name);
    }
  }
  for (auto& [uuid, group] : groups_) {
    if (!group.metadata) {
      continue;
    }
    // A group's name may be another's too: all of that name are judged again.
    if (names.contains(group.metadata->name)) {
      std::set<std::string> volumes;
      for (const auto& [lv_name, lv] : group.lvs) {
        volumes.insert(lv_name);
      }
      judge(group, volumes, context);
    } else if (const auto some = touched.find(uuid); some != touched.end()) {
      judge(group, some->second, context);
    }
  }
}

}  // namespace muster::lvm
