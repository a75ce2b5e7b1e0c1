// The one clock: CLOCK_BOOTTIME in microseconds. Read at the edges only; the engine is told.
#pragma once

#include <ctime>

#include "daemon/event.h"

namespace muster {

[[nodiscard]] inline Micros boottime() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Micros{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

}  // namespace muster
