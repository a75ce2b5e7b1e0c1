#include "handlers/driver/driver_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_tree.h"

namespace muster::driver {
namespace {

// Without a tree of the image's own: what libkmod is given is configuration, all modules are in the
// second tree.
class DriverExecutorTest : public ::testing::Test {
 protected:
  DriverExecutorTest() {
    tree_
        .file("/proc/cmdline",
              "quiet modprobe.blacklist=pcspkr,floppy module_blacklist=banned,raid-x\n")
        .file("/etc/modprobe.d/a.conf",
              "# first\nblacklist e1000e\noptions loop max_loop=4\noptions net-pf-9 from=alias\n"
              "alias net-pf-9 loop\n")
        .file("/etc/modprobe.d/b.conf",
              "install odd /bin/echo $CMDLINE_OPTS now\noptions odd x=1 y=2\n"
              "softdep ext9 pre: loop post: banned\n")
        .file("/etc/modprobe.d/ignored.txt", "blacklist loop\n")
        .file("/two/modules.dep",
              "k/e1000e.ko:\nk/loop.ko:\nk/banned.ko:\nk/over.ko: k/banned.ko\nk/ext9.ko.xz: "
              "k/loop.ko\n"
              "k/floppy.ko:\n")
        .file("/two/modules.alias",
              "alias pci:v1* e1000e\nalias pci:v* loop\nalias acpi:F floppy\n")
        .file("/two/modules.builtin", "kernel/rtc.ko\n")
        .file("/sys/module/loop/initstate", "coming\n");
    root_.emplace(*Root::open(tree_.path()));
    executor_.emplace(*root_, DriverSettings{{"/one", "/two"}, {"/etc/modprobe.d"}});
  }

  Json resolve(const std::string& alias) {
    const auto result = executor_->run(effect("resolve", {{"alias", alias}}));
    EXPECT_TRUE(result) << result.error().text;
    return result.value_or(Json());
  }
  static Effect effect(const std::string& verb, Json arguments, const std::string& lane = "kmod") {
    return {1, "driver", verb, "", std::move(arguments), 0, lane};
  }
  static std::vector<std::string> names(const Json& result) {
    std::vector<std::string> list;
    for (const auto& module : result["modules"]) {
      list.push_back(module["name"]);
    }
    return list;
  }

