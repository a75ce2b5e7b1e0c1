#include "initramfs/muster_init/respawn_policy.h"

#include <algorithm>

namespace muster::init {

RespawnPolicy::Time RespawnPolicy::on_death(Time now) {
  // The delay itself is no life: it is not counted towards having stayed alive.
  const bool lived_long = deaths_.empty() || now - deaths_.back() - delay_ > kWindow;
  if (lived_long) {
    deaths_.clear();
    delay_ = Time{0};
  }
  deaths_.push_back(now);
  if (delay_ > Time{0}) {
    delay_ = std::min(delay_ * 2, kLongestDelay);
    return delay_;
  }
  while (now - deaths_.front() > kWindow) {
    deaths_.pop_front();
  }
  if (deaths_.size() >= kFreeDeaths) {
    delay_ = kFirstDelay;
  }
  return delay_;
}

}  // namespace muster::init
