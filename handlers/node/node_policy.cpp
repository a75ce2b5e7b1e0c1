#include "handlers/node/node_policy.h"

#include <fmt/format.h>

#include <utility>

namespace muster::node {
namespace {

// dm doubles the hyphens of VG and LV names and puts a single one between them.
std::string lv_path_from_dm_name(std::string_view dm_name) {
  std::string vg;
  std::string part;
  for (std::size_t i = 0; i < dm_name.size(); ++i) {
    if (dm_name[i] != '-') {
      part.push_back(dm_name[i]);
    } else if (i + 1 < dm_name.size() && dm_name[i + 1] == '-') {
      part.push_back('-');
      ++i;
    } else if (vg.empty()) {
      vg = std::exchange(part, {});
    } else {
      return {};  // a layer (VG-LV-cow, say) has no name of its own
    }
  }
  return vg.empty() || part.empty() ? std::string() : fmt::format("/dev/{}/{}", vg, part);
}

// Values come from disks: what would leave its directory gets no link.
bool is_file_name(std::string_view text) {
  return !text.empty() && text != "." && text != ".." && text.find('/') == std::string_view::npos &&
         text.find('\0') == std::string_view::npos && text.size() < 256;
}

}  // namespace

void NodePolicy::plan_changed(Context& context) {
  if (context.world().plan().udevd) {
    claimed_by_.clear();
    names_.clear();
    dirty_.clear();
  }
}

void NodePolicy::device(const Device& device, Context& context) {
  std::map<std::string, bool> names;
  const bool gathering = context.world().phase() == Phase::gathering;
  if (!gathering) {
    // What was read before the launch may be overwritten by now: those links stay as they are.
    if (const auto it = claimed_by_.find("device:" + device.devpath); it != claimed_by_.end()) {
      names = it->second.second;
    }
  } else if (device.signature) {
    static constexpr std::pair<const char*, const char*> kLinks[] = {
        {"ID_FS_UUID_ENC", "/dev/disk/by-uuid/"},
        {"ID_FS_LABEL_ENC", "/dev/disk/by-label/"},
        {"ID_PART_ENTRY_UUID", "/dev/disk/by-partuuid/"},
        {"ID_PART_ENTRY_NAME", "/dev/disk/by-partlabel/"},
    };
    const auto& properties = device.signature->properties;
    const auto usage = device.signature_property("ID_FS_USAGE");
    const bool content = usage == "filesystem" || usage == "other" || usage == "crypto";
    for (const auto& [key, directory] : kLinks) {
      const bool of_content = std::string_view(key).starts_with("ID_FS_");
      if (const auto it = properties.find(key);
          it != properties.end() && is_file_name(it->second) && (content || !of_content)) {
        names[directory + it->second] = false;
      }
    }
  }
  const auto dm_name = device.attribute("dm/name");
  if (!dm_name.empty() && is_file_name(dm_name)) {
    names["/dev/mapper/" + std::string(dm_name)] = true;
    if (device.attribute("dm/uuid").starts_with("LVM-")) {
      if (const auto path = lv_path_from_dm_name(dm_name); !path.empty()) {
        names[path] = false;
      }
    }
  }
  claim("device:" + device.devpath, device.devpath, std::move(names), context);
}

void NodePolicy::device_gone(const Device& device, Context& context) {
  if (context.world().find(device.devpath) == nullptr) {
    claim("device:" + device.devpath, device.devpath, {}, context);
  }
}

void NodePolicy::thing(const Thing& thing, bool withdrawn, Context& context) {
  if (!thing.id.starts_with("array:")) {
    return;
  }
  std::map<std::string, bool> names;
  const Device* device = thing.devpath.empty() ? nullptr : context.world().find(thing.devpath);
  if (!withdrawn && device != nullptr && thing.state == State::ready) {
    for (const auto& name : thing.names) {
      if (name != device->dev_name()) {
        // mondorestore takes /dev/mdN literally and follows no links: a node, not a link.
        names[name] = !name.starts_with("/dev/md/");
      }
    }
  }
  claim("thing:" + thing.id, thing.devpath, std::move(names), context);
}

void NodePolicy::claim(const std::string& owner, const std::string& devpath,
                       std::map<std::string, bool> names, Context& context) {
  if (context.world().plan().udevd) {
    return;
  }
  auto& known = claimed_by_[owner];
  if (known.first == devpath && known.second == names) {
    return;
  }
  for (const auto& [path, as_node] : known.second) {
    names_[path].claims.erase(known.first);
    dirty_.insert(path);
  }
  for (const auto& [path, as_node] : names) {
    names_[path].claims.insert(devpath);
    names_[path].as_node = as_node;
    dirty_.insert(path);
  }
  known = {devpath, std::move(names)};
  if (known.second.empty()) {
    claimed_by_.erase(owner);
  }
  context.touch();
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
    const std::string wanted = device == nullptr ? std::string() : device->devpath;
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
