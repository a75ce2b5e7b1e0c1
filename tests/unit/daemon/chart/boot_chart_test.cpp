// What a chart says of a recording: rows, bars, the critical path and its summary.
#include "daemon/chart/boot_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "daemon/replay/replay.h"
#include "tests/support/boot_recording.h"

namespace muster::chart {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

Chart chart_of(const replay::Recording& recording) {
  auto chart = boot_chart(recording);
  EXPECT_TRUE(chart) << (chart ? "" : chart.error().text);
  return chart ? *chart : Chart();
}

replay::Recording recorded(const std::string& name) {
  auto recording = replay::read_recording(std::string(MUSTER_SOURCE_DIR) + "/tests/replay/logs/" +
                                          name + ".jsonl");
  EXPECT_TRUE(recording) << (recording ? "" : recording.error().text);
  return recording ? *recording : replay::Recording();
}

const Row* row_named(const Chart& chart, Section section, const std::string& title) {
  const auto it = std::find_if(chart.rows.begin(), chart.rows.end(), [&](const Row& row) {
    return row.section == section && row.title == title;
  });
  return it == chart.rows.end() ? nullptr : &*it;
}

std::vector<std::string> titles(const Chart& chart, Section section) {
  std::vector<std::string> result;
  for (const auto& row : chart.rows) {
    if (row.section == section) {
      result.push_back(row.title);
    }
  }
  return result;
}

std::vector<std::string> labels(const Row& row, Kind kind) {
  std::vector<std::string> result;
  for (const auto& bar : row.bars) {
    if (bar.kind == kind) {
      result.push_back(bar.label);
    }
  }
  return result;
}

std::vector<std::string> path_texts(const Chart& chart) {
  std::vector<std::string> result;
  for (const auto& hop : chart.path) {
    result.push_back(hop.text);
  }
  return result;
}

// Whatever the recording.
void expect_sound(const Chart& chart) {
  std::map<std::size_t, const Row*> row_of_bar;
  Section section = Section::drivers;
  for (const auto& row : chart.rows) {
    EXPECT_LE(section, row.section) << row.title;
    section = row.section;
    EXPECT_THAT(row.bars, Not(IsEmpty())) << row.title;
    for (const auto& bar : row.bars) {
      EXPECT_TRUE(row_of_bar.emplace(bar.id, &row).second) << row.title << " " << bar.id;
      EXPECT_LE(bar.start, bar.end) << row.title << " " << bar.label;
      EXPECT_GE(bar.start, chart.begin) << row.title << " " << bar.label;
      EXPECT_LE(bar.end, chart.end) << row.title << " " << bar.label;
    }
  }
  for (const auto& row : chart.rows) {
    for (const auto& bar : row.bars) {
      if (bar.by) {
        EXPECT_TRUE(row_of_bar.contains(*bar.by)) << row.title << " " << bar.label;
      }
    }
  }
  for (std::size_t i = 0; i < chart.path.size(); ++i) {
    const auto& hop = chart.path[i];
    EXPECT_LE(hop.start, hop.end) << hop.text;
    const auto bar = row_of_bar.find(hop.id);
    ASSERT_NE(bar, row_of_bar.end()) << hop.text;
    EXPECT_TRUE(bar->second->critical) << hop.text;
    if (i > 0) {
      EXPECT_EQ(chart.path[i - 1].end, hop.start) << chart.path[i - 1].text << ", " << hop.text;
    }
  }
  if (chart.launched) {
    ASSERT_THAT(chart.path, Not(IsEmpty()));
    EXPECT_EQ(chart.path.back().end, *chart.launched);
  }
}

TEST(BootChart, LaunchWaitsForTheDiskThatCameLast) {
  const auto chart = chart_of(test::large_boot({.disks = 48, .slow = 30}));
  expect_sound(chart);
  EXPECT_THAT(path_texts(chart), ElementsAre("sdae appears", "read sdae", "start md1",
                                             "prepare mondorestore", "start mondorestore"));
  EXPECT_EQ(chart.verdict,
            "Launched at 32.9 s, 0.20 s after the last hardware it needed (sdae, at 32.7 s)");
  EXPECT_THAT(chart.breakdown, StartsWith("Of that: start md1 0.09 s"));
  EXPECT_THAT(titles(chart, Section::arrays), IsSupersetOf({"md0", "md1"}));
  const Row* slow = row_named(chart, Section::disks, "sdae");
  ASSERT_NE(slow, nullptr);
  EXPECT_EQ(slow->identity, "serial SN30, 64 MiB · slot 6 of md1");
  EXPECT_TRUE(slow->critical);
  const Row* other = row_named(chart, Section::disks, "sdaf");
  ASSERT_NE(other, nullptr);
  EXPECT_FALSE(other->critical);
  // The others of its array wait for it; those of the first array do not.
  const auto waited = [&](const char* name) {
    Micros sum = 0;
    for (const auto& bar : row_named(chart, Section::disks, name)->bars) {
      sum += bar.kind == Kind::waiting ? bar.end - bar.start : 0;
    }
    return sum;
  };
  EXPECT_GT(waited("sdaf"), 29'000'000);
  EXPECT_LT(waited("sda"), 2'000'000);
}

TEST(BootChart, RaidModuleIsWhatThisLaunchWaitedFor) {
  // One array: its disks are read long before raid456 is in.
  const auto chart = chart_of(test::large_boot({.disks = 4, .slow = -1}));
  expect_sound(chart);
  EXPECT_THAT(path_texts(chart), IsSupersetOf({"look up raid456", "insert raid456", "start md0"}));
  EXPECT_THAT(chart.breakdown, StartsWith("Of that: driver raid456 0.4"));
}

TEST(BootChart, NothingLaunchedNamesWhatIsMissing) {
  const auto chart = chart_of(test::large_boot({.disks = 24, .medium = false}));
  expect_sound(chart);
  EXPECT_EQ(chart.launched, std::nullopt);
  EXPECT_EQ(chart.verdict, "Not launched: restore medium is waiting (1 of 2 requirements met)");
  EXPECT_THAT(chart.breakdown,
              StartsWith("no disc, stick or disk with the backup seen yet (since 2.00 s: "));
  EXPECT_EQ(chart.path.back().text, "wait for restore medium");
  EXPECT_EQ(chart.path.back().end, chart.end);
}

TEST(BootChart, TheOperatorsWordIsWhatThisLaunchWaitedFor) {
  const auto chart =
      chart_of(test::large_boot({.disks = 24, .medium = false, .go_at = 20'000'000}));
  expect_sound(chart);
  EXPECT_EQ(chart.verdict, "Launched at 20.1 s, 0.08 s after `muster go` at 20.0 s");
  EXPECT_EQ(chart.path.front().text, "muster go");
}

// musterd was killed while mondorestore ran; the next life follows it.
TEST(BootChart, ALaunchBeforeTheRecordingIsNotMissedIn) {
  EffectDone followed;
  followed.ok = true;
  followed.result = {{"success", false}, {"text", "exited with status 1"}};
  std::vector<Event> events{{1'000'000, FactsRead{{{"command_line", "compare_mode"},
                                                   {"mondo-restore.cfg", ""},
                                                   {"launch", "running"}}}}};
  const auto begun = test::recording_of("restarted", events);
  for (const auto& effect : begun.segments.front().steps.front().effects) {
    followed.id = effect.verb == "follow" ? effect.id : followed.id;
  }
  ASSERT_NE(followed.id, 0U);
  events.push_back({3'000'000, followed});
  const auto chart = chart_of(test::recording_of("restarted", events));
  expect_sound(chart);
  EXPECT_EQ(chart.verdict, "mondorestore was started before this recording began");
  EXPECT_EQ(chart.breakdown, "mondorestore ended: exited with status 1");
}

// Recordings are made anew when the engine changes: names and times are taken from them.
TEST(BootChart, RealBootWithAMediumThatComesLast) {
  const auto recording = recorded("medium_late");
  const auto chart = chart_of(recording);
  expect_sound(chart);
  EXPECT_EQ(chart.title, "medium_late.jsonl");
  ASSERT_THAT(titles(chart, Section::media), SizeIs(1));
  const auto medium = titles(chart, Section::media).front();
  EXPECT_THAT(chart.verdict, AllOf(StartsWith("Launched at "),
                                   HasSubstr(" after the last hardware it needed (" + medium)));
  EXPECT_THAT(chart.breakdown, StartsWith("Of that: "));
  EXPECT_THAT(
      path_texts(chart),
      IsSupersetOf({medium + " appears", "read " + medium, "examine " + medium, "mount " + medium,
                    "unpack " + medium, std::string("start mondorestore")}));
  EXPECT_THAT(titles(chart, Section::disks), SizeIs(7));
  EXPECT_THAT(titles(chart, Section::arrays), ElementsAre("md0", "md1", "md_mod.start_ro"));
  EXPECT_THAT(titles(chart, Section::volumes),
              ElementsAre("vg-main/da-ta", "vg-main/home--x", "vg-main/root", "vg-main/span-ning"));
  EXPECT_THAT(titles(chart, Section::requirements), Contains("restore medium"));
  const Row* array = row_named(chart, Section::arrays, "md0");
  EXPECT_THAT(array->identity, StartsWith("\"0\" raid5 "));
  EXPECT_THAT(labels(*array, Kind::assemble), ElementsAre("start"));
  const Row* raid = row_named(chart, Section::drivers, "raid456");
  ASSERT_NE(raid, nullptr);
  EXPECT_THAT(labels(*raid, Kind::driver), IsSupersetOf({"insert raid6_pq", "insert raid456"}));
  // From when it was asked for to when it was answered, as the journal has them.
  EffectId id = 0;
  Micros now = 0;
  Micros sent = 0;
  Micros done = 0;
  for (const auto& step : recording.segments.front().steps) {
    now = std::max(now, step.event.time);
    const auto* answer = std::get_if<EffectDone>(&step.event.body);
    done = answer != nullptr && id != 0 && answer->id == id ? step.event.time : done;
    for (const auto& effect : step.effects) {
      if (effect.verb == "insert" && effect.subject == "raid6_pq") {
        id = effect.id;
        sent = now;
      }
    }
  }
  const auto pq = std::find_if(raid->bars.begin(), raid->bars.end(),
                               [](const Bar& bar) { return bar.label == "insert raid6_pq"; });
  ASSERT_NE(pq, raid->bars.end());
  EXPECT_EQ(pq->start, sent);
  EXPECT_EQ(pq->end, done);
  // Nothing came of most devices: counted, a row for each subsystem.
  EXPECT_THAT(titles(chart, Section::others), IsSupersetOf({"tty", "acpi", "workqueue"}));
  EXPECT_THAT(titles(chart, Section::others), Not(Contains("block")));
}

TEST(BootChart, EveryShippedRecordingIsSound) {
  std::size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(MUSTER_SOURCE_DIR) + "/tests/replay/logs")) {
    if (entry.path().extension() == ".jsonl") {
      SCOPED_TRACE(entry.path());
      const auto chart = chart_of(recorded(entry.path().stem()));
      expect_sound(chart);
      EXPECT_THAT(chart.notes, IsEmpty());
      ++count;
    }
  }
  EXPECT_GE(count, 3U);
}

