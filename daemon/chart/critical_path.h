// Back from the launch, through what was waited for last, to where it began.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/chart/boot_history.h"

namespace muster::chart {

struct CriticalPath {
  std::vector<ActId> acts;  // in order of time; each set off the next
  // Where nothing was launched: the thing that is still missing, and the requirement that asks for
  // it. The last act is then the last that brought it nearer.
  std::string missing;
  std::string requirement;
  std::optional<ActId> launch;  // the act that started mondorestore, or tried to
};

[[nodiscard]] CriticalPath critical_path(const History& history);

}  // namespace muster::chart
