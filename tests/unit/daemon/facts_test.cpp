#include "daemon/facts.h"

#include <gmock/gmock.h>

#include "tests/support/temp_tree.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::TempTree;

class FactsTest : public ::testing::Test {
 protected:
  FactsTest() : root_(Root::open(tree_.path()).value()) {}
  TempTree tree_;
  Root root_;
  std::vector<std::string> notes_;
};

TEST_F(FactsTest, PasswordsDoNotReachTheEngine) {
  tree_.file("/proc/cmdline", "nuke muster.password=geheim u=ftp://me:geheim@host/x\n")
      .file("/etc/muster/muster.toml", "mode = \"nuke\"\npassword = \"geheim\"\n")
      .file("/tmp/mondo-restore.cfg", "netfs-password geheim\nbackup-media-type cdr\n");
  const auto facts = read_facts(root_, {}, notes_);
  EXPECT_EQ(facts.dump().find("geheim"), std::string::npos) << facts.dump();
  EXPECT_EQ(facts["command_line"], "nuke muster.password=*** u=ftp://me:***@host/x\n");
  EXPECT_EQ(facts["muster.toml"], "mode = \"nuke\"\npassword = \"***\"\n");
  EXPECT_EQ(facts["mondo-restore.cfg"], "netfs-password ***\nbackup-media-type cdr\n");
}

TEST_F(FactsTest, WhatIsThereIsReadAsItIs) {
  tree_.file("/proc/cmdline", "quiet nuke\n")
      .file("/proc/filesystems", "nodev\tsysfs\n\text4\n")
      .file("/proc/sys/kernel/osrelease", "6.1.0\n")
      .file("/sys/module/md_mod/parameters/start_ro", "0\n")
      .file("/etc/muster/muster.toml", "mode = \"nuke\"\n")
      .file("/tmp/mondo-restore.cfg", "backup-media-type cdr\n")
      .file("/tmp/mountlist.txt", "/dev/sda1 / ext4 100\n")
      .file("/tmp/i-want-my-lvm", "LVM:2\n")
      .file("/etc/raidtab", "raiddev /dev/md0\n");
  const Json expected = {{"command_line", "quiet nuke\n"},
                         {"filesystems", "nodev\tsysfs\n\text4\n"},
                         {"kernel", "6.1.0"},
                         {"start_ro", "0"},
                         {"muster.toml", "mode = \"nuke\"\n"},
                         {"mondo-restore.cfg", "backup-media-type cdr\n"},
                         {"mountlist.txt", "/dev/sda1 / ext4 100\n"},
                         {"i-want-my-lvm", "LVM:2\n"},
                         {"raidtab", "raiddev /dev/md0\n"},
                         {"udevd", false}};
  EXPECT_EQ(read_facts(root_, {}, notes_), expected);
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(FactsTest, WhatIsMissingIsAbsentWhatCannotBeReadIsNamed) {
  tree_.file("/run/udev/control", "")
      .directory("/tmp/mountlist.txt")
      .file("/etc/raidtab", std::string(kMaxFactFile + 1, 'x'));
  EXPECT_EQ(read_facts(root_, {}, notes_), Json({{"udevd", true}}));
  EXPECT_THAT(notes_, ElementsAre("/tmp/mountlist.txt: Is a directory",
                                  "/etc/raidtab: more than 1048576 bytes"));
}

TEST_F(FactsTest, ADaemonThatIsStartedAgainSeesWhatTheFirstOneSaw) {
  tree_.file("/tmp/mondo-restore.cfg", "image\n").file("/proc/cmdline", "one\n");
  const FactFiles files{.config = "/etc/muster/muster.toml", .keep = "/run/muster/image"};
  EXPECT_EQ(read_facts(root_, files, notes_)["mondo-restore.cfg"], "image\n");
  // The medium's tools were unpacked over them.
  tree_.file("/tmp/mondo-restore.cfg", "medium\n")
      .file("/tmp/mountlist.txt", "medium\n")
      .file("/proc/cmdline", "two\n");
  const Json again = read_facts(root_, files, notes_);
  EXPECT_EQ(again["mondo-restore.cfg"], "image\n");
  EXPECT_FALSE(again.contains("mountlist.txt"));
  EXPECT_EQ(again["command_line"], "two\n");
  EXPECT_EQ(read_facts(root_, {}, notes_)["mondo-restore.cfg"], "medium\n");
  EXPECT_THAT(notes_, IsEmpty());
}

TEST_F(FactsTest, RuleFilesOverrideByName) {
  tree_.file("/usr/rules.d/10-a.rules", "shipped a")
      .file("/usr/rules.d/20-b.rules", "shipped b")
      .file("/usr/rules.d/30-c.rules", "shipped c")
      .file("/usr/rules.d/README", "no rules")
      .file("/etc/rules.d/20-b.rules", "local b")
      .file("/etc/rules.d/15-x.rules", "local x")
      .directory("/etc/rules.d/40-broken.rules");
  const auto sources = read_rules(root_, {"/usr/rules.d", "/etc/rules.d", "/none"}, notes_);
  std::vector<std::string> found;
  for (const auto& source : sources) {
    found.push_back(source.name + ": " + source.text);
  }
  EXPECT_THAT(
      found, ElementsAre("/usr/rules.d/10-a.rules: shipped a", "/etc/rules.d/15-x.rules: local x",
                         "/etc/rules.d/20-b.rules: local b", "/usr/rules.d/30-c.rules: shipped c"));
  EXPECT_THAT(notes_, ElementsAre("/etc/rules.d/40-broken.rules: Is a directory"));
}

TEST(Rules, ALinkToDevNullSwitchesAFileOff) {
  TempTree tree;
  tree.file("/one/10-a.rules", "shipped").link("/two/10-a.rules", "/dev/null");
  std::vector<std::string> notes;
  const auto sources =
      read_rules(Root::open("/").value(), {tree.path("/one"), tree.path("/two")}, notes);
  EXPECT_THAT(sources, IsEmpty());
  EXPECT_THAT(notes, IsEmpty());
}

}  // namespace
}  // namespace muster
