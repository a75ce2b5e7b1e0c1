// What a uevent's number says: whether a scan of /sys already covers it, and whether others before
// it were lost. Pure.
//
// A device's directory in sysfs is complete before its `add` is numbered, and its `uevent` file is
// gone before its `remove` is. So whoever reads N = /sys/kernel/uevent_seqnum and then /sys has
// seen what every uevent up to N says; one that is still queued only causes its devpath to be read
// again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "daemon/event.h"

namespace muster {

class UeventOrder {
 public:
  // The kernel takes the number and sends in two steps, so neighbours may arrive swapped.
  static constexpr Micros kGapCloses = 500'000;

  // On the `kernel` source every number arrives, on udevd's `udev` source they come in order of
  // completion.
  explicit UeventOrder(bool every_number_arrives) : every_number_arrives_(every_number_arrives) {}

  enum class Take { as_it_is, read_again, nothing };
  // A uevent was received. seqnum 0 is outside the numbering.
  [[nodiscard]] Take take(std::uint64_t seqnum, std::string_view devpath, Micros now);

  // A scan that began when `seqnum` was the last number given.
  void scanned(std::uint64_t seqnum);

  // When the oldest gap counts as a loss; nothing: there is none. Gaps from before the first scan
  // never count.
  [[nodiscard]] std::optional<Micros> gap_due() const;
  // If a gap is due by `now`: the lowest one. All are then forgotten.
  struct Gap {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  [[nodiscard]] std::optional<Gap> lost(Micros now);

 private:
  // Far more gaps than reordering can make: what is this torn was lost.
  static constexpr std::size_t kMostGaps = 4096;

  void note(std::uint64_t seqnum, Micros now);

  struct Missing {
    std::uint64_t last = 0;
    Micros since = 0;
  };
  bool every_number_arrives_;
  bool counting_ = false;
  std::uint64_t highest_ = 0;
  std::uint64_t covered_ = 0;
  std::map<std::uint64_t, Missing> missing_;  // by first number
  std::set<std::string, std::less<>> read_again_;
};

}  // namespace muster
