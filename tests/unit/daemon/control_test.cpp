#include "daemon/control.h"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <asio.hpp>
#include <filesystem>
#include <future>
#include <thread>

#include "daemon/fd.h"
#include "tests/support/temp_tree.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempTree;

// A client that blocks: the daemon's side runs on a thread of its own.
class Client {
 public:
  explicit Client(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
  }
  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) {
        return;  // let go
      }
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void end_of_requests() { ::shutdown(socket_.get(), SHUT_WR); }
  // "(closed)" when the daemon let go.
  std::string line() {
    for (;;) {
      const auto newline = input_.find('\n');
      if (newline != std::string::npos) {
        std::string text = input_.substr(0, newline);
        input_.erase(0, newline + 1);
        return text;
      }
      std::array<char, 65536> chunk;
      const ssize_t got = ::recv(socket_.get(), chunk.data(), chunk.size(), 0);
      if (got <= 0) {
        return "(closed)";
      }
      input_.append(chunk.data(), static_cast<std::size_t>(got));
    }
  }

 private:
  Fd socket_;
  std::string input_;
};

class ControlTest : public ::testing::Test {
 protected:
  ~ControlTest() override { stop(); }

  // Answers each command with its verb and arguments; "hold" is never answered.
  Result<void> start(uid_t allowed = ::geteuid()) {
    auto control = Control::open(
        io_, {.path = path(), .allowed = allowed, .greeting = {{"musterd", "test"}}},
        [this](const Command& command) {
          if (command.verb == "big") {
            control_->reply(command.client, {{"big", std::string(20'000'000, 'x')}});
          } else if (command.verb == "hold") {
            ++held_;
          } else {
            asio::post(io_, [this, command] {
              control_->reply(command.client,
                              {{"verb", command.verb}, {"arguments", command.arguments}});
            });
          }
        });
    if (!control) {
      return tl::unexpected(control.error());
    }
    control_ = std::move(*control);
    io_.restart();  // after stop()
    thread_ = std::thread([this] { io_.run(); });
    return {};
  }
  void stop() {
    if (thread_.joinable()) {
      asio::post(io_, [this] { io_.stop(); });
      thread_.join();
    }
    control_.reset();
  }
  // On the loop's thread, and waits for it.
  template <typename Call>
  auto on_loop(Call call) {
    std::packaged_task<decltype(call())()> task(std::move(call));
    auto result = task.get_future();
    asio::post(io_, [&task] { task(); });
    return result.get();
  }
  [[nodiscard]] std::string path() const { return tree_.path("/run/control"); }

  TempTree tree_;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_{io_.get_executor()};
  std::unique_ptr<Control> control_;
  int held_ = 0;  // the loop's
  std::thread thread_;
};

TEST_F(ControlTest, AnswersInOrderAndMindsItsOwnMode) {
  ASSERT_TRUE(start());
  struct stat status{};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600);
  Client client(path());
  client.send("{\"command\":\"one\",\"a\":1}\n{\"command\":\"ping\"}\n{\"command\":\"two\"}\n");
  EXPECT_EQ(client.line(), R"({"arguments":{"a":1},"verb":"one"})");
  EXPECT_EQ(client.line(), R"({"musterd":"test"})");
  EXPECT_EQ(client.line(), R"({"arguments":{},"verb":"two"})");
}

TEST_F(ControlTest, MalformedRequestsAreAnsweredAndTheNextOneCounts) {
  ASSERT_TRUE(start());
  Client client(path());
  client.send("nonsense\n[]\n{\"verb\":1}\n{\"command\":7}\n\n" + std::string(200, '[') + "\n");
  EXPECT_EQ(client.line(), R"({"error":"malformed request: not JSON"})");
  EXPECT_EQ(client.line(), R"({"error":"malformed request: not a JSON object"})");
  EXPECT_EQ(client.line(), R"({"error":"malformed request: no \"command\""})");
  EXPECT_EQ(client.line(), R"({"error":"malformed request: no \"command\""})");
  EXPECT_EQ(client.line(), R"({"error":"malformed request: not JSON"})");
  EXPECT_EQ(client.line(), R"({"error":"malformed request: nested more than 64 deep"})");
  client.send("{\"command\":\"ping\"}\n");
  EXPECT_EQ(client.line(), R"({"musterd":"test"})");
}

