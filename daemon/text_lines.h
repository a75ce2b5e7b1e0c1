// Walking through a text line by line, as getline(3) does, without copying it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

namespace muster {

struct TextLine {
  std::string_view text;   // without the newline
  int number = 0;          // from 1
  bool terminated = true;  // false: the last line, and its newline is missing
};

class TextLines {
 public:
  explicit TextLines(std::string_view text) : rest_(text) {}

  [[nodiscard]] std::optional<TextLine> next() {
    if (rest_.empty()) {
      return std::nullopt;
    }
    if (number_ < std::numeric_limits<int>::max()) {
      ++number_;
    }
    const std::size_t end = rest_.find('\n');
    const TextLine line{rest_.substr(0, end), number_, end != std::string_view::npos};
    rest_.remove_prefix(line.terminated ? end + 1 : rest_.size());
    return line;
  }

 private:
  std::string_view rest_;
  int number_ = 0;
};

// isspace(3) in the C locale.
[[nodiscard]] inline bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// At most `max` words between white space; what follows the last of them is not looked at.
[[nodiscard]] inline std::vector<std::string_view> split_words(std::string_view text,
                                                               std::size_t max) {
  std::vector<std::string_view> words;
  std::size_t at = 0;
  while (words.size() < max) {
    while (at < text.size() && is_space(text[at])) {
      ++at;
    }
    if (at == text.size()) {
      break;
    }
    const std::size_t begin = at;
    while (at < text.size() && !is_space(text[at])) {
      ++at;
    }
    words.push_back(text.substr(begin, at - begin));
  }
  return words;
}

// A whole number and nothing else; absent also when it does not fit.
[[nodiscard]] inline std::optional<std::uint64_t> whole_number(std::string_view text) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (value > (kMax - digit) / 10) {
      return std::nullopt;
    }
    value = value * 10 + digit;
  }
  return text.empty() ? std::nullopt : std::optional(value);
}

// atoll(3), with glibc's answer (the limit) where the number does not fit.
[[nodiscard]] inline std::int64_t leading_number(std::string_view text) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  std::size_t at = 0;
  while (at < text.size() && is_space(text[at])) {
    ++at;
  }
  const bool negative = at < text.size() && text[at] == '-';
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) {
    ++at;
  }
  std::int64_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    const std::int64_t digit = text[at] - '0';
    if (value > (kMax - digit) / 10) {
      return negative ? std::numeric_limits<std::int64_t>::min() : kMax;
    }
    value = value * 10 + digit;
  }
  return negative ? -value : value;
}

}  // namespace muster
