// Reading a journal back, whatever it is; and the replay that shows what differs.
#include "daemon/replay/recording.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "daemon/replay/replay.h"

namespace muster::replay {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kHeader = R"({"journal":1,"segment":1,"rules":[]})";
constexpr const char* kFacts = R"({"event":"facts","facts":{},"t":1})";

class File {
 public:
  explicit File(const std::string& text)
      : path_(fmt::format("{}recording_test.{}.jsonl", ::testing::TempDir(), ::getpid())) {
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~File() { ::remove(path_.c_str()); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string error_of(const std::string& text, std::size_t limit = kMaxRecording) {
  const File file(text);
  const auto recording = read_recording(file.path(), limit);
  return recording ? std::string("none") : recording.error().text.substr(file.path().size());
}

std::string log_path(const std::string& name) {
  return fmt::format("{}/tests/replay/logs/{}.jsonl", MUSTER_SOURCE_DIR, name);
}

TEST(RecordingTest, NamesTheLineOfWhatIsNoJournal) {
  const std::string header = std::string(kHeader) + "\n";
  struct Case {
    std::string text;
    std::string error;
  };
  const std::vector<Case> cases = {
      {"", ": line 1: not a journal: it is empty"},
      {"hello", ": line 1: not a journal: it ends within its first line"},
      {"hello\n", ": line 1: "},
      {R"({"event":"facts"})"
       "\n",
       ": line 1: not a journal: the first line is no header"},
      {R"({"journal":2,"rules":[]})"
       "\n",
       ": line 1: a journal of version 2; this program reads version 1"},
      {R"({"journal":"1","rules":[]})"
       "\n",
       ": line 1: a journal of version \"1\""},
      {R"({"journal":1})"
       "\n",
       ": line 1: the header holds no rules"},
      {R"({"journal":1,"rules":[{"name":1}]})"
       "\n",
       ": line 1: the header holds no rules"},
      {header + "[1]\n", ": line 2: "},
      {header + "{\"a\":1}\n", ": line 2: neither a header, an event nor an effect"},
      {header + R"({"effect":"x","handler":"h","id":1,"subject":"","arguments":{},"t":1})"
                "\n",
       ": line 2: an effect before the first event"},
      {header + R"({"event":"nonsense","t":1})"
                "\n",
       ": line 2: not an event: "},
      {header + kFacts + "\n" + R"({"effect":"x","t":1})" + "\n", ": line 3: not an effect: "},
      {header + kFacts + "\n{\"event\":\"facts\",\"facts\":{}\n", ": line 3: "},
      {header + "{\"event\":\"\xff\xfe\"}\n", ": line 2: "},
      {header + std::string(100'000, '[') + "\n", ": line 2: "},
  };
  for (const auto& each : cases) {
    EXPECT_THAT(error_of(each.text), StartsWith(each.error)) << each.text.substr(0, 60);
  }
}

TEST(RecordingTest, RefusesWhatWouldNotFitIntoMemory) {
  EXPECT_THAT(error_of(std::string(kHeader) + "\n" + std::string(5'000'000, ' '), 4'000'000),
              HasSubstr("is not read"));
  const File long_line(std::string(kHeader) + "\n" + std::string(20'000'000, 'x') + "\n");
  const auto recording = read_recording(long_line.path());
  ASSERT_FALSE(recording);
  EXPECT_THAT(recording.error().text, HasSubstr("line 2: longer than"));
}

TEST(RecordingTest, ReadsWhatIsNoRegularFileNotAtAll) {
  const auto device = read_recording("/dev/null");
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().text, "/dev/null: not a regular file");
  const auto nothing = read_recording("/nonexistent/journal.jsonl");
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, Errc::not_found);
}

TEST(RecordingTest, ALineThatIsCutOffIsLeftOut) {
  const File file(std::string(kHeader) + "\n" + kFacts + "\n" + R"({"event":"dev)");
  const auto recording = read_recording(file.path());
  ASSERT_TRUE(recording) << recording.error().text;
  EXPECT_TRUE(recording->cut_off);
  EXPECT_EQ(recording->events(), 1U);
}

TEST(RecordingTest, IsWrittenAsItWasRead) {
  const auto recording = read_recording(log_path("order_1"));
  ASSERT_TRUE(recording) << recording.error().text;
  std::ifstream file(log_path("order_1"), std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  ASSERT_EQ(recording->segments.size(), 1U);
  EXPECT_EQ(to_text(recording->segments.front()), text.str());
}

// A power cut ends it anywhere, also between an event and what came of it.
TEST(ReplayTest, WhatIsCutOffDoesNotDiffer) {
  std::ifstream log(log_path("order_1"), std::ios::binary);
  std::string text;
  std::size_t effects = 0;
  for (std::string line; std::getline(log, line);) {
    if (line.find("\"effect\":") != std::string::npos && ++effects % 16 == 0) {
      const File file(text + line.substr(0, line.size() / 2));
      const auto recording = read_recording(file.path());
      ASSERT_TRUE(recording) << recording.error().text;
      const auto replayed = replay(*recording);
      ASSERT_TRUE(replayed) << replayed.error().text;
      EXPECT_FALSE(replayed->difference) << difference_text(*recording, *replayed->difference);
    }
    text += line + "\n";
  }
  ASSERT_GT(effects, 100U);
  // A whole effect that is not as it was is one nevertheless.
  const File file(text + "{");
  auto recording = read_recording(file.path());
  ASSERT_TRUE(recording) << recording.error().text;
  ASSERT_FALSE(recording->segments.front().steps.back().effects.empty());
  recording->segments.front().steps.back().effects.back().id += 1;
  const auto replayed = replay(*recording);
  ASSERT_TRUE(replayed);
  EXPECT_TRUE(replayed->difference);
}

TEST(ReplayTest, ShowsTheFirstDifferenceAndWhatLedThere) {
  auto recording = read_recording(log_path("order_1"));
  ASSERT_TRUE(recording) << recording.error().text;
  // A hand changed the number that an array was to get.
  for (auto& step : recording->segments.front().steps) {
    for (auto& effect : step.effects) {
      if (effect.handler == "md" && effect.verb == "assemble") {
        effect.arguments["number"] = 99;
        const auto replayed = replay(*recording);
        ASSERT_TRUE(replayed);
        ASSERT_TRUE(replayed->difference);
        const auto text = difference_text(*recording, *replayed->difference);
        EXPECT_THAT(text, HasSubstr(fmt::format("line {}: ", step.line + 1)));
        EXPECT_THAT(text, HasSubstr("\"/number\""));
        EXPECT_THAT(text, HasSubstr("because of:\n"));
        EXPECT_THAT(text, HasSubstr("probe read"));
        EXPECT_THAT(text, HasSubstr("uevent add /devices/"));
        return;
      }
    }
  }
  FAIL() << "the recording assembles nothing";
}

TEST(ReplayTest, AMissingAndAnAdditionalEffectDiffer) {
  auto recording = read_recording(log_path("order_1"));
  ASSERT_TRUE(recording);
  auto& steps = recording->segments.front().steps;
  auto& last = steps.back();
  last.effects.push_back(Effect{.id = 1,
                                .handler = "md",
                                .verb = "x",
                                .subject = {},
                                .arguments = {},
                                .deadline_ms = 0,
                                .lane = {}});
  auto replayed = replay(*recording);
  ASSERT_TRUE(replayed->difference);
  EXPECT_TRUE(replayed->difference->recorded);
  EXPECT_FALSE(replayed->difference->replayed);
  last.effects.clear();
  steps.front().effects.clear();
  replayed = replay(*recording);
  ASSERT_TRUE(replayed->difference);
  EXPECT_FALSE(replayed->difference->recorded);
  EXPECT_TRUE(replayed->difference->replayed);
}

TEST(ReplayTest, EndsWhereItIsTold) {
  const auto recording = read_recording(log_path("order_1"));
  ASSERT_TRUE(recording);
  EXPECT_EQ(replay(*recording, {.events = 17, .time = {}})->events, 17U);
  const Micros moment = recording->segments.front().steps[40].event.time;
  const auto replayed = replay(*recording, {.events = {}, .time = moment});
  EXPECT_GE(replayed->events, 41U);
  EXPECT_LT(replayed->events, recording->events());
}

}  // namespace
}  // namespace muster::replay
