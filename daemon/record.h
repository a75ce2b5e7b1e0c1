// Saving the journal of this boot to a file that outlives it: for `muster record`, and for the copy
// on the restored system. Runs in the caller's own time: the daemon is not asked for anything.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/fd.h"
#include "daemon/result.h"

namespace muster {

struct RecordSettings {
  std::string journal = "/run/muster/journal.jsonl";
  std::string output;  // on a mounted medium
  bool force = false;  // an existing file is replaced
  // Becomes readable when it is enough; without one the present state is saved and that is all.
  const Fd* follow_until = nullptr;
};

struct Recorded {
  std::uint64_t bytes = 0;
  std::size_t files = 0;
  bool in_memory = false;  // the file lies on a file system that a power cut empties
};

// All segments that there are, oldest first, and then, while following, what is added. What was
// written is on the medium (fsync) before this waits for more. Only whole lines are copied, so the
// file can be read at every moment. Errors name the file; what was written before stays.
[[nodiscard]] Result<Recorded> record_journal(const RecordSettings& settings);

}  // namespace muster
