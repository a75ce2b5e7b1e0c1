#include "initramfs/muster_init/supervisor.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <utility>

#include "initramfs/muster_init/files.h"

namespace muster::init {

volatile int g_terminal_to_keep = -1;
volatile int g_listener_to_keep = -1;

namespace {

using Ms = std::chrono::milliseconds;

constexpr const char* kDaemon = "/usr/lib/muster/bin/musterd";
constexpr const char* kBusybox = "/usr/lib/muster/bin/busybox";
constexpr std::size_t kMostClients = 32;

// How often a musterd is looked at that may be dying without being gone (see check_daemon).
constexpr Ms kDaemonCheck{1'000};
constexpr Ms kStopDaemon{3'000};
constexpr Ms kStopAll{3'000};
constexpr Ms kKillAll{2'000};
constexpr Ms kPutAway{15'000};

constexpr std::array kHandledSignals{SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPWR, SIGHUP};

Ms now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return std::chrono::duration_cast<Ms>(std::chrono::seconds(t.tv_sec) +
                                        std::chrono::nanoseconds(t.tv_nsec));
}

std::string describe_status(int status) {
  return WIFSIGNALED(status) ? "killed by signal " + std::to_string(WTERMSIG(status))
                             : "exited with status " + std::to_string(WEXITSTATUS(status));
}

// The state letter of /proc/PID/stat; it stands after the last parenthesis, since the name may
// contain anything.
char process_state(pid_t pid) {
  const std::string text = read_small_file(("/proc/" + std::to_string(pid) + "/stat").c_str());
  const auto end = text.rfind(')');
  return end == std::string::npos || end + 2 >= text.size() ? '?' : text[end + 2];
}

bool is_listening(int fd) {
  int listens = 0;
  socklen_t size = sizeof listens;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens == 1;
}

// In a child: whatever is mounted is put away, the last mounted first. Blocks for as long as a disk
// does.
void put_away() {
  ::sync();
  const std::string swaps = read_small_file("/proc/swaps");
  for (std::size_t at = swaps.find('\n'); at != std::string::npos && at + 1 < swaps.size();
       at = swaps.find('\n', at + 1)) {
    const std::string line = swaps.substr(at + 1, swaps.find('\n', at + 1) - at - 1);
    ::swapoff(line.substr(0, line.find(' ')).c_str());
  }
  std::vector<std::string> targets;
  const std::string mounts = read_small_file("/proc/self/mounts");
  for (std::size_t at = 0; at < mounts.size();) {
    const std::size_t end = mounts.find('\n', at);
    const std::string line = mounts.substr(at, end - at);
    const std::size_t first = line.find(' ');
    if (first != std::string::npos) {
      targets.push_back(line.substr(first + 1, line.find(' ', first + 1) - first - 1));
    }
    at = end == std::string::npos ? mounts.size() : end + 1;
  }
  for (auto target = targets.rbegin(); target != targets.rend(); ++target) {
    const bool ours = *target == "/" || *target == "/proc" || target->rfind("/sys", 0) == 0 ||
                      target->rfind("/dev", 0) == 0 || target->rfind("/run", 0) == 0;
    if (!ours && ::umount2(target->c_str(), 0) != 0) {
      ::mount(nullptr, target->c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr);
    }
  }
  ::sync();
}

}  // namespace

Supervisor::Supervisor(SupervisorOptions options) : options_(std::move(options)) {
  console_.open();
  sigset_t handled;
  ::sigemptyset(&handled);
  for (const int signal : kHandledSignals) {
    ::sigaddset(&handled, signal);
  }
  ::sigprocmask(SIG_SETMASK, &handled, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  signals_.reset(::signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC));
}

// Under its name only once it listens: whoever waits for the name must not find a deaf socket.
void Supervisor::open_sockets() {
  const std::string path = std::string(kSocketPath) + ".new";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path.c_str());
  ::unlink(path.c_str());
  listener_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener_ ||
      ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path.c_str(), 0600) != 0 || ::listen(listener_.get(), 16) != 0 ||
      ::rename(path.c_str(), kSocketPath) != 0) {
    console_.say(std::string("cannot listen on ") + kSocketPath + ": " + std::strerror(errno));
  }
}

void Supervisor::debug(const std::string& text) {
  if (options_.debug) {
    console_.say(text);
  }
}

StateReport Supervisor::report() const {
  StateReport state;
  state.generation = generation_;
  state.launch = ledger_.state();
  if (state.launch.phase == Phase::running && scanner_.result()) {
    state.launch.result = scanner_.result();
  }
  state.console = state.launch.phase == Phase::running ? ConsoleOwner::program
                  : shell_pid_ > 0                     ? ConsoleOwner::shell
                                                       : ConsoleOwner::free;
  return state;
}

// ---------------------------------------------------------------- a crash of our own

// Written at each change, read by the muster-init that the crash handler executes.
bool Supervisor::save_state() {
  g_terminal_to_keep = program_terminal_.get();
  g_listener_to_keep = listener_.get();
  const std::string text = std::to_string(daemon_pid_) + " " +
                           std::to_string(program_terminal_.get()) + " " +
                           std::to_string(shell_pid_) + " " + std::to_string(listener_.get());
  const std::string path = std::string(kStateFile) + ".new";
  return write_small_file(path.c_str(), format_reply(Reply{ReplyKind::event, text, report()})) &&
         ::rename(path.c_str(), kStateFile) == 0;
}

void Supervisor::recover() {
  const std::string text = read_small_file(kStateFile);
  if (text.empty()) {
    console_.say("there is no " + std::string(kStateFile) + ": nothing was started yet");
    return;
  }
  const auto saved = parse_reply(text);
  if (!saved) {
    console_.say("cannot read back " + std::string(kStateFile) + ": " + saved.error().text +
                 "; taken as if the program ran");
    ledger_.started("unknown", 0);
    return;
  }
  int terminal = -1;
  int daemon = -1;
  int shell = -1;
  int listener = -1;
  if (std::sscanf(saved->text.c_str(), "%d %d %d %d", &daemon, &terminal, &shell, &listener) != 4) {
    console_.say("cannot understand " + std::string(kStateFile) + "; taken as if the program ran");
    ledger_.started("unknown", 0);
    return;
  }
  generation_ = saved->state.generation;
  daemon_pid_ = daemon;
  shell_pid_ = shell;
  ledger_ = LaunchLedger(saved->state.launch);
  if (ledger_.state().phase == Phase::running && ledger_.state().pid == 0) {
    console_.say("crashed while it started " + ledger_.state().token +
                 ": whether that runs is not known, and it is not started a second time");
  }
  // Whoever connected in the meantime waits in its queue.
  if (listener >= 0 && is_listening(listener) && ::fcntl(listener, F_SETFD, FD_CLOEXEC) == 0) {
    listener_.reset(listener);
  }
  if (terminal >= 0 && ::fcntl(terminal, F_SETFD, FD_CLOEXEC) == 0) {
    program_terminal_.reset(terminal);
    console_.enter_raw();
  }
  if (daemon_pid_ > 0) {
    daemon_check_at_ = now() + kDaemonCheck;
  }
}

// ---------------------------------------------------------------- the loop

void Supervisor::run() {
  for (const auto& problem : options_.early) {
    console_.say(problem);
  }
  if (options_.recovered) {
    console_.say("crashed and was started again");
    recover();
  }
  if (!listener_) {
    open_sockets();
  }
  if (options_.recovered) {
    save_state();  // a second crash must find the descriptors, too
  }
  if (daemon_pid_ <= 0) {
    start_daemon();
  }
  if (options_.shell_at_start && !options_.recovered) {
    if (const auto started = start_shell(After::nothing); !started) {
      console_.say("no shell: " + started.error().text);
    }
  }
  reap();  // whatever ended while nobody looked
  std::vector<pollfd> fds;
  for (;;) {
    collect(fds);
    const int ready = ::poll(fds.data(), fds.size(), timeout());
    due();
    if (ready <= 0) {
      continue;
    }
    const auto is_ready = [&fds](const Fd& fd) {
      return fd && std::any_of(fds.begin(), fds.end(), [&fd](const pollfd& p) {
               return p.fd == fd.get() && p.revents != 0;
             });
    };
    // The output first: what a program wrote before it ended is read before its end is reported.
    if (console_.has_output()) {
      console_.flush();
    }
    if (is_ready(program_terminal_)) {
      copy_output(std::size_t{64} * 1024);
    }
    if (program_terminal_) {
      copy_input();
    }
    if (is_ready(daemon_exec_)) {
      int error = 0;
      const bool failed = ::read(daemon_exec_.get(), &error, sizeof error) == sizeof error;
      daemon_exec_.reset();
      if (failed) {
        on_daemon_exec_failed(error);
      }
    }
    if (is_ready(program_exec_)) {
      int error = 0;
      const bool failed = ::read(program_exec_.get(), &error, sizeof error) == sizeof error;
      program_exec_.reset();
      if (failed) {
        on_program_exec_failed(error);
      }
    }
    if (is_ready(signals_)) {
      on_signals();
    }
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      if (is_ready(clients_[i].fd)) {
        on_client(clients_[i]);
      }
    }
    clients_.erase(std::remove_if(clients_.begin(), clients_.end(),
                                  [](const Client& client) { return client.dead; }),
                   clients_.end());
    if (is_ready(listener_)) {
      accept_clients();
    }
  }
}

void Supervisor::collect(std::vector<pollfd>& fds) const {
  fds.clear();
  const auto add = [&fds](const Fd& fd, short events) {
    if (fd) {
      fds.push_back(pollfd{fd.get(), events, 0});
    }
  };
  add(signals_, POLLIN);
  add(listener_, POLLIN);
  add(daemon_exec_, POLLIN);
  add(program_exec_, POLLIN);
  if (program_terminal_) {
    const auto read = static_cast<short>(console_.is_crowded() ? 0 : POLLIN);
    const auto write = static_cast<short>(input_.empty() ? 0 : POLLOUT);
    // With nothing wanted it stays out: poll would report a hang-up for ever.
    if (read != 0 || write != 0) {
      add(program_terminal_, static_cast<short>(read | write));
    }
  }
  const bool wants_input = program_terminal_ && input_.empty() && !input_closed_;
  const auto events =
      static_cast<short>((wants_input ? POLLIN : 0) | (console_.has_output() ? POLLOUT : 0));
  if (events != 0 && console_.fd() >= 0) {
    fds.push_back(pollfd{console_.fd(), events, 0});
  }
  for (const Client& client : clients_) {
    add(client.fd, POLLIN);
  }
}

int Supervisor::timeout() const {
  std::optional<Ms> next;
  for (const auto& deadline : {daemon_start_at_, daemon_check_at_, stage_deadline_}) {
    if (deadline && (!next || *deadline < *next)) {
      next = deadline;
    }
  }
  if (!next) {
    return -1;
  }
  return static_cast<int>(std::max(Ms{0}, *next - now()).count());
}

void Supervisor::due() {
  const Ms time = now();
  if (daemon_start_at_ && *daemon_start_at_ <= time) {
    daemon_start_at_.reset();
    start_daemon();
  }
  if (daemon_check_at_ && *daemon_check_at_ <= time) {
    check_daemon();
  }
  if (stage_deadline_ && *stage_deadline_ <= time) {
    stage_deadline_.reset();
    next_stage();
  }
}

// ---------------------------------------------------------------- signals and children

void Supervisor::on_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    switch (static_cast<int>(info.ssi_signo)) {
      case SIGCHLD:
        reap();
        break;
      case SIGINT:  // ctrl-alt-del
      case SIGTERM:
        begin_end(How::reboot);
        break;
      case SIGUSR2:
      case SIGPWR:
        begin_end(How::poweroff);
        break;
      case SIGUSR1:
        begin_end(How::halt);
        break;
      default:
        break;
    }
  }
}

