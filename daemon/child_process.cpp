#include "daemon/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>

#include "daemon/fd.h"
#include "daemon/scrub.h"

namespace muster {
namespace {

using Clock = std::chrono::steady_clock;

struct SpawnActions {
  posix_spawn_file_actions_t value;
  SpawnActions() { ::posix_spawn_file_actions_init(&value); }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&value); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
};

struct SpawnAttributes {
  posix_spawnattr_t value;
  SpawnAttributes() { ::posix_spawnattr_init(&value); }
  ~SpawnAttributes() { ::posix_spawnattr_destroy(&value); }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
};

std::vector<std::string> environment_with(const ChildOptions& options) {
  std::vector<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const auto name = text.substr(0, text.find('='));
    const bool replaced = std::any_of(options.environment.begin(), options.environment.end(),
                                      [&](const auto& each) { return each.first == name; });
    if (!replaced) {
      variables.emplace_back(text);
    }
  }
  for (const auto& [name, value] : options.environment) {
    if (value) {
      variables.push_back(fmt::format("{}={}", name, *value));
    }
  }
  return variables;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (auto& text : texts) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

// A file in memory rather than a pipe: however much it is and whenever it is read, nobody waits for
// anybody.
Result<Fd> input_of(const ChildOptions& options) {
  if (!options.input) {
    Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return null ? Result<Fd>(std::move(null)) : fail_errno("/dev/null", errno);
  }
  Fd file(::memfd_create("input", MFD_CLOEXEC));
  if (!file) {
    return fail_errno("memfd_create", errno);
  }
  std::string_view rest(*options.input);
  while (!rest.empty()) {
    const ssize_t written = ::write(file.get(), rest.data(), rest.size());
    if (written < 0) {
      return fail_errno("memfd write", errno);
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

// Takes what is there, but not for ever from a child that never stops writing. False at the end of
// the stream.
bool drain(const Fd& pipe, ChildResult& result, std::size_t limit) {
  std::array<char, 16384> buffer;
  for (int i = 0; i < 16; ++i) {
    const ssize_t got = ::read(pipe.get(), buffer.data(), buffer.size());
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      return errno == EAGAIN;
    }
    if (got == 0) {
      return false;
    }
    const auto count = static_cast<std::size_t>(got);
    const auto kept = std::min(count, limit - result.output.size());
    result.output.append(buffer.data(), kept);
    result.truncated = result.truncated || kept < count;
  }
  return true;
}

Result<pid_t> spawn(const std::vector<std::string>& argv, const ChildOptions& options,
                    const Fd& input, const Fd& output) {
  SpawnActions actions;
  ::posix_spawn_file_actions_adddup2(&actions.value, input.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions.value, output.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions.value, output.get(), STDERR_FILENO);
  // Not every library opens with O_CLOEXEC.
  ::posix_spawn_file_actions_addclosefrom_np(&actions.value, STDERR_FILENO + 1);
  SpawnAttributes attributes;
  sigset_t none;
  ::sigemptyset(&none);
  sigset_t all;
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes.value, &none);
  ::posix_spawnattr_setsigdefault(&attributes.value, &all);
  ::posix_spawnattr_setflags(&attributes.value, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  auto arguments = argv;
  auto variables = environment_with(options);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, argv.front().c_str(), &actions.value, &attributes.value,
                                  pointers_to(arguments).data(), pointers_to(variables).data());
  if (error != 0) {
    return fail_errno(argv.front(), error);
  }
  return pid;
}

int milliseconds_until(Clock::time_point due) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
}

constexpr std::size_t kMostRecords = 16;
constexpr std::size_t kMostArgv = 4096;

thread_local ChildLog* log_of_thread = nullptr;

ChildRecord record_of(const std::vector<std::string>& argv, const ChildOptions& options,
                      const Result<ChildResult>& result) {
  ChildRecord record;
  std::size_t room = kMostArgv;
  for (const auto& argument : argv) {
    std::string text = scrub_words(argument);
    if (text.size() > room) {
      record.argv.emplace_back("...");
      break;
    }
    room -= text.size();
    record.argv.push_back(std::move(text));
  }
  record.ended = result ? result->describe() : result.error().text;
  if (result) {
    if (!options.output_is_data) {
      // Cut after scrubbing: half a secret is one, too.
      record.output = scrub_lines(result->output);
    }
    record.cut = result->truncated || record.output.size() > ChildRecord::kOutput ||
                 (options.output_is_data && !result->output.empty());
    if (record.output.size() > ChildRecord::kOutput) {
      std::size_t end = ChildRecord::kOutput;
      while (end > 0 && (static_cast<unsigned char>(record.output[end]) & 0xC0U) == 0x80) {
        --end;
      }
      record.output.resize(end);
    }
  }
  return record;
}

Result<ChildResult> run(const std::vector<std::string>& argv, const ChildOptions& options);

}  // namespace

ChildLog::ChildLog() : outer_(std::exchange(log_of_thread, this)) {
}
ChildLog::~ChildLog() {
  log_of_thread = outer_;
}

std::string ChildResult::describe() const {
  std::string text = signal != 0 ? fmt::format("killed by signal {}", signal)
                                 : fmt::format("exit status {}", status);
  return late ? text + " after its deadline" : text;
}

Result<ChildResult> run_child(const std::vector<std::string>& argv, const ChildOptions& options) {
  auto result = run(argv, options);
  if (log_of_thread != nullptr && log_of_thread->records_.size() < kMostRecords) {
    log_of_thread->records_.push_back(record_of(argv, options, result));
  }
  return result;
}

namespace {

Result<ChildResult> run(const std::vector<std::string>& argv, const ChildOptions& options) {
  if (argv.empty() || argv.front().find('/') == std::string::npos) {
    return fail(Errc::invalid,
                fmt::format("'{}' is not the path of a program", argv.empty() ? "" : argv.front()));
  }
  const auto input = input_of(options);
  if (!input) {
    return tl::unexpected(input.error().within(argv.front()));
  }
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) < 0) {
    return fail_errno(argv.front(), errno);
  }
  Fd output(ends[0]);
  Fd theirs(ends[1]);
  ::fcntl(output.get(), F_SETFL, O_NONBLOCK);
  const auto pid = spawn(argv, options, *input, theirs);
  if (!pid) {
    return tl::unexpected(pid.error());
  }
  theirs.reset();
  // The child stays a zombie until it is reaped below, so its pid cannot have gone to another by
  // now.
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
  if (!pidfd) {
    return fail_errno(fmt::format("{}: pidfd_open", argv.front()), errno);
  }

  ChildResult result;
  const auto due = Clock::now() + std::chrono::milliseconds(options.deadline_ms);
  for (bool ended = false; !ended;) {
    const bool counting = options.deadline_ms > 0 && !result.late;
    std::array<pollfd, 2> fds = {{{pidfd.get(), POLLIN, 0}, {output.get(), POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(), counting ? milliseconds_until(due) : -1);
    if (ready > 0) {
      ended = fds[0].revents != 0;
      // At the end only what is in the pipe: a grandchild may keep it open for ever.
      if (output && !drain(output, result, options.output_limit)) {
        output.reset();
      }
    }
    if (!ended && counting && Clock::now() >= due) {
      result.late = true;
      if (options.kill_late) {
        ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
      }
    }
  }
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED) < 0) {
    if (errno != EINTR) {
      return fail_errno(fmt::format("{}: waitid", argv.front()), errno);
    }
  }
  (info.si_code == CLD_EXITED ? result.status : result.signal) = info.si_status;
  return result;
}

}  // namespace

}  // namespace muster
