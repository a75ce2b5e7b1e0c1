// muster-init's end of its socket. Gives up after ten seconds, so that a test whose other side does
// not come fails instead of hanging.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

#include "daemon/fd.h"

namespace muster::testing {

class FakeInit {
 public:
  explicit FakeInit(const std::string& path) : listener_(::socket(AF_UNIX, SOCK_SEQPACKET, 0)) {
    const std::string aside = path + ".new";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    aside.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    EXPECT_EQ(::listen(listener_.get(), 5), 0);
    EXPECT_EQ(::rename(aside.c_str(), path.c_str()), 0);
    limit(listener_);
  }
  void accept() {
    client_.reset(::accept(listener_.get(), nullptr, nullptr));
    EXPECT_TRUE(client_) << "nobody connected";
    limit(client_);
  }
  std::string request() {
    std::array<char, 1024> buffer;
    const ssize_t got = ::recv(client_.get(), buffer.data(), buffer.size(), 0);
    return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
  }
  void send(const std::string& packet) {
    EXPECT_EQ(::send(client_.get(), packet.data(), packet.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(packet.size()));
  }
  void close() { client_.reset(); }

 private:
  static void limit(const Fd& socket) {
    const timeval most{10, 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
  }

  Fd listener_;
  Fd client_;
};

}  // namespace muster::testing
