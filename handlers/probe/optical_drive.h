// What is in an optical drive, asked so that the drive never moves.
#pragma once

#include <cstdint>
#include <string>

#include "handlers/block_device.h"

namespace muster::probe {

struct OpticalState {
  std::string drive;                 // data, no_disc, tray_open, not_ready, blank
  std::string note;                  // may be empty
  Fd disc;                           // opened for reading, where there is data
  std::uint64_t session_offset = 0;  // bytes; where the last session starts
};

// The kernel closes the tray when an empty drive is opened for reading; that is switched off for
// the moment of opening. Errors are the drive's being gone.
[[nodiscard]] Result<OpticalState> look_into_drive(const BlockDevices& devices,
                                                   std::string_view devno);

}  // namespace muster::probe
