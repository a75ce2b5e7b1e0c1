#include "initramfs/muster_modprobe/module_index.h"

#include <gmock/gmock.h>

#include "initramfs/muster_modprobe/load_plan.h"

namespace muster::modprobe {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kIndex =
    "#muster-modules 1\n"
    "a crypto_crc32c =crc32c_intel =crc32c_generic\n"
    "a md_level_5 ?crc32c_generic,libcrc32c,=raid456,?late\n"
    "a md_level_55 =other\n"
    "a net_pf_10 -\n"
    "f crc32c_generic kernel/crypto/crc32c_generic.ko\n"
    "f raid456 kernel/drivers/md/raid456.ko devices_handle_discard_safely=Y x=\"a b\"\n"
    "f up kernel/../../etc/passwd\n"
    "f rooted /etc/passwd\n"
    "i raid456\n"
    "m raid456 libcrc32c,=raid456\n"
    "p block_major_9_* =md_mod\n"
    "p block_major_9_12? =second\n";

TEST(ModuleIndex, FindsNamesAliasesAndBuiltins) {
  const ModuleIndex index(kIndex);
  ASSERT_TRUE(index.valid());

  const auto crc = index.find("crypto_crc32c");
  ASSERT_TRUE(crc);
  EXPECT_TRUE(crc->by_alias);
  EXPECT_THAT(crc->groups, ElementsAre(ElementsAre(Step{"crc32c_intel", Role::target}),
                                       ElementsAre(Step{"crc32c_generic", Role::target})));

  const auto level = index.find("md_level_5");
  ASSERT_TRUE(level);
  EXPECT_THAT(level->groups,
              ElementsAre(ElementsAre(
                  Step{"crc32c_generic", Role::optional}, Step{"libcrc32c", Role::dependency},
                  Step{"raid456", Role::target}, Step{"late", Role::optional})));

  const auto own = index.find("raid456");
  ASSERT_TRUE(own);
  EXPECT_FALSE(own->by_alias);

  const auto builtin = index.find("net_pf_10");
  ASSERT_TRUE(builtin);
  EXPECT_TRUE(builtin->builtin);
  EXPECT_THAT(builtin->groups, IsEmpty());
}

TEST(ModuleIndex, PatternsAddUpInTheirOrder) {
  const ModuleIndex index(kIndex);
  const auto md = index.find("block_major_9_127");
  ASSERT_TRUE(md);
  EXPECT_TRUE(md->by_alias);
  EXPECT_THAT(md->groups, ElementsAre(ElementsAre(Step{"md_mod", Role::target}),
                                      ElementsAre(Step{"second", Role::target})));
  EXPECT_FALSE(index.find("block_major_9"));
}

TEST(ModuleIndex, DoesNotKnowTheRest) {
  const ModuleIndex index(kIndex);
  for (const char* name : {"", "md_level_", "md_level_6", "zzz", "a", "raid456 ", "m raid456",
                           "md_level_5\nf", "aaaa"}) {
    EXPECT_FALSE(index.find(name)) << name;
  }
  EXPECT_FALSE(index.find(std::string(100'000, 'x')));
}

TEST(ModuleIndex, FilesStayBelowTheTree) {
  const ModuleIndex index(kIndex);
  const auto raid = index.file_of("raid456");
  ASSERT_TRUE(raid);
  EXPECT_EQ(raid->path, "kernel/drivers/md/raid456.ko");
  EXPECT_EQ(raid->options, "devices_handle_discard_safely=Y x=\"a b\"");
  EXPECT_EQ(index.file_of("crc32c_generic")->options, "");
  EXPECT_FALSE(index.file_of("up"));
  EXPECT_FALSE(index.file_of("rooted"));
  EXPECT_FALSE(index.file_of("md_mod"));
  EXPECT_TRUE(index.has_install_line("raid456"));
  EXPECT_FALSE(index.has_install_line("libcrc32c"));
}

TEST(ModuleIndex, EveryLineOfALongIndexIsFound) {
  std::string text = std::string(kIndexHeader) + "\n";
  constexpr int kLines = 1000;
  for (int i = 0; i < kLines; ++i) {
    char line[64];
    std::snprintf(line, sizeof line, "m mod%04d =mod%04d\n", i, i);
    text += line;
  }
  const ModuleIndex index(text);
  for (int i = 0; i < kLines; ++i) {
    char name[16];
    std::snprintf(name, sizeof name, "mod%04d", i);
    const auto found = index.find(name);
    ASSERT_TRUE(found) << name;
    EXPECT_THAT(found->groups, ElementsAre(ElementsAre(Step{name, Role::target})));
  }
}

TEST(ModuleIndex, BelievesNothing) {
  for (const std::string text :
       {"", "\n", "#muster-modules 2\nm a =a\n", "m a =a\n", "#muster-modules 1"}) {
    EXPECT_FALSE(ModuleIndex(text).find("a")) << text;
  }
  const std::string header = std::string(kIndexHeader) + "\n";
  for (const std::string line : {"m a", "m a ", "m a =", "m a ?", "m a ,", "m a b", "m a =../b",
                                 "m a =a/b", "m a =.", "m a ?a,b"}) {
    EXPECT_FALSE(ModuleIndex(header + line).find("a")) << line;
    EXPECT_FALSE(ModuleIndex(header + line + "\n").find("a")) << line;
  }
  // a group without end is dropped, the next one is taken
  std::string endless = header + "m a ";
  for (int i = 0; i < 5000; ++i) {
    endless += "x,";
  }
  EXPECT_FALSE(ModuleIndex(endless + "=a\n").find("a"));
  // without the last newline
  EXPECT_TRUE(ModuleIndex(header + "m a =a").find("a"));
  // cut anywhere: no crash, and never another module's file
  const std::string whole = kIndex;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    const ModuleIndex index(cut);
    (void)index.find("block_major_9_127");
    const auto file = index.file_of("raid456");
    if (file) {
      EXPECT_TRUE(std::string_view("kernel/drivers/md/raid456.ko").starts_with(file->path));
    }
  }
}

TEST(Normalize, UnderscoresExceptInBrackets) {
  EXPECT_EQ(normalize("md-level-5"), "md_level_5");
  EXPECT_EQ(normalize("a[b-c]-d"), "a[b-c]_d");
  EXPECT_EQ(normalize("a[b-c"), "a[b-c");
}

TEST(Matches, AsFnmatch) {
  struct Case {
    const char* pattern;
    const char* name;
    bool matches;
  };
  const Case cases[] = {
      {"block_major_9_*", "block_major_9_127", true},
      {"block_major_9_*", "block_major_9_", true},
      {"block_major_9_*", "block_major_9", false},
      {"*", "", true},
      {"", "", true},
      {"", "a", false},
      {"a?c", "abc", true},
      {"a?c", "ac", false},
      {"*b*d", "abcd", true},
      {"*b*d", "abcdb", false},
      {"*aab", "aaaaab", true},
      {"a[0-9]", "a5", true},
      {"a[0-9]", "ax", false},
      {"a[!0-9]", "ax", true},
      {"a[]x]", "a]", true},
      {"a[", "a[", false},
      {"a[0-9", "a5", false},
      {"[a-]x", "-x", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(matches(c.pattern, c.name), c.matches) << c.pattern << " " << c.name;
  }
  EXPECT_FALSE(matches(std::string(200, '*') + "b", std::string(2000, 'a')));
}

TEST(CommandLine, OptionsAndBlacklistAsKmodReadsThem) {
  const CommandLine line(
      "quiet root=/dev/sda.1 modprobe.blacklist=ahci,sd-mod md-mod.start_ro=1 loop.max_loop=8 "
      "md_mod.flag x.y=\"a b\" .z=1 end.\n");
  EXPECT_TRUE(line.is_blacklisted("ahci"));
  EXPECT_TRUE(line.is_blacklisted("sd_mod"));
  EXPECT_FALSE(line.is_blacklisted("quiet"));
  EXPECT_EQ(line.options_of("md_mod"), "start_ro=1 flag");
  EXPECT_EQ(line.options_of("loop"), "max_loop=8");
  EXPECT_EQ(line.options_of("x"), "y=\"a b\"");
  EXPECT_EQ(line.options_of("root=/dev/sda"), "");
  EXPECT_EQ(line.options_of("end"), "");
}

TEST(RequestedName, OfTheKernelAndOfPeople) {
  const auto name = [](std::vector<const char*> argv) {
    return std::string(requested_name(static_cast<int>(argv.size()), argv.data()));
  };
  EXPECT_EQ(name({"modprobe", "-q", "--", "fs-ext4"}), "fs-ext4");
  EXPECT_EQ(name({"modprobe", "-q", "--", "-odd"}), "-odd");
  EXPECT_EQ(name({"modprobe", "raid1"}), "raid1");
  EXPECT_EQ(name({"modprobe", "-q"}), "");
  EXPECT_EQ(name({"modprobe"}), "");
}

}  // namespace
}  // namespace muster::modprobe
