#include "handlers/target/lvm_recipe.h"

#include <gmock/gmock.h>

namespace muster::target {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::string_literals;

LvmRecipe parse(std::string_view text) {
  return parse_lvm_recipe(text, "i-want-my-lvm");
}

std::vector<std::string> texts(const LvmRecipe& recipe) {
  std::vector<std::string> out;
  for (const TextDiagnostic& diagnostic : recipe.diagnostics) {
    out.push_back(to_text(diagnostic));
  }
  return out;
}

TEST(LvmRecipe, ReadsTheSample) {
  const LvmRecipe recipe = parse(
      "LVM 2 was found on this machine\n"
      ">>>>> /dev/sdb3\n"
      "# lvm vgchange -an\n"
      "# echo y | lvm pvcreate -ff /dev/sdb3\n"
      "# lvm vgscan\n"
      "# lvm vgcreate vg1 -l 255 -p 255 -s 4m  /dev/sdb3\n"
      "# lvm vgchange -a y vg1\n"
      "# lvm lvcreate -i 1 -L 20480m -n home vg1\n"
      "# lvm vgscan\n");
  EXPECT_THAT(texts(recipe), IsEmpty());
  EXPECT_TRUE(recipe.as_written);
  EXPECT_THAT(recipe.commands,
              ElementsAre(RecipeCommand{"lvm vgchange -an", 3},
                          RecipeCommand{"echo y | lvm pvcreate -ff /dev/sdb3", 4},
                          RecipeCommand{"lvm vgscan", 5},
                          RecipeCommand{"lvm vgcreate vg1 -l 255 -p 255 -s 4m  /dev/sdb3", 6},
                          RecipeCommand{"lvm vgchange -a y vg1", 7},
                          RecipeCommand{"lvm lvcreate -i 1 -L 20480m -n home vg1", 8},
                          RecipeCommand{"lvm vgscan", 9}));
  EXPECT_THAT(recipe.pvs, ElementsAre("/dev/sdb3"));
  EXPECT_THAT(recipe.vgs, ElementsAre(RecipeVg{"vg1", {"/dev/sdb3"}, 6}));
  EXPECT_THAT(recipe.lvs, ElementsAre(RecipeLv{"vg1", "home", 8}));
}

TEST(LvmRecipe, ContinuesAVgcreateOverLinesWithoutHash) {
  const LvmRecipe recipe = parse(
      "# vgcreate vg1 -s 4m /dev/sda1\n"
      "/dev/sdb1\n"
      "  /dev/md0\n"
      "# vgscan\n"
      "prose\n");
  EXPECT_THAT(texts(recipe), IsEmpty());
  EXPECT_THAT(recipe.vgs, ElementsAre(RecipeVg{"vg1", {"/dev/sda1", "/dev/sdb1", "/dev/md0"}, 1}));
  EXPECT_EQ(recipe.commands[0].text, "vgcreate vg1 -s 4m /dev/sda1 /dev/sdb1   /dev/md0");
  EXPECT_THAT(recipe.commands, SizeIs(2));

  const LvmRecipe swallowed = parse("# vgcreate vg1 /dev/sda1\n\nand so on\n");
  EXPECT_FALSE(swallowed.as_written);
  EXPECT_THAT(
      texts(swallowed),
      ElementsAre("i-want-my-lvm:3: mondorestore takes this line as part of the vgcreate in "
                  "line 1: \"and so on\""));
}

TEST(LvmRecipe, UnderstandsTheWaysToWriteACommand) {
  struct Case {
    std::string command;
    std::vector<std::string> pvs;
    std::vector<std::string> lvs;  // VG/LV
  };
  const std::vector<Case> cases{
      {"/sbin/vgcreate -s 4m vg /dev/sda1 /dev/sdb1", {"/dev/sda1", "/dev/sdb1"}, {}},
      {"vgcreate --physicalextentsize 4m vg /dev/sda1", {"/dev/sda1"}, {}},
      {"vgcreate --autobackup=y vg /dev/sda1", {"/dev/sda1"}, {}},
      {"vgcreate /dev/vg /dev/sda1", {"/dev/sda1"}, {}},
      {"vgcreate -f vg '/dev/sda1'", {"/dev/sda1"}, {}},
      {"vgcreate vg /dev/sda1; vgextend vg /dev/sdb1", {"/dev/sda1", "/dev/sdb1"}, {}},
      {"vgcreate vg /dev/sda1 && lvcreate -nhome -L 4m /dev/vg", {"/dev/sda1"}, {"vg/home"}},
      {"vgcreate vg /dev/sda1 ; lvcreate --name=home -l 5 vg", {"/dev/sda1"}, {"vg/home"}},
      {"vgcreate vg /dev/sda1 ; lvcreate vg --name \"my home\" -L 5m",
       {"/dev/sda1"},
       {"vg/my home"}},
      {"vgcreate vg /dev/sda1 ; lvcreate -s -L 5m -n snap vg/home", {"/dev/sda1"}, {"vg/snap"}},
  };
  for (const Case& c : cases) {
    const LvmRecipe recipe = parse("# " + c.command + "\n");
    EXPECT_THAT(texts(recipe), IsEmpty()) << c.command;
    std::vector<std::string> lvs;
    for (const RecipeLv& lv : recipe.lvs) {
      lvs.push_back(lv.vg + "/" + lv.name);
    }
    EXPECT_EQ(lvs, c.lvs) << c.command;
    ASSERT_THAT(recipe.vgs, SizeIs(1)) << c.command;
    EXPECT_EQ(recipe.vgs[0].name, "vg") << c.command;
    EXPECT_EQ(recipe.vgs[0].pvs, c.pvs) << c.command;
  }
}

TEST(LvmRecipe, SaysWhatIsWrong) {
  struct Case {
    std::string text;
    bool as_written;
    std::vector<std::string> diagnostics;
  };
  const std::vector<Case> cases{
      {"", true, {}},
      {"#\n#   \n", true, {}},
      {"# lvm vgscan",
       false,
       {"i-want-my-lvm:1: the newline at the end is missing, so mondorestore does not run \"# lvm "
        "vgscan\""}},
      {"# vgcreate\n", true, {"i-want-my-lvm:1: vgcreate without the name of a volume group"}},
      {"# vgcreate vg\n", true, {"i-want-my-lvm:1: volume group \"vg\" has no physical volume"}},
      {"# vgextend vg /dev/sda1\n",
       true,
       {"i-want-my-lvm:1: volume group \"vg\" is extended, but not created before"}},
      {"# vgcreate a /dev/sda1\n# vgcreate a /dev/sda2\n",
       true,
       {"i-want-my-lvm:2: volume group \"a\" is created a second time, first in line 1"}},
      {"# vgcreate a /dev/sda1\n# vgcreate b /dev/sda1\n",
       true,
       {"i-want-my-lvm:2: \"/dev/sda1\" is in \"a\" and in \"b\""}},
      {"# lvcreate -n x\n", true, {"i-want-my-lvm:1: lvcreate without the name of a volume group"}},
      {"# lvcreate -L 5m vg\n",
       true,
       {"i-want-my-lvm:1: lvcreate in \"vg\" without a name for the volume"}},
      {"# lvcreate -n x vg\n",
       true,
       {"i-want-my-lvm:1: volume \"x\" lies in \"vg\", which is not created before"}},
      {"# lvm\0x\n"s, false, {"i-want-my-lvm:1: no command that a shell could run: \"lvm\\x00x\""}},
  };
  for (const Case& c : cases) {
    const LvmRecipe recipe = parse(c.text);
    EXPECT_EQ(texts(recipe), c.diagnostics) << c.text;
    EXPECT_EQ(recipe.as_written, c.as_written) << c.text;
  }
}

TEST(LvmRecipe, SurvivesHostileTexts) {
  EXPECT_THAT(parse("#" + std::string(10'000'000, 'x') + "\n").commands, IsEmpty());
  EXPECT_THAT(parse(std::string(10'000'000, '#')).commands, IsEmpty());
  std::string many = "# vgcreate vg /dev/a\n";
  for (int i = 0; i < 100'000; ++i) {
    many +=
        ">>>>> /dev/x" + std::to_string(i) + "\n# vgextend vg /dev/y" + std::to_string(i) + "\n";
  }
  const LvmRecipe recipe = parse(many);
  EXPECT_THAT(recipe.commands, SizeIs(1000));
  EXPECT_FALSE(recipe.as_written);
  EXPECT_LE(recipe.pvs.size(), 10'000U);
  std::string prose = "# vgcreate vg /dev/a\n";
  for (int i = 0; i < 100'000; ++i) {
    prose += "/dev/b\n";
  }
  EXPECT_THAT(parse(prose).commands, IsEmpty());
}

}  // namespace
}  // namespace muster::target