  testing::TempTree tree_;
  std::optional<Root> root_;
  std::optional<DriverExecutor> executor_;
};

using ::testing::ElementsAre;

TEST_F(DriverExecutorTest, ABlacklistedModuleIsHiddenFromAliasesNotFromItsName) {
  const Json by_alias = resolve("pci:v1d2");
  EXPECT_THAT(names(by_alias), ElementsAre("loop"));
  EXPECT_EQ(
      by_alias["refused"],
      Json::parse(R"([{"name": "e1000e", "why": "blacklisted by /etc/modprobe.d/a.conf:2"}])"));
  EXPECT_THAT(names(resolve("e1000e")), ElementsAre("e1000e"));
  EXPECT_EQ(resolve("acpi:F")["refused"][0]["why"],
            "blacklisted on the kernel command line (modprobe.blacklist=)");
}

TEST_F(DriverExecutorTest, WhatTheKernelRefusesIsRefusedByNameAndAsADependency) {
  EXPECT_EQ(resolve("banned")["refused"][0]["why"],
            "the kernel command line forbids it (module_blacklist=)");
  EXPECT_EQ(resolve("over")["refused"][0]["why"],
            "it needs banned: the kernel command line forbids it (module_blacklist=)");
}

TEST_F(DriverExecutorTest, OptionsStateAndPathOfAModule) {
  const Json loop = resolve("loop")["modules"][0];
  EXPECT_EQ(loop["path"], "/two/k/loop.ko");
  EXPECT_EQ(loop["options"], "max_loop=4");
  EXPECT_EQ(loop["state"], "coming");
  const Json ext9 = resolve("ext9");
  EXPECT_THAT(names(ext9), ElementsAre("loop", "ext9"));
  EXPECT_EQ(ext9["modules"][1]["state"], "absent");
  EXPECT_EQ(ext9["modules"][1]["path"], "/two/k/ext9.ko.xz");
  EXPECT_EQ(resolve("rtc")["modules"][0]["state"], "builtin");
  EXPECT_FALSE(resolve("rtc")["modules"][0].contains("path"));
}

TEST_F(DriverExecutorTest, AnInstallCommandStandsInForAModuleAndGetsItsOptions) {
  const Json odd = resolve("odd")["modules"][0];
  EXPECT_EQ(odd["install"], "/bin/echo x=1 y=2 now");
  EXPECT_FALSE(odd.contains("path"));
}

TEST_F(DriverExecutorTest, WhatNobodyKnowsIsAFactAndNotAnError) {
  for (const std::string alias : {"nosuch", "pci:", "", "pci:[", "a]b"}) {
    EXPECT_EQ(resolve(alias), Json::parse(R"({"modules": [], "refused": []})")) << alias;
  }
  EXPECT_EQ(resolve(std::string(10'000, 'x'))["modules"].size(), 0U);
  EXPECT_EQ(resolve(std::string("loop\0x", 6))["modules"].size(), 0U);
}

TEST_F(DriverExecutorTest, ATreeThatGrowsIsReadAgain) {
  EXPECT_THAT(names(resolve("late")), ElementsAre());
  tree_.file("/two/modules.dep", "k/late.ko:\nk/later.ko: k/late.ko\n");
  EXPECT_THAT(names(resolve("later")), ElementsAre("late", "later"));
  const auto reloaded = executor_->run(effect("reload", Json::object()));
  ASSERT_TRUE(reloaded);
  EXPECT_EQ((*reloaded)["trees"], Json::parse(R"(["/two"])"));
}

TEST_F(DriverExecutorTest, ASecondNameOfTheFirstTreeIsNotReadUntilItIsAnother) {
  tree_.file("/one/modules.dep", "k/same.ko:\n")
      .file("/one/modules.dep.bin", "")
      .file("/one/modules.alias.bin", "")
      .link("/link", "one");
  executor_.emplace(*root_, DriverSettings{{"/one", "/link"}, {}});
  EXPECT_THAT(names(resolve("same")), ElementsAre());  // libkmod's, and its indexes are empty
  tree_.remove("/link").file("/link/modules.dep", "k/other.ko:\n");
  EXPECT_THAT(names(resolve("other")), ElementsAre("other"));
}

TEST_F(DriverExecutorTest, TheContextIsUsedInItsLaneOnly) {
  const auto result = executor_->run(effect("resolve", {{"alias", "loop"}}, ""));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::invalid);
}

TEST_F(DriverExecutorTest, BadArgumentsAreErrorsThatNameThem) {
  for (const Json& arguments : {Json::object(), Json{{"alias", 5}}, Json(nullptr), Json::array()}) {
    const auto result = executor_->run(effect("resolve", arguments));
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().text.find("\"alias\""), std::string::npos) << result.error().text;
  }
  EXPECT_FALSE(executor_->run(effect("explode", Json::object())));
}

TEST_F(DriverExecutorTest, ADeviceIsOfferedToTheDriversOfItsBus) {
  tree_.file("/sys/bus/virtio/drivers_probe", "");
  ASSERT_TRUE(executor_->run(effect("bind", {{"bus", "virtio"}, {"device", "virtio0"}}, "")));
  EXPECT_EQ(root_->read_file("/sys/bus/virtio/drivers_probe", 100).value(), "virtio0");
  for (const char* bus : {"", "..", "a/b", "none"}) {
    EXPECT_FALSE(executor_->run(effect("bind", {{"bus", bus}, {"device", "virtio0"}}, ""))) << bus;
  }
}

TEST_F(DriverExecutorTest, AModuleIsAsUrgentAsTheMostUrgentAliasThatNamesIt) {
  const auto urgency = [&](const std::string& name) {
    Effect insert = effect("insert", {{"name", name}, {"path", "/two/k/x.ko"}}, "");
    insert.subject = name;
    return executor_->urgency(insert);
  };
  resolve("ext9");
  EXPECT_EQ(urgency("ext9"), Urgency::soon);
  resolve("pci:v2bc03sc00");
  EXPECT_EQ(urgency("loop"), Urgency::soon);
  resolve("pci:v2bc01sc06");
  EXPECT_EQ(urgency("loop"), Urgency::now);
  resolve("pci:v2bc02sc00");
  EXPECT_EQ(urgency("loop"), Urgency::now);
  EXPECT_EQ(urgency("ext9"), Urgency::soon);
}

TEST_F(DriverExecutorTest, AFileThatIsMissingIsNamed) {
  const auto result =
      executor_->run(effect("insert", {{"name", "x"}, {"path", "/two/k/x.ko"}}, ""));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::not_found);
  EXPECT_NE(result.error().text.find("/two/k/x.ko"), std::string::npos);
}

}  // namespace
}  // namespace muster::driver
