#include "handlers/launch/journal_keeper.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_tree.h"

namespace muster::launch {
namespace {

using muster::testing::TempTree;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(DisksBelow, GoesThroughPartitionsArraysAndVolumes) {
  TempTree tree;
  // 253:0 an LV on 9:0, an array of the partitions 8:1 of 8:0 and 8:17 of 8:16
  tree.file("/sys/dev/block/253:0/slaves/md0/dev", "9:0\n");
  tree.file("/sys/dev/block/9:0/slaves/sda1/dev", "8:1\n");
  tree.file("/sys/dev/block/9:0/slaves/sdb1/dev", "8:17\n");
  for (const auto* disk : {"sda", "sdb"}) {
    const std::string number = disk == std::string("sda") ? "8:0" : "8:16";
    const std::string part = disk == std::string("sda") ? "8:1" : "8:17";
    const std::string place = std::string("/sys/devices/") + disk;
    tree.file(place + "/dev", number + "\n").file(place + "/part/partition", "1\n");
    tree.file(place + "/part/dev", part + "\n");
    std::filesystem::create_symlink("../../devices/" + std::string(disk),
                                    tree.path("/sys/dev/block/" + number));
    std::filesystem::create_symlink("../../devices/" + std::string(disk) + "/part",
                                    tree.path("/sys/dev/block/" + part));
  }
  const Root root = *Root::open(tree.path());
  EXPECT_THAT(disks_below(root, {253, 0}), ElementsAre(Devno{8, 0}, Devno{8, 16}));
  EXPECT_THAT(disks_below(root, {8, 17}), ElementsAre(Devno{8, 16}));
  EXPECT_THAT(disks_below(root, {8, 0}), ElementsAre(Devno{8, 0}));
}

class KeepJournal : public ::testing::Test {
 protected:
  KeepJournal() : root_(*Root::open("/")) {
    tree_.file("/run/journal.jsonl", "{\"journal\":1}\n");
    settings_.journal = tree_.path("/run/journal.jsonl");
    settings_.restored = tree_.path("/restored");
    settings_.aside = tree_.path("/aside");
    std::filesystem::create_directories(settings_.restored);
  }
  std::string why() {
    const auto kept = keep_journal(root_, settings_);
    return kept ? kept->dump() : kept.error().text;
  }

  TempTree tree_;
  Root root_;
  KeepSettings settings_;
};

TEST_F(KeepJournal, NothingIsWrittenWhereNothingIsToBeWritten) {
  EXPECT_THAT(why(), HasSubstr("not mounted any more"));
  settings_.device = "/dev/null";  // no block device
  settings_.format = "ext4";
  EXPECT_THAT(why(), HasSubstr("does not lie on the drives of the plan"));
  settings_.device = "/dev/muster-no-such-device";
  EXPECT_THAT(why(), HasSubstr("No such file or directory"));
  EXPECT_TRUE(std::filesystem::is_empty(settings_.restored));
}

// /dev/shm stands in for the restored system: it is a mount point.
TEST_F(KeepJournal, WhatIsMountedGetsACopyAndKeepsTheOneBefore) {
  settings_.restored = "/dev/shm";
  const std::string mine = "/muster-test-" + std::to_string(::getpid());
  const std::string place = settings_.restored + mine;
  settings_.folder = mine + "/var/log/muster";
  EXPECT_EQ(why(), R"({"bytes":14,"file":")" + settings_.folder + R"(/journal.jsonl"})");
  tree_.file("/run/journal.jsonl", "{\"journal\":1}\n{\"more\":1}\n");
  EXPECT_THAT(why(), HasSubstr("\"bytes\":25"));
  std::ifstream old(place + "/var/log/muster/journal.old.jsonl");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(old), {}), "{\"journal\":1}\n");
  // A link of the restored system may lead anywhere.
  std::filesystem::rename(place + "/var/log", place + "/var/elsewhere");
  std::filesystem::create_directory_symlink("/", place + "/var/log");
  EXPECT_THAT(why(), HasSubstr("Not a directory"));
  std::filesystem::remove_all(place);
}

}  // namespace
}  // namespace muster::launch
