#include "rules/glob.h"

#include <cstddef>
#include <optional>

namespace muster::rules {
namespace {

constexpr bool is_between(char c, char low, char high) {
  return c >= low && c <= high;
}

constexpr char lower(char c) {
  return is_between(c, 'A', 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
}

// The ctype classes of the C locale; the locale of whoever links us must not matter.
std::optional<bool> is_in_class(std::string_view name, char c) {
  const bool is_digit = is_between(c, '0', '9');
  const bool is_lower = is_between(c, 'a', 'z');
  const bool is_upper = is_between(c, 'A', 'Z');
  const bool is_graph = is_between(c, '!', '~');
  if (name == "alnum") {
    return is_digit || is_lower || is_upper;
  }
  if (name == "alpha") {
    return is_lower || is_upper;
  }
  if (name == "blank") {
    return c == ' ' || c == '\t';
  }
  if (name == "cntrl") {
    return is_between(c, '\0', '\x1f') || c == '\x7f';
  }
  if (name == "digit") {
    return is_digit;
  }
  if (name == "graph") {
    return is_graph;
  }
  if (name == "lower") {
    return is_lower;
  }
  if (name == "print") {
    return is_graph || c == ' ';
  }
  if (name == "punct") {
    return is_graph && !(is_digit || is_lower || is_upper);
  }
  if (name == "space") {
    return c == ' ' || is_between(c, '\t', '\r');
  }
  if (name == "upper") {
    return is_upper;
  }
  if (name == "xdigit") {
    return is_digit || is_between(c, 'a', 'f') || is_between(c, 'A', 'F');
  }
  return std::nullopt;
}

struct Bracket {
  bool matches;
  std::size_t end;  // behind the ']'
};

// One character of a bracket expression at `at`; moves behind it. Nothing if the pattern ends here.
std::optional<char> bracket_character(std::string_view pattern, std::size_t& at) {
  // [.x.] of one character is that character; other collating symbols do not exist in the C locale.
  if (at + 4 < pattern.size() && pattern.substr(at, 2) == "[." &&
      pattern.substr(at + 3, 2) == ".]") {
    const char c = pattern[at + 2];
    at += 5;
    return c;
  }
  if (at < pattern.size() && pattern[at] == '\\') {
    ++at;
  }
  if (at >= pattern.size()) {
    return std::nullopt;
  }
  return pattern[at++];
}

// `start` is behind the '['. Nothing if it is never closed: then the '[' stands for itself.
std::optional<Bracket> match_bracket(std::string_view pattern, std::size_t start, char c,
                                     bool ignore_case) {
  std::size_t at = start;
  bool negated = false;
  if (at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^')) {
    negated = true;
    ++at;
  }
  const char folded = ignore_case ? lower(c) : c;
  bool found = false;
  for (bool first = true; at < pattern.size(); first = false) {
    if (pattern[at] == ']' && !first) {
      return Bracket{found != negated, at + 1};
    }
    if (pattern.substr(at, 2) == "[:") {
      const std::size_t close = pattern.find(":]", at + 2);
      if (close != std::string_view::npos) {
        const std::string_view name = pattern.substr(at + 2, close - at - 2);
        if (const std::optional<bool> in_class = is_in_class(name, c)) {
          found = found || *in_class ||
                  (ignore_case && (name == "upper" || name == "lower") &&
                   is_in_class("alpha", c).value_or(false));
          at = close + 2;
          continue;
        }
      }
    }
    if (at + 4 < pattern.size() && pattern.substr(at, 2) == "[=" &&
        pattern.substr(at + 3, 2) == "=]") {
      found = found || (ignore_case ? lower(pattern[at + 2]) : pattern[at + 2]) == folded;
      at += 5;
      continue;
    }
    const std::optional<char> low = bracket_character(pattern, at);
    if (!low) {
      return std::nullopt;
    }
    char high = *low;
    if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
      ++at;
      const std::optional<char> end = bracket_character(pattern, at);
      if (!end) {
        return std::nullopt;
      }
      high = *end;
    }
    const auto byte = [&](char x) {
      return static_cast<unsigned char>(ignore_case ? lower(x) : x);
    };
    found = found || (byte(*low) <= byte(folded) && byte(folded) <= byte(high));
  }
  return std::nullopt;
}

}  // namespace

Glob::Glob(std::string_view pattern, bool ignore_case) : ignore_case_(ignore_case) {
  const auto add_byte = [&](char c) {
    elements_.push_back(
        {Element::Kind::byte, static_cast<unsigned char>(ignore_case ? lower(c) : c), 0});
  };
  for (std::size_t at = 0; at < pattern.size();) {
    const char c = pattern[at++];
    if (c == '*') {
      if (elements_.empty() || elements_.back().kind != Element::Kind::star) {
        elements_.push_back({Element::Kind::star, 0, 0});
      }
    } else if (c == '?') {
      elements_.push_back({Element::Kind::any, 0, 0});
    } else if (c == '\\') {
      if (at == pattern.size()) {
        elements_.push_back({Element::Kind::nothing, 0, 0});  // fnmatch: an escape of nothing
      } else {
        add_byte(pattern[at++]);
      }
    } else if (c == '[') {
      const std::optional<Bracket> bracket = match_bracket(pattern, at, '\0', ignore_case);
      if (!bracket) {
        add_byte(c);  // never closed: it stands for itself
        continue;
      }
      std::bitset<256> set;
      for (std::size_t byte = 0; byte < set.size(); ++byte) {
        const auto tried = match_bracket(pattern, at, static_cast<char>(byte), ignore_case);
        set[byte] = tried && tried->matches;
      }
      elements_.push_back({Element::Kind::set, 0, sets_.size()});
      sets_.push_back(set);
      at = bracket->end;
    } else {
      add_byte(c);
    }
  }
}

bool Glob::fits(const Element& element, unsigned char c) const {
  switch (element.kind) {
    case Element::Kind::any:
      return true;
    case Element::Kind::byte:
      return element.byte ==
             (ignore_case_ ? static_cast<unsigned char>(lower(static_cast<char>(c))) : c);
    case Element::Kind::set:
      return sets_[element.set][c];
    case Element::Kind::star:
    case Element::Kind::nothing:
      return false;
  }
  return false;
}

// When a byte does not fit, only the last '*' needs to be asked again: whatever an earlier one
// could still swallow, the last one can as well.
bool Glob::matches(std::string_view text) const {
  const auto is_star = [&](std::size_t i) {
    return i < elements_.size() && elements_[i].kind == Element::Kind::star;
  };
  std::size_t at = 0;
  std::size_t t = 0;
  std::optional<std::size_t> behind_star;
  std::size_t swallowed = 0;  // what the last star has taken ends here
  while (t < text.size()) {
    if (is_star(at)) {
      behind_star = ++at;
      swallowed = t;
    } else if (at < elements_.size() && fits(elements_[at], static_cast<unsigned char>(text[t]))) {
      ++at;
      ++t;
    } else if (behind_star) {
      at = *behind_star;
      t = ++swallowed;
    } else {
      return false;
    }
  }
  while (is_star(at)) {
    ++at;
  }
  return at == elements_.size();
}

}  // namespace muster::rules
