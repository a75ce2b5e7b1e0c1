#include "handlers/probe/blkid_probe.h"

#include <blkid/blkid.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace muster::probe {
namespace {

// Below this a whole device is a floppy at most, whose boot sector looks like a FAT.
constexpr std::int64_t kTinyDevice = std::int64_t{1440} * 1024;
constexpr int kMaxContenders = 16;
constexpr int kMaxPartitions = 256;

struct Closer {
  void operator()(blkid_struct_probe* probe) const { ::blkid_free_probe(probe); }
};
using Probe = std::unique_ptr<blkid_struct_probe, Closer>;

enum class Encoding { plain, safe_and_encoded, encoded };
struct Name {
  std::string_view blkid;
  const char* udev;
  Encoding encoding;
};
// udev-builtin-blkid.c of systemd 252.
constexpr std::array kFilesystemNames{
    Name{"TYPE", "ID_FS_TYPE", Encoding::plain},
    Name{"USAGE", "ID_FS_USAGE", Encoding::plain},
    Name{"VERSION", "ID_FS_VERSION", Encoding::plain},
    Name{"UUID", "ID_FS_UUID", Encoding::safe_and_encoded},
    Name{"UUID_SUB", "ID_FS_UUID_SUB", Encoding::safe_and_encoded},
    Name{"LABEL", "ID_FS_LABEL", Encoding::safe_and_encoded},
    Name{"SYSTEM_ID", "ID_FS_SYSTEM_ID", Encoding::encoded},
    Name{"PUBLISHER_ID", "ID_FS_PUBLISHER_ID", Encoding::encoded},
    Name{"APPLICATION_ID", "ID_FS_APPLICATION_ID", Encoding::encoded},
    Name{"BOOT_SYSTEM_ID", "ID_FS_BOOT_SYSTEM_ID", Encoding::encoded},
    Name{"VOLUME_ID", "ID_FS_VOLUME_ID", Encoding::encoded},
    Name{"LOGICAL_VOLUME_ID", "ID_FS_LOGICAL_VOLUME_ID", Encoding::encoded},
    Name{"VOLUME_SET_ID", "ID_FS_VOLUME_SET_ID", Encoding::encoded},
    Name{"DATA_PREPARER_ID", "ID_FS_DATA_PREPARER_ID", Encoding::encoded},
};

std::string encoded(const std::string& value) {
  std::array<char, 1024> buffer{};
  if (value.size() * 4 >= buffer.size() ||
      ::blkid_encode_string(value.c_str(), buffer.data(), buffer.size()) != 0) {
    return {};
  }
  return buffer.data();
}

std::string safe(const std::string& value) {
  std::array<char, 1024> buffer{};
  if (value.size() * 4 >= buffer.size() ||
      ::blkid_safe_string(value.c_str(), buffer.data(), buffer.size()) != 0) {
    return {};
  }
  return buffer.data();
}

std::optional<std::string> value_of(blkid_probe probe, std::string_view name) {
  const char* data = nullptr;
  std::size_t length = 0;
  if (::blkid_probe_lookup_value(probe, std::string(name).c_str(), &data, &length) != 0 ||
      data == nullptr) {
    return std::nullopt;
  }
  return std::string(data, ::strnlen(data, length));
}

Properties filesystem_properties(blkid_probe probe) {
  Properties properties;
  for (const Name& name : kFilesystemNames) {
    const auto value = value_of(probe, name.blkid);
    if (!value) {
      continue;
    }
    switch (name.encoding) {
      case Encoding::plain:
        properties[name.udev] = safe(*value);
        break;
      case Encoding::safe_and_encoded:
        add_text_property(properties, name.udev, *value);
        break;
      case Encoding::encoded:
        properties[name.udev] = encoded(*value);
        break;
    }
  }
  return properties;
}

// Linux RAID and LVM2 have readers of their own, which check what libblkid believes.
void leave_out_our_own(blkid_probe probe) {
  std::array<char, 18> raid{"linux_raid_member"};
  std::array<char, 12> lvm{"LVM2_member"};
  std::array<char*, 3> names{raid.data(), lvm.data(), nullptr};
  ::blkid_probe_filter_superblocks_type(probe, BLKID_FLTR_NOTIN, names.data());
}

Result<Probe> open_probe(const Fd& device, std::uint64_t session_offset) {
  Probe probe(::blkid_new_probe());
  if (!probe) {
    return fail(Errc::io, "libblkid: out of memory");
  }
  errno = 0;
  if (::blkid_probe_set_device(probe.get(), device.get(), 0, 0) != 0) {
    return fail_errno("libblkid", errno != 0 ? errno : EIO);
  }
  if (session_offset != 0) {
    ::blkid_probe_set_hint(probe.get(), "session_offset", session_offset);
  }
  ::blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID |
                                                       BLKID_SUBLKS_TYPE | BLKID_SUBLKS_SECTYPE |
                                                       BLKID_SUBLKS_USAGE | BLKID_SUBLKS_VERSION);
  leave_out_our_own(probe.get());
  return probe;
}