TEST(BootChart, RealBootThatMissesAMember) {
  const auto chart = chart_of(recorded("member_never_comes"));
  expect_sound(chart);
  EXPECT_EQ(chart.verdict,
            "Not launched: target /dev/vg-main/da-ta is waiting (3 of 5 requirements met)");
  EXPECT_THAT(chart.breakdown,
              AllOf(StartsWith("array \"0\" raid5 "),
                    HasSubstr(": 2 of 3 members; slot 2 not seen; here: slot 0 ")));
  EXPECT_THAT(chart.path.back().text, StartsWith("wait for array \"0\" (raid5, "));
  const Row* array = row_named(chart, Section::arrays, "not started");
  ASSERT_NE(array, nullptr);
  EXPECT_TRUE(array->critical);
}

TEST(BootChart, RealBootInWhichMembersWerePulled) {
  const auto chart = chart_of(recorded("pulled_members"));
  expect_sound(chart);
  std::size_t pulled = 0;
  std::size_t came_back = 0;  // to the same place; elsewhere it is another row
  for (const auto& row : chart.rows) {
    if (row.section == Section::disks && row.trouble) {
      ++pulled;
      const auto lives = labels(row, Kind::arrival).size();
      came_back += lives - 1;
      EXPECT_THAT(labels(row, Kind::removal), SizeIs(1)) << row.title;
      EXPECT_THAT(labels(row, Kind::present), SizeIs(lives)) << row.title;
    }
  }
  EXPECT_EQ(pulled, 3U);
  EXPECT_EQ(came_back, 1U);
  EXPECT_THAT(labels(*row_named(chart, Section::arrays, "md0"), Kind::assemble),
              ElementsAre("start", "stop", "start"));
  // A kernel name that went to another volume: each volume keeps its own bars.
  EXPECT_THAT(labels(*row_named(chart, Section::volumes, "vg-main/da-ta"), Kind::volume),
              ElementsAre("create", "remove", "create", "remove", "create"));
}

