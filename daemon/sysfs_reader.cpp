#include "daemon/sysfs_reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <memory>
#include <utility>

namespace muster {
namespace {

// The kernel's own limit of a uevent is 2 KiB (UEVENT_BUFFER_SIZE), of a sysfs file one page.
constexpr std::size_t kMaxUevent = std::size_t{64} * 1024;
constexpr std::size_t kMaxUdevData = std::size_t{1024} * 1024;
// Real machines stay below 30.
constexpr int kMaxDepth = 100;

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

bool is_directory(int at, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) {
    return entry.d_type == DT_DIR;
  }
  struct stat status{};
  return ::fstatat(at, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

void for_each_line(std::string_view text, const std::function<void(std::string_view)>& use) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void add_property(Properties& properties, std::string_view line) {
  const auto equals = line.find('=');
  if (equals != std::string_view::npos && equals > 0) {
    properties.insert_or_assign(valid_text(line.substr(0, equals), false),
                                valid_text(line.substr(equals + 1), false));
  }
}

std::string_view property(const Properties& properties, std::string_view name) {
  const auto it = properties.find(name);
  return it == properties.end() ? std::string_view() : std::string_view(it->second);
}

}  // namespace

std::string dev_path(std::string_view devname) {
  return devname.starts_with('/') ? std::string(devname) : fmt::format("/dev/{}", devname);
}

// What stands in a device's directory. Of thousands of devices most have none of the attributes
// that the rules name: one look at the directory is a fraction of what asking for each of them
// costs.
struct SysfsReader::Entries {
  bool uevent = false;
  bool subsystem = false;
  std::vector<std::string> directories;
  std::vector<bool> heads;  // as heads_
};

SysfsReader::SysfsReader(const Root& root, std::vector<std::string> attributes, bool udev_data)
    : root_(root), attributes_(std::move(attributes)), udev_data_(udev_data) {
  const auto head = [](const std::string& name) { return name.substr(0, name.find('/')); };
  std::transform(attributes_.begin(), attributes_.end(), std::back_inserter(heads_), head);
  std::sort(heads_.begin(), heads_.end());
  heads_.erase(std::unique(heads_.begin(), heads_.end()), heads_.end());
  for (const auto& name : attributes_) {
    const auto at = std::lower_bound(heads_.begin(), heads_.end(), head(name));
    head_of_.push_back(static_cast<std::size_t>(at - heads_.begin()));
  }
}

SysfsReader::Entries SysfsReader::entries_of(const Fd& directory) const {
  Entries entries;
  entries.heads.resize(heads_.size());
  // A descriptor of its own: readdir moves its offset and closedir closes it.
  auto fd = Root::open_below(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!fd) {
    return entries;  // gone since it was listed
  }
  const std::unique_ptr<DIR, CloseDir> dir(::fdopendir(fd->get()));
  if (!dir) {
    return entries;
  }
  static_cast<void>(fd->release());
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name(entry->d_name);
    if (const auto at = std::lower_bound(heads_.begin(), heads_.end(), name);
        at != heads_.end() && *at == name) {
      entries.heads[static_cast<std::size_t>(at - heads_.begin())] = true;
    }
    if (name == "uevent") {
      entries.uevent = true;
    } else if (name == "subsystem") {
      entries.subsystem = true;
    } else if (name != "." && name != ".." && is_directory(::dirfd(dir.get()), *entry)) {
      entries.directories.emplace_back(name);
    }
  }
  // What hangs on PCI leads to more than all the rest.
  std::sort(entries.directories.begin(), entries.directories.end(),
            [](const std::string& a, const std::string& b) {
              return std::pair(!a.starts_with("pci"), std::string_view(a)) <
                     std::pair(!b.starts_with("pci"), std::string_view(b));
            });
  return entries;
}

std::optional<DeviceEvent> SysfsReader::read(std::string_view devpath, Action action) const {
  const auto directory = root_.open_at(fmt::format("/sys{}", devpath), O_PATH | O_DIRECTORY);
  return directory ? read(*directory, entries_of(*directory), devpath, action) : std::nullopt;
}

Attributes SysfsReader::read_attributes(std::string_view devpath) const {
  const auto directory = root_.open_at(fmt::format("/sys{}", devpath), O_PATH | O_DIRECTORY);
  if (directory) {
    return read_attributes(*directory, entries_of(*directory));
  }
  Attributes absent;
  for (const auto& name : attributes_) {
    absent.emplace(name, std::nullopt);
  }
  return absent;
}

Attributes SysfsReader::read_attributes(const Fd& directory, const Entries& entries) const {
  Attributes attributes;
  for (std::size_t i = 0; i < attributes_.size(); ++i) {
    attributes.emplace(attributes_[i], entries.heads[head_of_[i]]
                                           ? Root::read_attribute(directory, attributes_[i])
                                           : std::nullopt);
  }
  return attributes;
}

std::optional<DeviceEvent> SysfsReader::read(const Fd& directory, const Entries& entries,
                                             std::string_view devpath, Action action) const {
  const auto uevent = Root::read_below(directory, "uevent", kMaxUevent);
  const auto subsystem = Root::link_name(directory, "subsystem");
  if (!uevent || !subsystem) {
    return std::nullopt;
  }
  DeviceEvent event;
  event.origin = DeviceEvent::Origin::scan;
  event.action = action;
  event.devpath = devpath;
  event.subsystem = *subsystem;
  auto& properties = event.properties;
  for_each_line(*uevent, [&](std::string_view line) { add_property(properties, line); });
  if (const auto devname = property(properties, "DEVNAME"); !devname.empty()) {
    properties["DEVNAME"] = dev_path(devname);
  }
  const auto fill_in = [&](const char* name, const std::optional<std::string>& value) {
    if (value && !value->empty() && !properties.contains(name)) {
      properties.emplace(name, *value);
    }
  };
  fill_in("MODALIAS", Root::read_attribute(directory, "modalias"));
  fill_in("DRIVER", Root::link_name(directory, "driver"));
  if (event.subsystem == "block" && property(properties, "DEVTYPE") == "disk") {
    fill_in("DISKSEQ", Root::read_attribute(directory, "diskseq"));
  }
  if (udev_data_) {
    add_udev_data(event);
  }
  properties["DEVPATH"] = event.devpath;
  properties["SUBSYSTEM"] = event.subsystem;
  event.attributes = read_attributes(directory, entries);
  return event;
}

// /run/udev/data/ID, as sd-device names and writes it (device-private.c, device_get_device_id): one
// field a line, of which E: is a property and S: a link.
void SysfsReader::add_udev_data(DeviceEvent& event) const {
  const auto& properties = event.properties;
  const auto major = property(properties, "MAJOR");
  const auto ifindex = property(properties, "IFINDEX");
  std::string id;
  if (!major.empty()) {
    id = fmt::format("{}{}:{}", event.subsystem == "block" ? 'b' : 'c', major,
                     property(properties, "MINOR"));
  } else if (!ifindex.empty()) {
    id = fmt::format("n{}", ifindex);
  } else {
    id = fmt::format("+{}:{}", event.subsystem, event.devpath.substr(event.devpath.rfind('/') + 1));
  }
  const auto text = root_.read_file(fmt::format("/run/udev/data/{}", id), kMaxUdevData);
  if (!text) {
    return;  // udevd has not come to it yet; its own event follows
  }
  std::vector<std::string> links;
  for_each_line(*text, [&](std::string_view line) {
    if (line.starts_with("E:")) {
      add_property(event.properties, line.substr(2));
    } else if (line.starts_with("S:")) {
      links.push_back(dev_path(valid_text(line.substr(2), false)));
    }
  });
  if (!links.empty()) {
    std::sort(links.begin(), links.end());
    event.properties["DEVLINKS"] = fmt::format("{}", fmt::join(links, " "));
  }
}

struct SysfsReader::Walk {
  const std::function<void(DeviceEvent)>& found;
  const std::function<bool(const std::string&)>& is_known;
  ScanDone done;
};

Result<ScanDone> SysfsReader::scan(const std::function<void(DeviceEvent)>& found,
                                   const std::function<void(std::uint64_t)>& began,
                                   const std::function<bool(const std::string&)>& is_known) const {
  Walk whole{found, is_known, {}};
  ScanDone& done = whole.done;
  constexpr std::string_view kNumber = "/sys/kernel/uevent_seqnum";
  const auto number = root_.read_file(kNumber, kMaxAttribute);
  if (!number) {
    return tl::unexpected(number.error());
  }
  const auto [end, error] =
      std::from_chars(number->data(), number->data() + number->size(), done.seqnum);
  if (error != std::errc()) {
    return fail(Errc::invalid, fmt::format("{}: not a number", kNumber));
  }
  const auto devices = root_.open_at("/sys/devices", O_PATH | O_DIRECTORY);
  if (!devices) {
    return tl::unexpected(devices.error());
  }
  began(done.seqnum);
  walk(*devices, "/devices", 0, whole);
  return std::move(done);
}

void SysfsReader::walk(const Fd& directory, const std::string& devpath, int depth,
                       Walk& whole) const {
  const Entries entries = entries_of(directory);
  if (entries.uevent && entries.subsystem) {
    if (whole.is_known(devpath)) {
      whole.done.devpaths.push_back(devpath);
    } else if (auto event = read(directory, entries, devpath, Action::add)) {
      whole.done.devpaths.push_back(devpath);
      whole.found(std::move(*event));
    }
  }
  if (depth == kMaxDepth) {
    return;
  }
  for (const auto& name : entries.directories) {
    const auto child = Root::open_below(directory, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (child) {
      walk(*child, fmt::format("{}/{}", devpath, name), depth + 1, whole);
    }
  }
}

}  // namespace muster
