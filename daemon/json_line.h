// One JSON object a line: how the journal and the control socket write and read.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "daemon/event.h"

namespace muster {

// Without the newline. Always valid UTF-8, whatever got into the strings.
[[nodiscard]] std::string to_line(const Json& json);

// An object from foreign bytes. Never throws; deep nesting is refused before it is built, since the
// library walks a value recursively.
inline constexpr std::size_t kMaxNesting = 64;
[[nodiscard]] Result<Json> object_from_line(std::string_view line);

}  // namespace muster
