#include "daemon/import/imported.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <set>

#include "daemon/journal.h"
#include "daemon/quote.h"
#include "daemon/text_lines.h"
#include "daemon/version.h"
#include "handlers/lvm/lvm_metadata.h"
#include "rules/match.h"

namespace muster::imports {
namespace {

using replay::Built;
using replay::Content;
using replay::Outcome;
using replay::Part;

constexpr std::string_view kVirtualBlock = "/devices/virtual/block/";
constexpr std::size_t kMaxUnknown = 1000;
// Where a size must be but is not known: it is not "0", so that the device counts, and no number.
constexpr const char* kUnknownSize = "unknown";

// Modules that muster asks for by name. Whether a rescue image holds them is no matter of the log;
// the image builder puts them in.
constexpr std::array kAskedForByName = {"md_mod",       "linear",   "raid0",     "raid1",
                                        "raid10",       "raid456",  "dm_mod",    "dm-raid",
                                        "dm-thin-pool", "dm-cache", "dm-mirror", "dm-snapshot",
                                        "isofs",        "udf",      "sr_mod",    "loop"};

std::string_view property(const DeviceEvent& event, std::string_view name) {
  const auto it = event.properties.find(name);
  return it == event.properties.end() ? std::string_view() : std::string_view(it->second);
}

std::string kernel_of(std::string_view devpath) {
  return std::string(devpath.substr(devpath.rfind('/') + 1));
}

std::string parent_path(std::string_view devpath) {
  return std::string(devpath.substr(0, devpath.rfind('/')));
}

bool is_below(std::string_view devpath, std::string_view above) {
  return devpath.size() > above.size() && devpath.starts_with(above) &&
         devpath[above.size()] == '/';
}

// What udevd's rules add to the kernel's own properties; a rescue boot has no udevd.
bool is_of_udev(std::string_view name) {
  constexpr std::array<std::string_view, 16> kPrefixes = {
      "ID_",   "UDISKS_",  "SYSTEMD_", "DM_",   "MD_",          "LVM_",    "SCSI_",  "MPATH",
      "UDEV_", "DEVLINKS", "TAGS",     "USEC_", "CURRENT_TAGS", "COMPAT_", "SYNTH_", "."};
  return name != "DM_COOKIE" &&
         std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

bool is_of_probe(std::string_view name) {
  return name.starts_with("ID_FS_") || name.starts_with("ID_PART_TABLE_") ||
         name.starts_with("ID_PART_ENTRY_");
}

// udevd has looked at it: what it did not find is not there.
bool was_looked_at(const DeviceEvent& event) {
  return std::any_of(event.properties.begin(), event.properties.end(), [](const auto& pair) {
    return pair.first == "USEC_INITIALIZED" || pair.first == "ID_PATH" ||
           pair.first == "ID_SERIAL" || pair.first == "MD_LEVEL" ||
           pair.first == "DM_UDEV_RULES_VSN" || is_of_probe(pair.first);
  });
}

bool is_made(std::string_view devpath) {
  if (!devpath.starts_with(kVirtualBlock)) {
    return false;
  }
  const auto name = devpath.substr(kVirtualBlock.size());
  return name.starts_with("md") || name.starts_with("dm-");
}

// Memory and files as disks: somebody made them on that system, no hardware brought them.
bool is_left_out(std::string_view devpath) {
  if (!devpath.starts_with(kVirtualBlock)) {
    return false;
  }
  const auto name = devpath.substr(kVirtualBlock.size());
  return name.starts_with("loop") || name.starts_with("ram") || name.starts_with("zram") ||
         name.starts_with("nbd");
}

bool is_storage_controller(const DeviceEvent& event) {
  const auto pci = property(event, "PCI_CLASS");  // hex, without leading zeros
  return (pci.size() == 5 && pci.front() == '1') || (pci.size() == 5 && pci.starts_with("c03"));
}

std::string normal_module(std::string_view name) {
  std::string module(name);
  std::replace(module.begin(), module.end(), '-', '_');
  return module;
}

// A target relative to a directory of sysfs, as a path: "../../../1:0:0:0".
std::string resolved(std::string_view directory, std::string_view target) {
  std::string path(directory);
  while (!target.empty()) {
    const auto end = std::min(target.find('/'), target.size());
    const auto component = target.substr(0, end);
    target.remove_prefix(std::min(end + 1, target.size()));
    if (component == "..") {
      path.erase(std::min(path.rfind('/'), path.size()));
    } else if (!component.empty() && component != ".") {
      path += "/";
      path += component;
    }
  }
  return path;
}

Json module_entry(const std::string& name, bool live) {
  Json entry = {{"name", name},           {"options", ""}, {"needs", Json::array()},
                {"wants", Json::array()}, {"soft", false}, {"install", ""}};
  entry["state"] = live ? "live" : "absent";
  return entry;
}

std::string level_text(const Json& superblock) {
  if (!superblock.contains("level")) {
    return "level unknown";
  }
  const int level = superblock["level"].get<int>();
  return level == -1 ? "linear" : fmt::format("raid{}", level);
}

class Builder {
 public:
  Builder(const DeviceLog& log, const StorageSeen& seen, const Answers& answers,
          const std::vector<rules::Source>& rules)
      : log_(log), seen_(seen), answers_(answers) {
    hardware_.rules = rules;
  }

  Result<Imported> build() {
    std::vector<rules::Diagnostic> diagnostics;
    const auto rules = rules::RuleSet::load(hardware_.rules, diagnostics);
    attributes_.insert(rules.attributes().begin(), rules.attributes().end());
    attributes_.insert(rules.parent_attributes().begin(), rules.parent_attributes().end());
    unknown_ = log_.unknown;
    index();
    read_groups();
    collect();
    leave_out_the_irrelevant();
    if (std::none_of(hardware_.parts.begin(), hardware_.parts.end(),
                     [](const Part& part) { return part.is_block(); })) {
      return fail(Errc::invalid, "no disk in the log: there is nothing to import");
    }
    find_contents();
    find_built();
    find_activations();
    find_aliases();
    gate_by_modules();
    find_facts();
    take_media();
    if (auto used = check_answers(); !used) {
      return tl::unexpected(used.error());
    }
    if (unknown_.size() > kMaxUnknown) {
      const auto more = unknown_.size() - kMaxUnknown;
      unknown_.resize(kMaxUnknown);
      unknown_.push_back(fmt::format("{} more", more));
    }
    make_header();
    return Imported{std::move(hardware_), std::move(unknown_)};
  }

 private:
  void tell(std::string text) {
    if (told_.insert(text).second) {
      unknown_.push_back(std::move(text));
    }
  }

  // --- who is who

  void index() {
    for (const auto& record : log_.records) {
      const auto& event = record.event;
      has_kernel_events_ = has_kernel_events_ || event.origin == DeviceEvent::Origin::kernel;
      if (event.action == Action::remove) {
        continue;
      }
      if (const auto driver = property(event, "DRIVER"); !driver.empty()) {
        drivers_[event.devpath] = driver;
      }
      last_[event.devpath] = &record;
      // What udevd found counts until it says something else.
      if (event.origin != DeviceEvent::Origin::kernel || log_.format != Format::udevadm_monitor) {
        rich_[event.devpath] = &record;
      }
      if (event.subsystem != "block") {
        continue;
      }
      by_name_["/dev/" + kernel_of(event.devpath)] = event.devpath;
      for (const auto name : {property(event, "DEVNAME"), property(event, "DEVLINKS")}) {
        for (const auto each : split_words(name, 1000)) {
          by_name_[std::string(each)] = event.devpath;
        }
      }
    }
  }

  [[nodiscard]] const DeviceEvent* rich(const std::string& devpath) const {
    const auto it = rich_.find(devpath);
    return it == rich_.end() ? nullptr : &it->second->event;
  }

  [[nodiscard]] std::string devpath_of(const std::string& name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? std::string() : it->second;
  }

  const DeviceAnswer* answer_for(const std::string& devpath) {
    for (const auto& [name, answer] : answers_.devices) {
      if (devpath_of(name) == devpath) {
        used_.insert(name);
        return &answer;
      }
    }
    return nullptr;
  }

  void read_groups() {
    for (const auto* texts : {&seen_.group_texts, &answers_.group_texts}) {
      for (const auto& text : *texts) {
        auto group = lvm::parse_volume_group(text);
        if (!group) {
          continue;  // checked where it was read
        }
        for (const auto& pv : group->pvs) {
          const auto known = group_of_pv_.find(pv.id);
          if (known == group_of_pv_.end() || groups_[known->second].seqno <= group->seqno) {
            group_of_pv_[pv.id] = groups_.size();
          }
        }
        groups_.push_back(std::move(*group));
        group_texts_.push_back(text);
      }
    }
  }

  // --- parts

  void collect() {
    std::map<std::string, std::size_t> part_of;
    for (const auto& record : log_.records) {
      const DeviceEvent& event = record.event;
      if (event.devpath.starts_with("/module/")) {
        if (event.action == Action::add && !event.properties.contains("SYNTH_UUID") &&
            !event.properties.contains("SYNTH_ARG_UUID")) {
          modules_.try_emplace(normal_module(std::string_view(event.devpath).substr(8)),
                               record.time);
        }
        continue;
      }
      const bool primary = log_.format != Format::udevadm_monitor || !has_kernel_events_ ||
                           event.origin == DeviceEvent::Origin::kernel;
      if (!primary || !event.devpath.starts_with("/devices/") || is_made(event.devpath) ||
          is_left_out(event.devpath)) {
        continue;
      }
      const auto known = part_of.find(event.devpath);
      if (known != part_of.end()) {
        if (log_.format == Format::udevadm_monitor) {
          hardware_.parts[known->second].life.push_back({record.time, moment_of(record)});
        }
        continue;
      }
      if (event.action == Action::remove) {
        tell(fmt::format("{}: went before the log says that it came", kernel_of(event.devpath)));
        continue;
      }
      Part part;
      part.devpath = event.devpath;
      // `udevadm trigger` makes events of what is there already.
      part.at_start = log_.format != Format::udevadm_monitor || event.action != Action::add ||
                      event.properties.contains("SYNTH_UUID");
      part.life.push_back({part.at_start ? 0 : record.time, moment_of(record)});
      part.life.front().event.action = Action::add;
      if (event.action != Action::add && event.properties.contains("DISK_MEDIA_CHANGE")) {
        // The drive was there before; what was in it then, the log does not tell.
        auto& before = part.life.front().event.properties;
        before.erase("DISK_MEDIA_CHANGE");
        before.erase("DISKSEQ");
        hardware_.contents[{event.devpath, 0}] = {};
        part.life.push_back({record.time, moment_of(record)});
      }
      part_of[event.devpath] = hardware_.parts.size();
      hardware_.parts.push_back(std::move(part));
    }
  }

  // The event as a rescue boot without udevd would have met it.
  DeviceEvent moment_of(const LogRecord& record) {
    DeviceEvent event;
    event.origin = DeviceEvent::Origin::kernel;
    event.action = record.event.action;
    event.devpath = record.event.devpath;
    event.subsystem = record.event.subsystem;
    event.seqnum = record.event.seqnum;
    for (const auto& [name, value] : record.event.properties) {
      if (!is_of_udev(name) && name != "ACTION" && name != "SEQNUM") {
        event.properties.emplace(name, value);
      }
    }
    event.properties["DEVPATH"] = event.devpath;
    event.properties["SUBSYSTEM"] = event.subsystem;
    if (event.action != Action::remove) {
      event.attributes = attributes_of(record);
    }
    return event;
  }

  Attributes attributes_of(const LogRecord& record) {
    Attributes result;
    for (const auto& name : attributes_) {
      result.emplace(name, attribute_of(record, name));
    }
    if (record.event.subsystem == "block") {
      result["size"] = size_of(record);
    }
    return result;
  }

  [[nodiscard]] std::optional<std::string> recorded_attribute(const std::string& devpath,
                                                              const std::string& name) const {
    if (const auto it = last_.find(devpath); it != last_.end()) {
      const auto& attributes = it->second->event.attributes;
      if (const auto found = attributes.find(name); found != attributes.end()) {
        return found->second;
      }
    }
    if (const auto it = seen_.attributes.find(devpath); it != seen_.attributes.end()) {
      if (const auto found = it->second.find(name); found != it->second.end()) {
        return found->second;
      }
    }
    return std::nullopt;
  }

  // What sysfs calls "device" below a block device.
  static std::string device_below(const LogRecord& record) {
    if (const auto link = record.links.find("device"); link != record.links.end()) {
      return resolved(record.event.devpath, link->second);
    }
    const auto& devpath = record.event.devpath;
    const auto block = devpath.rfind("/block/");
    return block != std::string::npos && devpath.find('/', block + 7) == std::string::npos
               ? devpath.substr(0, block)
               : parent_path(devpath);
  }

  std::optional<std::string> attribute_of(const LogRecord& record, const std::string& name) {
    const auto& devpath = record.event.devpath;
    if (auto recorded = recorded_attribute(devpath, name)) {
      return recorded;
    }
    if (name == "slaves") {
      std::set<std::string> names;
      for (const auto& [link, target] : record.links) {
        if (link.starts_with("slaves/")) {
          names.insert(link.substr(7));
        }
      }
      return names.empty() ? std::nullopt : std::optional(fmt::format("{}", fmt::join(names, " ")));
    }
    if (name.starts_with("device/") && property(record.event, "DEVTYPE") != "partition") {
      if (auto below = recorded_attribute(device_below(record), name.substr(7))) {
        return below;
      }
    }
    const auto* found = rich(devpath);
    return found == nullptr ? std::nullopt : attribute_from_udev(record.event, *found, name);
  }

  // What udevd's properties say that sysfs said.
  static std::optional<std::string> attribute_from_udev(const DeviceEvent& event,
                                                        const DeviceEvent& udev,
                                                        const std::string& name) {
    const auto text = [&](std::string_view key) {
      const auto value = property(udev, key);
      return value.empty() ? std::nullopt : std::optional(std::string(value));
    };
    if (event.subsystem == "usb") {
      return name == "serial" && property(event, "DEVTYPE") == "usb_device"
                 ? text("ID_SERIAL_SHORT")
                 : std::nullopt;
    }
    if (event.subsystem != "block" || property(event, "DEVTYPE") != "disk") {
      return std::nullopt;
    }
    const std::string kernel = kernel_of(event.devpath);
    const bool nvme = kernel.starts_with("nvme");
    const bool is_virtio = kernel.starts_with("vd");
    // An USB disk's number stands at its USB device.
    const bool usb = property(udev, "ID_BUS") == "usb";
    if (name == "serial") {
      return is_virtio ? text("ID_SERIAL") : std::nullopt;
    }
    if (name == "device/serial") {
      return nvme ? text("ID_SERIAL_SHORT") : std::nullopt;
    }
    if (name == "device/vpd_pg80" && !nvme && !is_virtio && !usb) {
      const auto scsi = text("ID_SCSI_SERIAL");
      return scsi ? scsi : text("ID_SERIAL_SHORT");
    }
    if (name == "wwid") {
      return nvme ? text("ID_WWN") : std::nullopt;
    }
    if (name == "device/wwid" && !nvme) {
      const auto wwn = text("ID_WWN_WITH_EXTENSION");
      return wwn ? wwn : text("ID_WWN");
    }
    if (name == "device/model") {
      return text("ID_MODEL");
    }
    return name == "device/vendor" ? text("ID_VENDOR") : std::nullopt;
  }

  std::string size_of(const LogRecord& record) {
    const auto& devpath = record.event.devpath;
    if (const auto* answer = answer_for(devpath); answer != nullptr && answer->size) {
      return std::to_string(*answer->size / 512);
    }
    if (auto recorded = recorded_attribute(devpath, "size")) {
      return *recorded;
    }
    if (const auto* found = rich(devpath); found != nullptr) {
      if (const auto sectors = property(*found, "ID_PART_ENTRY_SIZE"); whole_number(sectors)) {
        return std::string(sectors);
      }
    }
    if (const auto it = seen_.bytes.find(kernel_of(devpath)); it != seen_.bytes.end()) {
      return std::to_string(it->second / 512);
    }
    if (!is_made(devpath)) {
      tell(fmt::format("{}: its size ([device.\"/dev/{}\"] size = BYTES)", kernel_of(devpath),
                       kernel_of(devpath)));
    }
    return kUnknownSize;
  }

  // As hardware_of() does: the hundreds of ttys and buses of any machine say nothing.
  void leave_out_the_irrelevant() {
    std::map<std::string, std::size_t> place;
    for (std::size_t i = 0; i < hardware_.parts.size(); ++i) {
      place[hardware_.parts[i].devpath] = i;
    }
    std::set<std::size_t> kept;
    for (std::size_t i = 0; i < hardware_.parts.size(); ++i) {
      const Part& part = hardware_.parts[i];
      const DeviceEvent& event = part.life.front().event;
      if (!part.is_block() && event.subsystem != "scsi_tape" && !is_storage_controller(event)) {
        continue;
      }
      kept.insert(i);
      for (auto above = parent_path(part.devpath); !above.empty(); above = parent_path(above)) {
        if (const auto it = place.find(above); it != place.end()) {
          kept.insert(it->second);
        }
      }
    }
    hardware_.left_out = hardware_.parts.size() - kept.size();
    std::vector<std::size_t> order(kept.begin(), kept.end());
    const auto depth = [&](std::size_t i) {
      return std::count(hardware_.parts[i].devpath.begin(), hardware_.parts[i].devpath.end(), '/');
    };
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(hardware_.parts[a].at_start ? 0 : 1, depth(a)) <
             std::pair(hardware_.parts[b].at_start ? 0 : 1, depth(b));
    });
    std::vector<Part> parts;
    place.clear();
    for (const auto i : order) {
      place[hardware_.parts[i].devpath] = parts.size();
      parts.push_back(std::move(hardware_.parts[i]));
    }
    for (auto& part : parts) {
      for (auto above = parent_path(part.devpath); !above.empty(); above = parent_path(above)) {
        if (const auto it = place.find(above); it != place.end()) {
          part.parent = it->second;
          break;
        }
      }
    }
    hardware_.parts = std::move(parts);
  }

