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

using ByteSet = std::bitset<256>;

template <typename Predicate>
void add_if(ByteSet& set, Predicate predicate) {
  for (std::size_t byte = 0; byte < set.size(); ++byte) {
    if (predicate(static_cast<char>(byte))) {
      set.set(byte);
    }
  }
}

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

// [:name:] at `at`; moves behind it. False if there is none: then the '[' is an ordinary character.
bool add_class(std::string_view pattern, std::size_t& at, bool ignore_case, ByteSet& set) {
  constexpr std::size_t kLongest = 6;  // xdigit
  if (pattern.substr(at, 2) != "[:") {
    return false;
  }
  const std::size_t length = pattern.substr(at + 2, kLongest + 2).find(":]");
  if (length == std::string_view::npos) {
    return false;
  }
  std::string_view name = pattern.substr(at + 2, length);
  if (!is_in_class(name, 'x')) {
    return false;
  }
  if (ignore_case && (name == "upper" || name == "lower")) {
    name = "alpha";
  }
  add_if(set, [&](char c) { return is_in_class(name, c).value_or(false); });
  at += length + 4;
  return true;
}

// What stands between '[' and ']', from behind the '[' on; moves behind the ']'. Nothing if it is
// never closed: then the
// '[' stands for itself.
std::optional<ByteSet> parse_bracket(std::string_view pattern, std::size_t& start,
                                     bool ignore_case) {
  const auto fold = [&](char c) { return static_cast<unsigned char>(ignore_case ? lower(c) : c); };
  std::size_t at = start;
  const bool negated = at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^');
  at += negated ? 1 : 0;
  ByteSet set;
  for (bool first = true; at < pattern.size(); first = false) {
    if (pattern[at] == ']' && !first) {
      start = at + 1;
      return negated ? ~set : set;
    }
    if (add_class(pattern, at, ignore_case, set)) {
      continue;
    }
    if (at + 4 < pattern.size() && pattern.substr(at, 2) == "[=" &&
        pattern.substr(at + 3, 2) == "=]") {
      add_if(set, [&](char c) { return fold(c) == fold(pattern[at + 2]); });
      at += 5;
      continue;
    }
    const std::optional<char> low = bracket_character(pattern, at);
    std::optional<char> high = low;
    if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
      ++at;
      high = bracket_character(pattern, at);
    }
    if (!low || !high) {
      return std::nullopt;
    }
    add_if(set, [&](char c) { return fold(*low) <= fold(c) && fold(c) <= fold(*high); });
  }
  return std::nullopt;
}

}  // namespace

Glob::Glob(std::string_view pattern, bool ignore_case) : ignore_case_(ignore_case) {
  const auto add_byte = [&](char c) {
    elements_.push_back(
        {Element::Kind::byte, static_cast<unsigned char>(ignore_case ? lower(c) : c), 0});
  };
  const std::size_t close = pattern.rfind(']');
  const std::size_t last_close = close == std::string_view::npos ? 0 : close;
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
      // The search for a ']' keeps a pattern of nothing but '[' from being read once for each of
      // them.
      const std::optional<ByteSet> set =
          at <= last_close ? parse_bracket(pattern, at, ignore_case) : std::nullopt;
      if (set) {
        elements_.push_back({Element::Kind::set, 0, sets_.size()});
        sets_.push_back(*set);
      } else {
        add_byte(c);  // never closed: it stands for itself
      }
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

std::bitset<256> Glob::first_bytes() const {
  std::bitset<256> bytes;
  if (!elements_.empty() && elements_.front().kind == Element::Kind::star) {
    return bytes.set();
  }
  for (std::size_t byte = 0; byte < bytes.size() && !elements_.empty(); ++byte) {
    bytes.set(byte, fits(elements_.front(), static_cast<unsigned char>(byte)));
  }
  return bytes;
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
