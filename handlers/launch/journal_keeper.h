// The journal's copy on the restored system.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "daemon/record.h"
#include "daemon/root.h"
#include "daemon/world.h"

namespace muster::launch {

inline constexpr const char* kJournalFolder = "/var/log/muster";

struct KeepSettings {
  std::string journal = RecordSettings{}.journal;
  std::string restored = "/mnt/RESTORING";  // where mondorestore has the restored system
  std::string folder = kJournalFolder;      // in it
  // Mounted, if nothing is mounted there any more; empty: then the journal is not kept.
  std::string device;
  std::string format;
  std::string below;          // of the folder, in that file system
  std::vector<Devno> drives;  // the plan's: nothing else is written to
  std::string aside = "/run/muster/restored";
};

// {"file": where it is, "bytes"} or {"why": why it is nowhere}.
[[nodiscard]] Result<Json> keep_journal(const Root& root, const KeepSettings& settings);

// The whole disks that a block device lies on, by what sysfs says: through its disk, if it is a
// partition, and what is below an array or a logical volume.
[[nodiscard]] std::set<Devno> disks_below(const Root& root, Devno devno);

}  // namespace muster::launch
