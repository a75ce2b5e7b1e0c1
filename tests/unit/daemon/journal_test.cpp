#include "daemon/journal.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>

#include "daemon/json_line.h"
#include "tests/support/temp_tree.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;
using testing::TempTree;

JournalWriter open(const std::string& path, std::size_t limit = JournalWriter::kLimit) {
  auto writer = JournalWriter::open(path, {{"muster", "1"}, {"kernel", "6.1"}}, limit);
  EXPECT_TRUE(writer);
  return std::move(*writer);
}

void write(JournalWriter& writer, const std::string& line) {
  if (writer.due()) {
    EXPECT_TRUE(writer.begin_segment({{"snapshot", "of the engine"}}));
  }
  writer.add(line + "\n");
  EXPECT_TRUE(writer.flush());
}

constexpr const char* kHeader = R"({"journal":1,"kernel":"6.1","muster":"1","segment":1})";

std::vector<std::string> names_in(const TempTree& tree) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(tree.path())) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(JournalWriter, BeginsWithItsHeaderAndWritesBatches) {
  const TempTree tree;
  auto writer = open(tree.path("/run/muster/journal.jsonl"));
  writer.add("{\"a\":1}\n");
  writer.add("{\"b\":2}\n");
  EXPECT_EQ(tree.text("/run/muster/journal.jsonl"), std::string(kHeader) + "\n");
  EXPECT_TRUE(writer.flush());
  EXPECT_EQ(tree.text("/run/muster/journal.jsonl"),
            std::string(kHeader) + "\n{\"a\":1}\n{\"b\":2}\n");
}

TEST(JournalWriter, AnEarlierJournalIsKeptUnderTheNextNumber) {
  TempTree tree;
  tree.file("/journal.jsonl", "first\n").file("/journal.jsonl.1", "segment\n");
  {
    auto writer = open(tree.path("/journal.jsonl"));
  }
  EXPECT_EQ(tree.text("/journal.1.jsonl"), "first\n");
  EXPECT_EQ(tree.text("/journal.1.jsonl.1"), "segment\n");
  {
    auto writer = open(tree.path("/journal.jsonl"));
  }
  EXPECT_EQ(tree.text("/journal.2.jsonl"), std::string(kHeader) + "\n");
  EXPECT_THAT(names_in(tree), ElementsAre("journal.1.jsonl", "journal.1.jsonl.1", "journal.2.jsonl",
                                          "journal.jsonl"));
}

TEST(JournalWriter, WhatIsNoRegularFileIsRefusedAndLeftAlone) {
  const TempTree tree;
  std::filesystem::create_directories(tree.path("/directory.jsonl"));
  ASSERT_EQ(::mkfifo(tree.path("/fifo.jsonl").c_str(), 0600), 0);
  ASSERT_EQ(::mknod(tree.path("/device.jsonl").c_str(), S_IFCHR | 0600, makedev(1, 3)), 0)
      << "needs root";
  std::filesystem::create_symlink("/dev/null", tree.path("/link.jsonl"));
  const auto before = names_in(tree);
  for (const char* name : {"/directory.jsonl", "/fifo.jsonl", "/device.jsonl", "/link.jsonl"}) {
    const auto type = std::filesystem::symlink_status(tree.path(name)).type();
    const auto writer = JournalWriter::open(tree.path(name), Json::object());
    ASSERT_FALSE(writer) << name;
    EXPECT_EQ(writer.error().text,
              "journal " + tree.path(name) + ": what lies there is not a file and is left alone");
    EXPECT_EQ(std::filesystem::symlink_status(tree.path(name)).type(), type) << name;
  }
  EXPECT_EQ(names_in(tree), before);
}

TEST(JournalWriter, OfVeryManyJournalsTheFirstAndTheLastStay) {
  TempTree tree;
  for (int i = 0; i < 30; ++i) {
    auto writer = open(tree.path("/journal.jsonl"));
    write(writer, "{\"number\":" + std::to_string(i) + "}");
  }
  const auto names = names_in(tree);
  EXPECT_EQ(names.size(), 17);  // eight, eight, and the present one
  EXPECT_THAT(tree.text("/journal.1.jsonl"), ::testing::HasSubstr("\"number\":0}"));
  EXPECT_THAT(tree.text("/journal.8.jsonl"), ::testing::HasSubstr("\"number\":7}"));
  EXPECT_THAT(tree.text("/journal.22.jsonl"), ::testing::HasSubstr("\"number\":21}"));
  EXPECT_THAT(tree.text("/journal.29.jsonl"), ::testing::HasSubstr("\"number\":28}"));
  EXPECT_FALSE(std::filesystem::exists(tree.path("/journal.9.jsonl")));
}

