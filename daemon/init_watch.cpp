#include "daemon/init_watch.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "handlers/launch/init_client.h"

namespace muster {
namespace {

// One packet. Empty: the other side is gone.
Result<std::string> receive_packet(const Fd& socket) {
  std::string packet(init::kMaxMessage, '\0');
  for (;;) {
    const ssize_t got = ::recv(socket.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    if (got >= 0) {
      packet.resize(static_cast<std::size_t>(got));
      return packet;
    }
    if (errno != EINTR) {
      return fail_errno("muster-init", errno);
    }
  }
}

}  // namespace

Result<void> InitWatch::connect(int answer_ms) {
  auto socket = ask();
  return socket ? take_answer(*socket, answer_ms) : tl::unexpected(socket.error());
}

void InitWatch::connect_surely(const std::function<void(const std::string&)>& say, int answer_ms) {
  launch::SocketArrival arrival(path_);
  std::string said;
  const auto say_once = [&](const std::string& text) {
    if (text != said) {
      said = text;
      say(text + "; nothing is done before it is known whether mondorestore runs");
    }
  };
  for (;;) {
    auto socket = ask();
    Result<void> answered =
        socket ? take_answer(*socket, answer_ms) : tl::unexpected(socket.error());
    // Busy, perhaps: the question stands in its queue and is not put there a second time.
    while (socket && !answered && answered.error().code == Errc::timeout) {
      say_once(answered.error().text);
      answered = take_answer(*socket, answer_ms);
    }
    if (answered) {
      return;
    }
    say_once(answered.error().text);
    arrival.wait(std::chrono::milliseconds(kAgainMs));
  }
}

Result<Fd> InitWatch::ask() const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path) {
    return fail(Errc::invalid, fmt::format("{}: the path is too long", path_));
  }
  std::memcpy(address.sun_path, path_.data(), path_.size());
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    const int error = errno;
    auto failure = fail_errno(path_, error);
    if (error == ECONNREFUSED) {
      failure.value().code = Errc::not_found;
    }
    return failure;
  }
  const auto request = init::format_request(init::StateRequest{});
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    return fail_errno(path_, errno);
  }
  return socket;
}

Result<void> InitWatch::take_answer(Fd& socket, int answer_ms) {
  pollfd ready{socket.get(), POLLIN, 0};
  const auto packet =
      ::poll(&ready, 1, answer_ms) > 0 ? receive_packet(socket) : fail_errno("muster-init", EAGAIN);
  if (!packet && packet.error().os_error == EAGAIN) {
    return fail(Errc::timeout, fmt::format("{}: muster-init does not answer", path_));
  }
  const auto reply = packet ? init::parse_reply(*packet) : tl::unexpected(packet.error());
  if (!reply) {
    return fail(Errc::invalid, fmt::format("{}: muster-init's answer cannot be read", path_));
  }
  state_ = reply->state;
  socket_ = std::move(socket);
  return {};
}

bool InitWatch::receive() {
  const auto packet = receive_packet(socket_);
  if (!packet) {
    return packet.error().os_error == EAGAIN;
  }
  const auto reply = init::parse_reply(*packet);
  if (!reply) {
    return false;
  }
  state_ = reply->state;
  return true;
}

void InitWatch::follow(Loop& loop, std::function<void()> changed) {
  changed_ = std::move(changed);
  loop.watch(socket_.get(), [this, &loop] {
    const bool alive = receive();
    if (!alive) {
      loop.after(std::chrono::milliseconds(kAgainMs), [this, &loop] { reconnect(loop); });
    }
    changed_();
    return alive;
  });
}

void InitWatch::reconnect(Loop& loop) {
  if (connect(kAnswerAgainMs)) {
    follow(loop, std::move(changed_));
    changed_();
  } else {
    loop.after(std::chrono::milliseconds(kAgainMs), [this, &loop] { reconnect(loop); });
  }
}

}  // namespace muster