  // --- what they hold

  static std::uint64_t generation_in(const DeviceEvent& event) {
    return whole_number(property(event, "DISKSEQ")).value_or(0);
  }

  void find_contents() {
    std::map<std::string, const Part*> parts;
    for (const auto& part : hardware_.parts) {
      if (part.is_block()) {
        parts[part.devpath] = &part;
      }
    }
    // A partition's generation is its disk's at that time.
    std::map<std::string, std::uint64_t> generations;
    for (const auto& record : log_.records) {
      const DeviceEvent& event = record.event;
      const auto part = parts.find(event.devpath);
      if (part == parts.end() || event.action == Action::remove) {
        continue;
      }
      std::uint64_t generation = generation_in(event);
      if (part->second->is_partition()) {
        generation = generations[parent_path(event.devpath)];
      } else if (generation != 0) {
        generations[event.devpath] = generation;
      }
      const auto* answer = answer_for(event.devpath);
      const bool is_told = rich_of(record) && was_looked_at(event);
      Content& content = hardware_.contents[{event.devpath, generation}];
      if (is_told || (answer != nullptr && (answer->holds_nothing || !answer->properties.empty() ||
                                            !answer->md.empty()))) {
        content.probe = probe_of(event, generation, answer);
      }
    }
    for (const auto& [key, content] : hardware_.contents) {
      if (!content.probe) {
        const auto later = hardware_.contents.upper_bound(key);
        tell(key.second == 0 && later != hardware_.contents.end() && later->first.first == key.first
                 ? fmt::format("{}: what it held before its medium changed", kernel_of(key.first))
                 : fmt::format(
                       "{}: what it holds ([device.\"/dev/{}\"] properties = ..., or holds = "
                       "\"nothing\")",
                       kernel_of(key.first), kernel_of(key.first)));
      }
    }
  }

