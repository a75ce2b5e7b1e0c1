// The rules that are installed: who gets which device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "rules/lexer.h"
#include "rules/match.h"
#include "tests/unit/rules/fake_device.h"

namespace muster::rules {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<Source> read_directory(const std::string& path) {
  std::vector<Source> sources;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().extension() == ".rules") {
      std::ifstream file(entry.path());
      std::ostringstream text;
      text << file.rdbuf();
      sources.push_back({entry.path().filename(), text.str()});
    }
  }
  return merge_by_name({sources});
}

const RuleSet& shipped() {
  static const RuleSet rules = [] {
    std::vector<Diagnostic> diagnostics;
    RuleSet set = RuleSet::load(read_directory(MUSTER_SOURCE_DIR "/rules"), diagnostics);
    for (const Diagnostic& diagnostic : diagnostics) {
      ADD_FAILURE() << to_string(diagnostic);
    }
    return set;
  }();
  return rules;
}

std::vector<std::string> handlers(DeviceData data) {
  const Outcome outcome = shipped().match(FakeDevice(std::move(data)));
  EXPECT_THAT(outcome.warnings, IsEmpty());
  EXPECT_THAT(outcome.properties, IsEmpty());
  return outcome.handlers;
}

using Map = std::map<std::string, std::string, std::less<>>;

DeviceData disk(const std::string& kernel, Map attrs, Map env = {}) {
  env.try_emplace("DEVTYPE", "disk");
  return {.kernel = kernel, .subsystem = "block", .env = std::move(env), .attrs = std::move(attrs)};
}

DeviceData partition(const std::string& kernel, Map env = {}) {
  env.try_emplace("DEVTYPE", "partition");
  return disk(kernel, {{"size", "2048\n"}, {"partition", "1\n"}}, std::move(env));
}

TEST(ShippedRules, WhatHasAnAliasMayNeedADriver) {
  EXPECT_THAT(handlers({.kernel = "0000:00:1f.2",
                        .subsystem = "pci",
                        .env = {{"MODALIAS", "pci:v00008086d00002922"}}}),
              ElementsAre("driver"));
  EXPECT_THAT(handlers({.kernel = "input0", .subsystem = "input", .env = {{"MODALIAS", ""}}}),
              IsEmpty());
  EXPECT_THAT(handlers({.kernel = "lo", .subsystem = "net"}), IsEmpty());
}

