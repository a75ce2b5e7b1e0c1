#include "rules/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace muster::rules {
namespace {

constexpr std::string_view kBlank = " \t\n\r";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool contains(std::string_view set, char c) {
  return set.find(c) != std::string_view::npos;
}

std::string_view without_leading_blanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  return text;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      return false;
    }
    text.remove_prefix(length);
  }
  return true;
}

// Walks through a logical line; an offset of it can be turned into a line number.
struct Cursor {
  const LogicalLine& line;
  std::size_t at = 0;

  [[nodiscard]] std::string_view rest() const { return std::string_view(line.text()).substr(at); }
  [[nodiscard]] bool at_end() const { return at >= line.text().size(); }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at + ahead < line.text().size() ? line.text()[at + ahead] : '\0';
  }
  void skip(std::string_view set) {
    at = std::min(line.text().find_first_not_of(set, at), line.text().size());
  }
  [[nodiscard]] Fault fault(std::string text) const {
    return {line.line_at(std::min(at, line.text().size() - 1)), std::move(text)};
  }
};

std::optional<Op> take_operator(Cursor& cursor) {
  struct Entry {
    std::string_view text;
    Op op;
  };
  // "==" before "=".
  static constexpr Entry kOperators[] = {{"==", Op::match},        {"!=", Op::nomatch},
                                         {"+=", Op::add},          {"-=", Op::remove},
                                         {":=", Op::assign_final}, {"=", Op::assign}};
  for (const Entry& entry : kOperators) {
    if (cursor.rest().starts_with(entry.text)) {
      cursor.at += entry.text.size();
      return entry.op;
    }
  }
  return std::nullopt;
}

void append_utf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

std::optional<std::uint32_t> digits(std::string_view text, std::size_t count, std::uint32_t base) {
  if (text.size() < count) {
    return std::nullopt;
  }
  std::uint32_t value = 0;
  for (const char c : text.substr(0, count)) {
    std::uint32_t digit = base;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<std::uint32_t>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<std::uint32_t>(c - 'A' + 10);
    }
    if (digit >= base) {
      return std::nullopt;
    }
    value = value * base + digit;  // at most 8 hex digits: fits
  }
  return value;
}

// What stands behind a backslash in e"…". Returns how many bytes it took, 0 if it is not an escape.
std::size_t unescape_one(std::string_view text, std::string& out) {
  static constexpr std::string_view kFrom = "abfnrtv\\\"'s";
  static constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\\"' ";
  if (text.empty()) {
    return 0;
  }
  if (const std::size_t simple = kFrom.find(text[0]); simple != std::string_view::npos) {
    out += kTo[simple];
    return 1;
  }
  if (text[0] == 'x') {
    const auto value = digits(text.substr(1), 2, 16);
    if (!value || *value == 0) {
      return 0;
    }
    out += static_cast<char>(*value);
    return 3;
  }
  if (text[0] == 'u' || text[0] == 'U') {
    const std::size_t count = text[0] == 'u' ? 4 : 8;
    const auto value = digits(text.substr(1), count, 16);
    if (!value || *value == 0 || *value > 0x10ffff || (*value >= 0xd800 && *value <= 0xdfff)) {
      return 0;
    }
    append_utf8(out, *value);
    return count + 1;
  }
  const auto octal = digits(text, 3, 8);
  if (!octal || *octal == 0 || *octal > 255) {
    return 0;
  }
  out += static_cast<char>(*octal);
  return 3;
}

std::optional<Fault> take_value(Cursor& cursor, Token& token) {
  bool escaped = false;
  for (; cursor.peek() == 'e' || cursor.peek() == 'i'; ++cursor.at) {
    bool& flag = cursor.peek() == 'e' ? escaped : token.ignore_case;
    if (flag) {
      return cursor.fault(
          fmt::format("the prefix of the value of {} is repeated", quote(token.key)));
    }
    flag = true;
  }
  if (cursor.peek() != '"') {
    return cursor.fault(fmt::format("the value of {} is not in double quotes", quote(token.key)));
  }
  const std::size_t open = cursor.at++;
  while (!cursor.at_end() && cursor.peek() != '"') {
    if (cursor.peek() == '\\' && escaped) {
      const std::size_t taken = unescape_one(cursor.rest().substr(1), token.value);
      if (taken == 0) {
        return cursor.fault(fmt::format("{} is not an escape sequence that e\"…\" knows",
                                        quote(cursor.rest().substr(0, 4))));
      }
      cursor.at += taken + 1;
      continue;
    }
    // Without e"…" only \" is special: a backslash before anything else stays.
    if (cursor.peek() == '\\' && cursor.peek(1) == '"') {
      ++cursor.at;
    }
    token.value += cursor.peek();
    ++cursor.at;
  }
  if (cursor.at_end()) {
    cursor.at = open;
    return cursor.fault(fmt::format("the value of {} has no closing quote", quote(token.key)));
  }
  ++cursor.at;
  return std::nullopt;
}

