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
