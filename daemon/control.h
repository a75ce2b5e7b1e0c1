// The socket on which `muster` asks. On the loop's thread only.
//
// One JSON object a line each way: {"command":"explain","subject":"md0"} and its answer; a client's
// requests are answered in order, one after the other. {"command":"events"} turns the connection
// into a copy of the journal from then on. Only root is let in (by peer credentials). No client can
// hold up the daemon: what it does not read is kept up to a limit, then it is let go.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/event.h"
#include "daemon/result.h"

namespace asio {
class io_context;
}

namespace muster {

struct ControlSettings {
  std::string path = "/run/muster/control";
  uid_t allowed = 0;  // besides nobody
  Json greeting;      // the answer to {"command":"ping"}, which the loop gives by itself
};

class Control {
 public:
  static constexpr std::size_t kMaxRequest = std::size_t{64} * 1024;
  static constexpr std::size_t kMaxUnread = std::size_t{8} * 1024 * 1024;
  static constexpr std::size_t kMaxClients = 64;

  using OnCommand = std::function<void(Command)>;

  // Errc::busy: a daemon answers there. One that does not answer within a second is dying or hung;
  // its socket is replaced.
  [[nodiscard]] static Result<std::unique_ptr<Control>> open(asio::io_context& io,
                                                             ControlSettings settings,
                                                             OnCommand on_command);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // An answer for a client that is gone is dropped.
  void reply(std::uint64_t client, const Json& answer);
  [[nodiscard]] bool has_followers() const;
  // Whole lines, for those who asked for events.
  void publish(std::string_view lines);

 private:
  class Server;
  class Session;
  explicit Control(std::shared_ptr<Server> server);
  std::shared_ptr<Server> server_;
};

// For `muster`: sends one request and hands over each line that comes back until `on_line` returns
// false or the daemon closes. Errc::not_found: nobody listens there, or musterd ended before the
// first line.
[[nodiscard]] Result<void> ask_control(const std::string& path, const Json& request,
                                       std::int64_t timeout_ms,
                                       const std::function<bool(std::string_view)>& on_line);

}  // namespace muster
