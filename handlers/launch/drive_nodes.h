// Device nodes that give the names of a mountlist to the disks they are bound to. Pure planning;
// the executor makes them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/result.h"
#include "daemon/world.h"

namespace muster::launch {

struct DriveName {
  std::string name;                           // "/dev/sda": what the mountlist says
  Devno devno;                                // of the disk that it means
  std::string kernel;                         // "sdb": what the kernel calls that disk today
  std::map<unsigned, Devno> partitions = {};  // that the kernel knows today, by number
};

enum class NodeRule {
  made,       // it must be there and lead there
  corrected,  // it may be missing; if it leads elsewhere, it is made to lead there
  cleared,    // it may be missing; if it leads elsewhere, it goes
};

struct NodePlan {
  std::string path;
  Devno devno;
  NodeRule rule = NodeRule::made;
  bool operator==(const NodePlan&) const = default;
};

// The nodes of each drive: the disk and its partitions 1 to 15.
//
// Where its name is not the kernel's, also of partitions that do not exist yet: mondorestore makes
// them, and devtmpfs leaves a node alone that somebody else made. An error for drives whose
// partitions have no fixed numbers (NVMe, say): those cannot be renamed ahead.
//
// Where its name is the kernel's today, it may have been another disk's at an earlier attempt, and
// devtmpfs leaves that node alone too: what still leads there is corrected, and nothing else is
// made. A partition without a fixed number gets another one whenever it is made again: its node is
// devtmpfs's alone.
[[nodiscard]] Result<std::vector<NodePlan>> nodes_for(const std::vector<DriveName>& drives);

// "/dev/sda" + 3 -> "/dev/sda3", "/dev/nvme0n1" + 3 -> "/dev/nvme0n1p3"
[[nodiscard]] std::string partition_name(const std::string& drive, unsigned number);

// A list for LVM's filter, in LVM's syntax, that admits these drives, their partitions and the
// arrays that mondorestore will make, but not `arrays`: kernel names of those that are there before
// it starts ("md127"), as under a medium.
[[nodiscard]] std::string lvm_filter(const std::vector<std::string>& drives,
                                     const std::vector<std::string>& arrays);

}  // namespace muster::launch
