// The recordings in logs/: each must replay as recorded, end in the state that stands beside it
// (NAME.state), and keep every promise in other orders.
//
//   replay_logs [--update] [--plays N] [--times N] LOG.jsonl...
//
// --update rewrites the states, for a reviewer to read as a diff. --plays N: so many random orders
// in each of five ways (undisturbed, uevents lost, uevents twice, disks pulled, answers late).
// The last line is the result: `N passed, N failed`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/replay/hardware.h"
#include "daemon/replay/recording.h"
#include "daemon/replay/replay.h"
#include "daemon/replay/shuffle.h"

namespace {

using namespace muster;
using namespace muster::replay;

// What a person would want to know of the end.
std::string state_of(const Engine& engine) {
  const World& world = engine.world();
  std::string text =
      fmt::format("mode: {}\nphase: {}\n", to_string(world.plan().mode), to_string(world.phase()));
  for (const auto& [id, thing] : world.things()) {
    const Device* device = thing.devpath.empty() ? nullptr : world.find(thing.devpath);
    text +=
        fmt::format("{}: {}{}{}{}\n", id, to_string(thing.state), thing.doomed ? ", doomed" : "",
                    device == nullptr ? std::string() : " " + device->dev_name(),
                    thing.why.empty() ? std::string() : fmt::format(" ({})", thing.why));
  }
  for (const auto& report : engine.reports()) {
    text += fmt::format("report: {}\n", report);
  }
  return text;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Settings {
  std::vector<std::string> logs;
  bool update = false;
  std::size_t plays = 8;
  std::size_t times = 10;
};

// Empty, or what is wrong.
std::string check_replay(const Recording& recording, const Settings& options) {
  std::string state;
  for (std::size_t i = 0; i < options.times; ++i) {
    std::string text;
    const auto replayed = replay::replay(recording, {}, [&](const Engine& engine, const Step&) {
      if (i == 0) {
        text = state_of(engine);
      }
      return true;
    });
    if (!replayed) {
      return replayed.error().text;
    }
    if (replayed->difference) {
      return difference_text(recording, *replayed->difference);
    }
    state = i == 0 ? text : state;
  }
  auto expected = std::filesystem::path(recording.name);
  expected.replace_extension(".state");
  if (options.update) {
    std::ofstream(expected, std::ios::binary) << state;
    return {};
  }
  if (const std::string known = read_file(expected); known != state) {
    return fmt::format("{} says\n{}\nand the replay ends in\n{}", expected.string(), known, state);
  }
  return {};
}

std::string check_orders(const Recording& recording, const Settings& options) {
  const auto hardware = hardware_of(recording.segments.front());
  if (!hardware) {
    return hardware.error().text;
  }
  struct Way {
    const char* name;
    double drop;
    double duplicate;
    bool remove;
    bool late;
  };
  for (const Way& way :
       {Way{"undisturbed", 0, 0, false, false}, Way{"uevents lost", 0.1, 0, false, false},
        Way{"uevents twice", 0, 0.2, false, false}, Way{"disks pulled", 0, 0, true, false},
        Way{"answers late", 0, 0, false, true}}) {
    ShuffleOptions shuffled;
    shuffled.plays = options.plays;
    shuffled.seed = 20251;
    shuffled.every_order = false;
    shuffled.drop = way.drop;
    shuffled.duplicate = way.duplicate;
    shuffled.remove = way.remove;
    shuffled.late = way.late;
    const Shuffled result = shuffle(*hardware, shuffled);
    if (result.violation) {
      return fmt::format("{}: {}", way.name, story(*result.violation));
    }
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Settings options;
  CLI::App app{"Replays recordings and plays them in other orders.", "replay_logs"};
  app.add_option("log", options.logs, "recordings")->required();
  app.add_flag("--update", options.update, "rewrite the expected states");
  app.add_option("--plays", options.plays, "orders in each way")->capture_default_str();
  app.add_option("--times", options.times, "replays of each")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  std::size_t passed = 0;
  std::size_t failed = 0;
  for (const auto& log : options.logs) {
    const auto recording = read_recording(log);
    std::string wrong = recording ? check_replay(*recording, options) : recording.error().text;
    if (wrong.empty()) {
      wrong = check_orders(*recording, options);
    }
    if (wrong.empty()) {
      ++passed;
    } else {
      ++failed;
      fmt::print("{}: {}\n", log, wrong);
    }
  }
  fmt::print("{} passed, {} failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
