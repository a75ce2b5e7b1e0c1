#include "handlers/node/node_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "handlers/lvm/map_name.h"

namespace muster::node {
namespace {

constexpr std::string_view kOfDevice = "device:";
constexpr std::string_view kOfThing = "thing:";

void put(Names& names, std::string name, bool as_node) {
  const auto at =
      std::lower_bound(names.begin(), names.end(), name,
                       [](const auto& each, const std::string& text) { return each.first < text; });
  if (at != names.end() && at->first == name) {
    at->second = as_node;
  } else {
    names.emplace(at, std::move(name), as_node);
  }
}

// Values come from disks: what would leave its directory gets no link.
bool is_file_name(std::string_view text) {
  return !text.empty() && text != "." && text != ".." && text.find('/') == std::string_view::npos &&
         text.find('\0') == std::string_view::npos && text.size() < 256;
}

}  // namespace

void NodePolicy::plan_changed(Context& context) {
  if (context.world().plan().udevd) {
    claimed_by_ = {};
    names_.clear();
    dirty_.clear();
  }
}

void NodePolicy::device(const Device& device, Context& context) {
  if (context.world().plan().udevd) {
    return;
  }
  Names names;
  const bool gathering = context.world().phase() == Phase::gathering;
  if (!gathering) {
    // What was read before the launch may be overwritten by now: those links stay as they are.
    if (const Names* known = claimed_by_.devices.find(device.devpath)) {
      names = *known;
    }
  } else if (device.signature) {
    static constexpr std::pair<std::string_view, std::string_view> kLinks[] = {
        {"ID_FS_UUID_ENC", "/dev/disk/by-uuid/"},
        {"ID_FS_LABEL_ENC", "/dev/disk/by-label/"},
        {"ID_PART_ENTRY_UUID", "/dev/disk/by-partuuid/"},
        {"ID_PART_ENTRY_NAME", "/dev/disk/by-partlabel/"},
    };
    const auto usage = device.signature_property("ID_FS_USAGE");
    const bool content = usage == "filesystem" || usage == "other" || usage == "crypto";
    for (const auto& [key, directory] : kLinks) {
      if (!content && key.starts_with("ID_FS_")) {
        continue;
      }
      if (const auto name = device.signature->properties.find(key); name && is_file_name(*name)) {
        put(names, std::string(directory).append(*name), false);
      }
    }
  }
  const auto dm_name = device.attribute("dm/name");
  if (!dm_name.empty() && is_file_name(dm_name)) {
    put(names, "/dev/mapper/" + std::string(dm_name), true);
    if (device.attribute("dm/uuid").starts_with("LVM-")) {
      // A layer (VG-LV-cow, say) has no name of its own.
      if (const auto lv = lvm::split_map_name(dm_name)) {
        put(names, fmt::format("/dev/{}/{}", lv->vg, lv->lv), false);
      }
    }
  }
  claim_for(device.devpath, std::move(names));
}

void NodePolicy::device_gone(const Device& device, Context& context) {
  if (!context.world().plan().udevd && context.world().find(device.devpath) == nullptr) {
    claim_for(device.devpath, {});
  }
}

void NodePolicy::claim_for(const Devpath& device, Names names) {
  static const Names kNone;
  const Names* known = claimed_by_.devices.find(device);
  const Names& before = known == nullptr ? kNone : *known;
  if (before == names) {
    return;
  }
  claim(device, before, device, names);
  if (names.empty()) {
    claimed_by_.devices.erase(device);
  } else {
    claimed_by_.devices[device] = std::move(names);
  }
}

void NodePolicy::thing(const Thing& thing, bool withdrawn, Context& context) {
  if (!thing.id.starts_with("array:") || context.world().plan().udevd) {
    return;
  }
  Claims::OfThing now{Devpath(thing.devpath), {}};
  const Device* device = thing.devpath.empty() ? nullptr : context.world().find(thing.devpath);
  if (!withdrawn && device != nullptr && thing.state == State::ready) {
    for (const auto& name : thing.names) {
      if (name != device->dev_name()) {
        // mondorestore takes /dev/mdN literally and follows no links: a node, not a link.
        put(now.names, name, !name.starts_with("/dev/md/"));
      }
    }
  }
  auto& known = claimed_by_.things[thing.id];
  if (known.devpath != now.devpath || known.names != now.names) {
    claim(known.devpath, known.names, now.devpath, now.names);
    known = std::move(now);
    context.touch();
  }
  if (known.names.empty()) {
    claimed_by_.things.erase(thing.id);
  }
}

// One takes back what it claimed before, and claims what it does now.
void NodePolicy::claim(const Devpath& devpath_before, const Names& before, const Devpath& devpath,
                       const Names& now) {
  for (const auto& [path, as_node] : before) {
    std::erase(names_[path].claims, devpath_before);
    dirty_.insert(path);
  }
  for (const auto& [path, as_node] : now) {
    auto& name = names_[path];
    name.as_node = as_node;
    const auto at = std::lower_bound(name.claims.begin(), name.claims.end(), devpath);
    if (at == name.claims.end() || *at != devpath) {
      name.claims.insert(at, devpath);
    }
    dirty_.insert(path);
  }
}

void NodePolicy::done(const Effect& effect, const EffectDone& outcome, Context& context) {
  if (!outcome.ok) {
    context.report(fmt::format("{}: {}", effect.subject, outcome.error));
  }
}

void NodePolicy::decide(Context& context) {
  for (const auto& path : std::exchange(dirty_, {})) {
    auto& entry = names_[path];
    const Device* device = nullptr;
    for (const auto& devpath : entry.claims) {
      device = context.world().find(devpath);
      if (device != nullptr) {
        break;
      }
    }
    const Devpath wanted = device == nullptr ? Devpath() : device->devpath;
    if (wanted != entry.made_for) {
      // One lane: a link that moves must not lose against its own removal.
      if (device != nullptr && entry.as_node && device->devno) {
        context.want("node", path, {{"path", path}, {"devno", device->devno->text()}}, 0, "node");
      } else if (device != nullptr) {
        context.want("link", path, {{"path", path}, {"target", device->dev_name()}}, 0, "node");
      } else {
        context.want("unlink", path, {{"path", path}}, 0, "node");
      }
      entry.made_for = wanted;
    }
    if (entry.claims.empty()) {
      names_.erase(path);
    }
  }
}

}  // namespace muster::node

