// Nothing is restored over another disk than the one that is meant, nor over one that somebody
// uses: what is done to the names of a nuke's drives, and what is looked at before it starts.
#pragma once

#include <map>
#include <vector>

#include "daemon/root.h"
#include "handlers/block_device.h"
#include "handlers/launch/drive_nodes.h"

namespace muster::launch {

// The partitions of this disk, by number, as sysfs has them.
[[nodiscard]] std::map<unsigned, Devno> partitions_of(const Root& root, Devno disk);

// Does what the plan says of this node. True: something had to be changed.
[[nodiscard]] Result<bool> put_node(const NodePlan& node);

// An error that names the first node that leads elsewhere.
[[nodiscard]] Result<void> check_nodes(const std::vector<NodePlan>& nodes);

// An error that names the first drive that is mounted, used as swap or part of an array or a map,
// itself or a partition of it, and who has it. What muster itself looks at aside does not count.
[[nodiscard]] Result<void> check_unused(const Root& root, const std::vector<DriveName>& drives);

// The kernel's own word for it, which also knows holders that /proc and /sys do not show here. For
// the moment before the launch, when nothing of ours reads the drives any more.
[[nodiscard]] Result<void> check_exclusive(const BlockDevices& devices,
                                           const std::vector<DriveName>& drives);

}  // namespace muster::launch
