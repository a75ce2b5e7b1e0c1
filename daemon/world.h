// What is known about the machine: devices, what they hold, what was or may be built from them.
//
// Written by the engine only; policies read it and ask for changes through Context
// (handlers/handler.h). Nothing here does I/O, and no result depends on addresses or hash order:
// whatever is iterated is ordered.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/dense_map.h"
#include "daemon/devpath.h"
#include "daemon/event.h"
#include "daemon/plan.h"
#include "daemon/text_table.h"
#include "rules/match.h"

namespace muster {

struct Devno {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  auto operator<=>(const Devno&) const = default;
  [[nodiscard]] std::string text() const;  // "8:0"
};
[[nodiscard]] std::optional<Devno> devno_from(std::string_view text);

// What libblkid and our readers found on one generation of a block device.
struct Signature {
  std::uint64_t diskseq = 0;      // the generation that was read
  TextTable properties;           // udev's names: ID_FS_TYPE, ID_FS_UUID, ID_PART_TABLE_TYPE ...
  Json details = Json::object();  // by handler: what its reader found on this device
  std::string note;               // why nothing could be read, or what is in conflict; one line
};

// The engine's own mark: in this era of its (engine.h) all were told of a device, so that another
// event which says the same is no news. 0: it is, whatever it says.
struct Settled {
  std::uint32_t era = 0;
};

// One life of a devpath, from add to remove. What an event is compared with stands first, and side
// by side in memory: of a device that was not looked at for long, each line is waited for.
struct Device {
  Devpath devpath;
  std::string subsystem;
  std::optional<Devno> devno;
  Settled settled;
  TextTable properties;
  TextTable attributes;
  std::uint64_t diskseq = 0;  // 0 where there is none (partitions have their disk's)
  // What the rules say of it: shared with those of which they say the same. Null: nothing yet.
  std::shared_ptr<const rules::Outcome> matched;
  std::string kernel;  // last component of the devpath
  Micros since = 0;
  std::optional<Signature> signature;

  [[nodiscard]] bool is_block() const { return subsystem == "block"; }
  [[nodiscard]] bool is_partition() const { return property("DEVTYPE") == "partition"; }
  [[nodiscard]] const std::vector<std::string>& handlers() const;        // as the rules assign them
  [[nodiscard]] std::string_view property(std::string_view name) const;  // empty if absent
  [[nodiscard]] std::string_view attribute(std::string_view name) const;  // empty if absent
  // What reading it found; empty if absent, or not read yet.
  [[nodiscard]] std::string_view signature_property(std::string_view name) const;
  [[nodiscard]] std::uint64_t size_bytes() const;  // of a block device; 0 if unknown
  [[nodiscard]] std::string dev_name() const;      // "/dev/sda"
};

// Devices by devpath, in pieces of many: they never move, and one is found with a look at the index
// and one at the device itself.
class DeviceTable {
 public:
  [[nodiscard]] Device* find(std::string_view devpath) { return at(devpath, text_hash(devpath)); }
  [[nodiscard]] Device* find(const Devpath& devpath) { return at(devpath, devpath.hash()); }
  [[nodiscard]] const Device* find(std::string_view devpath) const {
    return at(devpath, text_hash(devpath));
  }
  [[nodiscard]] const Device* find(const Devpath& devpath) const {
    return at(devpath, devpath.hash());
  }
  // One that is not in it: as new, but for its devpath.
  Device& insert(Devpath devpath);
  // One that is in it, and is no more.
  [[nodiscard]] Device take(const Devpath& devpath);

  [[nodiscard]] std::size_t size() const { return index_.size(); }
  [[nodiscard]] std::vector<const Device*> sorted() const;

 private:
  static constexpr std::uint32_t kTogether = 64;
  struct alignas(64) Place {
    Device device;
  };

  [[nodiscard]] Device& device(std::uint32_t number) const {
    return pieces_[number / kTogether][number % kTogether].device;
  }
  template <typename Path>
  [[nodiscard]] std::size_t place_of(const Path& devpath, std::uint64_t hash) const {
    return index_.find(hash, [&](std::uint32_t number) {
      const Device& one = device(number);
      __builtin_prefetch(&one.kernel);
      one.properties.prefetch();
      one.attributes.prefetch();
      return one.devpath == devpath;
    });
  }
  template <typename Path>
  [[nodiscard]] Device* at(const Path& devpath, std::uint64_t hash) const {
    const std::size_t place = place_of(devpath, hash);
    return place == DenseIndex::kNowhere ? nullptr : &device(index_.entry(place));
  }

