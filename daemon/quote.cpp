#include "daemon/quote.h"

namespace muster {

namespace {

std::string escaped(unsigned char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '\n':
      return "\\n";
    case '\t':
      return "\\t";
    case '\r':
      return "\\r";
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    default:
      break;
  }
  if (c >= 0x20 && c < 0x7f) {
    return std::string(1, static_cast<char>(c));
  }
  return {'\\', 'x', kHex[c >> 4], kHex[c & 0xf]};
}

}  // namespace

std::string quote(std::string_view bytes, std::size_t max) {
  std::string out = "\"";
  for (const char c : bytes) {
    const std::string piece = escaped(static_cast<unsigned char>(c));
    if (out.size() - 1 + piece.size() > max) {
      return out + "\"...";
    }
    out += piece;
  }
  return out + "\"";
}

}  // namespace muster
