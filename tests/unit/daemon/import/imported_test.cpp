#include "daemon/import/imported.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "daemon/event_json.h"
#include "daemon/import/sosreport.h"
#include "daemon/replay/play.h"
#include "daemon/replay/replay.h"
#include "handlers/md/md_superblock_json.h"
#include "tests/support/temp_tree.h"

namespace muster::imports {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

namespace fs = std::filesystem;

const fs::path kImports = fs::path(MUSTER_SOURCE_DIR) / "tests/replay/imports";

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_log(const fs::path& path) {
  const auto kind = path.extension();
  return kind == ".monitor" || kind == ".database" || kind == ".umockdev" || kind == ".sosreport";
}

std::vector<std::string> logs() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kImports)) {
    if (is_log(entry.path())) {
      names.push_back(entry.path().filename());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

// What real tools wrote, and what is made of it. MUSTER_UPDATE=1 rewrites what is expected; read
// the difference.
TEST(Imported, RealLogsGiveWhatIsExpectedOfThem) {
  const auto names = logs();
  ASSERT_GE(names.size(), 10U);
  for (const auto& name : names) {
    SCOPED_TRACE(name);
    const auto imported = import_paths({kImports / name});
    ASSERT_TRUE(imported) << imported.error().text;
    const auto expected = kImports / (name + ".expected");
    if (std::getenv("MUSTER_UPDATE") != nullptr) {
      std::ofstream(expected) << summary(*imported);
    }
    EXPECT_EQ(summary(*imported), read(expected));
  }
}

TEST(Imported, TheSameLogGivesTheSameHardwareTwice) {
  const auto path = kImports / "stack-boot-udev.monitor";
  const auto one = import_text("log", read(path));
  const auto two = import_text("log", read(path));
  ASSERT_TRUE(one && two);
  EXPECT_EQ(summary(*one), summary(*two));
  EXPECT_EQ(one->hardware.header, two->hardware.header);
}

const Json& probe_of(const Imported& imported, std::string_view kernel) {
  for (const auto& [key, content] : imported.hardware.contents) {
    if (key.first.ends_with("/" + std::string(kernel)) && content.probe) {
      return content.probe->result;
    }
  }
  static const Json kNothing;
  return kNothing;
}

const replay::Part* part_of(const Imported& imported, std::string_view kernel) {
  for (const auto& part : imported.hardware.parts) {
    if (part.devpath.ends_with("/" + std::string(kernel))) {
      return &part;
    }
  }
  return nullptr;
}

// Parents come before their children, whatever the order of the log was.
TEST(Imported, PartsStandInAnOrderInWhichTheyCanAppear) {
  for (const auto& name : logs()) {
    const auto imported = import_paths({kImports / name});
    ASSERT_TRUE(imported);
    const auto& parts = imported->hardware.parts;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      ASSERT_FALSE(parts[i].life.empty());
      EXPECT_EQ(parts[i].life.front().event.action, Action::add);
      for (std::size_t j = 0; j < i; ++j) {
        EXPECT_NE(parts[i].devpath, parts[j].devpath);
      }
      if (parts[i].parent) {
        EXPECT_LT(*parts[i].parent, parts.size());
        EXPECT_TRUE(parts[i].devpath.starts_with(parts[*parts[i].parent].devpath + "/"));
      }
    }
  }
}

// A journal must be able to carry all of it.
TEST(Imported, EverythingIsValidText) {
  for (const auto& name : logs()) {
    const auto imported = import_paths({kImports / name});
    ASSERT_TRUE(imported);
    for (const auto& part : imported->hardware.parts) {
      for (const auto& moment : part.life) {
        EXPECT_NO_THROW(static_cast<void>(to_json(Event{moment.time, moment.event}).dump()));
      }
    }
    EXPECT_NO_THROW(static_cast<void>(imported->hardware.header.dump()));
  }
}

TEST(Imported, ArraysAndMapsThatRanAreNotHardware) {
  const auto imported = import_paths({kImports / "stack-boot.sosreport"});
  ASSERT_TRUE(imported);
  for (const auto& part : imported->hardware.parts) {
    EXPECT_FALSE(part.devpath.starts_with("/devices/virtual/block/md") ||
                 part.devpath.starts_with("/devices/virtual/block/dm-"))
        << part.devpath;
  }
  EXPECT_THAT(imported->hardware.built, SizeIs(6));
}

// The examined superblock has all that the reader of a real one has: what the executor, the policy
// and the journal need.
TEST(Imported, WhatExamineSaysIsAWholeSuperblock) {
  const auto imported = import_paths({kImports / "levels.database", kImports / "levels.examine"});
  ASSERT_TRUE(imported) << imported.error().text;
  std::size_t members = 0;
  for (const auto& [key, content] : imported->hardware.contents) {
    if (!content.probe || !content.probe->result["details"].contains("md")) {
      continue;
    }
    ++members;
    const Json& json = content.probe->result["details"]["md"];
    if (json["version"] == "0.90") {
      EXPECT_EQ(json["role_kind"], "active") << json.dump();
      EXPECT_EQ(json["preferred_minor"], 17) << json.dump();
      continue;  // mdadm does not print where a 0.90 superblock's data lies
    }
    const auto superblock = md::superblock_from_json(json);
    ASSERT_TRUE(superblock) << superblock.error().text << json.dump();
    EXPECT_EQ(superblock->role.kind, md::Role::Kind::active);
    EXPECT_EQ(superblock->slots, std::vector(superblock->raid_disks, md::SlotState::active));
    EXPECT_FALSE(md::why_unusual(*superblock));
  }
  EXPECT_EQ(members, 24U);
  EXPECT_THAT(imported->unknown, Not(Contains(HasSubstr("its slot"))));
}

// --examine and --detail are two views of one thing.
TEST(Imported, ExamineAndDetailAgree) {
  const auto examined = import_paths({kImports / "levels.database", kImports / "levels.examine"});
  const auto detailed = import_paths({kImports / "levels.sosreport"});
  ASSERT_TRUE(examined && detailed);
  std::size_t compared = 0;
  for (const auto& [key, content] : examined->hardware.contents) {
    const auto other = detailed->hardware.contents.find(key);
    ASSERT_NE(other, detailed->hardware.contents.end());
    if (!content.probe || !content.probe->result["details"].contains("md")) {
      continue;
    }
    const Json& a = content.probe->result["details"]["md"];
    const Json& b = other->second.probe->result["details"]["md"];
    for (const auto* field : {"uuid", "level", "raid_disks", "role", "role_kind", "roles", "events",
                              "version", "clean", "unusual"}) {
      ASSERT_TRUE(a.contains(field) && b.contains(field)) << key.first << " " << field;
      EXPECT_EQ(a[field], b[field]) << key.first << " " << field;
    }
    for (const auto* field : {"layout", "chunk", "size_sectors"}) {
      if (a.contains(field) && b.contains(field)) {
        EXPECT_EQ(a[field], b[field]) << key.first << " " << field;
      }
    }
    ++compared;
  }
  EXPECT_EQ(compared, 24U);
}

TEST(Imported, AVolumeGroupsBackupIsItsMetadata) {
  const auto without = import_paths({kImports / "stack-boot.database"});
  const auto with = import_paths(
      {kImports / "stack-boot.database", kImports / "stack-boot.sosreport/etc/lvm/backup/vg-main"});
  ASSERT_TRUE(without && with) << with.error().text;
  EXPECT_FALSE(probe_of(*without, "sdd")["details"]["lvm"].contains("metadata"));
  const Json& label = probe_of(*with, "sdd")["details"]["lvm"];
  EXPECT_EQ(label["vg_text_seqno"], 6);
  EXPECT_THAT(label["metadata"].get<std::string>(), HasSubstr("home--x {"));
  // From the extents of the text.
  const auto lv = with->hardware.built.find(
      "LVM-0bSci3uIaRe9jFdd9GJnhfTySDfGVfr9Xe4VBXvoTs5Ae0IzUDnnUGlC9qXls4l8");
  ASSERT_NE(lv, with->hardware.built.end());
  EXPECT_EQ(lv->second.settled.attributes.at("size"), "8192");
}

TEST(Imported, WhatUdevdAddedIsNotWhatTheKernelSaid) {
  const auto imported = import_paths({kImports / "stack-boot-udev.monitor"});
  ASSERT_TRUE(imported);
  for (const auto& part : imported->hardware.parts) {
    for (const auto& moment : part.life) {
      for (const auto& [name, value] : moment.event.properties) {
        EXPECT_FALSE(name.starts_with("ID_") || name == "DEVLINKS" || name == "TAGS") << name;
      }
    }
  }
  const auto* sda = part_of(*imported, "sda");
  ASSERT_NE(sda, nullptr);
  EXPECT_TRUE(sda->life.front().event.properties.contains("MAJOR"));
}

TEST(Imported, ALogOfUeventsKnowsWhenThingsCame) {
  const auto imported = import_paths({kImports / "stack-hotplug-both.monitor"});
  ASSERT_TRUE(imported);
  const auto* disk = part_of(*imported, "sdf");
  ASSERT_NE(disk, nullptr);
  EXPECT_FALSE(disk->at_start);
  std::vector<Action> life;
  for (const auto& moment : disk->life) {
    life.push_back(moment.event.action);
  }
  EXPECT_THAT(life, ElementsAre(Action::add, Action::change, Action::change, Action::remove,
                                Action::add, Action::change, Action::change));
  EXPECT_TRUE(std::is_sorted(disk->life.begin(), disk->life.end(),
                             [](const auto& a, const auto& b) { return a.time < b.time; }));
}

TEST(Imported, ADriverThatWasLoadedMeanwhileStandsBeforeItsDevices) {
  const auto imported = import_paths({kImports / "stack-boot-kernel.monitor"});
  ASSERT_TRUE(imported);
  const auto* disk = part_of(*imported, "nvme0n1");
  ASSERT_NE(disk, nullptr);
  EXPECT_THAT(disk->modules, Contains("nvme"));
  EXPECT_TRUE(imported->hardware.modules.contains("nvme"));
  // The root disk's was there before.
  const auto* root = part_of(*imported, "vda");
  ASSERT_NE(root, nullptr);
  EXPECT_TRUE(root->at_start);
  EXPECT_THAT(root->modules, IsEmpty());
}

TEST(Imported, TwoMonitorsThatRanSideBySideAreOneLog) {
  const auto kernel = import_paths({kImports / "disc-kernel.monitor"});
  const auto both =
      import_paths({kImports / "disc-kernel.monitor", kImports / "disc-udev.monitor"});
  ASSERT_TRUE(kernel && both);
  EXPECT_TRUE(probe_of(*kernel, "sr0").is_null());
  EXPECT_EQ(probe_of(*both, "sr0")["properties"]["ID_FS_TYPE"], "iso9660");
  const auto mixed = import_paths({kImports / "disc-kernel.monitor", kImports / "disc.database"});
  ASSERT_FALSE(mixed);
  EXPECT_THAT(mixed.error().text, EndsWith("only logs of udevadm monitor can be put together"));
}

// The recordings that ship: see tests/replay/make_imported.
TEST(Imported, TheShippedRecordingsReplay) {
  std::size_t recordings = 0;
  for (const auto& entry :
       fs::directory_iterator(fs::path(MUSTER_SOURCE_DIR) / "tests/replay/logs/imported")) {
    if (entry.path().extension() != ".jsonl") {
      continue;
    }
    SCOPED_TRACE(entry.path().filename());
    const auto recording = replay::read_recording(entry.path());
    ASSERT_TRUE(recording) << recording.error().text;
    EXPECT_TRUE(recording->segments.front().header.contains("imported"));
    const auto replayed = replay::replay(*recording);
    ASSERT_TRUE(replayed) << replayed.error().text;
    EXPECT_GT(replayed->effects, 0U);
    EXPECT_FALSE(replayed->difference)
        << replay::difference_text(*recording, *replayed->difference);
    ++recordings;
  }
  EXPECT_GE(recordings, 10U);
}

// Played on what the report tells, the arrays and volumes that it shows come up.
TEST(Imported, ASosreportsMachineIsPutTogether) {
  const auto imported = import_paths({kImports / "stack-boot.sosreport"});
  ASSERT_TRUE(imported);
  const auto played = replay::play(imported->hardware, {});
  EXPECT_EQ(played.breach, "");
  for (const auto* thing :
       {"array:f0d77917:669b4c72:417ca4be:28e74521: ready",
        "array:f1bb4690:6d0bc932:a638373c:c1fc4ae5: ready", "lv:vg-main/da-ta: ready",
        "lv:vg-main/home--x: ready", "lv:vg-main/root: ready", "lv:vg-main/span-ning: ready"}) {
    EXPECT_THAT(played.final_state, HasSubstr(thing));
  }
}

// An array whose slots the log does not tell waits, and says so.
TEST(Imported, UnknownSlotsAreSaid) {
  const auto imported = import_paths({kImports / "stack-boot.database"});
  ASSERT_TRUE(imported);
  const auto played = replay::play(imported->hardware, {});
  EXPECT_THAT(played.final_state, HasSubstr("array:f0d77917:669b4c72:417ca4be:28e74521: waiting"));
}

// --- what goes wrong

struct Damaged {
  const char* text;
  const char* why;
};

class DamagedLog : public ::testing::TestWithParam<Damaged> {};

TEST_P(DamagedLog, IsOneLineThatNamesFileAndLine) {
  const auto imported = import_text("f", GetParam().text);
  ASSERT_FALSE(imported);
  EXPECT_EQ(imported.error().text, GetParam().why);
}

INSTANTIATE_TEST_SUITE_P(
    Imported, DamagedLog,
    ::testing::Values(
        Damaged{"", "f: line 1: nothing in it"}, Damaged{"\n\n", "f: line 1: nothing in it"},
        Damaged{"hello\n",
                "f: line 1: neither udevadm monitor, udevadm info --export-db nor "
                "umockdev-record: \"hello\""},
        Damaged{"\x1f\x8b\x08 x\n", "f: line 1: compressed: unpack it first"},
        Damaged{"{\"journal\":1}\n", "f: line 1: a journal of muster already: replay it"},
        Damaged{"KERNEL[1.5] add      /devices/x (block)\nACTION=add\nfoo\n",
                "f: line 3: no property (KEY=VALUE): \"foo\""},
        Damaged{"KERNEL[1.5] add      /devices/x (block)\nDEVPATH=/devices/y\n",
                "f: line 1: the event is of \"/devices/x\", but its DEVPATH says \"/devices/y\""},
        Damaged{"KERNEL[1.5] add      /devices/x (block)\n\n",
                "f: line 1: an event without properties: make the log with `udevadm monitor "
                "--kernel --udev --property`"},
        Damaged{"KERNEL[1.5] add      /devices/x (block)\nACTION=add\n\nSTRAY=1\n",
                "f: line 4: neither an event nor a property of one: \"STRAY=1\""},
        Damaged{"P: /devices/x\nE: DEVPATH=/devices/y\n",
                "f: line 2: the device is \"/devices/x\", but its DEVPATH says \"/devices/y\""},
        Damaged{"P: /devices/x\nE: DEVPATH=/devices/x\nE: oops\n",
                "f: line 3: no property (KEY=VALUE): \"oops\""},
        Damaged{"P: /devices/x\nE: DEVPATH=/devices/x\n\nE: A=1\n",
                "f: line 4: a line of a device before its path (P:): \"E: A=1\""},
        Damaged{"P: /devices/x\nE: DEVPATH=/devices/x\nsomething else\n",
                "f: line 3: no line of a udev database: \"something else\""},
        Damaged{"P: /devices/../etc\nE: DEVPATH=/devices/x\n",
                "f: line 1: no path of a device: \"/devices/../etc\""},
        Damaged{"P: /devices/x\nA: size=1\\\n",
                "f: line 2: the value of attribute \"size\" is damaged"},
        Damaged{"P: /devices/x\nA: size=1\\n\nH: vpd=0\n",
                "f: line 3: the value of attribute \"vpd\" is damaged"},
        Damaged{"P: /devices/x\nA: size=1\\n\nX: y\n",
                "f: line 3: no line of umockdev-record: \"X: y\""},
        Damaged{"P: /devices/x\nE: DEVPATH=/devices/x\nE: SUBSYSTEM=tty\n",
                "f: no disk in the log: there is nothing to import"}));

TEST(Imported, ALogThatIsCutOffLosesItsLastEventAndSaysSo) {
  const auto text = read(kImports / "stack-hotplug-kernel.monitor");
  const auto whole = read_log("f", text);
  ASSERT_TRUE(whole);
  for (const std::size_t cut : {text.size() - 5, text.size() / 2, text.size() / 3}) {
    const auto log = read_log("f", std::string_view(text).substr(0, cut));
    ASSERT_TRUE(log) << log.error().text;
    EXPECT_LT(log->records.size(), whole->records.size());
    EXPECT_THAT(log->unknown, ElementsAre("f: the log ends within an event, which is left out"));
  }
}

TEST(Imported, HostileLinesAreBounded) {
  const std::string head = "P: /devices/x\nE: DEVPATH=/devices/x\n";
  const auto giant = import_text("f", head + "E: A=" + std::string(kMaxLogLine, 'x') + "\n");
  ASSERT_FALSE(giant);
  EXPECT_EQ(giant.error().text, "f: line 3: longer than 64 KiB");
  const auto nul = import_text("f", head + std::string("E: A=\0b\n", 8));
  ASSERT_FALSE(nul);
  EXPECT_EQ(nul.error().text, "f: line 3: a NUL byte: the file is damaged, or is no text");
  std::string many = head;
  for (int i = 0; i < 1001; ++i) {
    many += "E: A" + std::to_string(i) + "=1\n";
  }
  const auto properties = import_text("f", many);
  ASSERT_FALSE(properties);
  EXPECT_EQ(properties.error().text, "f: line 1002: more than 1000 properties");
}

TEST(Imported, BadUtf8IsKeptAsText) {
  const auto imported = import_text(
      "f",
      "P: /devices/a/block/sda\nE: DEVPATH=/devices/a/block/sda\nE: SUBSYSTEM=block\n"
      "E: DEVNAME=sda\nE: DEVTYPE=disk\nE: MAJOR=8\nE: MINOR=0\nE: ID_FS_LABEL=\xff\xfe\n");
  ASSERT_TRUE(imported) << imported.error().text;
  EXPECT_EQ(probe_of(*imported, "sda")["properties"]["ID_FS_LABEL"], "\\xff\\xfe");
}

TEST(Imported, WhatToolsSaidIsKeptAsTextToo) {
  StorageSeen seen;
  read_lvs("  LV   VG   Attr       LSize\n  a\xff   v\xaf  -wi-a----- 4.00m\n", seen);
  EXPECT_THAT(seen.volumes, ::testing::Contains(::testing::Pair("v\\xaf", ElementsAre("a\\xff"))));
  read_mdadm(
      "/dev/md0:\n Raid Level : raid1\n UUID : f0d77917:669b4c72:417ca4be:28e74521\n"
      "  0 8 0 0 active\xff /dev/sda\n",
      seen);
  EXPECT_EQ(seen.arrays.at("/dev/md0").members.at("/dev/sda").state, "active\\xff");
}

// --- old formats

TEST(Imported, OldUdevDatabases) {
  // udev 095 (RHEL 5): no SUBSYSTEM, no DEVPATH, names without /dev
  const auto imported =
      import_text("f",
                  "P: /devices/pci0000:00/host0/target0:0:0/0:0:0:0/block/sda\nN: sda\n"
                  "S: disk/by-id/scsi-1\nL: 0\nE: ID_SERIAL=1\nE: ID_FS_TYPE=ext3\n\n"
                  "P: /devices/platform/nothing\nL: 0\n");
  ASSERT_TRUE(imported) << imported.error().text;
  EXPECT_EQ(probe_of(*imported, "sda")["properties"]["ID_FS_TYPE"], "ext3");
}

// mdadm up to 4.1 told udevd who holds which slot.
TEST(Imported, SlotsFromTheArraysOwnProperties) {
  const auto member = [](const std::string& name, const std::string& number) {
    return "P: /devices/h/block/" + name + "\nE: DEVPATH=/devices/h/block/" + name +
           "\nE: SUBSYSTEM=block\nE: DEVTYPE=disk\nE: MAJOR=8\nE: MINOR=" + number +
           "\nE: DEVNAME=/dev/" + name +
           "\nE: ID_FS_TYPE=linux_raid_member\nE: ID_FS_VERSION=1.2\n"
           "E: ID_FS_UUID=f0d77917-669b-4c72-417c-a4be28e74521\n\n";
  };
  const auto imported = import_text(
      "f", member("sda", "0") + member("sdb", "16") +
               "P: /devices/virtual/block/md0\nE: DEVPATH=/devices/virtual/block/md0\n"
               "E: SUBSYSTEM=block\nE: DEVTYPE=disk\nE: DEVNAME=/dev/md0\nE: MD_LEVEL=raid1\n"
               "E: MD_DEVICES=2\nE: MD_UUID=f0d77917:669b4c72:417ca4be:28e74521\n"
               "E: MD_DEVICE_dev_sda_DEV=/dev/sda\nE: MD_DEVICE_dev_sda_ROLE=1\n"
               "E: MD_DEVICE_dev_sdb_DEV=/dev/sdb\nE: MD_DEVICE_dev_sdb_ROLE=0\n");
  ASSERT_TRUE(imported) << imported.error().text;
  EXPECT_EQ(probe_of(*imported, "sda")["details"]["md"]["role"], 1);
  EXPECT_EQ(probe_of(*imported, "sdb")["details"]["md"]["role"], 0);
  EXPECT_EQ(probe_of(*imported, "sdb")["details"]["md"]["roles"], Json({"active", "active"}));
}

// --- sosreport

TEST(Sosreport, NeedsItsDatabase) {
  testing::TempTree tree;
  const auto none = import_paths({tree.path()});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().text, EndsWith(": no sosreport: there is no sos_commands in it"));
  tree.file("/sos_commands/block/lsblk", "NAME\n");
  const auto without = import_paths({tree.path()});
  ASSERT_FALSE(without);
  EXPECT_THAT(without.error().text, HasSubstr("without a udev database"));
  tree.file("/sos_commands/devices/udevadm_info_--export-db", "P: /devices/x\nrubbish\n");
  const auto damaged = import_paths({tree.path()});
  ASSERT_FALSE(damaged);
  EXPECT_THAT(damaged.error().text,
              EndsWith("/sos_commands/devices/udevadm_info_--export-db: line 2: no line of a udev "
                       "database: \"rubbish\""));
}

TEST(Sosreport, ADamagedOutputIsLeftOutAndNamed) {
  testing::TempTree tree;
  tree.file("/sos_commands/devices/udevadm_info_--export-db",
            read(kImports / "stack-boot.sosreport/sos_commands/devices/udevadm_info_--export-db"));
  tree.file("/etc/lvm/backup/vg-main", "vg-main {\n\tid = \n");
  const auto imported = import_paths({tree.path()});
  ASSERT_TRUE(imported) << imported.error().text;
  EXPECT_THAT(imported->unknown,
              Contains(AllOf(StartsWith("\"/etc/lvm/backup/vg-main\": not used:"))));
}

}  // namespace
}  // namespace muster::imports
