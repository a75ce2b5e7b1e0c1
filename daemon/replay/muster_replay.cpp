// muster-replay: everything `muster` does with recordings. Needs no daemon, no root, no hardware.
//
// Exit status: 0 as recorded, or no promise broken; 1 not so; 2 the file or the command line cannot
// be used.
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/board.h"
#include "daemon/chart/chart_command.h"
#include "daemon/explain.h"
#include "daemon/import/import_command.h"
#include "daemon/json_line.h"
#include "daemon/replay/hardware.h"
#include "daemon/replay/play.h"
#include "daemon/replay/recording.h"
#include "daemon/replay/replay.h"
#include "daemon/replay/shuffle.h"
#include "daemon/version.h"

namespace {

using namespace muster;
using namespace muster::replay;

constexpr int kSame = 0;
constexpr int kNotSo = 1;
constexpr int kUnusable = 2;

constexpr const char* kExamples = R"(Examples (with the recordings in tests/replay/logs):
  muster replay order_1.jsonl                      does the engine still do what it did?
  muster replay --board --until 9.5s order_1.jsonl the board as it was after 9.5 seconds
  muster replay --shuffle 1000 --seed 7 --remove pulled_members.jsonl
                                                   1000 other orders, disks pulled in between)";

struct ReplayOptions {
  std::vector<std::string> files;
  std::string until;
  bool board = false;
  double speed = 0;
  std::string config;
  std::string plan;
  std::optional<std::string> command_line;
  std::size_t plays = 0;
  ShuffleOptions shuffle;
  std::string save;
  bool json = false;
};

struct ExplainOptions {
  std::string file;
  std::string subject;
  std::string until;
  bool json = false;
};

int complain(std::string_view text) {
  fmt::print(stderr, "muster: {}\n", text);
  return kUnusable;
}

// "120" events, or "9.5s".
[[nodiscard]] Result<Until> until_from(const std::string& text) {
  Until until;
  if (text.empty()) {
    return until;
  }
  const char* const end = text.data() + text.size();
  if (text.back() == 's') {
    double seconds = 0;
    const auto [rest, failed] = std::from_chars(text.data(), end - 1, seconds);
    if (failed == std::errc() && rest == end - 1 && seconds >= 0 && seconds < 1e9) {
      until.time = static_cast<Micros>(seconds * 1e6);
      return until;
    }
  } else {
    std::size_t events = 0;
    const auto [rest, failed] = std::from_chars(text.data(), end, events);
    if (failed == std::errc() && rest == end) {
      until.events = events;
      return until;
    }
  }
  return fail(Errc::invalid,
              fmt::format("--until {}: neither a number of events nor seconds (\"9.5s\")", text));
}

[[nodiscard]] Result<std::string> read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return fail(Errc::io, path + ": cannot be read");
  }
  return text.str();
}

// Draws the board after each change of it; with a speed, at the recorded pace times that.
class Screen {
 public:
  Screen(bool every_change, double speed) : every_change_(every_change), speed_(speed) {}

