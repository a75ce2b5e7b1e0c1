// The way to muster-init's socket, for whoever asks it something: InitWatch on the loop's thread,
// launch::InitClient on a worker's.
#pragma once

#include <chrono>
#include <string>

#include "daemon/fd.h"
#include "daemon/result.h"

namespace muster {

// A blocking SOCK_SEQPACKET connection. Errc::not_found: nobody listens there, under no name or
// under one that a former life left behind.
[[nodiscard]] Result<Fd> connect_to_init(const std::string& path);

// One packet of at most init::kMaxMessage bytes; MSG_DONTWAIT among `flags` fails with EAGAIN when
// there is none. Errc::io: the other side is gone.
[[nodiscard]] Result<std::string> receive_from_init(const Fd& socket, int flags = 0);

// Notices that muster-init's socket is put in its place; from its construction on, so that nothing
// is missed between a look and the wait.
class InitSocketArrival {
 public:
  explicit InitSocketArrival(const std::string& path);
  // Until something was put into the socket's directory, but not for longer than `most`.
  void wait(std::chrono::milliseconds most);

 private:
  Fd changes_;
};

}  // namespace muster
