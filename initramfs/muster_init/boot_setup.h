// What must be there before anything else can run: the kernel's filesystems, /tmp, the directories
// that Mondo expects.
#pragma once

#include <string>
#include <vector>

namespace muster::init {

// Returns what went wrong, one line each; PID 1 goes on whatever it was.
[[nodiscard]] std::vector<std::string> prepare_system();

}  // namespace muster::init
