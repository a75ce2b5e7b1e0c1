#include "daemon/init_watch.h"

#include <gmock/gmock.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "tests/support/fake_init.h"
#include "tests/support/temp_tree.h"

namespace muster {
namespace {

using testing::FakeInit;
using testing::TempTree;

std::string report(init::ReplyKind kind, init::ConsoleOwner console, init::Phase phase) {
  init::Reply reply;
  reply.kind = kind;
  reply.state.console = console;
  reply.state.launch.phase = phase;
  return init::format_reply(reply);
}

TEST(InitWatch, WithoutMusterInitTheConsoleIsFree) {
  InitWatch watch("/nonexistent/init.sock");
  const auto connected = watch.connect();
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code, Errc::not_found);
  EXPECT_TRUE(watch.console_is_free());
  EXPECT_EQ(watch.state().launch.phase, init::Phase::idle);
}

TEST(InitWatch, AnAnswerThatCannotBeReadIsAnError) {
  const TempTree tree;
  FakeInit fake(tree.path("/init.sock"));
  std::thread other([&] {
    fake.accept();
    fake.send("nonsense");
  });
  InitWatch watch(tree.path("/init.sock"));
  const auto connected = watch.connect();
  other.join();
  ASSERT_FALSE(connected);
  EXPECT_THAT(connected.error().text, ::testing::HasSubstr("muster-init's answer cannot be read"));
}

TEST(InitWatch, AParentThatIsSlowIsWaitedFor) {
  const TempTree tree;
  FakeInit fake(tree.path("/init.sock"));
  std::atomic<int> said = 0;
  std::thread other([&] {
    fake.accept();
    EXPECT_EQ(fake.request(), init::format_request(init::StateRequest{}));
    while (said == 0) {
      std::this_thread::yield();
    }
    fake.send(report(init::ReplyKind::state, init::ConsoleOwner::program, init::Phase::running));
  });
  InitWatch watch(tree.path("/init.sock"));
  std::vector<std::string> texts;
  watch.connect_surely(
      [&](const std::string& text) {
        texts.push_back(text);
        ++said;
      },
      5);
  other.join();
  EXPECT_EQ(watch.state().launch.phase, init::Phase::running);
  EXPECT_THAT(texts, ::testing::ElementsAre(::testing::HasSubstr("muster-init does not answer")));
}

TEST(InitWatch, AParentThatCrashesOrIsNotThereIsAskedAgain) {
  const TempTree tree;
  std::optional<FakeInit> fake;
  std::atomic<int> said = 0;
  std::thread other([&] {
    while (said == 0) {
      std::this_thread::yield();
    }
    fake.emplace(tree.path("/init.sock"));
    fake->accept();
    EXPECT_EQ(fake->request(), init::format_request(init::StateRequest{}));
    fake->close();
    fake->accept();
    EXPECT_EQ(fake->request(), init::format_request(init::StateRequest{}));
    fake->send(report(init::ReplyKind::state, init::ConsoleOwner::free, init::Phase::exited));
  });
  InitWatch watch(tree.path("/init.sock"));
  std::vector<std::string> texts;
  watch.connect_surely([&](const std::string& text) {
    texts.push_back(text);
    ++said;
  });
  other.join();
  EXPECT_EQ(watch.state().launch.phase, init::Phase::exited);
  EXPECT_THAT(texts, ::testing::ElementsAre(::testing::HasSubstr("No such file"),
                                            ::testing::HasSubstr("answer cannot be read")));
}

TEST(InitWatch, FollowsWhatMusterInitSaysAcrossItsRestart) {
  const TempTree tree;
  FakeInit fake(tree.path("/init.sock"));
  std::thread other([&] {
    fake.accept();
    EXPECT_EQ(fake.request(), init::format_request(init::StateRequest{}));
    fake.send(report(init::ReplyKind::state, init::ConsoleOwner::free, init::Phase::idle));
  });
  InitWatch watch(tree.path("/init.sock"));
  ASSERT_TRUE(watch.connect());
  other.join();
  EXPECT_TRUE(watch.console_is_free());

  std::vector<std::string> seen;
  Loop loop(LoopParts{});
  watch.follow(loop, [&] {
    seen.push_back(watch.console_is_free() ? "free" : "taken");
    if (watch.state().launch.phase == init::Phase::exited) {
      loop.stop();
    }
  });
  other = std::thread([&] {
    fake.send(report(init::ReplyKind::event, init::ConsoleOwner::program, init::Phase::running));
    fake.close();  // it crashed and executes itself again
    fake.accept();
    EXPECT_EQ(fake.request(), init::format_request(init::StateRequest{}));
    fake.send(report(init::ReplyKind::state, init::ConsoleOwner::free, init::Phase::exited));
  });
  loop.run();
  other.join();
  // Gone is not free: the program may still be drawing.
  EXPECT_THAT(seen, ::testing::ElementsAre("taken", "taken", "free"));
}

}  // namespace
}  // namespace muster
