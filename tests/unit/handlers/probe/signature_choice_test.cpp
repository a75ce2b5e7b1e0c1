#include "handlers/probe/signature_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::probe {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Winner = Choice::Winner;

constexpr std::uint64_t kMiB = 1024 * 1024;
constexpr std::uint64_t kDevice = 64 * kMiB;

md::Superblock superblock(md::Version version, std::uint64_t device = kDevice, int level = 1) {
  md::Superblock sb;
  sb.version = version;
  sb.level = level;
  sb.raid_disks = 2;
  sb.slots.assign(2, md::SlotState::active);
  sb.role = {md::Role::Kind::active, 0};
  sb.array_uuid = "00112233:44556677:8899aabb:ccddeeff";
  for (const md::Window& window : md::windows(device)) {
    const bool same =
        (version == md::Version::v0_90 && window.kind == md::WindowKind::superblock_0_90) ||
        (version == md::Version::v1_0 && window.kind == md::WindowKind::superblock_1_0) ||
        (version == md::Version::v1_1 && window.kind == md::WindowKind::superblock_1_1) ||
        (version == md::Version::v1_2 && window.kind == md::WindowKind::superblock_1_2);
    if (same) {
      sb.super_offset = window.offset / 512;
    }
  }
  if (version == md::Version::v0_90 || version == md::Version::v1_0) {
    sb.data_offset = 0;
    sb.data_sectors = sb.used_sectors = sb.super_offset;
  } else {
    sb.data_offset = 2048;
    sb.data_sectors = sb.used_sectors = device / 512 - 2048;
  }
  return sb;
}

lvm::PhysicalVolumeHead pv(std::uint64_t bytes, bool with_text = true) {
  lvm::PhysicalVolumeHead head;
  head.label.pv_uuid = "abcdef-abcd-abcd-abcd-abcd-abcd-abcdef";
  head.label.device_bytes = bytes;
  head.label.metadata_areas = {{4096, kMiB - 4096}};
  if (with_text) {
    head.texts.push_back({{0}, "vg {}"});
  } else {
    head.diagnostics.push_back("metadata area 0: checksum");
  }
  return head;
}

Table table(const std::string& type, std::vector<Extent> partitions, bool spans = false) {
  return {type, std::move(partitions), spans};
}

Evidence on(std::uint64_t bytes = kDevice) {
  Evidence evidence;
  evidence.device_bytes = bytes;
  return evidence;
}

const Other kExt4{"filesystem", "ext4", "1.0"};
const Other kVfat{"filesystem", "vfat", "FAT32"};
const Other kXfs{"filesystem", "xfs", ""};
const Other kSwap{"other", "swap", "1"};

TEST(SignatureChoice, NothingAndOneThing) {
  EXPECT_EQ(choose(on()).winner, Winner::nothing);
  EXPECT_TRUE(choose(on()).table_is_ours);
  Evidence fs = on();
  fs.others = {kExt4};
  EXPECT_EQ(choose(fs).winner, Winner::other);
  Evidence label = on();
  label.lvm = pv(kDevice);
  EXPECT_EQ(choose(label).winner, Winner::lvm);
  Evidence partitioned = on();
  partitioned.table = table("gpt", {{kMiB, kMiB}}, true);
  EXPECT_EQ(choose(partitioned).winner, Winner::nothing);
  EXPECT_TRUE(choose(partitioned).table_is_ours);
}

TEST(SignatureChoice, WhatLibblkidCannotTellWeCannotEither) {
  Evidence two = on();
  two.others = {kExt4, kVfat};
  const Choice choice = choose(two);
  EXPECT_EQ(choice.winner, Winner::conflict);
  EXPECT_THAT(choice.contenders, ElementsAre("filesystem:ext4:1.0", "filesystem:vfat:FAT32"));
  EXPECT_THAT(choice.note, HasSubstr("filesystem:vfat:FAT32"));
}

TEST(SignatureChoice, MetadataAtTheEndMakesTheStartItsContent) {
  for (const auto version : {md::Version::v0_90, md::Version::v1_0}) {
    Evidence evidence = on();
    evidence.md.superblocks = {superblock(version)};
    evidence.others = {kVfat};
    evidence.lvm = pv(kDevice - 128 * 1024);
    evidence.table = table("dos", {{kMiB, 20 * kMiB}});
    const Choice choice = choose(evidence);
    EXPECT_EQ(choice.winner, Winner::md) << to_string(version);
    EXPECT_FALSE(choice.table_is_ours);
    EXPECT_EQ(choice.note, "");
  }
}

