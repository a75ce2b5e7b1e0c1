#include "daemon/text_diagnostic.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "daemon/quote.h"

namespace muster {

namespace {

bool printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

std::string to_text(const TextDiagnostic& diagnostic) {
  std::string out = printable(diagnostic.file) && diagnostic.file.size() <= 255
                        ? diagnostic.file
                        : quote(diagnostic.file);
  if (diagnostic.line > 0) {
    out += fmt::format(":{}", diagnostic.line);
    if (diagnostic.column > 0) {
      out += fmt::format(":{}", diagnostic.column);
    }
  }
  out += ": ";
  out += printable(diagnostic.text) ? diagnostic.text : quote(diagnostic.text, 400);
  return out;
}

void Diagnostics::add(int line, std::string text, int column) {
  if (list_.size() + 1 < kMax) {
    list_.push_back({file_, line, std::move(text), column});
  } else if (list_.size() + 1 == kMax) {
    list_.push_back({file_, line, "more problems from here on are not listed", 0});
  }
}

}  // namespace muster
