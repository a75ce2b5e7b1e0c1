#include "daemon/toml.h"

#include <algorithm>

namespace muster {

// What is malformed in another way, toml++ finds before its strings and ours differ.
std::size_t foreign_character_in_toml(std::string_view text) {
  std::size_t line = 1;
  std::string_view closing;  // of the string that we are in
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') {
      ++line;
      if (closing.size() == 1) {
        closing = {};
      }
    } else if (!closing.empty()) {
      if (c == '\\' && closing.front() == '"' && i + 1 < text.size() && text[i + 1] != '\n') {
        ++i;
      } else if (text.substr(i).starts_with(closing)) {
        i += closing.size() - 1;
        closing = {};
      }
    } else if (c == '#') {
      i = std::min(text.find('\n', i), text.size()) - 1;
    } else if (c == '"' || c == '\'') {
      closing = c == '"' ? "\"\"\"" : "\'\'\'";
      if (text.substr(i).starts_with(closing)) {
        i += 2;
      } else {
        closing = closing.substr(0, 1);
      }
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      return line;
    }
  }
  return 0;
}

}  // namespace muster
