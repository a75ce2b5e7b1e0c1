// musterd: wiring only. The members of Daemon, in the order in which they depend on each other, are
// the diagram.
#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/board.h"
#include "daemon/console.h"
#include "daemon/engine.h"
#include "daemon/facts.h"
#include "daemon/init_watch.h"
#include "daemon/loop.h"
#include "daemon/programs.h"
#include "daemon/root.h"
#include "daemon/uevent_source.h"
#include "daemon/version.h"
#include "daemon/workers.h"
#include "handlers/registry.h"

namespace muster::daemon {

namespace {

struct Settings {
  std::string root = "/";
  std::vector<std::string> rules = {"/usr/lib/muster/rules.d", "/etc/muster/rules.d"};
  FactFiles facts;
  std::string journal = "/run/muster/journal.jsonl";
  std::string control = "/run/muster/control";
  std::string init_socket = init::kSocketPath;
  std::string bin_dir = ExecutorSettings{}.bin_dir;
  std::size_t workers = Workers::kThreads;
  std::string
      console;  // empty: the configured one under muster-init, else a terminal we were started on
  bool no_board = false;
};

[[nodiscard]] bool same_file(int a, int b) {
  struct stat x{};
  struct stat y{};
  return ::fstat(a, &x) == 0 && ::fstat(b, &y) == 0 &&
         (S_ISCHR(x.st_mode) ? S_ISCHR(y.st_mode) && x.st_rdev == y.st_rdev
                             : x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

// Nothing that we open may land on 0 to 2, where a child or a library would write to it.
void fill_standard_descriptors() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= 2);
  if (fd > 2) {
    ::close(fd);
  }
}

Json rules_as_json(const std::vector<rules::Source>& sources) {
  Json json = Json::array();
  for (const auto& source : sources) {
    json.push_back({{"name", source.name}, {"text", source.text}});
  }
  return json;
}

class Daemon {
 public:
  explicit Daemon(Settings settings, Root root)
      : settings_(std::move(settings)),
        root_(std::move(root)),
        errors_(Fd(::dup(STDERR_FILENO))),
        init_(settings_.init_socket),
        loop_(parts()) {}

  [[nodiscard]] Result<void> start() {
    if (!root_.exists("/sys/kernel/uevent_seqnum")) {
      return fail(Errc::not_found, "sysfs is not mounted: there is no " +
                                       root_.host_path("/sys/kernel/uevent_seqnum"));
    }
    // First of all: a second instance must not touch the first one's files.
    ControlSettings control{.path = settings_.control, .allowed = 0, .greeting = greeting()};
    if (auto opened = loop_.open_control(std::move(control)); !opened) {
      return opened;
    }
    if (auto watched = watch_init(); !watched) {
      return watched;
    }
    const auto sources = read_rules(root_, settings_.rules, notes_);
    std::vector<rules::Diagnostic> diagnostics;
    auto rules = rules::RuleSet::load(sources, diagnostics);
    for (const auto& diagnostic : diagnostics) {
      notes_.push_back(to_string(diagnostic));
    }
    Json facts = read_facts(root_, settings_.facts, notes_);
    if (under_init_) {
      facts["launch"] = init::name_of(init_.state().launch.phase);
    }
    open_journal(sources, facts);

    const auto origin =
        facts.value("udevd", false) ? DeviceEvent::Origin::udev : DeviceEvent::Origin::kernel;
    auto monitor = open_uevent_monitor(origin, notes_);
    if (!monitor) {
      return tl::unexpected(monitor.error());
    }
    std::set<std::string> attributes(rules.attributes().begin(), rules.attributes().end());
    attributes.insert(rules.parent_attributes().begin(), rules.parent_attributes().end());
    auto policies = make_policies();
    check_handlers(rules, policies);
    engine_ = std::make_unique<Engine>(std::move(rules), std::move(policies));
    open_board();
    for (const auto& note : notes_) {
      report(note);
    }
    facts["notes"] = notes_;
    // Before any uevent: nothing can be decided before the plan is known.
    loop_.post(EventBody(FactsRead{std::move(facts)}));
    const auto deliver = [this](Event event) { loop_.post(std::move(event)); };
    auto executors = make_executors(executor_settings());
    if (!executors) {
      return tl::unexpected(executors.error());
    }
    workers_ = std::make_unique<Workers>(std::move(*executors), deliver, settings_.workers);
    source_ = std::make_unique<UeventSource>(
        root_, std::move(*monitor), std::vector<std::string>(attributes.begin(), attributes.end()),
        deliver, [this] { return loop_.crowded(); });
    source_->start();
    loop_.stop_on({SIGTERM, SIGINT});
    return {};
  }

