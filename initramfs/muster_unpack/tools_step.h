// The tools of a medium, brought into the rescue system: what Mondo's init called
// install-additional-tools.
//
//   1. images/1.tar.gz, 2.tar.gz, .. (or all.tar.gz, if there are none) are unpacked into a folder
//   of their own;
//   2. files that were cut into slices are put together;
//   3. everything moves to the root, over what is there; folders are merged;
//   4. the old machine's fstab and raidtab are put into /tmp, where mondorestore looks for them.
//
// Out of reach of a medium: /usr/lib/muster, /etc/muster, /proc, /sys, /dev, /run. Not replaced:
// /etc/fstab (it makes `mount /mnt/cdrom` work; the old machine's is for /tmp/fstab), /etc/mtab,
// /etc/lvm/lvm.conf (no udevd runs here).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace muster::unpack {

struct ToolsRequest {
  std::string images;
  std::string root = "/";
  std::string staging = "/tmp/groovy-stuff";
  std::uint64_t limit =
      std::uint64_t{512} * 1024 * 1024;  // bytes unpacked, of all archives together
};

struct Refusal {
  std::string path;
  std::string reason;

  bool operator==(const Refusal&) const = default;
};

struct ToolsReport {
  std::vector<std::string> archives;  // that were read to their end
  std::uint64_t files = 0;            // files and links moved to the root
  std::vector<Refusal> refused;       // the first kMostRefusals of them
  std::uint64_t refused_total = 0;
  std::vector<std::string> kept;          // files of the image that the medium would have replaced
  std::vector<std::string> module_trees;  // VERSION of each lib/modules/VERSION that came
  bool fstab = false;
  bool raidtab = false;
  std::string error;  // not empty: the tools are not complete
};

inline constexpr std::size_t kMostRefusals = 100;

[[nodiscard]] ToolsReport bring_tools(const ToolsRequest& request);

}  // namespace muster::unpack
