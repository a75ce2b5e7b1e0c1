#include "handlers/driver/alias_urgency.h"

#include <algorithm>
#include <array>

namespace muster::driver {
namespace {

// What an alias says of its device begins like this.
struct Known {
  std::string_view begin;
  Urgency urgency;
};

// Base class, or base class and subclass, as in the kernel's pci_ids.h.
constexpr auto kPciClasses = std::to_array<Known>({
    {"02", Urgency::soon},          // network
    {"03", Urgency::whenever},      // display
    {"04", Urgency::whenever},      // multimedia
    {"05", Urgency::whenever},      // memory
    {"06", Urgency::soon},          // bridges
    {"07", Urgency::whenever},      // communication
    {"08sc05", Urgency::now},       // SD hosts
    {"08", Urgency::soon},          // system peripherals
    {"09", Urgency::soon},          // input
    {"0A", Urgency::whenever},      // docking stations
    {"0B", Urgency::whenever},      // processors
    {"0Csc03", Urgency::soon},      // USB: disks behind it are slow to come anyway
    {"0Csc05", Urgency::whenever},  // SMBus
    {"0Csc07", Urgency::whenever},  // IPMI
    {"0Csc09", Urgency::whenever},  // CAN
    {"0D", Urgency::whenever},      // wireless
    {"10", Urgency::whenever},      // encryption
    {"11", Urgency::whenever},      // signal processing
});

constexpr auto kUsbInterfaces = std::to_array<Known>({
    {"01", Urgency::whenever},  // audio
    {"02", Urgency::soon},      // communication, network adapters among it
    {"03", Urgency::soon},      // keyboards
    {"07", Urgency::whenever},  // printers
    {"0A", Urgency::soon},      // the data of 02
    {"0B", Urgency::whenever},  // smart cards
    {"0E", Urgency::whenever},  // video
    {"E0", Urgency::whenever},  // wireless
});

// VIRTIO_ID_*.
constexpr auto kVirtioDevices = std::to_array<Known>({
    {"00000001", Urgency::soon},      // network
    {"00000003", Urgency::whenever},  // console
    {"00000004", Urgency::whenever},  // random numbers
    {"00000005", Urgency::whenever},  // balloon
    {"00000010", Urgency::whenever},  // display
    {"00000012", Urgency::soon},      // input
    {"00000013", Urgency::whenever},  // sockets
    {"00000019", Urgency::whenever},  // sound
});

// Peripheral device types.
constexpr auto kScsiDevices = std::to_array<Known>({
    {"01", Urgency::soon},  // tapes
    {"03", Urgency::soon},  // processors
    {"08", Urgency::soon},  // changers
    {"0d", Urgency::soon},  // enclosures
});

// Buses that hardly ever lead to a disk.
constexpr auto kBuses = std::to_array<Known>({
    {"acpi:", Urgency::soon},
    {"cpu:", Urgency::whenever},
    {"dmi:", Urgency::whenever},
    {"hdaudio:", Urgency::whenever},
    {"hid:", Urgency::soon},
    {"i2c:", Urgency::whenever},
    {"input:", Urgency::soon},
    {"mei:", Urgency::whenever},
    {"platform:", Urgency::soon},
    {"pnp:", Urgency::soon},
    {"sdio:", Urgency::whenever},
    {"serio:", Urgency::soon},
    {"snd:", Urgency::whenever},
    {"spi:", Urgency::whenever},
    {"wmi:", Urgency::whenever},
});

// Of what stands behind `key`. The kernel writes these numbers with as many digits each time.
template <std::size_t size>
Urgency look_up(const std::array<Known, size>& table, std::string_view alias,
                std::string_view key) {
  const auto at = alias.find(key);
  if (at == std::string_view::npos) {
    return Urgency::now;
  }
  const auto text = alias.substr(at + key.size());
  const auto known = std::find_if(table.begin(), table.end(),
                                  [&](const Known& each) { return text.starts_with(each.begin); });
  return known == table.end() ? Urgency::now : known->urgency;
}

}  // namespace

Urgency urgency_of_alias(std::string_view alias) {
  if (alias.find(':') == std::string_view::npos) {
    // A name: no device waits for it, but perhaps an array. File systems are for what comes last.
    return alias.starts_with("fs-") ? Urgency::whenever : Urgency::soon;
  }
  if (alias.starts_with("pci:")) {
    return look_up(kPciClasses, alias, "bc");
  }
  if (alias.starts_with("usb:")) {
    return look_up(kUsbInterfaces, alias, "ic");
  }
  if (alias.starts_with("virtio:")) {
    return look_up(kVirtioDevices, alias, ":d");
  }
  if (alias.starts_with("scsi:")) {
    return look_up(kScsiDevices, alias, "t-0x");
  }
  return look_up(kBuses, alias, "");
}

}  // namespace muster::driver
