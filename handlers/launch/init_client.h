// The daemon's end of muster-init's socket. Blocking; for worker threads and for the start of
// musterd.
#pragma once

#include <chrono>
#include <string>

#include "daemon/fd.h"
#include "daemon/result.h"
#include "initramfs/muster_init/init_protocol.h"

namespace muster::launch {

class InitClient {
 public:
  // How long a muster-init that executes itself again may be away. Its listening socket stays, so
  // this is only for one that could not hand it over.
  static constexpr std::chrono::milliseconds kAwayMs{10'000};

  // Errc::not_found: no muster-init on this machine.
  [[nodiscard]] static Result<InitClient> connect(
      const std::string& socket_path = init::kSocketPath);
  // After a connection was lost: also waits for a muster-init that comes back.
  [[nodiscard]] static Result<InitClient> reconnect(const std::string& socket_path,
                                                    std::chrono::milliseconds away = kAwayMs);

  // Sends and waits for the answer; events that come before it are kept out.
  [[nodiscard]] Result<init::Reply> ask(const init::Request& request);
  // Waits for the next event.
  [[nodiscard]] Result<init::Reply> next();

 private:
  explicit InitClient(Fd socket) : socket_(std::move(socket)) {}
  [[nodiscard]] Result<init::Reply> receive();
  Fd socket_;
};

}  // namespace muster::launch
