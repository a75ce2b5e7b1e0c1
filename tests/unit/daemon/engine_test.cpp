// The engine with the shipped rules and all policies, against a machine that answers effects as the
// kernel would.
#include "daemon/engine.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "daemon/board.h"
#include "daemon/event_json.h"
#include "daemon/explain.h"
#include "daemon/json_line.h"
#include "handlers/registry.h"
#include "tests/support/model_machine.h"

namespace muster::test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* kArray = "11111111:22222222:33333333:44444444";
constexpr const char* kMirror = "aaaaaaaa:bbbbbbbb:cccccccc:dddddddd";
constexpr const char* kPvArray = "AAAAAA-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa";
constexpr const char* kPvPlain = "BBBBBB-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb";
constexpr const char* kConfig =
    "files-in-filelist 3\nlast-filelist-number 0\ntotal-slices 0\niso-prefix "
    "lab\nbackup-media-type cdr\n"
    "differential 0\n";
constexpr const char* kMountlist =
    "/dev/vg0/root / ext3 lvm\n/dev/vg0/my-data /data ext3 lvm\n/dev/md1 /srv ext3 60000\n";

// A group over an array and a plain disk: root lies on the array, my-data on the plain PV.
std::string metadata(int seqno = 3, const std::string& data_start = "0") {
  const auto volume = [](const std::string& name, const std::string& id, const std::string& pv,
                         const std::string& start) {
    return fmt::format(R"({} {{
id = "{}"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
segment_count = 1
segment1 {{
start_extent = 0
extent_count = 4
type = "striped"
stripe_count = 1
stripes = ["{}", {}]
}}
}}
)",
                       name, id, pv, start);
  };
  const auto physical = [](const std::string& name, const std::string& id,
                           const std::string& hint) {
    return fmt::format(R"({} {{
id = "{}"
device = "{}"
status = ["ALLOCATABLE"]
flags = []
dev_size = 131072
pe_start = 2048
pe_count = 15
}}
)",
                       name, id, hint);
  };
  return fmt::format(
      R"(vg0 {{
id = "VVVVVV-vvvv-vvvv-vvvv-vvvv-vvvv-vvvvvv"
seqno = {}
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = 8192
max_lv = 0
max_pv = 0
metadata_copies = 0
physical_volumes {{
{}{}}}
logical_volumes {{
{}{}}}
}}
contents = "Text Format Volume Group"
version = 1
)",
      seqno, physical("pv0", kPvArray, "/dev/md0"), physical("pv1", kPvPlain, "/dev/sdf"),
      volume("root", "LLLLLL-root-rrrr-rrrr-rrrr-rrrr-rrrrrr", "pv0", "0"),
      volume("my-data", "LLLLLL-data-dddd-dddd-dddd-dddd-dddddd", "pv1", data_start));
}

Json disc(const std::string& number = "1", const std::string& config = kConfig) {
  return {{"archives", true},
          {"number", number},
          {"serial", "S1"},
          {"not_the_last", false},
          {"files",
           {{"mondo-restore.cfg", config},
            {"mountlist.txt", kMountlist},
            {"i-want-my-lvm", nullptr},
            {"raidtab", nullptr}}}};
}

Json facts(const std::string& command_line = "compare_mode") {
  return {{"command_line", command_line},
          {"mondo-restore.cfg", kConfig},
          {"mountlist.txt", kMountlist},
          {"kernel", "6.1"},
          {"udevd", false}};
}

struct Arrangement {
  std::vector<ModelDisk> disks;
};

Arrangement arrangement() {
  Arrangement machine;
  for (int slot = 0; slot < 3; ++slot) {
    machine.disks.push_back({.name = fmt::format("sd{}", static_cast<char>('a' + slot)),
                             .minor = static_cast<unsigned>(16 * slot),
                             .probe = md_member(kArray, "0", 5, 3, slot)});
  }
  for (int slot = 0; slot < 2; ++slot) {
    machine.disks.push_back({.name = fmt::format("sd{}", static_cast<char>('d' + slot)),
                             .minor = static_cast<unsigned>(16 * (3 + slot)),
                             .probe = md_member(kMirror, "1", 1, 2, slot)});
  }
  machine.disks.push_back({.name = "sdf", .minor = 80, .probe = lvm_pv(kPvPlain, metadata())});
  machine.disks.push_back({.name = "sr0", .minor = 0, .probe = filesystem("iso9660")});
  return machine;
}

std::unique_ptr<ModelMachine> machine(const Json& what_is_known = facts()) {
  auto model = std::make_unique<ModelMachine>(what_is_known);
  model->content(kArray, lvm_pv(kPvArray, metadata()));
  model->medium("sr0", disc());
  model->start();
  return model;
}

TEST(EngineTest, LaunchesOnceWhenMediumAndTargetsAreThere) {
  auto model = machine();
  for (const auto& disk : arrangement().disks) {
    EXPECT_EQ(model->count("launch", "run"), 0U) << "before " << disk.name;
    model->plug(disk);
  }
  EXPECT_EQ(model->count("launch", "run"), 1U) << explain_text(model->engine(), "");
  EXPECT_EQ(model->world().phase(), Phase::restoring);
  EXPECT_THAT(model->arguments_of("launch", "run").front().at("arguments"),
              Json::array({"--compare"}));
}

TEST(EngineTest, EveryOrderOfArrivalEndsInTheSameState) {
  std::string reference;
  std::mt19937 random(20240607);
  auto disks = arrangement().disks;
  for (int round = 0; round < 300; ++round) {
    std::shuffle(disks.begin(), disks.end(), random);
    auto model = machine();
    std::string order;
    for (const auto& disk : disks) {
      order += disk.name + " ";
      EXPECT_EQ(model->count("launch", "run"), 0U) << order;
      model->plug(disk);
    }
    ASSERT_EQ(model->count("launch", "run"), 1U) << order << explain_text(model->engine(), "");
    if (reference.empty()) {
      reference = model->final_state();
    }
    ASSERT_EQ(model->final_state(), reference) << order;
  }
}

TEST(EngineTest, RemovalsAndReturnsOnTheWayChangeNothingInTheEnd) {
  std::mt19937 random(7);
  auto disks = arrangement().disks;
  auto whole = machine();
  for (const auto& disk : disks) {
    whole->plug(disk);
  }
  for (int round = 0; round < 300; ++round) {
    std::shuffle(disks.begin(), disks.end(), random);
    auto model = machine();
    std::string story;
    const auto last = disks.back();
    for (std::size_t i = 0; i + 1 < disks.size(); ++i) {
      story += "+" + disks[i].name + " ";
      model->plug(disks[i]);
      if (random() % 2 == 0) {
        const auto& gone = disks[random() % (i + 1)];
        story += "-" + gone.name + " +" + gone.name + " ";
        model->unplug(gone.name);
        model->plug(gone);
      }
    }
    ASSERT_EQ(model->count("launch", "run"), 0U) << story;
    model->plug(last);
    ASSERT_EQ(model->count("launch", "run"), 1U) << story << last.name << "\n"
                                                 << explain_text(model->engine(), "");
    ASSERT_EQ(model->final_state(), whole->final_state()) << story;
  }
}

