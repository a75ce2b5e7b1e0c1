// Looks at candidates for the medium, and puts the chosen one where Mondo expects it.
//
// poll    {"devpath", "msecs"}: how often the kernel asks the drive for its disc
// examine {"devno", "name", "filesystem", "kind": "disc"|"directory", "directory", "prefix"}:
// mounts it aside, reads
//         what proves a medium, takes the mount down again
//         -> {"archives": bool, "number", "serial", "not_the_last": bool, "files": {name:
//         text|null}, "iso", "why"}
// take    {"devno", "name", "dev_name", "filesystem", "kind", "iso", "iso_dev", "mode"}:
// /dev/cdrom, /mnt/cdrom, for
//         ISO files also /tmp/isodir -> {"config": {key: value that must go into
//         mondo-restore.cfg}}
// tools   {"config"}: unpacks the medium's tools over /, then corrects the config
// release {}: takes all of that back
#pragma once

#include <string>

#include "handlers/block_device.h"
#include "handlers/handler.h"

namespace muster::medium {

class MediumExecutor : public Executor {
 public:
  MediumExecutor(const Root& root, const BlockDevices& devices, std::string bin_dir,
                 std::string run_dir);
  [[nodiscard]] std::string_view name() const override { return "medium"; }
  [[nodiscard]] Result<Json> run(const Effect& effect) override;

 private:
  [[nodiscard]] Result<Json> poll(const Effect& effect);
  [[nodiscard]] Result<Json> examine(const Effect& effect);
  [[nodiscard]] Result<Json> take(const Effect& effect);
  [[nodiscard]] Result<Json> tools(const Effect& effect);
  [[nodiscard]] Result<Json> release();
  [[nodiscard]] Json look_at(const std::string& directory) const;
  [[nodiscard]] Result<std::string> source_of(const std::string& dev_name,
                                              const std::string& devno) const;
  [[nodiscard]] Result<std::string> isodir_source(const Effect& effect, Json& config) const;

  const Root& root_;
  const BlockDevices& devices_;
  std::string bin_dir_;
  std::string run_dir_;
};

}  // namespace muster::medium
