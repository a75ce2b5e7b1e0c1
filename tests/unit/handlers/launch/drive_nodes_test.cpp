#include "handlers/launch/drive_nodes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::launch {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

// An earlier attempt may have given the name to another disk.
TEST(DriveNodes, WhereTheKernelsNamesAreRightOnlyWhatLeadsElsewhereIsCorrected) {
  const auto nodes = nodes_for({{"/dev/sda", {8, 0}, "sda"}});
  ASSERT_TRUE(nodes);
  EXPECT_THAT(*nodes, SizeIs(16));
  EXPECT_THAT(*nodes, Contains(NodePlan{"/dev/sda", {8, 0}, NodeRule::made}));
  EXPECT_THAT(*nodes, Contains(NodePlan{"/dev/sda1", {8, 1}, NodeRule::corrected}));
  EXPECT_THAT(*nodes, Contains(NodePlan{"/dev/sda15", {8, 15}, NodeRule::corrected}));
}

TEST(DriveNodes, APartitionWithoutAFixedNumberIsNeverMade) {
  const auto nodes = nodes_for({{"/dev/nvme0n1", {259, 0}, "nvme0n1", {{2, {259, 7}}}}});
  ASSERT_TRUE(nodes);
  EXPECT_THAT(*nodes, SizeIs(16));
  EXPECT_THAT(*nodes, Contains(NodePlan{"/dev/nvme0n1", {259, 0}, NodeRule::made}));
  EXPECT_THAT(*nodes, Contains(NodePlan{"/dev/nvme0n1p1", {0, 0}, NodeRule::cleared}));
  EXPECT_THAT(*nodes, Contains(NodePlan{"/dev/nvme0n1p2", {259, 7}, NodeRule::cleared}));
}

TEST(DriveNodes, ANameInAFolderIsTheKernelsToo) {
  const auto nodes = nodes_for({{"/dev/cciss/c0d0", {104, 0}, "cciss!c0d0"}});
  ASSERT_TRUE(nodes) << nodes.error().text;
  EXPECT_THAT(*nodes, Contains(NodePlan{"/dev/cciss/c0d0", {104, 0}, NodeRule::made}));
}

TEST(DriveNodes, WithoutADriveNothingIsMade) {
  const auto nodes = nodes_for({});
  ASSERT_TRUE(nodes);
  EXPECT_THAT(*nodes, IsEmpty());
}

TEST(DriveNodes, WithoutANameOrANumberNothingIsMade) {
  EXPECT_FALSE(nodes_for({{"/dev/sda", {0, 0}, "sda"}}));
  EXPECT_FALSE(nodes_for({{"", {8, 0}, "sda"}}));
  EXPECT_FALSE(nodes_for({{"/etc/passwd", {8, 0}, "sda"}}));
}

TEST(DriveNodes, SwappedDrivesGetEachOthersNumbersAlsoForPartitionsToCome) {
  const auto nodes = nodes_for({{"/dev/sda", {8, 16}, "sdb"}, {"/dev/sdb", {8, 0}, "sda"}});
  ASSERT_TRUE(nodes);
  EXPECT_THAT(*nodes, SizeIs(32));
  EXPECT_THAT(*nodes, Contains(NodePlan{"/dev/sda", {8, 16}}));
  EXPECT_THAT(*nodes, Contains(NodePlan{"/dev/sda15", {8, 31}}));
  EXPECT_THAT(*nodes, Contains(NodePlan{"/dev/sdb1", {8, 1}}));
}

TEST(DriveNodes, ADriveWithoutFixedPartitionNumbersIsRefused) {
  const auto nodes = nodes_for({{"/dev/sda", {259, 0}, "nvme0n1"}});
  ASSERT_FALSE(nodes);
  EXPECT_THAT(nodes.error().text, HasSubstr("/dev/sda is bound to nvme0n1"));
}

TEST(DriveNodes, PartitionNamesAsTheKernelMakesThem) {
  EXPECT_EQ(partition_name("/dev/sda", 3), "/dev/sda3");
  EXPECT_EQ(partition_name("/dev/nvme0n1", 3), "/dev/nvme0n1p3");
  EXPECT_EQ(partition_name("/dev/cciss/c0d0", 1), "/dev/cciss/c0d0p1");
}

TEST(DriveNodes, TheFilterAdmitsThePlansDrivesAndNothingElse) {
  EXPECT_EQ(lvm_filter({"/dev/sda"}, {}),
            R"([ "a|^/dev/sda$|", "a|^/dev/sda[0-9]+$|", "a|^/dev/md[0-9]+$|", "r|.*|" ])");
  EXPECT_THAT(lvm_filter({"/dev/sda"}, {"md127"}),
              StartsWith(R"([ "r|^/dev/md127$|", "r|^/dev/md127p[0-9]+$|", "a|^/dev/sda$|")"));
  EXPECT_THAT(lvm_filter({"/dev/a.b"}, {}), HasSubstr(R"(a|^/dev/a\\.b$|)"));
}

}  // namespace
}  // namespace muster::launch