TEST(EngineTest, ALostMemberTakesTheStackDownTopFirstAndItsReturnBuildsItAgain) {
  auto model = machine();
  for (const auto& disk : arrangement().disks) {
    if (disk.name != "sr0") {
      model->plug(disk);
    }
  }
  ASSERT_EQ(model->state("lv:vg0/root"), "ready");
  const auto before = model->effects().size();
  model->unplug("sdb");
  std::vector<std::string> order;
  for (auto i = before; i < model->effects().size(); ++i) {
    const auto& effect = model->effects()[i];
    if (effect.handler == "lvm" || effect.handler == "md") {
      order.push_back(effect.handler + " " + effect.verb);
    }
  }
  EXPECT_THAT(order, ElementsAre("lvm remove", "md stop"));
  EXPECT_EQ(model->state(fmt::format("array:{}", kArray)), "waiting");
  EXPECT_THAT(model->why(fmt::format("array:{}", kArray)), HasSubstr("slot 1 not seen"));
  EXPECT_EQ(model->state("lv:vg0/my-data"), "ready");
  model->plug(arrangement().disks[1]);
  EXPECT_EQ(model->state("lv:vg0/root"), "ready");
}

TEST(EngineTest, AMemberThatNeverComesIsNamed) {
  auto model = machine();
  for (const auto& disk : arrangement().disks) {
    if (disk.name != "sdb") {
      model->plug(disk);
    }
  }
  EXPECT_EQ(model->count("launch", "run"), 0U);
  EXPECT_THAT(explain_text(model->engine(), ""),
              AllOf(HasSubstr("target /dev/vg0/root: waiting for"),
                    HasSubstr(fmt::format("array \"0\" (raid5, {}): waiting for", kArray)),
                    HasSubstr("2 of 3 members; slot 1 not seen; here: slot 0 sda, slot 2 sdc")));
  EXPECT_THAT(board_text(model->engine(), 200),
              AllOf(HasSubstr(kArray), HasSubstr("slot 1 not seen")));
}

TEST(EngineTest, NothingIsAssembledWhileMembersAreStaleOrClaimedTwice) {
  auto model = machine();
  auto disks = arrangement().disks;
  disks[2].probe = md_member(kArray, "0", 5, 3, 1);  // a clone of slot 1
  model->plug(disks[0]);
  model->plug(disks[1]);
  model->plug(disks[2]);
  EXPECT_EQ(model->count("md", "assemble"), 0U);
  EXPECT_THAT(model->why(fmt::format("array:{}", kArray)),
              HasSubstr("sdb and sdc both claim slot 1"));

  auto stale = machine();
  disks[2].probe = md_member(kArray, "0", 5, 3, 2, 4);
  stale->plug(disks[0]);
  stale->plug(disks[1]);
  stale->plug(disks[2]);
  EXPECT_EQ(stale->count("md", "assemble"), 0U);
  EXPECT_THAT(stale->why(fmt::format("array:{}", kArray)),
              HasSubstr("stale: sdc (events 4, newest 10)"));
}

TEST(EngineTest, AMemberThatFailedLastIsNotCurrentEvenOneEventBehind) {
  auto model = machine();
  model->plug({.name = "sdd",
               .minor = 48,
               .probe = md_member(kMirror, "1", 1, 2, 0, 102, {"active", "missing"})});
  model->plug({.name = "sde", .minor = 64, .probe = md_member(kMirror, "1", 1, 2, 1, 101)});
  EXPECT_EQ(model->count("md", "assemble"), 0U);
  EXPECT_THAT(model->why(fmt::format("array:{}", kMirror)),
              HasSubstr("stale: sde (events 101, newest 102)"));
}

TEST(EngineTest, AnArrayOfWhichNoMemberIsLeftClaimsNoNumber) {
  auto known = facts();
  known["raidtab"] =
      "raiddev /dev/md7\nraid-level 1\nnr-raid-disks 2\npersistent-superblock 1\n"
      "device /dev/sdd\nraid-disk 0\ndevice /dev/sde\nraid-disk 1\n";
  auto model = std::make_unique<ModelMachine>(known);
  model->content(kMirror, lvm_pv(kPvArray, metadata()));
  model->start();
  const std::string thing = fmt::format("array:{}", kMirror);
  const auto half = [](const std::string& name, unsigned minor, int slot) {
    return ModelDisk{.name = name, .minor = minor, .probe = md_member(kMirror, "data", 1, 2, slot)};
  };
  model->plug(half("sdd", 48, 0));
  model->plug(half("sde", 64, 1));
  EXPECT_THAT(model->world().thing(thing)->names, ElementsAre("/dev/md/data", "/dev/md7"));
  model->hold("lvm", "remove");  // so that the array stays for a while
  model->unplug("sdd");
  model->unplug("sde");
  EXPECT_THAT(model->world().thing(thing)->names, ElementsAre("/dev/md7"));  // the kernel's name
  model->release("lvm", "remove");
  model->plug(half("sde", 64, 1));
  model->plug(half("sdd", 48, 0));
  EXPECT_EQ(model->state(thing), "ready");
}

TEST(EngineTest, HalvesThatWentOnAloneAreRefusedInEitherOrder) {
  for (const bool reverse : {false, true}) {
    auto model = machine();
    ModelDisk left{.name = "sda",
                   .minor = 0,
                   .probe = md_member(kMirror, "1", 1, 2, 0, 20, {"active", "missing"})};
    ModelDisk right{.name = "sdb",
                    .minor = 16,
                    .probe = md_member(kMirror, "1", 1, 2, 1, 30, {"missing", "active"})};
    model->plug(reverse ? right : left);
    model->plug(reverse ? left : right);
    EXPECT_EQ(model->count("md", "assemble"), 0U);
    EXPECT_EQ(model->state(fmt::format("array:{}", kMirror)), "impossible");
    EXPECT_THAT(model->why(fmt::format("array:{}", kMirror)),
                HasSubstr("sdb and sda both went on without each other (events 30 and 20)"));
  }
}

TEST(EngineTest, WhatFailedIsKnownUntilItSucceedsAndNotWithoutBound) {
  auto model = machine();
  model->fail_effect("probe", "read", "Input/output error");
  for (unsigned i = 0; i < 100; ++i) {
    model->plug({.name = fmt::format("sdx{}", i), .minor = 16 * i, .probe = Json::object()});
  }
  const auto& attempts = model->engine().failed_attempts();
  ASSERT_EQ(attempts.size(), 64U);
  EXPECT_EQ(attempts.back().subject, "sdx99");
  EXPECT_EQ(attempts.back().error, "Input/output error");
  EXPECT_TRUE(std::none_of(attempts.begin(), attempts.end(),
                           [](const FailedAttempt& attempt) { return attempt.subject == "sdx0"; }));

  auto fails = machine();
  fails->fail_effect("md", "assemble", "EINVAL");
  for (const auto& disk : arrangement().disks) {
    fails->plug(disk);
  }
  ASSERT_FALSE(fails->engine().failed_attempts().empty());
  fails->fail_effect("md", "assemble", "");
  fails->unplug("sdc");
  fails->plug(arrangement().disks[2]);
  EXPECT_TRUE(std::none_of(fails->engine().failed_attempts().begin(),
                           fails->engine().failed_attempts().end(),
                           [](const FailedAttempt& attempt) { return attempt.subject == kArray; }));
}

