#include "handlers/block_device.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>

#include "tests/support/temp_tree.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(DevFrom, TakesWhatTheKernelWritesAndNothingElse) {
  EXPECT_EQ(dev_from("8:0"), makedev(8, 0));
  EXPECT_EQ(dev_from("4095:1048575"), makedev(4095, 1048575));
  for (const char* bad : {"", "8", "8:", ":0", "8:0 ", " 8:0", "8:0x", "-1:0", "8:-1", "4096:0",
                          "8:1048576", "99999999999:0"}) {
    EXPECT_FALSE(dev_from(bad)) << bad;
  }
}

class BlockDeviceTest : public ::testing::Test {
 protected:
  BlockDeviceTest() : root_(*Root::open(tree_.path())), devices_(root_, "/run/x/dev") {}
  testing::TempTree tree_;
  Root root_;
  BlockDevices devices_;
};

TEST_F(BlockDeviceTest, ANodeIsOursPrivateAndStays) {
  const auto node = devices_.node("8:1");
  ASSERT_TRUE(node) << node.error().text;
  EXPECT_EQ(*node, "/run/x/dev/b8:1");
  struct stat status = {};
  ASSERT_EQ(::lstat(tree_.path(*node).c_str(), &status), 0);
  EXPECT_TRUE(S_ISBLK(status.st_mode));
  EXPECT_EQ(status.st_rdev, makedev(8, 1));
  ASSERT_EQ(::lstat(tree_.path("/run/x/dev").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0700U);
  EXPECT_EQ(devices_.node("8:1").value(), *node);
}

TEST_F(BlockDeviceTest, WhatStandsInTheNodesPlaceIsPutAside) {
  tree_.directory("/run/x/dev")
      .link("/run/x/dev/b8:1", "/etc/passwd")
      .file("/run/x/dev/b8:2", "text");
  tree_.directory("/run/x/dev/b8:3");
  EXPECT_TRUE(devices_.node("8:1"));
  EXPECT_TRUE(devices_.node("8:2"));
  EXPECT_FALSE(std::filesystem::is_symlink(tree_.path("/run/x/dev/b8:1")));
  EXPECT_FALSE(devices_.node("8:3"));
  EXPECT_FALSE(devices_.node("eight"));
}

TEST_F(BlockDeviceTest, ADeviceThatIsNotThereIsNotFound) {
  const auto fd = devices_.open("240:77", O_RDONLY);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().code, Errc::not_found);
  EXPECT_NE(fd.error().text.find("240:77"), std::string::npos);
}

TEST_F(BlockDeviceTest, TheReaderGivesWhatIsThereAndNoMore) {
  tree_.file("/image", "0123456789");
  const auto fd = root_.open_at("/image", O_RDONLY);
  const Reader read = device_reader(*fd, 10);
  EXPECT_EQ(as_text(read(2, 3).value()), "234");
  EXPECT_EQ(as_text(read(8, 100).value()), "89");
  EXPECT_THAT(read(10, 1).value(), IsEmpty());
  EXPECT_THAT(read(~0ULL, 1).value(), IsEmpty());
  const Reader shrunk = device_reader(*fd, 1000);  // the device says more than there is
  EXPECT_EQ(as_text(shrunk(5, 100).value()), "56789");
  EXPECT_FALSE(
      device_reader(*fd, ~0ULL)(0, std::size_t{1} << 40));  // nothing that large is allocated
}

