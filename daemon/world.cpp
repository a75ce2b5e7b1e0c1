#include "daemon/world.h"

#include <algorithm>
#include <charconv>

namespace muster {

std::string Devno::text() const {
  return std::to_string(major) + ":" + std::to_string(minor);
}

std::optional<Devno> devno_from(std::string_view text) {
  Devno devno;
  const auto* end = text.data() + text.size();
  const auto [colon, error] = std::from_chars(text.data(), end, devno.major);
  if (error != std::errc() || colon == end || *colon != ':') {
    return std::nullopt;
  }
  const auto [rest, error2] = std::from_chars(colon + 1, end, devno.minor);
  if (error2 != std::errc() || rest != end) {
    return std::nullopt;
  }
  return devno;
}

std::string_view to_string(State state) {
  switch (state) {
    case State::waiting:
      return "waiting";
    case State::working:
      return "working";
    case State::ready:
      return "ready";
    case State::impossible:
      return "impossible";
    case State::broken:
      return "broken";
  }
  return "broken";
}

const std::vector<std::string>& Device::handlers() const {
  static const std::vector<std::string> kNone;
  return matched == nullptr ? kNone : matched->handlers;
}

std::string_view Device::property(std::string_view name) const {
  const auto it = properties.find(name);
  return it == properties.end() ? std::string_view{} : std::string_view(it->second);
}

std::string_view Device::attribute(std::string_view name) const {
  const auto it = attributes.find(name);
  return it == attributes.end() || !it->second ? std::string_view{} : std::string_view(*it->second);
}

std::string_view Device::signature_property(std::string_view name) const {
  if (!signature) {
    return {};
  }
  const auto it = signature->properties.find(name);
  return it == signature->properties.end() ? std::string_view() : std::string_view(it->second);
}

std::uint64_t Device::size_bytes() const {
  const auto text = attribute("size");
  std::uint64_t sectors = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), sectors);
  return error == std::errc() && sectors < (std::uint64_t{1} << 54) ? sectors * 512 : 0;
}

std::string Device::dev_name() const {
  const auto name = property("DEVNAME");
  if (name.empty()) {
    return "/dev/" + kernel;
  }
  return name.starts_with("/dev/") ? std::string(name) : "/dev/" + std::string(name);
}

const Device* World::find(std::string_view devpath) const {
  const auto it = devices_.find(devpath);
  return it == devices_.end() ? nullptr : it->second.get();
}

const Device* World::block_by_devno(Devno devno) const {
  const auto it = by_devno_.find(devno);
  return it == by_devno_.end() ? nullptr : it->second;
}

const Device* World::block_by_kernel_name(std::string_view name) const {
  const auto it = block_by_name_.find(name);
  return it == block_by_name_.end() ? nullptr : it->second;
}

const Device* World::parent(const Device& device) const {
  std::string_view path = device.devpath;
  for (auto slash = path.rfind('/'); slash != std::string_view::npos && slash > 0;
       slash = path.rfind('/')) {
    path = path.substr(0, slash);
    if (const Device* found = find(path)) {
      return found;
    }
  }
  return nullptr;
}

std::vector<const Device*> World::partitions(const Device& disk) const {
  std::vector<const Device*> result;
  if (const auto it = partitions_.find(disk.devpath); it != partitions_.end()) {
    for (const auto& devpath : it->second) {
      result.push_back(find(devpath));
    }
  }
  return result;
}

std::vector<const Device*> World::devices_sorted() const {
  std::vector<const Device*> result;
  result.reserve(devices_.size());
  for (const auto& [devpath, device] : devices_) {
    result.push_back(device.get());
  }
  std::sort(result.begin(), result.end(),
            [](const Device* a, const Device* b) { return a->devpath < b->devpath; });
  return result;
}

std::vector<const Device*> World::assigned(std::string_view handler) const {
  std::vector<const Device*> result;
  if (const auto it = assigned_.find(handler); it != assigned_.end()) {
    for (const auto& devpath : it->second) {
      result.push_back(find(devpath));
    }
  }
  return result;
}

const Thing* World::thing(std::string_view id) const {
  const auto it = things_.find(id);
  return it == things_.end() ? nullptr : &it->second;
}

std::vector<const Thing*> World::things_named(std::string_view name) const {
  std::vector<const Thing*> result;
  if (const auto it = ids_by_name_.find(name); it != ids_by_name_.end()) {
    for (const auto& id : it->second) {
      result.push_back(thing(id));
    }
  }
  return result;
}

const Thing* World::provider(std::string_view devpath) const {
  const auto it = id_by_devpath_.find(devpath);
  return it == id_by_devpath_.end() ? nullptr : thing(it->second);
}