namespace muster::state {

// One object: "device:DEVPATH" or "thing:ID", each with the device and the names.
Json Custom<node::Claims>::save(const node::Claims& claims) {
  Json json = Json::object();
  const auto add = [&](std::string owner, const Devpath& devpath, const node::Names& names) {
    Json all = Json::object();
    for (const auto& [name, as_node] : names) {
      all[name] = as_node;
    }
    json[std::move(owner)] = Json::array({devpath.str(), std::move(all)});
  };
  for (const auto& [devpath, names] : claims.devices.unsorted()) {
    add(node::kOfDevice + devpath, devpath, names);
  }
  for (const auto& [id, claim] : claims.things) {
    add(std::string(node::kOfThing) + id, claim.devpath, claim.names);
  }
  return json;
}

void Custom<node::Claims>::restore(const Json& json, node::Claims& claims) {
  claims = {};
  std::map<std::string, std::pair<std::string, std::map<std::string, bool>>> all;
  restore_value(json, all);
  for (const auto& [owner, claim] : all) {
    const Devpath devpath(claim.first);
    const node::Names names(claim.second.begin(), claim.second.end());
    const std::string_view whose = owner;
    if (whose.starts_with(node::kOfDevice)) {
      claims.devices[devpath] = names;
    } else if (whose.starts_with(node::kOfThing)) {
      claims.things[std::string(whose.substr(node::kOfThing.size()))] = {devpath, names};
    } else {
      throw Malformed("." + owner + ": claims nothing");
    }
  }
}

}  // namespace muster::state
