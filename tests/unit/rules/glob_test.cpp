#include "rules/glob.h"

#include <fnmatch.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace muster::rules {
namespace {

struct Case {
  std::string pattern;
  std::string text;
  bool matches;
};

TEST(Glob, MatchesAsUdevsGlobsDo) {
  const Case cases[] = {
      {"", "", true},
      {"", "a", false},
      {"sd*", "sda1", true},
      {"sd*", "sd", true},
      {"sd*", "hda", false},
      {"?*", "", false},
      {"?*", "x", true},
      {"sd?", "sda", true},
      {"sd?", "sd", false},
      {"sd?", "sdaa", false},
      {"tty[SR]", "ttyS", true},
      {"tty[SR]", "ttyT", false},
      {"md[0-9]*", "md127", true},
      {"md[0-9]*", "md_d0", false},
      {"[!0-9]", "a", true},
      {"[!0-9]", "5", false},
      {"[^0-9]", "a", true},
      {"[!0-9]", "", false},
      {"[]]", "]", true},
      {"[!]]", "]", false},
      {"[a-]", "-", true},
      {"[", "[", true},
      {"[a", "[a", true},
      {"x[*", "x[yz", true},
      {"[z-a]", "b", false},
      {"[[:digit:]]*", "7up", true},
      {"[[:alpha:]]*", "7up", false},
      {"\\*", "*", true},
      {"\\*", "a", false},
      {"a\\", "a", false},
      {"*/host?/*", "/devices/pci0000:00/host0/target0:0:0", true},
      {"*.rules", ".rules", true},
      {"*a*b*c", "xxaxxbxxbxc", true},
      {"*a*b*c", "xxaxxcxxb", false},
      {"?", "\xc3\xa4", false},  // bytes: udevd runs in the C locale
      {"??", "\xc3\xa4", true},
      {"[\x80-\xff]", "\xc3", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Glob(c.pattern).matches(c.text), c.matches) << c.pattern << " against " << c.text;
  }
}

TEST(Glob, FoldsCaseWhenAsked) {
  EXPECT_TRUE(Glob("SD[A-C]*", true).matches("sdb1"));
  EXPECT_TRUE(Glob("sd[a-c]*", true).matches("SDB1"));
  EXPECT_TRUE(Glob("[[:upper:]]", true).matches("a"));
  EXPECT_FALSE(Glob("SD*", true).matches("hda"));
  EXPECT_FALSE(Glob("SD*").matches("sda"));
}

// The oracle is the function that udev itself calls.
TEST(Glob, AgreesWithFnmatchOnRandomPatterns) {
  const std::string pattern_alphabet = "ab01*?[]!-\\^:.=A";
  const std::string text_alphabet = "ab01[]-\\!A*";
  std::mt19937 random(20240117);
  const auto pick = [&](const std::string& alphabet, std::size_t longest) {
    std::string text(std::uniform_int_distribution<std::size_t>(0, longest)(random), ' ');
    for (char& c : text) {
      c = alphabet[std::uniform_int_distribution<std::size_t>(0, alphabet.size() - 1)(random)];
    }
    return text;
  };
  int matched = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::string pattern = pick(pattern_alphabet, 8);
    const std::string text = pick(text_alphabet, 5);
    for (const bool ignore_case : {false, true}) {
      const bool expected =
          fnmatch(pattern.c_str(), text.c_str(), ignore_case ? FNM_CASEFOLD : 0) == 0;
      ASSERT_EQ(Glob(pattern, ignore_case).matches(text), expected)
          << pattern << " against " << text << (ignore_case ? " (any case)" : "");
      matched += expected ? 1 : 0;
    }
  }
  EXPECT_GT(matched, 2000);  // or the comparison says nothing
}

TEST(Glob, ManyStarsTakeNoExponentialTime) {
  std::string pattern;
  for (int i = 0; i < 200; ++i) {
    pattern += "*a";
  }
  const std::string text = std::string(20000, 'a');
  EXPECT_FALSE(Glob(pattern + "*b").matches(text));
  EXPECT_TRUE(Glob(pattern + "*").matches(text));
}

}  // namespace
}  // namespace muster::rules