TEST(BootChart, EffectsAreKeptWhereTheReplayParts) {
  auto recording = test::large_boot({.disks = 4});
  auto& steps = recording.segments.front().steps;
  const auto reads = [](const Chart& chart) {
    return labels(*row_named(chart, Section::disks, "sda"), Kind::read).size();
  };
  EXPECT_EQ(reads(chart_of(recording)), 1U);
  const auto line = steps[3].line;
  Effect odd;
  odd.id = 9999;
  odd.handler = "odd";
  odd.verb = "do";
  odd.subject = "it";
  steps[3].effects.push_back(std::move(odd));
  const auto chart = chart_of(recording);
  expect_sound(chart);
  EXPECT_THAT(chart.notes, ElementsAre(HasSubstr("From line " + std::to_string(line))));
  EXPECT_EQ(reads(chart), 1U);
  EXPECT_TRUE(chart.launched);
}

TEST(BootChart, FailuresAndLatenessAreMarked) {
  std::vector<Event> events;
  const auto recording = test::large_boot({.disks = 4});
  for (const auto& step : recording.segments.front().steps) {
    events.push_back(step.event);
    for (const auto& effect : step.effects) {
      if (effect.handler == "probe" && effect.subject == "sdb") {
        events.push_back({step.event.time, EffectLate{effect.id}});
      }
    }
  }
  for (auto& event : events) {
    if (auto* done = std::get_if<EffectDone>(&event.body)) {
      if (done->result.value("kernel", std::string()) == "md0") {
        done->ok = false;
        done->error = "no personality\x1b[2J";
      }
    }
  }
  const auto chart = chart_of(test::recording_of("x/journal.jsonl", events));
  expect_sound(chart);
  EXPECT_EQ(chart.title, "x/journal.jsonl");
  const auto any = [](const Row& row, auto member) {
    return std::any_of(row.bars.begin(), row.bars.end(),
                       [&](const Bar& bar) { return bar.*member && bar.kind != Kind::waiting; });
  };
  EXPECT_TRUE(any(*row_named(chart, Section::disks, "sdb"), &Bar::late));
  EXPECT_FALSE(any(*row_named(chart, Section::disks, "sda"), &Bar::late));
  EXPECT_TRUE(any(*row_named(chart, Section::arrays, "md0"), &Bar::failed));
}

