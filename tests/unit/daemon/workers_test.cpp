#include "daemon/workers.h"

#include <gmock/gmock.h>

#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>

#include "daemon/child_process.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

// An executor whose calls hang until the test lets them go. What it shares with the test outlives
// both.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> started;
  std::set<std::string> open;
  bool all_open = false;
  std::set<std::string> hurried;

  void pass(const std::string& subject) {
    std::unique_lock lock(mutex);
    started.push_back(subject);
    changed.notify_all();
    changed.wait(lock, [&] { return all_open || open.contains(subject); });
  }
  void let(const std::string& subject) {
    const std::lock_guard lock(mutex);
    open.insert(subject);
    changed.notify_all();
  }
  void hurry(const std::string& subject) {
    const std::lock_guard lock(mutex);
    hurried.insert(subject);
  }
  std::size_t hurries() {
    const std::lock_guard lock(mutex);
    return hurried.size();
  }
  bool is_hurried(const std::string& subject) {
    const std::lock_guard lock(mutex);
    return hurried.contains(subject);
  }
  void let_all() {
    const std::lock_guard lock(mutex);
    all_open = true;
    changed.notify_all();
  }
  std::vector<std::string> wait_started(std::size_t count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return started.size() >= count; });
    return started;
  }
};

class GateExecutor final : public Executor {
 public:
  explicit GateExecutor(std::shared_ptr<Gate> gate) : gate_(std::move(gate)) {}
  [[nodiscard]] std::string_view name() const override { return "gate"; }
  [[nodiscard]] Urgency urgency(const Effect& effect) const override {
    return gate_->is_hurried(effect.subject)        ? Urgency::now
           : effect.subject.starts_with("soon")     ? Urgency::soon
           : effect.subject.starts_with("whenever") ? Urgency::whenever
                                                    : Urgency::now;
  }
  [[nodiscard]] std::uint64_t urgency_revision() const override { return gate_->hurries(); }
  [[nodiscard]] Result<Json> run(const Effect& effect) override {
    if (effect.verb == "throw") {
      throw std::runtime_error("thrown");
    }
    if (effect.verb == "tool") {
      static_cast<void>(run_child({"/bin/sh", "-c", "echo said; exit 2"}));
      return fail(Errc::io, "the tool failed");
    }
    if (effect.verb == "fail") {
      return fail(Errc::busy, "in use");
    }
    gate_->pass(effect.subject);
    return Json{{"subject", effect.subject}};
  }

 private:
  std::shared_ptr<Gate> gate_;
};

class WorkersTest : public ::testing::Test {
 protected:
  ~WorkersTest() override { gate_->let_all(); }

  void start(std::size_t threads, std::size_t cpus = 1, Workers::Patience patience = {}) {
    std::vector<std::unique_ptr<Executor>> executors;
    executors.push_back(std::make_unique<GateExecutor>(gate_));
    workers_.emplace(
        std::move(executors),
        [this](Event event) {
          const std::lock_guard lock(mutex_);
          if (const auto* done = std::get_if<EffectDone>(&event.body)) {
            done_.emplace(done->id, *done);
            order_.push_back("done " + std::to_string(done->id));
          } else {
            order_.push_back("late " + std::to_string(std::get<EffectLate>(event.body).id));
          }
          arrived_.notify_all();
        },
        threads, cpus, patience);
  }
  void run(EffectId id, std::string subject, std::string lane = {}, std::int64_t deadline_ms = 0,
           std::string verb = "pass", std::string handler = "gate") {
    workers_->run({.id = id,
                   .handler = std::move(handler),
                   .verb = std::move(verb),
                   .subject = std::move(subject),
                   .arguments = Json::object(),
                   .deadline_ms = deadline_ms,
                   .lane = std::move(lane)});
  }
  std::vector<std::string> wait(std::size_t events) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return order_.size() >= events; });
    return order_;
  }

  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<EffectId, EffectDone> done_;
  std::vector<std::string> order_;
  std::optional<Workers> workers_;
};

