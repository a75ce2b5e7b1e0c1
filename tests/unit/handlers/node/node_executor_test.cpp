#include "handlers/node/node_executor.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <optional>
#include <thread>
#include <vector>

#include "tests/support/temp_tree.h"

namespace muster::node {
namespace {

namespace fs = std::filesystem;

TEST(RelativeTarget, LeadsFromTheLinkToTheDevice) {
  const struct {
    const char* path;
    const char* target;
    const char* text;
  } cases[] = {
      {"/dev/disk/by-uuid/X", "/dev/sda1", "../../sda1"},
      {"/dev/cdrom", "/dev/sr0", "sr0"},
      {"/dev/vg/lv", "/dev/mapper/vg-lv", "../mapper/vg-lv"},
      {"/dev/md/data", "/dev/md127", "../md127"},
      {"/dev/mapper/a", "/dev/mapper/b", "b"},
      {"/dev/a", "/dev/a/b", "a/b"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(relative_target(c.path, c.target), c.text) << c.path;
  }
}

TEST(Components, OnlyPlainPathsBelowDev) {
  EXPECT_EQ(components("/dev/disk/by-label/a b").value(),
            (std::vector<std::string>{"disk", "by-label", "a b"}));
  for (const std::string bad : {"/dev", "/dev/", "/dev//a", "/dev/a/", "/dev/../etc/passwd",
                                "/dev/a/../../etc", "/dev/.", "dev/a", "", "/etc/a", "/device/a"}) {
    EXPECT_FALSE(components(bad)) << bad;
  }
  EXPECT_FALSE(components(std::string("/dev/a\0b", 8)));
  EXPECT_FALSE(components("/dev/" + std::string(300, 'x')));
  EXPECT_FALSE(components("/dev/" + std::string(5000, '/')));
}

class NodeExecutorTest : public ::testing::Test {
 protected:
  NodeExecutorTest() {
    tree_.directory("/dev");
    root_.emplace(*Root::open(tree_.path()));
    executor_.emplace(*root_);
  }
  Result<Json> run(const std::string& verb, Json arguments) {
    return executor_->run({1, "node", verb, "", std::move(arguments), 0, ""});
  }
  bool link(const std::string& path, const std::string& target) {
    const auto result = run("link", {{"path", path}, {"target", target}});
    EXPECT_TRUE(result) << result.error().text;
    return result && (*result)["changed"].get<bool>();
  }
  bool unlink(Json arguments) {
    const auto result = run("unlink", std::move(arguments));
    EXPECT_TRUE(result) << result.error().text;
    return result && (*result)["removed"].get<bool>();
  }
  std::string target(const std::string& path) { return fs::read_symlink(tree_.path(path)); }
  bool exists(const std::string& path) {
    return fs::symlink_status(tree_.path(path)).type() != fs::file_type::not_found;
  }
  dev_t number(const std::string& path) {
    struct stat status = {};
    return ::lstat(tree_.path(path).c_str(), &status) == 0 && S_ISBLK(status.st_mode)
               ? status.st_rdev
               : 0;
  }
  std::size_t entries(const std::string& path) {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(tree_.path(path)), fs::directory_iterator()));
  }