void Supervisor::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) {
      const bool childless = pid < 0 && errno == ECHILD;
      if (childless && (stage_ == Stage::stop_all || stage_ == Stage::kill_all)) {
        next_stage();
      }
      return;
    }
    on_child(pid, status);
  }
}

void Supervisor::on_child(pid_t pid, int status) {
  if (pid == daemon_pid_) {
    // An exec that failed is told by the pipe, and its child ends like any other.
    int error = 0;
    if (daemon_exec_ && ::read(daemon_exec_.get(), &error, sizeof error) == sizeof error) {
      daemon_exec_.reset();
      on_daemon_exec_failed(error);
      return;
    }
    daemon_exec_.reset();
    on_daemon_gone(describe_status(status));
  } else if (ledger_.state().phase == Phase::running && pid == ledger_.state().pid) {
    int error = 0;
    if (program_exec_ && ::read(program_exec_.get(), &error, sizeof error) == sizeof error) {
      program_exec_.reset();
      on_program_exec_failed(error);
      return;
    }
    program_exec_.reset();
    on_program_ended(status);
  } else if (pid == shell_pid_) {
    on_shell_ended();
  } else if (pid == work_pid_) {
    work_pid_ = -1;
    if (stage_ == Stage::put_away) {
      next_stage();
    }
  } else {
    debug("reaped " + std::to_string(pid) + ": " + describe_status(status));
  }
}

