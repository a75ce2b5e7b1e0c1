#include "daemon/scrub.h"

#include <algorithm>
#include <array>

namespace muster {
namespace {

constexpr std::array<std::string_view, 9> kSecretWords = {
    "pass", "pwd", "secret", "chap", "credential", "token", "psk", "apikey", "privatekey"};
constexpr std::array<std::string_view, 3> kHarmless = {"passthrough", "passive", "bypass"};

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}
bool is_blank(char c) {
  return c == ' ' || c == '\t';
}
bool is_space(char c) {
  return is_blank(c) || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

bool is_secret(std::string_view key) {
  std::string name;
  for (const char c : key) {
    if (c != '_' && c != '-' && c != '.') {
      name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
  }
  for (const auto harmless : kHarmless) {
    for (auto at = name.find(harmless); at != std::string::npos; at = name.find(harmless)) {
      name.erase(at, harmless.size());
    }
  }
  return std::any_of(kSecretWords.begin(), kSecretWords.end(),
                     [&](std::string_view word) { return name.find(word) != std::string::npos; });
}

// Where a value that begins with a quote ends, the quote included.
std::size_t end_of_quoted(std::string_view text, std::size_t at) {
  const char quote = text[at];
  if (text.substr(at, 3) == std::string(3, quote)) {
    const auto end = text.find(std::string(3, quote), at + 3);
    return end == std::string_view::npos ? text.size() : end + 3;
  }
  for (++at; at < text.size() && text[at] != '\n'; ++at) {
    if (text[at] == '\\' && quote == '"') {
      ++at;
    } else if (text[at] == quote) {
      return at + 1;
    }
  }
  return std::min(at, text.size());
}

std::size_t end_of_list(std::string_view text, std::size_t at) {
  const auto end = text.find(']', at);
  return end == std::string_view::npos ? text.size() : end + 1;
}

// The value in a file: quoted, a list, or the rest of the line.
std::size_t end_of_value_in_line(std::string_view text, std::size_t at) {
  if (at < text.size() && (text[at] == '"' || text[at] == '\'')) {
    return end_of_quoted(text, at);
  }
  if (at < text.size() && text[at] == '[') {
    return end_of_list(text, at);
  }
  return std::min(text.find('\n', at), text.size());
}

// The value of a word of the command line: up to white space outside of quotes; an option within a
// value also ends at the next one. `quoted`: whether a quote is open, before and after.
std::size_t end_of_value_in_word(std::string_view text, std::size_t at, bool& quoted, bool inner) {
  for (; at < text.size(); ++at) {
    if (text[at] == '"') {
      quoted = !quoted;
    }
    if ((is_space(text[at]) && !quoted) ||
        (inner && (text[at] == ',' || text[at] == ';' || text[at] == '&'))) {
      break;
    }
  }
  return at;
}

// USER:PASSWORD@ behind "://"; iscsi:USER:PASSWORD@.
std::string scrub_urls(std::string_view text) {
  constexpr std::string_view kEnd = "/ \t\r\n\"'?#,<>";
  std::string result;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool url = text.substr(at, 3) == "://";
    const bool iscsi = text.substr(at, 6) == "iscsi:" && (at == 0 || !is_name(text[at - 1]));
    if (!url && !iscsi) {
      continue;
    }
    const std::size_t begin = at + (url ? 3 : 6);
    const std::size_t end = std::min(text.find_first_of(kEnd, begin), text.size());
    const auto authority = text.substr(begin, end - begin);
    const auto host = authority.rfind('@');
    const auto colon = authority.find(':');
    if (host == std::string_view::npos || colon == std::string_view::npos || colon > host) {
      continue;
    }
    result += text.substr(done, begin + colon + 1 - done);
    result += kScrubbed;
    done = begin + host;
    at = done;
  }
  result += text.substr(done);
  return result;
}

enum class Form { words, lines };

std::string scrub(std::string_view text, Form form) {
  std::string result;
  std::size_t done = 0;
  bool quoted = false;  // of words
  for (std::size_t at = 0; at < text.size();) {
    if (!is_name(text[at])) {
      quoted = quoted != (form == Form::words && text[at] == '"');
      ++at;
      continue;
    }
    const std::size_t begin = at;
    while (at < text.size() && is_name(text[at])) {
      ++at;
    }
    if (!is_secret(text.substr(begin, at - begin))) {
      continue;
    }
    std::size_t value = at;
    std::size_t end = at;
    bool closes = false;  // the quote that was open before the key
    if (form == Form::words) {
      if (at == text.size() || text[at] != '=') {
        continue;
      }
      value = at + 1;
      const bool first = begin == 0 || is_space(text[begin - 1]) || text[begin - 1] == '"';
      const bool was_quoted = quoted;
      end = end_of_value_in_word(text, value, quoted, !first);
      closes = was_quoted && !quoted;
    } else {
      // "key": and key =
      value += value < text.size() && (text[value] == '"' || text[value] == '\'') ? 1 : 0;
      const std::size_t name_end = value;
      while (value < text.size() && is_blank(text[value])) {
        ++value;
      }
      if (value < text.size() && (text[value] == '=' || text[value] == ':')) {
        ++value;
        while (value < text.size() && is_blank(text[value])) {
          ++value;
        }
      } else {
        std::size_t line = begin;
        while (line > 0 && (is_blank(text[line - 1]) || text[line - 1] == '#')) {
          --line;
        }
        if (value == name_end || (line > 0 && text[line - 1] != '\n')) {
          continue;
        }
      }
      end = end_of_value_in_line(text, value);
    }
    if (end == value) {
      continue;
    }
    const char quote = text[value] == '"' || text[value] == '\'' ? text[value] : '\0';
    result += text.substr(done, value - done);
    // As a text again where it was one, so that what reads the file still can.
    result += form == Form::lines && (quote != '\0' || text[value] == '[')
                  ? "\"" + std::string(kScrubbed) + "\""
                  : std::string(kScrubbed);
    result += closes ? "\"" : "";
    done = at = end;
  }
  result += text.substr(done);
  return scrub_urls(result);
}

}  // namespace

std::string scrub_words(std::string_view text) {
  return scrub(text, Form::words);
}

std::string scrub_lines(std::string_view text) {
  return scrub(text, Form::lines);
}

}  // namespace muster
