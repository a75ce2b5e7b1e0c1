// The name by which mondorestore mounts the medium. Usually a link to the kernel's name of the
// drive; but a nuke gives names to other disks (handlers/launch/drive_nodes.h), and a medium on a
// stick may lose its own. Then the link leads to a node of the medium's own.
#pragma once

#include <sys/types.h>

#include <string>

#include "daemon/result.h"

namespace muster::medium {

struct MediumPlaces {
  std::string link = "/dev/cdrom";
  std::string node = "/dev/muster/medium";
  std::string lives = "/tmp/CDROM-LIVES-HERE";
};

// The path does lead to the block device with this number, now.
[[nodiscard]] bool leads_to(const std::string& path, dev_t number);

// A node for this number that is nobody else's name -> its path.
[[nodiscard]] Result<std::string> own_node(dev_t number, const MediumPlaces& places = {});

// After names were given to other disks: if the link went to `dev_name` and that is not the medium
// any more, it leads to a node of its own from now on. Any other link, or none, is left alone.
[[nodiscard]] Result<void> keep_link(const std::string& dev_name, dev_t number,
                                     const MediumPlaces& places = {});

}  // namespace muster::medium
