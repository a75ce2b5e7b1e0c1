// A machine of any size: disks by the thousand appear one after the other, each is read, and holds
// a filesystem. Made to be recorded, or to be handed to an engine event by event.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "daemon/engine.h"
#include "daemon/replay/recording.h"

namespace muster::bench {

[[nodiscard]] std::vector<rules::Source> shipped_rules();
// With the shipped rules and every handler.
[[nodiscard]] std::unique_ptr<Engine> shipped_engine();

// Four events a disk: its SCSI device, what drives it, the block device, and what the probe found.
// Three devices of sysfs a disk.
class SyntheticMachine {
 public:
  static constexpr std::size_t kDevicesPerDisk = 3;
  struct Shape {
    std::size_t paths = 1;  // so many disks in a row are one LUN: the same WWN, the same content
    // As a source reads them: every attribute that the rules name is in each event, most of them as
    // absent. Without, only the few that count.
    bool every_attribute = true;
  };
  // Gives an event to an engine, and back what that wants.
  using Feed = std::function<std::vector<Effect>(Event)>;

  SyntheticMachine(Shape shape, Feed feed);

  // What is known at the start, and an empty /sys.
  void start();
  // The three devices appear; what the engine wants is answered.
  void add_disk(std::size_t number);
  // A `change` uevent of its block device, which is read-only now or not.
  void change_disk(std::size_t number, bool read_only = false);
  // From the block device up, as the kernel does.
  void remove_disk(std::size_t number);

 private:
  void feed(EventBody body);
  void answer();
  [[nodiscard]] Attributes block_attributes(std::size_t lun, bool read_only) const;
  [[nodiscard]] Attributes attributes(Attributes present) const;

  Shape shape_;
  Feed feed_;
  std::vector<std::string> attribute_names_;
  std::vector<Effect> waiting_;
  Micros now_ = 1'000'000;
};

// About `events` events, recorded with their effects; disks with one path and few attributes.
[[nodiscard]] replay::Recording synthetic_boot(std::size_t events);

}  // namespace muster::bench
