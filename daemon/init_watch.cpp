#include "daemon/init_watch.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "daemon/init_connection.h"

namespace muster {

Result<void> InitWatch::connect(int answer_ms) {
  auto socket = ask();
  return socket ? take_answer(*socket, answer_ms) : tl::unexpected(socket.error());
}

void InitWatch::connect_surely(const std::function<void(const std::string&)>& say, int answer_ms) {
  InitSocketArrival arrival(path_);
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
  auto socket = connect_to_init(path_);
  if (!socket) {
    return socket;
  }
  const auto request = init::format_request(init::StateRequest{});
  if (::send(socket->get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    return fail_errno(path_, errno);
  }
  return socket;
}

Result<void> InitWatch::take_answer(Fd& socket, int answer_ms) {
  pollfd ready{socket.get(), POLLIN, 0};
  const auto packet = ::poll(&ready, 1, answer_ms) > 0 ? receive_from_init(socket, MSG_DONTWAIT)
                                                       : fail_errno("muster-init", EAGAIN);
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
  const auto packet = receive_from_init(socket_, MSG_DONTWAIT);
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