  testing::TempTree tree_;
  std::optional<Root> root_;
  std::optional<NodeExecutor> executor_;
};

TEST_F(NodeExecutorTest, ALinkIsMadeWithItsDirectoriesAndMoved) {
  EXPECT_TRUE(link("/dev/disk/by-uuid/X", "/dev/sda1"));
  EXPECT_EQ(target("/dev/disk/by-uuid/X"), "../../sda1");
  EXPECT_FALSE(link("/dev/disk/by-uuid/X", "/dev/sda1"));
  EXPECT_TRUE(link("/dev/disk/by-uuid/X", "/dev/sdb1"));
  EXPECT_EQ(target("/dev/disk/by-uuid/X"), "../../sdb1");
  EXPECT_EQ(entries("/dev/disk/by-uuid"), 1U);  // no temporary is left
}

TEST_F(NodeExecutorTest, WhatIsNotALinkIsNeverReplaced) {
  tree_.file("/dev/cdrom", "precious");
  const auto result = run("link", {{"path", "/dev/cdrom"}, {"target", "/dev/sr0"}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::busy);
  EXPECT_EQ(tree_.text("/dev/cdrom"), "precious");
  tree_.directory("/dev/shm/x");
  EXPECT_FALSE(run("link", {{"path", "/dev/shm"}, {"target", "/dev/sr0"}}));
  EXPECT_FALSE(run("node", {{"path", "/dev/shm"}, {"devno", "8:0"}}));
  EXPECT_FALSE(run("node", {{"path", "/dev/cdrom"}, {"devno", "8:0"}}));
}

TEST_F(NodeExecutorTest, NoLinkOnTheWayIsFollowed) {
  tree_.directory("/etc").link("/dev/disk", "../etc");
  EXPECT_FALSE(run("link", {{"path", "/dev/disk/by-uuid/X"}, {"target", "/dev/sda"}}));
  EXPECT_EQ(entries("/etc"), 0U);
}

TEST_F(NodeExecutorTest, OnlyALinkThatStillPointsThereIsTakenAway) {
  link("/dev/disk/by-label/L", "/dev/sda1");
  EXPECT_FALSE(unlink({{"path", "/dev/disk/by-label/L"}, {"target", "/dev/sdb1"}}));
  EXPECT_TRUE(exists("/dev/disk/by-label/L"));
  EXPECT_TRUE(unlink({{"path", "/dev/disk/by-label/L"}, {"target", "/dev/sda1"}}));
  EXPECT_FALSE(exists("/dev/disk/by-label"));
  EXPECT_TRUE(exists("/dev/disk"));
  EXPECT_FALSE(unlink({{"path", "/dev/disk/by-label/L"}, {"target", "/dev/sda1"}}));
}

TEST_F(NodeExecutorTest, EmptyDirectoriesGoButNotThoseOfTheSystem) {
  link("/dev/vg/a", "/dev/dm-0");
  link("/dev/vg/b", "/dev/dm-1");
  EXPECT_TRUE(unlink({{"path", "/dev/vg/a"}}));
  EXPECT_TRUE(exists("/dev/vg"));
  EXPECT_TRUE(unlink({{"path", "/dev/vg/b"}}));
  EXPECT_FALSE(exists("/dev/vg"));
  link("/dev/mapper/x", "/dev/dm-0");
  EXPECT_TRUE(unlink({{"path", "/dev/mapper/x"}}));
  EXPECT_TRUE(exists("/dev/mapper"));
}

TEST_F(NodeExecutorTest, ANodeIsMadeAndReplacesAnotherOrALink) {
  link("/dev/md0", "/dev/md127");
  const auto make = [&](const char* devno) {
    return run("node", {{"path", "/dev/md0"}, {"devno", devno}});
  };
  EXPECT_EQ(make("9:127").value()["changed"], true);
  EXPECT_EQ(number("/dev/md0"), makedev(9, 127));
  EXPECT_EQ(make("9:127").value()["changed"], false);
  EXPECT_EQ(make("9:126").value()["changed"], true);
  EXPECT_EQ(number("/dev/md0"), makedev(9, 126));
  EXPECT_FALSE(make("nine"));
  EXPECT_FALSE(run("link", {{"path", "/dev/md0"}, {"target", "/dev/md126"}}));
}

TEST_F(NodeExecutorTest, ANodeIsTakenAwayUnlessItIsTheKernelsOwn) {
  run("node", {{"path", "/dev/md0"}, {"devno", "9:127"}}).value();
  EXPECT_FALSE(unlink({{"path", "/dev/md0"}, {"devno", "9:126"}}));
  EXPECT_FALSE(unlink({{"path", "/dev/md0"}, {"target", "/dev/md127"}}));
  tree_.file("/sys/dev/block/9:127/uevent", "MAJOR=9\nMINOR=127\nDEVNAME=md0\nDEVTYPE=disk\n");
  EXPECT_FALSE(unlink({{"path", "/dev/md0"}}));
  EXPECT_TRUE(exists("/dev/md0"));
  tree_.file("/sys/dev/block/9:127/uevent", "MAJOR=9\nMINOR=127\nDEVNAME=md127\nDEVTYPE=disk\n");
  EXPECT_TRUE(unlink({{"path", "/dev/md0"}}));
  EXPECT_FALSE(exists("/dev/md0"));
  tree_.file("/dev/file", "x");
  EXPECT_FALSE(unlink({{"path", "/dev/file"}}));
}

TEST_F(NodeExecutorTest, BadArgumentsAreRefused) {
  EXPECT_FALSE(run("link", {{"path", "/etc/passwd"}, {"target", "/dev/sda"}}));
  EXPECT_FALSE(run("link", {{"path", "/dev/x"}, {"target", "/etc/passwd"}}));
  EXPECT_FALSE(run("link", {{"path", "/dev/x"}}));
  EXPECT_FALSE(run("unlink", {{"target", "/dev/x"}}));
  EXPECT_FALSE(run("explode", Json::object()));
}

TEST_F(NodeExecutorTest, MakingAndEmptyingADirectorySideBySide) {
  // Each makes and removes its own link in a directory that goes with the last one.
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const std::string path = "/dev/disk/by-id/x" + std::to_string(i);
      for (int round = 0; round < 200; ++round) {
        const auto made = run("link", {{"path", path}, {"target", "/dev/sda"}});
        const auto gone = run("unlink", {{"path", path}, {"target", "/dev/sda"}});
        failures += !made || !gone || !(*gone)["removed"].get<bool>() ? 1 : 0;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(failures, 0);
}

}  // namespace
}  // namespace muster::node
