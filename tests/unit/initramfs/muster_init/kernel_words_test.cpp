#include "initramfs/muster_init/kernel_words.h"

#include <gmock/gmock.h>

namespace muster::init {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(KernelWords, SplitsAtBlanksButNotWithinQuotes) {
  EXPECT_THAT(split_command_line("quiet  console=ttyS0,115200 muster.shell\n"),
              ElementsAre("quiet", "console=ttyS0,115200", "muster.shell"));
  EXPECT_THAT(split_command_line("a=\"b c\" \"d e=f\" \"\""), ElementsAre("a=b c", "d e=f", ""));
  EXPECT_THAT(split_command_line("x=\"never closed"), ElementsAre("x=never closed"));
  EXPECT_THAT(split_command_line(" \n"), IsEmpty());
}

TEST(KernelWords, WordsAreWhole) {
  const auto words = split_command_line("muster.shell=no xmuster.shell");
  EXPECT_FALSE(has_word(words, "muster.shell"));
  EXPECT_TRUE(has_word(split_command_line("a muster.shell b"), "muster.shell"));
}

TEST(KernelWords, TerminalOfAConsole) {
  const std::pair<const char*, const char*> cases[] = {
      {"tty0", "linux"},    {"tty1", "linux"}, {"", "linux"},        {"ttyS0", "vt102"},
      {"ttyAMA0", "vt102"}, {"hvc0", "vt102"}, {"ttyUSB0", "vt102"}, {"tty", "vt102"},
  };
  for (const auto& [tty, term] : cases) {
    EXPECT_EQ(term_for_tty(tty), term) << tty;
  }
}

TEST(KernelWords, TheLastConsoleIsTheOne) {
  EXPECT_EQ(last_word("tty0 ttyS0\n"), "ttyS0");
  EXPECT_EQ(last_word("tty0\n"), "tty0");
  EXPECT_EQ(last_word("\n"), "");
}

}  // namespace
}  // namespace muster::init
