// `muster status` for people: the answer of musterd as a table. Pure.
#pragma once

#include <string>

#include "daemon/event.h"

namespace muster {

// `status`: status_json() of explain.h, from a daemon of any version: what is missing in it is left
// out.
[[nodiscard]] std::string status_table(const Json& status);

}  // namespace muster