TEST(JournalWriter, AtTheLimitANewSegmentBeginsWithTheStateBeforeIt) {
  const TempTree tree;
  auto writer = open(tree.path("/j.jsonl"), 100);
  const std::string line = "{\"x\":\"" + std::string(80, 'x') + "\"}";
  write(writer, line);
  EXPECT_FALSE(writer.due());
  write(writer, line);
  EXPECT_TRUE(writer.due());
  EXPECT_THAT(names_in(tree), ElementsAre("j.jsonl"));
  write(writer, line);
  EXPECT_EQ(tree.text("/j.jsonl.1"), std::string(kHeader) + "\n" + line + "\n" + line + "\n");
  EXPECT_EQ(tree.text("/j.jsonl"),
            R"({"journal":1,"kernel":"6.1","muster":"1","segment":2,"snapshot":"of the engine"})"
            "\n" +
                line + "\n");
  write(writer, line);
  write(writer, line);
  EXPECT_THAT(tree.text("/j.jsonl.1"), ::testing::HasSubstr("\"segment\":2"));
  EXPECT_THAT(names_in(tree), ElementsAre("j.jsonl", "j.jsonl.1"));
}

// With thousands of disks the state is longer than the limit: it is not to be written after every
// few events.
TEST(JournalWriter, ASegmentMayGrowAsLongAsTheStateInItsHeader) {
  const TempTree tree;
  auto writer = open(tree.path("/j.jsonl"), 100);
  const std::string line = "{\"x\":\"" + std::string(200, 'x') + "\"}\n";
  writer.add(line);
  EXPECT_TRUE(writer.due());
  ASSERT_TRUE(writer.begin_segment({{"snapshot", std::string(1000, 's')}}));
  for (int i = 0; i < 6; ++i) {
    EXPECT_FALSE(writer.due());
    writer.add(line);
    EXPECT_TRUE(writer.flush());
  }
  EXPECT_TRUE(writer.due());
  ASSERT_TRUE(writer.begin_segment({{"snapshot", "small again"}}));
  EXPECT_FALSE(writer.due());
  writer.add(line);
  EXPECT_TRUE(writer.due());
}

TEST(JournalWriter, WhatWasAddedBelongsToTheSegmentBefore) {
  const TempTree tree;
  auto writer = open(tree.path("/j.jsonl"), 10);
  writer.add("{\"first\":1}\n");
  EXPECT_TRUE(writer.due());
  EXPECT_TRUE(writer.begin_segment(Json::object()));
  writer.add("{\"second\":1}\n");
  EXPECT_TRUE(writer.flush());
  EXPECT_THAT(tree.text("/j.jsonl.1"), ::testing::EndsWith("{\"first\":1}\n"));
  EXPECT_THAT(tree.text("/j.jsonl"), ::testing::EndsWith("\"segment\":2}\n{\"second\":1}\n"));
}

TEST(JournalWriter, ALineOrAStateAboveEveryLimitEndsNothing) {
  const TempTree tree;
  auto writer = open(tree.path("/j.jsonl"), 10);
  writer.add("{\"x\":\"" + std::string(1000, 'x') + "\"}\n");  // above the limit, and readable
  EXPECT_TRUE(writer.flush());
  EXPECT_TRUE(writer.due());
  EXPECT_TRUE(writer.begin_segment({{"snapshot", std::string(1000, 's')}}));
  EXPECT_FALSE(writer.due()) << "a large header alone is no reason for the next segment";
  writer.add("{\"x\":\"" + std::string(JournalReader::kMaxLine, 'x') + "\"}\n");
  writer.add("{\"lost\":1}\n");
  EXPECT_TRUE(writer.flush());
  EXPECT_TRUE(writer.due());
  EXPECT_THAT(tree.text("/j.jsonl"), ::testing::Not(::testing::HasSubstr("lost")));
  EXPECT_TRUE(writer.begin_segment({{"snapshot", std::string(JournalReader::kMaxLine, 's')}}));
  EXPECT_EQ(tree.text("/j.jsonl"),
            R"({"journal":1,"kernel":"6.1","muster":"1","segment":3,"snapshot":null})"
            "\n");
}

TEST(JournalWriter, ASegmentWhoseBeginningWasCutShortByAKillIsNotLost) {
  TempTree tree;
  tree.file("/journal.jsonl.1", "before\n").file("/journal.jsonl.next", "begun\n");
  {
    auto writer = open(tree.path("/journal.jsonl"));
  }
  EXPECT_EQ(tree.text("/journal.1.jsonl.1"), "before\n");
  EXPECT_EQ(tree.text("/journal.1.jsonl"), "begun\n");
  tree.file("/journal.jsonl.next", "half");
  {
    auto writer = open(tree.path("/journal.jsonl"));
  }
  EXPECT_THAT(names_in(tree), ElementsAre("journal.1.jsonl", "journal.1.jsonl.1", "journal.2.jsonl",
                                          "journal.jsonl"));
}

