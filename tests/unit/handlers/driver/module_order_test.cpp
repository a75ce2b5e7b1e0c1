#include "handlers/driver/module_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace muster::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A tree in a few words: name -> what it needs, softly before, softly after.
class Modules : public ModuleKnowledge {
 public:
  struct Module {
    std::vector<std::string> needs;
    std::vector<std::string> pre;
    std::vector<std::string> post;
    std::string state = "absent";
  };
  std::map<std::string, Module> modules;
  std::map<std::string, std::vector<std::string>> aliases;
  std::map<std::string, std::string> bans;

  std::vector<std::string> look_up(std::string_view name) override {
    const auto it = aliases.find(std::string(name));
    return it != aliases.end() ? it->second : std::vector<std::string>{std::string(name)};
  }
  std::optional<ModuleFacts> facts(std::string_view name) override {
    const auto it = modules.find(std::string(name));
    if (it == modules.end()) {
      return std::nullopt;
    }
    ModuleFacts facts;
    facts.name = name;
    facts.path = "/" + it->first + ".ko";
    facts.state = it->second.state;
    facts.needs = it->second.needs;
    facts.softdep = {it->second.pre, it->second.post};
    return facts;
  }
  std::optional<std::string> forbidden(std::string_view name) override {
    const auto it = bans.find(std::string(name));
    return it == bans.end() ? std::nullopt : std::optional(it->second);
  }
};

std::vector<std::string> names(const ModuleOrder& order) {
  std::vector<std::string> list;
  for (const auto& module : order.modules) {
    list.push_back(module.facts.name + (module.soft ? "?" : ""));
  }
  return list;
}

const OrderedModule& get(const ModuleOrder& order, const std::string& name) {
  for (const auto& module : order.modules) {
    if (module.facts.name == name) {
      return module;
    }
  }
  throw std::runtime_error(name + " is not in the list");
}

TEST(ModuleOrder, WhatIsNeededStandsBeforeWhatNeedsIt) {
  Modules m;
  m.modules = {{"top", {{"low", "mid"}, {}, {}}}, {"mid", {{"low"}, {}, {}}}, {"low", {}}};
  const auto order = order_modules({"top"}, m);
  EXPECT_THAT(names(order), ElementsAre("low", "mid", "top"));
  EXPECT_THAT(get(order, "top").needs, ElementsAre("low", "mid"));
  EXPECT_THAT(order.refused, IsEmpty());
}

TEST(ModuleOrder, SoftdepsAreTriedBeforeAndAfterAndMayBeMissing) {
  Modules m;
  m.modules = {{"ext4", {{"jbd2"}, {"crc"}, {"later", "nosuch"}}},
               {"jbd2", {}},
               {"crc32c_generic", {}},
               {"crc32c_intel", {}},
               {"later", {{"base"}, {}, {}}},
               {"base", {}}};
  m.aliases["crc"] = {"crc32c_generic", "crc32c_intel", "nosuch"};
  const auto order = order_modules({"ext4"}, m);
  EXPECT_THAT(names(order),
              ElementsAre("jbd2", "crc32c_generic?", "crc32c_intel?", "ext4", "base?", "later?"));
  EXPECT_THAT(get(order, "ext4").wants, ElementsAre("crc32c_generic", "crc32c_intel"));
  EXPECT_THAT(get(order, "ext4").needs, ElementsAre("jbd2"));
  EXPECT_THAT(get(order, "later").wants, ElementsAre("ext4"));
  EXPECT_THAT(order.refused, IsEmpty());
}

TEST(ModuleOrder, WhatIsWantedSoftlyAndNeededIsNotSoft) {
  Modules m;
  m.modules = {{"a", {{"b"}, {"c"}, {}}}, {"b", {{"c"}, {}, {}}}, {"c", {}}};
  EXPECT_THAT(names(order_modules({"a"}, m)), ElementsAre("c", "b", "a"));
}

TEST(ModuleOrder, AllMatchesOfAnAliasEachModuleOnce) {
  Modules m;
  m.modules = {{"x", {{"base"}, {}, {}}}, {"y", {{"base"}, {}, {}}}, {"base", {}}};
  EXPECT_THAT(names(order_modules({"x", "y", "x"}, m)), ElementsAre("base", "x", "y"));
}

