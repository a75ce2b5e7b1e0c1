#include "handlers/bytes.h"

#include <fmt/format.h>

namespace muster {
namespace {

// Length of the well-formed UTF-8 sequence that S starts with (RFC 3629: no overlong forms, no
// surrogates); 0 if none.
size_t utf8_length(std::string_view s) {
  const auto byte = [&](size_t i) {
    return i < s.size() ? static_cast<unsigned>(static_cast<unsigned char>(s[i])) : 0U;
  };
  const auto follows = [&](size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned lead = byte(0);
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xC2 && lead <= 0xDF) {
    return follows(1) ? 2 : 0;
  }
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool overlong = lead == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = lead == 0xED && byte(1) > 0x9F;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool overlong = lead == 0xF0 && byte(1) < 0x90;
    const bool too_large = lead == 0xF4 && byte(1) > 0x8F;
    return follows(1) && follows(2) && follows(3) && !overlong && !too_large ? 4 : 0;
  }
  return 0;
}

bool is_printable(unsigned char c) {
  return c >= 0x20 && c < 0x7F;
}

bool is_clean(std::string_view s) {
  while (!s.empty()) {
    const size_t n = utf8_length(s);
    const auto c = static_cast<unsigned char>(s[0]);
    // U+0080..U+009F are control characters too, and terminals obey them.
    const bool c1 = n == 2 && c == 0xC2 && static_cast<unsigned char>(s[1]) < 0xA0;
    if (n == 0 || c1 || (n == 1 && !is_printable(c))) {
      return false;
    }
    s.remove_prefix(n);
  }
  return true;
}

}  // namespace

std::string printable(std::string_view foreign) {
  if (is_clean(foreign)) {
    return std::string(foreign);
  }
  std::string out;
  for (const char c : foreign) {
    const auto u = static_cast<unsigned char>(c);
    if (is_printable(u)) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", u);
    }
  }
  return out;
}

std::string quoted(std::string_view foreign) {
  constexpr size_t kMax = 64;
  const bool cut = foreign.size() > kMax;
  return '"' + printable(foreign.substr(0, kMax)) + (cut ? "\"..." : "\"");
}

}  // namespace muster
