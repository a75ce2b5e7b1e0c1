// muster: asks musterd, over its control socket.
//
// Exit status: 0 done, 1 refused or misspelt (the reason is on standard error), 2 musterd does not
// run, 3 the time was up.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "daemon/control.h"
#include "daemon/fd.h"
#include "daemon/json_line.h"
#include "daemon/programs.h"
#include "daemon/record.h"
#include "daemon/status_table.h"
#include "daemon/version.h"

namespace muster::client {

namespace {

constexpr int kRefused = 1;
constexpr int kNotRunning = 2;
constexpr int kTimeUp = 3;
constexpr std::int64_t kPingMs = 2000;
constexpr int kEndMs = 5000;  // for saving the rest, once the end is asked for
constexpr std::size_t kMostSaid = PIPE_BUF;

constexpr const char* kExamples = R"(Examples:
  muster status             what is there, and what is waited for
  muster explain            why nothing was started yet, down to the missing part
  muster explain /dev/md0   the same about one device
  muster wait && echo up    until mondorestore was started
  muster go                 start it now, or accept the proposed drives of a nuke
  muster events             the journal as it is written
  muster record --output /media/stick/boot.jsonl --follow
                            save it, and all that comes, where it outlives this machine

Of recordings (no daemon needed; each has --help):
  muster replay FILE        does the engine still do what it did? --shuffle: in other orders?
  muster explain --journal FILE [--until 9.5s] [/dev/md0]
                            why that boot waited, at its end or at any moment
  muster chart FILE -o boot.svg
                            that boot as a picture
  muster import LOG -o FILE a recording from the logs of other tools)";

int complain(std::string_view text, int status) {
  fmt::print(stderr, "muster: {}\n", text);
  return status;
}

int fail_with(const Error& error) {
  switch (error.code) {
    case Errc::not_found:
      return complain(fmt::format("musterd does not run ({})", error.text), kNotRunning);
    case Errc::timeout:
      return complain("the time was up", kTimeUp);
    default:
      return complain(error.text, kRefused);
  }
}

// One request, one answer; `show` prints it.
template <typename Show>
int ask(const std::string& socket, const Json& request, std::int64_t timeout_ms, Show show) {
  Result<Json> answer;
  const auto asked = ask_control(socket, request, timeout_ms, [&](std::string_view line) {
    answer = object_from_line(line);
    return false;
  });
  if (!asked) {
    return fail_with(asked.error());
  }
  if (!answer) {
    return complain("musterd's answer cannot be read: " + answer.error().text, kRefused);
  }
  const Json& json = *answer;
  if (json.contains("error")) {
    return complain(json.value("error", std::string()), kRefused);
  }
  show(json);
  return std::fflush(stdout) == 0 ? EXIT_SUCCESS : kRefused;
}

int follow_events(const std::string& socket) {
  const auto asked = ask_control(socket, {{"command", "events"}}, 0, [](std::string_view line) {
    fmt::print("{}\n", line);
    return std::fflush(stdout) == 0;
  });
  return asked ? EXIT_SUCCESS : fail_with(asked.error());
}

// Where musterd writes its journal; what is usual, where none runs.
std::string journal_of(const std::string& socket) {
  std::string path = RecordSettings{}.journal;
  static_cast<void>(ask_control(socket, {{"command", "ping"}}, kPingMs, [&](std::string_view line) {
    if (const auto answer = object_from_line(line); answer && answer->contains("journal")) {
      path = answer->value("journal", path);
    }
    return false;
  }));
  return path;
}

// What record_journal() says, over a pipe.
void save(const RecordSettings& settings, const Fd& answer) {
  const auto recorded = record_journal(settings);
  const auto line = to_line(recorded ? Json{{"bytes", recorded->bytes},
                                            {"files", recorded->files},
                                            {"in_memory", recorded->in_memory}}
                                     : Json{{"error", recorded.error().text}});
  static_cast<void>(::write(answer.get(), line.data(), line.size()));
}

int show_saved(const std::string& output, const Fd& from) {
  std::string line(kMostSaid, '\0');
  line.resize(
      static_cast<std::size_t>(std::max<ssize_t>(::read(from.get(), line.data(), line.size()), 0)));
  const auto saved = object_from_line(line);
  if (!saved) {
    return complain(fmt::format("{}: not all was saved", output), kRefused);
  }
  if (saved->contains("error")) {
    return complain(saved->value("error", std::string()), kRefused);
  }
  const auto files = saved->value("files", std::size_t{0});
  fmt::print("{}: {} bytes of {} journal file{}\n", output, saved->value("bytes", std::uint64_t{0}),
             files, files == 1 ? "" : "s");
  if (saved->value("in_memory", false)) {
    fmt::print(stderr, "muster: {} lies in memory: it is gone when this machine is\n", output);
  }
  return std::fflush(stdout) == 0 ? EXIT_SUCCESS : kRefused;
}

// A write to a server or a disk that does not answer returns when that does, and until then not
// even SIGKILL gets through. So a process of its own writes, and this one listens to Ctrl-C.
int record(RecordSettings settings, bool follow) {
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGINT);
  ::sigaddset(&ends, SIGTERM);
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &ends, &before);
  const Fd signals(::signalfd(-1, &ends, SFD_CLOEXEC));
  std::array<int, 2> pipe{-1, -1};
  const pid_t self = ::getpid();
  const bool ready = signals && ::pipe2(pipe.data(), O_CLOEXEC) == 0;
  const Fd from(pipe[0]);
  Fd to(pipe[1]);
  const pid_t writer = ready ? ::fork() : -1;
  if (writer < 0) {
    return complain(fmt::format("cannot start to save: {}", std::strerror(errno)), kRefused);
  }
  if (writer == 0) {
    // However the other ends: what is there by then is saved, and nothing goes on unseen or has a
    // hold on a terminal.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      ::dup2(null.get(), standard);
    }
    if (follow) {
      settings.follow_until = &signals;
    } else {
      ::sigprocmask(SIG_SETMASK, &before, nullptr);
    }
    if (::getppid() == self) {
      save(settings, to);
    }
    ::_exit(EXIT_SUCCESS);
  }
  to.reset();
  bool ending = false;
  for (;;) {
    std::array<pollfd, 2> fds = {{{from.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}}};
    const int count = ::poll(fds.data(), fds.size(), ending ? kEndMs : -1);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count > 0 && fds[0].revents != 0) {
      return show_saved(settings.output, from);
    }
    if (count <= 0 || ending) {
      ::kill(writer, SIGKILL);
      return complain(fmt::format("{}: does not answer; not all was saved", settings.output),
                      kRefused);
    }
    signalfd_siginfo info{};
    static_cast<void>(::read(signals.get(), &info, sizeof info));
    ending = true;
    ::kill(writer, SIGTERM);
  }
}