  void see(const Engine& engine, const Step& step) {
    std::string board = board_text(engine);
    if (!every_change_ || board == board_) {
      board_ = std::move(board);
      return;
    }
    board_ = std::move(board);
    if (speed_ > 0 && last_ != 0) {
      const double wait_ms = static_cast<double>(step.event.time - last_) / 1000.0 / speed_;
      std::fflush(stdout);
      ::poll(nullptr, 0, static_cast<int>(std::min(wait_ms, 60'000.0)));
    }
    last_ = step.event.time;
    if (::isatty(STDOUT_FILENO) == 1) {
      fmt::print("\033[H\033[J");
    }
    fmt::print("--- {:.3f} s, line {}\n{}", static_cast<double>(step.event.time) / 1e6, step.line,
               board_);
  }
  void end() const {
    if (!every_change_) {
      fmt::print("{}", board_);
    }
  }

 private:
  bool every_change_;
  double speed_;
  std::string board_;
  Micros last_ = 0;
};

int replay_one(const Recording& recording, const ReplayOptions& options, const Until& until) {
  Screen screen(options.speed > 0, options.speed);
  const auto replayed =
      replay::replay(recording, until, [&](const Engine& engine, const Step& step) {
        if (options.board) {
          screen.see(engine, step);
        }
        return true;
      });
  if (!replayed) {
    return complain(replayed.error().text);
  }
  if (options.board) {
    screen.end();
  }
  const bool same = !replayed->difference;
  if (options.json) {
    Json answer = {{"file", recording.name},
                   {"events", replayed->events},
                   {"effects", replayed->effects},
                   {"as_recorded", same},
                   {"cut_off", recording.cut_off}};
    if (!same) {
      answer["difference"] = difference_text(recording, *replayed->difference);
    }
    fmt::print("{}\n", to_line(answer));
  } else if (!same) {
    fmt::print("{}", difference_text(recording, *replayed->difference));
  } else {
    fmt::print("{}: {} events, {} effects: as recorded{}\n", recording.name, replayed->events,
               replayed->effects,
               recording.cut_off ? " (the last line is cut off, and was left out)" : "");
  }
  return same ? kSame : kNotSo;
}

// The first segment tells what the machine was.
[[nodiscard]] Result<Hardware> hardware_in(const Recording& recording) {
  auto hardware = hardware_of(recording.segments.front());
  if (!hardware) {
    return tl::unexpected(hardware.error().within(recording.name));
  }
  return hardware;
}

int what_if(const Recording& recording, const ReplayOptions& options) {
  auto hardware = hardware_in(recording);
  if (!hardware) {
    return complain(hardware.error().text);
  }
  const auto put = [&](const char* fact, const std::string& path) -> Result<void> {
    if (path.empty()) {
      return {};
    }
    auto text = read_text(path);
    if (!text) {
      return tl::unexpected(text.error());
    }
    hardware->facts[fact] = std::move(*text);
    return {};
  };
  for (const auto& [fact, path] :
       {std::pair("muster.toml", options.config), std::pair("mountlist.txt", options.plan)}) {
    if (auto done = put(fact, path); !done) {
      return complain(done.error().text);
    }
  }
  if (options.command_line) {
    hardware->facts["command_line"] = *options.command_line;
  }
  const Played played = play(*hardware, {});
  fmt::print("{}", played.board);
  for (const auto& question : played.unknown) {
    fmt::print("not known from this recording: {}\n", question);
  }
  if (!played.breach.empty()) {
    fmt::print("broken promise {}\n", played.breach);
  }
  return played.breach.empty() ? kSame : kNotSo;
}

int save(const Violation& violation, const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  for (const auto& played : violation.plays) {
    file << to_text(played.segment);
  }
  if (!file.flush()) {
    return complain(path + ": cannot be written");
  }
  fmt::print("saved as {}: `muster replay {}` plays it again\n", path, path);
  return kNotSo;
}

int shuffle_one(const Recording& recording, ReplayOptions options) {
  auto hardware = hardware_in(recording);
  if (!hardware) {
    return complain(hardware.error().text);
  }
  options.shuffle.plays = options.plays;
  if (::isatty(STDERR_FILENO) == 1) {
    options.shuffle.progress = [](std::size_t played) {
      fmt::print(stderr, "\r{} orders", played);
      std::fflush(stderr);
    };
  }
  const Shuffled shuffled = shuffle(*hardware, options.shuffle);
  if (options.shuffle.progress) {
    fmt::print(stderr, "\r");
  }
  if (options.json) {
    Json answer = {{"file", recording.name},
                   {"orders", shuffled.plays},
                   {"free_arrivals", shuffled.units},
                   {"every_order", shuffled.every_order},
                   {"classes", shuffled.classes},
                   {"unknown", shuffled.unknown},
                   {"violation", nullptr}};
    if (shuffled.violation) {
      answer["violation"] = story(*shuffled.violation);
    }
    fmt::print("{}\n", to_line(answer));
  } else {
    fmt::print("{}: {} orders of {} disks{}, {} classes: {}\n", recording.name, shuffled.plays,
               shuffled.units, shuffled.every_order ? " (every order of arrival among them)" : "",
               shuffled.classes, shuffled.violation ? "a promise is broken" : "no promise broken");
    for (const auto& question : shuffled.unknown) {
      fmt::print("  not known from this recording: {}\n", question);
    }
    if (shuffled.violation) {
      fmt::print("{}", story(*shuffled.violation));
    }
  }
  if (!shuffled.violation) {
    return kSame;
  }
  return options.save.empty() ? kNotSo : save(*shuffled.violation, options.save);
}

int run_replay(const ReplayOptions& options) {
  const auto until = until_from(options.until);
  if (!until) {
    return complain(until.error().text);
  }
  int worst = kSame;
  for (const auto& file : options.files) {
    const auto recording = read_recording(file);
    int status = kUnusable;
    if (!recording) {
      status = complain(recording.error().text);
    } else if (options.plays != 0) {
      status = shuffle_one(*recording, options);
    } else if (!options.config.empty() || !options.plan.empty() || options.command_line) {
      status = what_if(*recording, options);
    } else {
      status = replay_one(*recording, options, *until);
    }
    worst = std::max(worst, status);
  }
  return worst;
}

int run_explain(const ExplainOptions& options) {
  const auto until = until_from(options.until);
  if (!until) {
    return complain(until.error().text);
  }
  const auto recording = read_recording(options.file);
  if (!recording) {
    return complain(recording.error().text);
  }
  // The last engine is the one to ask; which step is the last is known afterwards.
  Json explained;
  const auto ask = [&](const Engine& engine, const Step& step) {
    explained = explain_json(engine, options.subject, until->time.value_or(step.event.time));
    return true;
  };
  std::size_t events = 0;
  const auto counted = replay::replay(*recording, *until, [&](const Engine&, const Step&) {
    ++events;
    return true;
  });
  if (!counted) {
    return complain(counted.error().text);
  }
  std::size_t seen = 0;
  const auto replayed = replay::replay(
      *recording, *until,
      [&](const Engine& engine, const Step& step) { return ++seen < events || ask(engine, step); });
  if (!replayed) {
    return complain(replayed.error().text);
  }
  if (replayed->difference) {
    fmt::print(stderr, "muster: {}", difference_text(*recording, *replayed->difference));
    return kNotSo;
  }
  fmt::print("{}", options.json
                       ? explained.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                       : explain_text(explained));
  return kSame;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Works on recordings of boots: journals of musterd.", "muster"};
  app.set_version_flag("--version", std::string(kVersion));
  app.require_subcommand(1);

  ReplayOptions replay_options;
  auto* replay = app.add_subcommand(
      "replay", "runs a recording through the engine again; plays it in other orders");
  replay->footer(kExamples);
  replay->add_option("file", replay_options.files, "journals")->required();
  replay->add_option("--until", replay_options.until,
                     "stop after so many events, or at a moment (\"9.5s\" after the boot)");
  replay->add_flag("--board", replay_options.board, "draw the board as it was at the end");
  replay
      ->add_option("--speed", replay_options.speed,
                   "with --board: draw every change, at so many times the recorded pace")
      ->check(CLI::PositiveNumber);
  replay->add_option("--config", replay_options.config,
                     "what if: play with this muster.toml instead");
  replay->add_option("--plan", replay_options.plan,
                     "what if: play with this mountlist.txt instead");
  replay->add_option("--command-line", replay_options.command_line,
                     "what if: play with this kernel command line instead");
  replay->add_option("--shuffle", replay_options.plays, "play so many other orders of arrival");
  replay->add_option("--seed", replay_options.shuffle.seed, "which orders")->capture_default_str();
  replay->add_option("--drop", replay_options.shuffle.drop, "share of uevents that are lost")
      ->check(CLI::Range(0.0, 1.0));
  replay
      ->add_option("--duplicate", replay_options.shuffle.duplicate,
                   "share of uevents that come twice")
      ->check(CLI::Range(0.0, 1.0));
  replay->add_flag("--remove", replay_options.shuffle.remove, "disks are pulled and come back");
  replay->add_flag("--late", replay_options.shuffle.late, "answers and gaps are stretched");
  replay->add_option("--save", replay_options.save,
                     "with --shuffle: write an order that breaks a promise as a journal");
  replay->add_flag("--json", replay_options.json, "for programs");

  ExplainOptions explain_options;
  auto* explain = app.add_subcommand("explain", "why a recorded boot waited");
  explain->add_option("--journal", explain_options.file, "the recording")->required();
  explain->add_option("subject", explain_options.subject, "a device, an array, a volume ...");
  explain->add_option("--until", explain_options.until, "as for replay");
  explain->add_flag("--json", explain_options.json, "for programs");

  chart::add_chart(app);
  int import_status = kSame;
  imports::add_import(
      app, [](const Hardware& hardware) { return play(hardware, {}).segment; }, import_status);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kSame : kUnusable;
  }
  if (replay->parsed()) {
    return run_replay(replay_options);
  }
  return explain->parsed() ? run_explain(explain_options) : import_status;
}
