// Images made by the real tools, read by the real library.
#include "handlers/probe/blkid_probe.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "daemon/child_process.h"
#include "tests/support/temp_tree.h"

namespace muster::probe {
namespace {

using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr std::uint64_t kMiB = 1024 * 1024;

class BlkidProbeTest : public ::testing::Test {
 protected:
  void sh(const std::string& script) {
    ChildOptions options;
    options.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}, {"I", image_}};
    const auto result = run_child({"/bin/sh", "-ec", script}, options);
    ASSERT_TRUE(result && result->ok())
        << script << ": " << (result ? result->output : result.error().text);
  }
  [[nodiscard]] Fd open() const { return Fd(::open(image_.c_str(), O_RDONLY | O_CLOEXEC)); }
  BlkidFindings probe() {
    const Fd fd = open();
    auto findings = blkid_probe_device(fd);
    EXPECT_TRUE(findings) << findings.error().text;
    return findings.value_or(BlkidFindings{});
  }
  void put(std::uint64_t offset, const std::string& bytes) {
    std::fstream file(image_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file << bytes;
  }

  testing::TempTree tree_;
  std::string image_ = tree_.path("/image");
};

TEST_F(BlkidProbeTest, NothingIsNoError) {
  sh("truncate -s 8M $I");
  const auto findings = probe();
  EXPECT_THAT(findings.filesystem, IsEmpty());
  EXPECT_THAT(findings.table, IsEmpty());
  EXPECT_THAT(findings.others, IsEmpty());
}

TEST_F(BlkidProbeTest, AFilesystemInUdevsNamesAndEncoding) {
  sh("truncate -s 8M $I; mke2fs -q -t ext4 -L 'a b/c' -U 11111111-2222-4333-8444-555555555555 $I");
  const auto findings = probe();
  EXPECT_THAT(findings.filesystem,
              UnorderedElementsAre(Pair("ID_FS_TYPE", "ext4"), Pair("ID_FS_USAGE", "filesystem"),
                                   Pair("ID_FS_VERSION", "1.0"), Pair("ID_FS_LABEL", "a_b/c"),
                                   Pair("ID_FS_LABEL_ENC", "a\\x20b\\x2fc"),
                                   Pair("ID_FS_UUID", "11111111-2222-4333-8444-555555555555"),
                                   Pair("ID_FS_UUID_ENC", "11111111-2222-4333-8444-555555555555")));
  ASSERT_EQ(findings.others.size(), 1U);
  EXPECT_EQ(findings.others[0].type, "ext4");
}

TEST_F(BlkidProbeTest, ADiscWithItsVolumeId) {
  sh("mkdir $I.d; echo x > $I.d/f; genisoimage -quiet -V 'MONDO DISC' -publisher Someone -o $I "
     "$I.d 2>&1");
  const auto properties = probe().filesystem;
  EXPECT_EQ(properties.at("ID_FS_TYPE"), "iso9660");
  EXPECT_EQ(properties.at("ID_FS_LABEL_ENC"), "MONDO\\x20DISC");
  EXPECT_TRUE(properties.contains("ID_FS_APPLICATION_ID"));
}

TEST_F(BlkidProbeTest, ATableWithItsPartitionsAndTheirEntries) {
  sh("truncate -s 32M $I; printf '%s\\n' 'label: gpt' 'label-id: "
     "00000000-0000-4000-8000-00000000000A' "
     "'size=4MiB, name=\"root fs\", uuid=00000000-0000-4000-8000-000000000001' 'size=8MiB' | "
     "sfdisk -q $I");
  const auto findings = probe();
  EXPECT_THAT(findings.table, UnorderedElementsAre(Pair("ID_PART_TABLE_TYPE", "gpt"),
                                                   Pair("ID_PART_TABLE_UUID",
                                                        "00000000-0000-4000-8000-00000000000a")));
  EXPECT_TRUE(findings.partitions.spans_device);
  ASSERT_EQ(findings.partitions.partitions.size(), 2U);
  EXPECT_EQ(findings.partitions.partitions[0].start, kMiB);
  EXPECT_EQ(findings.partitions.partitions[1].size, 8 * kMiB);

  const Fd fd = open();
  EXPECT_THAT(
      blkid_partition_entry(fd, {kMiB, 4 * kMiB}, "8:0").value(),
      UnorderedElementsAre(Pair("ID_PART_ENTRY_UUID", "00000000-0000-4000-8000-000000000001"),
                           Pair("ID_PART_ENTRY_NAME", "root\\x20fs"),
                           Pair("ID_PART_ENTRY_TYPE", "0fc63daf-8483-4772-8e79-3d69d8477de4"),
                           Pair("ID_PART_ENTRY_NUMBER", "1"), Pair("ID_PART_ENTRY_OFFSET", "2048"),
                           Pair("ID_PART_ENTRY_SIZE", "8192"), Pair("ID_PART_ENTRY_DISK", "8:0"),
                           Pair("ID_PART_ENTRY_SCHEME", "gpt")));
  EXPECT_THAT(blkid_partition_entry(fd, {kMiB, 5 * kMiB}, "8:0").value(), IsEmpty());
}

TEST_F(BlkidProbeTest, ATableMadeOnASmallerDeviceDoesNotSpanThisOne) {
  sh("truncate -s 32M $I; printf '%s\\n' 'label: gpt' 'size=4MiB' | sfdisk -q $I; truncate -s 33M "
     "$I");
  EXPECT_EQ(probe().partitions.type, "gpt");
  EXPECT_FALSE(probe().partitions.spans_device);
}

TEST_F(BlkidProbeTest, ADosTableNumbersItsDisk) {
  sh("truncate -s 32M $I; printf '%s\\n' 'label: dos' 'label-id: 0x7a7a0001' 'size=12MiB, type=83, "
     "bootable' 'type=5' "
     "'size=4MiB, type=8e' | sfdisk -q $I");
  const auto findings = probe();
  EXPECT_EQ(findings.table.at("ID_PART_TABLE_UUID"), "7a7a0001");
  EXPECT_EQ(findings.partitions.partitions.size(), 2U);  // not the extended one
  const Fd fd = open();
  const auto entry = blkid_partition_entry(fd, {kMiB, 12 * kMiB}, "8:0").value();
  EXPECT_EQ(entry.at("ID_PART_ENTRY_TYPE"), "0x83");
  EXPECT_EQ(entry.at("ID_PART_ENTRY_FLAGS"), "0x80");
  EXPECT_EQ(entry.at("ID_PART_ENTRY_UUID"), "7a7a0001-01");
  EXPECT_EQ(blkid_partition_entry(fd, {13 * kMiB, 1024}, "8:0").value().at("ID_PART_ENTRY_TYPE"),
            "0x5");
}

TEST_F(BlkidProbeTest, MembersAreLeftToOurOwnReaders) {
  sh("truncate -s 8M $I");
  put(512, std::string("LABELONE") + std::string("\1\0\0\0\0\0\0\0", 8));
  EXPECT_THAT(probe().others, IsEmpty());
}

TEST_F(BlkidProbeTest, SeveralSignaturesAreAllNamed) {
  sh("truncate -s 8M $I; mke2fs -q -t ext4 $I");
  put(65600, "_BHRfS_M");
  const auto findings = probe();
  std::vector<std::string> types;
  for (const auto& other : findings.others) {
    types.push_back(other.type);
  }
  EXPECT_THAT(types, UnorderedElementsAre("ext4", "btrfs"));
  EXPECT_THAT(findings.filesystem, IsEmpty());
}

TEST_F(BlkidProbeTest, ADescriptorThatCannotBeReadIsAnErrorWithItsErrno) {
  const Fd directory(::open(tree_.path().c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(blkid_probe_device(directory));
}

TEST(TextProperty, IsSafeAndEncoded) {
  Properties properties;
  add_text_property(properties, "ID_FS_LABEL", "../x\ty\xff");
  EXPECT_EQ(properties["ID_FS_LABEL_ENC"], "..\\x2fx\\x09y\\xff");
  EXPECT_EQ(properties["ID_FS_LABEL"], "../x_y_");
  add_text_property(properties, "ID_FS_UUID", std::string(4000, 'a'));
  EXPECT_EQ(properties["ID_FS_UUID_ENC"], "");
}

}  // namespace
}  // namespace muster::probe
