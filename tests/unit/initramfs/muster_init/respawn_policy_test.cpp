#include "initramfs/muster_init/respawn_policy.h"

#include <gmock/gmock.h>

namespace muster::init {
namespace {

using ::testing::ElementsAre;

std::vector<long> delays(std::initializer_list<long> deaths) {
  RespawnPolicy policy;
  std::vector<long> result;
  for (const long death : deaths) {
    result.push_back(policy.on_death(RespawnPolicy::Time(death)).count());
  }
  return result;
}

TEST(RespawnPolicy, TheFirstDeathsCostNothing) {
  EXPECT_THAT(delays({0, 10, 20, 30}), ElementsAre(0, 0, 0, 0));
}

TEST(RespawnPolicy, TheFifthWithinTenSecondsHoldsBack) {
  EXPECT_THAT(delays({0, 10, 20, 30, 40}), ElementsAre(0, 0, 0, 0, 1000));
  EXPECT_THAT(delays({0, 3000, 6000, 9000, 10'001}), ElementsAre(0, 0, 0, 0, 0));
}

TEST(RespawnPolicy, TheDelayDoublesUpToThirtySeconds) {
  // each death right after the start that the delay before it allowed
  EXPECT_THAT(delays({0, 1, 2, 3, 4, 1'005, 3'006, 7'007, 15'008, 31'009, 61'010}),
              ElementsAre(0, 0, 0, 0, 1000, 2000, 4000, 8000, 16000, 30000, 30000));
}

TEST(RespawnPolicy, ALongLifeMakesGood) {
  EXPECT_THAT(delays({0, 1, 2, 3, 4, 1'004 + 10'001, 11'010, 11'020, 11'030, 11'040}),
              ElementsAre(0, 0, 0, 0, 1000, 0, 0, 0, 0, 1000));
}

TEST(RespawnPolicy, TheDelayItselfIsNoLife) {
  RespawnPolicy policy;
  long time = 0;
  for (int death = 0; death < 20; ++death) {
    time += policy.on_death(RespawnPolicy::Time(time)).count() + 1;
  }
  EXPECT_EQ(policy.on_death(RespawnPolicy::Time(time)), RespawnPolicy::kLongestDelay);
}

}  // namespace
}  // namespace muster::init
