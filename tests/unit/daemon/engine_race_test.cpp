// What happens while something else is under way: races that shuffled recordings have shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/engine.h"
#include "tests/support/model_machine.h"

namespace muster::test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kConfig =
    "files-in-filelist 3\nlast-filelist-number 0\ntotal-slices 0\niso-prefix "
    "lab\nbackup-media-type cdr\ndifferential 0\n";
constexpr const char* kMountlist = "/dev/sda / ext3 60000\n";

Json disc() {
  return {{"archives", true},
          {"number", "1"},
          {"serial", "S1"},
          {"not_the_last", false},
          {"files",
           {{"mondo-restore.cfg", kConfig},
            {"mountlist.txt", kMountlist},
            {"i-want-my-lvm", nullptr},
            {"raidtab", nullptr}}}};
}

// Compares one plain disk with a disc.
class EngineRaceTest : public ::testing::Test {
 protected:
  EngineRaceTest()
      : machine_(Json{{"command_line", "compare_mode"},
                      {"mondo-restore.cfg", kConfig},
                      {"mountlist.txt", kMountlist}}) {
    machine_.medium("sr0", disc());
    machine_.start();
  }
  void plug_disk() { machine_.plug({.name = "sda", .minor = 0, .probe = filesystem("ext3")}); }
  void plug_drive() { machine_.plug({.name = "sr0", .minor = 0, .probe = filesystem("iso9660")}); }

  // The disc in the drive is taken out and put in again: the same drive, another generation.
  void change_disc(const std::string& diskseq) {
    DeviceEvent event;
    event.action = Action::change;
    event.devpath = "/devices/pci0000:00/host0/target0/sr0/block/sr0";
    event.subsystem = "block";
    event.properties = {{"MAJOR", "11"},           {"MINOR", "0"},         {"DEVNAME", "/dev/sr0"},
                        {"DEVTYPE", "disk"},       {"SUBSYSTEM", "block"}, {"DISKSEQ", diskseq},
                        {"DISK_MEDIA_CHANGE", "1"}};
    event.attributes = {{"size", "131072"}};
    machine_.send(event);
  }

  ModelMachine machine_;
};

TEST_F(EngineRaceTest, NothingIsReadFromTheLaunchOn) {
  machine_.hold("launch", "run");
  plug_drive();
  plug_disk();
  ASSERT_EQ(machine_.count("launch", "run"), 1U);
  const auto reads = machine_.count("probe", "read");
  machine_.plug({.name = "sdb", .minor = 16, .probe = filesystem("ext3")});
  EXPECT_EQ(machine_.count("probe", "read"), reads);
  machine_.release("launch", "run");
  EXPECT_EQ(machine_.world().phase(), Phase::restoring);
  EXPECT_EQ(machine_.count("probe", "read"), reads);
}

TEST_F(EngineRaceTest, AWaitIsNotOverBeforeMondorestoreRuns) {
  machine_.hold("launch", "run");
  machine_.command("wait");
  plug_drive();
  plug_disk();
  EXPECT_EQ(machine_.world().phase(), Phase::launching);
  EXPECT_TRUE(machine_.replies().empty());
  machine_.release("launch", "run");
  EXPECT_EQ(machine_.replies().size(), 1U);
}

TEST_F(EngineRaceTest, ALaunchThatFailsGoesBackToGathering) {
  machine_.fail_effect("launch", "run", "muster-init says no");
  plug_drive();
  plug_disk();
  EXPECT_EQ(machine_.world().phase(), Phase::gathering);
  const auto reads = machine_.count("probe", "read");
  machine_.plug({.name = "sdb", .minor = 16, .probe = filesystem("ext3")});
  EXPECT_EQ(machine_.count("probe", "read"), reads + 1);
}

TEST_F(EngineRaceTest, AProgramThatCannotBeExecutedWasNoLaunch) {
  machine_.hold("launch", "follow");
  plug_drive();
  plug_disk();
  ASSERT_EQ(machine_.world().phase(), Phase::restoring);
  EffectDone ended;
  ended.id = machine_.effects().back().id;
  ASSERT_EQ(machine_.effects().back().verb, "follow");
  ended.ok = true;
  ended.result = {{"started", false}, {"text", "mondorestore: Exec format error"}};
  machine_.send(ended);
  EXPECT_EQ(machine_.world().phase(), Phase::gathering);
  EXPECT_EQ(machine_.count("launch", "end"), 0U);
  EXPECT_THAT(machine_.why("launch"), HasSubstr("Exec format error"));
}

TEST_F(EngineRaceTest, ADiscThatChangesWhileItIsMountedIsMountedAnew) {
  machine_.hold("medium", "take");
  plug_drive();
  ASSERT_EQ(machine_.count("medium", "take"), 1U);
  machine_.hold("medium", "examine");
  change_disc("2");
  machine_.release("medium", "take");
  EXPECT_EQ(machine_.count("medium", "release"), 1U);
  EXPECT_THAT(machine_.engine().reports(), Not(Contains(HasSubstr("could not be used"))));
  machine_.release("medium", "examine");
  EXPECT_EQ(machine_.count("medium", "take"), 2U);
  EXPECT_EQ(machine_.state("need:medium"), "ready");
}

TEST_F(EngineRaceTest, AMountThatFailedIsTriedAgainWithTheNextDisc) {
  machine_.fail_effect("medium", "take", "No such device or address");
  plug_drive();
  EXPECT_EQ(machine_.state("need:medium"), "broken");
  EXPECT_THAT(machine_.why("need:medium"), HasSubstr("No such device"));
  machine_.fail_effect("medium", "take", {});
  change_disc("2");
  EXPECT_EQ(machine_.state("need:medium"), "ready");
}

TEST_F(EngineRaceTest, AReadOfADiskThatIsGoneHangsNobody) {
  machine_.hold("probe", "read");
  plug_disk();
  const auto read = machine_.effects().back();
  ASSERT_EQ(read.verb, "read");
  machine_.unplug("sda");
  machine_.send(EffectLate{read.id});
  EXPECT_EQ(machine_.world().thing("probe:sda"), nullptr);
}

TEST_F(EngineRaceTest, ADriveThatCannotBeReadIsShownAndNothingElse) {
  machine_.fail_effect("probe", "read", "Input/output error");
  plug_drive();
  EXPECT_THAT(machine_.engine().reports(), Not(Contains(HasSubstr("could not be used"))));
  EXPECT_EQ(machine_.state("need:medium"), "waiting");
}

}  // namespace
}  // namespace muster::test