TEST(BootChart, TimesOfAnySizeDoNoHarm) {
  for (const Micros time : {std::numeric_limits<Micros>::min(), Micros{-1}, Micros{0},
                            std::numeric_limits<Micros>::max()}) {
    std::vector<Event> events;
    const auto plain = test::large_boot({.disks = 2});
    for (const auto& step : plain.segments.front().steps) {
      events.push_back(step.event);
    }
    events[events.size() / 2].time = time;
    expect_sound(chart_of(test::recording_of("times", events)));
  }
  expect_sound(chart_of(test::recording_of("empty", {})));
}

// The journal grew too long in the middle: the picture is the same, and each half has one.
TEST(BootChart, SegmentsAreOneBoot) {
  const auto whole = test::large_boot({.disks = 24});
  auto halves = whole;
  auto& first = halves.segments.front();
  const auto middle = first.steps.begin() + static_cast<std::ptrdiff_t>(first.steps.size() / 2);
  replay::Segment second = first;
  second.steps.assign(middle, first.steps.end());
  first.steps.erase(middle, first.steps.end());
  const auto engine = replay::engine_for(first);
  ASSERT_TRUE(engine);
  for (const auto& step : first.steps) {
    (void)(*engine)->on(step.event);
  }
  second.header["snapshot"] = (*engine)->snapshot();
  halves.segments.push_back(second);
  const auto chart = chart_of(halves);
  expect_sound(chart);
  EXPECT_THAT(chart.notes, IsEmpty());
  EXPECT_THAT(chart.segments, SizeIs(1));
  EXPECT_EQ(chart.verdict, chart_of(whole).verdict);
  EXPECT_EQ(path_texts(chart), path_texts(chart_of(whole)));

  halves.segments.erase(halves.segments.begin());
  const auto rest = chart_of(halves);
  expect_sound(rest);
  EXPECT_THAT(rest.notes, IsEmpty());
  EXPECT_TRUE(rest.launched);
  // A disk that the snapshot knew did not arrive in this half.
  if (const Row* row = row_named(rest, Section::disks, "sda")) {
    EXPECT_THAT(labels(*row, Kind::arrival), IsEmpty());
  }
}

