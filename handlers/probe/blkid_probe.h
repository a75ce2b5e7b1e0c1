// libblkid, asked as systemd-udevd asks it, and answered in udev's names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/event.h"
#include "daemon/fd.h"
#include "handlers/probe/signature_choice.h"

namespace muster::probe {

struct BlkidFindings {
  Properties filesystem;  // ID_FS_*, if there is exactly one signature; without Linux RAID and LVM2
  Properties table;       // ID_PART_TABLE_*
  std::vector<Other> others;
  Table partitions;
};

// Reads from the descriptor alone. `session_offset`: where the last session of a disc starts, in
// bytes. An Error is the device's (its errno within).
[[nodiscard]] Result<BlkidFindings> blkid_probe_device(const Fd& device,
                                                       std::uint64_t session_offset = 0);

// ID_PART_ENTRY_* of the partition that lies at `place` (bytes), from its disk's table. Empty if it
// is not in there.
[[nodiscard]] Result<Properties> blkid_partition_entry(const Fd& disk, const Extent& place,
                                                       std::string_view disk_devno);

// "ID_FS_LABEL" and "ID_FS_LABEL_ENC" and the like, as udev encodes them.
void add_text_property(Properties& properties, const std::string& name, const std::string& value);

}  // namespace muster::probe