// ---------------------------------------------------------------- musterd

void Supervisor::start_daemon() {
  if (stage_ != Stage::none) {
    return;
  }
  ++generation_;
  std::vector<std::string> env = options_.env;
  env.push_back(std::string(kGenerationVariable) + "=" + std::to_string(generation_));
  auto child = spawn_daemon({kDaemon}, env);
  if (!child) {
    console_.say("cannot start musterd: " + child.error().text);
    on_daemon_gone("not started");
    return;
  }
  daemon_pid_ = child->pid;
  daemon_exec_ = std::move(child->exec_result);
  daemon_check_at_ = now() + kDaemonCheck;
  save_state();
  debug("musterd is pid " + std::to_string(daemon_pid_) + ", generation " +
        std::to_string(generation_));
}

// A musterd that was killed while one of its threads hangs in the kernel cannot be reaped, and no
// descriptor of it is closed: nothing at all is reported. But its first thread becomes a zombie at
// once. So it is looked at once a second, and a musterd that is only dying is given up: the next
// one gets the next generation, and the old one is reaped whenever its disk lets go of it.
void Supervisor::check_daemon() {
  daemon_check_at_.reset();
  if (daemon_pid_ <= 0) {
    return;
  }
  const char state = process_state(daemon_pid_);
  if (state == 'Z' || state == 'X') {
    reap();  // the ordinary case: its SIGCHLD is just behind us
    if (daemon_pid_ > 0) {
      on_daemon_gone("dead, but held in the kernel");
    }
    return;
  }
  daemon_check_at_ = now() + kDaemonCheck;
}

