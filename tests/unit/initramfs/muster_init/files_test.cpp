#include "initramfs/muster_init/files.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace muster::init {
namespace {

namespace fs = std::filesystem;

class MoveTree : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "muster-files.XXXXXX";
    root_ = ::mkdtemp(name.data());
    fs::create_directories(root_ / "from/sub/deep");
    fs::create_directories(root_ / "to/sub");
  }
  void TearDown() override { fs::remove_all(root_); }

  void put(const std::string& path, const std::string& text) {
    std::ofstream(root_ / path) << text;
  }

  fs::path root_;
};

TEST_F(MoveTree, MovesFilesFoldersAndLinks) {
  put("from/mondo-restore.cfg", "iso-prefix x\n");
  put("from/sub/deep/file", std::string(300'000, 'x'));
  put("to/sub/already", "here");
  fs::create_symlink("sub/deep", root_ / "from/link");
  ::chmod((root_ / "from/mondo-restore.cfg").c_str(), 0751);

  std::vector<std::string> problems;
  move_tree(root_ / "from", root_ / "to", problems);

  EXPECT_THAT(problems, ::testing::IsEmpty());
  EXPECT_EQ(read_small_file((root_ / "to/mondo-restore.cfg").c_str()), "iso-prefix x\n");
  EXPECT_EQ(fs::file_size(root_ / "to/sub/deep/file"), 300'000U);
  EXPECT_EQ(fs::read_symlink(root_ / "to/link"), "sub/deep");
  EXPECT_EQ(read_small_file((root_ / "to/sub/already").c_str()), "here");
  struct stat status{};
  ASSERT_EQ(::stat((root_ / "to/mondo-restore.cfg").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0751U);
  EXPECT_TRUE(fs::is_empty(root_ / "from"));
}

TEST_F(MoveTree, NamesWhatItCannotMoveAndGoesOn) {
  ASSERT_EQ(::mkfifo((root_ / "from/fifo").c_str(), 0600), 0);
  put("from/zz", "still moved");
  std::vector<std::string> problems;
  move_tree(root_ / "from", root_ / "to", problems);
  EXPECT_THAT(problems, ::testing::ElementsAre(::testing::HasSubstr("from/fifo")));
  EXPECT_EQ(read_small_file((root_ / "to/zz").c_str()), "still moved");
}

TEST(SmallFiles, AreBounded) {
  EXPECT_EQ(read_small_file("/does/not/exist"), "");
  EXPECT_LE(read_small_file("/dev/zero").size(), 70'000U);
}

}  // namespace
}  // namespace muster::init