TEST_F(WorkersTest, ResultsErrorsExceptionsAndUnknownHandlersComeBack) {
  start(2);
  gate_->let_all();
  run(1, "a");
  run(2, "b", {}, 0, "fail");
  run(3, "c", {}, 0, "throw");
  run(4, "d", {}, 0, "pass", "nobody");
  EXPECT_THAT(wait(4), UnorderedElementsAre("done 1", "done 2", "done 3", "done 4"));
  EXPECT_TRUE(done_.at(1).ok);
  EXPECT_EQ(done_.at(1).result, Json({{"subject", "a"}}));
  EXPECT_FALSE(done_.at(2).ok);
  EXPECT_EQ(done_.at(2).error, "in use");
  EXPECT_EQ(done_.at(2).code, Errc::busy);
  EXPECT_FALSE(done_.at(3).ok);
  EXPECT_EQ(done_.at(3).error, "internal error in handler 'gate': thrown");
  EXPECT_FALSE(done_.at(4).ok);
  EXPECT_EQ(done_.at(4).error, "no executor for handler 'nobody'");
  EXPECT_EQ(done_.at(4).code, Errc::unsupported);
}

TEST_F(WorkersTest, WhatWasRunForAnEffectComesBackWithItWhetherItFailedOrNot) {
  start(1);
  gate_->let_all();
  run(1, "a", {}, 0, "tool");
  run(2, "b");
  wait(2);
  EXPECT_FALSE(done_.at(1).ok);
  EXPECT_EQ(done_.at(1).tools, Json::array({{{"argv", {"/bin/sh", "-c", "echo said; exit 2"}},
                                             {"ended", "exit status 2"},
                                             {"output", "said\n"}}}));
  EXPECT_TRUE(done_.at(2).tools.is_null());
}

TEST_F(WorkersTest, SideBySideUpToTheNumberOfThreadsThenInOrder) {
  start(2);
  run(1, "a");
  run(2, "b");
  EXPECT_THAT(gate_->wait_started(2), UnorderedElementsAre("a", "b"));
  run(3, "c");
  run(4, "d");
  EXPECT_EQ(workers_->counts().queued, 2);
  EXPECT_EQ(workers_->counts().running, 2);
  gate_->let("a");
  EXPECT_EQ(gate_->wait_started(3).back(), "c");
  gate_->let("c");
  EXPECT_EQ(gate_->wait_started(4).back(), "d");
  EXPECT_THAT(wait(2), ElementsAre("done 1", "done 3"));
}

TEST_F(WorkersTest, OneLaneIsOneAfterTheOther) {
  start(4);
  run(1, "a1", "a");
  run(2, "a2", "a");
  run(3, "a3", "a");
  run(4, "b1", "b");
  EXPECT_THAT(gate_->wait_started(2), UnorderedElementsAre("a1", "b1"));
  EXPECT_EQ(workers_->counts().queued, 2);
  gate_->let("a3");
  gate_->let("a1");
  EXPECT_EQ(gate_->wait_started(3).back(), "a2");
  EXPECT_THAT(wait(1), ElementsAre("done 1"));
  gate_->let("a2");
  EXPECT_THAT(wait(3), ElementsAre("done 1", "done 2", "done 3"));
  run(5, "a4", "a");  // the lane is free again
  EXPECT_EQ(gate_->wait_started(5).back(), "a4");
}

TEST_F(WorkersTest, WhatIsUrgentOvertakes) {
  start(1);
  run(1, "first");
  gate_->wait_started(1);
  run(2, "whenever");
  run(3, "soon 1");
  run(4, "soon 2");
  run(5, "now");
  gate_->let_all();
  wait(5);
  EXPECT_THAT(gate_->wait_started(5), ElementsAre("first", "now", "soon 1", "soon 2", "whenever"));
}

TEST_F(WorkersTest, WhatIsUrgentOvertakesInALaneToo) {
  start(4);
  run(1, "first", "lane");
  gate_->wait_started(1);
  run(2, "whenever", "lane");
  run(3, "soon 1", "lane");
  run(4, "soon 2", "lane");
  run(5, "now", "lane");
  gate_->let_all();
  wait(5);
  EXPECT_THAT(gate_->wait_started(5), ElementsAre("first", "now", "soon 1", "soon 2", "whenever"));
}