TEST_F(BlockDeviceTest, NamesAndHoldersComeFromSysfs) {
  tree_.file("/sys/dev/block/8:0/uevent", "MAJOR=8\nMINOR=0\nDEVNAME=cciss/c0d0\n")
      .file("/sys/dev/block/8:0/holders/md127/dev", "9:127\n")
      .file("/sys/dev/block/8:0/sda1/partition", "1\n")
      .file("/sys/dev/block/8:0/sda1/dev", "8:1\n")
      .file("/sys/dev/block/8:0/sda1/holders/dm-0/dm/name", "vg-lv\n")
      .file("/proc/self/mountinfo",
            "22 1 0:20 / /proc rw - proc proc rw\n30 1 8:1 / /mnt/a\\040b rw - ext4 /dev/sda1 "
            "rw\n31 1 8:16 / /c rw - x y z\n");
  EXPECT_EQ(kernel_name(root_, "8:0"), "cciss/c0d0");
  EXPECT_EQ(kernel_name(root_, "8:7"), "");
  EXPECT_THAT(holders_of(root_, "8:0"),
              ElementsAre("md127", "dm-0 (vg-lv)", "mounted at /mnt/a\\x5c040b"));
  EXPECT_EQ(holders_text(root_, "8:32"), "held open by a program");
  EXPECT_EQ(holders_text(root_, "8:16"), "held by mounted at /c");
}

// The nodes stand in for those of the machine: /proc names them by paths below the root.
TEST_F(BlockDeviceTest, SwapHoldsItsDeviceByWhateverNameItWasOpened) {
  ASSERT_TRUE(make_block_node(tree_.path("/dev/renamed"), makedev(8, 2)));
  tree_.file("/sys/dev/block/8:0/sda2/partition", "2\n")
      .file("/sys/dev/block/8:0/sda2/dev", "8:2\n")
      .file("/sys/class/block/sdb2/dev", "8:18\n");
  const std::string titles = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
  tree_.file("/proc/swaps", titles + "/dev/renamed  partition\t524284\t0\t-2\n" +
                                "/dev/sdb2\\040(deleted) partition\t524284\t0\t-3\n" +
                                "/home/swap file\t524284\t0\t-4\n");
  EXPECT_THAT(holders_of(root_, "8:0"), ElementsAre("swap on /dev/renamed"));
  EXPECT_THAT(holders_of(root_, "8:18"), ElementsAre("swap on /dev/sdb2 (deleted)"));
  EXPECT_THAT(holders_of(root_, "8:32"), IsEmpty());
}

TEST_F(BlockDeviceTest, AFilesystemWithANumberOfItsOwnHoldsTheDeviceThatItNames) {
  tree_.file("/sys/class/block/sdc1/dev", "8:33\n")
      .file(
          "/proc/self/mountinfo",
          "40 1 0:45 / /mnt/b rw shared:3 - btrfs /dev/sdc1 rw\n41 1 0:46 / /t rw - tmpfs t rw\n");
  EXPECT_THAT(holders_of(root_, "8:33"), ElementsAre("mounted at /mnt/b"));
  EXPECT_THAT(holders_of(root_, "8:34"), IsEmpty());
}

TEST_F(BlockDeviceTest, ABlockNodeTakesThePlaceOfWhatIsThere) {
  tree_.link("/dev/a", "/etc/passwd").directory("/dev/full/one");
  const auto at = [&](const char* path) {
    struct stat status = {};
    return ::lstat(tree_.path(path).c_str(), &status) == 0 && S_ISBLK(status.st_mode)
               ? status.st_rdev
               : dev_t{0};
  };
  EXPECT_TRUE(make_block_node(tree_.path("/dev/a"), makedev(8, 1)));
  EXPECT_EQ(at("/dev/a"), makedev(8, 1));
  EXPECT_TRUE(make_block_node(tree_.path("/dev/a"), makedev(8, 2)));
  EXPECT_EQ(at("/dev/a"), makedev(8, 2));
  EXPECT_TRUE(make_block_node(tree_.path("/dev/new/b"), makedev(8, 3)));
  EXPECT_EQ(at("/dev/new/b"), makedev(8, 3));
  EXPECT_FALSE(make_block_node(tree_.path("/dev/full"), makedev(8, 3)));
  EXPECT_FALSE(std::filesystem::exists(tree_.path("/dev/full.muster")));
}

}  // namespace
}  // namespace muster