// 500 disks: rows by the dozen, and what matters among them.
TEST(CondensedChart, KeepsWhatMattersAndCountsTheRest) {
  const auto whole = chart_of(test::large_boot({.disks = 500, .slow = 300}));
  expect_sound(whole);
  EXPECT_EQ(titles(whole, Section::disks).size(), 501U);
  const auto few = condensed(whole, 16);
  std::map<Section, std::size_t> rows;
  std::size_t disks = 0;
  for (const auto& row : few.rows) {
    ++rows[row.section];
    disks += row.section == Section::disks ? row.count : 0;
  }
  for (const auto& [section, count] : rows) {
    EXPECT_LE(count, 16U) << static_cast<int>(section);
  }
  EXPECT_EQ(disks, 501U);
  EXPECT_THAT(few.rows, Contains(AllOf(Field(&Row::title, "sdko"), Field(&Row::critical, true),
                                       Field(&Row::count, 1U))));
  EXPECT_THAT(few.rows,
              Contains(AllOf(Field(&Row::title, "23 × members of md12"), Field(&Row::count, 23U))));
  EXPECT_THAT(few.rows, Contains(Field(&Row::title, "md12")));
}

TEST(CondensedChart, ASmallMachineStaysAsItIs) {
  const auto whole = chart_of(test::large_boot({.disks = 5}));
  const auto few = condensed(whole, 16);
  EXPECT_EQ(titles(few, Section::disks), titles(whole, Section::disks));
  EXPECT_EQ(few.rows.size(), whole.rows.size());
}

}  // namespace
}  // namespace muster::chart
