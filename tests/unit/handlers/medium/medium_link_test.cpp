#include "handlers/medium/medium_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <filesystem>

#include "handlers/block_device.h"
#include "tests/support/temp_tree.h"

namespace muster::medium {
namespace {

class MediumLink : public ::testing::Test {
 protected:
  MediumLink() {
    places_ = {tree_.path("/dev/cdrom"), tree_.path("/dev/muster/medium"),
               tree_.path("/tmp/CDROM-LIVES-HERE")};
    tree_.directory("/dev").directory("/tmp").file("/tmp/CDROM-LIVES-HERE", stick_ + "\n");
  }
  void node(const std::string& path, dev_t number) { ASSERT_TRUE(make_block_node(path, number)); }
  std::string link() const {
    std::error_code error;
    return std::filesystem::read_symlink(places_.link, error).string();
  }

  testing::TempTree tree_;
  MediumPlaces places_;
  const std::string stick_ = tree_.path("/dev/sda");
};

// A nuke gives /dev/sda to its target, and the medium is the stick that had that name.
TEST_F(MediumLink, AMediumThatLostItsNameGetsOneOfItsOwn) {
  node(stick_, makedev(8, 0));
  tree_.link("/dev/cdrom", stick_);
  node(stick_, makedev(8, 16));
  for (int attempt = 0; attempt < 2; ++attempt) {  // the second time there is nothing to do
    ASSERT_TRUE(keep_link(stick_, makedev(8, 0), places_));
    EXPECT_EQ(link(), places_.node);
    EXPECT_TRUE(leads_to(places_.link, makedev(8, 0)));
    EXPECT_EQ(tree_.text("/tmp/CDROM-LIVES-HERE"), places_.node + "\n");
  }
}

TEST_F(MediumLink, ALinkThatIsRightStays) {
  node(stick_, makedev(8, 0));
  tree_.link("/dev/cdrom", stick_);
  ASSERT_TRUE(keep_link(stick_, makedev(8, 0), places_));
  EXPECT_EQ(link(), stick_);
  EXPECT_FALSE(std::filesystem::exists(places_.node));
  EXPECT_EQ(tree_.text("/tmp/CDROM-LIVES-HERE"), stick_ + "\n");
}

// ISO files on a disk: the link is none of the medium's.
TEST_F(MediumLink, ALinkToAnotherDriveStaysAndNoneIsMade) {
  node(stick_, makedev(8, 16));
  ASSERT_TRUE(keep_link(stick_, makedev(8, 0), places_));
  EXPECT_EQ(link(), "");
  tree_.link("/dev/cdrom", tree_.path("/dev/sr0"));
  ASSERT_TRUE(keep_link(stick_, makedev(8, 0), places_));
  EXPECT_EQ(link(), tree_.path("/dev/sr0"));
  EXPECT_FALSE(std::filesystem::exists(places_.node));
}

TEST_F(MediumLink, ItsOwnNodeFollowsTheMedium) {
  for (const auto number : {makedev(8, 0), makedev(8, 32)}) {
    EXPECT_EQ(own_node(number, places_).value(), places_.node);
    EXPECT_TRUE(leads_to(places_.node, number));
  }
  EXPECT_FALSE(leads_to(tree_.path("/tmp/CDROM-LIVES-HERE"), 0));
  EXPECT_FALSE(leads_to(tree_.path("/nothing"), 0));
}

}  // namespace
}  // namespace muster::medium