TEST(EngineTest, ExplainAnswersInWordsOrAsAnObject) {
  auto model = machine();
  model->plug(arrangement().disks[0]);
  model->command("explain", {{"subject", "/dev/md0"}, {"json", true}});
  const Json answer = model->effects().back().arguments.at("answer");
  ASSERT_EQ(answer.at("chains").size(), 1U);
  EXPECT_EQ(answer["chains"][0].at("id"), fmt::format("array:{}", kArray));
  EXPECT_EQ(answer["chains"][0].at("state"), "waiting");
  model->command("explain", {{"subject", "/dev/md0"}});
  EXPECT_EQ(model->effects().back().arguments.at("answer"),
            Json({{"text", explain_text(model->engine(), "/dev/md0")}}));
}

TEST(EngineTest, WhatWasThereIsToldAndLeavesNothingBehind) {
  auto model = machine();
  const auto& disks = arrangement().disks;
  model->plug(disks[0]);
  model->plug(disks[1]);
  const auto before = model->why(fmt::format("array:{}", kArray));
  model->plug(disks[2]);
  model->unplug("sdc");
  EXPECT_THAT(explain_text(model->engine(), ""), HasSubstr("slot 2 was sdc, which went away"));
  // The state is a function of what is there, in whatever order it came and went.
  EXPECT_EQ(model->why(fmt::format("array:{}", kArray)), before);
}

TEST(EngineTest, DegradedOnlyByPolicyAndDeadline) {
  auto never = machine();
  auto disks = arrangement().disks;
  never->plug(disks[3]);
  EXPECT_EQ(never->count("timer", "set"), 0U);
  EXPECT_EQ(never->count("md", "assemble"), 0U);

  auto allowed = machine(facts("compare_mode muster.degraded_after=30s"));
  allowed->plug(disks[3]);
  EXPECT_EQ(allowed->count("timer", "set"), 1U);
  EXPECT_EQ(allowed->count("md", "assemble"), 0U);
  allowed->timer(fmt::format("md/degraded start {}", kMirror));
  EXPECT_EQ(allowed->count("md", "assemble"), 1U);
  // The late member: taken down and put together whole, since nothing was written.
  allowed->plug(disks[4]);
  EXPECT_EQ(allowed->count("md", "stop"), 1U);
  EXPECT_EQ(allowed->count("md", "assemble"), 2U);
  EXPECT_THAT(allowed->arguments_of("md", "assemble").back().at("members"), SizeIs(2));
}

TEST(EngineTest, AStalePvDecidesNothingInEitherOrder) {
  // The plain PV carries metadata from before my-data moved.
  for (const bool stale_first : {false, true}) {
    auto model = machine();
    model->content(kArray, lvm_pv(kPvArray, metadata(5, "8")));
    auto disks = arrangement().disks;
    if (stale_first) {
      model->plug(disks[5]);
    }
    for (int i = 0; i < 3; ++i) {
      model->plug(disks[static_cast<std::size_t>(i)]);
    }
    if (!stale_first) {
      model->plug(disks[5]);
    }
    EXPECT_EQ(model->state("lv:vg0/root"), "ready") << stale_first;
    EXPECT_EQ(model->state("lv:vg0/my-data"), "impossible") << stale_first;
    EXPECT_THAT(model->why("lv:vg0/my-data"),
                HasSubstr("sdf is stale: its metadata has seqno 3, the newest is 5"));
  }
}

TEST(EngineTest, WhatNewerMetadataChangesIsTakenBack) {
  auto model = machine();
  model->content(kArray, lvm_pv(kPvArray, metadata(5, "8")));
  const auto disks = arrangement().disks;
  model->plug(disks[5]);
  ASSERT_EQ(model->state("lv:vg0/my-data"), "ready");  // by the only metadata there is
  for (std::size_t i = 0; i < 3; ++i) {
    model->plug(disks[i]);
  }
  EXPECT_EQ(model->count("lvm", "remove"), 1U);
  EXPECT_EQ(model->state("lv:vg0/my-data"), "impossible");
}

// A look at /sys that came in between saw the map without its name, and its end is told to nobody
// who asked for maps with one.
TEST(EngineTest, AVolumeThatLostItsNameBeforeItWentIsForgotten) {
  auto model = machine();
  model->content(kArray, lvm_pv(kPvArray, metadata(5, "8")));
  const auto disks = arrangement().disks;
  model->plug(disks[5]);
  ASSERT_EQ(model->state("lv:vg0/my-data"), "ready");
  const auto devpath = model->world().thing("lv:vg0/my-data")->devpath;
  model->hold("lvm", "remove");
  for (std::size_t i = 0; i < 3; ++i) {
    model->plug(disks[i]);
  }
  ASSERT_EQ(model->count("lvm", "remove"), 1U);
  const Device* map = model->world().find(devpath);
  DeviceEvent nameless;
  nameless.action = Action::change;
  nameless.devpath = devpath;
  nameless.subsystem = "block";
  nameless.properties = map->properties;
  nameless.attributes = {{"dm/uuid", std::nullopt}, {"dm/name", std::nullopt}};
  model->send(nameless);
  model->release("lvm", "remove");
  EXPECT_EQ(model->world().thing("lv:vg0/my-data")->devpath, "");
}

// The attempt fails because a disk was pulled, and it is there again before anybody hears of that.
TEST(EngineTest, WhatFailedBecauseADiskWasPulledIsTriedAgain) {
  const auto disks = arrangement().disks;
  auto model = machine();
  model->hold("md", "assemble");
  model->plug(disks[3]);
  model->plug(disks[4]);
  ASSERT_EQ(model->count("md", "assemble"), 1U);
  model->unplug(disks[4].name);
  model->plug(disks[4]);
  model->fail_effect("md", "assemble", "ADD_NEW_DISK: No such device or address");
  model->release("md", "assemble");
  EXPECT_EQ(model->count("md", "assemble"), 2U);

  auto volumes = machine();
  volumes->hold("lvm", "create");
  volumes->plug(disks[5]);
  ASSERT_EQ(volumes->count("lvm", "create"), 1U);
  volumes->unplug(disks[5].name);
  volumes->plug(disks[5]);
  volumes->fail_effect("lvm", "create", "No such device or address");
  volumes->release("lvm", "create");
  EXPECT_EQ(volumes->count("lvm", "create"), 2U);
}

TEST(EngineTest, AnUnusedPvHoldsNothingUp) {
  auto model = machine();
  model->plug(arrangement().disks[5]);
  EXPECT_EQ(model->state("lv:vg0/my-data"), "ready");
  EXPECT_EQ(model->state("lv:vg0/root"), "waiting");
  EXPECT_THAT(model->why("lv:vg0/root"), HasSubstr("not seen"));
}

