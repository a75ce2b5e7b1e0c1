// /tmp/mountlist.txt: what existed on the old machine and what a nuke will create, read as
// mondorestore reads it.
//
// mondorestore reads each line with sscanf("%s %s %s %s %s") into the next element of an array and
// moves on only when the line counts. What a line does not say is therefore what an earlier one
// left there; such places, and all others where a human reads something else than mondorestore, are
// diagnostics and clear `as_written`. Nobody should be nuked by such a list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/text_diagnostic.h"
#include "handlers/lvm/map_name.h"

namespace muster::target {

struct MountlistEntry {
  std::string device;   // as mondorestore knows it: /dev/md/0 is /dev/md0, a repetition has "_dup"
                        // at its end
  std::string written;  // as the file has it
  std::string mount_point;  // or swap, raid, lvm, image, none
  std::string format;
  std::string size_text;      // of the line itself or, where it has none, of the line before
  std::int64_t size_kib = 0;  // atoll(size_text): "lvm" is 0
  std::string label;
  int line = 0;

  bool operator==(const MountlistEntry&) const = default;

  [[nodiscard]] bool is_array() const { return device.starts_with("/dev/md"); }
  [[nodiscard]] bool is_raid_member() const { return mount_point == "raid"; }
  [[nodiscard]] bool is_pv() const { return mount_point == "lvm"; }
  [[nodiscard]] bool is_swap() const { return mount_point == "swap"; }
  [[nodiscard]] bool is_image() const { return mount_point == "image"; }
};

struct Mountlist {
  std::vector<MountlistEntry> entries;
  bool as_written = true;  // mondorestore reads the file as a human does
  int misread_line = 0;    // the first that is not; 0: all are
  std::vector<TextDiagnostic> diagnostics;
};

// Pure; any bytes. At most 500 entries, mondorestore's own limit.
[[nodiscard]] Mountlist parse_mountlist(std::string_view text, std::string_view file);

// A drive that a nuke partitions.
struct TargetDrive {
  std::string device;        // /dev/sda, /dev/cciss/c0d0, /dev/nvme0n1
  std::string mondo_device;  // what mondorestore's rule makes of it; differs for some whole drives
  std::int64_t allocated_kib = 0;  // the sum of its lines
  std::vector<int> lines;
  std::string note;  // what to tell about this name; empty: nothing

  bool operator==(const TargetDrive&) const = default;
};

// The drive that a device of a mountlist or raidtab is, or is a partition of.
[[nodiscard]] std::string real_drive(const std::string& device);

// In order of appearance, each once: devices with a size that do not start with /dev/md, cut to the
// drive's name.
[[nodiscard]] std::vector<TargetDrive> drives(const Mountlist& mountlist);

// What compare mounts or switches on: everything but raid, lvm, image and none.
[[nodiscard]] std::vector<MountlistEntry> needed_for_compare(const Mountlist& mountlist);

struct TargetArray {
  std::string device;              // /dev/md0, without a partition
  std::optional<unsigned> number;  // absent: a name that is no number
  std::vector<int> lines;

  bool operator==(const TargetArray&) const = default;
};

[[nodiscard]] std::vector<TargetArray> arrays(const Mountlist& mountlist);

// Members of arrays ("raid raid") and physical volumes ("lvm lvm"), by device.
[[nodiscard]] std::vector<std::string> raid_members(const Mountlist& mountlist);
[[nodiscard]] std::vector<std::string> pvs(const Mountlist& mountlist);

using lvm::LvName;

// /dev/VG/LV or /dev/mapper/VG-LV, where a hyphen of a name is doubled. Says nothing about other
// device names.
[[nodiscard]] std::optional<LvName> split_lv_device(std::string_view device);

struct TargetLv {
  LvName name;
  std::string device;  // as in the list
  int line = 0;

  bool operator==(const TargetLv&) const = default;
};

// The lines whose size reads as 0 ("lvm") and whose device is the name of an LV.
[[nodiscard]] std::vector<TargetLv> lvs(const Mountlist& mountlist);

// The file system drivers that must be loaded, sorted, each once. ext3 asks for ext2 as well:
// mondorestore mounts it so.
[[nodiscard]] std::vector<std::string> file_systems(const Mountlist& mountlist);

}  // namespace muster::target
