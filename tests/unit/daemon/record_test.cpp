#include "daemon/record.h"

#include <gmock/gmock.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <thread>

#include "daemon/journal.h"
#include "tests/support/temp_tree.h"

namespace muster {
namespace {

using testing::TempTree;

RecordSettings settings_in(const TempTree& tree) {
  RecordSettings settings;
  settings.journal = tree.path("/run/journal.jsonl");
  settings.output = tree.path("/media/boot.jsonl");
  return settings;
}

std::string error_of(const RecordSettings& settings) {
  const auto recorded = record_journal(settings);
  return recorded ? std::string("recorded") : recorded.error().text;
}

TEST(Record, JoinsAllSegmentsOldestFirstAndLeavesOutWhatIsCutOff) {
  TempTree tree;
  tree.file("/run/journal.1.jsonl.1", "{\"a\":1}\n")
      .file("/run/journal.1.jsonl", "{\"b\":1}\n{\"cut");
  tree.file("/run/journal.jsonl.1", "{\"c\":1}\n").file("/run/journal.jsonl", "{\"d\":1}\n{\"ha");
  tree.file("/media/other", "");
  const auto recorded = record_journal(settings_in(tree));
  ASSERT_TRUE(recorded) << recorded.error().text;
  EXPECT_EQ(recorded->files, 4U);
  EXPECT_EQ(recorded->bytes, 32U);
  EXPECT_EQ(tree.text("/media/boot.jsonl"), "{\"a\":1}\n{\"b\":1}\n{\"c\":1}\n{\"d\":1}\n");
}

TEST(Record, WhatCannotBeWrittenIsOneClearLine) {
  TempTree tree;
  auto settings = settings_in(tree);
  EXPECT_EQ(error_of(settings), settings.journal + ": there is no journal");
  tree.file("/run/journal.jsonl", "{\"a\":1}\n")
      .file("/media/boot.jsonl", "old, and longer than the new");
  EXPECT_EQ(error_of(settings), settings.output + ": exists already (--force replaces it)");
  EXPECT_EQ(tree.text("/media/boot.jsonl"), "old, and longer than the new");
  settings.force = true;
  EXPECT_EQ(error_of(settings), "recorded");
  EXPECT_EQ(tree.text("/media/boot.jsonl"), "{\"a\":1}\n");

  settings.output = tree.path("/media/link");
  std::filesystem::create_symlink("boot.jsonl", settings.output);
  EXPECT_EQ(error_of(settings), settings.output + ": a symbolic link is not followed");
  settings.output = "/dev/full";
  EXPECT_EQ(error_of(settings), "/dev/full: not a regular file");
  settings.output = tree.path("/nowhere/x");
  EXPECT_EQ(error_of(settings), settings.output + ": No such file or directory");
  ASSERT_EQ(::mkfifo(tree.path("/run/journal.jsonl.1").c_str(), 0600), 0);
  settings = settings_in(tree);
  settings.force = true;
  EXPECT_EQ(error_of(settings), settings.journal + ".1: not a regular file");
}

// A writer goes on through several segments and restarts while it is followed: nothing is lost,
// nothing comes twice, whatever the follower sees of it.
TEST(Record, FollowsThroughSegmentsAndRestarts) {
  TempTree tree;
  tree.file("/media/other", "");
  auto settings = settings_in(tree);
  std::string expected;
  const auto write = [&](JournalWriter& writer, int number) {
    const std::string line = "{\"number\":" + std::to_string(number) + "}\n";
    if (writer.due()) {
      EXPECT_TRUE(writer.begin_segment(Json::object()));
    }
    writer.add(line);
    EXPECT_TRUE(writer.flush());
    expected += line;
  };
  auto writer = JournalWriter::open(settings.journal, Json::object(), 2000).value();
  write(writer, 0);
  const Fd stop(::eventfd(0, EFD_CLOEXEC));
  settings.follow_until = &stop;
  auto recorded = std::async(std::launch::async, [&] { return record_journal(settings); });
  const auto lines_saved = [&] {
    std::string lines;
    auto reader = JournalReader::open(settings.output);
    while (reader) {
      const auto line = reader->next();
      if (!line || !*line) {
        break;
      }
      if ((*line)->json.contains("number")) {
        lines += (*line)->json.dump() + "\n";
      }
    }
    return lines;
  };
  const auto wait_until_saved = [&] {
    const auto due = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (lines_saved() != expected && std::chrono::steady_clock::now() < due) {
      std::this_thread::yield();
    }
    EXPECT_EQ(lines_saved(), expected);
  };
  int number = 1;
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 40; ++i) {  // less than two segments
      write(writer, number++);
    }
    wait_until_saved();
    if (round == 3) {
      writer = JournalWriter::open(settings.journal, Json::object(), 2000).value();
    }
  }
  write(writer, number);
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(stop.get(), &one, sizeof one), 8);
  const auto result = recorded.get();
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(lines_saved(), expected);
  EXPECT_EQ(result->bytes, std::filesystem::file_size(settings.output));
}

}  // namespace
}  // namespace muster
