#include "handlers/md/raid_level.h"

namespace muster::md {

std::optional<std::string> personality(int level) {
  switch (level) {
    case kLevelLinear:
      return "linear";
    case 0:
      return "raid0";
    case 1:
      return "raid1";
    case 4:
    case 5:
    case 6:
      return "raid456";
    case 10:
      return "raid10";
    default:
      return std::nullopt;
  }
}

}  // namespace muster::md
