#include "daemon/uevent_order.h"

#include <algorithm>

namespace muster {

UeventOrder::Take UeventOrder::take(std::uint64_t seqnum, std::string_view devpath, Micros now) {
  if (seqnum == 0) {
    return Take::as_it_is;
  }
  if (every_number_arrives_ && counting_) {
    note(seqnum, now);
  }
  if (seqnum > covered_) {
    return Take::as_it_is;
  }
  if (!every_number_arrives_) {
    // udevd's part comes after the kernel's: what it knows may be newer than the scan.
    return Take::read_again;
  }
  return read_again_.emplace(devpath).second ? Take::read_again : Take::nothing;
}

void UeventOrder::note(std::uint64_t seqnum, Micros now) {
  if (seqnum > highest_) {
    if (seqnum > highest_ + 1) {
      missing_.emplace(highest_ + 1, Missing{seqnum - 1, now});
    }
    highest_ = seqnum;
    return;
  }
  auto it = missing_.upper_bound(seqnum);
  if (it == missing_.begin()) {
    return;
  }
  --it;
  const auto [first, gap] = *it;
  if (seqnum > gap.last) {
    return;
  }
  missing_.erase(it);
  if (first < seqnum) {
    missing_.emplace(first, Missing{seqnum - 1, gap.since});
  }
  if (seqnum < gap.last) {
    missing_.emplace(seqnum + 1, Missing{gap.last, gap.since});
  }
}

void UeventOrder::scanned(std::uint64_t seqnum) {
  counting_ = true;
  covered_ = std::max(covered_, seqnum);
  highest_ = std::max(highest_, seqnum);
  read_again_.clear();
  while (!missing_.empty() && missing_.begin()->first <= seqnum) {
    const auto [first, gap] = *missing_.begin();
    missing_.erase(missing_.begin());
    if (gap.last > seqnum) {
      missing_.emplace(seqnum + 1, gap);
    }
  }
}

std::optional<Micros> UeventOrder::gap_due() const {
  if (missing_.empty()) {
    return std::nullopt;
  }
  const auto oldest = std::min_element(
      missing_.begin(), missing_.end(),
      [](const auto& a, const auto& b) { return a.second.since < b.second.since; });
  return missing_.size() > kMostGaps ? oldest->second.since : oldest->second.since + kGapCloses;
}

std::optional<UeventOrder::Gap> UeventOrder::lost(Micros now) {
  const auto due = gap_due();
  if (!due || *due > now) {
    return std::nullopt;
  }
  const Gap gap{missing_.begin()->first, missing_.begin()->second.last};
  missing_.clear();
  return gap;
}

}  // namespace muster