TEST(ShippedRules, BlockDevicesAreProbedOnceThereIsSomethingToRead) {
  struct Case {
    DeviceData device;
    std::vector<std::string> handlers;
  };
  const Case cases[] = {
      {disk("sda", {{"size", "8\n"}}), {"node", "probe", "target"}},
      {disk("nvme0n1", {{"size", "8\n"}, {"hidden", "0\n"}}), {"node", "probe", "target"}},
      {disk("nvme0c0n1", {{"size", "8\n"}, {"hidden", "1\n"}}), {"node", "target"}},
      {disk("sdb", {{"size", "0\n"}}), {"node", "target"}},  // a card reader without a card
      {disk("sdb", {}), {"node", "target"}},
      {partition("sda1"), {"node", "probe", "target"}},
      {disk("sr0", {{"size", "2097151\n"}}), {"node", "medium", "probe"}},
      {disk("sr0", {{"size", "0\n"}}), {"node", "medium"}},
      {disk("fd0", {{"size", "8\n"}}), {"node", "medium"}},
      {disk("ram0", {{"size", "8\n"}}), {"node"}},
      {disk("zram0", {{"size", "8\n"}}), {"node"}},
      {disk("loop0", {{"size", "8\n"}}), {"node", "target"}},
      {disk("loop0", {{"size", "8\n"}, {"loop/backing_file", "/a.iso\n"}}),
       {"node", "probe", "target"}},
      {partition("loop0p1"), {"node", "probe", "target"}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(handlers(c.device), c.handlers) << c.device.kernel;
  }
}

TEST(ShippedRules, ArraysAreProbedOnceTheyRun) {
  for (const char* state :
       {"clean", "active", "read-auto", "readonly", "active-idle", "write-pending"}) {
    EXPECT_THAT(handlers(disk("md127", {{"size", "8"}, {"md/array_state", state}})),
                ElementsAre("node", "md", "probe", "target"))
        << state;
  }
  for (const char* state : {"clear", "inactive", "suspended", "broken", ""}) {
    EXPECT_THAT(handlers(disk("md127", {{"size", "8"}, {"md/array_state", state}})),
                ElementsAre("node", "md", "target"))
        << state;
  }
  EXPECT_THAT(handlers(disk("md_d0", {{"size", "8"}})), ElementsAre("node", "md", "target"));
  EXPECT_THAT(handlers(disk("md0", {{"size", "0"}, {"md/array_state", "clean"}})),
              ElementsAre("node", "md", "target"));
  EXPECT_THAT(handlers(partition("md127p1")), ElementsAre("node", "probe", "target"));
}

TEST(ShippedRules, VolumesAreProbedWhileTheyAreNotSuspended) {
  const auto dm = [](const char* uuid, const char* suspended, const char* size) {
    return handlers(disk("dm-0", {{"size", size}, {"dm/uuid", uuid}, {"dm/suspended", suspended}}));
  };
  EXPECT_THAT(dm("LVM-abc", "0\n", "8"), ElementsAre("node", "lvm", "probe", "target"));
  EXPECT_THAT(dm("LVM-abc", "1\n", "8"), ElementsAre("node", "lvm", "target"));
  EXPECT_THAT(dm("LVM-abc", "0\n", "0"), ElementsAre("node", "lvm", "target"));
  EXPECT_THAT(dm("mpath-360", "0\n", "8"), ElementsAre("node", "probe", "target"));
  EXPECT_THAT(handlers(disk("dm-0", {{"size", "8"}})), ElementsAre("node", "target"));
}

TEST(ShippedRules, WhatWasProbedGoesToItsHandler) {
  struct Case {
    const char* type;
    const char* usage;
    std::vector<std::string> handlers;
  };
  const Case cases[] = {
      {"linux_raid_member", "raid", {"node", "probe", "md", "target"}},
      {"isw_raid_member", "raid", {"node", "probe", "md", "target"}},
      {"ddf_raid_member", "raid", {"node", "probe", "md", "target"}},
      {"LVM2_member", "raid", {"node", "probe", "lvm", "target"}},
      {"ext4", "filesystem", {"node", "probe", "medium", "target"}},
      {"iso9660", "filesystem", {"node", "probe", "medium", "target"}},
      {"udf", "", {"node", "probe", "medium", "target"}},
      {"swap", "other", {"node", "probe", "target"}},
      {"crypto_LUKS", "crypto", {"node", "probe", "target"}},
      {"mpath_member", "", {"node", "probe", "target"}},
      {"", "", {"node", "probe", "target"}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(handlers(partition("sda1", {{"ID_FS_TYPE", c.type}, {"ID_FS_USAGE", c.usage}})),
              c.handlers)
        << c.type;
  }
  EXPECT_THAT(handlers(disk("sr0", {{"size", "8"}},
                            {{"ID_FS_TYPE", "iso9660"}, {"ID_FS_USAGE", "filesystem"}})),
              ElementsAre("node", "medium", "probe"));
}

TEST(ShippedRules, OneNodeOfATapeDriveStandsForIt) {
  const auto tape = [](const char* kernel) {
    return handlers({.kernel = kernel, .subsystem = "scsi_tape"});
  };
  EXPECT_THAT(tape("st0"), ElementsAre("medium"));
  EXPECT_THAT(tape("st12"), ElementsAre("medium"));
  EXPECT_THAT(tape("nst0"), IsEmpty());
  EXPECT_THAT(tape("st0l"), IsEmpty());
}

TEST(ShippedRules, NameWhatRulesAndHandlersLookAt) {
  EXPECT_THAT(shipped().attributes(),
              ElementsAre("device/model", "device/serial", "device/vendor", "device/vpd_pg80",
                          "device/wwid", "dm/name", "dm/suspended", "dm/uuid", "hidden",
                          "loop/backing_file", "md/array_state", "removable", "ro", "serial",
                          "size", "slaves", "wwid"));
  EXPECT_THAT(shipped().parent_attributes(), ElementsAre("serial"));
}

TEST(ShippedRules, NameOnlyHandlersThatExist) {
  EXPECT_THAT(shipped().handlers(),
              ElementsAre("driver", "lvm", "md", "medium", "node", "probe", "target"));
}

// A raw serial number page begins with a NUL byte, and foreign text is long: neither may get in the
// way.
TEST(ShippedRules, IdentityMayHoldAnything) {
  const std::string page = std::string("\0\x80\0\x14", 4) + std::string(4000, '\xff');
  EXPECT_THAT(handlers(disk("sda", {{"size", "8"}, {"device/vpd_pg80", page}})),
              ElementsAre("node", "probe", "target"));
}

// Those for udevd are in its own language, of which ours knows only the words.
TEST(UdevRules, AreWellFormed) {
  const std::vector<Source> sources = read_directory(MUSTER_SOURCE_DIR "/rules/udev");
  ASSERT_EQ(sources.size(), 3U);
  for (const Source& source : sources) {
    std::vector<Fault> faults;
    std::vector<std::string> gotos;
    LineReader reader(source.text);
    for (LogicalLine line; reader.next(line, faults);) {
      std::vector<Token> tokens;
      const auto fault = tokenize(line, tokens);
      EXPECT_FALSE(fault) << source.name << ":" << fault->line << ": " << fault->text;
      for (const Token& token : tokens) {
        if (token.key == "GOTO") {
          gotos.push_back(token.value);
        } else if (token.key == "LABEL") {
          EXPECT_THAT(gotos, ::testing::Contains(token.value));
          std::erase(gotos, token.value);
        }
      }
    }
    EXPECT_THAT(faults, IsEmpty()) << source.name;
    EXPECT_THAT(gotos, IsEmpty()) << source.name;
  }
}

}  // namespace
}  // namespace muster::rules
