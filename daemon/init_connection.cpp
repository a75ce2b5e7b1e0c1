#include "daemon/init_connection.h"

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

#include "initramfs/muster_init/init_protocol.h"

namespace muster {

Result<Fd> connect_to_init(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(Errc::invalid, fmt::format("{}: too long for a socket's path", path));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) {
    return fail_errno("socket", errno);
  }
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    const int error = errno;
    auto failure = fail_errno(fmt::format("{}: muster-init does not answer", path), error);
    if (error == ECONNREFUSED) {
      failure.value().code = Errc::not_found;
    }
    return failure;
  }
  return socket;
}

Result<std::string> receive_from_init(const Fd& socket, int flags) {
  std::string packet(init::kMaxMessage, '\0');
  ssize_t got = 0;
  do {
    got = ::recv(socket.get(), packet.data(), packet.size(), flags);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    return fail_errno("muster-init", errno);
  }
  if (got == 0) {
    return fail(Errc::io, "muster-init closed the connection");
  }
  packet.resize(static_cast<std::size_t>(got));
  return packet;
}

InitSocketArrival::InitSocketArrival(const std::string& path)
    : changes_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  const auto directory = std::filesystem::path(path).parent_path();
  if (changes_ && ::inotify_add_watch(changes_.get(), directory.empty() ? "." : directory.c_str(),
                                      IN_CREATE | IN_MOVED_TO) < 0) {
    changes_.reset();
  }
}

void InitSocketArrival::wait(std::chrono::milliseconds most) {
  pollfd changed{changes_.get(), POLLIN, 0};  // poll passes over -1
  const auto ms = std::max<std::chrono::milliseconds::rep>(most.count(), 0);
  if (::poll(&changed, 1, static_cast<int>(ms)) > 0) {
    std::array<char, 4096> events;
    while (::read(changes_.get(), events.data(), events.size()) > 0) {
    }
  }
}

}  // namespace muster
