// A chart as SVG: by itself, or as the drawing within a page.
#pragma once

#include <string>

#include "daemon/chart/boot_chart.h"

namespace muster::chart {

// A file of its own, readable in light and in dark.
[[nodiscard]] std::string to_svg(const Chart& chart);

// For html_writer: without header text and style; texts for the page's own tooltips.
[[nodiscard]] std::string svg_drawing(const Chart& chart);
// The colours, and a few letters about what they mean.
[[nodiscard]] std::string svg_style();
[[nodiscard]] std::string svg_legend(const Chart& chart, double x, double y);

}  // namespace muster::chart
