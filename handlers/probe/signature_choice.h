// Which of several signatures on one device is the device's own. Pure.
//
// The outermost wins, and only what sizes and offsets prove is outermost: what a member carries
// inside is its content's, what an older use left behind is nobody's. Where neither can be shown,
// nothing wins and all contenders are named.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "handlers/lvm/lvm_label.h"
#include "handlers/md/md_superblock.h"

namespace muster::probe {

struct Extent {
  std::uint64_t start = 0;  // bytes
  std::uint64_t size = 0;
  [[nodiscard]] std::uint64_t end() const { return start + size; }
};

// A partition table as libblkid saw it.
struct Table {
  std::string type;                // "dos", "gpt"; empty: none
  std::vector<Extent> partitions;  // without extended ones
  bool spans_device = false;       // GPT whose second header is in the device's last block
};

// What libblkid found besides Linux RAID and LVM2, which our own readers judge.
struct Other {
  std::string usage;  // "filesystem", "raid", "crypto", "other"
  std::string type;   // empty: nothing
  std::string version;
};

struct Evidence {
  std::uint64_t device_bytes = 0;
  md::Found md;
  std::optional<lvm::PhysicalVolumeHead> lvm;
  std::vector<Other> others;  // more than one: libblkid itself cannot tell
  Table table;
  // Of a partition: where it lies on its disk.
  std::optional<Extent> place;
  std::uint64_t disk_bytes = 0;
};

struct Choice {
  enum class Winner { nothing, md, container, lvm, other, conflict };
  Winner winner = Winner::nothing;      // nothing: there may still be a partition table
  std::size_t superblock = 0;           // of md: index in Evidence::md.superblocks
  bool table_is_ours = true;            // the partition table is the device's, not its content's
  std::vector<std::string> contenders;  // of a conflict: "raid:linux_raid_member:1.2", "part:dos"
  std::string note;                     // one line for the operator; may be empty
  // For the superblocks, by index: "" or whose they are where disk and partition share them.
  std::vector<std::string> owners;
};

[[nodiscard]] Choice choose(const Evidence& evidence);

}  // namespace muster::probe
