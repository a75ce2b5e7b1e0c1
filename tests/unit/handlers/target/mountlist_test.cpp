#include "handlers/target/mountlist.h"

#include <gmock/gmock.h>

namespace muster::target {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::string_literals;

constexpr std::string_view kSample =
    "/dev/sda1 /boot ext3 204800 /boot\n"
    "/dev/sda2 raid raid 20971520\n"
    "/dev/sdb2 raid raid 20971520\n"
    "/dev/md0 / ext3 20971456\n"
    "/dev/sda3 swap swap 1048576\n"
    "/dev/sdb3 lvm lvm 41943040\n"
    "/dev/vg1/home /home xfs lvm\n"
    "/dev/sdc1 image 7 8388608\n";

Mountlist parse(std::string_view text) {
  return parse_mountlist(text, "mountlist.txt");
}

std::vector<std::string> texts(const std::vector<TextDiagnostic>& diagnostics) {
  std::vector<std::string> out;
  for (const TextDiagnostic& diagnostic : diagnostics) {
    out.push_back(to_text(diagnostic));
  }
  return out;
}

std::vector<std::string> devices(const std::vector<MountlistEntry>& entries) {
  std::vector<std::string> out;
  for (const MountlistEntry& entry : entries) {
    out.push_back(entry.device);
  }
  return out;
}

std::vector<std::string> names(const std::vector<TargetDrive>& drives) {
  std::vector<std::string> out;
  for (const TargetDrive& drive : drives) {
    out.push_back(drive.device);
  }
  return out;
}

TEST(Mountlist, ReadsTheSample) {
  const Mountlist list = parse(kSample);
  EXPECT_THAT(texts(list.diagnostics), IsEmpty());
  EXPECT_TRUE(list.as_written);
  ASSERT_THAT(list.entries, SizeIs(8));
  EXPECT_EQ(list.entries[0], (MountlistEntry{"/dev/sda1", "/dev/sda1", "/boot", "ext3", "204800",
                                             204800, "/boot", 1}));
  EXPECT_EQ(list.entries[6],
            (MountlistEntry{"/dev/vg1/home", "/dev/vg1/home", "/home", "xfs", "lvm", 0, "", 7}));
  EXPECT_THAT(
      drives(list),
      ElementsAre(TargetDrive{"/dev/sda", "/dev/sda", 204800 + 20971520 + 1048576, {1, 2, 5}, ""},
                  TargetDrive{"/dev/sdb", "/dev/sdb", 20971520 + 41943040, {3, 6}, ""},
                  TargetDrive{"/dev/sdc", "/dev/sdc", 8388608, {8}, ""}));
  EXPECT_THAT(devices(needed_for_compare(list)),
              ElementsAre("/dev/sda1", "/dev/md0", "/dev/sda3", "/dev/vg1/home"));
  EXPECT_THAT(arrays(list), ElementsAre(TargetArray{"/dev/md0", 0, {4}}));
  EXPECT_THAT(raid_members(list), ElementsAre("/dev/sda2", "/dev/sdb2"));
  EXPECT_THAT(pvs(list), ElementsAre("/dev/sdb3"));
  EXPECT_THAT(lvs(list), ElementsAre(TargetLv{{"vg1", "home"}, "/dev/vg1/home", 7}));
  EXPECT_THAT(file_systems(list), ElementsAre("ext2", "ext3", "xfs"));
}

TEST(Mountlist, ReadsWhatMondorestoreItselfWrites) {
  const Mountlist list = parse(
      "/dev/sda1       /               ext3            204800          root           \n"
      "\t/dev/sda2\tswap swap 5\r\n");
  EXPECT_TRUE(list.as_written);
  ASSERT_THAT(list.entries, SizeIs(2));
  EXPECT_EQ(list.entries[0].label, "root");
  EXPECT_EQ(list.entries[1].size_kib, 5);
}

TEST(Mountlist, FollowsMondorestoreIntoEachTrap) {
  struct Case {
    std::string text;
    std::vector<std::string> devices;
    std::vector<std::int64_t> sizes;
    bool as_written;
    std::vector<std::string> diagnostics;
  };
  const std::vector<Case> cases{
      {"", {}, {}, true, {}},
      {"\n\n", {}, {}, true, {}},
      {"/dev/sda1 / ext3 1\n/dev/sda2 /home ext3 2",
       {"/dev/sda1"},
       {1},
       false,
       {"mountlist.txt:2: the newline at the end is missing, so mondorestore does not see the line "
        "of "
        "\"/dev/sda2\""}},
      {"/dev/sda1 / ext3 1\n# end", {"/dev/sda1"}, {1}, true, {}},
      {"/dev/sda1 / ext3 1\n/dev/sda1 /home ext3 2\n/dev/sda1 /srv ext3 3\n",
       {"/dev/sda1", "/dev/sda1_dup", "/dev/sda1_dup"},
       {1, 2, 3},
       false,
       {"mountlist.txt:2: \"/dev/sda1\" is there already; mondorestore calls this one "
        "\"/dev/sda1_dup\"",
        "mountlist.txt:3: \"/dev/sda1\" is there already; mondorestore calls this one "
        "\"/dev/sda1_dup\""}},
      {"/dev/sda1 / ext3 1\n/dev/sda2 /home ext3\n",
       {"/dev/sda1", "/dev/sda2"},
       {1, 1},
       false,
       {"mountlist.txt:2: \"/dev/sda2\" has no size; mondorestore takes the one it read before, "
        "\"1\""}},
      {"# device mountpoint format size label\n/dev/sda2 /home ext3\n",
       {"/dev/sda2"},
       {0},
       false,
       {"mountlist.txt:2: \"/dev/sda2\" has no size; mondorestore takes the one it read before, "
        "\"format\"",
        "mountlist.txt:2: \"/dev/sda2\" has no label; mondorestore takes \"size\" from the line "
        "that "
        "it skipped before",
        "mountlist.txt:2: \"format\" is not a size; mondorestore reads 0"}},
      {"/dev/sda2\n",
       {"/dev/sda2"},
       {0},
       false,
       {"mountlist.txt:1: \"/dev/sda2\" has no mount point and no format",
        "mountlist.txt:1: \"/dev/sda2\" has no size"}},
      {"proc /proc proc 0 lab\nsys /sys sysfs 0\ndevpts /dev/pts devpts 0\n/proc x y 0\n/sys x y "
       "0\n"
       "/devpts x y 0\n\n/dev/sda1 / ext3 1 root\n",
       {"/dev/sda1"},
       {1},
       true,
       {}},
      {"#/dev/sdz1 / ext3 1 x\n /dev/sda1 / ext3 1 root\n #no comment\n",
       {"/dev/sda1"},
       {1},
       true,
       {}},
      {"/dev/md/0 / ext3 1\n/dev/md/12 /a ext3 1\n", {"/dev/md0", "/dev/md12"}, {1, 1}, true, {}},
      {"/dev/md/127 / ext3 1\n/dev/md/root /a ext3 1\n/dev/md/ /b ext3 1\n",
       {"/dev/md1277", "/dev/mdrooot", "/dev/md"},
       {1, 1, 1},
       false,
       {"mountlist.txt:1: mondorestore garbles \"/dev/md/127\" to \"/dev/md1277\"",
        "mountlist.txt:2: mondorestore garbles \"/dev/md/root\" to \"/dev/mdrooot\""}},
      {"/dev/md0 / ext3 1\n/dev/md/0 /a ext3 1\n", {"/dev/md0", "/dev/md0"}, {1, 1}, true, {}},
      {"/dev/sda1 / ext3 12k\n/dev/sda2 /b ext3 -4\n/dev/sda3 /c ext3 99999999999999999999\n",
       {"/dev/sda1", "/dev/sda2", "/dev/sda3"},
       {12, -4, INT64_MAX},
       false,
       {"mountlist.txt:1: \"12k\" is not a size; mondorestore reads 12",
        "mountlist.txt:2: \"-4\" is not a size; mondorestore reads -4",
        "mountlist.txt:3: the size \"99999999999999999999\" is too large"}},
      {"/dev/sda1 / ext3 1\0 x\n"s,
       {"/dev/sda1"},
       {1},
       false,
       {"mountlist.txt:1: contains a NUL byte; mondorestore reads up to there"}},
      {"/dev/" + std::string(59, 'x') + " / ext3 1\n/dev/sda1 / ext3 1\n",
       {"/dev/sda1"},
       {1},
       false,
       {"mountlist.txt:1: the device is longer than 63 characters, which mondorestore has no room "
        "for; "
        "the line is left out: \"/dev/" +
        std::string(59, 'x') + "\""}},
      {"LABEL=root / ext3 1\n",
       {"LABEL=root"},
       {1},
       true,
       {"mountlist.txt:1: \"LABEL=root\" is not a device below /dev"}},
      {"/dev/sda1 image 83 1\n",
       {"/dev/sda1"},
       {1},
       true,
       {"mountlist.txt:1: a nuke refuses the type \"83\" of a partition image; it knows only 7"}},
  };
  for (const Case& c : cases) {
    const Mountlist list = parse(c.text);
    std::vector<std::int64_t> sizes;
    for (const MountlistEntry& entry : list.entries) {
      sizes.push_back(entry.size_kib);
    }
    EXPECT_EQ(devices(list.entries), c.devices) << c.text;
    EXPECT_EQ(sizes, c.sizes) << c.text;
    EXPECT_EQ(texts(list.diagnostics), c.diagnostics) << c.text;
    EXPECT_EQ(list.as_written, c.as_written) << c.text;
  }
}

TEST(Mountlist, StopsWhereMondorestoreEnds) {
  std::string text;
  for (int i = 0; i < 600; ++i) {
    text += "/dev/sda" + std::to_string(i) + " none ext3 1\n";
  }
  const Mountlist list = parse(text);
  EXPECT_THAT(list.entries, SizeIs(500));
  EXPECT_FALSE(list.as_written);
  EXPECT_THAT(texts(list.diagnostics),
              ElementsAre("mountlist.txt:501: mondorestore ends with more than 500 entries"));
}

TEST(Mountlist, SurvivesHostileTexts) {
  EXPECT_THAT(parse(std::string(10'000'000, 'x')).entries, IsEmpty());
  EXPECT_THAT(parse(std::string(10'000'000, 'x') + "\n").entries, IsEmpty());
  EXPECT_THAT(parse(std::string(1'000'000, '\n')).entries, IsEmpty());
  EXPECT_THAT(parse(std::string(1'000'000, '\0') + "\n").entries, IsEmpty());
  EXPECT_FALSE(parse("\xff\xfe / ext3 1\n").entries.empty());
}

TEST(Drives, AreCutAsMondorestoreCutsThem) {
  struct Case {
    std::string device;
    std::string drive;
    std::string mondo;
    std::string note;
  };
  const std::string nvme = "mondorestore of 2006 does not know names of this kind; a newer one may";
  const auto lost = [](const std::string& name) {
    return "mondorestore takes the drive to be \"" + name + "\" and will not find it";
  };
  const std::vector<Case> cases{
      {"/dev/sda2", "/dev/sda", "/dev/sda", ""},
      {"/dev/sdaa15", "/dev/sdaa", "/dev/sdaa", ""},
      {"/dev/hda", "/dev/hda", "/dev/hda", ""},
      {"/dev/cciss/c0d0p1", "/dev/cciss/c0d0", "/dev/cciss/c0d0", ""},
      {"/dev/cciss/c0d0", "/dev/cciss/c0d0", "/dev/cciss/c0d", lost("/dev/cciss/c0d")},
      {"/dev/nvme0n1p12", "/dev/nvme0n1", "/dev/nvme0n1", nvme},
      {"/dev/nvme0n1", "/dev/nvme0n1", "/dev/nvme0n", lost("/dev/nvme0n")},
      {"/dev/mmcblk0p1", "/dev/mmcblk0", "/dev/mmcblk0", nvme},
      {"/dev/mmcblk0", "/dev/mmcblk0", "/dev/mmcblk", lost("/dev/mmcblk")},
      {"/dev/ide/host0/bus0/target0/lun0/part1", "/dev/ide/host0/bus0/target0/lun0/disc",
       "/dev/ide/host0/bus0/target0/lun0/disc", ""},
      {"/dev/mapper/mpatha-part1", "/dev/mapper/mpatha", "/dev/mapper/mpatha-part",
       lost("/dev/mapper/mpatha-part")},
      {"/dev/vda1", "/dev/vda", "/dev/vda", ""},
      {"/dev/sdap1", "/dev/sdap", "/dev/sdap", ""},
      {"7", "", "", ""},
      {"p7", "p", "p", ""},
  };
  for (const Case& c : cases) {
    const Mountlist list = parse(c.device + " / ext3 10\n");
    EXPECT_THAT(drives(list), ElementsAre(TargetDrive{c.drive, c.mondo, 10, {1}, c.note}))
        << c.device;
  }
}

TEST(Drives, CountWhatHasASizeAndIsNoArray) {
  EXPECT_THAT(names(drives(parse("/dev/md0 / ext3 5\n/dev/md1p1 /a ext3 5\n/dev/vg/a /b ext3 lvm\n"
                                 "/dev/vg/b /c ext3 0\n/dev/sdb1 /d ext3 1\n/dev/sda1 /e ext3 -1\n"
                                 "/dev/sdb2 /f ext3 1\n"))),
              ElementsAre("/dev/sdb", "/dev/sda"));
}

TEST(Arrays, AreListedOnceWithTheirNumber) {
  EXPECT_THAT(
      arrays(parse("/dev/md2 lvm lvm 5\n/dev/md/0 / ext3 5\n/dev/md1p1 /a ext3 5\n"
                   "/dev/md1p2 /b ext3 5\n/dev/md_d3 /c ext3 5\n/dev/md99999999 /d ext3 5\n")),
      ElementsAre(TargetArray{"/dev/md2", 2, {1}}, TargetArray{"/dev/md0", 0, {2}},
                  TargetArray{"/dev/md1", 1, {3, 4}}, TargetArray{"/dev/md_d3", std::nullopt, {5}},
                  TargetArray{"/dev/md99999999", std::nullopt, {6}}));
}

TEST(Compare, NeedsWhatIsMountedOrSwappedOn) {
  EXPECT_THAT(devices(needed_for_compare(parse(
                  "/dev/sda1 none ext3 1\n/dev/sda2 raid raid 1\n/dev/sda3 lvm lvm 1\n"
                  "/dev/sda4 image 7 1\n/dev/sda5 swap swap 1\n/dev/mapper/vg-a / ext4 lvm\n"))),
              ElementsAre("/dev/sda5", "/dev/mapper/vg-a"));
}

TEST(Lvs, AreSplitIntoGroupAndVolume) {
  struct Case {
    std::string device;
    std::optional<LvName> name;
  };
  const std::vector<Case> cases{
      {"/dev/vg1/home", LvName{"vg1", "home"}},
      {"/dev/my-vg/my-lv", LvName{"my-vg", "my-lv"}},
      {"/dev/mapper/vg1-home", LvName{"vg1", "home"}},
      {"/dev/mapper/my--vg-my--lv", LvName{"my-vg", "my-lv"}},
      {"/dev/mapper/a----b-c", LvName{"a--b", "c"}},
      {"/dev/mapper/mpatha", std::nullopt},
      {"/dev/mapper/vg-lv-real", std::nullopt},
      {"/dev/mapper/-lv", std::nullopt},
      {"/dev/mapper/vg-", std::nullopt},
      {"/dev/mapper/", std::nullopt},
      {"/dev/mapper/a/b-c", std::nullopt},
      {"/dev/sda1", std::nullopt},
      {"/dev/vg1/", std::nullopt},
      {"/dev//lv", std::nullopt},
      {"/dev/a/b/c", std::nullopt},
      {"vg1/home", std::nullopt},
      {"", std::nullopt},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(split_lv_device(c.device), c.name) << c.device;
  }
  EXPECT_THAT(lvs(parse("/dev/mapper/my--vg-swap swap swap lvm\n/dev/cciss/c0d0p1 / ext3 7\n"
                        "/dev/md0 /a ext3 0\n/dev/vg/pv lvm lvm 0\n")),
              ElementsAre(TargetLv{{"my-vg", "swap"}, "/dev/mapper/my--vg-swap", 1}));
}

TEST(FileSystems, AreThoseThatAKernelMustOffer) {
  EXPECT_THAT(file_systems(parse("/dev/sda1 / ext3 1\n/dev/sda2 swap swap 1\n/dev/sda3 lvm lvm 1\n"
                                 "/dev/sda5 raid raid 1\n/dev/sda6 image 7 1\n/dev/sda7 /w ntfs 1\n"
                                 "/dev/sda8 /e ext4 1\n/dev/sda9 none reiserfs 1\n")),
              ElementsAre("ext2", "ext3", "ext4", "ntfs"));
  EXPECT_THAT(file_systems(parse("/dev/sda1 / ext4 1\n")), ElementsAre("ext4"));
}

}  // namespace
}  // namespace muster::target
