#include "handlers/tool.h"

#include <gtest/gtest.h>

#include "tests/support/temp_tree.h"

namespace muster {
namespace {

TEST(LastWords, AreTheLastLinesAsOne) {
  EXPECT_EQ(last_words(""), "");
  EXPECT_EQ(last_words("\n \n"), "");
  EXPECT_EQ(last_words("one\n"), "one");
  EXPECT_EQ(last_words("a\n  b  \n\nc\nd"), "b; c; d");
  EXPECT_EQ(last_words("esc\x1b[2J"), "esc\\x1b[2J");
  const std::string words = last_words(std::string(5000, 'x'));
  EXPECT_LE(words.size(), 310U);
  EXPECT_EQ(words.substr(0, 4), "...x");
}

TEST(FindTool, PrefersWhatTheImageBrought) {
  testing::TempTree tree;
  const Root root = *Root::open(tree.path());
  EXPECT_EQ(find_tool(root, "lvm").error().code, Errc::not_found);
  tree.file("/sbin/lvm", "");
  EXPECT_EQ(find_tool(root, "lvm").value(), tree.path("/sbin/lvm"));
  tree.file("/usr/lib/muster/bin/lvm", "");
  EXPECT_EQ(find_tool(root, "lvm").value(), tree.path("/usr/lib/muster/bin/lvm"));
}

TEST(RunTool, AnErrorSaysHowItEndedAndWhatWasSaid) {
  EXPECT_EQ(run_tool({"/bin/sh", "-c", "echo fine"}).value(), "fine\n");
  const auto failed = run_tool({"/bin/sh", "-c", "echo cause >&2; exit 5"});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::io);
  EXPECT_NE(failed.error().text.find("5"), std::string::npos);
  EXPECT_NE(failed.error().text.find("cause"), std::string::npos);
  ChildOptions options;
  options.deadline_ms = 100;
  options.kill_late = true;
  const auto late = run_tool({"/bin/sh", "-c", "exec tail -f /dev/null"}, options);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::timeout);
  EXPECT_FALSE(run_tool({"/nowhere"}));
}

}  // namespace
}  // namespace muster
