#include "initramfs/muster_init/launch_ledger.h"

#include <gtest/gtest.h>

namespace muster::init {
namespace {

constexpr std::uint64_t kGeneration = 3;

LaunchRequest request(const std::string& token, bool again = false,
                      std::uint64_t generation = kGeneration) {
  return LaunchRequest{generation, token, "/", {"/bin/true"}, {}, again};
}

LaunchVerdict verdict(const LaunchLedger& ledger, const LaunchRequest& wanted) {
  return ledger.decide(wanted, kGeneration).verdict;
}

TEST(LaunchLedger, StartsOnceWhoeverAsks) {
  LaunchLedger ledger;
  ASSERT_EQ(verdict(ledger, request("a")), LaunchVerdict::start);
  ledger.started("a", 100);
  EXPECT_EQ(verdict(ledger, request("a")), LaunchVerdict::already);
  EXPECT_EQ(verdict(ledger, request("b")), LaunchVerdict::already);
  ledger.ended(Ended::exit, 0, 0);
  EXPECT_EQ(verdict(ledger, request("a")), LaunchVerdict::already);
  EXPECT_EQ(verdict(ledger, request("b")), LaunchVerdict::already);
}

TEST(LaunchLedger, AgainOnlyAfterTheEnd) {
  LaunchLedger ledger;
  EXPECT_EQ(verdict(ledger, request("a", true)), LaunchVerdict::refused);
  ledger.started("a", 100);
  const LaunchDecision running = ledger.decide(request("b", true), kGeneration);
  EXPECT_EQ(running.verdict, LaunchVerdict::refused);
  EXPECT_EQ(running.reason, "still running, pid 100");
  ledger.ended(Ended::signal, 9, {});
  EXPECT_EQ(verdict(ledger, request("b", true)), LaunchVerdict::start);
}

TEST(LaunchLedger, AMusterdThatIsBeingReplacedStartsNothing) {
  LaunchLedger ledger;
  EXPECT_EQ(verdict(ledger, request("a", false, 2)), LaunchVerdict::stale);
  EXPECT_EQ(verdict(ledger, request("a", false, 4)), LaunchVerdict::stale);
  ledger.started("a", 100);
  ledger.ended(Ended::exit, 0, {});
  EXPECT_EQ(verdict(ledger, request("b", true, 2)), LaunchVerdict::stale);
}

TEST(LaunchLedger, WhatNeverRanMayBeTriedAgain) {
  LaunchLedger ledger;
  ledger.started("a", 100);
  ledger.exec_failed(2);
  EXPECT_EQ(ledger.state().phase, Phase::failed);
  EXPECT_EQ(ledger.state().status, 2);
  ledger.ended(Ended::exit, 127, {});  // the child of ours that could not become the program
  EXPECT_EQ(ledger.state().phase, Phase::failed);
  EXPECT_EQ(verdict(ledger, request("b")), LaunchVerdict::start);
}

TEST(LaunchLedger, NobodyEndsTheMachineWhileTheProgramRuns) {
  LaunchLedger ledger;
  EXPECT_EQ(ledger.objection_to_end(), "");
  ledger.started("a", 100);
  EXPECT_EQ(ledger.objection_to_end(), "pid 100 (a) still runs");
  // Also not by the muster-init that took over after a crash.
  EXPECT_EQ(LaunchLedger(ledger.state()).objection_to_end(), "pid 100 (a) still runs");
  LaunchLedger never_ran = ledger;
  never_ran.exec_failed(2);
  EXPECT_EQ(never_ran.objection_to_end(), "");
  ledger.ended(Ended::signal, 9, {});
  EXPECT_EQ(ledger.objection_to_end(), "");
}

TEST(LaunchLedger, KeepsTheResult) {
  LaunchLedger ledger;
  ledger.started("a", 100);
  ledger.ended(Ended::exit, 0, 16384);
  const LaunchState expected{Phase::exited, "a", 100, Ended::exit, 0, 16384};
  EXPECT_EQ(ledger.state(), expected);
  ledger.ended(Ended::signal, 9, 0);
  EXPECT_EQ(ledger.state(), expected);
  EXPECT_EQ(LaunchLedger(expected).state(), expected);
}

TEST(LaunchLedger, AStartForgetsTheFormerResult) {
  LaunchLedger ledger(LaunchState{Phase::exited, "a", 100, Ended::exit, 1, 4});
  ledger.started("b", 200);
  EXPECT_EQ(ledger.state(), (LaunchState{Phase::running, "b", 200, Ended::no, 0, std::nullopt}));
}

}  // namespace
}  // namespace muster::init
