// Text to lines, lines to KEY{name} operator "value".
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/rule.h"

namespace muster::rules {

// udev's UDEV_LINE_SIZE: a line with its continuations must be shorter.
inline constexpr std::size_t kMaxLine = 16384;

struct Fault {
  int line = 0;
  std::string text;
};

// A line with its continuations joined and the white space before each of them dropped.
class LogicalLine {
 public:
  void append(std::string_view text, int line);
  void clear();

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] int line_at(std::size_t offset) const;
  [[nodiscard]] int first_line() const { return starts_.empty() ? 0 : starts_.front().second; }

 private:
  std::string text_;
  std::vector<std::pair<std::size_t, int>> starts_;  // offset, line number
};

// Hands out one logical line after the other; comments and blank lines never show. Lines that
// cannot be read are reported and passed over.
class LineReader {
 public:
  explicit LineReader(std::string_view text);

  // False at the end. `faults` may grow in either case.
  [[nodiscard]] bool next(LogicalLine& line, std::vector<Fault>& faults);

 private:
  [[nodiscard]] std::string_view take_physical_line();

  std::string_view rest_;
  int number_ = 0;  // of the line taken last
  bool has_byte_order_mark_ = false;
};

struct Token {
  std::string key;
  std::optional<std::string> name;  // in braces
  Op op = Op::match;
  std::string value;         // unquoted
  bool ignore_case = false;  // i"…"
  int line = 0;
};

// The pairs of one line, or what is wrong with the first that is not one.
[[nodiscard]] std::optional<Fault> tokenize(const LogicalLine& line, std::vector<Token>& tokens);

// Length of the valid UTF-8 sequence at the start of `text` (1 to 4), 0 if there is none.
[[nodiscard]] std::size_t utf8_length(std::string_view text);

}  // namespace muster::rules