TEST(EngineTest, HyphensAreDoubledAsLvm2Does) {
  auto model = machine();
  model->plug(arrangement().disks[5]);
  const auto made = model->arguments_of("lvm", "create");
  ASSERT_THAT(made, SizeIs(1));
  EXPECT_EQ(made[0].at("dm_name"), "vg0-my--data");
  EXPECT_EQ(made[0].at("dm_uuid"),
            "LVM-"
            "VVVVVVvvvvvvvvvvvvvvvvvvvvvvvvvv"
            "LLLLLLdatadddddddddddddddddddddd");
  std::vector<std::string> links;
  for (const auto& link : model->arguments_of("node", "link")) {
    links.push_back(link.at("path").get<std::string>());
  }
  EXPECT_THAT(links, ::testing::Contains("/dev/vg0/my-data"));
}

TEST(EngineTest, TheWrongDiscIsNamedAndTheRightOneTakenWithoutAKey) {
  auto model = machine();
  for (const auto& disk : arrangement().disks) {
    if (disk.name != "sr0") {
      model->plug(disk);
    }
  }
  auto drive = arrangement().disks.back();
  model->medium("sr0", disc("2"));
  model->plug(drive);
  EXPECT_EQ(model->count("launch", "run"), 0U);
  EXPECT_THAT(model->why("need:medium"), HasSubstr("sr0: disc \"2\" is in it: disc 1 is needed"));
  model->unplug("sr0");
  model->medium("sr0", disc("1"));
  model->plug(drive);
  EXPECT_EQ(model->count("launch", "run"), 1U);
}

TEST(EngineTest, AnotherBackupIsOnlyOffered) {
  auto model = machine();
  for (const auto& disk : arrangement().disks) {
    if (disk.name != "sr0") {
      model->plug(disk);
    }
  }
  model->medium("sr0", disc("1",
                            "files-in-filelist 99\nlast-filelist-number 7\ntotal-slices "
                            "0\niso-prefix lab\nbackup-media-type cdr\n"));
  model->plug(arrangement().disks.back());
  EXPECT_EQ(model->count("launch", "run"), 0U);
  EXPECT_THAT(model->why("need:medium"), HasSubstr("another backup"));
  model->command("use", {{"device", "/dev/sr0"}});
  EXPECT_EQ(model->count("launch", "run"), 1U);
}

TEST(EngineTest, AnEmptyCardReaderIsAskedToSayWhenACardComes) {
  auto model = machine();
  DeviceEvent slot;
  slot.action = Action::add;
  slot.devpath = "/devices/pci0000:00/usb1/1-1/host9/target9:0:0/9:0:0:0/block/sdz";
  slot.subsystem = "block";
  slot.properties = {{"MAJOR", "65"},     {"MINOR", "144"},       {"DEVNAME", "/dev/sdz"},
                     {"DEVTYPE", "disk"}, {"SUBSYSTEM", "block"}, {"DISKSEQ", "30"}};
  slot.attributes = {{"size", "0"}, {"removable", "1"}};
  model->send(slot);
  slot.action = Action::change;
  model->send(slot);
  EXPECT_EQ(model->count("medium", "poll"), 1U);
  EXPECT_EQ(model->count("probe", "read"), 0U);
}

// The operator chose a disc, not a drive.
TEST(EngineTest, AnotherDiscInTheDriveHasToBeChosenAnew) {
  const auto backup = [](const char* files) {
    return disc("1", fmt::format("files-in-filelist {}\nlast-filelist-number 7\ntotal-slices "
                                 "0\niso-prefix lab\nbackup-media-type cdr\n",
                                 files));
  };
  auto model = machine();
  for (std::size_t i = 0; i + 1 < arrangement().disks.size(); ++i) {
    model->plug(arrangement().disks[i]);
  }
  model->hold("launch", "prepare");
  model->medium("sr0", backup("99"));
  model->plug(arrangement().disks.back());
  model->command("use", {{"device", "/dev/sr0"}});
  ASSERT_EQ(model->state("need:medium"), "ready");
  model->medium("sr0", backup("77"));
  model->unplug("sr0");
  model->plug(arrangement().disks.back());
  EXPECT_EQ(model->state("need:medium"), "waiting");
  EXPECT_THAT(model->why("need:medium"), HasSubstr("another backup"));
}

TEST(EngineTest, TwoBackupsWithoutASerialAreTwoIfTheirFilesDiffer) {
  auto model = std::make_unique<ModelMachine>(Json{{"command_line", "interactive"}});
  auto one = disc();
  one.erase("serial");
  auto other = one;
  other["files"]["mountlist.txt"] = "/dev/sdz1 / ext3 1000\n";
  model->medium("sr0", one);
  model->medium("sr1", other);
  model->start();
  model->plug({.name = "sr0", .minor = 0, .probe = filesystem("iso9660")});
  model->plug({.name = "sr1", .minor = 1, .probe = filesystem("iso9660", "3333-4444")});
  EXPECT_EQ(model->state("need:medium"), "impossible");
  EXPECT_THAT(model->why("need:medium"), HasSubstr("hold different backups"));
}

Json nuke_facts(const std::string& words) {
  auto known = facts("nuke_mode " + words);
  known["mountlist.txt"] = "/dev/sda1 / ext3 20000\n";
  return known;
}

std::unique_ptr<ModelMachine> nuke_machine(const std::string& words) {
  auto model = std::make_unique<ModelMachine>(nuke_facts(words));
  auto found = disc();
  found["files"]["mountlist.txt"] = "/dev/sda1 / ext3 20000\n";
  model->medium("sr0", found);
  model->start();
  model->plug({.name = "sr0", .minor = 0, .probe = filesystem("iso9660")});
  return model;
}

TEST(EngineTest, ANukeWithoutBindingWaitsForTheOperator) {
  auto model = nuke_machine("");
  model->plug({.name = "sda", .minor = 0, .serial = "GOOD", .probe = Json::object()});
  EXPECT_EQ(model->count("launch", "run"), 0U);
  EXPECT_THAT(model->why("need:/dev/sda"),
              AllOf(HasSubstr("serial=GOOD"), HasSubstr("`muster go` accepts it")));
  model->command("go");
  EXPECT_EQ(model->count("launch", "filter"), 1U);
  EXPECT_EQ(model->count("launch", "run"), 1U);
}

TEST(EngineTest, ANukeTakesTheBoundDiskWhateverItsName) {
  auto model = nuke_machine("muster.target=sda:serial=GOOD");
  model->plug({.name = "sda", .minor = 0, .serial = "WRONG", .probe = Json::object()});
  EXPECT_EQ(model->count("launch", "run"), 0U);
  model->plug({.name = "sdb", .minor = 16, .serial = "GOOD", .probe = Json::object()});
  ASSERT_EQ(model->count("launch", "prepare"), 1U);
  const auto drives = model->arguments_of("launch", "prepare").front().at("drives");
  EXPECT_EQ(drives, Json::parse(R"([{"name": "/dev/sda", "devno": "8:16", "kernel": "sdb"}])"));
  EXPECT_EQ(model->count("launch", "run"), 1U);
}