  void run() {
    loop_.run();
    loop_.close_control();
  }

  // A thread that is inside an executor still uses what it was given: then nothing is taken apart.
  [[nodiscard]] bool idle() const { return workers_->counts().running == 0; }

 private:
  LoopParts parts() {
    return {.engine = [this](const Event& event) { return engine_->on(event); },
            .work = [this](Effect effect) { workers_->run(std::move(effect)); },
            .scan = [this] { source_->scan(); },
            .read = [this](std::string devpath) { source_->read(std::move(devpath)); },
            .report = [this](std::string_view line) { report(line); },
            .changed = [this] { loop_.redraw(); },
            .draw = [this] { return draw(); },
            .snapshot = [this] { return engine_->snapshot(); },
            .amend = [this](const Effect& effect, Json& answer) { amend(effect, answer); },
            .room = [this] { source_->go_on(); }};
  }

  [[nodiscard]] Json greeting() const {
    return {{"musterd", kVersion}, {"pid", ::getpid()}, {"journal", settings_.journal}};
  }

  [[nodiscard]] ExecutorSettings executor_settings() const {
    ExecutorSettings settings;
    settings.root = settings_.root;
    settings.bin_dir = settings_.bin_dir;
    settings.init_socket = settings_.init_socket;
    return settings;
  }

  // Before anything of the machine is read: while mondorestore runs nobody else opens a disk. A
  // muster-init that is our parent is waited for. Another one there may be or not; but one that is
  // there and does not answer is no reason to guess.
  [[nodiscard]] Result<void> watch_init() {
    if (std::getenv(init::kGenerationVariable) != nullptr) {
      init_.connect_surely([this](const std::string& text) {
        report(text);
        notes_.push_back(text);
      });
    } else if (auto connected = init_.connect(); !connected) {
      return connected.error().code == Errc::not_found ? Result<void>() : connected;
    }
    under_init_ = true;
    init_.follow(loop_, [this] { loop_.redraw(); });
    return {};
  }

  // A misspelt HANDLER+= would otherwise be a rule that silently does nothing, and so would a
  // missing directory.
  void check_handlers(const rules::RuleSet& rules,
                      const std::vector<std::unique_ptr<Policy>>& policies) {
    if (rules.size() == 0) {
      notes_.push_back(fmt::format("no rules in {}", fmt::join(settings_.rules, ", ")));
    }
    for (const auto& handler : rules.handlers()) {
      if (std::none_of(policies.begin(), policies.end(),
                       [&](const auto& policy) { return policy->name() == handler; })) {
        notes_.push_back(fmt::format("the rules name a handler '{}' that does not exist", handler));
      }
    }
  }

  void open_journal(const std::vector<rules::Source>& sources, const Json& facts) {
    Json header = {{"muster", kVersion},
                   {"kernel", facts.value("kernel", std::string())},
                   {"rules", rules_as_json(sources)}};
    if (auto journal = JournalWriter::open(settings_.journal, std::move(header))) {
      loop_.use_journal(std::move(*journal));
    } else {
      notes_.push_back(journal.error().text);
    }
  }

  void open_board() {
    std::string path = settings_.console;
    if (path.empty() && under_init_) {
      path = "/dev/console";
    } else if (path.empty() && ::isatty(STDOUT_FILENO) == 1) {
      path = "/proc/self/fd/1";
    }
    if (settings_.no_board || path.empty()) {
      return;
    }
    auto console = open_console(path);
    if (!console) {
      notes_.push_back(console.error().text);
      return;
    }
    errors_go_to_board_ = same_file(console->fd.get(), STDERR_FILENO);
    const bool lines = console->mode == BoardPainter::Mode::lines;
    width_ = lines ? kLineWidth : console->columns - 1;
    painter_.emplace(console->mode, console->rows, console->columns);
    board_.emplace(std::move(console->fd));
  }

