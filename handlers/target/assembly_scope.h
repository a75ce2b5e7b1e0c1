// Where storage may be put together before the launch (design, section 5). Pure.
#pragma once

#include <set>
#include <string>

#include "daemon/world.h"

namespace muster::target {

// The disks that this plan's drives are bound to, by devpath; in nuke mode their content is
// nobody's any more.
[[nodiscard]] std::set<std::string> bound_disks(const World& world);

// Whether an array or LV standing on these devices may be assembled now. If not, `why` says so in
// one line.
[[nodiscard]] bool may_assemble(const World& world, const std::set<std::string>& devpaths,
                                std::string* why);

}  // namespace muster::target
