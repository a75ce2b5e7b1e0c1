// Device nodes that give the names of a mountlist to the disks they are bound to. Pure planning;
// the executor makes them.
#pragma once

#include <string>
#include <vector>

#include "daemon/result.h"
#include "daemon/world.h"

namespace muster::launch {

struct DriveName {
  std::string name;    // "/dev/sda": what the mountlist says
  Devno devno;         // of the disk that it means
  std::string kernel;  // "sdb": what the kernel calls that disk today
};

struct NodePlan {
  std::string path;
  Devno devno;
  bool operator==(const NodePlan&) const = default;
};

// The nodes for each drive whose name is not the kernel's: the disk and its partitions 1 to 15,
// also those that do not exist yet: mondorestore makes them, and devtmpfs leaves a node alone that
// somebody else made. Nothing if every name is right. An error for drives whose partitions have no
// fixed numbers (NVMe, say): those cannot be renamed ahead.
[[nodiscard]] Result<std::vector<NodePlan>> nodes_for(const std::vector<DriveName>& drives);

// "/dev/sda" + 3 -> "/dev/sda3", "/dev/nvme0n1" + 3 -> "/dev/nvme0n1p3"
[[nodiscard]] std::string partition_name(const std::string& drive, unsigned number);

// A regular expression for LVM's filter that matches these drives and their partitions, in LVM's
// syntax.
[[nodiscard]] std::string lvm_filter(const std::vector<std::string>& drives);

}  // namespace muster::launch
