// Devices as sysfs shows them: one, or all of them. Reads only; never writes to a `uevent` file.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/event.h"
#include "daemon/root.h"

namespace muster {

class SysfsReader {
 public:
  // `attributes` are read for every device; `udev_data`: what udevd stored about a device counts
  // among its properties.
  SysfsReader(const Root& root, std::vector<std::string> attributes, bool udev_data);

  // The device as it is now; nothing if it is gone, that is, if it has no `uevent` file or no
  // `subsystem`.
  [[nodiscard]] std::optional<DeviceEvent> read(std::string_view devpath, Action action) const;
  [[nodiscard]] Attributes read_attributes(std::string_view devpath) const;

  // Hands every device below /sys/devices to `found`, parents before children, siblings by name
  // (PCI first).
  // Links are not followed. `began` is told the number of the last uevent that all of it covers.
  // What `is_known`, since it was read after that, is only counted.
  [[nodiscard]] Result<ScanDone> scan(
      const std::function<void(DeviceEvent)>& found,
      const std::function<void(std::uint64_t)>& began = [](std::uint64_t) {},
      const std::function<bool(const std::string&)>& is_known =
          [](const std::string&) { return false; }) const;

 private:
  struct Walk;
  void walk(const Fd& directory, const std::string& devpath, int depth, Walk& whole) const;
  struct Entries;
  [[nodiscard]] Entries entries_of(const Fd& directory) const;
  [[nodiscard]] std::optional<DeviceEvent> read(const Fd& directory, const Entries& entries,
                                                std::string_view devpath, Action action) const;
  [[nodiscard]] Attributes read_attributes(const Fd& directory, const Entries& entries) const;
  void add_udev_data(DeviceEvent& event) const;

  const Root& root_;
  std::vector<std::string> attributes_;
  // What an attribute's name begins with, up to its first slash: sorted, and for each attribute its
  // index.
  std::vector<std::string> heads_;
  std::vector<std::size_t> head_of_;
  bool udev_data_;
};

// "/dev/sda" for "sda" and for "/dev/sda".
[[nodiscard]] std::string dev_path(std::string_view devname);

}  // namespace muster
