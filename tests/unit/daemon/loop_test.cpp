#include "daemon/loop.h"

#include <gmock/gmock.h>
#include <sys/eventfd.h>

#include <map>
#include <optional>
#include <thread>

#include "daemon/boottime.h"
#include "daemon/fd.h"
#include "tests/support/temp_tree.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;
using testing::TempTree;

std::string brief(const Event& event) {
  if (const auto* timer = std::get_if<TimerDue>(&event.body)) {
    return "timer " + timer->name;
  }
  if (const auto* lost = std::get_if<EventsLost>(&event.body)) {
    return lost->reason;
  }
  if (const auto* command = std::get_if<Command>(&event.body)) {
    return "command " + command->verb + " " + command->arguments.dump();
  }
  return "unexpected";
}

Effect effect(std::string handler, std::string verb, std::string subject = {},
              Json arguments = Json::object()) {
  return {.id = 1,
          .handler = std::move(handler),
          .verb = std::move(verb),
          .subject = std::move(subject),
          .arguments = std::move(arguments),
          .deadline_ms = 0,
          .lane = {}};
}

Effect at(std::string name, Micros time) {
  return effect("timer", "set", std::move(name), {{"at", time}});
}

// An engine that a test scripts: it notes what goes in, and what comes out is chosen by the event's
// text. An effect of the handler "stop" ends the run.
class LoopTest : public ::testing::Test {
 protected:
  LoopTest()
      : loop_(LoopParts{
            .engine = [this](const Event& event) { return answer(event); },
            .work =
                [this](Effect each) {
                  done_.push_back("work " + each.handler);
                  if (each.handler == "stop") {
                    loop_.stop();
                  }
                },
            .scan = [this] { done_.push_back("scan"); },
            .read = [this](const std::string& devpath) { done_.push_back("read " + devpath); },
            .report =
                [this](std::string_view line) { done_.push_back("report " + std::string(line)); },
            .changed = [this] { ++changed_; },
            .draw = [this] { return draw(); },
            .snapshot = [this] { return Json(seen_.size()); },
            .amend = [](const Effect& each, Json& json) { json["amended"] = each.subject; },
            .room = [this] { ++room_; }}) {}

  std::vector<Effect> answer(const Event& event) {
    seen_.push_back(brief(event));
    if (const auto* command = std::get_if<Command>(&event.body)) {
      return {effect("control", "reply", command->verb,
                     {{"client", command->client}, {"answer", {{"verb", command->verb}}}})};
    }
    return answers_[seen_.back()];
  }

  // Not now, not now, and then it is done.
  bool draw() {
    if (++drawn_ < 3) {
      return false;
    }
    loop_.stop();
    return true;
  }

  void post(std::string text) { loop_.post(EventBody(EventsLost{std::move(text)})); }

  std::map<std::string, std::vector<Effect>> answers_ = {{"stop", {effect("stop", "stop")}}};
  std::vector<std::string> seen_;
  std::vector<std::string> done_;
  int changed_ = 0;
  int drawn_ = 0;
  int room_ = 0;
  Loop loop_;
};

TEST_F(LoopTest, EffectsGoWhereTheyBelong) {
  answers_["a"] = {effect("source", "scan", "/sys"), effect("source", "read", "/devices/x"),
                   effect("report", "line", "hello"), effect("md", "run", "md0")};
  post("a");
  post("stop");
  loop_.run();
  EXPECT_THAT(seen_, ElementsAre("a", "stop"));
  EXPECT_THAT(done_,
              ElementsAre("scan", "read /devices/x", "report hello", "work md", "work stop"));
  EXPECT_EQ(changed_, 1);  // once for what came together
}

TEST_F(LoopTest, EventsOfManyThreadsArriveInTheOrderOfEach) {
  constexpr std::size_t kEach = 500;
  std::thread poster([this] {
    std::vector<std::thread> threads;
    for (const char name : {'a', 'b', 'c'}) {
      threads.emplace_back([this, name] {
        for (std::size_t i = 0; i < kEach; ++i) {
          post(name + std::to_string(i));
        }
      });
    }
    for (auto& thread : threads) {
      thread.join();
    }
    post("stop");
  });
  loop_.run();
  poster.join();
  ASSERT_EQ(seen_.size(), 3 * kEach + 1);
  std::map<char, std::size_t> next;
  seen_.pop_back();
  for (const auto& text : seen_) {
    EXPECT_EQ(text, text.front() + std::to_string(next[text.front()]++));
  }
}

TEST_F(LoopTest, WhoeverHasManyEventsIsToldWhenThereIsRoom) {
  EXPECT_FALSE(loop_.crowded());
  int posted = 0;
  while (!loop_.crowded()) {
    post("many");
    ASSERT_LT(++posted, 1000);
  }
  post("stop");
  loop_.run();
  EXPECT_EQ(room_, 1);
  EXPECT_FALSE(loop_.crowded());
}

