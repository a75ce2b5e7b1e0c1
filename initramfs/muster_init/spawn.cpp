#include "initramfs/muster_init/spawn.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace muster::init {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const auto& s : strings) {
    result.push_back(const_cast<char*>(s.c_str()));  // execve does not write through it
  }
  result.push_back(nullptr);
  return result;
}

void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action{};
    action.sa_handler = SIG_DFL;
    ::sigaction(signal, &action, nullptr);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void use_as_terminal(int tty) {
  ::ioctl(tty, TIOCSCTTY, 1);
  for (int target = 0; target <= 2; ++target) {
    ::dup2(tty, target);
  }
  if (tty > 2) {
    ::close(tty);
  }
}

struct ChildPlan {
  const std::vector<std::string>* argv;
  const std::vector<std::string>* env;
  const char* cwd = "/";
  int terminal = -1;               // slave of a pseudo terminal
  const char* tty_path = nullptr;  // or a tty to open
};

[[noreturn]] void become(const ChildPlan& plan, char** argv, char** env, int report) {
  ::setsid();
  reset_signals();
  ::setpriority(PRIO_PROCESS, 0, 0);
  int tty = plan.terminal;
  if (plan.tty_path != nullptr) {
    tty = ::open(plan.tty_path, O_RDWR | O_NOCTTY);
  }
  if (tty >= 0) {
    use_as_terminal(tty);
  }
  if (::chdir(plan.cwd) == 0) {
    ::execve(argv[0], argv, env);
  }
  const int error = errno;
  if (::write(report, &error, sizeof error) < 0) {
    ::_exit(126);
  }
  ::_exit(127);
}

Result<Child> spawn(const ChildPlan& plan) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return fail_errno("pipe", errno);
  }
  Child child;
  child.exec_result.reset(ends[0]);
  const Fd report(ends[1]);
  const std::vector<char*> argv = pointers(*plan.argv);
  const std::vector<char*> env = pointers(*plan.env);
  child.pid = ::fork();
  if (child.pid < 0) {
    return fail_errno("fork", errno);
  }
  if (child.pid == 0) {
    become(plan, const_cast<char**>(argv.data()), const_cast<char**>(env.data()), report.get());
  }
  return child;
}

// Both ends; the slave carries the console's settings.
bool open_terminal(const Console& console, Fd& master, Fd& slave) {
  master.reset(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  int unlocked = 0;
  if (!master || ::ioctl(master.get(), TIOCSPTLCK, &unlocked) != 0) {
    return false;
  }
  slave.reset(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!slave) {
    return false;
  }
  const termios settings = console.settings();
  const winsize size = console.window();
  ::tcsetattr(slave.get(), TCSANOW, &settings);
  ::ioctl(slave.get(), TIOCSWINSZ, &size);
  return true;
}

}  // namespace

Result<Child> spawn_daemon(const std::vector<std::string>& argv,
                           const std::vector<std::string>& env) {
  return spawn(ChildPlan{&argv, &env});
}

Result<Child> spawn_on_terminal(const std::vector<std::string>& argv,
                                const std::vector<std::string>& env, const std::string& cwd,
                                const Console& console) {
  ChildPlan plan{&argv, &env, cwd.empty() ? "/" : cwd.c_str()};
  Fd master;
  Fd slave;
  const std::string path = console.tty_path();
  if (open_terminal(console, master, slave)) {
    plan.terminal = slave.get();
  } else {
    master.reset();
    plan.tty_path = path.c_str();
  }
  auto child = spawn(plan);
  if (child) {
    child->terminal = std::move(master);
  }
  return child;
}

Result<Child> spawn_on_tty(const std::vector<std::string>& argv,
                           const std::vector<std::string>& env, const std::string& path) {
  ChildPlan plan{&argv, &env};
  plan.tty_path = path.c_str();
  return spawn(plan);
}

Result<Child> spawn_work(void (*work)()) {
  Child child;
  child.pid = ::fork();
  if (child.pid < 0) {
    return fail_errno("fork", errno);
  }
  if (child.pid == 0) {
    reset_signals();
    ::setpriority(PRIO_PROCESS, 0, 0);
    work();
    ::_exit(0);
  }
  return child;
}

}  // namespace muster::init
