#include "handlers/launch/init_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace muster::launch {

SocketArrival::SocketArrival(const std::string& socket_path)
    : changes_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  const auto directory = std::filesystem::path(socket_path).parent_path();
  if (changes_ && ::inotify_add_watch(changes_.get(), directory.empty() ? "." : directory.c_str(),
                                      IN_CREATE | IN_MOVED_TO) < 0) {
    changes_.reset();
  }
}

void SocketArrival::wait(std::chrono::milliseconds most) {
  pollfd changed{changes_.get(), POLLIN, 0};  // poll passes over -1
  const auto ms = std::max<std::chrono::milliseconds::rep>(most.count(), 0);
  if (::poll(&changed, 1, static_cast<int>(ms)) > 0) {
    std::array<char, 4096> events;
    while (::read(changes_.get(), events.data(), events.size()) > 0) {
    }
  }
}

Result<InitClient> InitClient::connect(const std::string& socket_path) {
  struct sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) {
    return fail(Errc::invalid, socket_path + ": too long for a socket's path");
  }
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) {
    return fail_errno("socket", errno);
  }
  if (::connect(socket.get(), reinterpret_cast<const struct sockaddr*>(&address), sizeof address) !=
      0) {
    return fail_errno(fmt::format("{}: muster-init does not answer", socket_path), errno);
  }
  return InitClient(std::move(socket));
}

Result<InitClient> InitClient::reconnect(const std::string& socket_path,
                                         std::chrono::milliseconds away) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + away;
  SocketArrival arrival(socket_path);
  for (;;) {
    auto client = connect(socket_path);
    // Nobody listens: an empty name, or one that a former life left behind.
    const bool absent =
        !client && (client.error().os_error == ENOENT || client.error().os_error == ECONNREFUSED);
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (!absent || left.count() <= 0) {
      return client;
    }
    arrival.wait(left);
  }
}

Result<init::Reply> InitClient::receive() {
  std::string buffer(init::kMaxMessage, '\0');
  ssize_t count = 0;
  do {
    count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    return fail_errno("muster-init", errno);
  }
  if (count == 0) {
    return fail(Errc::io, "muster-init closed the connection");
  }
  return init::parse_reply(std::string_view(buffer).substr(0, static_cast<std::size_t>(count)));
}

Result<init::Reply> InitClient::ask(const init::Request& request) {
  const std::string message = init::format_request(request);
  if (::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0) {
    return fail_errno("muster-init", errno);
  }
  for (;;) {
    auto reply = receive();
    if (!reply || reply->kind != init::ReplyKind::event) {
      return reply;
    }
  }
}

Result<init::Reply> InitClient::next() {
  return receive();
}

}  // namespace muster::launch
