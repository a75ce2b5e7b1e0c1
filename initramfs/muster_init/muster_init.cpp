// muster-init: PID 1 of the rescue image.
//
// The kernel lets nobody kill PID 1 and panics when it ends, so it is small, knows nothing of
// storage, and does not end. A bug in it is met by executing itself again: what it knew stands in a
// file, its children are still its children. After three such crashes it becomes a shell.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "initramfs/muster_init/boot_setup.h"
#include "initramfs/muster_init/files.h"
#include "initramfs/muster_init/kernel_words.h"
#include "initramfs/muster_init/supervisor.h"
#include "initramfs/one_file/programs.h"

namespace muster::init {

namespace {

constexpr const char* kPath =
    "PATH=/bin:/usr/bin:/sbin:/usr/sbin:/usr/local/bin:/usr/local/sbin:/mondo";
constexpr const char* kShell = "/usr/lib/muster/bin/busybox";
constexpr char kMostCrashes = '3';
// What PID 1 does is little, and everybody waits for it. Its children run at the usual priority.
constexpr int kNice = -10;
constexpr int kMostDescriptors = 256;  // PID 1 has some forty

char g_crashes[2] = "0";
char g_path_variable[128];
char g_term_variable[64];

void say_fatal(const char* text) {
  if (::write(2, text, std::strlen(text)) < 0) {
    return;  // nobody to tell
  }
}

// Only async-signal-safe calls from here on.

// For good: whoever is connected, or waits to be, must not wait for ever for a PID 1 that is only a
// shell now. The program keeps its terminal; closing it would kill it.
void leave_everybody() {
  ::unlink(kSocketPath);
  for (int fd = 3; fd < kMostDescriptors; ++fd) {
    if (fd != g_terminal_to_keep) {
      ::close(fd);
    }
  }
}

[[noreturn]] void restart_self() {
  char* environment[] = {g_path_variable, g_term_variable, nullptr};
  if (g_crashes[0] < kMostCrashes) {
    if (g_terminal_to_keep >= 0) {
      ::fcntl(g_terminal_to_keep, F_SETFD, 0);
    }
    if (g_listener_to_keep >= 0) {
      ::fcntl(g_listener_to_keep, F_SETFD, 0);
    }
    char name[] = "muster-init";
    char recover[] = "--recover";
    char count[2] = {static_cast<char>(g_crashes[0] + 1), '\0'};
    char* argv[] = {name, recover, count, nullptr};
    ::execve("/proc/self/exe", argv, environment);
  }
  leave_everybody();
  say_fatal("\nmuster-init: failed for good; this is a shell. `reboot -f` reboots.\n");
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (;;) {
    const pid_t child = ::fork();  // the shell is a child: leaving it must not end PID 1
    if (child == 0) {
      ::setpriority(PRIO_PROCESS, 0, 0);
      char shell[] = "sh";
      char* argv[] = {shell, nullptr};
      ::execve(kShell, argv, environment);
      ::_exit(127);
    }
    if (child < 0) {
      ::pause();
    }
    int status = 0;
    while (::waitpid(-1, &status, 0) > 0) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
      ::pause();
    }
  }
}

void on_crash(int /*signal*/) {
  say_fatal("\nmuster-init: internal error\n");
  restart_self();
}

void catch_crashes() {
  static char stack[64 * 1024];
  stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  ::sigaltstack(&alternate, nullptr);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
    struct sigaction action{};
    action.sa_handler = on_crash;
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    ::sigaction(signal, &action, nullptr);
  }
}

std::vector<std::string> child_environment() {
  const std::string tty(last_word(read_small_file("/sys/class/tty/console/active")));
  const char* given = std::getenv("TERM");
  // The kernel always says linux; another value was typed on its command line.
  const bool chosen = given != nullptr && std::strcmp(given, "linux") != 0 && *given != '\0';
  std::strncpy(g_path_variable, kPath, sizeof g_path_variable - 1);
  const std::string term = "TERM=" + (chosen ? std::string(given) : std::string(term_for_tty(tty)));
  std::strncpy(g_term_variable, term.c_str(), sizeof g_term_variable - 1);
  return {g_path_variable, g_term_variable, "HOME=/root",
          "SHELL=/bin/sh", "USER=root",     "LOGNAME=root"};
}

}  // namespace

int program(int argc, char** argv) {
  if (::getpid() != 1) {
    say_fatal("muster-init: I am the first process of a rescue image; I do nothing else\n");
    return 2;
  }
  catch_crashes();
  ::setpriority(PRIO_PROCESS, 0, kNice);
  SupervisorOptions options;
  // The file is only there if there was a life before this one: the words may come from the kernel
  // command line as well.
  if (argc == 3 && std::strcmp(argv[1], "--recover") == 0 && ::access(kStateFile, R_OK) == 0) {
    options.recovered = true;
    g_crashes[0] = argv[2][0];
  } else {
    options.early = prepare_system();
  }
  options.env = child_environment();
  const auto words = split_command_line(read_small_file("/proc/cmdline"));
  options.shell_at_start = has_word(words, "muster.shell");
  options.debug = has_word(words, "muster.init_debug");
  static Supervisor supervisor(std::move(options));
  supervisor.run();
}

}  // namespace muster::init
