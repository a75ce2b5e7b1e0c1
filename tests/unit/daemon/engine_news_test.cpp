// Which events are news, and to whom: an event that says what is known already costs next to
// nothing, and no other one may be taken for such.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/engine.h"
#include "daemon/state_json.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kAll = "SUBSYSTEM==\"block\", HANDLER+=\"spy\"\n";

// Writes down what it is told.
class Spy final : public Policy {
 public:
  explicit Spy(std::vector<std::string>& told) : told_(told) {}
  [[nodiscard]] std::string_view name() const override { return "spy"; }
  void device(const Device& device, Context&) override { told_.push_back("news " + device.kernel); }
  void device_as_before(const Device& device, Context&) override {
    told_.push_back("as before " + device.kernel);
  }
  void device_gone(const Device& device, Context&) override {
    told_.push_back("gone " + device.kernel);
  }
  bool command(const Command& command, Context& context) override {
    const auto devpath = command.arguments.at("devpath").get<std::string>();
    if (command.verb == "sign") {
      Signature signature;
      signature.properties = TextTable(named_texts(Properties{{"ID_FS_TYPE", "ext4"}}));
      context.set_signature(devpath, std::move(signature));
    } else {
      context.clear_signature(devpath);
    }
    return true;
  }
  [[nodiscard]] Json save() const override { return Json::object(); }
  [[nodiscard]] Result<void> restore(const Json&) override { return {}; }

 private:
  std::vector<std::string>& told_;
};

class EngineNews : public ::testing::Test {
 protected:
  void start(const std::string& rules) {
    std::vector<rules::Diagnostic> diagnostics;
    const std::vector<rules::Source> sources = {{"t.rules", rules}};
    std::vector<std::unique_ptr<Policy>> policies;
    policies.push_back(std::make_unique<Spy>(told_));
    engine_ =
        std::make_unique<Engine>(rules::RuleSet::load(sources, diagnostics), std::move(policies));
    EXPECT_THAT(diagnostics, IsEmpty());
  }
  // What the policy was told of the event.
  std::vector<std::string> on(EventBody body) {
    told_.clear();
    static_cast<void>(engine_->on({++now_, std::move(body)}));
    return told_;
  }
  static DeviceEvent disk(Action action, const std::string& kernel = "sda",
                          Properties properties = {}, Attributes attributes = {}) {
    DeviceEvent event;
    event.action = action;
    event.devpath = "/devices/x/block/" + kernel;
    event.subsystem = "block";
    event.properties = {{"ACTION", std::string(to_string(action))},
                        {"DEVTYPE", "disk"},
                        {"DISKSEQ", "1"},
                        {"MAJOR", "8"},
                        {"MINOR", "0"},
                        {"SEQNUM", "17"}};
    event.attributes = {{"dm/name", std::nullopt}, {"ro", "0"}, {"size", "8"}};
    for (auto& [name, value] : properties) {
      event.properties[name] = std::move(value);
    }
    for (auto& [name, value] : attributes) {
      event.attributes[name] = std::move(value);
    }
    return event;
  }
  static Command command(const char* verb) {
    return {1, verb, {{"devpath", "/devices/x/block/sda"}}};
  }

  std::vector<std::string> told_;
  std::unique_ptr<Engine> engine_;
  Micros now_ = 0;
};

TEST_F(EngineNews, OfAChangeOnlyWhatIsDifferent) {
  start(kAll);
  EXPECT_THAT(on(disk(Action::add)), ElementsAre("news sda"));
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("as before sda"));
  EXPECT_THAT(on(disk(Action::change, "sda", {{"SEQNUM", "18"}, {"DISK_RO", "1"}})),
              ElementsAre("as before sda"));
  EXPECT_THAT(on(disk(Action::bind)), IsEmpty());
  // Each of them says something else, and then the same once more.
  const auto expect_news = [&](const DeviceEvent& event) {
    EXPECT_THAT(on(event), ElementsAre("news sda"));
    EXPECT_THAT(on(event), ElementsAre("as before sda"));
  };
  expect_news(disk(Action::change, "sda", {{"DISKSEQ", "2"}}));
  expect_news(disk(Action::change, "sda", {{"MORE", ""}}));
  expect_news(disk(Action::change));
  expect_news(disk(Action::change, "sda", {}, {{"ro", "1"}}));
  expect_news(disk(Action::change, "sda", {}, {{"ro", std::nullopt}}));
  expect_news(disk(Action::change, "sda", {}, {{"ro", ""}}));
  expect_news(disk(Action::change, "sda", {}, {{"ro", ""}, {"zero", std::nullopt}}));
  EXPECT_EQ(engine_->world().find(std::string("/devices/x/block/sda"))->attribute("size"), "8");
  // An event need not bring all attributes.
  auto fewer = disk(Action::change);
  fewer.attributes = {{"size", "8"}};
  EXPECT_THAT(on(fewer), ElementsAre("as before sda"));
  fewer.attributes = {{"size", "9"}};
  EXPECT_THAT(on(fewer), ElementsAre("news sda"));
  EXPECT_THAT(on(fewer), ElementsAre("as before sda"));
}

TEST_F(EngineNews, AnotherPlanMakesAllNews) {
  start(kAll);
  on(disk(Action::add));
  on(FactsRead{{{"command_line", "compare_mode"}}});
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("news sda"));
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("as before sda"));
  on(ScanDone{1, {"/devices/x/block/sda"}});
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("news sda"));
}