  void report(std::string_view line) {
    // The board shows reports as well; on the same screen one of the two is enough.
    if (!errors_go_to_board_) {
      errors_.write(fmt::format("musterd: {}\n", line));
    }
  }

  [[nodiscard]] bool draw() {
    if (!board_) {
      return true;
    }
    if (!init_.console_is_free()) {
      painter_->forget();
      return true;
    }
    if (!board_->idle()) {
      return false;
    }
    if (auto text = painter_->paint(board_text(*engine_, width_)); !text.empty()) {
      board_->write(std::move(text));
    }
    return true;
  }

  void amend(const Effect& effect, Json& answer) const {
    if (effect.subject == "status" && answer.is_object()) {
      const auto counts = workers_->counts();
      answer["workers"] = {
          {"queued", counts.queued}, {"running", counts.running}, {"stuck", counts.stuck}};
    }
  }

  // With the prefix of a line just below what a serial console shows.
  static constexpr std::size_t kLineWidth = 71;

  Settings settings_;
  Root root_;
  std::vector<std::string> notes_;
  SlowWriter errors_;
  bool errors_go_to_board_ = false;
  std::size_t width_ = kLineWidth;
  std::optional<BoardPainter> painter_;
  std::optional<SlowWriter> board_;
  bool under_init_ = false;
  InitWatch init_;
  std::unique_ptr<Engine> engine_;
  Loop loop_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<UeventSource> source_;
};

// The machine's memory is the restore's. glibc would keep an arena for each worker, and from the
// first large piece that is given back on (a volume group's text, a scan) more and more of what is
// free. For each device that it looks at libblkid asks for 256 KiB, where a ZFS label would lie:
// those are not got from the kernel anew each time.
void keep_little_memory() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, 320 * 1024);
  ::mallopt(M_TRIM_THRESHOLD, 640 * 1024);
}

int run(Settings settings) {
  if (::geteuid() != 0) {
    fmt::print(stderr, "musterd: must be run as root\n");
    return 1;
  }
  fill_standard_descriptors();
  ::umask(022);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);
  auto root = Root::open(settings.root);
  if (!root) {
    fmt::print(stderr, "musterd: {}\n", root.error().text);
    return 1;
  }
  const auto daemon = std::make_unique<Daemon>(std::move(settings), std::move(*root));
  if (const auto started = daemon->start(); !started) {
    fmt::print(stderr, "musterd: {}\n", started.error().text);
    return 1;
  }
  daemon->run();
  if (!daemon->idle()) {
    std::_Exit(0);
  }
  return 0;
}

}  // namespace

int program(int argc, char** argv) {
  keep_little_memory();
  Settings settings;
  CLI::App app{"Readies this machine for a restore and starts mondorestore.", "musterd"};
  app.set_version_flag("--version", std::string(kVersion));
  app.add_option("--root", settings.root, "where /sys, /dev, /proc, /run, /etc and /tmp are")
      ->capture_default_str();
  app.add_option("--rules", settings.rules, "a directory of *.rules; later ones override by name")
      ->capture_default_str();
  app.add_option("--config", settings.facts.config, "our settings")->capture_default_str();
  app.add_option("--journal", settings.journal, "where every event and effect is written")
      ->capture_default_str();
  app.add_option("--control", settings.control, "the socket for `muster`")->capture_default_str();
  app.add_option("--init", settings.init_socket, "muster-init's socket")->capture_default_str();
  app.add_option("--bin-dir", settings.bin_dir, "our own programs")->capture_default_str();
  app.add_option("--workers", settings.workers, "threads for blocking work")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--console", settings.console, "the terminal of the board");
  app.add_flag("--no-board", settings.no_board, "draw no board");
  CLI11_PARSE(app, argc, argv);
  if (std::getenv(init::kGenerationVariable) != nullptr) {
    settings.facts.keep = "/run/muster/image";
  }
  return run(std::move(settings));
}

}  // namespace muster::daemon