std::optional<Fault> take_pair(Cursor& cursor, Token& token) {
  if (cursor.peek() == '#') {
    return cursor.fault("a comment needs a line of its own");
  }
  if (cursor.peek() == '\\') {
    return cursor.fault("a backslash continues a line only as its last character");
  }
  token.line = cursor.line.line_at(cursor.at);
  const std::size_t begin = cursor.at;
  while (!cursor.at_end() && !contains(" \t\n\r={\",", cursor.peek()) &&
         !(cursor.peek(1) == '=' && contains("+-!:", cursor.peek()))) {
    ++cursor.at;
  }
  token.key = cursor.line.text().substr(begin, cursor.at - begin);
  if (token.key.empty()) {
    return cursor.fault(
        fmt::format("a key is missing before {}", quote(cursor.rest().substr(0, 20))));
  }
  if (cursor.peek() == '{') {
    const std::size_t close = cursor.line.text().find('}', cursor.at);
    if (close == std::string::npos) {
      return cursor.fault(fmt::format("{} has no closing brace", quote(token.key + "{")));
    }
    token.name = cursor.line.text().substr(cursor.at + 1, close - cursor.at - 1);
    cursor.at = close + 1;
  }
  cursor.skip(kBlank);
  const std::optional<Op> op = take_operator(cursor);
  if (!op) {
    return cursor.fault(fmt::format("no operator (==, !=, =, +=, -=) after {}", quote(token.key)));
  }
  token.op = *op;
  cursor.skip(kBlank);
  return take_value(cursor, token);
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  if (text.empty()) {
    return 0;
  }
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) {
    return 1;
  }
  const std::size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < length) {
    return 0;
  }
  std::uint32_t c = byte(0) & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return 0;
    }
    c = (c << 6) | (byte(i) & 0x3fU);
  }
  const bool is_overlong = (length == 3 && c < 0x800) || (length == 4 && c < 0x10000);
  const bool is_surrogate = c >= 0xd800 && c <= 0xdfff;
  return is_overlong || is_surrogate || c > 0x10ffff ? 0 : length;
}

void LogicalLine::append(std::string_view text, int line) {
  // Thousands of empty continuations must not cost more than their bytes.
  if (starts_.empty() || !text.empty()) {
    starts_.emplace_back(text_.size(), line);
  }
  text_ += text;
}

void LogicalLine::clear() {
  text_.clear();
  starts_.clear();
}

int LogicalLine::line_at(std::size_t offset) const {
  const auto behind =
      std::upper_bound(starts_.begin(), starts_.end(), offset,
                       [](std::size_t wanted, const auto& start) { return wanted < start.first; });
  return behind == starts_.begin() ? 0 : std::prev(behind)->second;
}

LineReader::LineReader(std::string_view text)
    : rest_(text), has_byte_order_mark_(text.starts_with(kByteOrderMark)) {
  if (has_byte_order_mark_) {
    rest_.remove_prefix(kByteOrderMark.size());
  }
}

std::string_view LineReader::take_physical_line() {
  ++number_;
  const std::size_t end = std::min(rest_.find_first_of("\r\n"), rest_.size());
  const std::string_view line = rest_.substr(0, end);
  rest_.remove_prefix(end);
  rest_.remove_prefix(rest_.starts_with("\r\n") ? 2 : rest_.empty() ? 0 : 1);
  return line;
}

bool LineReader::next(LogicalLine& line, std::vector<Fault>& faults) {
  line.clear();
  bool continued = false;
  bool spoiled = false;  // pass over the rest of this logical line
  const auto spoil = [&](std::string text) {
    if (!spoiled) {
      faults.push_back({number_, std::move(text)});
    }
    spoiled = true;
  };
  if (has_byte_order_mark_) {
    has_byte_order_mark_ = false;
    faults.push_back(
        {1, "the file begins with a byte order mark, which is ignored; save it without"});
  }
  while (!rest_.empty()) {
    std::string_view text = without_leading_blanks(take_physical_line());
    if (text.find('\0') != std::string_view::npos) {
      spoil("the line contains a NUL byte");
    } else if (text.starts_with('#')) {
      continue;  // as in udev, also between a line and its continuation
    } else if (!is_utf8(text)) {
      spoil("the line is not valid UTF-8");
    } else if (line.text().size() + text.size() >= kMaxLine) {
      spoil(fmt::format("the line is longer than {} bytes", kMaxLine - 1));
    }
    continued = text.ends_with('\\');
    if (continued) {
      text.remove_suffix(1);
    }
    if (!spoiled) {
      line.append(text, number_);
    }
    if (continued) {
      continue;
    }
    if (!spoiled && !line.text().empty()) {
      return true;
    }
    line.clear();
    spoiled = false;
  }
  if (continued) {
    spoil("the file ends in the middle of a continued line");
  }
  return false;
}

std::optional<Fault> tokenize(const LogicalLine& line, std::vector<Token>& tokens) {
  Cursor cursor{line};
  for (;;) {
    cursor.skip(" \t\n\r,");
    if (cursor.at_end()) {
      return std::nullopt;
    }
    Token token;
    if (std::optional<Fault> fault = take_pair(cursor, token)) {
      return fault;
    }
    tokens.push_back(std::move(token));
  }
}

}  // namespace muster::rules