void Supervisor::on_daemon_exec_failed(int os_error) {
  daemon_pid_ = -1;
  daemon_check_at_.reset();
  save_state();
  if (stage_ != Stage::none) {
    if (stage_ == Stage::stop_daemon) {
      next_stage();
    }
    return;
  }
  console_.say(std::string("cannot start ") + kDaemon + ": " + std::strerror(os_error) +
               ". Here is a shell; musterd is tried again when it ends.");
  const auto shell = shell_pid_ > 0 ? Result<void>{} : start_shell(After::start_daemon);
  if (shell) {
    after_shell_ = After::start_daemon;
  } else {
    console_.say("no shell either: " + shell.error().text);
    daemon_start_at_ = now() + std::max(Ms{1'000}, respawn_.on_death(now()));
  }
}

void Supervisor::on_daemon_gone(const std::string& how) {
  daemon_pid_ = -1;
  daemon_check_at_.reset();
  if (stage_ != Stage::none) {
    if (stage_ == Stage::stop_daemon) {
      next_stage();
    }
    return;
  }
  const Ms delay = respawn_.on_death(now());
  if (delay == Ms{0}) {
    console_.say("musterd " + how + "; starting it again");
    start_daemon();
  } else {
    console_.say("musterd " + how + " again; next start in " +
                 std::to_string(delay.count() / 1000) + " s");
    daemon_start_at_ = now() + delay;
    save_state();
  }
}

// ---------------------------------------------------------------- the socket

void Supervisor::accept_clients() {
  for (;;) {
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      return;
    }
    ucred peer{};
    socklen_t size = sizeof peer;
    const bool root =
        ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0;
    if (!root || clients_.size() >= kMostClients) {
      debug("connection refused: " + std::string(root ? "too many" : "not root"));
      continue;
    }
    clients_.push_back(Client{std::move(fd)});
  }
}

void Supervisor::on_client(Client& client) {
  static std::string buffer(kMaxMessage + 1, '\0');
  for (;;) {
    const ssize_t n = ::recv(client.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      return;
    }
    if (n <= 0) {
      client.dead = true;
      return;
    }
    const auto request =
        parse_request(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
    std::string event;
    const Reply reply = request ? answer(*request, event)
                                : Reply{ReplyKind::refused, request.error().text, report()};
    const std::string message = format_reply(reply);
    if (::send(client.fd.get(), message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      client.dead = true;  // it does not read; it may come back and ask for STATE
    }
    if (!event.empty()) {
      tell(event);
    }
    if (wanted_end_) {
      begin_end(*std::exchange(wanted_end_, std::nullopt));
    }
    if (client.dead) {
      return;
    }
  }
}

Reply Supervisor::answer(const Request& request, std::string& event) {
  if (const auto* wanted = std::get_if<LaunchRequest>(&request)) {
    return launch(*wanted, event);
  }
  if (std::holds_alternative<ShellRequest>(request)) {
    if (const auto started = start_shell(After::nothing); !started) {
      return {ReplyKind::refused, started.error().text, report()};
    }
    event = "shell-started";
    return {ReplyKind::ok, {}, report()};
  }
  if (const auto* end = std::get_if<EndRequest>(&request)) {
    if (auto objection = ledger_.objection_to_end(); !objection.empty()) {
      return {ReplyKind::refused, std::move(objection), report()};
    }
    if (end->kind == EndKind::shell) {
      if (const auto started = start_shell(After::end_reboot); !started) {
        return {ReplyKind::refused, started.error().text, report()};
      }
      event = "shell-started";
    } else {
      wanted_end_ = end->kind == EndKind::poweroff ? How::poweroff : How::reboot;
    }
    return {ReplyKind::ok, {}, report()};
  }
  if (std::holds_alternative<RestartRequest>(request)) {
    if (daemon_pid_ > 0) {
      ::kill(daemon_pid_, SIGKILL);
    }
    daemon_start_at_.reset();
    start_daemon();
    return {ReplyKind::ok, {}, report()};
  }
  return {ReplyKind::state, {}, report()};
}

void Supervisor::tell(const std::string& event) {
  const std::string message = format_reply(Reply{ReplyKind::event, event, report()});
  for (Client& client : clients_) {
    if (!client.dead &&
        ::send(client.fd.get(), message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      client.dead = true;
    }
  }
}

// ---------------------------------------------------------------- mondorestore

Reply Supervisor::launch(const LaunchRequest& request, std::string& event) {
  const LaunchDecision decision = ledger_.decide(request, generation_);
  switch (decision.verdict) {
    case LaunchVerdict::already:
      return {ReplyKind::already, {}, report()};
    case LaunchVerdict::stale:
      return {ReplyKind::stale, {}, report()};
    case LaunchVerdict::refused:
      return {ReplyKind::refused, decision.reason, report()};
    case LaunchVerdict::start:
      break;
  }
  if (shell_pid_ > 0) {
    return {ReplyKind::refused, "a shell is on the console", report()};
  }
  if (stage_ != Stage::none) {
    return {ReplyKind::refused, "the machine is going down", report()};
  }
  // Written down first: whatever becomes of us from here on, nothing is started twice.
  const LaunchLedger before = ledger_;
  const auto refuse = [&](std::string why) {
    ledger_ = before;
    save_state();
    return Reply{ReplyKind::refused, std::move(why), report()};
  };
  ledger_.started(request.token, 0);
  if (!save_state()) {
    return refuse(std::string(kStateFile) + " cannot be written: " + std::strerror(errno));
  }
  auto child = spawn_on_terminal(request.argv, request.env.empty() ? options_.env : request.env,
                                 request.cwd, console_);
  if (!child) {
    return refuse(child.error().text);
  }
  ledger_.started(request.token, child->pid);
  program_exec_ = std::move(child->exec_result);
  program_terminal_ = std::move(child->terminal);
  scanner_ = ResultScanner();
  input_.clear();
  input_closed_ = false;
  if (program_terminal_) {
    console_.enter_raw();
  }
  save_state();
  event = "launched";
  return {ReplyKind::launched, {}, report()};
}

void Supervisor::on_program_exec_failed(int os_error) {
  ledger_.exec_failed(os_error);
  program_terminal_.reset();
  console_.leave_raw();
  save_state();
  tell("launch-failed");
}

void Supervisor::on_program_ended(int status) {
  // A read of the master side fetches what is still under way inside the tty layer, so nothing of
  // the leader's is lost.
  copy_output(std::size_t{1024} * 1024);
  program_terminal_.reset();
  const bool killed = WIFSIGNALED(status);
  console_.leave_raw();
  if (killed) {
    console_.write("\033[0m\033[?25h\r\n");  // it had no chance to leave its full screen
  }
  ledger_.ended(killed ? Ended::signal : Ended::exit,
                killed ? WTERMSIG(status) : WEXITSTATUS(status), report().launch.result);
  save_state();
  tell("ended");
}

void Supervisor::copy_output(std::size_t most) {
  char buffer[4096];
  while (program_terminal_ && most > 0) {
    const ssize_t n = ::read(program_terminal_.get(), buffer, std::min(most, sizeof buffer));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      if (n == 0 || errno != EAGAIN) {
        program_terminal_.reset();  // the last holder of the slave side is gone
        save_state();
      }
      return;
    }
    const std::string_view bytes(buffer, static_cast<std::size_t>(n));
    const auto before = scanner_.result();
    scanner_.feed(bytes);
    if (scanner_.result() != before) {
      save_state();
    }
    console_.write(bytes);
    most -= static_cast<std::size_t>(n);
  }
}

void Supervisor::copy_input() {
  if (input_.empty() && !input_closed_) {
    char buffer[1024];
    const ssize_t n = ::read(console_.fd(), buffer, sizeof buffer);
    if (n > 0) {
      input_.assign(buffer, static_cast<std::size_t>(n));
      const winsize size =
          console_.window();  // a terminal that was resized: at the latest with the next key
      ::ioctl(program_terminal_.get(), TIOCSWINSZ, &size);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
      input_closed_ = true;  // a console without a keyboard; poll would report it for ever
    }
  }
  if (!input_.empty()) {
    const ssize_t n = ::write(program_terminal_.get(), input_.data(), input_.size());
    if (n > 0) {
      input_.erase(0, static_cast<std::size_t>(n));
    } else if (errno != EAGAIN && errno != EINTR) {
      input_.clear();
    }
  }
}

// ---------------------------------------------------------------- shells

Result<void> Supervisor::start_shell(After after) {
  if (stage_ != Stage::none) {
    return fail(Errc::busy, "the machine is going down");
  }
  if (ledger_.state().phase == Phase::running) {
    return fail(Errc::busy, "the console belongs to pid " + std::to_string(ledger_.state().pid) +
                                " (" + ledger_.state().token + ")");
  }
  if (shell_pid_ > 0) {
    // The shell that is there already ends as the latest request says.
    after_shell_ = after == After::nothing ? after_shell_ : after;
    return {};
  }
  auto child = spawn_on_tty({kBusybox, "sh", "-l"}, options_.env, console_.tty_path());
  if (!child) {
    return tl::unexpected(child.error());
  }
  shell_pid_ = child->pid;
  after_shell_ = after;
  save_state();
  return {};
}

void Supervisor::on_shell_ended() {
  shell_pid_ = -1;
  const After after = std::exchange(after_shell_, After::nothing);
  console_.leave_raw();
  save_state();
  if (stage_ != Stage::none) {
    return;
  }
  tell("shell-ended");
  if (after == After::end_reboot) {
    begin_end(How::reboot);
  } else if (after == After::start_daemon && daemon_pid_ <= 0) {
    const Ms delay = respawn_.on_death(now());
    daemon_start_at_ =
        now() + delay;  // a shell that cannot stay must not turn this into a busy loop
  }
}

// ---------------------------------------------------------------- the end

void Supervisor::begin_end(How how) {
  if (stage_ != Stage::none) {
    return;
  }
  how_ = how;
  console_.leave_raw();
  console_.say(how == How::reboot     ? "rebooting"
               : how == How::poweroff ? "powering off"
                                      : "halting");
  tell("ending");
  daemon_start_at_.reset();
  stage_ = Stage::stop_daemon;
  stage_deadline_ = now() + kStopDaemon;
  if (daemon_pid_ > 0) {
    ::kill(daemon_pid_, SIGTERM);
  } else {
    next_stage();
  }
}

void Supervisor::next_stage() {
  switch (stage_) {
    case Stage::none:
      return;
    case Stage::stop_daemon:
      stage_ = Stage::stop_all;
      stage_deadline_ = now() + kStopAll;
      ::kill(-1, SIGTERM);
      ::kill(-1, SIGHUP);  // shells ignore SIGTERM
      ::kill(-1, SIGCONT);
      reap();
      return;
    case Stage::stop_all:
      stage_ = Stage::kill_all;
      stage_deadline_ = now() + kKillAll;
      ::kill(-1, SIGKILL);
      reap();
      return;
    case Stage::kill_all: {
      stage_ = Stage::put_away;
      stage_deadline_ = now() + kPutAway;
      auto child = spawn_work(put_away);
      work_pid_ = child ? child->pid : -1;
      if (!child) {
        next_stage();
      }
      return;
    }
    case Stage::put_away:
      break;
  }
  if (work_pid_ > 0) {
    console_.say("a disk does not answer; not everything could be unmounted");
  }
  console_.flush();
  ::reboot(how_ == How::reboot     ? RB_AUTOBOOT
           : how_ == How::poweroff ? RB_POWER_OFF
                                   : RB_HALT_SYSTEM);
  // Only a container or a kernel that cannot comes back from that.
  console_.say(std::string("reboot: ") + std::strerror(errno));
  stage_deadline_.reset();
  work_pid_ = -1;
  stage_ = Stage::none;
  (void)start_shell(After::nothing);
}

}  // namespace muster::init
