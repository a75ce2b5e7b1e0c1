#include "handlers/target/raidtab.h"

#include <gmock/gmock.h>

#include "handlers/md/raid_level.h"

namespace muster::target {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::string_literals;

constexpr std::string_view kSample =
    "raiddev /dev/md0\n"
    "    raid-level            1\n"
    "    nr-raid-disks         2\n"
    "    persistent-superblock 1\n"
    "    device                /dev/sda2\n"
    "    raid-disk             0\n"
    "    device                /dev/sdb2\n"
    "    raid-disk             1\n";

Raidtab parse(std::string_view text) {
  return parse_raidtab(text, "raidtab");
}

std::vector<std::string> texts(const Raidtab& raidtab) {
  std::vector<std::string> out;
  for (const TextDiagnostic& diagnostic : raidtab.diagnostics) {
    out.push_back(to_text(diagnostic));
  }
  return out;
}

TEST(Raidtab, ReadsTheSample) {
  const Raidtab raidtab = parse(kSample);
  EXPECT_THAT(texts(raidtab), IsEmpty());
  EXPECT_TRUE(raidtab.as_written);
  ASSERT_THAT(raidtab.arrays, SizeIs(1));
  EXPECT_EQ(
      raidtab.arrays[0],
      (RaidtabArray{"/dev/md0",
                    0,
                    1,
                    std::nullopt,
                    2,
                    true,
                    "",
                    {{"/dev/sda2", RaidRole::data, 0, 5}, {"/dev/sdb2", RaidRole::data, 1, 7}},
                    1}));
}

TEST(Raidtab, ReadsSeveralArraysWithAllTheirWords) {
  const Raidtab raidtab = parse(
      "# made by hand\n"
      "\n"
      "raiddev\t/dev/md/5\n"
      "raid-level 5\nnr-raid-disks 3\nnr-spare-disks 1\nnr-parity-disks 0\nnr-failed-disks 0\n"
      "parity-algorithm left-symmetric\nchunk-size 128\npersistent-superblock 0\n"
      "device /dev/sda1\nraid-disk 0\ndevice /dev/sdb1\nraid-disk 1\ndevice /dev/sdc1\nraid-disk "
      "2\n"
      "device /dev/sdd1\nspare-disk 0\n"
      "raiddev /dev/md1\nraid-level linear\ndevice /dev/sde1\nparity-disk 0\n"
      "raiddev /dev/md2\nraid-level multipath\ndevice /dev/sdf1\nfailed-disk 3\n");
  EXPECT_THAT(texts(raidtab), IsEmpty());
  ASSERT_THAT(raidtab.arrays, SizeIs(3));
  EXPECT_EQ(raidtab.arrays[0].number, 5U);
  EXPECT_EQ(raidtab.arrays[0].chunk_kib, 128U);
  EXPECT_EQ(raidtab.arrays[0].parity_algorithm, "left-symmetric");
  EXPECT_FALSE(raidtab.arrays[0].persistent_superblock);
  EXPECT_EQ(raidtab.arrays[0].members[3], (RaidtabMember{"/dev/sdd1", RaidRole::spare, 0, 18}));
  EXPECT_EQ(raidtab.arrays[1].level, md::kLevelLinear);
  EXPECT_EQ(raidtab.arrays[1].members[0].role, RaidRole::parity);
  EXPECT_EQ(raidtab.arrays[2].level, kRaidLevelMultipath);
  EXPECT_EQ(raidtab.arrays[2].members[0], (RaidtabMember{"/dev/sdf1", RaidRole::failed, 3, 26}));
}

TEST(Raidtab, SaysWhereMondorestoreReadsSomethingElse) {
  struct Case {
    std::string text;
    std::size_t arrays;
    std::size_t members;  // of the first
    bool as_written;
    std::vector<std::string> diagnostics;
  };
  const std::string begin = "raiddev /dev/md0\nraid-level 1\n";
  const std::vector<Case> cases{
      {"", 0, 0, true, {}},
      {"rai\n", 0, 0, true, {}},
      {"raid-level 1\n" + begin,
       1,
       0,
       true,
       {"raidtab:1: \"raid-level\" before the first raiddev: ignored"}},
      {begin + "device /dev/sda1\nraid-disk 0",
       1,
       0,
       false,
       {"raidtab:4: the newline at the end is missing, so mondorestore does not see \"raid-disk "
        "0\"",
        "raidtab:3: device \"/dev/sda1\" has no role"}},
      {begin + "device /dev/sda1\nraiddev /dev/md1\nraid-level 1\n",
       1,
       0,
       false,
       {"raidtab:3: device \"/dev/sda1\" is followed by \"raiddev\", not by its role: mondorestore "
        "ignores both"}},
      {begin + "raid-disk 0\n",
       1,
       0,
       false,
       {"raidtab:3: \"raid-disk\" without a device line before it: ignored"}},
      {begin + "device /dev/sda1\nraid-disk zero\n",
       1,
       1,
       false,
       {"raidtab:4: \"raid-disk\" is not a number: \"zero\""}},
      {begin + "device /dev/sda1\nraid-disk 0\ndevice /dev/sda1\nraid-disk 1\n",
       1,
       2,
       false,
       {"raidtab:5: \"/dev/sda1\" is a member already, in line 3"}},
      {"raiddev /dev/md0\nraid-level raid5\n",
       1,
       0,
       false,
       {"raidtab:2: \"raid5\" is not a RAID level; mondorestore takes 0",
        "raidtab:1: \"/dev/md0\" has no RAID level"}},
      {begin + "nr-raid-disks 2\ndevice /dev/sda1\nraid-disk 0\n",
       1,
       1,
       true,
       {"raidtab:1: \"/dev/md0\" is said to have 2 disks, but 1 are listed"}},
      {begin + begin, 2, 0, false, {"raidtab:3: \"/dev/md0\" is there already in line 1"}},
      {"raiddev /dev/sda\nraid-level 1\nspeed high\nfast\n",
       1,
       0,
       true,
       {"raidtab:1: \"/dev/sda\" is not an array /dev/mdN", "raidtab:3: unknown word \"speed\"",
        "raidtab:4: \"fast\" has no value: ignored"}},
      {begin + "chunk-size big\n",
       1,
       0,
       true,
       {"raidtab:3: \"chunk-size\" is not a number: \"big\""}},
      {begin + "chunk-size 4\0\n"s,
       1,
       0,
       false,
       {"raidtab:3: contains a NUL byte; mondorestore reads up to there"}},
  };
  for (const Case& c : cases) {
    const Raidtab raidtab = parse(c.text);
    EXPECT_EQ(texts(raidtab), c.diagnostics) << c.text;
    EXPECT_EQ(raidtab.as_written, c.as_written) << c.text;
    ASSERT_EQ(raidtab.arrays.size(), c.arrays) << c.text;
    if (c.arrays > 0) {
      EXPECT_EQ(raidtab.arrays[0].members.size(), c.members) << c.text;
    }
  }
}

TEST(Raidtab, StaysWithinMondorestoresRoom) {
  std::string arrays;
  for (int i = 0; i < 40; ++i) {
    arrays += "raiddev /dev/md" + std::to_string(i) + "\nraid-level 0\n";
  }
  EXPECT_THAT(parse(arrays).arrays, SizeIs(32));
  EXPECT_FALSE(parse(arrays).as_written);

  std::string members = "raiddev /dev/md0\nraid-level 0\n";
  for (int i = 0; i < 40; ++i) {
    members += "device /dev/x" + std::to_string(i) + "\nraid-disk " + std::to_string(i) + "\n";
  }
  EXPECT_THAT(parse(members).arrays[0].members, SizeIs(32));
  EXPECT_FALSE(parse(members).as_written);
}

TEST(Raidtab, SurvivesHostileTexts) {
  EXPECT_THAT(parse(std::string(10'000'000, 'x')).arrays, IsEmpty());
  EXPECT_THAT(parse("raiddev " + std::string(10'000'000, 'x') + "\n").arrays, IsEmpty());
  EXPECT_THAT(parse(std::string(1'000'000, '\0') + "\n").arrays, IsEmpty());
  EXPECT_THAT(parse("\xff\xfe\xff\xfe \xff\n").arrays, IsEmpty());
}

}  // namespace
}  // namespace muster::target
