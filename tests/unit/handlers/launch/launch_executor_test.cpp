#include "handlers/launch/launch_executor.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <functional>
#include <future>
#include <thread>
#include <variant>

#include "daemon/root.h"
#include "handlers/launch/init_client.h"
#include "tests/support/fake_init.h"
#include "tests/support/temp_tree.h"

namespace muster::launch {
namespace {

using std::chrono::milliseconds;
using testing::FakeInit;
using ::testing::HasSubstr;
using testing::TempTree;

constexpr const char* kStartRo = "/sys/module/md_mod/parameters/start_ro";

const init::LaunchState kIdle{};
const init::LaunchState kRunning{init::Phase::running, "effect-7", 211, init::Ended::no, 0, {}};
const init::LaunchState kEnded{init::Phase::exited, "effect-7", 211, init::Ended::exit, 0, 3};
const init::LaunchState kEndedWell{init::Phase::exited, "effect-7", 211, init::Ended::exit, 0, 0};
const init::LaunchState kNeverRan{init::Phase::failed, "effect-7", 211,
                                  init::Ended::no,     ENOEXEC,    {}};

std::string message(init::ReplyKind kind, const init::LaunchState& launch,
                    const std::string& text = {}) {
  return init::format_reply({kind, text, {1, init::ConsoleOwner::free, launch}});
}

class LaunchExecutorTest : public ::testing::Test {
 protected:
  // What the executor makes of a muster-init that does as SCRIPT says.
  Result<Json> run(const std::string& verb, const Json& arguments,
                   const std::function<void(FakeInit&)>& script) {
    tree_.file(kStartRo, "1");
    auto root = Root::open(tree_.path());
    if (!root) {
      return tl::unexpected(root.error());
    }
    FakeInit fake(socket_);
    std::thread other([&] { script(fake); });
    Effect effect;
    effect.id = 7;
    effect.handler = "launch";
    effect.verb = verb;
    effect.arguments = arguments;
    auto outcome = LaunchExecutor(*root, socket_, keep_, keep_within_).run(effect);
    other.join();
    return outcome;
  }
  Result<Json> follow(const std::function<void(FakeInit&)>& script) {
    return run("follow", Json::object(), script);
  }
  Result<Json> start(const std::function<void(FakeInit&)>& script) {
    return run("run", {{"program", "/bin/sh"}, {"arguments", Json::array({"--nuke"})}}, script);
  }
  static void answer_state(FakeInit& fake, const init::LaunchState& launch) {
    fake.accept();
    EXPECT_EQ(fake.request(), init::format_request(init::StateRequest{}));
    fake.send(message(init::ReplyKind::state, launch));
  }
  static void take_launch(FakeInit& fake) {
    fake.accept();
    const auto request = init::parse_request(fake.request());
    ASSERT_TRUE(request);
    EXPECT_TRUE(std::holds_alternative<init::LaunchRequest>(*request));
  }
  [[nodiscard]] std::string start_ro() const { return tree_.text(kStartRo).substr(0, 1); }

