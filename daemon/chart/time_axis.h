// From recorded time to places on a line: true to scale where something happens, cut where nothing
// does.
#pragma once

#include <string>
#include <vector>

#include "daemon/chart/boot_chart.h"

namespace muster::chart {

struct Cut {
  Micros from = 0;
  Micros to = 0;
  double x = 0;  // its left edge
  double width = 0;
};

struct Tick {
  double x = 0;
  std::string label;
};

class TimeAxis {
 public:
  // For a line of this many pixels.
  TimeAxis(const Chart& chart, double width);
  // Of any time; what lies outside is put at the edge.
  [[nodiscard]] double x(Micros time) const;
  [[nodiscard]] const std::vector<Cut>& cuts() const { return cuts_; }
  [[nodiscard]] const std::vector<Tick>& ticks() const { return ticks_; }

 private:
  struct Piece {
    Micros from = 0;
    Micros to = 0;
    double x = 0;
    double width = 0;
    bool is_cut = false;
  };
  void make_ticks(double per_micro);

  double width_;
  std::vector<Piece> pieces_;
  std::vector<Cut> cuts_;
  std::vector<Tick> ticks_;
};

}  // namespace muster::chart