void show_text(const Json& answer) {
  if (const auto text = answer.find("text"); text != answer.end() && text->is_string()) {
    std::string line = text->get<std::string>();
    if (!line.ends_with('\n')) {
      line += '\n';
    }
    fmt::print("{}", line);
  } else {
    fmt::print("{}\n", answer.dump(2, ' ', false, Json::error_handler_t::replace));
  }
}

void show_json(const Json& answer) {
  fmt::print("{}\n", answer.dump(2, ' ', false, Json::error_handler_t::replace));
}

// What works on recordings is a program of its own beside this one: it is no part of a rescue
// image.
bool is_about_a_recording(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  return command == "replay" || command == "chart" || command == "import" ||
         (command == "explain" && std::any_of(argv + 2, argv + argc, [](const char* word) {
            return std::string_view(word).starts_with("--journal");
          }));
}

int hand_to_muster_replay(char** argv) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  for (const auto& program :
       {self.parent_path() / "muster-replay", self.parent_path() / "replay" / "muster-replay"}) {
    ::execv(program.c_str(), argv);
  }
  return complain(fmt::format("{} works on recordings with the program muster-replay, which is not "
                              "beside {} (a rescue image has none)",
                              argv[1], self.string()),
                  kRefused);
}

}  // namespace

int program(int argc, char** argv) {
  if (is_about_a_recording(argc, argv)) {
    return hand_to_muster_replay(argv);
  }
  std::string socket = "/run/muster/control";
  bool json = false;
  double timeout_s = 0;
  std::vector<std::string> words;
  CLI::App app{"Asks musterd what it does, why it waits, and tells it what to do.", "muster"};
  app.set_version_flag("--version", std::string(kVersion));
  app.footer(kExamples);
  app.add_option("--control", socket, "musterd's socket")->capture_default_str();
  app.require_subcommand(1);

  auto* status = app.add_subcommand("status", "what is there, and what is waited for");
  status->add_flag("--json", json, "for programs");
  auto* wait = app.add_subcommand("wait", "returns once mondorestore was started");
  wait->add_option("--timeout", timeout_s, "give up after so many seconds (exit status 3)")
      ->check(CLI::NonNegativeNumber);
  auto* explain = app.add_subcommand("explain", "the chain down to what is missing");
  explain->add_option("subject", words, "a device, an array, a volume ...")->expected(0, 1);
  explain->add_flag("--json", json, "for programs");
  auto* events = app.add_subcommand("events", "the journal as it is written, a JSON object a line");
  RecordSettings recording;
  recording.journal.clear();
  bool follow = false;
  auto* save = app.add_subcommand("record", "save the journal of this boot to a mounted medium");
  save->add_option("--output", recording.output, "the file; it must not exist")->required();
  save->add_flag("--force", recording.force, "it may exist, and is replaced");
  save->add_flag("--follow", follow, "go on saving what comes, until ended by Ctrl-C or SIGTERM");
  save->add_option("--journal", recording.journal, "the journal; else musterd is asked for it");
  // What handlers understand; they say what they did in "text".
  const std::vector<std::pair<const char*, const char*>> kPlain = {
      {"go", "start mondorestore now, or accept the proposed drives of a nuke"},
      {"use", "take this medium: a device or a path"},
      {"drivers", "devices and their drivers; what has none"},
      {"assemble", "put an array or a volume together after the launch, too"},
      {"release", "take an array or a volume down"},
      {"launch-state", "whether mondorestore was started, and how it ended"}};
  for (const auto& [name, help] : kPlain) {
    auto* command = app.add_subcommand(name, help);
    command->add_option("subject", words, "what it is about")->expected(0, 1);
    command->add_flag("--json", json, "for programs");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : kRefused;
  }

  const std::string subject = words.empty() ? std::string() : words.front();
  if (status->parsed()) {
    return ask(socket, {{"command", "status"}}, 0, [&](const Json& answer) {
      json ? show_json(answer) : static_cast<void>(fmt::print("{}", status_table(answer)));
    });
  }
  if (wait->parsed()) {
    const auto timeout_ms = static_cast<std::int64_t>(timeout_s * 1000);
    return ask(socket, {{"command", "wait"}}, timeout_ms, [](const Json&) {});
  }
  if (save->parsed()) {
    if (recording.journal.empty()) {
      recording.journal = journal_of(socket);
    }
    return record(std::move(recording), follow);
  }
  if (events->parsed()) {
    return follow_events(socket);
  }
  const std::string command = app.get_subcommands().front()->get_name();
  Json request = {{"command", command}, {"subject", subject}};
  if (explain->parsed() && json) {
    request["json"] = true;
  }
  return ask(socket, request, 0,
             [&](const Json& answer) { json ? show_json(answer) : show_text(answer); });
}

}  // namespace muster::client
