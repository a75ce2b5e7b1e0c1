#include "daemon/uevent_order.h"

#include <gmock/gmock.h>

namespace muster {
namespace {

using Take = UeventOrder::Take;
constexpr Micros kSecond = 1'000'000;

class KernelOrder : public ::testing::Test {
 protected:
  Take take(std::uint64_t seqnum, Micros now = 0) { return order_.take(seqnum, "/devices/d", now); }
  std::string lost(Micros now) {
    const auto gap = order_.lost(now);
    return gap ? std::to_string(gap->first) + "-" + std::to_string(gap->last) : "none";
  }
  UeventOrder order_{true};
};

TEST_F(KernelOrder, BeforeTheFirstScanNothingIsMissing) {
  EXPECT_EQ(take(10), Take::as_it_is);
  EXPECT_EQ(take(20), Take::as_it_is);
  EXPECT_EQ(order_.gap_due(), std::nullopt);
  EXPECT_EQ(lost(100 * kSecond), "none");
}

TEST_F(KernelOrder, WhatTheScanCoversIsReadAgainOnce) {
  order_.scanned(100);
  EXPECT_EQ(order_.take(99, "/devices/a", 0), Take::read_again);
  EXPECT_EQ(order_.take(100, "/devices/a", 0), Take::nothing);
  EXPECT_EQ(order_.take(98, "/devices/b", 0), Take::read_again);
  EXPECT_EQ(order_.take(101, "/devices/a", 0), Take::as_it_is);
  EXPECT_EQ(order_.take(0, "/devices/a", 0), Take::as_it_is);
  order_.scanned(200);
  EXPECT_EQ(order_.take(150, "/devices/a", 0), Take::read_again);
}

TEST_F(KernelOrder, AGapBetweenTheScanAndTheFirstEventCounts) {
  order_.scanned(100);
  EXPECT_EQ(take(103, kSecond), Take::as_it_is);
  EXPECT_EQ(order_.gap_due(), kSecond + UeventOrder::kGapCloses);
  EXPECT_EQ(lost(kSecond + UeventOrder::kGapCloses - 1), "none");
  EXPECT_EQ(lost(kSecond + UeventOrder::kGapCloses), "101-102");
  // Told once.
  EXPECT_EQ(order_.gap_due(), std::nullopt);
  EXPECT_EQ(lost(100 * kSecond), "none");
}

TEST_F(KernelOrder, SwappedNeighboursCloseTheirGaps) {
  order_.scanned(100);
  EXPECT_EQ(take(105, 0), Take::as_it_is);
  for (const std::uint64_t late : {103, 101, 104, 102}) {
    EXPECT_NE(order_.gap_due(), std::nullopt);
    EXPECT_EQ(take(late, 1), Take::as_it_is);
  }
  EXPECT_EQ(order_.gap_due(), std::nullopt);
  EXPECT_EQ(take(106, 2), Take::as_it_is);
  EXPECT_EQ(lost(100 * kSecond), "none");
}

TEST_F(KernelOrder, HalfAGapKeepsItsAge) {
  order_.scanned(100);
  EXPECT_EQ(take(105, 10), Take::as_it_is);
  EXPECT_EQ(take(102, 20), Take::as_it_is);
  EXPECT_EQ(take(108, 30), Take::as_it_is);
  EXPECT_EQ(order_.gap_due(), 10 + UeventOrder::kGapCloses);
  EXPECT_EQ(take(101, 40), Take::as_it_is);
  EXPECT_EQ(take(103, 40), Take::as_it_is);
  EXPECT_EQ(take(104, 40), Take::as_it_is);
  EXPECT_EQ(order_.gap_due(), 30 + UeventOrder::kGapCloses);
}

TEST_F(KernelOrder, AScanFillsTheGapsBeforeIt) {
  order_.scanned(100);
  EXPECT_EQ(take(110, 0), Take::as_it_is);
  order_.scanned(104);
  EXPECT_EQ(lost(kSecond), "105-109");
  EXPECT_EQ(take(120, 2 * kSecond), Take::as_it_is);
  order_.scanned(130);
  EXPECT_EQ(lost(100 * kSecond), "none");
}

TEST_F(KernelOrder, TooManyGapsAreALossAtOnce) {
  order_.scanned(0);
  for (std::uint64_t seqnum = 2; seqnum <= 10'000; seqnum += 2) {
    EXPECT_EQ(take(seqnum, 7), Take::as_it_is);
  }
  EXPECT_EQ(lost(7), "1-1");
  EXPECT_EQ(lost(100 * kSecond), "none");
}

TEST(UdevOrder, GapsAreNormalAndWhatUdevdKnowsIsAlwaysReadAgain) {
  UeventOrder order{false};
  order.scanned(100);
  EXPECT_EQ(order.take(110, "/devices/a", 0), Take::as_it_is);
  EXPECT_EQ(order.gap_due(), std::nullopt);
  EXPECT_EQ(order.take(90, "/devices/a", 0), Take::read_again);
  EXPECT_EQ(order.take(91, "/devices/a", 0), Take::read_again);
}

}  // namespace
}  // namespace muster
