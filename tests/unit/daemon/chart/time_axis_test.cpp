#include "daemon/chart/time_axis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster::chart {
namespace {

constexpr double kWidth = 900;
constexpr Micros kSecond = 1'000'000;

Bar bar(Kind kind, double from, double to) {
  Bar bar;
  bar.kind = kind;
  bar.start = static_cast<Micros>(from * kSecond);
  bar.end = static_cast<Micros>(to * kSecond);
  return bar;
}

Chart chart(double begin, double end, std::vector<Bar> bars) {
  Chart chart;
  chart.begin = static_cast<Micros>(begin * kSecond);
  chart.end = static_cast<Micros>(end * kSecond);
  Row row;
  row.section = Section::disks;
  row.bars = std::move(bars);
  chart.rows.push_back(std::move(row));
  return chart;
}

TEST(TimeAxis, TrueToScaleWhereSomethingHappens) {
  const TimeAxis axis(chart(5, 7, {bar(Kind::read, 5, 6), bar(Kind::assemble, 6, 7)}), kWidth);
  EXPECT_TRUE(axis.cuts().empty());
  EXPECT_DOUBLE_EQ(axis.x(5 * kSecond), 0);
  EXPECT_DOUBLE_EQ(axis.x(6 * kSecond), kWidth / 2);
  EXPECT_DOUBLE_EQ(axis.x(7 * kSecond), kWidth);
  EXPECT_DOUBLE_EQ(axis.x(0), 0);
  EXPECT_DOUBLE_EQ(axis.x(99 * kSecond), kWidth);
}

TEST(TimeAxis, ALongWaitIsCutAndItsLengthKept) {
  const TimeAxis axis(
      chart(5, 66, {bar(Kind::read, 5, 6), bar(Kind::waiting, 6, 65), bar(Kind::read, 65, 66)}),
      kWidth);
  ASSERT_EQ(axis.cuts().size(), 1U);
  const auto& cut = axis.cuts().front();
  EXPECT_GT(cut.to - cut.from, 58 * kSecond);
  EXPECT_GE(cut.from, 6 * kSecond);
  EXPECT_LE(cut.to, 65 * kSecond);
  // Both reads keep nearly half of the line each.
  EXPECT_GT(axis.x(6 * kSecond) - axis.x(5 * kSecond), 0.4 * kWidth);
  EXPECT_NEAR(axis.x(6 * kSecond) - axis.x(5 * kSecond),
              axis.x(66 * kSecond) - axis.x(65 * kSecond), 0.01);
}

TEST(TimeAxis, WorkIsNotCutUnlessItIsNearlyAll) {
  const auto cuts = [](double length) {
    return TimeAxis(chart(0, length + 2,
                          {bar(Kind::read, 0, 1), bar(Kind::medium, 1, length + 1),
                           bar(Kind::read, length + 1, length + 2)}),
                    kWidth)
        .cuts()
        .size();
  };
  EXPECT_EQ(cuts(5), 0U);
  EXPECT_EQ(cuts(100), 1U);
}

TEST(TimeAxis, NeverGoesBack) {
  std::vector<Bar> bars;
  for (int i = 0; i < 40; ++i) {
    bars.push_back(bar(Kind::read, i * i * 0.37, i * i * 0.37 + 0.1));
  }
  const auto all = chart(0, 600, bars);
  const TimeAxis axis(all, kWidth);
  EXPECT_LE(axis.cuts().size(), 8U);
  double last = 0;
  for (Micros time = 0; time <= 600 * kSecond; time += 50'000) {
    EXPECT_GE(axis.x(time), last) << time;
    last = axis.x(time);
  }
  EXPECT_NEAR(last, kWidth, 0.01);
}

TEST(TimeAxis, TicksKeepTheirDistance) {
  for (const double length : {0.000'01, 0.003, 0.7, 12.0, 5000.0, 1e8}) {
    const TimeAxis axis(chart(3, 3 + length, {bar(Kind::read, 3, 3 + length)}), kWidth);
    for (std::size_t i = 1; i < axis.ticks().size(); ++i) {
      EXPECT_GE(axis.ticks()[i].x - axis.ticks()[i - 1].x, 40) << length;
      EXPECT_NE(axis.ticks()[i].label, axis.ticks()[i - 1].label) << length;
    }
    EXPECT_LT(axis.ticks().size(), 25U);
  }
}

TEST(TimeAxis, NoDurationAtAll) {
  const TimeAxis axis(chart(3, 3, {}), kWidth);
  EXPECT_GE(axis.x(3 * kSecond), 0);
  EXPECT_LE(axis.x(3 * kSecond), kWidth);
}

}  // namespace
}  // namespace muster::chart
