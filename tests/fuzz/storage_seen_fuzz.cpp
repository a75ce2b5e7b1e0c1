// What tools said about storage, each reader on the same text; then beside a log whose devices have
// the names that the text may speak of.
#include "tests/fuzz/import_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster;
  const auto text = fuzz::as_text(data, size);
  imports::StorageSeen seen;
  imports::read_mdadm(text, seen);
  imports::read_mdstat(text, seen);
  imports::read_proc_partitions(text, seen);
  imports::read_fdisk(text, seen);
  imports::read_lsblk(text, seen);
  imports::read_pvs(text, seen);
  imports::read_lvs(text, seen);
  imports::read_attribute_walk(text, seen);
  static_cast<void>(imports::read_group_backup(text, seen));
  static_cast<void>(imports::read_tool_output(text, seen));
  for (const auto& [device, superblock] : seen.superblocks) {
    FUZZ_CHECK(superblock["roles"].size() <= 4096 && !superblock.dump().empty());
  }
  static constexpr std::string_view kLog =
      "P: /devices/h/block/sda\nE: DEVPATH=/devices/h/block/sda\nE: SUBSYSTEM=block\n"
      "E: DEVNAME=/dev/sda\nE: DEVTYPE=disk\nE: MAJOR=8\nE: MINOR=0\nE: DISKSEQ=1\n"
      "E: ID_FS_TYPE=linux_raid_member\nE: ID_FS_UUID=f0d77917-669b-4c72-417c-a4be28e74521\n\n"
      "P: /devices/h/block/sdb\nE: DEVPATH=/devices/h/block/sdb\nE: SUBSYSTEM=block\n"
      "E: DEVNAME=/dev/sdb\nE: DEVTYPE=disk\nE: MAJOR=8\nE: MINOR=16\nE: DISKSEQ=2\n"
      "E: ID_FS_TYPE=LVM2_member\nE: ID_FS_UUID=de0a74-aa57-b861-25a5-30fc-240b-d49541\n\n"
      "P: /devices/virtual/block/md0\nE: DEVPATH=/devices/virtual/block/md0\n"
      "E: SUBSYSTEM=block\nE: DEVNAME=/dev/md0\nE: DEVTYPE=disk\nE: MAJOR=9\nE: MINOR=0\n"
      "E: MD_LEVEL=raid5\nE: MD_DEVICES=3\nE: MD_UUID=f0d77917:669b4c72:417ca4be:28e74521\n";
  fuzz::check_import(imports::read_udevadm_database("f", kLog), seen);
  return 0;
}
