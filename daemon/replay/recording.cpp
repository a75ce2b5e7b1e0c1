#include "daemon/replay/recording.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <numeric>

#include "daemon/event_json.h"
#include "daemon/journal.h"
#include "daemon/json_line.h"

namespace muster::replay {
namespace {

Result<Segment> begin_segment(const JournalReader::Line& line) {
  const Json& json = line.json;
  const auto& version = json.at("journal");
  if (!version.is_number_integer() || version.get<std::int64_t>() != kJournalVersion) {
    return fail(Errc::unsupported,
                fmt::format("line {}: a journal of version {}; this program reads version {}",
                            line.number, to_line(version), kJournalVersion));
  }
  Segment segment;
  segment.line = line.number;
  try {
    for (const auto& source : json.at("rules")) {
      segment.rules.push_back(
          {source.at("name").get<std::string>(), source.at("text").get<std::string>()});
    }
  } catch (const Json::exception&) {
    return fail(Errc::invalid,
                fmt::format("line {}: the header holds no rules (\"rules\")", line.number));
  }
  segment.header = json;
  return segment;
}

Result<void> add_line(Recording& recording, const JournalReader::Line& line) {
  const Json& json = line.json;
  if (json.contains("journal")) {
    auto segment = begin_segment(line);
    if (!segment) {
      return tl::unexpected(segment.error());
    }
    recording.segments.push_back(std::move(*segment));
    return {};
  }
  if (recording.segments.empty()) {
    return fail(Errc::invalid,
                fmt::format("line {}: not a journal: the first line is no header (\"journal\")",
                            line.number));
  }
  auto& steps = recording.segments.back().steps;
  if (json.contains("event")) {
    auto event = event_from_json(json);
    if (!event) {
      return tl::unexpected(event.error().within(fmt::format("line {}", line.number)));
    }
    steps.push_back({line.number, std::move(*event), {}});
    return {};
  }
  if (json.contains("effect")) {
    auto effect = effect_from_json(json);
    if (!effect) {
      return tl::unexpected(effect.error().within(fmt::format("line {}", line.number)));
    }
    if (steps.empty()) {
      return fail(Errc::invalid,
                  fmt::format("line {}: an effect before the first event", line.number));
    }
    steps.back().effects.push_back(std::move(*effect));
    return {};
  }
  return fail(Errc::invalid,
              fmt::format("line {}: neither a header, an event nor an effect", line.number));
}

}  // namespace

std::size_t Recording::events() const {
  return std::accumulate(
      segments.begin(), segments.end(), std::size_t{0},
      [](std::size_t sum, const Segment& each) { return sum + each.steps.size(); });
}

std::size_t Recording::effects() const {
  std::size_t sum = 0;
  for (const auto& segment : segments) {
    for (const auto& step : segment.steps) {
      sum += step.effects.size();
    }
  }
  return sum;
}

Result<Recording> read_recording(const std::string& path, std::size_t limit) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return fail_errno(path, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(Errc::invalid, fmt::format("{}: not a regular file", path));
  }
  if (static_cast<std::uint64_t>(status.st_size) > limit) {
    return fail(Errc::unsupported,
                fmt::format("{}: {} bytes; a recording of more than {} MiB is not read", path,
                            status.st_size, limit / 1024 / 1024));
  }
  auto reader = JournalReader::open(path);
  if (!reader) {
    return tl::unexpected(reader.error());
  }
  Recording recording;
  recording.name = path;
  for (;;) {
    auto line = reader->next();
    if (!line) {
      return tl::unexpected(line.error().within(path));
    }
    if (!*line) {
      break;
    }
    if (auto added = add_line(recording, **line); !added) {
      return tl::unexpected(added.error().within(path));
    }
  }
  recording.cut_off = reader->cut_off();
  if (recording.segments.empty()) {
    return fail(Errc::invalid,
                fmt::format("{}: line 1: not a journal: {}", path,
                            recording.cut_off ? "it ends within its first line" : "it is empty"));
  }
  return recording;
}

std::string to_text(const Segment& segment) {
  std::string text = to_line(segment.header) + "\n";
  for (const auto& step : segment.steps) {
    text += to_line(to_json(step.event)) + "\n";
    for (const auto& effect : step.effects) {
      text += to_line(to_json(effect, step.event.time)) + "\n";
    }
  }
  return text;
}

}  // namespace muster::replay
