#include "daemon/world.h"

#include <algorithm>
#include <charconv>
#include <utility>

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
  return properties.find(name).value_or("");
}

std::string_view Device::attribute(std::string_view name) const {
  return attributes.find(name).value_or("");
}

std::string_view Device::signature_property(std::string_view name) const {
  if (!signature) {
    return {};
  }
  return signature->properties.find(name).value_or("");
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

Device& DeviceTable::insert(Devpath devpath) {
  if (free_.empty()) {
    const auto first = static_cast<std::uint32_t>(pieces_.size()) * kTogether;
    pieces_.push_back(std::make_unique<Place[]>(kTogether));
    for (std::uint32_t i = kTogether; i > 0; --i) {
      free_.push_back(first + i - 1);
    }
  }
  const std::uint32_t number = free_.back();
  index_.insert(devpath.hash(), number);
  free_.pop_back();
  Device& added = device(number);
  added.devpath = std::move(devpath);
  return added;
}

Device DeviceTable::take(const Devpath& devpath) {
  const std::size_t place = place_of(devpath, devpath.hash());
  const std::uint32_t number = index_.entry(place);
  index_.erase(place);
  free_.push_back(number);
  return std::exchange(device(number), Device());
}

std::vector<const Device*> DeviceTable::sorted() const {
  std::vector<const Device*> all;
  all.reserve(size());
  index_.each([&](std::uint32_t number) { all.push_back(&device(number)); });
  std::sort(all.begin(), all.end(),
            [](const Device* a, const Device* b) { return a->devpath < b->devpath; });
  return all;
}

const Device* World::find(std::string_view devpath) const {
  return devices_.find(devpath);
}

const Device* World::find(const Devpath& devpath) const {
  return devices_.find(devpath);
}

const Device* World::block_by_devno(Devno devno) const {
  Device* const* found = by_devno_.find(devno);
  return found == nullptr ? nullptr : *found;
}

const Device* World::block_by_kernel_name(std::string_view name) const {
  Device* const* found = block_by_name_.find(name);
  return found == nullptr ? nullptr : *found;
}

const Device* World::parent(const Device& device) const {
  std::string_view path = device.devpath.str();
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
  if (const auto* devpaths = partitions_.find(disk.devpath)) {
    for (const auto& devpath : *devpaths) {
      result.push_back(find(devpath));
    }
  }
  return result;
}

std::vector<const Device*> World::devices_sorted() const {
  return devices_.sorted();
}

std::vector<const Device*> World::assigned(std::string_view handler) const {
  std::vector<const Device*> result;
  if (const auto it = assigned_.find(handler); it != assigned_.end()) {
    const auto& devpaths = it->second.sorted();
    result.reserve(devpaths.size());
    for (const auto& devpath : devpaths) {
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
  if (const auto* partitions = partitions_.find(devpath)) {
    for (const auto& partition : *partitions) {
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
  std::vector<std::string> unvisited{std::string(devpath)};
  while (!unvisited.empty()) {
    const std::string path = std::move(unvisited.back());
    unvisited.pop_back();
    if (!seen.insert(path).second) {
      continue;
    }
    const Device* device = find(path);
    if (device != nullptr && device->is_partition()) {
      if (const Device* disk = parent(*device)) {
        unvisited.push_back(disk->devpath);
      }
      continue;
    }
    const Thing* below = provider(path);
    if (below != nullptr && !below->on.empty()) {
      unvisited.insert(unvisited.end(), below->on.begin(), below->on.end());
    } else {
      disks.insert(path);
    }
  }
  return disks;
}

Device& World::upsert(std::string_view devpath) {
  if (Device* known = devices_.find(devpath)) {
    return *known;
  }
  Device& device = devices_.insert(Devpath(devpath));
  const auto slash = devpath.rfind('/');
  device.kernel = devpath.substr(slash == std::string_view::npos ? 0 : slash + 1);
  std::replace(device.kernel.begin(), device.kernel.end(), '!', '/');
  return device;
}

void World::index(Device& device) {
  if (!device.is_block()) {
    return;
  }
  // Two of one number, or of one name: it leads to the one that was heard of last.
  const auto lead_here = [&device](Device*& place) {
    if (place != nullptr && place != &device) {
      place->settled = {};
    }
    place = &device;
  };
  if (device.devno) {
    lead_here(by_devno_[*device.devno]);
  }
  lead_here(block_by_name_[device.kernel]);
  if (device.is_partition()) {
    const std::string_view devpath = device.devpath;
    if (const auto slash = devpath.rfind('/'); slash != std::string_view::npos) {
      partitions_[devpath.substr(0, slash)].insert(device.devpath.str());
    }
  }
}

void World::unindex(const Device& device) {
  if (device.devno) {
    Device* const* known = by_devno_.find(*device.devno);
    if (known != nullptr && (*known)->devpath == device.devpath) {
      by_devno_.erase(*device.devno);
    }
  }
  if (Device* const* known = block_by_name_.find(device.kernel);
      known != nullptr && (*known)->devpath == device.devpath) {
    block_by_name_.erase(device.kernel);
  }
  const std::string_view devpath = device.devpath;
  if (const auto slash = devpath.rfind('/'); slash != std::string_view::npos) {
    const std::string_view above = devpath.substr(0, slash);
    if (auto* partitions = partitions_.find(above)) {
      partitions->erase(device.devpath.str());
      if (partitions->empty()) {
        partitions_.erase(above);
      }
    }
  }
}

Device World::take(const Device& device) {
  unindex(device);
  for (const auto& handler : device.handlers()) {
    if (const auto set = assigned_.find(handler); set != assigned_.end()) {
      set->second.erase(device.devpath);
    }
  }
  return devices_.take(device.devpath);
}

void World::put(Thing thing) {
  ++things_revision_;
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
  ++things_revision_;
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