// mondorestore cannot have the partition table of a disk read anew while a partition of it is open.
class ADriveReadAtTheLaunch : public ::testing::Test {
 protected:
  void SetUp() override {
    model_ = nuke_machine("muster.target=sda:serial=GOOD");
    model_->hold("launch", "filter");
    model_->plug({.name = "sda", .minor = 0, .serial = "GOOD", .probe = Json::object()});
    model_->hold("probe", "read");
    DeviceEvent grown;
    grown.action = Action::change;
    grown.devpath = model_->world().block_by_kernel_name("sda")->devpath;
    grown.subsystem = "block";
    grown.properties = model_->world().find(grown.devpath)->properties;
    grown.attributes = model_->world().find(grown.devpath)->attributes;
    grown.attributes["size"] = "262144";
    model_->send(grown);
    model_->release("launch", "filter");
    ASSERT_EQ(model_->count("launch", "filter"), 1U);
    ASSERT_EQ(model_->count("launch", "run"), 0U);
    ASSERT_EQ(model_->why("launch"), "until /dev/sda is not read any more");
  }
  std::unique_ptr<ModelMachine> model_;
};

TEST_F(ADriveReadAtTheLaunch, IsWaitedFor) {
  model_->release("probe", "read");
  EXPECT_EQ(model_->count("launch", "run"), 1U);
}

TEST_F(ADriveReadAtTheLaunch, IsNotWaitedForWhenItHangs) {
  const auto& effects = model_->effects();
  const auto read = std::find_if(effects.rbegin(), effects.rend(), [](const Effect& effect) {
    return effect.handler == "probe" && effect.verb == "read";
  });
  ASSERT_NE(read, effects.rend());
  model_->send(EffectLate{read->id});
  EXPECT_EQ(model_->count("launch", "run"), 1U);
}

TEST_F(ADriveReadAtTheLaunch, MayBePulled) {
  model_->unplug("sda");
  EXPECT_EQ(model_->count("launch", "run"), 0U);
  EXPECT_EQ(model_->world().phase(), Phase::gathering);
}

// What an operator says once is no requirement of a nuke, neither now nor later.
TEST(EngineTest, ANukeWithoutOneOfItsDrivesIsNotLaunchedByGo) {
  auto known = nuke_facts("muster.target=sda:serial=GOOD muster.target=sdb:serial=FINE");
  known["mountlist.txt"] = "/dev/sda1 / ext3 20000\n/dev/sdb1 /srv ext3 20000\n";
  ModelMachine model(known);
  auto found = disc();
  found["files"]["mountlist.txt"] = known["mountlist.txt"];
  model.medium("sr0", found);
  model.start();
  model.fail_effect("launch", "filter", "lvm pvs: exit status 5");
  model.plug({.name = "sr0", .minor = 0, .probe = filesystem("iso9660")});
  model.plug({.name = "sda", .minor = 0, .serial = "GOOD", .probe = Json::object()});
  model.plug({.name = "sdb", .minor = 16, .serial = "FINE", .probe = Json::object()});
  ASSERT_EQ(model.count("launch", "filter"), 1U);
  model.hold("launch", "prepare");
  model.fail_effect("launch", "filter", {});
  model.command("go");
  ASSERT_EQ(model.count("launch", "prepare"), 2U);
  model.unplug("sdb");
  model.release("launch", "prepare");
  EXPECT_EQ(model.count("launch", "filter"), 1U);
  EXPECT_EQ(model.count("launch", "run"), 0U);
  EXPECT_THAT(model.why("need:/dev/sdb"), HasSubstr("not seen yet"));
}

TEST(EngineTest, NobodySaysThatMondorestoreEndedWhereItCannotBeFollowed) {
  auto model = nuke_machine("muster.target=sda:serial=GOOD");
  model->fail_effect("launch", "follow", "muster-init: Connection refused");
  model->plug({.name = "sda", .minor = 0, .serial = "GOOD", .probe = Json::object()});
  EXPECT_EQ(model->count("launch", "run"), 1U);
  EXPECT_EQ(model->count("launch", "end"), 0U);
  EXPECT_EQ(model->world().phase(), Phase::restoring);
  EXPECT_THAT(model->why("launch"), HasSubstr("cannot be followed: muster-init"));
}

// The array on which the medium lies.
void plug_mirror(ModelMachine& model) {
  for (int slot = 0; slot < 2; ++slot) {
    model.plug({.name = fmt::format("sd{}", static_cast<char>('d' + slot)),
                .minor = static_cast<unsigned>(16 * (3 + slot)),
                .probe = md_member(kMirror, "0", 1, 2, slot)});
  }
}

// A medium may lie on an array: LVM must not see that array either, and its name must not be one
// that mondorestore gives to an array of its own.
TEST(EngineTest, AnArrayBesideANukeIsHiddenAndHasNoNameOfThePlan) {
  auto known = nuke_facts("muster.target=sda:serial=GOOD");
  const std::string config = "backup-media-type iso\nisodir /backups\niso-prefix host\n";
  known["mondo-restore.cfg"] = config;
  known["mountlist.txt"] = "/dev/md0 / ext3 20000\n/dev/sda1 raid raid 20000\n";
  known["raidtab"] =
      "raiddev /dev/md0\nraid-level 1\nnr-raid-disks 2\npersistent-superblock 1\n"
      "device /dev/sda1\nraid-disk 0\ndevice /dev/sda2\nraid-disk 1\n";
  auto model = std::make_unique<ModelMachine>(known);
  auto found = disc("1", config);
  found["iso"] = "/backups/host-1.iso";
  found["files"]["mountlist.txt"] = known["mountlist.txt"];
  found["files"]["raidtab"] = known["raidtab"];
  model->content(kMirror, filesystem("ext4"));
  model->medium("md127", found);
  model->start();
  plug_mirror(*model);
  EXPECT_THAT(model->world().thing(fmt::format("array:{}", kMirror))->names,
              Not(Contains("/dev/md0")));
  model->plug({.name = "sda", .minor = 0, .serial = "GOOD", .probe = Json::object()});
  ASSERT_EQ(model->count("launch", "filter"), 1U) << explain_text(model->engine(), "");
  EXPECT_EQ(model->arguments_of("launch", "filter").front().at("arrays"), Json::array({"md127"}));
}

// Nothing is assembled before it is known which disks the nuke may erase: that is when it is.
TEST(EngineTest, WhatAMediumMayLieOnIsAssembledOnceTheDrivesAreAccepted) {
  auto known = nuke_facts("");
  const std::string config = "backup-media-type iso\nisodir /backups\niso-prefix host\n";
  known["mondo-restore.cfg"] = config;
  auto model = std::make_unique<ModelMachine>(known);
  auto found = disc("1", config);
  found["iso"] = "/backups/host-1.iso";
  found["files"]["mountlist.txt"] = known["mountlist.txt"];
  model->content(kMirror, filesystem("ext4"));
  model->medium("md127", found);
  model->start();
  plug_mirror(*model);
  model->plug({.name = "sdf", .minor = 80, .probe = lvm_pv(kPvPlain, metadata())});
  model->plug({.name = "sda", .minor = 0, .serial = "GOOD", .probe = Json::object()});
  const std::string array = fmt::format("array:{}", kMirror);
  ASSERT_EQ(model->state(array), "waiting");
  ASSERT_THAT(model->why("lv:vg0/my-data"), HasSubstr("not bound to a disk yet"));
  model->command("go");
  EXPECT_EQ(model->state(array), "ready");
  EXPECT_EQ(model->state("lv:vg0/my-data"), "ready");
  EXPECT_EQ(model->state("need:medium"), "ready");
}

