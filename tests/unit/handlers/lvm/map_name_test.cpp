#include "handlers/lvm/map_name.h"

#include <gtest/gtest.h>

namespace muster::lvm {
namespace {

TEST(MapName, DoublesHyphens) {
  EXPECT_EQ(map_name("vg", "lv"), "vg-lv");
  EXPECT_EQ(map_name("vg-main", "home--x"), "vg--main-home----x");
  EXPECT_EQ(map_name("vg", "a-b", "cow"), "vg-a--b-cow");
  EXPECT_EQ(map_name("vg", "lv", "_mlog"), "vg-lv_mlog");
}

TEST(SplitMapName, IsTheWayBack) {
  for (const LvName& name : {LvName{"vg", "lv"}, LvName{"vg-main", "home--x"}, LvName{"a-", "b"}}) {
    EXPECT_EQ(split_map_name(map_name(name.vg, name.lv)), name);
  }
  for (const char* other : {"", "-", "vg", "vg-", "-lv", "vg--lv", "vg-lv-cow", "vg-a--b-c"}) {
    EXPECT_EQ(split_map_name(other), std::nullopt) << other;
  }
}

}  // namespace
}  // namespace muster::lvm
