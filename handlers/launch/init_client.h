// The daemon's end of muster-init's socket. Blocking; for worker threads and for the start of
// musterd.
#pragma once

#include <string>

#include "daemon/fd.h"
#include "daemon/result.h"
#include "initramfs/muster_init/init_protocol.h"

namespace muster::launch {

class InitClient {
 public:
  // Errc::not_found: no muster-init on this machine.
  [[nodiscard]] static Result<InitClient> connect(
      const std::string& socket_path = init::kSocketPath);

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
