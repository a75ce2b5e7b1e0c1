// What the rule language is made of: files, messages, and one rule as the matcher wants it.
//
// Everything here is a value that is built once, at load, and never changes: a loaded RuleSet may
// be used from any thread.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "rules/glob.h"

namespace muster::rules {

// A rules file: its name for messages (a path; its last component decides about order and override)
// and its text.
struct Source {
  std::string name;
  std::string text;
};

// One complaint about one line. The line is left out unless the text says otherwise; the rest of
// the file counts.
struct Diagnostic {
  std::string file;
  int line = 0;  // from 1; where the fault is, also inside a continued line
  std::string text;

  bool operator==(const Diagnostic&) const = default;
};

// "50-lvm.rules:12: unknown key "FOO""
[[nodiscard]] std::string to_string(const Diagnostic& diagnostic);

// For messages: what is not printable ASCII as \xNN, cut after 60 bytes; quote() in double quotes.
[[nodiscard]] std::string printable(std::string_view text);
[[nodiscard]] std::string quote(std::string_view text);

enum class Op : std::uint8_t { match, nomatch, add, remove, assign, assign_final };

// The operator as it is written.
[[nodiscard]] std::string_view to_string(Op op);

enum class Key : std::uint8_t {
  // The device of the event. Ordered by what they cost: a rule stops at its first mismatch.
  action,
  kernel,
  subsystem,
  driver,
  devpath,
  env,
  tag,
  attr,
  // One device of the chain, the same for all of them.
  kernels,
  subsystems,
  drivers,
  tags,
  attrs,
};

[[nodiscard]] constexpr bool looks_at_parents(Key key) {
  return key >= Key::kernels;
}

// The right side of == and !=, as udev reads it: alternatives separated by '|', of which an empty
// one stands for the empty string; fnmatch(3) globs if there is one of *?[ anywhere in it, else
// plain strings.
class Pattern {
 public:
  Pattern(std::string_view value, bool ignore_case);

  [[nodiscard]] bool matches(std::string_view text) const;

  // The strings that it matches, if they can be listed: no glob, no i"…", no empty alternative.
  [[nodiscard]] bool is_literal() const { return !glob_ && !ignore_case_ && !matches_empty_; }
  [[nodiscard]] const std::vector<std::string>& alternatives() const { return alternatives_; }
  // What a text that is not empty may begin with.
  [[nodiscard]] const std::bitset<256>& first_bytes() const { return first_bytes_; }

 private:
  std::vector<std::string> alternatives_;  // never empty strings
  std::vector<Glob> globs_;                // the same, compiled, if glob_
  std::bitset<256> first_bytes_;           // most texts that do not match begin otherwise
  bool matches_empty_ = false;
  bool glob_ = false;
  bool ignore_case_ = false;
};

struct Match {
  Key key = Key::action;
  bool negated = false;         // !=
  bool trim_attribute = false;  // ATTR(S): ignore the value's trailing whitespace
  std::string name;             // in braces
  Pattern pattern;
};

// The right side of an assignment, its $ and % already taken apart.
struct Piece {
  enum class Kind : std::uint8_t { literal, kernel, number, devpath, major, minor, attr, env };
  Kind kind = Kind::literal;
  std::string text;  // the literal, or what stood in braces

  bool operator==(const Piece&) const = default;
};

struct Assignment {
  // In the order in which udev carries them out within one rule, whatever the order in the line.
  enum class Target : std::uint8_t { tag, env, handler };
  Target target = Target::env;
  Op op = Op::assign;
  std::string name;  // ENV{name}
  std::vector<Piece> value;
};

struct Rule {
  static constexpr std::size_t kNoJump = std::numeric_limits<std::size_t>::max();

  std::uint32_t file = 0;  // index into the sources that were loaded
  int line = 0;
  std::vector<Match> matches;         // sorted by Key
  std::vector<Match> parent_matches;  // sorted by Key
  std::vector<Assignment> assignments;
  std::string label;
  std::string goto_label;
  std::size_t jump = kNoJump;  // the rule to go on with
};

}  // namespace muster::rules