Extent extent_of(blkid_partition partition) {
  const auto bytes = [](std::int64_t sectors) {
    return static_cast<std::uint64_t>(std::clamp<std::int64_t>(sectors, 0, INT64_MAX / 512)) * 512;
  };
  return {bytes(::blkid_partition_get_start(partition)),
          bytes(::blkid_partition_get_size(partition))};
}

// Whether a GPT describes this very device: its second header belongs into the last block.
bool gpt_spans(blkid_probe probe) {
  const auto sector = static_cast<std::uint64_t>(::blkid_probe_get_sectorsize(probe));
  const auto device = static_cast<std::uint64_t>(::blkid_probe_get_size(probe));
  if (sector < 512 || sector > 65536 || device < 4 * sector) {
    return false;
  }
  std::array<unsigned char, 40> header{};
  if (::pread(::blkid_probe_get_fd(probe), header.data(), header.size(),
              static_cast<off_t>(sector)) != static_cast<ssize_t>(header.size())) {
    return false;
  }
  std::uint64_t alternate = 0;
  for (std::size_t i = 8; i-- > 0;) {
    alternate = alternate << 8U | header.at(32 + i);
  }
  return std::memcmp(header.data(), "EFI PART", 8) == 0 && alternate == device / sector - 1;
}

Table partitions_of(blkid_probe probe) {
  Table table;
  const blkid_partlist list = ::blkid_probe_get_partitions(probe);
  const blkid_parttable root = list == nullptr ? nullptr : ::blkid_partlist_get_table(list);
  if (root == nullptr) {
    return table;
  }
  const char* type = ::blkid_parttable_get_type(root);
  table.type = type == nullptr ? "" : type;
  const int count = std::min(::blkid_partlist_numof_partitions(list), kMaxPartitions);
  for (int i = 0; i < count; ++i) {
    const blkid_partition partition = ::blkid_partlist_get_partition(list, i);
    if (partition != nullptr && ::blkid_partition_is_extended(partition) == 0) {
      table.partitions.push_back(extent_of(partition));
    }
  }
  table.spans_device = table.type == "gpt" && gpt_spans(probe);
  return table;
}

// All signatures, one after the other, for a device on which there is more than one.
Result<std::vector<Other>> all_signatures(const Fd& device, std::uint64_t session_offset) {
  auto probe = open_probe(device, session_offset);
  if (!probe) {
    return tl::unexpected(probe.error());
  }
  ::blkid_probe_enable_superblocks(probe->get(), 1);
  std::vector<Other> others;
  for (int i = 0; i < kMaxContenders; ++i) {
    errno = 0;
    const int result = ::blkid_do_probe(probe->get());
    if (result < 0) {
      return fail_errno("libblkid", errno != 0 ? errno : EIO);
    }
    if (result == 1) {
      break;
    }
    if (const auto type = value_of(probe->get(), "TYPE")) {
      others.push_back({safe(value_of(probe->get(), "USAGE").value_or("")), safe(*type),
                        safe(value_of(probe->get(), "VERSION").value_or(""))});
    }
  }
  return others;
}

}  // namespace

void add_text_property(Properties& properties, const std::string& name, const std::string& value) {
  properties[name] = safe(value);
  properties[name + "_ENC"] = encoded(value);
}

