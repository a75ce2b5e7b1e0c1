// Mounts of a medium: read-only, without replaying a journal, and taken down again whatever
// happens.
#pragma once

#include <string>
#include <string_view>

#include "daemon/fd.h"
#include "daemon/result.h"

namespace muster::medium {

// Options that keep a filesystem's driver from writing even where it thinks it must (a dirty
// journal, say): a mount that is only read-only still replays an ext4 journal.
[[nodiscard]] std::string_view quiet_options(std::string_view filesystem);

// Mounts `source` (a device node) read-only, nodev, nosuid, noexec. The directory is made if it is
// missing.
[[nodiscard]] Result<void> mount_quietly(const std::string& source, const std::string& directory,
                                         const std::string& filesystem);

// A loop device. The kernel lets it go with its last opener: keep this until it is mounted.
struct LoopDevice {
  std::string node;
  Fd opened;
};

// The file, read-only. `file` is reached below `directory` without leaving it by links or "..".
[[nodiscard]] Result<LoopDevice> attach_loop(const std::string& directory, const std::string& file);

// Unmounts; at once if it can, else as soon as its last user is gone. Nothing mounted there is no
// error.
[[nodiscard]] Result<void> unmount(const std::string& directory);

// A mount for the time of looking.
class TemporaryMount {
 public:
  explicit TemporaryMount(std::string directory) : directory_(std::move(directory)) {}
  ~TemporaryMount();
  TemporaryMount(const TemporaryMount&) = delete;
  TemporaryMount& operator=(const TemporaryMount&) = delete;
  [[nodiscard]] const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
};

}  // namespace muster::medium