  DenseIndex index_;
  std::vector<std::unique_ptr<Place[]>> pieces_;
  std::vector<std::uint32_t> free_;  // numbers, the next one last
};

enum class State { waiting, working, ready, impossible, broken };
std::string_view to_string(State state);

// Something that is there, is being made, or may become there once its parts are: an array, a
// logical volume, a mounted medium, a requirement of the plan. The chain of `needs` is what
// `explain` walks.
struct Thing {
  std::string id;     // "array:UUID", "lv:vg0/root", "module:raid456", "need:medium" ...
  std::string owner;  // the handler that publishes it
  std::string what;   // for people: "array rescue:0 (raid5)"
  State state = State::waiting;
  std::string why;  // one line: what it waits for, why it cannot be; may be empty when ready
  std::vector<std::string> needs;      // what it waits for, in order: ids, or names under /dev
  std::map<std::string, Micros> past;  // what was, and until when: told, never decided by
  std::vector<std::string> names;      // names under /dev by which a plan may ask for it
  std::string devpath;                 // the device that it is; set once that device is known
  std::vector<std::string> on;         // devpaths that it holds open while it is up
  bool requirement = false;            // a line of the plan
  bool doomed = false;  // set by the world: something it stands on is gone, it must be taken down
  Micros since = 0;     // set by the world: when the state last changed
};

class World {
 public:
  [[nodiscard]] const Device* find(std::string_view devpath) const;
  [[nodiscard]] const Device* find(const std::string& devpath) const {
    return find(std::string_view(devpath));
  }
  [[nodiscard]] const Device* find(const Devpath& devpath) const;
  [[nodiscard]] const Device* block_by_devno(Devno devno) const;
  [[nodiscard]] const Device* block_by_kernel_name(std::string_view name) const;
  // For a partition its disk, else the nearest device above it in sysfs; nullptr at the top.
  [[nodiscard]] const Device* parent(const Device& device) const;
  // Block devices directly below a disk: its partitions, in order.
  [[nodiscard]] std::vector<const Device*> partitions(const Device& disk) const;
  [[nodiscard]] std::vector<const Device*> devices_sorted() const;
  [[nodiscard]] std::size_t device_count() const { return devices_.size(); }
  // Devices that a rule assigned to this handler, by devpath.
  [[nodiscard]] std::vector<const Device*> assigned(std::string_view handler) const;

  [[nodiscard]] const Thing* thing(std::string_view id) const;
  [[nodiscard]] const std::map<std::string, Thing, std::less<>>& things() const { return things_; }
  // Another number after each change of a thing, however small.
  [[nodiscard]] std::uint64_t things_revision() const { return things_revision_; }
  // Things that answer to a name under /dev, in id order.
  [[nodiscard]] std::vector<const Thing*> things_named(std::string_view name) const;
  // The thing whose device this is; nullptr for hardware.
  [[nodiscard]] const Thing* provider(std::string_view devpath) const;
  // Things that hold this device or one of its partitions open.
  [[nodiscard]] std::vector<const Thing*> holders(std::string_view devpath) const;
  // Gone, or standing on something that is gone and about to be taken down.
  [[nodiscard]] bool lost(std::string_view devpath) const;
  // The hardware disks below a device, however deep: through partitions, arrays, LVs; by devpath.
  [[nodiscard]] std::set<std::string> disks_below(std::string_view devpath) const;

  [[nodiscard]] const Plan& plan() const { return plan_; }
  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] bool scanned() const { return scanned_; }  // the first look at /sys is complete

 private:
  friend class Engine;

  Device& upsert(std::string_view devpath);
  void index(Device& device);
  void unindex(const Device& device);
  [[nodiscard]] Device take(const Device& device);
  void put(Thing thing);
  void drop(std::string_view id);

  struct DevnoHash {
    std::uint64_t operator()(Devno devno) const {
      return (std::uint64_t{devno.major} << 20 | devno.minor) * 0x9e3779b97f4a7c15U >> 32;
    }
  };
  DeviceTable devices_;
  DenseMap<Devno, Device*, DevnoHash> by_devno_;
  DenseMap<std::string, Device*, TextHash> block_by_name_;
  DenseMap<std::string, std::set<std::string>, TextHash> partitions_;  // disk -> partitions
  std::map<std::string, DevpathSet, std::less<>> assigned_;            // handler -> devpaths
  std::map<std::string, Thing, std::less<>> things_;
  std::map<std::string, std::set<std::string>, std::less<>> ids_by_name_;
  std::map<std::string, std::string, std::less<>> id_by_devpath_;
  std::map<std::string, std::set<std::string>, std::less<>>
      ids_on_;  // devpath -> things holding it
  std::uint64_t things_revision_ = 1;
  NamePool names_;
  Plan plan_;
  Phase phase_ = Phase::gathering;
  bool scanned_ = false;
};

}  // namespace muster
