// toml++, as every file that parses TOML includes it: headers only, so that its tables and
// exceptions stay in that file, and no shared library has to go into an image.
//
// In toml++ 3.3.0 some malformed headers ("[=]") violate the parser's own assertions: an abort in a
// debug build and undefined behaviour in a release, where they become assumptions. So its
// assertions are on in every build, and throw std::logic_error.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string_view>

namespace muster {

constexpr void require_in_toml(bool holds) {
  if (!holds) {
    throw std::logic_error("malformed line");
  }
}

// The line (from 1) of the first character beyond ASCII that stands outside strings and comments;
// 0: there is none. toml++ 3.3.0 takes such a one for unreachable
// (is_non_ascii_horizontal_whitespace): undefined behaviour, so it must not be given one.
[[nodiscard]] std::size_t foreign_character_in_toml(std::string_view text);

inline constexpr std::string_view kForeignCharacter = "a character beyond ASCII outside quotes";

}  // namespace muster

#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expression) ::muster::require_in_toml(static_cast<bool>(expression))
#define TOML_ENABLE_FORMATTERS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")
