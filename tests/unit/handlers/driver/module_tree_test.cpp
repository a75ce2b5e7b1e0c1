#include "handlers/driver/module_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kTree = "/lib/modules/6.1";

TEST(ModuleNames, HyphensAreUnderscoresButNotInBrackets) {
  EXPECT_EQ(normalised("snd-pcm"), "snd_pcm");
  EXPECT_EQ(normalised("of:N[a-z]T-x"), "of:N[a-z]T_x");
}

TEST(ModuleNames, AreFileNamesWithoutSuffixes) {
  const struct {
    const char* path;
    const char* name;
  } cases[] = {
      {"kernel/drivers/md/raid456.ko", "raid456"},
      {"kernel/sound/snd-pcm.ko.xz", "snd_pcm"},
      {"x.ko.zst", "x"},
      {"x.ko.gz", "x"},
      {"x.ko.bz2", ""},
      {"kernel/README", ""},
      {".ko", ""},
      {"", ""},
      {"kernel/a.ko/", ""},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(module_name_of(c.path), c.name) << c.path;
  }
}

TEST(SoftdepText, IsReadAsWrittenAndAsLibkmodPrintsIt) {
  const struct {
    const char* text;
    std::vector<std::string> pre;
    std::vector<std::string> post;
  } cases[] = {
      {"pre: a b post: c", {"a", "b"}, {"c"}},
      {"pre: realtek-xpost: libphy", {"realtek_x"}, {"libphy"}},
      {"post: c pre: a", {"a"}, {"c"}},
      {" pre: crypto-crc32c", {"crypto_crc32c"}, {}},
      {"gcm", {}, {}},
      {"", {}, {}},
      {"pre:", {}, {}},
  };
  for (const auto& c : cases) {
    const Softdep softdep = parse_softdep(c.text);
    EXPECT_EQ(softdep.pre, c.pre) << c.text;
    EXPECT_EQ(softdep.post, c.post) << c.text;
  }
}

TEST(ModuleTree, DependenciesComeInTheOrderOfInsertion) {
  const auto tree = ModuleTree::parse(
      {.dep = "kernel/a.ko: kernel/b-b.ko kernel/c.ko\nkernel/b-b.ko: kernel/c.ko\nkernel/c.ko:\n",
       .alias = {},
       .softdep = {},
       .builtin = {}},
      kTree);
  ASSERT_NE(tree.find("a"), nullptr);
  EXPECT_THAT(tree.find("a")->needs, ElementsAre("c", "b_b"));
  EXPECT_EQ(tree.find("b_b")->path, "kernel/b-b.ko");
  EXPECT_EQ(tree.find("d"), nullptr);
}

TEST(ModuleTree, LinesThatLieCostOnlyThemselves) {
  const auto tree = ModuleTree::parse({.dep = "no colon\n"
                                              "../../etc/evil.ko:\n"
                                              "kernel/../../evil.ko:\n"
                                              "/etc/evil.ko:\n"
                                              "/lib/modules/6.1/kernel/absolute.ko:\n"
                                              "/lib/modules/6.1x/kernel/beside.ko:\n"
                                              "kernel/odd.ko: something\n"
                                              ": kernel/good.ko\n"
                                              "\n"
                                              "kernel/good.ko:",
                                       .alias = {},
                                       .softdep = {},
                                       .builtin = {}},
                                      kTree);
  EXPECT_EQ(tree.size(), 2U);
  ASSERT_NE(tree.find("absolute"), nullptr);
  EXPECT_EQ(tree.find("absolute")->path, "kernel/absolute.ko");
  EXPECT_NE(tree.find("good"), nullptr);
  EXPECT_EQ(tree.find("evil"), nullptr);
  EXPECT_EQ(tree.lines_left_out(), 7U);
}

TEST(ModuleTree, AModuleWithEndlessDependenciesIsLeftOut) {
  std::string dep = "kernel/a.ko:";
  for (int i = 0; i < 10'000; ++i) {
    dep += " kernel/b.ko";
  }
  EXPECT_EQ(ModuleTree::parse({dep, {}, {}, {}}, kTree).size(), 0U);
}

TEST(ModuleTree, AliasesGiveAllThatMatchOnceInTheOrderOfTheFile) {
  const auto tree = ModuleTree::parse({.dep = {},
                                       .alias = "# Aliases\n"
                                                "alias pci:v00008086d*sv*sd*bc*sc*i* e1000e\n"
                                                "alias usb:v* usb-storage\n"
                                                "alias pci:v00008086d000010D3* snd-hda\n"
                                                "alias pci:*bc02* e1000e\n"
                                                "alias p?i:v* first\n"
                                                "alias md-level-5 raid456\n"
                                                "alias broken\n"
                                                "alias too many words\n",
                                       .softdep = {},
                                       .builtin = {}},
                                      kTree);
  EXPECT_THAT(tree.matching("pci:v00008086d000010D3sv0sd0bc02sc00i00"),
              ElementsAre("e1000e", "snd_hda", "first"));
  EXPECT_THAT(tree.matching("usb:v1"), ElementsAre("usb_storage"));
  EXPECT_THAT(tree.matching("md-level-5"), ElementsAre("raid456"));
  EXPECT_THAT(tree.matching("md_level_5"), ElementsAre("raid456"));
  EXPECT_THAT(tree.matching("pci:"), IsEmpty());
  EXPECT_THAT(tree.matching(""), IsEmpty());
  EXPECT_THAT(tree.matching(std::string("usb:v\0x", 7)), IsEmpty());
  EXPECT_THAT(tree.matching(std::string(100'000, 'x')), IsEmpty());
  EXPECT_EQ(tree.lines_left_out(), 2U);
}

TEST(ModuleTree, SoftdepsAndBuiltinModules) {
  const auto tree = ModuleTree::parse(
      {.dep = {},
       .alias = {},
       .softdep = "# Soft\nsoftdep ext4 pre: crypto-crc32c\nsoftdep\nnonsense x\n",
       .builtin = "kernel/fs/binfmt-script.ko\nrubbish\n"},
      kTree);
  ASSERT_NE(tree.softdep("ext4"), nullptr);
  EXPECT_THAT(tree.softdep("ext4")->pre, ElementsAre("crypto_crc32c"));
  EXPECT_EQ(tree.softdep("xfs"), nullptr);
  EXPECT_TRUE(tree.is_builtin("binfmt_script"));
  EXPECT_FALSE(tree.is_builtin("rubbish"));
}

TEST(ModuleTree, AliasesOfDevicesAreToldFromNames) {
  for (const char* alias :
       {"pci:v00008086d00002922sv*sd*bc*sc*i*", "usb:v*p*d*dc09dsc*dp*ic*isc*ip*in*",
        "virtio:d00000008v*", "scsi:t-0x00*", "acpi*:PNP0A08:*"}) {
    EXPECT_TRUE(is_device_alias(alias)) << alias;
  }
  for (const char* alias : {"fs-ext4", "md-raid5", "md-personality-4", "crypto-crc32c",
                            "char-major-10-236", "block-major-11-*", "devname:loop-control", ""}) {
    EXPECT_FALSE(is_device_alias(alias)) << alias;
  }
}

}  // namespace
}  // namespace muster::driver
