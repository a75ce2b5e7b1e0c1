#include "handlers/lvm/lvm_metadata.h"

#include <gmock/gmock.h>

namespace muster::lvm {
namespace {

using ::testing::ElementsAre;

constexpr std::string_view kText = R"(
# A comment
my-vg {
id = "AAAAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAAAA"
seqno = 7
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = 8192   # 4 Megabytes
physical_volumes {
pv0 {
id = "BBBBBB-BBBB-BBBB-BBBB-BBBB-BBBB-BBBBBB"
device = "/dev/sda"
status = ["ALLOCATABLE"]
flags = []
dev_size = 131072
pe_start = 2048
pe_count = 15
}
pv1 {
id = "CCCCCC-CCCC-CCCC-CCCC-CCCC-CCCC-CCCCCC"
status = ["ALLOCATABLE"]
flags = ["MISSING"]
dev_size = 131072
pe_start = 4096
pe_count = 15
}
}
logical_volumes {
a-b {
id = "DDDDDD-DDDD-DDDD-DDDD-DDDD-DDDD-DDDDDD"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
segment_count = 2
segment1 {
start_extent = 0
extent_count = 3
type = "striped"
stripe_count = 1
stripes = [
"pv0", 2
]
}
segment2 {
start_extent = 3
extent_count = 4
type = "striped"
stripe_count = 2
stripe_size = 128
stripes = [
"pv0", 5,
"pv1", 0
]
}
}
}
}
contents = "Text Format Volume Group"
version = 1
)";

TEST(VolumeGroup, ReadsATypicalText) {
  const auto vg = parse_volume_group(std::string(kText));
  ASSERT_TRUE(vg) << vg.error().text;
  EXPECT_EQ(vg->name, "my-vg");
  EXPECT_EQ(vg->seqno, 7);
  EXPECT_TRUE(vg->pvs[1].is_missing);
  const auto lv = vg->find_lv("a-b");
  ASSERT_TRUE(lv);
  EXPECT_EQ(dm_name(*vg, "a-b"), "my--vg-a--b");
  EXPECT_EQ(dm_uuid(*vg, vg->lvs[*lv]),
            "LVM-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD");
  EXPECT_THAT(pvs_of(*vg, *lv), ElementsAre("BBBBBB-BBBB-BBBB-BBBB-BBBB-BBBB-BBBBBB",
                                            "CCCCCC-CCCC-CCCC-CCCC-CCCC-CCCC-CCCCCC"));
  const auto table = linear_table(*vg, *lv);
  ASSERT_TRUE(table);
  const TableLine first{0, 24576, TableLine::Target::linear, 0, {{vg->pvs[0].id, 2048 + 2 * 8192}}};
  const TableLine second{24576,
                         32768,
                         TableLine::Target::striped,
                         128,
                         {{vg->pvs[0].id, 2048 + 5 * 8192}, {vg->pvs[1].id, 4096}}};
  EXPECT_THAT(*table, ElementsAre(first, second));
}

}  // namespace
}  // namespace muster::lvm