TEST(EngineTest, WhatCouldNotBeReadIsReadAgainWhenTheOperatorSaysSo) {
  auto model = machine();
  model->fail_effect("medium", "examine", "Input/output error");
  model->plug({.name = "sr0", .minor = 0, .probe = filesystem("iso9660")});
  EXPECT_THAT(model->why("need:medium"), HasSubstr("sr0: Input/output error"));
  model->fail_effect("medium", "examine", "");
  model->command("use", {{"device", "sr0"}});
  EXPECT_EQ(model->replies().back().value("text", ""), "sr0 is read again");
  EXPECT_EQ(model->state("need:medium"), "ready");
}

TEST(EngineTest, WithoutAConfigTheOperatorMayNameAFilesystemThatHoldsTheMedium) {
  for (const bool named : {false, true}) {
    Json known = {{"command_line", named ? "muster.medium=/dev/sdg" : ""},
                  {"mondo-restore.cfg", nullptr},
                  {"mountlist.txt", nullptr},
                  {"kernel", "6.1"},
                  {"udevd", false}};
    auto model = machine(known);
    model->plug({.name = "sdg", .minor = 96, .probe = filesystem("ext4")});
    model->plug({.name = "sdh", .minor = 112, .probe = filesystem("ext4")});
    ASSERT_EQ(model->count("medium", "examine"), named ? 1U : 0U);
  }
}

TEST(EngineTest, ANukeIsNotLaunchedWithoutACheckedFilter) {
  auto model = nuke_machine("muster.target=sda:serial=GOOD");
  model->fail_effect("launch", "filter", "lvm pvs: exit status 5");
  model->plug({.name = "sda", .minor = 0, .serial = "GOOD", .probe = Json::object()});
  EXPECT_EQ(model->count("launch", "run"), 0U);
  EXPECT_THAT(model->why("launch"), HasSubstr("lvm pvs: exit status 5"));
}

TEST(EngineTest, ANukeAssemblesNothing) {
  auto model = nuke_machine("muster.target=sda:serial=NEVER");
  for (const auto& disk : arrangement().disks) {
    if (disk.name != "sr0") {
      model->plug(disk);
    }
  }
  EXPECT_EQ(model->count("md", "assemble"), 0U);
  EXPECT_EQ(model->count("lvm", "create"), 0U);
}

TEST(EngineTest, AMissingMountlistNeverEndsInANuke) {
  auto known = facts("nuke_mode");
  known.erase("mountlist.txt");
  auto model = std::make_unique<ModelMachine>(known);
  model->start();
  EXPECT_EQ(model->world().plan().mode, Mode::interactive);
  for (const auto& disk : arrangement().disks) {
    if (disk.name != "sr0") {
      model->plug(disk);
    }
  }
  // The medium may still bring one: until then nothing is put together on what might be erased.
  EXPECT_EQ(model->count("md", "assemble"), 0U);
}

TEST(EngineTest, AfterTheLaunchNothingIsTouched) {
  auto model = machine();
  for (const auto& disk : arrangement().disks) {
    model->plug(disk);
  }
  ASSERT_EQ(model->world().phase(), Phase::restoring);
  const auto before = model->effects().size();
  model->unplug("sdb");
  model->plug(arrangement().disks[1]);
  model->plug({.name = "sdz",
               .minor = 240,
               .probe = md_member("eeeeeeee:eeeeeeee:eeeeeeee:eeeeeeee", "9", 1, 1, 0)});
  for (auto i = before; i < model->effects().size(); ++i) {
    const auto& effect = model->effects()[i];
    EXPECT_TRUE(effect.handler == "node" || effect.handler == "driver" ||
                effect.handler == "report")
        << effect.handler << " " << effect.verb;
  }
}

TEST(EngineTest, ARestartedDaemonFollowsTheRunningRestore) {
  auto known = facts();
  known["launch"] = "running";
  auto model = std::make_unique<ModelMachine>(known);
  model->start();
  for (const auto& disk : arrangement().disks) {
    model->plug(disk);
  }
  EXPECT_EQ(model->count("launch", "run"), 0U);
  EXPECT_EQ(model->count("launch", "follow"), 1U);
  EXPECT_EQ(model->count("md", "assemble"), 0U);
}

TEST(EngineTest, AHungReadDelaysNothingElse) {
  auto model = machine();
  model->hold("probe", "read");
  model->plug({.name = "sdx", .minor = 200, .probe = Json::object()});
  const auto read = model->effects().back();
  ASSERT_EQ(read.verb, "read");
  model->send(EffectLate{read.id});
  EXPECT_EQ(model->state("probe:sdx"), "broken");
}

TEST(EngineTest, TheSameEventsGiveTheSameEffectsByteForByte) {
  std::string first;
  for (int round = 0; round < 2; ++round) {
    auto model = machine();
    for (const auto& disk : arrangement().disks) {
      model->plug(disk);
    }
    std::string all;
    for (const auto& effect : model->effects()) {
      all += to_json(effect, 0).dump() + "\n";
    }
    if (first.empty()) {
      first = all;
    }
    EXPECT_EQ(all, first);
  }
}

TEST(EngineTest, LostEventsEndInAScanThatFindsTheDifference) {
  auto model = machine();
  model->plug(arrangement().disks[5]);
  model->hold("source", "scan");
  model->send(EventsLost{"overrun"});
  EXPECT_EQ(model->count("source", "scan"), 2U);
  model->send(EventsLost{"overrun"});
  EXPECT_EQ(model->count("source", "scan"), 2U) << "one at a time";
  model->send(ScanDone{9, {}});
  EXPECT_EQ(model->world().device_count(), 0U);
  EXPECT_EQ(model->count("source", "scan"), 3U) << "the second loss asks for one more";
}

void end_mondorestore(ModelMachine& model, bool success) {
  for (const auto& effect : std::vector<Effect>(model.effects())) {
    if (effect.handler == "launch" && effect.verb == "follow") {
      EffectDone done;
      done.id = effect.id;
      done.ok = true;
      done.result = {{"success", success}, {"text", "exit status 0"}};
      model.send(done);
    }
  }
}