TEST(ModuleOrder, ARefusalNamesTheChain) {
  Modules m;
  m.modules = {{"top", {{"mid"}, {}, {}}}, {"mid", {{"gone"}, {}, {}}}, {"other", {}}};
  const auto order = order_modules({"top", "other"}, m);
  EXPECT_THAT(names(order), ElementsAre("other"));
  EXPECT_THAT(order.refused,
              ElementsAre(Refusal{"top", "it needs mid: it needs gone: there is no such module"}));
}

TEST(ModuleOrder, WhatTheKernelForbidsIsForbiddenToDependentsToo) {
  Modules m;
  m.modules = {
      {"top", {{"bad"}, {"bad2"}, {}}}, {"bad", {}}, {"bad2", {}}, {"fine", {{}, {"bad2"}, {}}}};
  m.bans = {{"bad", "forbidden"}, {"bad2", "forbidden"}};
  const auto order = order_modules({"top", "fine"}, m);
  EXPECT_THAT(names(order), ElementsAre("fine"));
  EXPECT_THAT(order.refused, ElementsAre(Refusal{"top", "it needs bad: forbidden"}));
}

TEST(ModuleOrder, ACircleOfNeedsIsRefused) {
  Modules m;
  m.modules = {{"a", {{"b"}, {}, {}}}, {"b", {{"a"}, {}, {}}}, {"self", {{"self"}, {}, {}}}};
  const auto order = order_modules({"a", "self"}, m);
  EXPECT_THAT(names(order), IsEmpty());
  ASSERT_EQ(order.refused.size(), 2U);
  EXPECT_EQ(order.refused[0].why, "it needs b: it needs a: it depends on itself");
}

TEST(ModuleOrder, ACircleOfSoftdepsIsCutWhereItCloses) {
  Modules m;
  m.modules = {{"a", {{}, {"b"}, {}}}, {"b", {{}, {"a"}, {}}}};
  const auto order = order_modules({"a"}, m);
  EXPECT_THAT(names(order), ElementsAre("b?", "a"));
  EXPECT_THAT(get(order, "b").wants, IsEmpty());
}

TEST(ModuleOrder, WhatACircleKeptOutComesWhenItIsAskedForItself) {
  Modules m;  // c, softly wanted by b, needs a, which needs b
  m.modules = {{"a", {{"b"}, {}, {}}}, {"b", {{}, {"c"}, {}}}, {"c", {{"a"}, {}, {}}}};
  EXPECT_THAT(names(order_modules({"a", "c"}, m)), ElementsAre("b", "a", "c"));
}

TEST(ModuleOrder, NeedsAndWantsNameOnlyWhatStandsEarlier) {
  Modules m;
  m.modules = {{"a", {{"b"}, {"c", "d"}, {"e"}}},
               {"b", {{}, {"d"}, {"c"}}},
               {"c", {{}, {"a"}, {}}},
               {"d", {{"b"}, {}, {"a"}}},
               {"e", {{"c"}, {"a"}, {"b"}}}};
  const auto order = order_modules({"a", "c", "d", "e"}, m);
  std::set<std::string> earlier;
  for (const auto& module : order.modules) {
    for (const auto* list : {&module.needs, &module.wants}) {
      for (const auto& name : *list) {
        EXPECT_TRUE(earlier.contains(name)) << module.facts.name << " before " << name;
      }
    }
    earlier.insert(module.facts.name);
  }
  EXPECT_EQ(earlier.size(), 5U);
}

TEST(ModuleOrder, DepthAndBreadthOfATreeThatLiesAreBounded) {
  Modules m;
  for (int i = 0; i < 5'000; ++i) {
    m.modules["m" + std::to_string(i)].needs = {"m" + std::to_string(i + 1)};
  }
  EXPECT_EQ(order_modules({"m0"}, m).modules.size(), 0U);
  Modules web;  // each softly wants all others, none can be had
  for (int i = 0; i < 40; ++i) {
    for (int j = 0; j < 40; ++j) {
      web.modules["w" + std::to_string(i)].pre.push_back("w" + std::to_string(j));
    }
    web.modules["w" + std::to_string(i)].needs = {"gone"};
  }
  web.modules["w0"].needs.clear();
  EXPECT_THAT(names(order_modules({"w0"}, web)), ElementsAre("w0"));
}

TEST(ModuleOrder, ABuiltinModuleNeedsNothing) {
  Modules m;
  m.modules = {{"unix", {{"x"}, {"y"}, {}, "builtin"}}};
  EXPECT_THAT(names(order_modules({"unix"}, m)), ElementsAre("unix"));
}

}  // namespace
}  // namespace muster::driver
