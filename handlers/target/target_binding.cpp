#include "handlers/target/target_binding.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "daemon/quote.h"

namespace muster::target {
namespace {

// The source shows unprintable bytes of an attribute as \xNN; a VPD page 0x80 starts with four
// bytes of header.
std::string printable_part(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && text[i + 1] == 'x') {
      i += 3;
      result.clear();
      continue;
    }
    result.push_back(text[i]);
  }
  return result;
}

std::string trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) {
    return {};
  }
  return std::string(text.substr(begin, text.find_last_not_of(" \t") - begin + 1));
}

// "0x5000c500A1B2", "naa.5000c500a1b2" and "wwn-0x5000…" are one name.
std::string normal_wwn(std::string_view text) {
  std::string lower = trimmed(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const std::string_view prefix : {"wwn-", "naa.", "eui.", "0x", "uuid."}) {
    if (lower.starts_with(prefix)) {
      lower.erase(0, prefix.size());
    }
  }
  return lower;
}

std::string normal_path(std::string_view text) {
  if (text.starts_with("/sys/")) {
    text.remove_prefix(4);
  }
  return std::string(text);
}

bool is_disk(const Device& device) {
  return device.is_block() && device.property("DEVTYPE") == "disk" &&
         !device.kernel.starts_with("sr") && !device.kernel.starts_with("loop") &&
         !device.kernel.starts_with("dm-") && !device.kernel.starts_with("md") &&
         !device.kernel.starts_with("ram") && device.size_bytes() != 0;
}

bool matches(const World& world, const Device& disk, const Binding& wanted) {
  const auto identity = identity_of(world, disk);
  switch (wanted.kind) {
    case BindingKind::serial:
      return !identity.serial.empty() && identity.serial == trimmed(wanted.value);
    case BindingKind::wwn:
      return !identity.wwn.empty() && identity.wwn == normal_wwn(wanted.value);
    case BindingKind::path:
      return identity.path == normal_path(wanted.value) ||
             disk.devpath == normal_path(wanted.value);
  }
  return false;
}

}  // namespace

DiskIdentity identity_of(const World& world, const Device& disk) {
  DiskIdentity identity;
  for (const auto* name : {"serial", "device/serial"}) {
    if (identity.serial.empty()) {
      identity.serial = trimmed(disk.attribute(name));
    }
  }
  if (identity.serial.empty()) {
    identity.serial = trimmed(printable_part(disk.attribute("device/vpd_pg80")));
  }
  for (const auto* name : {"wwid", "device/wwid"}) {
    if (identity.wwn.empty()) {
      identity.wwn = normal_wwn(disk.attribute(name));
    }
  }
  // A USB disk's number is its USB device's.
  for (const Device* above = world.parent(disk); above != nullptr && identity.serial.empty();
       above = world.parent(*above)) {
    if (above->subsystem == "usb") {
      identity.serial = trimmed(above->attribute("serial"));
    }
  }
  const auto block = disk.devpath.str().rfind("/block/");
  identity.path = disk.devpath.str().substr(0, block);
  return identity;
}

std::string identity_text(const World& world, const Device& disk) {
  const auto identity = identity_of(world, disk);
  std::vector<std::string> parts;
  if (!identity.serial.empty()) {
    parts.push_back("serial=" + identity.serial);
  }
  if (!identity.wwn.empty()) {
    parts.push_back("wwn=" + identity.wwn);
  }
  if (parts.empty()) {
    parts.push_back("path=" + identity.path);
  }
  return fmt::format("{}, {} MiB", fmt::join(parts, ", "), disk.size_bytes() >> 20);
}

std::string accepted_text(const World& world, const Device& disk) {
  return "accepted: " + identity_text(world, disk);
}

std::vector<DriveBinding> bindings(const World& world) {
  std::vector<DriveBinding> result;
  for (const auto& drive : drives(world.plan().mountlist)) {
    DriveBinding binding;
    binding.drive = drive.device;
    const std::string name =
        drive.device.starts_with("/dev/") ? drive.device.substr(5) : drive.device;
    const auto& given = world.plan().options.targets;
    const auto wanted = std::find_if(given.begin(), given.end(),
                                     [&](const Binding& each) { return each.drive == name; });
    if (wanted == given.end()) {
      if (const Thing* accepted = world.thing("binding:" + drive.device)) {
        binding.bound = true;
        binding.identity = accepted->what;
        binding.disk = accepted->names.empty() ? nullptr : world.find(accepted->names.front());
        // Another disk in the same place is not what the operator saw.
        if (binding.disk != nullptr && accepted->what != accepted_text(world, *binding.disk)) {
          binding.disk = nullptr;
        }
        result.push_back(std::move(binding));
        continue;
      }
      const Device* disk = world.block_by_kernel_name(name);
      binding.proposal = disk != nullptr && is_disk(*disk) ? disk : nullptr;
      result.push_back(std::move(binding));
      continue;
    }
    binding.bound = true;
    binding.identity = fmt::format("{}={}", to_string(wanted->kind), wanted->value);
    for (const Device* device : world.assigned("target")) {
      if (!is_disk(*device) || !matches(world, *device, *wanted)) {
        continue;
      }
      if (binding.disk != nullptr) {
        binding.conflict = fmt::format("{} and {} both answer to {}", binding.disk->kernel,
                                       device->kernel, quote(binding.identity));
      }
      binding.disk = device;
    }
    if (!binding.conflict.empty()) {
      binding.disk = nullptr;
    }
    result.push_back(std::move(binding));
  }
  return result;
}

}  // namespace muster::target
