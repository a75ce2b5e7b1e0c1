#include "daemon/board.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "daemon/engine.h"
#include "daemon/explain.h"

namespace muster {
namespace {

constexpr std::size_t kMaxDepth = 6;

// Texts hold names from disks: nothing that moves a cursor leaves here.
std::string clean(std::string_view text) {
  std::string result;
  for (const char c : text) {
    result.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
  }
  return result;
}

// Broken at blanks where it can be; what continues a line is indented.
void wrap(std::string_view text, std::size_t width, std::size_t indent, std::string& out) {
  std::size_t room = width;
  while (text.size() > room && room > 16) {
    auto end = text.rfind(' ', room);
    if (end == std::string_view::npos || end < room / 2) {
      end = room;
    }
    out.append(text.substr(0, end));
    text.remove_prefix(
        std::min(text.size(), end + (end < text.size() && text[end] == ' ' ? 1 : 0)));
    out += "\n" + std::string(indent, ' ');
    room = width - indent;
  }
  out.append(text);
  out += "\n";
}

// A point in time, as "since" is.
std::string deadline(const Engine& engine, const Thing& thing) {
  const auto [then, due] = deadline_of(engine, thing);
  return due == 0 ? std::string()
                  : fmt::format("; {} at {:.1f} s", then, static_cast<double>(due) / 1e6);
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
  const auto line = [&](const std::string& text) { wrap(clean(text), width, 9, out); };
  std::set<std::string> told;
  const std::function<void(const Thing&, std::size_t)> below = [&](const Thing& thing,
                                                                   std::size_t depth) {
    for (const auto& need : thing.needs) {
      for (const auto& [needed, perhaps] : needed_things(world, thing, need)) {
        if (needed->state != State::ready && depth < kMaxDepth && told.insert(needed->id).second) {
          line(fmt::format("{:{}}{}{}: {}{}", "", 7 + 2 * depth, perhaps ? "may depend on " : "",
                           needed->what, needed->why, deadline(engine, *needed)));
          below(*needed, depth + 1);
        }
      }
    }
  };
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
    line(fmt::format("{} {}: {}{} (since {:.1f} s)", mark(thing.state), thing.what, thing.why,
                     deadline(engine, thing), static_cast<double>(thing.since) / 1e6));
    below(thing, 1);
  }
  if (world.phase() == Phase::gathering) {
    for (const Thing* driver : storage_without_driver(world)) {
      line(fmt::format("{} {}: {}", mark(driver->state), driver->what, driver->why));
      told.insert(driver->id);
    }
  }
  for (const auto& [id, thing] : world.things()) {
    if (thing.state == State::broken && !thing.requirement && !told.contains(id)) {
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
