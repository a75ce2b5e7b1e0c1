#include "daemon/control.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <asio.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <utility>

#include "daemon/fd.h"
#include "daemon/json_line.h"

namespace muster {
namespace {

using Local = asio::local::stream_protocol;

// How long another daemon may take to answer before it counts as dead.
constexpr std::int64_t kAliveMs = 1000;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail(Errc::invalid, fmt::format("control socket {}: the path is too long", path));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

bool someone_answers(const std::string& path) {
  bool answered = false;
  const auto result = ask_control(path, {{"command", "ping"}}, kAliveMs, [&](std::string_view) {
    answered = true;
    return false;
  });
  return result && answered;
}

// Bound beside its path and moved there: the path never leads to a socket that nobody listens on.
Result<Fd> listen_at(const std::string& path) {
  const std::string fresh = path + ".new";
  const auto address = address_of(fresh);
  if (!address) {
    return tl::unexpected(address.error());
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ::unlink(fresh.c_str());
  // Nobody connects before listen(), so the mode is right before it matters.
  if (!socket ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) < 0 ||
      ::chmod(fresh.c_str(), 0600) < 0 || ::listen(socket.get(), SOMAXCONN) < 0 ||
      std::rename(fresh.c_str(), path.c_str()) < 0) {
    return fail_errno(fmt::format("control socket {}", path), errno);
  }
  return socket;
}

}  // namespace

// One connection. Kept alive by the server until it is closed, and by its own pending operations.
class Control::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Server& server, std::uint64_t id, Local::socket socket)
      : server_(&server), id_(id), socket_(std::move(socket)) {}

  void start() { read(); }
  void answer(const Json& json) {
    waiting_ = false;
    send(to_line(json) + "\n");
    take_requests();
    read();
  }
  void refuse(std::string_view why) {
    closing_ = true;
    send(to_line({{"error", why}}) + "\n");
  }
  void send(std::string_view text);
  [[nodiscard]] bool following() const { return following_; }
  void detach() {
    server_ = nullptr;
    close();
  }

 private:
  void read();
  void take_requests();
  void take(std::string_view line);
  void write();
  void close();
  void end_of_input();
  void wait_for_hangup();

  Server* server_;
  std::uint64_t id_;
  Local::socket socket_;
  std::array<char, 4096> chunk_{};
  std::string input_;
  std::string unsent_;
  std::string sending_;
  bool reading_ = false;
  bool ended_ = false;      // the client will not ask again
  bool waiting_ = false;    // for the answer to its request
  bool following_ = false;  // gets the journal
  bool closing_ = false;    // once everything is sent
};

class Control::Server : public std::enable_shared_from_this<Server> {
 public:
  Server(asio::io_context& io, ControlSettings settings, OnCommand on_command)
      : acceptor_(io),
        retry_(io),
        settings_(std::move(settings)),
        on_command_(std::move(on_command)) {}

  void start(Fd socket) {
    struct stat status{};
    if (::stat(settings_.path.c_str(), &status) == 0) {
      inode_ = status.st_ino;
    }
    acceptor_.assign(Local(), socket.release());
    wait_for_clients();
  }

  void stop() {
    asio::error_code ignored;
    stopped_ = true;
    acceptor_.close(ignored);
    retry_.cancel();
    for (const auto& [id, session] : std::exchange(sessions_, {})) {
      session->detach();
    }
    struct stat status{};
    // Another daemon may have taken the path over.
    if (::stat(settings_.path.c_str(), &status) == 0 && status.st_ino == inode_) {
      ::unlink(settings_.path.c_str());
    }
  }

  void reply(std::uint64_t client, const Json& answer) {
    if (const auto it = sessions_.find(client); it != sessions_.end()) {
      const auto session = it->second;  // may close itself
      session->answer(answer);
    }
  }

  [[nodiscard]] bool has_followers() const { return followers_ > 0; }

  void publish(std::string_view lines) {
    const auto sessions = sessions_;
    for (const auto& [id, session] : sessions) {
      if (session->following()) {
        session->send(lines);
      }
    }
  }

  void command(Command command) { on_command_(std::move(command)); }
  [[nodiscard]] const Json& greeting() const { return settings_.greeting; }
  void follower_added() { ++followers_; }
  void closed(std::uint64_t id, bool following) {
    followers_ -= following ? 1 : 0;
    sessions_.erase(id);
  }