std::vector<const Thing*> World::holders(std::string_view devpath) const {
  std::set<std::string> ids;
  const auto collect = [&](std::string_view path) {
    if (const auto it = ids_on_.find(path); it != ids_on_.end()) {
      ids.insert(it->second.begin(), it->second.end());
    }
  };
  collect(devpath);
  if (const auto it = partitions_.find(devpath); it != partitions_.end()) {
    for (const auto& partition : it->second) {
      collect(partition);
    }
  }
  std::vector<const Thing*> result;
  for (const auto& id : ids) {
    result.push_back(thing(id));
  }
  return result;
}

bool World::lost(std::string_view devpath) const {
  const Device* device = find(devpath);
  if (device == nullptr) {
    return true;
  }
  if (device->is_partition()) {
    device = parent(*device);
  }
  const Thing* below = device == nullptr ? nullptr : provider(device->devpath);
  return below != nullptr && below->doomed;
}

std::set<std::string> World::disks_below(std::string_view devpath) const {
  std::set<std::string> disks;
  std::set<std::string, std::less<>> seen;
  std::vector<std::string> todo{std::string(devpath)};
  while (!todo.empty()) {
    const std::string path = std::move(todo.back());
    todo.pop_back();
    if (!seen.insert(path).second) {
      continue;
    }
    const Device* device = find(path);
    if (device != nullptr && device->is_partition()) {
      if (const Device* disk = parent(*device)) {
        todo.push_back(disk->devpath);
      }
      continue;
    }
    const Thing* below = provider(path);
    if (below != nullptr && !below->on.empty()) {
      todo.insert(todo.end(), below->on.begin(), below->on.end());
    } else {
      disks.insert(path);
    }
  }
  return disks;
}

Device& World::upsert(std::string_view devpath) {
  auto it = devices_.find(devpath);
  if (it == devices_.end()) {
    auto device = std::make_unique<Device>();
    device->devpath = devpath;
    const auto slash = devpath.rfind('/');
    device->kernel = devpath.substr(slash == std::string_view::npos ? 0 : slash + 1);
    std::replace(device->kernel.begin(), device->kernel.end(), '!', '/');
    it = devices_.emplace(std::string(devpath), std::move(device)).first;
  }
  return *it->second;
}

void World::index(const Device& device) {
  if (!device.is_block()) {
    return;
  }
  auto& mutable_device = *devices_.find(device.devpath)->second;
  if (device.devno) {
    by_devno_[*device.devno] = &mutable_device;
  }
  block_by_name_[device.kernel] = &mutable_device;
  if (device.is_partition()) {
    if (const auto slash = device.devpath.rfind('/'); slash != std::string::npos) {
      partitions_[device.devpath.substr(0, slash)].insert(device.devpath);
    }
  }
}

void World::unindex(const Device& device) {
  if (device.devno) {
    const auto it = by_devno_.find(*device.devno);
    if (it != by_devno_.end() && it->second->devpath == device.devpath) {
      by_devno_.erase(it);
    }
  }
  if (const auto it = block_by_name_.find(device.kernel);
      it != block_by_name_.end() && it->second->devpath == device.devpath) {
    block_by_name_.erase(it);
  }
  if (const auto slash = device.devpath.rfind('/'); slash != std::string::npos) {
    if (const auto it = partitions_.find(device.devpath.substr(0, slash));
        it != partitions_.end()) {
      it->second.erase(device.devpath);
      if (it->second.empty()) {
        partitions_.erase(it);
      }
    }
  }
}

void World::erase(std::string_view devpath) {
  const auto it = devices_.find(devpath);
  if (it == devices_.end()) {
    return;
  }
  unindex(*it->second);
  for (const auto& handler : it->second->handlers()) {
    if (const auto set = assigned_.find(handler); set != assigned_.end()) {
      set->second.erase(it->second->devpath);
    }
  }
  devices_.erase(it);
}

void World::put(Thing thing) {
  drop(thing.id);
  for (const auto& name : thing.names) {
    ids_by_name_[name].insert(thing.id);
  }
  if (!thing.devpath.empty()) {
    id_by_devpath_[thing.devpath] = thing.id;
  }
  for (const auto& devpath : thing.on) {
    ids_on_[devpath].insert(thing.id);
  }
  std::string id = thing.id;
  things_.emplace(std::move(id), std::move(thing));
}

void World::drop(std::string_view id) {
  const auto it = things_.find(id);
  if (it == things_.end()) {
    return;
  }
  const auto forget = [&](auto& index, const std::string& key) {
    if (const auto entry = index.find(key); entry != index.end()) {
      entry->second.erase(it->second.id);
      if (entry->second.empty()) {
        index.erase(entry);
      }
    }
  };
  for (const auto& name : it->second.names) {
    forget(ids_by_name_, name);
  }
  for (const auto& devpath : it->second.on) {
    forget(ids_on_, devpath);
  }
  if (const auto entry = id_by_devpath_.find(it->second.devpath);
      entry != id_by_devpath_.end() && entry->second == it->second.id) {
    id_by_devpath_.erase(entry);
  }
  things_.erase(it);
}

}  // namespace muster
