#include "handlers/launch/init_client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace muster::launch {

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
