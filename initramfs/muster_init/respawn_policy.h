// When a musterd that died is started again. Pure: time arrives as an argument.
#pragma once

#include <chrono>
#include <deque>

namespace muster::init {

class RespawnPolicy {
 public:
  using Time = std::chrono::milliseconds;  // since any fixed point

  static constexpr Time kWindow{10'000};
  static constexpr std::size_t kFreeDeaths = 5;
  static constexpr Time kFirstDelay{1'000};
  static constexpr Time kLongestDelay{30'000};

  // A death at `now`: how long the next start is held back. Zero (at once) for the first deaths;
  // from the fifth within ten seconds on 1, 2, 4 .. 30 s; zero again once it has stayed alive for
  // longer than the window.
  [[nodiscard]] Time on_death(Time now);

 private:
  std::deque<Time> deaths_;
  Time delay_{0};
};

}  // namespace muster::init