TEST(EngineTest, AfterANukeTheJournalIsKeptWhereTheMountlistHasVarLog) {
  struct Case {
    const char* mountlist;
    const char* device;
    const char* below;
  };
  const Case cases[] = {
      {"/dev/sda1 / ext3 20000\n", "/dev/sda1", "/var/log/muster"},
      {"/dev/sda1 / ext3 20000\n/dev/sda2 /var ext4 9000\n/dev/sda3 /va ext4 9000\n", "/dev/sda2",
       "/log/muster"},
      {"/dev/sda5 /var/log/muster xfs 900\n/dev/sda1 / ext3 20000\n/dev/sda2 /var/log ext3 900\n",
       "/dev/sda2", "/muster"},
  };
  for (const auto& each : cases) {
    for (const bool success : {true, false}) {
      auto known = nuke_facts("muster.target=sda:serial=GOOD");
      known["mountlist.txt"] = each.mountlist;
      ModelMachine model(known);
      auto found = disc();
      found["files"]["mountlist.txt"] = each.mountlist;
      model.medium("sr0", found);
      model.start();
      model.plug({.name = "sr0", .minor = 0, .probe = filesystem("iso9660")});
      model.plug({.name = "sdb", .minor = 16, .serial = "GOOD", .probe = Json::object()});
      ASSERT_EQ(model.count("launch", "follow"), 1U) << explain_text(model.engine(), "");
      end_mondorestore(model, success);
      const auto end = model.arguments_of("launch", "end");
      ASSERT_THAT(end, SizeIs(1));
      ASSERT_EQ(end[0].contains("journal"), success);
      if (success) {
        EXPECT_EQ(end[0].at("journal").at("device"), each.device);
        EXPECT_EQ(end[0].at("journal").at("below"), each.below);
        EXPECT_EQ(end[0].at("journal").at("drives")[0].at("devno"), "8:16");
      }
    }
  }
}

TEST(EngineTest, WhatBecameOfTheJournalIsALine) {
  const std::pair<Json, const char*> cases[] = {
      {{{"file", "/var/log/muster/journal.jsonl"}},
       "the journal is on the restored system: /var/log/muster/journal.jsonl"},
      {{{"why", "No space left"}}, "the journal is not on the restored system: No space left"}};
  for (const auto& [kept, line] : cases) {
    auto model = machine();
    for (const auto& disk : arrangement().disks) {
      model->plug(disk);
    }
    model->hold("launch", "end");
    end_mondorestore(*model, true);
    ASSERT_EQ(model->arguments_of("launch", "end"), std::vector<Json>({{{"then", "shell"}}}));
    EffectDone done;
    done.id = model->effects().back().id;
    done.ok = true;
    done.result = {{"journal", kept}};
    model->send(done);
    EXPECT_EQ(model->engine().reports().back(), line);
  }
}

// --- snapshots

std::unique_ptr<Engine> restored(const std::string& snapshot) {
  auto engine = shipped_engine();
  const auto json = object_from_line(snapshot);
  EXPECT_TRUE(json);
  const auto done = engine->restore(*json);
  EXPECT_TRUE(done) << done.error().text;
  return engine;
}

struct Story {
  const char* name;
  std::function<std::unique_ptr<ModelMachine>()> play;
};

std::unique_ptr<ModelMachine> with_all_plugged(std::unique_ptr<ModelMachine> model) {
  for (const auto& disk : arrangement().disks) {
    model->plug(disk);
  }
  return model;
}

const Story kStories[] = {
    {"a compare from the first device to the end",
     [] {
       auto model = machine();
       model->command("wait");
       with_all_plugged(std::move(model)).swap(model);
       model->unplug("sdb");
       end_mondorestore(*model, true);
       model->command("status");
       return model;
     }},
    {"members and the disc go and come back",
     [] {
       auto model = machine();
       std::mt19937 random(5);
       auto disks = arrangement().disks;
       std::shuffle(disks.begin(), disks.end(), random);
       for (const auto& disk : disks) {
         model->plug(disk);
         if (model->world().phase() == Phase::gathering) {
           model->unplug(disk.name);
           model->plug(disk);
         }
       }
       return model;
     }},
    {"a stack is taken down while its parts are still being made",
     [] {
       auto model = machine();
       for (const auto* verb : {"assemble", "stop"}) {
         model->hold("md", verb);
       }
       for (const auto* verb : {"create", "remove"}) {
         model->hold("lvm", verb);
       }
       model->hold("node", "link");
       for (const auto& disk : arrangement().disks) {
         if (disk.name != "sr0") {
           model->plug(disk);
         }
       }
       model->unplug("sdb");
       model->release("md", "assemble");
       model->plug(arrangement().disks[1]);
       model->release("md", "stop");
       model->hold("md", "stop");
       model->release("lvm", "create");
       model->unplug("sda");
       model->release("lvm", "remove");
       model->release("md", "stop");
       model->plug(arrangement().disks[0]);
       model->release("node", "link");
       model->plug(arrangement().disks.back());
       return model;
     }},
    {"reads, module loads and the medium are late, fail or are repeated",
     [] {
       auto model = machine();
       model->hold("probe", "read");
       model->hold("driver", "resolve");
       model->hold("driver", "insert");
       model->hold("medium", "examine");
       with_all_plugged(std::move(model)).swap(model);
       for (const auto& effect : std::vector<Effect>(model->effects())) {
         if (effect.handler == "probe" || effect.verb == "resolve") {
           model->send(EffectLate{effect.id});
         }
       }
       model->unplug("sdc");
       model->release("driver", "resolve");
       model->plug(arrangement().disks[2]);
       model->fail_effect("driver", "insert", "Exec format error");
       model->release("driver", "insert");
       model->release("probe", "read");
       model->command("drivers");
       model->release("medium", "examine");
       return model;
     }},
    {"clones, stale members, halves and what fails to assemble",
     [] {
       auto model = machine(facts("compare_mode muster.degraded_after=30s"));
       auto disks = arrangement().disks;
       disks[2].probe = md_member(kArray, "0", 5, 3, 1);
       disks[4].probe = md_member(kMirror, "1", 1, 2, 1, 4);
       for (const auto& disk : disks) {
         model->plug(disk);
       }
       model->fail_effect("md", "assemble", "EINVAL");
       model->timer(fmt::format("md/degraded start {}", kArray));
       model->timer(fmt::format("md/degraded start {}", kMirror));
       model->unplug("sdc");
       model->plug(arrangement().disks[2]);
       model->unplug("sde");
       model->plug(arrangement().disks[4]);
       return model;
     }},
    {"degraded by its deadline, then whole",
     [] {
       auto model = machine(facts("compare_mode muster.degraded_after=30s"));
       model->plug(arrangement().disks[3]);
       model->timer(fmt::format("md/degraded start {}", kMirror));
       model->plug(arrangement().disks[4]);
       return model;
     }},
    {"newer metadata takes an activation back",
     [] {
       auto model = machine();
       model->content(kArray, lvm_pv(kPvArray, metadata(5, "8")));
       const auto disks = arrangement().disks;
       model->plug(disks[5]);
       model->unplug("sdf");
       model->plug(disks[5]);
       for (std::size_t i = 0; i < 3; ++i) {
         model->plug(disks[i]);
       }
       return model;
     }},
    {"the wrong disc, another backup, and the operator's choice",
     [] {
       auto model = machine();
       model->medium("sr0", disc("2"));
       with_all_plugged(std::move(model)).swap(model);
       model->unplug("sr0");
       model->medium("sr0", disc("1",
                                 "files-in-filelist 99\nlast-filelist-number 7\ntotal-slices "
                                 "0\niso-prefix lab\nbackup-media-type cdr\n"));
       model->plug(arrangement().disks.back());
       model->command("explain", {{"subject", "sr0"}});
       model->command("use", {{"device", "/dev/sr0"}});
       return model;
     }},
    {"an unbound nuke that the operator accepts, with a filter that fails at first",
     [] {
       auto model = nuke_machine("");
       model->plug({.name = "sda", .minor = 0, .serial = "GOOD", .probe = Json::object()});
       model->fail_effect("launch", "filter", "lvm pvs: exit status 5");
       model->command("go");
       model->command("go");
       return model;
     }},
    {"devices without a driver until the medium brings more, and a drive that is read again",
     [] {
       auto model = machine();
       DeviceEvent card;
       card.subsystem = "pci";
       card.properties = {{"MODALIAS", "pci:v00001000d00000030sv*"}};
       model->hold("driver", "resolve");
       for (const auto* path : {"/devices/pci0000:00/a", "/devices/pci0000:00/b"}) {
         card.devpath = path;
         model->send(card);
       }
       model->fail_effect("driver", "resolve", "no module matches", Errc::not_found);
       model->release("driver", "resolve");
       model->hold("probe", "read");
       model->fail_effect("medium", "take", "no space left");
       with_all_plugged(std::move(model)).swap(model);
       DeviceEvent other_disc;
       for (const auto& step : model->steps()) {
         const auto* event = std::get_if<DeviceEvent>(&step.event.body);
         if (event != nullptr && event->devpath.ends_with("sr0")) {
           other_disc = *event;
         }
       }
       other_disc.action = Action::change;
       other_disc.properties["DISKSEQ"] = "2";
       model->send(other_disc);
       model->release("probe", "read");
       card.action = Action::remove;
       model->send(card);
       return model;
     }},
    {"a bound nuke on another name",
     [] {
       auto model = nuke_machine("muster.target=sda:serial=GOOD");
       model->plug({.name = "sda", .minor = 0, .serial = "WRONG", .probe = Json::object()});
       model->hold("launch", "prepare");
       model->plug({.name = "sdb", .minor = 16, .serial = "GOOD", .probe = Json::object()});
       model->release("launch", "prepare");
       return model;
     }},
    {"events are lost while /sys is being read, and two devices claim one number",
     [] {
       auto model = machine();
       model->plug(arrangement().disks[5]);
       model->hold("source", "scan");
       model->send(EventsLost{"overrun"});
       model->send(EventsLost{"overrun"});
       DeviceEvent twin;
       twin.devpath = "/devices/other/block/sdf";
       twin.subsystem = "block";
       twin.properties = {{"MAJOR", "8"}, {"MINOR", "80"}, {"DEVTYPE", "disk"}};
       model->send(twin);
       model->plug(arrangement().disks[0]);
       model->send(ScanDone{9, {"/devices/other/block/sdf"}});
       model->plug(arrangement().disks[5]);
       model->unplug("sdf");
       model->plug(arrangement().disks[4]);
       return model;
     }},
};