  [[nodiscard]] bool rich_of(const LogRecord& record) const {
    return record.event.origin != DeviceEvent::Origin::kernel ||
           log_.format != Format::udevadm_monitor;
  }

  Outcome probe_of(const DeviceEvent& event, std::uint64_t generation, const DeviceAnswer* answer) {
    Outcome outcome;
    Json properties = Json::object();
    for (const auto& [name, value] : event.properties) {
      if (is_of_probe(name)) {
        properties[name] = value;
      }
    }
    if (answer != nullptr) {
      if (answer->holds_nothing) {
        properties = Json::object();
      }
      for (const auto& [name, value] : answer->properties) {
        properties[name] = value;
      }
      if (!answer->md.empty() && !properties.contains("ID_FS_TYPE")) {
        properties["ID_FS_TYPE"] = "linux_raid_member";
        properties["ID_FS_USAGE"] = "raid";
      }
    }
    Json details = Json::object();
    const auto type = properties.value("ID_FS_TYPE", std::string());
    if (type == "linux_raid_member") {
      details["md"] = superblock_of(event, properties, answer);
    } else if (type == "LVM2_member") {
      details["lvm"] = label_of(event, properties);
    }
    const auto it = last_.find(event.devpath);
    const auto sectors = it == last_.end() ? std::nullopt : whole_number(size_of(*it->second));
    outcome.result = {
        {"diskseq", generation},
        {"size", sectors.value_or(0) < (std::uint64_t{1} << 54) ? sectors.value_or(0) * 512 : 0},
        {"properties", std::move(properties)},
        {"details", std::move(details)}};
    if (kernel_of(event.devpath).starts_with("sr")) {
      outcome.result["drive"] = property(event, "ID_CDROM_MEDIA") != "1"             ? "no_disc"
                                : property(event, "ID_CDROM_MEDIA_STATE") == "blank" ? "blank"
                                                                                     : "data";
    }
    return outcome;
  }

