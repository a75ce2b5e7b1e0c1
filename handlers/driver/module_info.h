// What a module's file says of itself: the section .modinfo of an ELF file that is not compressed.
// Pure; any bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "handlers/bytes.h"

namespace muster::driver {

// The values of all lines "KEY=VALUE"; nothing if this is no such file, or its section cannot be
// read.
[[nodiscard]] std::optional<std::vector<std::string>> module_info(const Reader& file,
                                                                  std::string_view key);

}  // namespace muster::driver