TEST_F(LoopTest, TimersFireByTheirTime) {
  answers_["a"] = {at("md/second", 2),
                   at("md/first", 1),
                   at("md/cancelled", 1),
                   at("md/moved", 1),
                   effect("timer", "cancel", "md/cancelled"),
                   at("md/moved", boottime() + 3'600'000'000)};
  answers_["timer md/second"] = {at("md/last", boottime() + 2000)};
  answers_["timer md/last"] = {effect("stop", "stop")};
  post("a");
  loop_.run();
  EXPECT_THAT(seen_, ElementsAre("a", "timer md/first", "timer md/second", "timer md/last"));
}

TEST_F(LoopTest, ATimerThatIsCancelledOnItsWayDoesNotArrive) {
  // Both are due at once; the first one's event takes the second back.
  answers_["a"] = {at("md/first", 1), at("md/second", 2)};
  answers_["timer md/first"] = {effect("timer", "cancel", "md/second"), at("md/third", 3)};
  answers_["timer md/third"] = {effect("stop", "stop")};
  post("a");
  loop_.run();
  EXPECT_THAT(seen_, ElementsAre("a", "timer md/first", "timer md/third"));
}

TEST_F(LoopTest, ABoardThatIsBusyIsAskedAgain) {
  loop_.redraw();
  loop_.redraw();
  loop_.run();
  EXPECT_EQ(drawn_, 3);
}

TEST_F(LoopTest, WatchesADescriptorUntilToldNotTo) {
  const Fd readable(::eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC));
  std::uint64_t sum = 0;
  loop_.watch(readable.get(), [&] {
    std::uint64_t one = 0;
    EXPECT_EQ(::read(readable.get(), &one, sizeof one), 8);
    sum += one;
    if (sum == 2) {
      loop_.after(std::chrono::milliseconds(0), [this] { loop_.stop(); });
    }
    return sum < 2;
  });
  loop_.run();
  EXPECT_EQ(sum, 2);
}

TEST_F(LoopTest, EverythingIsInTheJournalBeforeItHappens) {
  TempTree tree;
  auto journal = JournalWriter::open(tree.path("/journal.jsonl"), Json::object());
  ASSERT_TRUE(journal);
  loop_.use_journal(std::move(*journal));
  answers_["a"] = {effect("md", "run", "md0", {{"x", "\xff"}}), at("md/t", 1)};
  answers_["timer md/t"] = {effect("stop", "stop")};
  loop_.post(Event{7, EventsLost{"a"}});
  loop_.run();
  auto reader = JournalReader::open(tree.path("/journal.jsonl")).value();
  EXPECT_EQ(reader.next().value().value().json["journal"], 1);
  EXPECT_EQ(reader.next().value().value().json,
            Json({{"event", "lost"}, {"reason", "a"}, {"t", 7}}));
  const auto run = reader.next().value().value().json;
  EXPECT_EQ(run["effect"], "run");
  EXPECT_EQ(run["t"], 7);
  EXPECT_EQ(run["arguments"]["x"], "\xef\xbf\xbd");
  EXPECT_EQ(reader.next().value().value().json["handler"], "timer");
  EXPECT_EQ(reader.next().value().value().json["event"], "timer");
  EXPECT_EQ(reader.next().value().value().json["handler"], "stop");
  EXPECT_FALSE(reader.next().value());
}

TEST_F(LoopTest, AFullJournalGoesOnInASegmentThatBeginsWithTheStateAndTheTimers) {
  TempTree tree;
  const auto path = tree.path("/journal.jsonl");
  loop_.use_journal(JournalWriter::open(path, Json::object(), 100).value());
  const Micros far = boottime() + 3'600'000'000;
  answers_[std::string(200, 'a')] = {at("md/t", far)};
  post("first");
  post(std::string(200, 'a'));
  post("third");
  post("stop");
  loop_.run();
  auto reader = JournalReader::open(path).value();
  EXPECT_EQ(reader.next().value().value().json,
            Json({{"journal", 1}, {"segment", 2}, {"snapshot", 2}, {"timers", {{"md/t", far}}}}));
  EXPECT_EQ(reader.next().value().value().json["reason"], "third");
  auto before = JournalReader::open(path + ".1").value();
  std::vector<std::string> lines;
  while (const auto line = before.next().value()) {
    lines.push_back(line->json.value("reason", line->json.value("effect", "header")));
  }
  EXPECT_THAT(lines, ElementsAre("header", "first", std::string(200, 'a'), "set"));
}

TEST_F(LoopTest, AJournalThatCannotBeWrittenIsReportedOnceAndNothingStops) {
  TempTree tree;
  auto journal = JournalWriter::open(tree.path("/dir/journal.jsonl"), Json::object(), 100);
  ASSERT_TRUE(journal);
  tree.remove("/dir");  // the next segment has nowhere to go
  loop_.use_journal(std::move(*journal));
  answers_[std::string(200, 'a')] = {effect("md", "run")};
  post(std::string(200, 'a'));
  post("next");
  answers_["next"] = {effect("source", "scan")};
  loop_.after(std::chrono::milliseconds(1), [this] { post("stop"); });
  loop_.run();
  EXPECT_THAT(done_, ElementsAre(StartsWith("report journal " + tree.path("/dir/journal.jsonl")),
                                 "work md", "scan", "work stop"));
}

TEST_F(LoopTest, CommandsAreAnsweredOverTheSocket) {
  TempTree tree;
  const ControlSettings settings{
      .path = tree.path("/control"), .allowed = ::geteuid(), .greeting = {{"musterd", "test"}}};
  ASSERT_TRUE(loop_.open_control(settings));
  std::vector<std::string> lines;
  std::thread client([&] {
    const auto keep = [&](std::string_view line) {
      lines.emplace_back(line);
      return false;
    };
    const Json request = {{"command", "explain"}, {"subject", "md0"}};
    EXPECT_TRUE(ask_control(settings.path, request, 0, keep));
    post("stop");
  });
  loop_.run();
  client.join();
  EXPECT_THAT(lines, ElementsAre(R"({"amended":"explain","verb":"explain"})"));
  EXPECT_THAT(seen_, ElementsAre(R"(command explain {"subject":"md0"})", "stop"));
}

}  // namespace
}  // namespace muster
