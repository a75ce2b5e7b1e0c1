// The shuffle can fail: handlers that are wrong on purpose, and the orders that show it.
#include "daemon/replay/shuffle.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "daemon/replay/replay.h"
#include "handlers/registry.h"

namespace muster::replay {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Hardware& hardware(const std::string& name) {
  static std::map<std::string, Hardware> known;
  auto it = known.find(name);
  if (it == known.end()) {
    const auto recording =
        read_recording(fmt::format("{}/tests/replay/logs/{}.jsonl", MUSTER_SOURCE_DIR, name));
    EXPECT_TRUE(recording) << recording.error().text;
    auto found = hardware_of(recording->segments.front());
    EXPECT_TRUE(found) << found.error().text;
    it = known.emplace(name, std::move(*found)).first;
  }
  return it->second;
}

bool is_disk(const Device& device) {
  return device.is_block() && !device.is_partition() &&
         !device.devpath.starts_with("/devices/virtual/");
}

// All three pass for the probe, whose effects any machine answers. They keep nothing that a
// snapshot would have to hold.
class Wrong : public Policy {
 public:
  [[nodiscard]] std::string_view name() const override { return "probe"; }
  [[nodiscard]] Json save() const override { return Json::object(); }
  [[nodiscard]] Result<void> restore(const Json&) override { return {}; }

 protected:
  static void read(const std::string& devno, const std::string& kernel, Context& context) {
    context.want("read", kernel, {{"devno", devno}, {"devpath", ""}, {"name", kernel}}, 0);
  }
};

// Believes that the first disk it hears of is the right one.
class DependsOnOrder final : public Wrong {
 public:
  void thing(const Thing& thing, bool withdrawn, Context& context) override {
    if (!withdrawn && thing.id.starts_with("array:") && first_.empty()) {
      first_ = thing.id;
      Thing favourite;
      favourite.id = "favourite:" + thing.id;
      favourite.what = "the first array";
      favourite.state = State::ready;
      context.publish(std::move(favourite));
    }
  }

 private:
  std::string first_;
};

// Never hears that a disk went, and reads all it knows when mondorestore is about to start.
class LosesARemoval final : public Wrong {
 public:
  void thing(const Thing& thing, bool, Context& context) override {
    for (const Device* device : context.world().assigned("probe")) {
      if (is_disk(*device) && device->devno) {
        known_.insert(device->devno->text());
      }
    }
    if (thing.id.starts_with("need:") && context.world().phase() == Phase::gathering) {
      for (const auto& devno : known_) {
        read(devno, devno, context);
      }
    }
  }

 private:
  std::set<std::string> known_;
};

// Expects the next minor number beside each member it sees.
class ActsOnAnAbsentMember final : public Wrong {
 public:
  void thing(const Thing& thing, bool withdrawn, Context& context) override {
    if (withdrawn || !thing.id.starts_with("array:") ||
        context.world().phase() != Phase::gathering) {
      return;
    }
    for (const Device* device : context.world().assigned("md")) {
      if (is_disk(*device) && device->devno && device->signature) {
        read(Devno{device->devno->major, device->devno->minor + 16}.text(), device->kernel,
             context);
      }
    }
  }
};

template <typename Handler>
MakePolicies with() {
  return [] {
    auto policies = make_policies();
    policies.push_back(std::make_unique<Handler>());
    return policies;
  };
}

TEST(ShuffleTest, KeepsQuietAboutHandlersThatAreRight) {
  ShuffleOptions options;
  options.plays = 40;
  options.remove = true;
  options.every_order = false;
  const Shuffled result = shuffle(hardware("order_1"), options);
  EXPECT_FALSE(result.violation) << story(*result.violation);
  EXPECT_EQ(result.plays, 41U);
  EXPECT_EQ(result.units, 7U);
}

TEST(ShuffleTest, PlaysEveryOrderOfFewDisks) {
  ShuffleOptions options;
  options.plays = 0;
  const Shuffled result = shuffle(hardware("nuke_bystander"), options);
  EXPECT_FALSE(result.violation) << story(*result.violation);
  EXPECT_TRUE(result.every_order);
  EXPECT_EQ(result.plays, 1U + 4 * 3 * 2 * 1);
}

TEST(ShuffleTest, FindsAHandlerThatDependsOnTheOrder) {
  ShuffleOptions options;
  options.plays = 60;
  options.policies = with<DependsOnOrder>();
  const Shuffled result = shuffle(hardware("order_1"), options);
  ASSERT_TRUE(result.violation);
  EXPECT_THAT(result.violation->what, HasSubstr("favourite:"));
  ASSERT_EQ(result.violation->plays.size(), 2U);
  EXPECT_LE(arrivals(*result.violation), 3U) << story(*result.violation);
}

TEST(ShuffleTest, FindsAHandlerThatLosesARemoval) {
  ShuffleOptions options;
  options.plays = 200;
  options.remove = true;
  options.policies = with<LosesARemoval>();
  const Shuffled result = shuffle(hardware("order_1"), options);
  ASSERT_TRUE(result.violation);
  EXPECT_THAT(result.violation->what, HasSubstr("which is not there"));
  EXPECT_LE(arrivals(*result.violation), 3U) << story(*result.violation);
  EXPECT_THAT(story(*result.violation), HasSubstr("is pulled"));
}

TEST(ShuffleTest, FindsAHandlerThatActsOnAnAbsentMember) {
  ShuffleOptions options;
  options.plays = 60;
  options.policies = with<ActsOnAnAbsentMember>();
  const Shuffled result = shuffle(hardware("order_1"), options);
  ASSERT_TRUE(result.violation);
  EXPECT_THAT(result.violation->what, HasSubstr("which is not there"));
  EXPECT_LE(arrivals(*result.violation), 3U) << story(*result.violation);
}

// What a shuffle saves is a journal like any other.
TEST(ShuffleTest, APlayReplays) {
  for (const auto* name : {"order_1", "pulled_members", "nuke_swapped"}) {
    PlayOptions options;
    options.order_of = PlayOptions::Order::random;
    options.seed = 5;
    options.remove = true;
    Played played = play(hardware(name), options);
    EXPECT_THAT(played.breach, IsEmpty());
    Recording recording;
    recording.name = name;
    recording.segments.push_back(std::move(played.segment));
    const auto replayed = replay(recording);
    ASSERT_TRUE(replayed) << replayed.error().text;
    EXPECT_FALSE(replayed->difference) << difference_text(recording, *replayed->difference);
    EXPECT_GT(replayed->effects, 50U);
  }
}

TEST(ShuffleTest, TheSameSeedIsTheSameOrder) {
  PlayOptions options;
  options.order_of = PlayOptions::Order::random;
  options.seed = 11;
  const std::string one = to_text(play(hardware("order_1"), options).segment);
  EXPECT_EQ(one, to_text(play(hardware("order_1"), options).segment));
  options.seed = 12;
  EXPECT_NE(one, to_text(play(hardware("order_1"), options).segment));
}

}  // namespace
}  // namespace muster::replay