 private:
  // Waits only, and accepts by itself: what async_accept() has taken lies in Asio's queue until the
  // handler runs. A server that stops in between could not close that connection, and its client
  // would wait for ever. (Nor does async_accept() set close-on-exec.)
  void wait_for_clients() {
    acceptor_.async_wait(Local::acceptor::wait_read,
                         [self = shared_from_this()](const asio::error_code& error) {
                           // A handler may be under way when the server stops.
                           if (!error && !self->stopped_) {
                             self->accept();
                           }
                         });
  }

  void accept() {
    Fd client(::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    const int error = errno;
    if (client) {
      Local::socket socket(acceptor_.get_executor());
      socket.assign(Local(), client.release());
      admit(std::move(socket));
    } else if (error != EAGAIN && error != EINTR && error != ECONNABORTED) {
      wait_later();
      return;
    }
    wait_for_clients();
  }

  // Out of descriptors: asking again at once would spin.
  void wait_later() {
    retry_.expires_after(std::chrono::seconds(1));
    retry_.async_wait([self = shared_from_this()](const asio::error_code& error) {
      if (!error && !self->stopped_) {
        self->wait_for_clients();
      }
    });
  }

  void admit(Local::socket socket) {
    ucred peer{};
    socklen_t length = sizeof peer;
    const bool known =
        ::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;
    const bool allowed = known && peer.uid == settings_.allowed;
    const bool crowded = sessions_.size() >= kMaxClients;
    const std::uint64_t id = next_id_++;
    const auto session = std::make_shared<Session>(*this, id, std::move(socket));
    sessions_.emplace(id, session);
    if (!allowed || crowded) {
      session->refuse(allowed ? "too many clients" : "only root may ask");
      return;
    }
    session->start();
  }

  asio::basic_socket_acceptor<Local> acceptor_;
  asio::steady_timer retry_;
  ControlSettings settings_;
  OnCommand on_command_;
  ino_t inode_ = 0;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, std::shared_ptr<Session>> sessions_;
  std::size_t followers_ = 0;
  bool stopped_ = false;
};

void Control::Session::read() {
  if (reading_ || ended_ || closing_ || input_.size() > kMaxRequest || !socket_.is_open()) {
    return;
  }
  reading_ = true;
  socket_.async_read_some(
      asio::buffer(chunk_),
      [self = shared_from_this()](const asio::error_code& error, std::size_t count) {
        self->reading_ = false;
        if (error) {
          self->end_of_input();
          return;
        }
        self->input_.append(self->chunk_.data(), count);
        self->take_requests();
        self->read();
      });
}

void Control::Session::take_requests() {
  while (!waiting_ && !following_ && !closing_) {
    const auto newline = input_.find('\n');
    if (newline == std::string::npos) {
      if (input_.size() > kMaxRequest) {
        refuse(fmt::format("a request has at most {} bytes", kMaxRequest));
      } else if (ended_) {
        closing_ = true;
        write();
      }
      return;
    }
    const std::string line = input_.substr(0, newline);
    input_.erase(0, newline + 1);
    take(line);
  }
}

void Control::Session::take(std::string_view line) {
  auto request = object_from_line(line);
  const auto verb = request ? request->find("command") : Json::iterator();
  if (!request || verb == request->end() || !verb->is_string()) {
    const std::string why = request ? "no \"command\"" : request.error().text;
    send(to_line({{"error", "malformed request: " + why}}) + "\n");
    return;
  }
  Command command{.client = id_, .verb = verb->get<std::string>(), .arguments = {}};
  request->erase("command");
  command.arguments = std::move(*request);
  if (server_ == nullptr) {
    return;
  }
  if (command.verb == "ping") {
    send(to_line(server_->greeting()) + "\n");
  } else if (command.verb == "events") {
    following_ = true;
    input_.clear();
    server_->follower_added();
  } else {
    waiting_ = true;
    server_->command(std::move(command));
  }
}

void Control::Session::end_of_input() {
  ended_ = true;
  if (!waiting_ && !following_) {
    take_requests();
    return;
  }
  wait_for_hangup();
}

// The client may have closed only its sending half, as `nc` does; one that is gone is let go at
// once.
void Control::Session::wait_for_hangup() {
  if (!socket_.is_open()) {
    return;
  }
  pollfd fd{socket_.native_handle(), 0, 0};
  if (::poll(&fd, 1, 0) == 1 && (fd.revents & (POLLHUP | POLLERR)) != 0) {
    close();
    return;
  }
  socket_.async_wait(Local::socket::wait_error,
                     [self = shared_from_this()](const asio::error_code& error) {
                       if (!error) {
                         self->wait_for_hangup();
                       }
                     });
}

void Control::Session::send(std::string_view text) {
  if (!socket_.is_open()) {
    return;
  }
  if (unsent_.size() > kMaxUnread) {
    close();
    return;
  }
  unsent_ += text;
  write();
}

void Control::Session::write() {
  if (!sending_.empty() || !socket_.is_open()) {
    return;
  }
  if (unsent_.empty()) {
    if (closing_) {
      close();
    }
    return;
  }
  sending_.swap(unsent_);
  asio::async_write(socket_, asio::buffer(sending_),
                    [self = shared_from_this()](const asio::error_code& error, std::size_t) {
                      self->sending_.clear();
                      if (error) {
                        self->close();
                      } else {
                        self->write();
                      }
                    });
}

void Control::Session::close() {
  if (!socket_.is_open()) {
    return;
  }
  asio::error_code ignored;
  socket_.close(ignored);
  if (server_ != nullptr) {
    server_->closed(id_, following_);
  }
}

Result<std::unique_ptr<Control>> Control::open(asio::io_context& io, ControlSettings settings,
                                               OnCommand on_command) {
  if (someone_answers(settings.path)) {
    return fail(Errc::busy, fmt::format("another musterd runs: it answers on {}", settings.path));
  }
  auto socket = listen_at(settings.path);
  if (!socket) {
    return tl::unexpected(socket.error());
  }
  auto server = std::make_shared<Server>(io, std::move(settings), std::move(on_command));
  server->start(std::move(*socket));
  return std::unique_ptr<Control>(new Control(std::move(server)));
}

Control::Control(std::shared_ptr<Server> server) : server_(std::move(server)) {
}
Control::~Control() {
  server_->stop();
}

void Control::reply(std::uint64_t client, const Json& answer) {
  server_->reply(client, answer);
}
bool Control::has_followers() const {
  return server_->has_followers();
}
void Control::publish(std::string_view lines) {
  server_->publish(lines);
}

Result<void> ask_control(const std::string& path, const Json& request, std::int64_t timeout_ms,
                         const std::function<bool(std::string_view)>& on_line) {
  using Clock = std::chrono::steady_clock;
  const auto address = address_of(path);
  if (!address) {
    return tl::unexpected(address.error());
  }
  // connect() waits as long as a send may, if the other side's queue is full.
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval send_timeout{timeout_ms > 0 ? timeout_ms / 1000 : 0, timeout_ms % 1000 * 1000};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &send_timeout, sizeof send_timeout);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) < 0) {
    const int error = errno;
    auto failure = fail_errno(path, error);
    if (error == ECONNREFUSED) {
      failure.value().code = Errc::not_found;
    }
    return failure;
  }
  const std::string line = to_line(request) + "\n";
  if (::send(socket.get(), line.data(), line.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(line.size())) {
    if (errno == EPIPE || errno == ECONNRESET) {
      return fail(Errc::not_found, fmt::format("{}: musterd ended before it answered", path));
    }
    return fail_errno(path, errno);
  }
  const auto due = Clock::now() + std::chrono::milliseconds(timeout_ms);
  std::string input;
  bool answered = false;
  std::array<char, 16384> chunk{};
  for (;;) {
    int left = -1;
    if (timeout_ms > 0) {
      left = static_cast<int>(
          std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count());
      if (left <= 0) {
        return fail_errno(path, ETIMEDOUT);
      }
    }
    pollfd fd{socket.get(), POLLIN, 0};
    if (::poll(&fd, 1, left) <= 0) {
      continue;
    }
    const ssize_t got = ::recv(socket.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    const int error = got < 0 ? errno : 0;
    if (error == EINTR || error == EAGAIN) {
      continue;
    }
    if (got == 0 || error == ECONNRESET) {  // reset: it had not read all that was asked
      if (!answered) {
        return fail(Errc::not_found, fmt::format("{}: musterd ended before it answered", path));
      }
      return {};
    }
    if (error != 0) {
      return fail_errno(path, error);
    }
    input.append(chunk.data(), static_cast<std::size_t>(got));
    std::size_t used = 0;
    for (auto newline = input.find('\n'); newline != std::string::npos;
         newline = input.find('\n', used)) {
      answered = true;
      if (!on_line(std::string_view(input).substr(used, newline - used))) {
        return {};
      }
      used = newline + 1;
    }
    input.erase(0, used);
  }
}

}  // namespace muster