TEST_F(WorkersTest, WhatTurnsOutToBeUrgentOvertakesWhatItStoodBehind) {
  start(1);
  run(1, "first");
  gate_->wait_started(1);
  run(2, "soon 1");
  run(3, "whenever");
  gate_->hurry("whenever");
  gate_->let_all();
  wait(3);
  EXPECT_THAT(gate_->wait_started(3), ElementsAre("first", "whenever", "soon 1"));
}

TEST_F(WorkersTest, WhoeverHoldsALaneIsAsUrgentAsWhoWaitsForIt) {
  start(1);
  run(1, "first");
  gate_->wait_started(1);
  run(2, "whenever", "lane");
  run(3, "soon");
  run(4, "now", "lane");
  gate_->let_all();
  wait(4);
  EXPECT_THAT(gate_->wait_started(4), ElementsAre("first", "whenever", "now", "soon"));
}

const Workers::Patience kEndless{.busy = std::chrono::hours(1),
                                 .linger = std::chrono::milliseconds(0),
                                 .look = std::chrono::hours(1),
                                 .longest = std::chrono::hours(1)};

TEST_F(WorkersTest, WhatCanWaitDoesNotBeginBesideWhatIsUrgent) {
  start(4, 1, kEndless);
  run(1, "now 1");
  gate_->wait_started(1);
  run(2, "whenever");
  run(3, "now 2");
  EXPECT_THAT(gate_->wait_started(2), ElementsAre("now 1", "now 2"));
  gate_->let("now 1");
  wait(1);
  EXPECT_EQ(gate_->wait_started(2).size(), 2);
  gate_->let_all();
  EXPECT_EQ(gate_->wait_started(3).back(), "whenever");
  wait(3);
}

TEST_F(WorkersTest, WhatCanWaitBeginsOnAnotherCpu) {
  start(4, 2, kEndless);
  run(1, "now 1");
  gate_->wait_started(1);
  run(2, "whenever");
  EXPECT_EQ(gate_->wait_started(2).back(), "whenever");
  gate_->let_all();
  wait(2);
}

TEST_F(WorkersTest, WhatIsUrgentAndWaitsForHardwareHoldsNobodyBack) {
  start(4, 1,
        {.busy = std::chrono::hours(1),
         .linger = std::chrono::milliseconds(0),
         .look = std::chrono::milliseconds(5),
         .longest = std::chrono::hours(1)});
  run(1, "now 1");
  gate_->wait_started(1);
  run(2, "soon");
  EXPECT_EQ(gate_->wait_started(2).back(), "soon");
  gate_->let_all();
  wait(2);
}

TEST_F(WorkersTest, WhatIsUrgentAndOnACpuIsLeftAlone) {
  std::mutex mutex;
  std::condition_variable looked;
  int looks = 0;
  // More than there is.
  const auto cpu_time = [&](clockid_t) -> std::chrono::nanoseconds {
    const std::lock_guard lock(mutex);
    ++looks;
    looked.notify_all();
    return std::chrono::hours(looks);
  };
  start(4, 1,
        {.busy = std::chrono::hours(1),
         .linger = std::chrono::milliseconds(0),
         .look = std::chrono::milliseconds(1),
         .longest = std::chrono::hours(1),
         .cpu_time = cpu_time});
  run(1, "now 1");
  gate_->wait_started(1);
  run(2, "soon");
  {
    std::unique_lock lock(mutex);
    looked.wait(lock, [&] { return looks > 5; });
  }
  EXPECT_THAT(gate_->wait_started(1), ElementsAre("now 1"));
  gate_->let_all();
  wait(2);
}

TEST_F(WorkersTest, WhatTouchesADeviceIsHardlyHeldBack) {
  start(4, 1, kEndless);
  run(1, "now 1");
  gate_->wait_started(1);
  run(2, "whenever");
  run(3, "soon");
  const auto on_device = [&](EffectId id, const std::string& subject) {
    workers_->run({.id = id,
                   .handler = "gate",
                   .verb = "pass",
                   .subject = subject,
                   .arguments = {{"devpath", "/devices/a"}},
                   .deadline_ms = 0,
                   .lane = {}});
  };
  on_device(4, "whenever, on a device");
  on_device(5, "soon, on a device");
  // At once, and after a while.
  EXPECT_THAT(gate_->wait_started(3),
              ElementsAre("now 1", "soon, on a device", "whenever, on a device"));
  gate_->let_all();
  wait(5);
}