  // The superblock as far as anything in the log tells, in the shape of md_superblock_json.h.
  Json superblock_of(const DeviceEvent& event, const Json& properties, const DeviceAnswer* answer) {
    Json sb = examined(event.devpath);
    if (sb.empty()) {
      sb = Json::object();
      sb["uuid"] = md_uuid_from(properties.value("ID_FS_UUID", std::string()));
      sb["version"] = properties.value("ID_FS_VERSION", std::string());
      if (sb["version"].get<std::string>().starts_with("0.9")) {
        sb["version"] = "0.90";
      }
      if (const auto device = md_uuid_from(properties.value("ID_FS_UUID_SUB", std::string()));
          !device.empty()) {
        sb["device_uuid"] = device;
      }
      const auto full = properties.value("ID_FS_LABEL", std::string());
      const auto colon = full.find(':');
      if (!full.empty()) {
        sb["full_name"] = full;
        sb["name"] = colon == std::string::npos ? full : full.substr(colon + 1);
      }
      if (colon != std::string::npos) {
        sb["home_host"] = full.substr(0, colon);
      }
      sb["role"] = -1;
      sb["role_kind"] = "unknown";
      sb["roles"] = Json::array();
      sb["unusual"] = "";
      from_running_array(event.devpath, sb);
    }
    if (answer != nullptr) {
      answered(answer->md, sb);
    }
    const auto uuid = sb.value("uuid", std::string());
    if (sb["role_kind"] == "unknown") {
      const auto kernel = kernel_of(event.devpath);
      tell(fmt::format("{}: its slot in array {} ([device.\"/dev/{}\"] md = {{slot = N}})", kernel,
                       uuid, kernel));
    }
    if (!sb.contains("level")) {
      tell(
          fmt::format("array {}: its level ([device.\"...\"] md = {{level = \"raid5\", raid_disks "
                      "= N}})",
                      uuid));
    }
    return sb;
  }

  Json examined(const std::string& devpath) const {
    for (const auto& [name, superblock] : seen_.superblocks) {
      if (devpath_of(name) == devpath) {
        return superblock;
      }
    }
    return {};
  }

  // From `mdadm --detail`, else from what udevd keeps about the array's own device.
  void from_running_array(const std::string& devpath, Json& sb) const {
    const auto uuid = sb.value("uuid", std::string());
    for (const auto& [name, array] : seen_.arrays) {
      if (array.uuid == uuid) {
        from_detail(devpath, array, sb);
        return;
      }
    }
    for (const auto& [path, record] : rich_) {
      const auto& event = record->event;
      if (!is_made(path) || md_uuid_from(property(event, "MD_UUID")) != uuid) {
        continue;
      }
      if (const auto level = level_from(property(event, "MD_LEVEL"))) {
        sb["level"] = *level;
      }
      const auto disks = whole_number(property(event, "MD_DEVICES"));
      if (disks && *disks < 4096) {
        sb["raid_disks"] = *disks;
      }
      for (const auto& [key, value] : event.properties) {
        // mdadm up to 4.1: MD_DEVICE_dev_sda_ROLE, MD_DEVICE_dev_sda_DEV
        if (!key.starts_with("MD_DEVICE_") || !key.ends_with("_DEV") ||
            devpath_of(value) != devpath) {
          continue;
        }
        const auto role = property(event, key.substr(0, key.size() - 3) + "ROLE");
        if (const auto slot = whole_number(role); slot && disks && *slot < *disks) {
          sb["role"] = *slot;
          sb["role_kind"] = "active";
        } else if (role == "spare") {
          sb["role_kind"] = "spare";
        }
      }
      if (disks && *disks < 4096 && sb["role_kind"] == "active") {
        for (std::uint64_t i = 0; i < *disks; ++i) {
          sb["roles"].push_back("active");
        }
      }
      return;
    }
  }

