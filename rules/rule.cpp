#include "rules/rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace muster::rules {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal(std::string_view a, std::string_view b, bool ignore_case) {
  if (!ignore_case) {
    return a == b;
  }
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::string to_string(const Diagnostic& diagnostic) {
  return fmt::format("{}:{}: {}", diagnostic.file, diagnostic.line, diagnostic.text);
}

std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string out;
  for (const char c : text.substr(0, kLongest)) {
    if (c >= ' ' && c <= '~') {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return text.size() > kLongest ? out + "…" : out;
}

std::string quote(std::string_view text) {
  return '"' + printable(text) + '"';
}

std::string_view to_string(Op op) {
  switch (op) {
    case Op::match:
      return "==";
    case Op::nomatch:
      return "!=";
    case Op::add:
      return "+=";
    case Op::remove:
      return "-=";
    case Op::assign:
      return "=";
    case Op::assign_final:
      return ":=";
  }
  return "?";
}

Pattern::Pattern(std::string_view value, bool ignore_case)
    // udev decides by the whole value: in "a\b|c*" the first alternative is a glob too, its
    // backslash an escape.
    : glob_(value.find_first_of("*?[") != std::string_view::npos), ignore_case_(ignore_case) {
  for (std::size_t begin = 0; begin <= value.size();) {
    const std::size_t end = std::min(value.find('|', begin), value.size());
    if (end == begin) {
      matches_empty_ = true;
    } else {
      alternatives_.emplace_back(value.substr(begin, end - begin));
      if (glob_) {
        globs_.emplace_back(alternatives_.back(), ignore_case);
        first_bytes_ |= globs_.back().first_bytes();
      } else {
        const auto first = static_cast<unsigned char>(alternatives_.back().front());
        first_bytes_.set(first);
        for (std::size_t byte = 0; ignore_case && byte < first_bytes_.size(); ++byte) {
          first_bytes_[byte] = first_bytes_[byte] ||
                               lower(static_cast<char>(byte)) == lower(static_cast<char>(first));
        }
      }
    }
    begin = end + 1;
  }
}

bool Pattern::matches(std::string_view text) const {
  if (text.empty() && matches_empty_) {
    return true;
  }
  if (!text.empty() && !first_bytes_[static_cast<unsigned char>(text.front())]) {
    return false;
  }
  if (glob_) {
    return std::any_of(globs_.begin(), globs_.end(),
                       [&](const Glob& glob) { return glob.matches(text); });
  }
  return std::any_of(alternatives_.begin(), alternatives_.end(),
                     [&](const std::string& one) { return equal(one, text, ignore_case_); });
}

}  // namespace muster::rules