TEST(SignatureChoice, APvAsLargeAsTheDeviceIsNoMirrorsContent) {
  Evidence evidence = on();
  evidence.md.superblocks = {superblock(md::Version::v1_0)};
  evidence.lvm = pv(kDevice);
  const Choice choice = choose(evidence);
  EXPECT_EQ(choice.winner, Winner::conflict);
  EXPECT_THAT(choice.contenders,
              ElementsAre("raid:linux_raid_member:1.0", "raid:LVM2_member:LVM2 001"));
  // On a stripe set the PV is larger than a member, and that proves nothing against it.
  evidence.md.superblocks = {superblock(md::Version::v1_0, kDevice, 0)};
  evidence.lvm = pv(2 * kDevice - kMiB);
  EXPECT_EQ(choose(evidence).winner, Winner::md);
}

TEST(SignatureChoice, ATableOfTheWholeDeviceIsNoMembersContent) {
  Evidence evidence = on();
  evidence.md.superblocks = {superblock(md::Version::v1_0)};
  evidence.table = table("gpt", {{kMiB, 20 * kMiB}}, true);
  EXPECT_EQ(choose(evidence).winner, Winner::conflict);
  evidence.table.spans_device = false;  // made on the array: its second header is elsewhere
  EXPECT_EQ(choose(evidence).winner, Winner::md);
  evidence.table = table("dos", {{kMiB, kDevice - kMiB}});  // reaches behind the mirror's end
  evidence.md.superblocks = {superblock(md::Version::v1_0)};
  EXPECT_EQ(choose(evidence).winner, Winner::conflict);
}

TEST(SignatureChoice, SuperblockAt4KAgainstWhatItOverwrote) {
  const auto with = [](auto change) {
    Evidence evidence = on();
    evidence.md.superblocks = {superblock(md::Version::v1_2)};
    change(evidence);
    return choose(evidence);
  };
  // Their own metadata would stand where the superblock is intact.
  EXPECT_EQ(with([](Evidence& e) { e.others = {kExt4}; }).winner, Winner::md);
  EXPECT_EQ(with([](Evidence& e) { e.others = {kXfs}; }).winner, Winner::md);
  EXPECT_EQ(with([](Evidence& e) { e.lvm = pv(kDevice, false); }).winner, Winner::md);
  EXPECT_EQ(with([](Evidence& e) { e.table = table("gpt", {{kMiB, kMiB}}, true); }).winner,
            Winner::md);
  EXPECT_EQ(with([](Evidence& e) { e.table = table("PMBR", {}); }).winner, Winner::md);
  // These leave 4 KiB alone: either may be what was left behind.
  EXPECT_EQ(with([](Evidence& e) { e.others = {kVfat}; }).winner, Winner::conflict);
  EXPECT_EQ(with([](Evidence& e) { e.others = {kSwap}; }).winner, Winner::conflict);
  EXPECT_EQ(with([](Evidence& e) { e.lvm = pv(kDevice, true); }).winner, Winner::conflict);
  EXPECT_EQ(with([](Evidence& e) { e.table = table("dos", {{kMiB, kMiB}}); }).winner,
            Winner::conflict);
}

TEST(SignatureChoice, LvmAgainstFilesystemsAndTables) {
  Evidence evidence = on();
  evidence.lvm = pv(kDevice);
  evidence.others = {kExt4};  // LVM's metadata is intact at 4 KiB
  EXPECT_EQ(choose(evidence).winner, Winner::lvm);
  evidence.others = {kVfat};
  EXPECT_EQ(choose(evidence).winner, Winner::conflict);
  evidence.lvm = pv(kDevice, false);  // nothing but a label is left
  EXPECT_EQ(choose(evidence).winner, Winner::other);
  EXPECT_THAT(choose(evidence).note, HasSubstr("left behind"));
  evidence = on();
  evidence.lvm = pv(kDevice);
  evidence.table = table("dos", {{kMiB, kMiB}});  // lvm2 does not look at partitioned disks either
  EXPECT_EQ(choose(evidence).winner, Winner::nothing);
  EXPECT_TRUE(choose(evidence).table_is_ours);
  evidence.table = table("dos", {});
  EXPECT_EQ(choose(evidence).winner, Winner::lvm);
}