  void from_detail(const std::string& devpath, const ArraySeen& array, Json& sb) const {
    sb["level"] = *array.level;
    if (array.layout) {
      sb["layout"] = *array.layout;
    }
    if (array.raid_disks) {
      sb["raid_disks"] = *array.raid_disks;
    }
    if (array.chunk_bytes) {
      sb["chunk"] = *array.chunk_bytes;
    }
    if (array.used_sectors) {
      sb["size_sectors"] = *array.used_sectors;
    }
    sb["clean"] = array.state.starts_with("clean");
    Json roles = Json::array();
    for (std::uint32_t i = 0; i < array.raid_disks.value_or(0); ++i) {
      roles.push_back("missing");
    }
    for (const auto& [name, member] : array.members) {
      const bool in_sync = member.state.starts_with("active") || member.state == "sync";
      if (in_sync && member.slot && *member.slot < roles.size()) {
        roles[*member.slot] = "active";
      }
      if (devpath_of(name) != devpath) {
        continue;
      }
      if (in_sync && member.slot && *member.slot < roles.size()) {
        sb["role"] = *member.slot;
        sb["role_kind"] = "active";
        if (array.events) {
          sb["events"] = *array.events;
        }
      } else if (member.state == "spare") {
        sb["role_kind"] = "spare";
      } else if (member.state.find("rebuilding") != std::string::npos) {
        sb["role_kind"] = "spare";
        sb["unusual"] = "this device is being rebuilt";
      } else if (member.state.starts_with("faulty")) {
        sb["role"] = -2;
        sb["role_kind"] = "faulty";
      }
    }
    sb["roles"] = std::move(roles);
    if (array.state.find("reshaping") != std::string::npos) {
      sb["unusual"] = "a reshape is under way";
    }
  }

  static void answered(const Json& answer, Json& sb) {
    for (const auto& [key, value] : answer.items()) {
      if (key != "missing_slots") {
        sb[key] = value;
      }
    }
    const auto disks = sb.value("raid_disks", std::uint64_t{0});
    if (answer.empty() || disks == 0 || disks > 4096) {
      return;
    }
    Json roles = Json::array();
    for (std::uint64_t i = 0; i < disks; ++i) {
      roles.push_back("active");
    }
    for (const auto& slot : answer.value("missing_slots", Json::array())) {
      if (slot.get<std::uint64_t>() < disks) {
        roles[slot.get<std::size_t>()] = "missing";
      }
    }
    sb["roles"] = std::move(roles);
    // A slot that the array does not have would not be read back.
    if (sb.value("role", std::int64_t{-1}) >= static_cast<std::int64_t>(disks)) {
      sb["role"] = -1;
      sb["role_kind"] = "unknown";
    }
  }

  Json label_of(const DeviceEvent& event, const Json& properties) {
    const auto uuid = properties.value("ID_FS_UUID", std::string());
    Json label = {{"pv_uuid", uuid}};
    const auto group = group_of_pv_.find(uuid);
    if (group == group_of_pv_.end()) {
      tell(
          fmt::format("{}: the metadata of the volume group of PV {} ([volume_group.NAME] "
                      "metadata = {{file = \"/etc/lvm/backup/NAME\"}})",
                      kernel_of(event.devpath), uuid));
      return label;
    }
    const auto& vg = groups_[group->second];
    const auto areas = seen_.areas_of_pv.find(uuid);
    if (areas == seen_.areas_of_pv.end()) {
      tell(fmt::format("volume group {}: which of its PVs carry metadata; taken as all of them",
                       quote(vg.name)));
    } else {
      label["mda_count"] = areas->second;
      label["mda_usable"] = areas->second;
    }
    if (const auto pv = vg.find_pv(uuid); pv && vg.pvs[*pv].dev_size < (std::uint64_t{1} << 54)) {
      label["device_size"] = vg.pvs[*pv].dev_size * 512;
    }
    label["used"] = true;
    if (areas == seen_.areas_of_pv.end() || areas->second > 0) {
      label["vg_text_seqno"] = vg.seqno;
      label["metadata"] = group_texts_[group->second];
    }
    return label;
  }

  // --- what was made of them

  void find_built() {
    for (const auto& [devpath, record] : last_) {
      if (!is_made(devpath) || record->event.subsystem != "block") {
        continue;
      }
      const auto name = devpath.substr(kVirtualBlock.size());
      if (const auto slash = name.find('/'); slash != std::string::npos) {
        continue;  // a partition: with its array
      }
      const bool is_map = name.starts_with("dm-");
      const std::string identity = is_map ? map_uuid(devpath) : array_identity(devpath);
      if (identity.empty()) {
        continue;
      }
      Built& built = hardware_.built[identity];
      built.settled = moment_of(*record);
      const auto* found = rich(devpath);
      if (is_map) {
        built.settled.attributes["dm/uuid"] = identity;
        built.settled.attributes["dm/suspended"] = "0";
        if (const auto map = map_name(devpath); !map.empty()) {
          built.settled.attributes["dm/name"] = map;
        }
      } else {
        // As muster starts it.
        built.settled.attributes["md/array_state"] = "read-auto";
        built.settled.attributes.erase("dm/uuid");
      }
      settle_size(identity, built);
      if (const auto* answer = answer_for(devpath);
          (found != nullptr && was_looked_at(*found)) || answer != nullptr) {
        built.content.probe = probe_of(record->event, generation_in(record->event), answer);
      } else {
        tell(fmt::format("{}: what it holds ([device.\"/dev/{}\"])", name, name));
      }
      for (const auto& [path, partition] : last_) {
        if (is_below(path, devpath)) {
          built.partitions.push_back(moment_of(*partition));
          Content content;
          if (rich(path) != nullptr && was_looked_at(*rich(path))) {
            content.probe = probe_of(partition->event, generation_in(record->event), nullptr);
          }
          built.partition_contents.push_back(std::move(content));
        }
      }
    }
  }