TEST_F(WorkersTest, NobodyWaitsForAnUrgentOneThatHangs) {
  start(4);
  run(1, "hung");
  gate_->wait_started(1);
  run(2, "whenever");
  EXPECT_EQ(gate_->wait_started(2).back(), "whenever");
  gate_->let_all();
  wait(2);
}

TEST_F(WorkersTest, HoweverMuchIsPatientThreadsAreLeftForWhatIsUrgent) {
  start(Workers::kKept + 1);
  for (EffectId id = 1; id <= 5; ++id) {
    run(id, "soon " + std::to_string(id));
  }
  gate_->wait_started(1);
  run(6, "now 1");
  run(7, "now 2");
  // On a thread each: who is first is open.
  EXPECT_THAT(gate_->wait_started(3), UnorderedElementsAre("soon 1", "now 1", "now 2"));
  gate_->let_all();
  wait(7);
}

TEST_F(WorkersTest, OnePatientEffectThatHangsMakesRoomForTheNext) {
  start(Workers::kKept + 1);
  run(1, "soon 1", {}, 20);
  gate_->wait_started(1);
  run(2, "soon 2");
  EXPECT_THAT(gate_->wait_started(2), ElementsAre("soon 1", "soon 2"));
  gate_->let("soon 1");
  run(3, "soon 3");
  wait(2);  // late, then done
  gate_->let("soon 2");
  EXPECT_THAT(gate_->wait_started(3), ElementsAre("soon 1", "soon 2", "soon 3"));
  gate_->let_all();
  wait(4);
}

TEST_F(WorkersTest, ALateEffectCostsItsThreadAndNobodyElsesTime) {
  start(1);
  run(1, "hung", "lane", 1);
  EXPECT_THAT(wait(1), ElementsAre("late 1"));
  EXPECT_EQ(workers_->counts().stuck, 1);
  EXPECT_EQ(workers_->counts().running, 1);
  gate_->let("next");
  run(2, "next");
  EXPECT_THAT(wait(2), ElementsAre("late 1", "done 2"));
  // Its lane is held all the same.
  gate_->let("behind");
  run(3, "behind", "lane");
  EXPECT_EQ(workers_->counts().queued, 1);
  gate_->let("hung");
  EXPECT_THAT(wait(4), ElementsAre("late 1", "done 2", "done 1", "done 3"));
  // The thread that was written off is gone, its replacement works.
  run(4, "last");
  EXPECT_EQ(gate_->wait_started(4).back(), "last");
  EXPECT_EQ(workers_->counts().stuck, 0);
  EXPECT_EQ(workers_->counts().running, 1);
}

TEST_F(WorkersTest, ManyHangWithoutHoldingUpOneThatDoesNot) {
  start(2);
  for (EffectId id = 1; id <= 20; ++id) {
    run(id, "hung" + std::to_string(id), {}, 1);
  }
  gate_->let("free");
  run(21, "free");
  EXPECT_EQ(wait(21).size(), 21);
  EXPECT_TRUE(done_.at(21).ok);
  EXPECT_EQ(workers_->counts().stuck, 20);
  gate_->let_all();
  EXPECT_EQ(wait(41).size(), 41);
}

TEST_F(WorkersTest, OneInTimeIsNotLate) {
  start(1);
  gate_->let_all();
  run(1, "a", {}, 3'600'000);
  run(2, "b", {}, 3'600'000);
  EXPECT_THAT(wait(2), ElementsAre("done 1", "done 2"));
  EXPECT_EQ(workers_->counts().stuck, 0);
}

TEST_F(WorkersTest, TheEndDoesNotWaitForWhatHangs) {
  start(2);
  run(1, "hung");
  run(2, "late", {}, 1);
  EXPECT_THAT(wait(1), ElementsAre("late 2"));
  static_cast<void>(gate_->wait_started(2));
  workers_.reset();
  gate_->let_all();
  const std::lock_guard lock(mutex_);
  EXPECT_THAT(order_, ElementsAre("late 2"));
}

}  // namespace
}  // namespace muster
