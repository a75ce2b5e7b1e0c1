#include "daemon/board.h"

#include <fmt/format.h>

#include "daemon/engine.h"

namespace muster {
namespace {

// Texts hold names from disks: nothing that moves a cursor leaves here. A line that is too long is
// cut, and shows it.
std::string clean(std::string_view text, std::size_t width) {
  std::string result;
  for (const char c : text) {
    result.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
  }
  if (result.size() > width) {
    std::size_t end = width > 2 ? width - 2 : 0;
    while (end > 0 && (static_cast<unsigned char>(result[end]) & 0xc0U) == 0x80) {
      --end;
    }
    result.resize(end);
    result += "..";
  }
  return result;
}

std::string_view mark(State state) {
  switch (state) {
    case State::ready:
      return "[ ok ]";
    case State::working:
      return "[ .. ]";
    case State::waiting:
      return "[wait]";
    case State::impossible:
      return "[ NO ]";
    case State::broken:
      return "[FAIL]";
  }
  return "[    ]";
}

}  // namespace

std::string board_text(const Engine& engine, std::size_t width) {
  const World& world = engine.world();
  std::string out;
  const auto line = [&](const std::string& text) { out += clean(text, width) + "\n"; };
  line(fmt::format("muster: {}, {}", to_string(world.plan().mode), to_string(world.phase())));
  for (const auto& diagnostic : world.plan().diagnostics) {
    line("  ! " + to_text(diagnostic));
  }
  for (const auto& [id, thing] : world.things()) {
    if (!thing.requirement) {
      continue;
    }
    if (thing.state == State::ready) {
      line(fmt::format("{} {}", mark(thing.state), thing.what));
      continue;
    }
    // "since" is a point in time, not a span: the board is redrawn when a fact changes, not every
    // second.
    line(fmt::format("{} {}: {} (since {:.1f} s)", mark(thing.state), thing.what, thing.why,
                     static_cast<double>(thing.since) / 1e6));
    for (const auto& needed : thing.needs) {
      if (const Thing* below = world.thing(needed);
          below != nullptr && below->state != State::ready) {
        line(fmt::format("         {}: {}", below->what, below->why));
      }
    }
  }
  for (const auto& [id, thing] : world.things()) {
    if (thing.state == State::broken && !thing.requirement) {
      line(fmt::format("{} {}: {}", mark(thing.state), thing.what, thing.why));
    }
  }
  if (const Thing* launch = world.thing("launch")) {
    line(fmt::format("{} {}: {}", mark(launch->state), launch->what, launch->why));
  }
  for (const auto& report : engine.reports()) {
    line("  - " + report);
  }
  return out;
}

}  // namespace muster