  [[nodiscard]] std::string map_uuid(const std::string& devpath) {
    std::string uuid;
    if (const auto* found = rich(devpath)) {
      uuid = property(*found, "DM_UUID");
    }
    if (uuid.empty()) {
      uuid = recorded_attribute(devpath, "dm/uuid").value_or("");
    }
    if (uuid.empty()) {
      tell(fmt::format("{}: a device-mapper map; which one", kernel_of(devpath)));
    } else if (!uuid.starts_with("LVM-")) {
      tell(fmt::format("{}: a map that is not LVM's ({}); muster does not make it",
                       kernel_of(devpath), quote(uuid)));
      uuid.clear();
    }
    return uuid;
  }

  [[nodiscard]] std::string map_name(const std::string& devpath) const {
    if (const auto* found = rich(devpath)) {
      if (const auto name = property(*found, "DM_NAME"); !name.empty()) {
        return std::string(name);
      }
    }
    return recorded_attribute(devpath, "dm/name").value_or("");
  }

  // "md UUID" of an array that ran.
  std::string array_identity(const std::string& devpath) {
    const auto kernel = kernel_of(devpath);
    for (const auto& [name, array] : seen_.arrays) {
      if (devpath_of(name) == devpath) {
        if (!array.runs) {
          tell(fmt::format("{}: did not run; what it holds", kernel));
          return {};
        }
        return "md " + array.uuid;
      }
    }
    std::string uuid;
    bool runs = false;
    if (const auto* found = rich(devpath)) {
      uuid = md_uuid_from(property(*found, "MD_UUID"));
      runs = !property(*found, "MD_LEVEL").empty();
      if (property(*found, "MD_LEVEL") == "container") {
        tell(fmt::format("{}: a container of firmware RAID; muster does not make it", kernel));
        return {};
      }
    }
    if (const auto state = recorded_attribute(devpath, "md/array_state")) {
      runs = *state != "inactive" && *state != "clear";
    }
    if (uuid.empty()) {
      uuid = uuid_of_members(devpath);
    }
    if (uuid.empty()) {
      tell(fmt::format("{}: an array; which one", kernel));
      return {};
    }
    if (!runs) {
      tell(fmt::format("{}: array {} did not run; what it holds", kernel, uuid));
      return {};
    }
    return "md " + uuid;
  }

  // The UUID that stands on what the array stands on.
  [[nodiscard]] std::string uuid_of_members(const std::string& devpath) const {
    std::set<std::string> members;
    if (const auto it = last_.find(devpath); it != last_.end()) {
      for (const auto& [link, target] : it->second->links) {
        if (link.starts_with("slaves/")) {
          members.insert(link.substr(7));
        }
      }
    }
    if (const auto it = seen_.stands_on.find(kernel_of(devpath)); it != seen_.stands_on.end()) {
      members.insert(it->second.begin(), it->second.end());
    }
    std::set<std::string> uuids;
    for (const auto& member : members) {
      if (const auto* found = rich(devpath_of("/dev/" + member));
          found != nullptr && property(*found, "ID_FS_TYPE") == "linux_raid_member") {
        uuids.insert(md_uuid_from(property(*found, "ID_FS_UUID")));
      }
    }
    return uuids.size() == 1 ? *uuids.begin() : std::string();
  }

  void settle_size(const std::string& identity, Built& built) const {
    auto& size = built.settled.attributes["size"];
    if (size != kUnknownSize) {
      return;
    }
    for (const auto& [name, array] : seen_.arrays) {
      if ("md " + array.uuid == identity && array.array_sectors) {
        size = std::to_string(*array.array_sectors);
      }
    }
    for (const auto& vg : groups_) {
      for (const auto& lv : vg.lvs) {
        if (lvm::dm_uuid(vg, lv) == identity && vg.extent_size != 0 &&
            lv.extent_count < (std::uint64_t{1} << 54) / vg.extent_size) {
          size = std::to_string(lv.extent_count * vg.extent_size);
        }
      }
    }
  }

  // Volumes that are lvm's to activate: the maps that were there, in the order of their numbers.
  void find_activations() {
    for (const auto& vg : groups_) {
      for (std::uint32_t i = 0; i < vg.lvs.size(); ++i) {
        if (!vg.lvs[i].is_visible || !lvm::why_not_linear(vg, i)) {
          continue;
        }
        std::set<std::uint32_t> below;
        add_below(vg, i, below);
        std::map<std::pair<std::size_t, std::string>, std::string> maps;
        for (const auto lv : below) {
          const auto uuid = lvm::dm_uuid(vg, vg.lvs[lv]);
          for (const auto& [identity, built] : hardware_.built) {
            if (identity.starts_with(uuid)) {
              const auto kernel = kernel_of(built.settled.devpath);
              maps[{kernel.size(), kernel}] = identity;
            }
          }
        }
        auto& list = hardware_.activations[vg.name + "/" + vg.lvs[i].name];
        list.clear();
        for (const auto& [kernel, identity] : maps) {
          list.push_back(identity);
        }
        if (list.empty()) {
          hardware_.activations.erase(vg.name + "/" + vg.lvs[i].name);
          tell(fmt::format("volume {}: was not active; what lvm makes of it",
                           quote(vg.name + "/" + vg.lvs[i].name)));
        }
      }
    }
    for (const auto& [vg, volumes] : seen_.volumes) {
      if (std::none_of(groups_.begin(), groups_.end(),
                       [&, name = vg](const auto& group) { return group.name == name; })) {
        tell(
            fmt::format("volume group {}: where its volumes lie ({}) ([volume_group.{}] metadata = "
                        "{{file = \"/etc/lvm/backup/{}\"}})",
                        quote(vg), fmt::join(volumes, ", "), vg, vg));
      }
    }
  }

  static void add_below(const lvm::VolumeGroup& vg, std::uint32_t lv,
                        std::set<std::uint32_t>& below) {
    if (!below.insert(lv).second) {
      return;
    }
    for (const auto& segment : vg.lvs[lv].segments) {
      for (const auto& area : segment.areas) {
        if (area.on == lvm::SegmentArea::On::lv) {
          add_below(vg, area.index, below);
        }
      }
      for (const auto& reference : segment.references) {
        add_below(vg, reference.lv, below);
      }
    }
  }

  // --- drivers

