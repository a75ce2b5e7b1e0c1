#include "daemon/chart/time_axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "daemon/chart/chart_text.h"

namespace muster::chart {
namespace {

constexpr std::size_t kMaxCuts = 8;
constexpr double kCutWidth = 46;
constexpr double kTickDistance = 70;

// Somebody works; a wait is no work, and what mondorestore does is not ours.
bool is_work(const Bar& bar) {
  return bar.kind != Kind::present && bar.kind != Kind::waiting && bar.kind != Kind::running &&
         bar.kind != Kind::deadline && bar.end > bar.start;
}

struct Gap {
  Micros from = 0;
  Micros to = 0;
  bool busy = false;
  [[nodiscard]] Micros length() const { return to - from; }
};

std::vector<Gap> gaps_of(const Chart& chart) {
  std::vector<Micros> points{chart.begin, chart.end};
  std::vector<std::pair<Micros, Micros>> work;
  for (const auto& row : chart.rows) {
    if (row.section == Section::others) {
      continue;
    }
    for (const auto& bar : row.bars) {
      points.push_back(bar.start);
      points.push_back(bar.end);
      if (is_work(bar)) {
        work.emplace_back(bar.start, bar.end);
      }
    }
  }
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  std::sort(work.begin(), work.end());
  std::vector<Gap> gaps;
  std::size_t next = 0;
  Micros busy_until = chart.begin;
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    if (points[i] < chart.begin || points[i + 1] > chart.end) {
      continue;
    }
    while (next < work.size() && work[next].first <= points[i]) {
      busy_until = std::max(busy_until, work[next++].second);
    }
    gaps.push_back({points[i], points[i + 1], busy_until > points[i]});
  }
  return gaps;
}

// The gaps that would leave the rest no room. One in which somebody works must be far longer than
// all the rest: its length is what the picture is to show.
std::vector<Gap> to_cut(const Chart& chart) {
  auto gaps = gaps_of(chart);
  std::stable_sort(gaps.begin(), gaps.end(),
                   [](const Gap& a, const Gap& b) { return a.length() > b.length(); });
  std::vector<Gap> cut;
  Micros left = chart.end - chart.begin;
  for (const auto& gap : gaps) {
    if (cut.size() == kMaxCuts) {
      break;
    }
    const Micros rest = left - gap.length();
    const bool worth = gap.busy ? gap.length() > 3 * rest && rest > 0 : gap.length() > rest / 8;
    if (gap.length() > 300'000 && worth) {
      cut.push_back(gap);
      left = rest;
    }
  }
  // Shown at either side: that the wait goes on.
  const Micros margin = left / 60;
  for (auto& gap : cut) {
    const Micros each = std::min(margin, gap.length() / 4);
    gap.from += each;
    gap.to -= each;
  }
  std::sort(cut.begin(), cut.end(), [](const Gap& a, const Gap& b) { return a.from < b.from; });
  return cut;
}

}  // namespace

TimeAxis::TimeAxis(const Chart& chart, double width) : width_(width) {
  const auto cut = to_cut(chart);
  Micros shown = std::max<Micros>(1, chart.end - chart.begin);
  for (const auto& gap : cut) {
    shown -= gap.length();
  }
  const double per_micro = std::max(1.0, width - kCutWidth * static_cast<double>(cut.size())) /
                           static_cast<double>(std::max<Micros>(1, shown));
  Micros at = chart.begin;
  double x = 0;
  const auto add = [&](Micros to, bool is_cut) {
    const double wide = is_cut ? kCutWidth : static_cast<double>(to - at) * per_micro;
    pieces_.push_back({at, to, x, wide, is_cut});
    if (is_cut) {
      cuts_.push_back({at, to, x, wide});
    }
    x += wide;
    at = to;
  };
  for (const auto& gap : cut) {
    add(gap.from, false);
    add(gap.to, true);
  }
  add(std::max(chart.end, at), false);
  make_ticks(per_micro);
}

double TimeAxis::x(Micros time) const {
  const auto it = std::upper_bound(pieces_.begin(), pieces_.end(), time,
                                   [](Micros t, const Piece& piece) { return t < piece.from; });
  if (it == pieces_.begin()) {
    return 0;
  }
  const Piece& piece = *std::prev(it);
  const auto length = static_cast<double>(std::max<Micros>(1, piece.to - piece.from));
  const double part = static_cast<double>(std::min(time, piece.to) - piece.from) / length;
  return std::clamp(piece.x + part * piece.width, 0.0, width_);
}

void TimeAxis::make_ticks(double per_micro) {
  Micros step = 1;
  static constexpr int kFactors[] = {1, 2, 5};
  for (std::size_t i = 0; static_cast<double>(step) * per_micro < kTickDistance && i < 45; ++i) {
    const auto scale = static_cast<Micros>(std::pow(10.0, static_cast<double>(i / 3)));
    step = scale * kFactors[i % 3];
  }
  int decimals = 0;
  for (Micros unit = 1'000'000; unit > step && decimals < 6; unit /= 10) {
    ++decimals;
  }
  double last = -kTickDistance;
  for (const auto& piece : pieces_) {
    if (piece.is_cut) {
      last = piece.x + piece.width - kTickDistance / 2;
      continue;
    }
    for (Micros at = (piece.from + step - 1) / step * step; at <= piece.to; at += step) {
      const double place = x(at);
      // Not into the label of a cut, nor over the right edge.
      const bool before_cut =
          &piece != &pieces_.back() && place > piece.x + piece.width - kTickDistance / 2;
      if (place - last >= kTickDistance * 0.7 && !before_cut && place < width_ - 20) {
        ticks_.push_back(
            {place, fmt::format("{:.{}f} s", static_cast<double>(at) / 1e6, decimals)});
        last = place;
      }
    }
  }
}

}  // namespace muster::chart
