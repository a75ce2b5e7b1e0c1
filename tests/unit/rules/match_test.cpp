#include "rules/match.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/rules/fake_device.h"

namespace muster::rules {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

// Rules that must load without a word.
RuleSet load(const std::string& text) {
  const std::vector<Source> sources = {{"t.rules", text}};
  std::vector<Diagnostic> diagnostics;
  RuleSet rules = RuleSet::load(sources, diagnostics);
  for (const Diagnostic& diagnostic : diagnostics) {
    ADD_FAILURE() << to_string(diagnostic) << "\nin: " << text;
  }
  return rules;
}

Outcome run(const std::string& text, const DeviceView& device) {
  return load(text).match(device);
}

struct Condition {
  const char* text;
  bool holds;
};

void expect_conditions(const DeviceView& device, std::initializer_list<Condition> conditions) {
  for (const Condition& condition : conditions) {
    const Outcome outcome = run(std::string(condition.text) + ", HANDLER+=\"h\"\n", device);
    EXPECT_EQ(!outcome.handlers.empty(), condition.holds) << condition.text;
  }
}

// A partition of a USB disk, with the devices above it.
struct UsbDisk {
  FakeDevice controller{{.kernel = "0000:00:14.0",
                         .subsystem = "pci",
                         .driver = "xhci_hcd",
                         .devpath = "/devices/pci0000:00/0000:00:14.0",
                         .attrs = {{"vendor", "0x8086\n"}}}};
  FakeDevice usb{{.kernel = "2-1",
                  .subsystem = "usb",
                  .driver = "usb",
                  .devpath = "/devices/pci0000:00/0000:00:14.0/usb2/2-1",
                  .attrs = {{"serial", "4C53\n"}, {"idVendor", "0781\n"}, {"bMaxPower", "896mA\n"}},
                  .tags = {"seat", "hub"}},
                 &controller};
  FakeDevice scsi{{.kernel = "6:0:0:0",
                   .subsystem = "scsi",
                   .driver = "sd",
                   .devpath = "/devices/pci0000:00/0000:00:14.0/usb2/2-1/host6/6:0:0:0",
                   .attrs = {{"vendor", "SanDisk \n"}, {"model", "Ultra\tFit \xff\n"}}},
                  &usb};
  FakeDevice disk{{.kernel = "sdb",
                   .subsystem = "block",
                   .devpath = "/devices/pci0000:00/0000:00:14.0/usb2/2-1/host6/6:0:0:0/block/sdb",
                   .env = {{"DEVTYPE", "disk"}},
                   .attrs = {{"size", "1000\n"}, {"removable", "1\n"}}},
                  &scsi};
  FakeDevice partition{
      {.kernel = "sdb12",
       .subsystem = "block",
       .devpath = "/devices/pci0000:00/0000:00:14.0/usb2/2-1/host6/6:0:0:0/block/sdb/sdb12",
       .env = {{"DEVTYPE", "partition"}, {"MAJOR", "8"}, {"MINOR", "28"}, {"EMPTY", ""}},
       .attrs = {{"size", "0\n"}, {"label", "two words  \n"}, {"blank", " \n"}, {"none", "\n"}}},
      &disk};
};

TEST(RuleSet, ComparesTheDeviceOfTheEvent) {
  const UsbDisk usb;
  expect_conditions(usb.partition, {
                                       {R"(ACTION=="add")", true},
                                       {R"(ACTION!="add")", false},
                                       {R"(ACTION=="remove|change")", false},
                                       {R"(KERNEL=="sdb12")", true},
                                       {R"(KERNEL=="sd?12|hd*")", true},
                                       {R"(KERNEL=="sd")", false},
                                       {R"(KERNEL!="sd*[0-9]")", false},
                                       {R"(KERNEL=="SDB12")", false},
                                       {R"(KERNEL==i"SDB12")", true},
                                       {R"(KERNEL==i"hda|SD*")", true},
                                       {R"(KERNEL!=i"SDB12")", false},
                                       {R"(SUBSYSTEM=="block")", true},
                                       {R"(SUBSYSTEM=="net|block")", true},
                                       {R"(SUBSYSTEM=="block", SUBSYSTEM!="net")", true},
                                       {R"(SUBSYSTEM=="block", SUBSYSTEM=="net")", false},
                                       {R"(SUBSYSTEM==i"BLOCK")", true},
                                       {R"(DRIVER=="")", true},
                                       {R"(DRIVER!="?*")", true},
                                       {R"(DRIVER=="?*")", false},
                                       {R"(DRIVER=="sd|")", true},
                                       {R"(DEVPATH=="*/usb*/sdb/*")", true},
                                       {R"(DEVPATH=="/devices/pci*")", true},
                                       {R"(DEVPATH=="sdb")", false},
                                       {R"(KERNEL==e"sd\x62\061\062")", true},
                                       {R"(KERNEL==e"sd\x62\0612")", true},
                                   });
}

TEST(RuleSet, APropertyThatIsAbsentIsTheEmptyString) {
  const UsbDisk usb;
  expect_conditions(usb.partition, {
                                       {R"(ENV{DEVTYPE}=="partition")", true},
                                       {R"(ENV{DEVTYPE}!="disk")", true},
                                       {R"(ENV{NONE}=="")", true},
                                       {R"(ENV{NONE}!="")", false},
                                       {R"(ENV{NONE}!="x")", true},
                                       {R"(ENV{NONE}=="*")", true},
                                       {R"(ENV{NONE}=="?*")", false},
                                       {R"(ENV{NONE}=="x|")", true},
                                       {R"(ENV{NONE}=="|x*")", true},
                                       {R"(ENV{NONE}=="x||y")", true},
                                       {R"(ENV{NONE}!="x|")", false},
                                       {R"(ENV{EMPTY}=="")", true},
                                       {R"(ENV{DEVTYPE}=="|")", false},
                                       {R"(ENV{devtype}=="partition")", false},
                                   });
}

TEST(RuleSet, AnAttributeThatIsAbsentMatchesNothing) {
  const UsbDisk usb;
  expect_conditions(usb.partition, {
                                       {R"(ATTR{size}=="0")", true},
                                       {R"(ATTR{size}!="0")", false},
                                       {R"(ATTR{size}!="1")", true},
                                       {R"(ATTR{absent}=="x")", false},
                                       {R"(ATTR{absent}!="x")", false},
                                       {R"(ATTR{absent}=="")", false},
                                       {R"(ATTR{absent}=="*")", false},
                                       {R"(ATTR{removable}=="1")", false},  // the disk's
                                       {R"(ATTR{none}=="")", true},
                                       {R"(ATTR{none}!="?*")", true},
                                   });
}

TEST(RuleSet, TrailingWhiteSpaceOfAnAttributeCountsOnlyIfAskedFor) {
  const UsbDisk usb;
  expect_conditions(usb.partition,
                    {
                        {R"(ATTR{label}=="two words")", true},
                        {R"(ATTR{label}=="two*words")", true},
                        {R"(ATTR{label}=="two words ")", false},
                        {R"(ATTR{label}=="two words  ")", true},
                        {R"(ATTR{label}==e"two words \t")", false},
                        {R"(ATTR{label}=="two words|x")", true},
                        // Only an empty pattern's own emptiness: udev trims for non-empty ones.
                        {R"(ATTR{blank}=="")", false},
                        {R"(ATTR{blank}=="|x")", true},
                        {R"(ATTR{blank}==" ")", true},
                    });
}

TEST(RuleSet, WhatFollowsANulByteInAnAttributeDoesNotCount) {
  const FakeDevice device({.attrs = {{"vpd", std::string("ab\0cd", 5)}}});
  expect_conditions(device, {{R"(ATTR{vpd}=="ab")", true}, {R"(ATTR{vpd}=="ab?*")", false}});
}

TEST(RuleSet, LooksUpTheChainForOneDeviceThatFitsAll) {
  const UsbDisk usb;
  expect_conditions(
      usb.partition,
      {
          {R"(KERNELS=="sdb12")", true},  // the device itself belongs to its chain
          {R"(KERNELS=="sdb")", true},
          {R"(KERNELS=="2-1")", true},
          {R"(KERNELS=="3-1")", false},
          {R"(SUBSYSTEMS=="usb")", true},
          {R"(SUBSYSTEMS=="net")", false},
          {R"(DRIVERS=="xhci_hcd")", true},
          {R"(DRIVERS=="?*")", true},
          {R"(DRIVERS=="ahci")", false},
          {R"(ATTRS{serial}=="4C53")", true},
          {R"(ATTRS{serial}!="4C53")", false},    // no other device up there has one
          {R"(ATTRS{vendor}!="SanDisk")", true},  // the controller's
          {R"(ATTRS{vendor}=="SanDisk")", true},
          {R"(ATTRS{vendor}=="SanDisk ")", true},
          {R"(SUBSYSTEMS=="usb", ATTRS{serial}=="4C53")", true},
          {R"(SUBSYSTEMS=="usb", ATTRS{serial}=="4C53", ATTRS{idVendor}=="0781")", true},
          {R"(SUBSYSTEMS=="scsi", ATTRS{serial}=="4C53")", false},  // on different devices
          {R"(KERNELS=="6:*", DRIVERS=="sd")", true},
          {R"(KERNELS=="6:*", DRIVERS=="usb")", false},
          {R"(SUBSYSTEMS!="block")", true},  // the first that is not: 6:0:0:0
          {R"(SUBSYSTEMS!="block", DRIVERS=="usb")", true},
          {R"(TAGS=="hub")", true},
          {R"(TAGS=="nobody")", false},
          {R"(TAGS=="hub", DRIVERS=="sd")", false},
          {R"(TAGS!="backup", SUBSYSTEMS=="block")", true},       // the disk
          {R"(ENV{DEVTYPE}=="disk", SUBSYSTEMS=="usb")", false},  // ENV is the event's only
          {R"(SUBSYSTEM=="block", SUBSYSTEMS=="usb", KERNEL=="sdb12")", true},
      });
}

TEST(RuleSet, TagsMatchIfAnyDoes) {
  const auto holds = [](const std::string& tags, const std::string& condition) {
    return !run(tags + "\n" + condition + ", HANDLER+=\"h\"\n", FakeDevice({})).handlers.empty();
  };
  const std::string two = R"(TAG+="systemd", TAG+="backup")";
  EXPECT_TRUE(holds(two, R"(TAG=="backup")"));
  EXPECT_TRUE(holds(two, R"(TAG=="back*")"));
  EXPECT_TRUE(holds(two, R"(TAG=="x|systemd")"));
  EXPECT_FALSE(holds(two, R"(TAG=="back")"));
  EXPECT_FALSE(holds(two, R"(TAG!="backup")"));
  EXPECT_TRUE(holds(two, R"(TAG!="x")"));
  EXPECT_TRUE(holds(two, R"(TAG=="?*")"));
  EXPECT_FALSE(holds(two, R"(TAG=="")"));
  EXPECT_TRUE(holds(two, R"(TAGS=="backup")"));
  EXPECT_FALSE(holds("", R"(TAG=="?*")"));
  EXPECT_TRUE(holds("", R"(TAG!="?*")"));
  EXPECT_FALSE(holds("", R"(TAG=="")"));
  EXPECT_TRUE(holds("", R"(TAG!="x")"));
}

// What was said about a device before must not decide what is said now.
TEST(RuleSet, ADeviceBeginsWithoutTags) {
  const FakeDevice device({.tags = {"old"}});
  expect_conditions(device, {{R"(TAG=="old")", false}, {R"(TAGS=="old")", false}});
  EXPECT_THAT(run(R"(HANDLER+="h")", device).tags, IsEmpty());
}

TEST(RuleSet, BusAndClassStandForEverySubsystemOfThatKind) {
  for (const char* value : {"subsystem", "bus", "class"}) {
    const FakeDevice device({.subsystem = "class"});
    expect_conditions(device, {{fmt::format(R"(SUBSYSTEM=="{}")", value).c_str(), true}});
  }
  expect_conditions(FakeDevice({.subsystem = "class"}), {{R"(SUBSYSTEMS=="bus")", false}});
}

TEST(RuleSet, GivesHandlersOnceInTheOrderOfTheRules) {
  const Outcome outcome =
      run("HANDLER+=\"b\"\n"
          "HANDLER+=\"a\", HANDLER+=\"b\"\n",
          FakeDevice({}));
  EXPECT_THAT(outcome.handlers, ElementsAre("b", "a"));
}

TEST(RuleSet, KeepsTheOrderOfRulesWithAndWithoutASubsystem) {
  const RuleSet rules = load(R"(
SUBSYSTEM=="net", HANDLER+="n1"
HANDLER+="x1"
SUBSYSTEM=="block", HANDLER+="b1"
SUBSYSTEM=="net|block", HANDLER+="both"
SUBSYSTEM!="net", HANDLER+="x2"
SUBSYSTEM=="block|block", HANDLER+="b2"
SUBSYSTEM=="b*", HANDLER+="glob"
HANDLER+="x3"
)");
  EXPECT_THAT(rules.match(FakeDevice({.subsystem = "block"})).handlers,
              ElementsAre("x1", "b1", "both", "x2", "b2", "glob", "x3"));
  EXPECT_THAT(rules.match(FakeDevice({.subsystem = "net"})).handlers,
              ElementsAre("n1", "x1", "both", "x3"));
  EXPECT_THAT(rules.match(FakeDevice({.subsystem = "usb"})).handlers,
              ElementsAre("x1", "x2", "x3"));
  EXPECT_THAT(rules.match(FakeDevice({})).handlers, ElementsAre("x1", "x2", "x3"));
}

TEST(RuleSet, ARuleThatNamesASubsystemTwiceAppliesOnce) {
  const Outcome outcome =
      run(R"(SUBSYSTEM=="block|net|block", ENV{A}+="x")", FakeDevice({.subsystem = "block"}));
  EXPECT_THAT(outcome.properties, ElementsAre(Pair("A", "x")));
}

TEST(RuleSet, GotoSkipsToTheNearestLabelAhead) {
  const RuleSet rules = load(R"(
SUBSYSTEM=="block", GOTO="end", HANDLER+="before"
HANDLER+="skipped"
SUBSYSTEM=="block", HANDLER+="skipped-block"
LABEL="end", HANDLER+="at"
HANDLER+="after"
LABEL="end", HANDLER+="at2"
)");
  EXPECT_THAT(rules.match(FakeDevice({.subsystem = "block"})).handlers,
              ElementsAre("before", "at", "after", "at2"));
  EXPECT_THAT(rules.match(FakeDevice({.subsystem = "net"})).handlers,
              ElementsAre("skipped", "at", "after", "at2"));
}

TEST(RuleSet, LabelsEndWithTheirFile) {
  const std::vector<Source> sources = {{"1.rules", "GOTO=\"end\"\nHANDLER+=\"one\"\n"},
                                       {"2.rules", "LABEL=\"end\"\nHANDLER+=\"two\"\n"}};
  std::vector<Diagnostic> diagnostics;
  const RuleSet rules = RuleSet::load(sources, diagnostics);
  EXPECT_THAT(rules.match(FakeDevice({})).handlers, ElementsAre("one", "two"));
  EXPECT_THAT(diagnostics,
              ElementsAre(Diagnostic{
                  "1.rules", 1, "GOTO=\"end\" has no LABEL in this file, the GOTO is ignored"}));
}

TEST(RuleSet, APropertyIsSeenByLaterRulesNotByItsOwn) {
  const Outcome outcome = run(R"(
ENV{A}="1", ENV{A}=="1", HANDLER+="own"
ENV{A}="1"
ENV{A}=="1", HANDLER+="later"
ENV{DEVTYPE}=="disk", HANDLER+="device"
)",
                              FakeDevice({.env = {{"DEVTYPE", "disk"}}}));
  EXPECT_THAT(outcome.handlers, ElementsAre("later", "device"));
  EXPECT_THAT(outcome.properties, ElementsAre(Pair("A", "1")));
}

TEST(RuleSet, AssignsProperties) {
  const FakeDevice device({.env = {{"OLD", "old"}, {"BLANK", ""}}});
  struct Case {
    const char* rules;
    std::map<std::string, std::string> properties;
  };
  const Case cases[] = {
      {R"(ENV{A}="1")", {{"A", "1"}}},
      {R"(ENV{A}:="1")", {{"A", "1"}}},
      {"ENV{A}=\"1\"\nENV{A}=\"2\"", {{"A", "2"}}},
      {"ENV{A}=\"1\"\nENV{A}+=\"2\"", {{"A", "1 2"}}},
      {R"(ENV{A}+="1")", {{"A", "1"}}},
      {R"(ENV{A}+="1", ENV{A}+="2")", {{"A", "1 2"}}},
      {R"(ENV{OLD}+="new")", {{"OLD", "old new"}}},
      {R"(ENV{OLD}+="")", {}},
      {R"(ENV{OLD}="")", {{"OLD", ""}}},
      {R"(ENV{BLANK}="")", {}},
      {"ENV{A}=\"1\"\nENV{A}=\"\"", {}},
      {"ENV{OLD}=\"\"\nENV{OLD}+=\"x\"", {{"OLD", "x"}}},
      {R"(ENV{OLD}="$env{NONE}")", {{"OLD", ""}}},
      {"ENV{.A}=\"1\"\nENV{B}=\"$env{.A}\"", {{"B", "1"}}},
      {R"(ENV{A}="a\"b\n")", {{"A", "a\"b\\n"}}},
      {R"(ENV{A}=e"a\"b\x09\u00e4\s\055\U0001f4bf")", {{"A", "a\"b\tä -💿"}}},
      {R"(ENV{A}="x|y*")", {{"A", "x|y*"}}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(run(c.rules, device).properties, c.properties) << c.rules;
  }
}

TEST(RuleSet, AssignsTags) {
  struct Case {
    const char* rules;
    std::set<std::string> tags;
  };
  const Case cases[] = {
      {R"(HANDLER+="h")", {}},
      {R"(TAG+="new")", {"new"}},
      {R"(TAG-="none")", {}},
      {"TAG+=\"a\", TAG+=\"b\"\nTAG-=\"a\"", {"b"}},
      {"TAG+=\"a\", TAG+=\"b\"\nTAG=\"only\"", {"only"}},
      {"TAG+=\"a\", TAG+=\"b\"\nTAG:=\"only\"", {"only"}},
      {R"(TAG+="a", TAG+="b", TAG-="a")", {"b"}},
      {"TAG+=\"a\"\nTAG=\"b\"\nTAG==\"a\", TAG+=\"no\"\nTAG==\"b\", TAG+=\"yes\"", {"b", "yes"}},
      // Tags come before properties within a rule, as in udev.
      {"ENV{T}=\"1\"\nENV{T}=\"2\", TAG+=\"t$env{T}\"", {"t1"}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(run(c.rules, FakeDevice({})).tags, c.tags) << c.rules;
  }
}

TEST(RuleSet, RefusesAnInvalidTagAndSaysSo) {
  const Outcome outcome = run("\nTAG+=\"a$attr{label}\"", UsbDisk().partition);
  EXPECT_THAT(outcome.tags, IsEmpty());
  EXPECT_THAT(
      outcome.warnings,
      ElementsAre("t.rules:2: \"atwo words\" is not a tag (letters, digits, - and _), ignored"));
}

TEST(RuleSet, Substitutes) {
  const UsbDisk usb;
  struct Case {
    const char* value;
    std::string expected;
  };
  const Case cases[] = {
      {"$kernel|%k", "sdb12|sdb12"},
      {"$number-%n", "12-12"},
      {"%p", std::string(usb.partition.devpath())},
      {"$devpath", std::string(usb.partition.devpath())},
      {"$major:$minor", "8:28"},
      {"%M:%m", "8:28"},
      {"$env{DEVTYPE}", "partition"},
      {"%E{DEVTYPE}s", "partitions"},
      {"<$env{NONE}>", "<>"},
      {"$attr{size}", "0"},
      {"%s{label}!", "two words!"},
      {"$attr{none}.", "."},
      {"$attr{absent}.", "."},
      {"$attr{removable}.", "."},  // no parent was selected
      {"$$kernel %%k", "$kernel %k"},
      {"$kernel0", "sdb120"},  // udev knows a name by its beginning
  };
  for (const Case& c : cases) {
    const Outcome outcome = run(fmt::format("ENV{{A}}=\"{}\"", c.value), usb.partition);
    EXPECT_THAT(outcome.properties, ElementsAre(Pair("A", c.expected))) << c.value;
  }
}

TEST(RuleSet, NumberIsWhatANameEndsIn) {
  const auto number = [](const char* kernel) {
    return run(R"(ENV{A}="<$number>")", FakeDevice({.kernel = kernel})).properties.at("A");
  };
  EXPECT_EQ(number("sda"), "<>");
  EXPECT_EQ(number("md127"), "<127>");
  EXPECT_EQ(number("nvme0n1p2"), "<2>");
  EXPECT_EQ(number("42"), "<>");  // all digits: not a number
}

TEST(RuleSet, DevicesWithoutANodeHaveNumberZero) {
  EXPECT_THAT(run(R"(ENV{A}="$major:$minor")", FakeDevice({})).properties,
              ElementsAre(Pair("A", "0:0")));
}

TEST(RuleSet, AnAttributeIsTakenFromTheSelectedParentIfTheDeviceHasNone) {
  const UsbDisk usb;
  struct Case {
    const char* rules;
    const char* expected;
  };
  const Case cases[] = {
      {R"(SUBSYSTEMS=="usb", ENV{A}="$attr{serial}.")", "4C53."},
      {R"(SUBSYSTEMS=="usb", ENV{A}="$attr{size}.")", "0."},   // the device's own first
      {R"(SUBSYSTEMS=="usb", ENV{A}="$attr{vendor}.")", "."},  // only the one that was selected
      {R"(SUBSYSTEMS=="scsi", ENV{A}="$attr{vendor}.")", "SanDisk."},
      // The selection lasts, until a later rule finds no device or another one.
      {"SUBSYSTEMS==\"usb\", ENV{X}=\"1\"\nENV{A}=\"$attr{serial}.\"", "4C53."},
      {"SUBSYSTEMS==\"usb\", ENV{X}=\"1\"\nDRIVERS==\"none\", "
       "ENV{X}=\"1\"\nENV{A}=\"$attr{serial}.\"",
       "."},
      {"SUBSYSTEMS==\"usb\", ENV{X}=\"1\"\nDRIVERS==\"sd\", "
       "ENV{X}=\"1\"\nENV{A}=\"$attr{vendor}.\"",
       "SanDisk."},
      // A rule that already fails on the device itself does not look up the chain.
      {"SUBSYSTEMS==\"usb\", ENV{X}=\"1\"\nKERNEL==\"none\", DRIVERS==\"none\", "
       "ENV{X}=\"1\"\nENV{A}=\"$attr{serial}.\"",
       "4C53."},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(run(c.rules, usb.partition).properties.at("A"), c.expected) << c.rules;
  }
}

TEST(RuleSet, CleansWhatADeviceSaysAboutItself) {
  const auto cleaned = [](std::string value) {
    return run(R"(ENV{A}="<$attr{a}>")", FakeDevice({.attrs = {{"a", std::move(value)}}}))
        .properties.at("A");
  };
  EXPECT_EQ(cleaned("Plain-1.0_+#:=@/ $%?,"), "<Plain-1.0_+#:=@/ $%?,>");
  EXPECT_EQ(cleaned("a\tb\nc"), "<a b c>");
  EXPECT_EQ(cleaned("a\"b'c;d`e"), "<a_b_c_d_e>");
  EXPECT_EQ(cleaned("\\x20 \\y"), "<\\x20 _y>");
  EXPECT_EQ(cleaned("ä\xff"), "<ä_>");
  EXPECT_EQ(cleaned("\xed\xa0\x80"), "<___>");  // a surrogate is not a character
  EXPECT_EQ(cleaned(" x \r\n"), "< x>");
}

TEST(RuleSet, AValueThatGetsTooLongIsNotAssigned) {
  std::string rules = "ENV{A}=\"0123456789abcdef\"\n";
  for (int i = 0; i < 40; ++i) {
    rules += "ENV{A}=\"$env{A}$env{A}\"\n";
  }
  const Outcome outcome = run(rules, FakeDevice({}));
  EXPECT_EQ(outcome.properties.at("A").size(), 256U);
  ASSERT_EQ(outcome.warnings.size(), 36U);
  EXPECT_EQ(outcome.warnings.front(),
            "t.rules:6: the value of ENV{A} would be longer than 511 bytes, not assigned");
}

TEST(RuleSet, AnAttributeThatIsTooLongIsNotAssigned) {
  const auto assigned = [](std::size_t size) {
    const FakeDevice device(
        {.env = {{"A", "old"}}, .attrs = {{"a", std::string(size, 'x') + "\n"}}});
    return run(R"(ENV{A}="$attr{a}")", device);
  };
  EXPECT_THAT(assigned(511).properties, ElementsAre(Pair("A", std::string(511, 'x'))));
  EXPECT_THAT(assigned(511).warnings, IsEmpty());
  EXPECT_THAT(assigned(512).properties, IsEmpty());
  EXPECT_THAT(
      assigned(512).warnings,
      ElementsAre("t.rules:1: the value of ENV{A} would be longer than 511 bytes, not assigned"));
}

TEST(RuleSet, ListsTheAttributesThatASourceMustRead) {
  const RuleSet rules = load(R"(
ATTR{size}!="0", ENV{A}="$attr{serial}%s{wwid}"
ATTR{size}=="?*", HANDLER+="z"
ATTRS{idVendor}=="0781", ENV{B}="$attr{product}", HANDLER+="a"
TAG+="$attr{late}", HANDLER+="z"
)");
  EXPECT_THAT(rules.attributes(),
              ElementsAre("idVendor", "late", "product", "serial", "size", "wwid"));
  // What $attr{} names once a rule may have selected a parent can be the parent's.
  EXPECT_THAT(rules.parent_attributes(), ElementsAre("idVendor", "late", "product"));
  EXPECT_THAT(rules.handlers(), ElementsAre("a", "z"));
  EXPECT_EQ(rules.size(), 4U);
}

TEST(RuleSet, WithoutRulesSaysNothing) {
  EXPECT_EQ(RuleSet().match(FakeDevice({})), Outcome{});
}

TEST(MergeByName, LaterDirectoriesReplaceFilesOfTheSameName) {
  const std::vector<Source> shipped = {{"/usr/lib/x/20-b.rules", "shipped b"},
                                       {"/usr/lib/x/10-a.rules", "shipped a"},
                                       {"/usr/lib/x/30-c.rules", "shipped c"},
                                       {"/usr/lib/x/40-d.rules~", "not a rules file"}};
  const std::vector<Source> local = {{"/etc/x/20-b.rules", "local b"},
                                     {"/etc/x/30-c.rules", ""},  // masked
                                     {"/etc/x/15-new.rules", "new"},
                                     {"/etc/x/README", "not a rules file"}};
  std::vector<std::string> merged;
  for (const Source& source : merge_by_name({shipped, local})) {
    merged.push_back(source.name + ": " + source.text);
  }
  EXPECT_THAT(merged, ElementsAre("/usr/lib/x/10-a.rules: shipped a", "/etc/x/15-new.rules: new",
                                  "/etc/x/20-b.rules: local b"));
}

}  // namespace
}  // namespace muster::rules