  void answer_alias(const std::string& alias, Json modules) {
    Outcome outcome;
    outcome.result = {{"modules", std::move(modules)}, {"refused", Json::array()}};
    hardware_.aliases[alias][0] = std::move(outcome);
  }

  void find_aliases() {
    std::set<std::string> named(kAskedForByName.begin(), kAskedForByName.end());
    for (const auto& [key, content] : hardware_.contents) {
      if (content.probe && content.probe->result["properties"].contains("ID_FS_TYPE")) {
        named.insert("fs-" + content.probe->result["properties"]["ID_FS_TYPE"].get<std::string>());
      }
    }
    for (const auto& name : named) {
      Json modules = Json::array();
      if (!answers_.missing_modules.contains(name)) {
        modules.push_back(module_entry(normal_module(name), true));
      }
      answer_alias(name, std::move(modules));
    }
    std::size_t without_driver = 0;
    for (const auto& part : hardware_.parts) {
      for (const auto& moment : part.life) {
        const std::string alias(property(moment.event, "MODALIAS"));
        if (alias.empty() || hardware_.aliases.contains(alias)) {
          continue;
        }
        Json modules = Json::array();
        if (const auto answer = answers_.aliases.find(alias); answer != answers_.aliases.end()) {
          for (const auto& name : answer->second) {
            modules.push_back(module_entry(normal_module(name), true));
          }
        } else if (const auto driver = drivers_.find(part.devpath); driver != drivers_.end()) {
          const auto name = normal_module(driver->second);
          modules.push_back(module_entry(name, !modules_.contains(name)));
          if (modules_.contains(name)) {
            hardware_.modules[name] = Outcome{};
          }
        } else if (is_storage_controller(part.life.front().event)) {
          tell(fmt::format("{}: which module drives it ([alias.\"{}\"] modules = [...])",
                           kernel_of(part.devpath), alias));
          continue;
        } else {
          ++without_driver;
        }
        answer_alias(alias, std::move(modules));
      }
    }
    if (without_driver > 0) {
      tell(fmt::format("{} aliases of devices without a driver: taken as matching no module",
                       without_driver));
    }
    if (!hardware_.modules.empty()) {
      tell("where the modules lie that were loaded while the log was written, and what they need");
    }
    tell(
        "modules that muster asks for by name (md_mod, raid456, dm_mod, isofs ...): taken as live "
        "([modules] missing = [...])");
  }

  // A device that came after the driver of one above it was loaded needs that module.
  void gate_by_modules() {
    for (auto& part : hardware_.parts) {
      if (part.at_start) {
        continue;
      }
      for (auto above = part.parent; above; above = hardware_.parts[*above].parent) {
        const auto driver = drivers_.find(hardware_.parts[*above].devpath);
        if (driver == drivers_.end()) {
          continue;
        }
        const auto name = normal_module(driver->second);
        const auto loaded = modules_.find(name);
        const bool asked_for =
            loaded != modules_.end() && hardware_.modules.contains(name) &&
            !property(hardware_.parts[*above].life.front().event, "MODALIAS").empty();
        if (asked_for && loaded->second <= part.life.front().time) {
          part.modules.insert(name);
        }
      }
    }
  }

  // --- the rest

  void find_facts() {
    Json facts = {{"udevd", false}};
    if (seen_.kernel) {
      facts["kernel"] = *seen_.kernel;
    }
    if (seen_.command_line) {
      facts["command_line"] = *seen_.command_line;
      tell(
          "the command line of the rescue boot: taken as the reported system's ([facts] "
          "command_line)");
    }
    for (const auto& [key, value] : answers_.facts.items()) {
      facts[key] = value;
    }
    for (const auto* key : {"mondo-restore.cfg", "mountlist.txt"}) {
      if (!facts.contains(key)) {
        tell(fmt::format("{}: what the restore wants ([facts] \"{}\" = {{file = ...}})", key, key));
      }
    }
    hardware_.facts = std::move(facts);
  }

  void take_media() {
    for (const auto& [name, answer] : answers_.media) {
      const auto devpath = devpath_of(name);
      bool found = false;
      Effect effect;
      effect.handler = "medium";
      effect.verb = "examine";
      effect.arguments = {{"filesystem", answer.filesystem}, {"kind", answer.kind}};
      if (answer.kind == "directory") {
        effect.arguments["directory"] = answer.directory;
        effect.arguments["prefix"] = answer.prefix;
      }
      Outcome outcome;
      outcome.result = answer.found;
      // What can be looked into can be mounted, too. For ISO files that depends on the plan.
      Effect take = effect;
      take.verb = "take";
      Outcome taken;
      taken.result = {{"config", Json::object()}};
      const auto answer_with = [&](replay::Content& content) {
        content.examined[replay::question(effect)] = outcome;
        if (answer.kind == "disc") {
          content.taken[replay::question(take)] = taken;
          content.tools = Outcome();
        }
      };
      for (auto& [key, content] : hardware_.contents) {
        if (key.first == devpath) {
          found = true;
          if (content.probe && content.probe->result["properties"].value(
                                   "ID_FS_TYPE", std::string()) == answer.filesystem) {
            answer_with(content);
          }
        }
      }
      for (auto& [identity, built] : hardware_.built) {
        if (built.settled.devpath == devpath) {
          found = true;
          answer_with(built.content);
        }
      }
      if (found) {
        used_.insert(name);
        if (answer.kind == "disc") {
          tell(fmt::format("{}: what its tools are: taken as unpacked, without drivers", name));
        }
      }
    }
  }

  Result<void> check_answers() {
    for (const auto& [name, answer] : answers_.devices) {
      if (!used_.contains(name)) {
        return fail_at(answers_.name, static_cast<std::size_t>(answer.line),
                       "the log knows no device " + quote(name));
      }
    }
    for (const auto& [name, answer] : answers_.media) {
      if (!used_.contains(name)) {
        return fail_at(answers_.name, static_cast<std::size_t>(answer.line),
                       "the log knows no device " + quote(name));
      }
    }
    return {};
  }

  void make_header() {
    Json rules = Json::array();
    for (const auto& source : hardware_.rules) {
      rules.push_back({{"name", source.name}, {"text", source.text}});
    }
    hardware_.header = {{"journal", kJournalVersion},
                        {"segment", 1},
                        {"muster", kVersion},
                        {"kernel", hardware_.facts.value("kernel", std::string())},
                        {"rules", std::move(rules)},
                        {"imported", {{"from", to_string(log_.format)}, {"unknown", unknown_}}}};
  }