TEST_F(ControlTest, ARequestWithoutEndIsRefused) {
  ASSERT_TRUE(start());
  Client client(path());
  client.send(std::string(Control::kMaxRequest + 5000, 'x'));
  EXPECT_EQ(client.line(), R"({"error":"a request has at most 65536 bytes"})");
  EXPECT_EQ(client.line(), "(closed)");
}

TEST_F(ControlTest, OnlyTheAllowedUserMayAsk) {
  ASSERT_TRUE(start(::geteuid() + 1));
  Client client(path());
  client.send("{\"command\":\"ping\"}\n");
  EXPECT_EQ(client.line(), R"({"error":"only root may ask"})");
  EXPECT_EQ(client.line(), "(closed)");
}

TEST_F(ControlTest, AClientThatOnlyEndsItsRequestsStillGetsItsAnswer) {
  ASSERT_TRUE(start());
  Client client(path());
  client.send("{\"command\":\"one\"}\n");
  client.end_of_requests();
  EXPECT_EQ(client.line(), R"({"arguments":{},"verb":"one"})");
  EXPECT_EQ(client.line(), "(closed)");
}

TEST_F(ControlTest, OneThatLeftMakesRoomForAnother) {
  ASSERT_TRUE(start());
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Client>> clients;
    for (std::size_t i = 0; i < Control::kMaxClients; ++i) {
      clients.push_back(std::make_unique<Client>(path()));
      clients.back()->send("{\"command\":\"ping\"}\n{\"command\":\"hold\"}\n");
      EXPECT_EQ(clients.back()->line(), R"({"musterd":"test"})");
    }
    Client crowded(path());
    EXPECT_EQ(crowded.line(), R"({"error":"too many clients"})");
    EXPECT_EQ(crowded.line(), "(closed)");
    // All leave while they wait for an answer; the daemon notices without having to write to them.
    clients.clear();
    for (bool admitted = false; !admitted;) {
      Client next(path());
      next.send("{\"command\":\"ping\"}\n");
      admitted = next.line() == R"({"musterd":"test"})";
    }
    // An answer for one of them goes nowhere.
    on_loop([&] {
      control_->reply(1, {{"late", true}});
      return 0;
    });
  }
}

TEST_F(ControlTest, FollowersGetWhatIsPublished) {
  ASSERT_TRUE(start());
  Client follower(path());
  Client other(path());
  EXPECT_FALSE(on_loop([&] { return control_->has_followers(); }));
  follower.send("{\"command\":\"ping\"}\n{\"command\":\"events\"}\n");
  EXPECT_EQ(follower.line(), R"({"musterd":"test"})");
  while (!on_loop([&] { return control_->has_followers(); })) {
  }
  on_loop([&] {
    control_->publish("{\"a\":1}\n{\"b\":2}\n");
    return 0;
  });
  EXPECT_EQ(follower.line(), "{\"a\":1}");
  EXPECT_EQ(follower.line(), "{\"b\":2}");
  other.send("{\"command\":\"ping\"}\n");
  EXPECT_EQ(other.line(), R"({"musterd":"test"})");
}

TEST_F(ControlTest, AFollowerThatDoesNotReadIsLetGo) {
  ASSERT_TRUE(start());
  Client follower(path());
  follower.send("{\"command\":\"events\"}\n");
  while (!on_loop([&] { return control_->has_followers(); })) {
  }
  const std::string line(1'000'000, 'x');
  int published = 0;
  while (on_loop([&] {
    control_->publish(line + "\n");
    return control_->has_followers();
  })) {
    ASSERT_LT(++published, 100);
  }
  Client other(path());
  other.send("{\"command\":\"ping\"}\n");
  EXPECT_EQ(other.line(), R"({"musterd":"test"})");
}

TEST_F(ControlTest, OneLargeAnswerIsNoReasonToLetGo) {
  ASSERT_TRUE(start());
  Client client(path());
  client.send("{\"command\":\"big\"}\n{\"command\":\"ping\"}\n");
  EXPECT_EQ(client.line().size(), 20'000'000 + std::string_view(R"({"big":""})").size());
  EXPECT_EQ(client.line(), R"({"musterd":"test"})");
}

