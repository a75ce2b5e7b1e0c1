#include "daemon/init_watch.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <thread>

#include "tests/support/temp_tree.h"

namespace muster {
namespace {

using testing::TempTree;

std::string report(init::ReplyKind kind, init::ConsoleOwner console, init::Phase phase) {
  init::Reply reply;
  reply.kind = kind;
  reply.state.console = console;
  reply.state.launch.phase = phase;
  return init::format_reply(reply);
}

// muster-init's end of the socket.
class FakeInit {
 public:
  explicit FakeInit(const std::string& path) : listener_(::socket(AF_UNIX, SOCK_SEQPACKET, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    EXPECT_EQ(::listen(listener_.get(), 5), 0);
  }
  void accept() { client_.reset(::accept(listener_.get(), nullptr, nullptr)); }
  std::string request() {
    std::array<char, 1024> buffer;
    const ssize_t got = ::recv(client_.get(), buffer.data(), buffer.size(), 0);
    return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
  }
  void send(const std::string& packet) {
    EXPECT_EQ(::send(client_.get(), packet.data(), packet.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(packet.size()));
  }
  void close() { client_.reset(); }

 private:
  Fd listener_;
  Fd client_;
};

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