TEST(SignatureChoice, AContainerHoldsWhatStandsBeforeIt) {
  Evidence evidence = on();
  evidence.md.container = md::Container::imsm;
  evidence.others = {{"raid", "isw_raid_member", "1.3"}};
  evidence.lvm = pv(kDevice);
  evidence.table = table("gpt", {{kMiB, kMiB}});
  EXPECT_EQ(choose(evidence).winner, Winner::container);
  evidence.md.superblocks = {superblock(md::Version::v1_2)};
  EXPECT_EQ(choose(evidence).winner, Winner::conflict);
}

TEST(SignatureChoice, TwoSuperblocks) {
  // 1.2 stands within the data of a mirror with its superblock at the end: an array of arrays.
  Evidence nested = on();
  nested.md.superblocks = {superblock(md::Version::v1_2), superblock(md::Version::v1_0)};
  nested.md.superblocks[0].data_sectors = nested.md.superblocks[0].used_sectors = 40 * kMiB / 512;
  const Choice choice = choose(nested);
  EXPECT_EQ(choice.winner, Winner::md);
  EXPECT_EQ(choice.superblock, 1U);
  // Each lies in the other's data: nobody knows.
  Evidence mutual = on();
  mutual.md.superblocks = {superblock(md::Version::v1_2), superblock(md::Version::v1_0)};
  EXPECT_EQ(choose(mutual).winner, Winner::conflict);
}

// A 0.90 superblock that stands where both the disk and its last partition would have theirs.
struct Shared {
  std::uint64_t disk = 64 * kMiB + 64 * 1024;
  Extent partition{kMiB, 63 * kMiB + 64 * 1024};
};

TEST(SignatureChoice, ASuperblockThatDiskAndPartitionShare) {
  const Shared shared;
  const auto disk_sb = superblock(md::Version::v0_90, shared.disk);
  auto partition_sb = superblock(md::Version::v0_90, shared.partition.size);
  ASSERT_EQ(disk_sb.super_offset * 512, partition_sb.super_offset * 512 + shared.partition.start);

  Evidence disk = on(shared.disk);
  disk.table = table("dos", {shared.partition});
  disk.md.superblocks = {disk_sb};
  Evidence partition = on(shared.partition.size);
  partition.place = shared.partition;
  partition.disk_bytes = shared.disk;
  partition.md.superblocks = {partition_sb};
  partition.others = {kExt4};

  // Of the partition's size: it is the partition's.
  disk.md.superblocks[0].used_sectors = partition_sb.used_sectors;
  EXPECT_EQ(choose(disk).winner, Winner::nothing);
  EXPECT_TRUE(choose(disk).table_is_ours);
  EXPECT_THAT(choose(disk).owners, ElementsAre("partition"));
  EXPECT_EQ(choose(partition).winner, Winner::md);
  EXPECT_THAT(choose(partition).owners, ElementsAre("partition"));

  // Of the disk's size: the disk's, and what is seen of it at the partition's end is not the
  // partition's.
  disk.md.superblocks[0].used_sectors = disk_sb.used_sectors;
  partition.md.superblocks[0].used_sectors = disk_sb.used_sectors;
  disk.table.partitions[0].size -= 64 * 1024;  // else the table would reach behind the mirror's end
  disk.table.partitions = {};
  EXPECT_EQ(choose(disk).winner, Winner::md);
  EXPECT_EQ(choose(partition).winner, Winner::other);
  EXPECT_THAT(choose(partition).owners, ElementsAre("disk"));

  // Smaller than either: nobody can tell.
  disk.table.partitions = {shared.partition};
  disk.md.superblocks[0].used_sectors = partition.md.superblocks[0].used_sectors = 2048;
  EXPECT_EQ(choose(disk).winner, Winner::conflict);
  EXPECT_EQ(choose(partition).winner, Winner::conflict);
  EXPECT_THAT(choose(partition).note, HasSubstr("0.90"));
}

TEST(SignatureChoice, SizesThatLieDoNotWrap) {
  Evidence evidence = on();
  auto sb = superblock(md::Version::v1_0);
  sb.data_offset = sb.data_sectors = md::kMaxSector;
  evidence.md.superblocks = {sb};
  evidence.table = table("dos", {{kMiB, kMiB}});
  EXPECT_EQ(choose(evidence).winner, Winner::md);
}

}  // namespace
}  // namespace muster::probe
