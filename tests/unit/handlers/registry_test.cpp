#include "handlers/registry.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/temp_tree.h"

namespace muster {
namespace {

TEST(RegistryTest, WhatAnExecutorSaysOfUrgencyReachesTheWorkers) {
  testing::TempTree tree;
  ExecutorSettings settings;
  settings.root = tree.path();
  const auto executors = make_executors(settings);
  ASSERT_TRUE(executors) << executors.error().text;
  const auto urgency = [&](std::string handler, std::string verb, std::string subject) {
    const auto executor = std::find_if(executors->begin(), executors->end(),
                                       [&](const auto& each) { return each->name() == handler; });
    EXPECT_NE(executor, executors->end()) << handler;
    return (*executor)->urgency(
        Effect{1, handler, std::move(verb), std::move(subject), Json::object(), 0, {}});
  };
  EXPECT_EQ(urgency("probe", "read", "sda"), Urgency::soon);
  EXPECT_EQ(urgency("probe", "read", "dm-0"), Urgency::whenever);
  EXPECT_EQ(urgency("driver", "reload", "module trees"), Urgency::whenever);
  EXPECT_EQ(urgency("launch", "prepare", "mondorestore"), Urgency::now);
}

}  // namespace
}  // namespace muster
