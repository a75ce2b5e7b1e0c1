#include "handlers/launch/target_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>

#include "tests/support/temp_tree.h"

namespace muster::launch {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class TargetGuard : public ::testing::Test {
 protected:
  TargetGuard() : root_(*Root::open(tree_.path())) {}
  NodePlan plan(const std::string& path, Devno devno, NodeRule rule) const {
    return {tree_.path(path), devno, rule};
  }
  void node(const std::string& path, unsigned major, unsigned minor) {
    ASSERT_TRUE(make_block_node(tree_.path(path), ::makedev(major, minor)));
  }
  // "8:0"; "" if nothing is there, "other" if it is no block device
  std::string number(const std::string& path) const {
    struct stat info{};
    if (::lstat(tree_.path(path).c_str(), &info) != 0) {
      return {};
    }
    return S_ISBLK(info.st_mode) ? Devno{::major(info.st_rdev), ::minor(info.st_rdev)}.text()
                                 : "other";
  }
  std::string unused(const std::vector<DriveName>& drives) const {
    const auto checked = check_unused(root_, drives);
    return checked ? std::string() : checked.error().text;
  }

  testing::TempTree tree_;
  Root root_;
};

TEST_F(TargetGuard, EachRuleDoesWhatItSaysAndNoMore) {
  struct Case {
    const char* before;  // "", or the minor of 8:x
    NodeRule rule;
    bool changed;
    const char* after;
  };
  const Case cases[] = {
      {"", NodeRule::made, true, "8:1"},          {"8:1", NodeRule::made, false, "8:1"},
      {"8:17", NodeRule::made, true, "8:1"},      {"", NodeRule::corrected, false, ""},
      {"8:1", NodeRule::corrected, false, "8:1"}, {"8:17", NodeRule::corrected, true, "8:1"},
      {"", NodeRule::cleared, false, ""},         {"8:1", NodeRule::cleared, false, "8:1"},
      {"8:17", NodeRule::cleared, true, ""}};
  for (const auto& each : cases) {
    tree_.remove("/dev/sda1");
    if (const auto before = devno_from(each.before)) {
      node("/dev/sda1", before->major, before->minor);
    }
    const auto wanted = plan("/dev/sda1", {8, 1}, each.rule);
    const bool right_before = check_nodes({wanted}).has_value();
    EXPECT_EQ(right_before, !each.changed) << each.before;
    const auto put = put_node(wanted);
    ASSERT_TRUE(put) << put.error().text;
    EXPECT_EQ(*put, each.changed) << each.before;
    EXPECT_EQ(number("/dev/sda1"), each.after) << each.before;
    EXPECT_TRUE(check_nodes({wanted})) << each.before;
  }
}

TEST_F(TargetGuard, ALinkIsNoNodeEvenIfItLeadsThere) {
  node("/dev/sdb", 8, 16);
  tree_.link("/dev/sda", "sdb");
  const auto wanted = plan("/dev/sda", {8, 16}, NodeRule::made);
  EXPECT_FALSE(check_nodes({wanted}));
  EXPECT_TRUE(put_node(wanted).value());
  EXPECT_EQ(number("/dev/sda"), "8:16");
  EXPECT_EQ(number("/dev/sdb"), "8:16");
}

TEST_F(TargetGuard, TheFirstNameThatLeadsElsewhereIsNamed) {
  node("/dev/sda", 8, 0);
  node("/dev/sda1", 8, 17);
  const auto checked = check_nodes(
      {plan("/dev/sda", {8, 0}, NodeRule::made), plan("/dev/sda1", {8, 1}, NodeRule::corrected)});
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().text, AllOf(HasSubstr("/dev/sda1 must lead to 8:1")));
  const auto cleared = check_nodes({plan("/dev/sda1", {}, NodeRule::cleared)});
  ASSERT_FALSE(cleared);
  EXPECT_THAT(cleared.error().text, HasSubstr("/dev/sda1 must not be there"));
}

// The launch was put off after sda had been given to the disk 8:16; that disk comes back as 8:0.
TEST_F(TargetGuard, ADiskThatComesBackUnderItsOwnNameGetsItBack) {
  const auto put_all = [&](const DriveName& drive) {
    auto nodes = nodes_for({drive});
    ASSERT_TRUE(nodes);
    for (auto& each : *nodes) {
      each.path = tree_.path(each.path);
      ASSERT_TRUE(put_node(each));
    }
    EXPECT_TRUE(check_nodes(*nodes));
  };
  node("/dev/sda", 8, 0);
  put_all({"/dev/sda", {8, 16}, "sdb"});
  ASSERT_EQ(number("/dev/sda"), "8:16");
  ASSERT_EQ(number("/dev/sda3"), "8:19");
  put_all({"/dev/sda", {8, 0}, "sda"});
  EXPECT_EQ(number("/dev/sda"), "8:0");
  EXPECT_EQ(number("/dev/sda3"), "8:3");
}

TEST_F(TargetGuard, PartitionsComeFromSysfs) {
  tree_.file("/sys/dev/block/259:0/nvme0n1p2/partition", "2\n")
      .file("/sys/dev/block/259:0/nvme0n1p2/dev", "259:7\n")
      .file("/sys/dev/block/259:0/queue/dev", "259:8\n");
  EXPECT_THAT(partitions_of(root_, {259, 0}), ElementsAre(Pair(2U, Devno{259, 7})));
}

TEST_F(TargetGuard, ADriveThatSomebodyUsesIsNamedAndByWhom) {
  const DriveName sda{"/dev/sda", {8, 16}, "sdb"};
  const DriveName sdb{"/dev/sdb", {8, 0}, "sda"};
  tree_.file("/sys/dev/block/8:16/sdb1/partition", "1\n")
      .file("/sys/dev/block/8:16/sdb1/dev", "8:17\n")
      .file("/proc/self/mountinfo", "30 1 8:33 / /c rw - ext4 /dev/sdc1 rw\n");
  EXPECT_EQ(unused({sda, sdb}), "");
  tree_.file("/proc/self/mountinfo", "30 1 8:17 / /mnt rw - ext4 /dev/sdb1 rw\n");
  EXPECT_EQ(unused({sdb, sda}), "/dev/sda (\"sdb\", 8:16) is in use: mounted at /mnt");
  EXPECT_EQ(unused({sdb}), "");
  tree_.remove("/proc/self/mountinfo").file("/sys/class/block/sdb1/dev", "8:17\n");
  tree_.file("/proc/swaps", "Filename Type Size Used Priority\n/dev/sdb1 partition 8 0 -2\n");
  EXPECT_THAT(unused({sda}), HasSubstr("is in use: swap on /dev/sdb1"));
  tree_.remove("/proc/swaps").directory("/sys/dev/block/8:16/sdb1/holders/md127");
  EXPECT_THAT(unused({sda}), HasSubstr("is in use: md127"));
}

TEST_F(TargetGuard, WhatMusterItselfLooksAtAsideDoesNotCount) {
  tree_.directory("/sys/dev/block/8:0")
      .file("/proc/self/mountinfo", "30 1 8:0 / /run/muster/look/17 ro - ext4 /dev/sda ro\n");
  EXPECT_EQ(unused({{"/dev/sda", {8, 0}, "sda"}}), "");
}

TEST_F(TargetGuard, ADriveThatIsNotThereIsNotFree) {
  const BlockDevices devices(root_);
  const auto checked = check_exclusive(devices, {{"/dev/sda", {240, 77}, "sda"}});
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Errc::not_found);
  EXPECT_THAT(checked.error().text, HasSubstr("/dev/sda"));
}

}  // namespace
}  // namespace muster::launch
