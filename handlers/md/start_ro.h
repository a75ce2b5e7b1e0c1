// md_mod.start_ro: while it is 1, every array that anybody starts comes up auto-read-only.
#pragma once

#include "daemon/result.h"
#include "daemon/root.h"

namespace muster::md {

[[nodiscard]] Result<void> set_start_ro(const Root& root);

// The kernel's default, whatever modprobe.d said (Debian's mdadm package ships start_ro=1):
// mondorestore must find its arrays writable at once. Nothing to do where md is not loaded.
[[nodiscard]] Result<void> clear_start_ro(const Root& root);

}  // namespace muster::md