TEST_F(ControlTest, ASecondDaemonIsRefusedADeadOnesSocketIsReplaced) {
  ASSERT_TRUE(start());
  asio::io_context other;
  const ControlSettings settings{.path = path(), .allowed = ::geteuid(), .greeting = {}};
  const auto second = Control::open(other, settings, [](const Command&) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::busy);
  EXPECT_EQ(second.error().text, "another musterd runs: it answers on " + path());
  stop();
  EXPECT_FALSE(std::filesystem::exists(path()));

  // Dead: its socket is still there, nobody listens.
  {
    const Fd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  {
    EXPECT_TRUE(Control::open(other, settings, [](const Command&) {}));
  }

  // Dying: it listens and will never answer, as a killed process does while a thread of it hangs in
  // the kernel.
  const Fd dying(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(dying.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(dying.get(), 5), 0);
  EXPECT_TRUE(Control::open(other, settings, [](const Command&) {}));
}

TEST_F(ControlTest, ThoseWhoWaitAreLetGoAtTheEndAndServedByTheNextOne) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(start());
    Client follower(path());
    Client waiting(path());
    Client idle(path());
    follower.send("{\"command\":\"ping\"}\n{\"command\":\"events\"}\n");
    waiting.send("{\"command\":\"ping\"}\n{\"command\":\"hold\"}\n");
    EXPECT_EQ(follower.line(), R"({"musterd":"test"})");
    EXPECT_EQ(waiting.line(), R"({"musterd":"test"})");
    auto asking = std::async(std::launch::async, [&] {
      return ask_control(path(), {{"command", "hold"}}, 0, [](std::string_view) { return true; });
    });
    while (on_loop([&] { return held_; }) < 2) {
    }
    stop();
    EXPECT_EQ(follower.line(), "(closed)");
    EXPECT_EQ(waiting.line(), "(closed)");
    EXPECT_EQ(idle.line(), "(closed)");
    const auto asked = asking.get();
    ASSERT_FALSE(asked);
    EXPECT_EQ(asked.error().code, Errc::not_found);
    EXPECT_EQ(asked.error().text, path() + ": musterd ended before it answered");
    held_ = 0;
  }
}

// Nothing of a stopped server may hold a connection, neither the kernel's queue nor the loop's.
TEST_F(ControlTest, ThoseWhoWereNotYetLetInAreLetGoToo) {
  asio::io_context io;
  int commands = 0;
  for (int handlers = 0; handlers < 6; ++handlers) {
    auto control =
        Control::open(io, {.path = path(), .allowed = ::geteuid(), .greeting = Json::object()},
                      [&](const Command&) { ++commands; });
    ASSERT_TRUE(control);
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 4; ++i) {
      clients.push_back(std::make_unique<Client>(path()));
    }
    for (int i = 0; i < handlers; ++i) {
      io.poll_one();
    }
    control->reset();
    for (const auto& client : clients) {
      EXPECT_EQ(client->line(), "(closed)") << handlers;
      client->send("{\"command\":\"one\"}\n");
    }
    io.poll();  // what was under way is nobody's now
    EXPECT_TRUE(io.stopped()) << "something of the stopped server goes on";
    io.restart();
  }
  EXPECT_EQ(commands, 0);
}

TEST(ControlPath, WhatCannotBeListenedOnIsAnError) {
  asio::io_context io;
  const auto open = [&](std::string path) {
    return Control::open(io, {.path = std::move(path), .allowed = 0, .greeting = {}},
                         [](const Command&) {})
        .error()
        .text;
  };
  EXPECT_THAT(open("/proc/muster/control"), HasSubstr("control socket /proc/muster/control: "));
  EXPECT_THAT(open("/" + std::string(200, 'x')), HasSubstr("the path is too long"));
}

TEST(AskControl, NobodyThere) {
  const auto asked = ask_control("/nonexistent/control", Json::object(), 100,
                                 [](std::string_view) { return true; });
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().code, Errc::not_found);
  EXPECT_EQ(asked.error().text, "/nonexistent/control: No such file or directory");
}

}  // namespace
}  // namespace muster