  TempTree tree_;
  std::string socket_ = tree_.path("/init.sock");
  LaunchExecutor::Keep keep_;
  milliseconds keep_within_ = std::chrono::minutes(1);
};

TEST_F(LaunchExecutorTest, FollowTellsTheEndThatMusterInitTold) {
  const auto outcome = follow([](FakeInit& fake) {
    answer_state(fake, kRunning);
    fake.send(message(init::ReplyKind::event, kRunning, "shell-ended"));
    fake.send(message(init::ReplyKind::event, kEnded, "ended"));
  });
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(*outcome, (Json{{"started", true},
                            {"success", false},
                            {"text", "exited with status 0, result 3"},
                            {"status", 0},
                            {"result", 3}}));
}

TEST_F(LaunchExecutorTest, ALostConnectionIsNoEnd) {
  const auto outcome = follow([](FakeInit& fake) {
    answer_state(fake, kRunning);
    fake.close();  // it crashed and executes itself again
    fake.accept();
    fake.close();  // and again, before it answered
    answer_state(fake, kRunning);
    fake.send(message(init::ReplyKind::event, kEndedWell, "ended"));
  });
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(outcome->value("success", false), true);
  EXPECT_EQ(outcome->value("result", -1), 0);
}

TEST_F(LaunchExecutorTest, AnEndWhileMusterInitWasAwayIsFound) {
  const auto outcome = follow([](FakeInit& fake) {
    answer_state(fake, kRunning);
    fake.close();
    answer_state(fake, kEnded);
  });
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(outcome->value("result", -1), 3);
}

TEST_F(LaunchExecutorTest, FollowOfAMusterInitThatKeepsNoConnectionIsAnErrorAndEnds) {
  const auto outcome = follow([](FakeInit& fake) {
    for (int i = 0; i < 16; ++i) {
      fake.accept();
      fake.close();
    }
  });
  EXPECT_FALSE(outcome);
}

TEST_F(LaunchExecutorTest, AMusterInitThatKnowsOfNoStartTellsNoEnd) {
  const auto outcome = follow([](FakeInit& fake) { answer_state(fake, kIdle); });
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().text, HasSubstr("knows of no start"));
}

TEST_F(LaunchExecutorTest, AProgramThatCouldNotBeExecutedNeverStarted) {
  const auto outcome = follow([this](FakeInit& fake) {
    tree_.file(kStartRo, "0");  // as `run` left it
    answer_state(fake, kRunning);
    fake.send(message(init::ReplyKind::event, kNeverRan, "launch-failed"));
  });
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(outcome->value("started", true), false);
  EXPECT_EQ(outcome->value("success", true), false);
  EXPECT_THAT(outcome->value("text", std::string()), HasSubstr("could not be executed"));
  EXPECT_EQ(start_ro(), "1");
}

TEST_F(LaunchExecutorTest, AStartWhoseAnswerWasLostIsLookedUpAndNotRepeated) {
  const auto outcome = start([](FakeInit& fake) {
    take_launch(fake);
    fake.close();
    answer_state(fake, kRunning);
  });
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(outcome->value("state", std::string()), "running, pid 211");
  EXPECT_EQ(start_ro(), "0");
}

TEST_F(LaunchExecutorTest, AStartThatGotLostIsAnError) {
  const auto outcome = start([](FakeInit& fake) {
    take_launch(fake);
    fake.close();
    answer_state(fake, kIdle);
  });
  EXPECT_FALSE(outcome);
  EXPECT_EQ(start_ro(), "1");
}

TEST_F(LaunchExecutorTest, AStartOfWhichNothingIsKnownCountsAsOne) {
  const auto outcome = start([](FakeInit& fake) {
    take_launch(fake);
    fake.close();
    for (int i = 0; i < 16; ++i) {
      fake.accept();
      fake.close();
    }
  });
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_THAT(outcome->value("state", std::string()), HasSubstr("not known"));
  EXPECT_EQ(start_ro(), "0");
}

TEST_F(LaunchExecutorTest, AnEndThatMusterInitRefusesIsAnError) {
  const auto outcome = run("end", {{"then", "reboot"}}, [](FakeInit& fake) {
    fake.accept();
    EXPECT_EQ(fake.request(), init::format_request(init::EndRequest{init::EndKind::reboot}));
    fake.send(message(init::ReplyKind::refused, kRunning, "pid 211 (effect-7) still runs"));
  });
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().text, HasSubstr("pid 211 (effect-7) still runs"));
}

TEST_F(LaunchExecutorTest, ARestoredDiskThatHangsKeepsNobodyFromTheEnd) {
  std::promise<void> disk;
  std::promise<void> back;
  keep_within_ = milliseconds(20);
  keep_ = [answers = disk.get_future().share(), &back](const KeepSettings&) -> Result<Json> {
    answers.wait();
    back.set_value_at_thread_exit();
    return Json::object();
  };
  const auto outcome = run("end", {{"then", "reboot"}}, [](FakeInit& fake) {
    fake.accept();
    EXPECT_EQ(fake.request(), init::format_request(init::EndRequest{init::EndKind::reboot}));
    fake.send(message(init::ReplyKind::ok, kEnded));
  });
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_THAT(outcome->at("journal").value("why", std::string()), HasSubstr("does not take it"));
  disk.set_value();
  back.get_future().wait();
}

TEST_F(LaunchExecutorTest, TheEndTellsWhereTheJournalIs) {
  keep_ = [](const KeepSettings& settings) -> Result<Json> {
    return Json{{"file", settings.device}, {"bytes", 7}};
  };
  const Json home = {{"device", "/dev/vg0/root"},
                     {"format", "ext4"},
                     {"below", "/var"},
                     {"drives", Json::array()}};
  const auto outcome = run("end", {{"then", "poweroff"}, {"journal", home}}, [](FakeInit& fake) {
    fake.accept();
    EXPECT_EQ(fake.request(), init::format_request(init::EndRequest{init::EndKind::poweroff}));
    fake.send(message(init::ReplyKind::ok, kEnded));
  });
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(outcome->at("journal").value("file", std::string()), "/dev/vg0/root");
}

TEST(InitClient, AMusterInitThatComesBackIsFound) {
  const TempTree tree;
  const auto path = tree.path("/init.sock");
  {
    const FakeInit former(path);
  }  // its name is still there, and nobody listens
  ASSERT_FALSE(InitClient::connect(path));
  std::thread other([&] {
    FakeInit fake(path);
    fake.accept();
    EXPECT_EQ(fake.request(), init::format_request(init::StateRequest{}));
    fake.send(message(init::ReplyKind::state, kRunning));
  });
  auto client = InitClient::reconnect(path);
  if (client) {
    const auto reply = client->ask(init::StateRequest{});
    EXPECT_TRUE(reply && reply->state.launch == kRunning);
  }
  other.join();
  EXPECT_TRUE(client) << client.error().text;
}

TEST(InitClient, OneThatStaysAwayIsGivenUp) {
  const TempTree tree;
  const auto client = InitClient::reconnect(tree.path("/init.sock"), milliseconds(20));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().os_error, ENOENT);
}

}  // namespace
}  // namespace muster::launch
