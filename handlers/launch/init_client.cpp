#include "handlers/launch/init_client.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "daemon/init_connection.h"

namespace muster::launch {

Result<InitClient> InitClient::connect(const std::string& socket_path) {
  auto socket = connect_to_init(socket_path);
  return socket ? Result<InitClient>(InitClient(*std::move(socket)))
                : tl::unexpected(socket.error());
}

Result<InitClient> InitClient::reconnect(const std::string& socket_path,
                                         std::chrono::milliseconds away) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + away;
  InitSocketArrival arrival(socket_path);
  for (;;) {
    auto client = connect(socket_path);
    const bool absent = !client && client.error().code == Errc::not_found;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (!absent || left.count() <= 0) {
      return client;
    }
    arrival.wait(left);
  }
}

Result<init::Reply> InitClient::receive() {
  const auto packet = receive_from_init(socket_);
  return packet ? init::parse_reply(*packet) : tl::unexpected(packet.error());
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
