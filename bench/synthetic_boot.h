// A boot of any size, recorded: disks by the thousand appear one after the other, each is read, and
// holds a filesystem.
#pragma once

#include <cstddef>

#include "daemon/replay/recording.h"

namespace muster::bench {

// About `events` events; the shipped rules. Four a disk: its SCSI device, what drives it, the block
// device, and what the probe found.
[[nodiscard]] replay::Recording synthetic_boot(std::size_t events);

}  // namespace muster::bench
