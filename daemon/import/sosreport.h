// The directory of an unpacked sosreport: which of its files say something about storage.
//
// File names differ between versions of sos, so files are found by where they lie and how their
// names begin, and what they hold is recognised when it is read.
#pragma once

#include <string>

#include "daemon/import/device_log.h"
#include "daemon/import/storage_seen.h"

namespace muster::imports {

struct Sosreport {
  DeviceLog log;  // its udev database
  StorageSeen seen;
};

// Errors: no directory, none of a sosreport, one without a udev database; a database that is
// damaged ("FILE: line N: WHY"). Files that are too large, or cannot be read, are in log.unknown.
[[nodiscard]] Result<Sosreport> read_sosreport(const std::string& directory);

}  // namespace muster::imports