TEST(JournalWriter, WithoutMemoryThePresentSegmentStays) {
  TempTree tree;
  auto writer = open(tree.path("/j.jsonl"), 10);
  write(writer, "{\"a\":\"0123456789\"}");
  tree.file("/j.jsonl.next/in/the/way", "");
  EXPECT_TRUE(writer.due());
  EXPECT_FALSE(writer.begin_segment(Json::object()));
  EXPECT_FALSE(writer.due()) << "not again at once";
  writer.add("{\"b\":1}\n");
  EXPECT_TRUE(writer.flush());
  EXPECT_TRUE(writer.due());
  EXPECT_EQ(tree.text("/j.jsonl"), std::string(kHeader) + "\n{\"a\":\"0123456789\"}\n{\"b\":1}\n");
}

TEST(JournalWriter, TheFilesOfABootAreKnownOldestFirst) {
  TempTree tree;
  EXPECT_THAT(journal_files(tree.path("/journal.jsonl")), ::testing::IsEmpty());
  for (const auto* name : {"/journal.jsonl", "/journal.jsonl.1", "/journal.2.jsonl",
                           "/journal.10.jsonl", "/journal.10.jsonl.1", "/journal.x.jsonl"}) {
    tree.file(name, "");
  }
  EXPECT_THAT(journal_files(tree.path("/journal.jsonl")),
              ElementsAre(tree.path("/journal.2.jsonl"), tree.path("/journal.10.jsonl.1"),
                          tree.path("/journal.10.jsonl"), tree.path("/journal.jsonl.1"),
                          tree.path("/journal.jsonl")));
}

TEST(JournalWriter, WhatCannotBeWrittenIsAnErrorThatNamesTheFile) {
  EXPECT_EQ(JournalWriter::open("/proc/muster/journal.jsonl", {}).error().text,
            "journal /proc/muster/journal.jsonl: No such file or directory");
}

TEST(JournalReader, GivesLinesWithTheirNumbers) {
  TempTree tree;
  tree.file("/j", "{\"a\":1}\n{\"b\":\"\\n\"}\n");
  auto reader = JournalReader::open(tree.path("/j"));
  ASSERT_TRUE(reader);
  const auto first = reader->next().value().value();
  EXPECT_EQ(first.number, 1);
  EXPECT_EQ(first.json, Json({{"a", 1}}));
  const auto second = reader->next().value().value();
  EXPECT_EQ(second.number, 2);
  EXPECT_EQ(second.json, Json({{"b", "\n"}}));
  EXPECT_FALSE(reader->next().value());
  EXPECT_FALSE(reader->cut_off());
  EXPECT_EQ(JournalReader::open("/nonexistent").error().text,
            "/nonexistent: No such file or directory");
}

TEST(JournalReader, LinesLongerThanABufferAndACutOffEnd) {
  TempTree tree;
  const std::string longer(300'000, 'y');
  tree.file("/j", "{\"a\":\"" + longer + "\"}\n{\"b\":1}\n{\"cut\":");
  auto reader = JournalReader::open(tree.path("/j")).value();
  EXPECT_EQ(reader.next().value().value().json["a"], longer);
  EXPECT_EQ(reader.next().value().value().json["b"], 1);
  EXPECT_FALSE(reader.next().value());
  EXPECT_TRUE(reader.cut_off());
}

TEST(JournalReader, ABadLineIsNamedAndTheNextOneIsRead) {
  TempTree tree;
  tree.file("/j", "{\"a\":1}\nnot json\n[1]\n\xff\n" + std::string(100, '[') + "\n{\"b\":1}\n");
  auto reader = JournalReader::open(tree.path("/j")).value();
  EXPECT_TRUE(reader.next());
  EXPECT_EQ(reader.next().error().text, "line 2: not JSON");
  EXPECT_EQ(reader.next().error().text, "line 3: not a JSON object");
  EXPECT_EQ(reader.next().error().text, "line 4: not JSON");
  EXPECT_EQ(reader.next().error().text, "line 5: nested more than 64 deep");
  EXPECT_EQ(reader.next().value().value().number, 6);
}

TEST(JournalReader, ALineWithoutEndIsNotRead) {
  TempTree tree;
  tree.file("/j", std::string(JournalReader::kMaxLine + 100'000, '{'));
  auto reader = JournalReader::open(tree.path("/j")).value();
  EXPECT_EQ(reader.next().error().text, "line 1: longer than 16777216 bytes");
  EXPECT_FALSE(reader.next().value());
}

TEST(JsonLine, IsAlwaysValidUtf8) {
  EXPECT_EQ(to_line({{"a", "\xff\xc3\xa9"}}), "{\"a\":\"\xef\xbf\xbd\xc3\xa9\"}");
  EXPECT_TRUE(object_from_line(to_line({{"a", std::string("\0\x1b\xc0\n", 4)}})));
}

TEST(JsonLine, BracketsInStringsAreNoNesting) {
  EXPECT_TRUE(object_from_line("{\"a\":\"" + std::string(1000, '[') + "\\\"[\"}"));
}

}  // namespace
}  // namespace muster
