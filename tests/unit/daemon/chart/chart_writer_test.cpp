// The files: well-formed by a real parser, whatever names and texts a recording holds; the same
// bytes each time; bounded.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "daemon/chart/chart.h"
#include "tests/support/boot_recording.h"
#include "tests/support/temp_tree.h"

namespace muster::chart {
namespace {

std::string drawn(const replay::Recording& recording, Format format) {
  const auto text = chart(recording, format);
  EXPECT_TRUE(text) << (text ? "" : text.error().text);
  return text ? *text : std::string();
}

// Writes both files and has them read.
void expect_well_formed(const replay::Recording& recording) {
  const auto directory =
      std::filesystem::path(::testing::TempDir()) / fmt::format("muster-chart-{}", ::getpid());
  std::filesystem::create_directories(directory);
  const auto svg = directory / "chart.svg";
  const auto html = directory / "chart.html";
  std::ofstream(svg) << drawn(recording, Format::svg);
  std::ofstream(html) << drawn(recording, Format::html);
  const auto command = fmt::format("python3 '{}/tests/unit/daemon/chart/well_formed.py' '{}' '{}'",
                                   MUSTER_SOURCE_DIR, svg.string(), html.string());
  EXPECT_EQ(std::system(command.c_str()), 0) << recording.name;
  std::filesystem::remove_all(directory);
}

replay::Recording recorded(const std::string& name) {
  auto recording = replay::read_recording(std::string(MUSTER_SOURCE_DIR) + "/tests/replay/logs/" +
                                          name + ".jsonl");
  EXPECT_TRUE(recording) << (recording ? "" : recording.error().text);
  return recording ? *recording : replay::Recording();
}

TEST(ChartWriter, RealBootsAreWellFormed) {
  for (const auto* name : {"order_1", "member_never_comes", "pulled_members"}) {
    expect_well_formed(recorded(name));
  }
}

TEST(ChartWriter, FromNothingToFiveHundredDisks) {
  expect_well_formed(test::recording_of("", {}));
  expect_well_formed(test::large_boot({.disks = 1}));
  expect_well_formed(test::large_boot({.disks = 5}));
  const auto large = test::large_boot({.disks = 500, .slow = 300});
  expect_well_formed(large);
  const auto svg = drawn(large, Format::svg);
  const auto height = svg.substr(svg.find(" height=\"") + 9, 8);
  EXPECT_LT(std::stod(height), 2000);
  EXPECT_LT(svg.size(), 600'000U);
}

TEST(ChartWriter, HostileNames) {
  const std::string names[] = {
      "</text></svg><script>alert(1)</script>",
      "\"' onload='alert(1)' x=\"",
      "]]>&amp;&#0;<!--",
      std::string("\0\x01\x1b[2J\r\n\x7f", 8),
      "\xff\xfe\xc3\x28\xed\xa0\x80\xf4\x90\x80\x80",
      "\xe2\x80\xae"
      "evil\xe2\x80\xa6",
      std::string(100'000, 'A'),
  };
  for (const auto& name : names) {
    std::vector<Event> events;
    const auto plain = test::large_boot({.disks = 3, .serial_prefix = name});
    for (const auto& step : plain.segments.front().steps) {
      events.push_back(step.event);
      auto& body = events.back().body;
      if (auto* done = std::get_if<EffectDone>(&body)) {
        if (done->id % 5 == 4) {
          done->ok = false;
          done->error = name;
        } else if (done->id % 5 == 3 && done->result.is_object()) {
          done->result["kernel"] = Json::array({name});
          done->result["took_us"] = name;
        }
      }
    }
    DeviceEvent device;
    device.devpath = "/devices/" + name + "/block/" + name;
    device.subsystem = "block";
    device.properties = {{"MAJOR", "8"},
                         {"MINOR", "240"},
                         {"MODALIAS", name},
                         {"DEVNAME", name},
                         {"DEVTYPE", "disk"}};
    events.push_back({5'000'000, device});
    device.devpath = "/devices/odd/" + name;
    device.subsystem = name;
    events.push_back({5'000'100, device});
    events.push_back({5'000'200, Command{1, name, {{"subject", name}}}});
    events.push_back({5'000'300, EventsLost{name}});
    events.push_back({5'000'400, EffectLate{123456}});
    events.push_back({5'000'500, TimerDue{name}});
    auto recording = test::recording_of(name, events);
    recording.segments.front().header["kernel"] = name;
    expect_well_formed(recording);
  }
}

TEST(ChartWriter, TheSameBytesEachTime) {
  const auto recording = recorded("pulled_members");
  for (const auto format : {Format::svg, Format::html}) {
    EXPECT_TRUE(drawn(recording, format) == drawn(recorded("pulled_members"), format));
  }
}

TEST(ChartWriter, SvgSaysWhatCounts) {
  const auto svg = drawn(recorded("order_1"), Format::svg);
  for (const auto* text : {">Launched at ", " after the last hardware it needed (",
                           ">critical path<", "prefers-color-scheme:dark", ": examine&#10;"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
  EXPECT_EQ(svg.find(">late<"), std::string::npos);
}

TEST(ChartFormat, ByTheName) {
  EXPECT_EQ(*format_of("a/b.svg"), Format::svg);
  EXPECT_EQ(*format_of("b.html"), Format::html);
  EXPECT_EQ(*format_of("b.htm"), Format::html);
  const auto none = format_of("b.png");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().text, "\"b.png\": its name must end in .svg or .html");
}

}  // namespace
}  // namespace muster::chart