// The engine that is replaced by its own snapshot after every event, and one that was restored once
// from each of them, must answer as the one that went on.
TEST(SnapshotTest, AnEngineRestoredAfterAnyEventGoesOnAsTheOtherDid) {
  for (const auto& story : kStories) {
    const auto model = story.play();
    const auto& steps = model->steps();
    ASSERT_GT(steps.size(), 10U) << story.name;
    auto going_on = shipped_engine();
    auto replaced = shipped_engine();
    for (std::size_t i = 0; i < steps.size(); ++i) {
      ASSERT_EQ(lines_of(going_on->on(steps[i].event)), steps[i].effects) << story.name;
      ASSERT_EQ(lines_of(replaced->on(steps[i].event)), steps[i].effects)
          << story.name << ": restored after every event, at event " << i << " "
          << to_line(to_json(steps[i].event));
      const auto text = to_line(going_on->snapshot());
      ASSERT_EQ(to_line(replaced->snapshot()), text) << story.name << ", event " << i;
      replaced = restored(text);
      ASSERT_EQ(to_line(replaced->snapshot()), text) << story.name << ", event " << i;
      const auto once = restored(text);
      for (std::size_t k = i + 1; k < steps.size(); ++k) {
        ASSERT_EQ(lines_of(once->on(steps[k].event)), steps[k].effects)
            << story.name << ": restored after event " << i << ", at event " << k << " "
            << to_line(to_json(steps[k].event));
      }
      ASSERT_EQ(board_text(*once, 200), board_text(model->engine(), 200)) << story.name;
      ASSERT_EQ(explain_json(*once, "", model->now()),
                explain_json(model->engine(), "", model->now()))
          << story.name;
    }
    EXPECT_EQ(to_line(going_on->snapshot()), to_line(model->engine().snapshot())) << story.name;
  }
}

TEST(SnapshotTest, TheMetadataOfAGroupIsWrittenOnceHoweverManyPvsCarryIt) {
  auto model = machine();
  with_all_plugged(std::move(model)).swap(model);
  const auto text = to_line(model->engine().snapshot());
  const auto first = text.find("LLLLLL-root-rrrr");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(text.find("LLLLLL-root-rrrr", first + 1), std::string::npos);
}

TEST(SnapshotTest, WhatIsMalformedIsNamed) {
  const Json good = with_all_plugged(machine())->engine().snapshot();
  const auto error = [&](const char* place, const Json& value) {
    Json bad = good;
    bad[Json::json_pointer(place)] = value;
    const auto result = shipped_engine()->restore(bad);
    return result ? std::string("accepted") : result.error().text;
  };
  EXPECT_EQ(error("/state/now", 5), "accepted");
  EXPECT_EQ(error("/texts", 5), "snapshot: \"texts\" must be a list");
  EXPECT_EQ(error("/state/now", "$99"), "snapshot: a text is named that is not in \"texts\"");
  EXPECT_EQ(error("/state/next_id", -1), "snapshot.next_id: must be a number in range");
  EXPECT_EQ(error("/state/phase", "later"), "snapshot.phase: not a word that is known");
  EXPECT_EQ(error("/state/devices", Json::array()), "snapshot.devices: must be an object");
  EXPECT_EQ(error("/state/devices/x", {{"absent", 77}}), "snapshot.devices.x.absent: no such list");
  EXPECT_EQ(error("/state/devices/x", {{"size", 7}}), "snapshot.devices.x.size: unknown");
  EXPECT_EQ(error("/state/pending/0", {{"id", 1}}).substr(0, 37),
            "snapshot.pending.0: not an effect: [j");
  EXPECT_EQ(error("/state/policies/md", nullptr), "snapshot.policies.md: must be an object");
  EXPECT_EQ(error("/state/policies/tape", Json::object()),
            "snapshot.policies.tape: there is no such handler");
  EXPECT_EQ(error("/state/policies/lvm/groups/x", {{"metadata", "vg0 {"}}),
            "snapshot.policies.lvm.groups.x.metadata: lvm metadata, line 1: \"vg0\" is not closed");
  Json without = good;
  without["state"].erase("things");
  EXPECT_EQ(shipped_engine()->restore(without).error().text, "snapshot.things: missing");
  EXPECT_EQ(shipped_engine()->restore(Json(nullptr)).error().text,
            "snapshot: must be an object with \"texts\" and \"state\"");
}

}  // namespace
}  // namespace muster::test
