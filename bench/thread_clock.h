// The time that the calling thread had on a processor: for benchmarks that time a part of what they
// do, so that neither the rest nor others on the machine count.
#pragma once

#include <ctime>

namespace muster::bench {

// In seconds. Reading it takes some 0.2 us.
[[nodiscard]] inline double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace muster::bench