TEST_F(EngineNews, ARestoredEngineTakesNothingForKnown) {
  start(kAll);
  on(disk(Action::add));
  const Json snapshot = engine_->snapshot();
  start(kAll);
  ASSERT_TRUE(engine_->restore(snapshot));
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("news sda"));
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("as before sda"));
  EXPECT_EQ(engine_->world().block_by_devno({8, 0})->kernel, "sda");
}

TEST_F(EngineNews, ReturnedUnderTheSamePath) {
  start(kAll);
  on(disk(Action::add));
  EXPECT_THAT(on(disk(Action::remove)), ElementsAre("gone sda"));
  EXPECT_EQ(engine_->world().device_count(), 0U);
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("news sda"));
  // Its removal was not seen.
  EXPECT_THAT(on(disk(Action::change, "sda", {{"MINOR", "16"}})),
              ElementsAre("gone sda", "news sda"));
  EXPECT_EQ(engine_->world().block_by_devno({8, 16})->kernel, "sda");
  EXPECT_EQ(engine_->world().block_by_devno({8, 0}), nullptr);
}

// The number leads to the one that was heard of last, and to the other again once that is gone.
TEST_F(EngineNews, TwoOfOneNumber) {
  start(kAll);
  on(disk(Action::add, "sda"));
  on(disk(Action::add, "sdb"));
  EXPECT_EQ(engine_->world().block_by_devno({8, 0})->kernel, "sdb");
  EXPECT_THAT(on(disk(Action::change, "sda")), ElementsAre("news sda"));
  EXPECT_EQ(engine_->world().block_by_devno({8, 0})->kernel, "sda");
  EXPECT_THAT(on(disk(Action::change, "sdb")), ElementsAre("news sdb"));
  on(disk(Action::remove, "sdb"));
  EXPECT_EQ(engine_->world().block_by_devno({8, 0}), nullptr);
  on(disk(Action::change, "sda"));
  EXPECT_EQ(engine_->world().block_by_devno({8, 0})->kernel, "sda");
}

TEST_F(EngineNews, RulesThatAskForTheActionAreAskedEachTime) {
  start("ACTION==\"change\", SUBSYSTEM==\"block\", HANDLER+=\"spy\"\n");
  EXPECT_THAT(on(disk(Action::add)), IsEmpty());
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("news sda"));
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("news sda"));
  EXPECT_THAT(on(disk(Action::add)), ElementsAre("gone sda"));
}

TEST_F(EngineNews, RulesThatAskForDevicesAboveAreAskedEachTime) {
  start("SUBSYSTEM==\"block\", DRIVERS==\"usb\", HANDLER+=\"spy\"\n");
  DeviceEvent above;
  above.devpath = "/devices/x";
  above.subsystem = "usb";
  on(above);
  EXPECT_THAT(on(disk(Action::add)), IsEmpty());
  above.action = Action::bind;
  above.properties = {{"DRIVER", "usb"}};
  on(above);
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("news sda"));
}

TEST_F(EngineNews, RulesAreAskedAgainWhereTheyAskForWhatIsDifferent) {
  start(
      "SUBSYSTEM!=\"block\", GOTO=\"end\"\n"
      "ATTR{ro}==\"1\", HANDLER+=\"spy\"\n"
      "ENV{SHOWN}==\"1\", HANDLER+=\"spy\"\n"
      "ENV{LEVEL}=\"$attr{level}$env{PART}\"\n"
      "ENV{LEVEL}==\"7b\", HANDLER+=\"spy\"\n"
      "ENV{ID_FS_TYPE}==\"ext4\", HANDLER+=\"spy\"\n"
      "DRIVER==\"sd\", HANDLER+=\"spy\"\n"
      "LABEL=\"end\"\n");
  EXPECT_THAT(on(disk(Action::add)), IsEmpty());
  EXPECT_THAT(on(disk(Action::change)), IsEmpty());
  const std::vector<std::pair<Properties, Attributes>> cases = {{{}, {{"ro", "1"}}},
                                                                {{{"SHOWN", "1"}}, {}},
                                                                {{{"PART", "b"}}, {{"level", "7"}}},
                                                                {{{"DRIVER", "sd"}}, {}}};
  for (const auto& [properties, attributes] : cases) {
    EXPECT_THAT(on(disk(Action::change, "sda", properties, attributes)), ElementsAre("news sda"));
    EXPECT_THAT(on(disk(Action::change, "sda", properties, attributes)),
                ElementsAre("as before sda"));
    // What nobody asks for.
    auto larger = attributes;
    larger["size"] = "16";
    EXPECT_THAT(on(disk(Action::change, "sda", properties, larger)), ElementsAre("news sda"));
    Attributes none = {{"ro", "0"}, {"level", std::nullopt}};
    EXPECT_THAT(on(disk(Action::change, "sda", {}, none)), ElementsAre("gone sda"));
    EXPECT_THAT(on(disk(Action::change, "sda", {}, none)), IsEmpty());
  }
  on(command("sign"));
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("as before sda"));
  // Another content.
  EXPECT_THAT(on(disk(Action::change, "sda", {{"DISKSEQ", "2"}})), ElementsAre("gone sda"));
}

TEST_F(EngineNews, WhatAPolicyTookBackItIsToldOfAgain) {
  start(kAll);
  on(disk(Action::add));
  on(command("sign"));
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("as before sda"));
  on(command("clear"));
  EXPECT_THAT(on(disk(Action::change)), ElementsAre("news sda"));
}

}  // namespace
}  // namespace muster