  const DeviceLog& log_;
  const StorageSeen& seen_;
  const Answers& answers_;
  replay::Hardware hardware_;
  std::vector<std::string> unknown_;
  std::set<std::string> told_;
  std::set<std::string> used_;  // names of answers
  std::set<std::string> attributes_;
  bool has_kernel_events_ = false;
  std::map<std::string, const LogRecord*> last_;  // by devpath
  std::map<std::string, const LogRecord*> rich_;  // the last with udevd's findings
  std::map<std::string, std::string> by_name_;    // node or link -> devpath
  std::map<std::string, std::string> drivers_;    // by devpath
  std::map<std::string, Micros> modules_;         // loaded while the log was written
  std::vector<lvm::VolumeGroup> groups_;
  std::vector<std::string> group_texts_;
  std::map<std::string, std::size_t> group_of_pv_;
};

std::string content_text(const Content* content) {
  if (content == nullptr || !content->probe) {
    return "unknown";
  }
  const Json& result = content->probe->result;
  const Json& properties = result["properties"];
  const Json& details = result["details"];
  std::string text;
  const auto add = [&](const std::string& word) { text += (text.empty() ? "" : ", ") + word; };
  if (result.contains("drive")) {
    add("drive " + result["drive"].get<std::string>());
  }
  if (properties.contains("ID_PART_TABLE_TYPE")) {
    add("table " + properties["ID_PART_TABLE_TYPE"].get<std::string>());
  }
  if (properties.contains("ID_FS_TYPE")) {
    add(properties["ID_FS_TYPE"].get<std::string>());
  }
  if (details.contains("md")) {
    const Json& sb = details["md"];
    const auto kind = sb.value("role_kind", std::string());
    add(fmt::format("{} of {}, {}, {}, events {}", level_text(sb),
                    sb.contains("raid_disks") ? sb["raid_disks"].dump() : "?",
                    sb.value("uuid", std::string()),
                    kind == "active"    ? fmt::format("slot {}", sb["role"].get<int>())
                    : kind == "unknown" ? "slot unknown"
                                        : kind,
                    sb.contains("events") ? sb["events"].dump() : "unknown"));
  }
  if (details.contains("lvm")) {
    const Json& label = details["lvm"];
    add(fmt::format("PV {}, {}", label.value("pv_uuid", std::string()),
                    label.contains("metadata")
                        ? fmt::format("metadata seqno {}", label["vg_text_seqno"].dump())
                        : "metadata unknown"));
  }
  return text.empty() ? "nothing" : text;
}

}  // namespace

Result<Imported> make_hardware(const DeviceLog& log, const StorageSeen& seen,
                               const Answers& answers, const std::vector<rules::Source>& rules) {
  return Builder(log, seen, answers, rules).build();
}

Result<Imported> import_text(std::string_view name, std::string_view text, const Answers& answers,
                             const std::vector<rules::Source>& rules) {
  auto log = read_log(name, text);
  if (!log) {
    return tl::unexpected(log.error());
  }
  auto imported = make_hardware(*log, {}, answers, rules);
  if (!imported && imported.error().text.starts_with("no disk")) {
    return tl::unexpected(imported.error().within(name));
  }
  return imported;
}

std::string summary(const Imported& imported) {
  const auto& hardware = imported.hardware;
  std::string text;
  for (const auto& part : hardware.parts) {
    if (!part.is_block()) {
      continue;
    }
    const auto& event = part.life.front().event;
    const auto size = event.attributes.find("size");
    text +=
        fmt::format("{} {} at {}: {} sectors", part.is_partition() ? "partition" : "disk",
                    kernel_of(part.devpath),
                    part.at_start ? std::string("the start")
                                  : fmt::format("{}.{:06} s", part.life.front().time / 1'000'000,
                                                part.life.front().time % 1'000'000),
                    size == event.attributes.end() ? "unknown" : size->second.value_or("absent"));
    for (const auto* name : {"serial", "device/serial", "device/vpd_pg80", "wwid", "device/wwid"}) {
      if (const auto it = event.attributes.find(name); it != event.attributes.end() && it->second) {
        text += fmt::format(", {}={}", name, *it->second);
      }
    }
    if (!part.modules.empty()) {
      text += fmt::format(", after {}", fmt::join(part.modules, " "));
    }
    text += "\n";
    std::string life;
    for (std::size_t i = 1; i < part.life.size(); ++i) {
      life += fmt::format(" {}", to_string(part.life[i].event.action));
    }
    if (!life.empty()) {
      text += fmt::format("  then{}\n", life);
    }
    for (auto it = hardware.contents.lower_bound({part.devpath, 0});
         it != hardware.contents.end() && it->first.first == part.devpath; ++it) {
      text += fmt::format("  holds ({}): {}\n", it->first.second, content_text(&it->second));
      for (const auto& [question, outcome] : it->second.examined) {
        text += fmt::format("    {}: disc {}\n", question,
                            outcome.result.value("number", std::string()));
      }
    }
  }
  for (const auto& [identity, built] : hardware.built) {
    const auto size = built.settled.attributes.find("size");
    text += fmt::format(
        "built {}: {}, {} sectors, holds {}\n", identity, kernel_of(built.settled.devpath),
        size == built.settled.attributes.end() ? "unknown" : size->second.value_or("absent"),
        content_text(&built.content));
    for (std::size_t i = 0; i < built.partitions.size(); ++i) {
      text += fmt::format("  partition {}: {}\n", kernel_of(built.partitions[i].devpath),
                          content_text(&built.partition_contents[i]));
    }
  }
  for (const auto& [volume, maps] : hardware.activations) {
    text += fmt::format("lvm makes {}: {}\n", volume, fmt::join(maps, " "));
  }
  for (const auto& [alias, answers] : hardware.aliases) {
    if (alias.find(':') == std::string::npos) {
      continue;
    }
    const Json& modules = answers.begin()->second.result["modules"];
    for (const auto& module : modules) {
      text += fmt::format("alias {}: {} ({})\n", alias, module["name"].get<std::string>(),
                          module["state"].get<std::string>());
    }
  }
  text += fmt::format("left out: {} devices\n", hardware.left_out);
  for (const auto& line : imported.unknown) {
    text += "unknown: " + line + "\n";
  }
  return text;
}

}  // namespace muster::imports
