#include "rules/match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/rules/fake_device.h"

namespace muster::rules {
namespace {

using ::testing::ElementsAre;

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

bool matches(const std::string& condition, const DeviceView& device) {
  return !load(condition + ", HANDLER+=\"h\"").match(device).handlers.empty();
}

TEST(RuleSet, GivesHandlersOnceInTheOrderOfTheRules) {
  const RuleSet rules = load(
      "HANDLER+=\"b\"\n"
      "HANDLER+=\"a\", HANDLER+=\"b\"\n");
  EXPECT_THAT(rules.match(FakeDevice({})).handlers, ElementsAre("b", "a"));
}

TEST(RuleSet, MatchesTheDeviceOfTheEvent) {
  const FakeDevice sda({.kernel = "sda", .subsystem = "block"});
  EXPECT_TRUE(matches(R"(SUBSYSTEM=="block", KERNEL=="sd*|hd*")", sda));
  EXPECT_FALSE(matches(R"(SUBSYSTEM=="net")", sda));
  EXPECT_FALSE(matches(R"(KERNEL!="sd*")", sda));
}

}  // namespace
}  // namespace muster::rules
