#include "daemon/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace muster {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kConfig = "files-in-filelist 3\nbackup-media-type cdr\n";
constexpr const char* kMountlist = "/dev/sda1 / ext3 20000\n";

nlohmann::json facts(const char* command_line) {
  return {{"command_line", command_line},
          {"mondo-restore.cfg", kConfig},
          {"mountlist.txt", kMountlist}};
}

std::string all_diagnostics(const Plan& plan) {
  std::string text;
  for (const auto& diagnostic : plan.diagnostics) {
    text += to_text(diagnostic) + "\n";
  }
  return text;
}

TEST(Plan, MondosOwnWordsChooseTheMode) {
  EXPECT_EQ(make_plan(facts("quiet nuke_mode"), {}).mode, Mode::nuke);
  EXPECT_EQ(make_plan(facts("quiet compare_mode"), {}).mode, Mode::compare);
  EXPECT_EQ(make_plan(facts("quiet"), {}).mode, Mode::interactive);
  EXPECT_EQ(make_plan(facts("quiet prefix=nuke"), {}).mode, Mode::interactive);
}

TEST(Plan, ADoubtAboutTheFilesNeverEndsInANuke) {
  auto without = facts("nuke_mode");
  without.erase("mountlist.txt");
  const auto plan = make_plan(without, {});
  EXPECT_EQ(plan.mode, Mode::interactive);
  EXPECT_EQ(plan.mode_asked, Mode::nuke);
  EXPECT_THAT(all_diagnostics(plan), HasSubstr("nuke without a mountlist: interactive instead"));

  auto misread = facts("nuke_mode");
  misread["mountlist.txt"] =
      "/dev/sda1 / ext3 20000\n/dev/sda2 /home ext3 3000";  // the last line is lost
  EXPECT_EQ(make_plan(misread, {}).mode, Mode::interactive);
  EXPECT_THAT(all_diagnostics(make_plan(misread, {})), HasSubstr("misread"));
}

TEST(Plan, ANukeNeedsEveryFileReadAsItIsWritten) {
  struct Case {
    const char* key;
    const char* text;
    Mode mode;
    const char* line;  // the last one that is said; empty: none
  };
  const std::vector<Case> cases{
      {"mountlist.txt", "/dev/sda1 / ext3 20000\n/dev/sda2 /home ext3 3000", Mode::interactive,
       "/tmp/mountlist.txt:2: nuke with a mountlist that mondorestore would misread: interactive "
       "instead"},
      {"i-want-my-lvm", "# vgcreate vg1 /dev/sda1\n", Mode::nuke, ""},
      {"i-want-my-lvm", "", Mode::nuke, ""},
      {"i-want-my-lvm", "# vgcreate vg1 /dev/sda1\n\nand so on\n", Mode::interactive,
       "/tmp/i-want-my-lvm:3: nuke with an LVM recipe that mondorestore would misread: interactive "
       "instead"},
      {"raidtab", "raiddev /dev/md0\nraid-level 1\n", Mode::nuke, ""},
      {"raidtab", "raiddev /dev/md0\nraid-level five\nraid-level 1\n", Mode::interactive,
       "/etc/raidtab:2: nuke with a raidtab that mondorestore would misread: interactive instead"},
      {"raidtab",
       "raiddev /dev/md0\nraid-level 1\nnr-raid-disks 2\ndevice /dev/sda2\nraid-disk 0\ndevice "
       "/dev/sdc1\nraid-disk 1\n",
       Mode::interactive,
       "/etc/raidtab:6: nuke with \"/dev/sdc1\" in /dev/md0, which the mountlist does not name: "
       "interactive instead"},
      {"raidtab",
       "raiddev /dev/md0\nraid-level 1\nnr-raid-disks 1\ndevice /dev/sda2\nraid-disk 0\n",
       Mode::nuke, ""},
      {"mondo-restore.cfg", "files-in-filelist 3\nbackup-media-type dvd\ndifferential 1\n",
       Mode::interactive,
       "/tmp/mondo-restore.cfg: nuke of a differential backup: interactive instead"},
  };
  for (const auto& c : cases) {
    auto given = facts("nuke_mode");
    given[c.key] = c.text;
    const auto plan = make_plan(given, {});
    EXPECT_EQ(plan.mode, c.mode) << c.text;
    EXPECT_EQ(plan.mode_asked, Mode::nuke) << c.text;
    EXPECT_EQ(plan.diagnostics.empty() ? "" : to_text(plan.diagnostics.back()), c.line);

    // Nobody is nuked because a file is in doubt.
    given["command_line"] = "compare_mode";
    EXPECT_EQ(make_plan(given, {}).mode, Mode::compare) << c.text;

    // The medium's copy is the one that counts.
    const auto from_medium = make_plan(facts("nuke_mode"), {{c.key, c.text}});
    EXPECT_EQ(from_medium.mode, c.mode) << c.text;
  }
}

TEST(Plan, TheMediumsFilesWinOverTheImages) {
  const auto plan = make_plan(
      facts("compare_mode"), {{"mondo-restore.cfg", "files-in-filelist 3\nbackup-media-type dvd\n"},
                              {"mountlist.txt", "/dev/md0 / ext3 20000\n"}});
  EXPECT_TRUE(plan.from_medium);
  EXPECT_EQ(plan.config.media_type, medium::MediaType::dvd);
  EXPECT_EQ(plan.image_config.media_type, medium::MediaType::cdr);
  ASSERT_EQ(plan.mountlist.entries.size(), 1U);
  EXPECT_EQ(plan.mountlist.entries[0].device, "/dev/md0");
}

TEST(Plan, NothingAtAllIsAPlanThatWaitsForTheMedium) {
  const auto plan = make_plan(nlohmann::json::object(), {});
  EXPECT_EQ(plan.mode, Mode::interactive);
  EXPECT_FALSE(plan.has_config);
  EXPECT_FALSE(plan.has_mountlist);
  EXPECT_THAT(all_diagnostics(plan), IsEmpty());
}

TEST(Plan, FactsOfAnotherTypeAreNoFacts) {
  const auto plan = make_plan(
      {{"command_line", 7}, {"mondo-restore.cfg", nullptr}, {"mountlist.txt", {1, 2}}}, {});
  EXPECT_FALSE(plan.has_config);
  EXPECT_FALSE(plan.has_mountlist);
}

}  // namespace
}  // namespace muster
