// md_mod.start_ro: while it is 1, every array that anybody starts comes up auto-read-only.
#pragma once

#include "daemon/result.h"
#include "daemon/root.h"

namespace muster::md {

// Sets it, and remembers what it was before the first time in /run/muster, where a later life of the daemon finds it.
[[nodiscard]] Result<void> set_start_ro(const Root& root);

// Puts back what it was. Nothing to do if it was never set.
[[nodiscard]] Result<void> restore_start_ro(const Root& root);

}  // namespace muster::md
