// What tools said about storage, besides udev: sizes, members, slots, volume groups. Filled from
// the outputs that a sosreport holds, and from nothing else; what no tool said is not in here.
//
// Readers of tools' output take what they know and pass over the rest: these texts are for people
// and change between versions. Pure, bounded by the text they are given.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/event.h"
#include "daemon/result.h"

namespace muster::imports {

// An array as `mdadm --detail` shows it.
struct ArraySeen {
  std::string uuid;  // aaaaaaaa:bbbbbbbb:cccccccc:dddddddd
  std::string version;
  std::string full_name;
  std::optional<int> level;  // as the kernel numbers them
  std::optional<int> layout;
  std::optional<std::uint32_t> raid_disks;
  std::optional<std::uint64_t> chunk_bytes;
  std::optional<std::uint64_t> events;
  std::optional<std::uint64_t> array_sectors;
  std::optional<std::uint64_t> used_sectors;  // of each member
  std::string state;                          // mdadm's words, "clean, degraded"
  bool runs = false;
  struct Member {
    std::optional<std::uint32_t> slot;
    std::string state;  // "active sync", "spare rebuilding" ...
  };
  std::map<std::string, Member> members;  // by device as mdadm names it
};

struct StorageSeen {
  std::map<std::string, std::uint64_t> bytes;               // by kernel name: "sda1"
  std::map<std::string, Json> superblocks;                  // by device as mdadm --examine names it
  std::map<std::string, ArraySeen> arrays;                  // by device as mdadm --detail names it
  std::map<std::string, std::set<std::string>> stands_on;   // "md0" on "sda": kernel names
  std::vector<std::string> group_texts;                     // what vgcfgbackup wrote, checked
  std::map<std::string, std::uint64_t> areas_of_pv;         // metadata areas by UUID of the PV
  std::map<std::string, std::vector<std::string>> volumes;  // of a VG, both by name
  std::map<std::string, std::map<std::string, std::string>> attributes;  // by devpath
  std::optional<std::string> command_line;
  std::optional<std::string> kernel;
};

// mdadm --detail, --examine; both may stand in one file, several devices after each other.
void read_mdadm(std::string_view text, StorageSeen& seen);
void read_mdstat(std::string_view text, StorageSeen& seen);
void read_proc_partitions(std::string_view text, StorageSeen& seen);
void read_fdisk(std::string_view text, StorageSeen& seen);
// The tree: what stands on what.
void read_lsblk(std::string_view text, StorageSeen& seen);
void read_pvs(std::string_view text, StorageSeen& seen);
void read_lvs(std::string_view text, StorageSeen& seen);
// udevadm info --attribute-walk
void read_attribute_walk(std::string_view text, StorageSeen& seen);
// /etc/lvm/backup/VG. An error where it is none that can be trusted.
[[nodiscard]] Result<void> read_group_backup(std::string_view text, StorageSeen& seen);

// An output or file of one of these kinds, by its content: mdadm, a backup of a volume group,
// fdisk -l, /proc/partitions. False: it is none of them.
[[nodiscard]] bool read_tool_output(std::string_view text, StorageSeen& seen);

// "raid5" -> 5, "linear" -> -1; nothing for what is none ("container").
[[nodiscard]] std::optional<int> level_from(std::string_view name);
// "left-symmetric", "near=2", "n2" -> as the kernel numbers it for that level.
[[nodiscard]] std::optional<int> layout_from(std::string_view name, int level);
// A UUID as udev or mdadm writes it, in mdadm's form; empty where it is none.
[[nodiscard]] std::string md_uuid_from(std::string_view text);

}  // namespace muster::imports
