// Block devices by number, never by a name under /dev that somebody may have pointed elsewhere.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/fd.h"
#include "daemon/result.h"
#include "daemon/root.h"
#include "handlers/bytes.h"

namespace muster {

// "8:0" as the kernel packs it.
[[nodiscard]] std::optional<dev_t> dev_from(std::string_view devno);

// Nodes of our own, in a directory of our own ("/run/muster/dev", mode 0700). They stay: a node is
// nothing but a number. Threads: all calls may be made from any thread.
class BlockDevices {
 public:
  explicit BlockDevices(const Root& root, std::string directory = "/run/muster/dev");

  // A path for this device ("8:0"), for mount(2) and for programs. The device itself need not
  // exist.
  [[nodiscard]] Result<std::string> node(std::string_view devno) const;

  // `flags` as for open(2). It is the device with this number that is open, or nothing: what else
  // stands at the node's place is an error. Errc::not_found: there is no such device (ENODEV,
  // ENXIO).
  [[nodiscard]] Result<Fd> open(std::string_view devno, int flags) const;

  [[nodiscard]] const Root& root() const { return root_; }

 private:
  [[nodiscard]] Result<Fd> directory() const;

  const Root& root_;
  std::string directory_;
  mutable std::mutex mutex_;
};

[[nodiscard]] Result<std::uint64_t> block_size_bytes(const Fd& device);

// The generation of the content (see design: words); 0 where the kernel has none (before
// Linux 5.15).
[[nodiscard]] std::uint64_t block_diskseq(const Fd& device);

// For the readers of on-disk formats: exactly `length` bytes, fewer only where the device ends.
// `device` must outlive it.
[[nodiscard]] Reader device_reader(const Fd& device, std::uint64_t size_bytes);

// "sda": the kernel's name of a device; empty if it is not there.
[[nodiscard]] std::string kernel_name(const Root& root, std::string_view devno);

// At `path`, a node with this number, in one step; what stands there gives way. Its directory is
// made if it is missing.
[[nodiscard]] Result<void> make_block_node(const std::string& path, dev_t number);

// What holds this device or its partitions open: devices ("dm-0 (vg-lv)", "md127"), mounts
// ("mounted at /mnt") and swap ("swap on /dev/sda2").
[[nodiscard]] std::vector<std::string> holders_of(const Root& root, std::string_view devno);

// The holders for an error: "held by dm-0 (vg-lv), mounted at /mnt", or that nobody is known.
[[nodiscard]] std::string holders_text(const Root& root, std::string_view devno);

}  // namespace muster
