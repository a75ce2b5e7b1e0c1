// How soon the drivers for an alias are wanted, told from the alias' text. Pure.
//
// Buses and controllers stand on the way to every disk; of most other aliases it is plain that they
// do not. What is not known counts as if it did.
#pragma once

#include <string_view>

#include "handlers/handler.h"

namespace muster::driver {

[[nodiscard]] Urgency urgency_of_alias(std::string_view alias);

}  // namespace muster::driver