Result<BlkidFindings> blkid_probe_device(const Fd& device, std::uint64_t session_offset) {
  auto opened = open_probe(device, session_offset);
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  const blkid_probe probe = opened->get();
  BlkidFindings findings;
  const auto take_table = [&] {
    if (const auto type = value_of(probe, "PTTYPE")) {
      findings.table["ID_PART_TABLE_TYPE"] = safe(*type);
      if (const auto uuid = value_of(probe, "PTUUID")) {
        findings.table["ID_PART_TABLE_UUID"] = safe(*uuid);
      }
    }
  };
  ::blkid_probe_enable_partitions(probe, 1);
  if (::blkid_probe_get_size(probe) <= kTinyDevice && ::blkid_probe_is_wholedisk(probe) != 0) {
    ::blkid_probe_enable_superblocks(probe, 0);
    errno = 0;
    if (::blkid_do_fullprobe(probe) < 0) {
      return fail_errno("libblkid", errno != 0 ? errno : EIO);
    }
    take_table();
    if (!findings.table.empty()) {
      findings.partitions = partitions_of(probe);
      return findings;
    }
  }
  ::blkid_probe_enable_superblocks(probe, 1);
  errno = 0;
  const int result = ::blkid_do_safeprobe(probe);
  if (result == -2) {
    auto others = all_signatures(device, session_offset);
    if (!others) {
      return tl::unexpected(others.error());
    }
    findings.others = *std::move(others);
    // The superblocks stopped it before it came to the partition table.
    auto again = open_probe(device, session_offset);
    if (!again) {
      return tl::unexpected(again.error());
    }
    ::blkid_probe_enable_superblocks(again->get(), 0);
    ::blkid_probe_enable_partitions(again->get(), 1);
    if (::blkid_do_fullprobe(again->get()) == 0) {
      if (const auto type = value_of(again->get(), "PTTYPE")) {
        findings.table["ID_PART_TABLE_TYPE"] = safe(*type);
      }
      findings.partitions = partitions_of(again->get());
    }
    return findings;
  }
  if (result < 0) {
    return fail_errno("libblkid", errno != 0 ? errno : EIO);
  }
  if (result == 0) {
    findings.filesystem = filesystem_properties(probe);
    if (const auto type = value_of(probe, "TYPE")) {
      findings.others.push_back(
          {findings.filesystem["ID_FS_USAGE"], safe(*type), findings.filesystem["ID_FS_VERSION"]});
      if (findings.filesystem["ID_FS_VERSION"].empty()) {
        findings.filesystem.erase("ID_FS_VERSION");
      }
      if (findings.filesystem["ID_FS_USAGE"].empty()) {
        findings.filesystem.erase("ID_FS_USAGE");
      }
    }
    take_table();
    if (!findings.table.empty()) {
      findings.partitions = partitions_of(probe);
    }
  }
  return findings;
}

Result<Properties> blkid_partition_entry(const Fd& disk, const Extent& place,
                                         std::string_view disk_devno) {
  auto probe = open_probe(disk, 0);
  if (!probe) {
    return tl::unexpected(probe.error());
  }
  Properties properties;
  errno = 0;
  const blkid_partlist list = ::blkid_probe_get_partitions(probe->get());
  if (list == nullptr) {
    if (errno == EIO) {
      return fail_errno("libblkid", EIO);
    }
    return properties;
  }
  const int count = std::min(::blkid_partlist_numof_partitions(list), kMaxPartitions);
  for (int i = 0; i < count; ++i) {
    const blkid_partition partition = ::blkid_partlist_get_partition(list, i);
    if (partition == nullptr) {
      continue;
    }
    const Extent extent = extent_of(partition);
    // The kernel shows no more than two sectors of an extended partition.
    const bool same_size = extent.size == place.size ||
                           (::blkid_partition_is_extended(partition) != 0 && place.size <= 1024);
    if (extent.start != place.start || !same_size) {
      continue;
    }
    if (const char* uuid = ::blkid_partition_get_uuid(partition); uuid != nullptr) {
      properties["ID_PART_ENTRY_UUID"] = safe(uuid);
    }
    if (const char* name = ::blkid_partition_get_name(partition); name != nullptr) {
      properties["ID_PART_ENTRY_NAME"] = encoded(name);
    }
    const char* type = ::blkid_partition_get_type_string(partition);
    properties["ID_PART_ENTRY_TYPE"] =
        type != nullptr ? encoded(type)
                        : fmt::format("0x{:x}", ::blkid_partition_get_type(partition));
    if (const auto flags = ::blkid_partition_get_flags(partition); flags != 0) {
      properties["ID_PART_ENTRY_FLAGS"] = fmt::format("0x{:x}", flags);
    }
    properties["ID_PART_ENTRY_NUMBER"] = fmt::format("{}", ::blkid_partition_get_partno(partition));
    properties["ID_PART_ENTRY_OFFSET"] = fmt::format("{}", ::blkid_partition_get_start(partition));
    properties["ID_PART_ENTRY_SIZE"] = fmt::format("{}", ::blkid_partition_get_size(partition));
    properties["ID_PART_ENTRY_DISK"] = std::string(disk_devno);
    const blkid_parttable table = ::blkid_partition_get_table(partition);
    if (const char* scheme = table == nullptr ? nullptr : ::blkid_parttable_get_type(table);
        scheme != nullptr) {
      properties["ID_PART_ENTRY_SCHEME"] = safe(scheme);
    }
    break;
  }
  return properties;
}

}  // namespace muster::probe
