// The words of the kernel command line. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace muster::init {

// Split at blanks; a double-quoted part keeps its blanks and loses its quotes, as the kernel does
// it.
[[nodiscard]] std::vector<std::string> split_command_line(std::string_view line);

[[nodiscard]] bool has_word(const std::vector<std::string>& words, std::string_view word);

// TERM for a console: what the image's terminfo has and what a terminal of that kind understands.
[[nodiscard]] std::string_view term_for_tty(std::string_view tty_name);

// The last word of /sys/class/tty/console/active is the tty behind /dev/console.
[[nodiscard]] std::string_view last_word(std::string_view line);

}  // namespace muster::init
