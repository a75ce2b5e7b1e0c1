// A chart as one page: zoom, filter and details by a script that is in it; nothing is fetched.
#pragma once

#include <string>

#include "daemon/chart/boot_chart.h"

namespace muster::chart {

// `few`: what is seen first. `all`: every row, below, if that is more.
[[nodiscard]] std::string to_html(const Chart& few, const Chart& all);

}  // namespace muster::chart
