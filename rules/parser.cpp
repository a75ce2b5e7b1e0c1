#include "rules/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace muster::rules {
namespace {

// udev's UDEV_PATH_SIZE, for names in braces.
constexpr std::size_t kMaxName = 1023;

struct MatchKey {
  std::string_view text;
  Key key;
  bool takes_name;
};

constexpr std::array kMatchKeys = {
    MatchKey{"ACTION", Key::action, false},
    MatchKey{"KERNEL", Key::kernel, false},
    MatchKey{"KERNELS", Key::kernels, false},
    MatchKey{"SUBSYSTEM", Key::subsystem, false},
    MatchKey{"SUBSYSTEMS", Key::subsystems, false},
    MatchKey{"DRIVER", Key::driver, false},
    MatchKey{"DRIVERS", Key::drivers, false},
    MatchKey{"DEVPATH", Key::devpath, false},
    MatchKey{"ENV", Key::env, true},
    MatchKey{"ATTR", Key::attr, true},
    MatchKey{"ATTRS", Key::attrs, true},
    MatchKey{"TAG", Key::tag, false},
    MatchKey{"TAGS", Key::tags, false},
};

// udev's keys that have no place here, and what to tell whoever brings a udev file along.
struct Refusal {
  std::string_view key;
  std::string_view reason;
};

constexpr std::string_view kStartsPrograms = "muster's rules start no program";
constexpr std::string_view kMakesNodes = "nodes and links are the handler \"node\"'s";
constexpr std::string_view kReadsOutside =
    "muster's rules see only the event and the attributes they name";

constexpr std::array kRefusals = {
    Refusal{"PROGRAM", kStartsPrograms}, Refusal{"RESULT", kStartsPrograms},
    Refusal{"RUN", kStartsPrograms},     Refusal{"IMPORT", kReadsOutside},
    Refusal{"TEST", kReadsOutside},      Refusal{"CONST", kReadsOutside},
    Refusal{"SYSCTL", kReadsOutside},    Refusal{"NAME", kMakesNodes},
    Refusal{"SYMLINK", kMakesNodes},     Refusal{"OWNER", kMakesNodes},
    Refusal{"GROUP", kMakesNodes},       Refusal{"MODE", kMakesNodes},
    Refusal{"SECLABEL", kMakesNodes},    Refusal{"OPTIONS", "none of udev's options exists here"},
};

constexpr std::array<std::string_view, 12> kFixedProperties = {
    "ACTION",  "DEVLINKS", "DEVNAME", "DEVPATH", "DEVTYPE",   "DRIVER",
    "IFINDEX", "MAJOR",    "MINOR",   "SEQNUM",  "SUBSYSTEM", "TAGS"};

struct Substitution {
  std::string_view name;
  char letter;
  Piece::Kind kind;  // literal: known to udev, not supported here
  bool takes_name;
};

// In udev's order: a name is recognised as a prefix of what follows the '$', so "$kernel0" is
// "$kernel" and "0".
constexpr std::array kSubstitutions = {
    Substitution{"devnode", 'N', Piece::Kind::literal, false},
    Substitution{"tempnode", 'N', Piece::Kind::literal, false},
    Substitution{"attr", 's', Piece::Kind::attr, true},
    Substitution{"sysfs", 's', Piece::Kind::literal, true},
    Substitution{"env", 'E', Piece::Kind::env, true},
    Substitution{"kernel", 'k', Piece::Kind::kernel, false},
    Substitution{"number", 'n', Piece::Kind::number, false},
    Substitution{"driver", 'd', Piece::Kind::literal, false},
    Substitution{"devpath", 'p', Piece::Kind::devpath, false},
    Substitution{"id", 'b', Piece::Kind::literal, false},
    Substitution{"major", 'M', Piece::Kind::major, false},
    Substitution{"minor", 'm', Piece::Kind::minor, false},
    Substitution{"result", 'c', Piece::Kind::literal, false},
    Substitution{"parent", 'P', Piece::Kind::literal, false},
    Substitution{"name", 'D', Piece::Kind::literal, false},
    Substitution{"links", 'L', Piece::Kind::literal, false},
    Substitution{"root", 'r', Piece::Kind::literal, false},
    Substitution{"sys", 'S', Piece::Kind::literal, false},
};

std::string key_text(const Token& token) {
  return printable(token.name ? fmt::format("{}{{{}}}", token.key, *token.name) : token.key);
}

bool is_match(Op op) {
  return op == Op::match || op == Op::nomatch;
}

bool is_word(std::string_view text, std::string_view more) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(c) != std::string_view::npos;
  });
}

class RuleParser {
 public:
  RuleParser(int line, std::vector<Fault>& faults) : faults_(faults) { rule_.line = line; }

  std::optional<Rule> parse(const std::vector<Token>& tokens);

 private:
  // False: the rule is of no use; a fault was reported.
  bool add(const Token& token);
  bool add_match(const Token& token, const MatchKey& key);
  bool add_handler(const Token& token);
  bool add_tag(const Token& token);
  bool add_env(const Token& token);
  bool add_goto(const Token& token);
  bool add_label(const Token& token);
  bool add_assignment(const Token& token, Assignment::Target target, Op op);

  bool takes_no_name(const Token& token);
  bool takes_operators(const Token& token, bool allowed, std::string_view which);
  bool parse_value(const Token& token, std::vector<Piece>& pieces);

  bool refuse(const Token& token, std::string text) {
    faults_.push_back({token.line, std::move(text)});
    return false;
  }

  Rule rule_;
  bool has_goto_ = false;
  bool has_label_ = false;
  std::vector<Fault>& faults_;
};

std::optional<Rule> RuleParser::parse(const std::vector<Token>& tokens) {
  for (const Token& token : tokens) {
    if (!add(token)) {
      return std::nullopt;
    }
  }
  if (rule_.assignments.empty() && !has_goto_ && !has_label_) {
    faults_.push_back({rule_.line, "the line has no effect: it assigns nothing"});
    return std::nullopt;
  }
  const auto by_key = [](const Match& a, const Match& b) { return a.key < b.key; };
  std::stable_sort(rule_.matches.begin(), rule_.matches.end(), by_key);
  std::stable_sort(rule_.parent_matches.begin(), rule_.parent_matches.end(), by_key);
  std::stable_sort(rule_.assignments.begin(), rule_.assignments.end(),
                   [](const Assignment& a, const Assignment& b) { return a.target < b.target; });
  return std::move(rule_);
}

bool RuleParser::add(const Token& token) {
  if (token.ignore_case && !is_match(token.op)) {
    return refuse(token, fmt::format("i\"…\" after {} is for == and != only", key_text(token)));
  }
  if (token.key == "HANDLER") {
    return add_handler(token);
  }
  if (token.key == "GOTO") {
    return add_goto(token);
  }
  if (token.key == "LABEL") {
    return add_label(token);
  }
  if (token.key == "ENV" && !is_match(token.op)) {
    return add_env(token);
  }
  if (token.key == "TAG" && !is_match(token.op)) {
    return add_tag(token);
  }
  for (const MatchKey& key : kMatchKeys) {
    if (token.key == key.text) {
      return add_match(token, key);
    }
  }
  for (const Refusal& refusal : kRefusals) {
    if (token.key == refusal.key) {
      return refuse(token, fmt::format("{} is not supported: {}", token.key, refusal.reason));
    }
  }
  return refuse(token, fmt::format("unknown key {}", quote(token.key)));
}

bool RuleParser::add_match(const Token& token, const MatchKey& key) {
  if (!key.takes_name && !takes_no_name(token)) {
    return false;
  }
  if (key.takes_name && (!token.name || token.name->empty())) {
    return refuse(token, fmt::format("{} needs a name in braces", token.key));
  }
  if (!is_match(token.op)) {
    return refuse(token,
                  key.key == Key::attr
                      ? "ATTR{} cannot be assigned: muster's rules write nothing to /sys"
                      : fmt::format("{} takes == or !=, not {}", token.key, to_string(token.op)));
  }
  const bool is_attribute = key.key == Key::attr || key.key == Key::attrs;
  if (is_attribute) {
    if (token.name->front() == '[' || token.name->find_first_of("$%") != std::string::npos) {
      return refuse(token, fmt::format("\"{}\" names no fixed attribute of the device itself: "
                                       "[subsystem/kernel] and substitutions are not supported",
                                       key_text(token)));
    }
  }
  if (token.name && token.name->size() > kMaxName) {
    return refuse(token,
                  fmt::format("the name after {} is longer than {} bytes", token.key, kMaxName));
  }
  // udev: whatever is part of the device model may call itself any of the three.
  const bool is_any_subsystem =
      key.key == Key::subsystem &&
      (token.value == "subsystem" || token.value == "bus" || token.value == "class");
  // White space that the rule asks for must be there (isspace, as udev has it).
  const bool asks_for_space =
      token.value.empty() ||
      std::string_view(" \t\n\v\f\r").find(token.value.back()) != std::string_view::npos;
  std::vector<Match>& matches = looks_at_parents(key.key) ? rule_.parent_matches : rule_.matches;
  matches.push_back(Match{key.key, token.op == Op::nomatch, is_attribute && !asks_for_space,
                          token.name.value_or(""),
                          is_any_subsystem ? Pattern("subsystem|bus|class", false)
                                           : Pattern(token.value, token.ignore_case)});
  return true;
}

bool RuleParser::add_handler(const Token& token) {
  if (!takes_no_name(token) ||
      !takes_operators(token, token.op == Op::add,
                       "+= only: a rule adds a handler, it never takes one away")) {
    return false;
  }
  if (!is_word(token.value, "-_")) {
    return refuse(token, fmt::format("{} is not a handler's name (letters, digits, - and _)",
                                     quote(token.value)));
  }
  rule_.assignments.push_back(
      {Assignment::Target::handler, Op::add, "", {Piece{Piece::Kind::literal, token.value}}});
  return true;
}

bool RuleParser::add_tag(const Token& token) {
  if (!takes_no_name(token)) {
    return false;
  }
  if (token.value.empty()) {
    return refuse(token, "TAG needs a value");
  }
  // udev: := on a tag means =.
  return add_assignment(token, Assignment::Target::tag,
                        token.op == Op::assign_final ? Op::assign : token.op);
}

bool RuleParser::add_env(const Token& token) {
  if (!token.name || token.name->empty()) {
    return refuse(token, "ENV needs a name in braces");
  }
  if (!takes_operators(token, token.op != Op::remove, "==, !=, = or +=")) {
    return false;
  }
  if (std::find(kFixedProperties.begin(), kFixedProperties.end(), *token.name) !=
      kFixedProperties.end()) {
    return refuse(token, fmt::format("ENV{{{}}} cannot be set: it is the kernel's", *token.name));
  }
  if (token.name->size() > kMaxName) {
    return refuse(token, fmt::format("the name after ENV is longer than {} bytes", kMaxName));
  }
  // udev: := on a property means =.
  return add_assignment(token, Assignment::Target::env,
                        token.op == Op::assign_final ? Op::assign : token.op);
}

bool RuleParser::add_assignment(const Token& token, Assignment::Target target, Op op) {
  Assignment assignment{target, op, token.name.value_or(""), {}};
  if (!parse_value(token, assignment.value)) {
    return false;
  }
  rule_.assignments.push_back(std::move(assignment));
  return true;
}

bool RuleParser::add_goto(const Token& token) {
  if (!takes_no_name(token) || !takes_operators(token, token.op == Op::assign, "= only")) {
    return false;
  }
  if (token.value.empty()) {
    return refuse(token, "GOTO needs a value");
  }
  if (has_goto_) {
    faults_.push_back({token.line, fmt::format("a second GOTO in one rule; GOTO={} is ignored",
                                               quote(token.value))});
    return true;
  }
  has_goto_ = true;
  rule_.goto_label = token.value;
  return true;
}

bool RuleParser::add_label(const Token& token) {
  if (!takes_no_name(token) || !takes_operators(token, token.op == Op::assign, "= only")) {
    return false;
  }
  if (token.value.empty()) {
    return refuse(token, "LABEL needs a value");
  }
  if (has_label_) {
    faults_.push_back({token.line, fmt::format("a second LABEL in one rule; LABEL={} is ignored",
                                               quote(rule_.label))});
  }
  has_label_ = true;
  rule_.label = token.value;
  return true;
}

bool RuleParser::takes_no_name(const Token& token) {
  return !token.name || refuse(token, fmt::format("{} takes no name in braces", token.key));
}

bool RuleParser::takes_operators(const Token& token, bool allowed, std::string_view which) {
  return allowed ||
         refuse(token, fmt::format("{} takes {}, not {}", token.key, which, to_string(token.op)));
}

bool RuleParser::parse_value(const Token& token, std::vector<Piece>& pieces) {
  std::string_view rest = token.value;
  std::string literal;
  const auto flush = [&] {
    if (!literal.empty()) {
      pieces.push_back({Piece::Kind::literal, std::exchange(literal, "")});
    }
  };
  while (!rest.empty()) {
    const char mark = rest.front();
    if (mark != '$' && mark != '%') {
      literal += mark;
      rest.remove_prefix(1);
      continue;
    }
    if (rest.size() > 1 && rest[1] == mark) {
      literal += mark;
      rest.remove_prefix(2);
      continue;
    }
    const auto found = std::find_if(
        kSubstitutions.begin(), kSubstitutions.end(), [&](const Substitution& substitution) {
          return mark == '$' ? rest.substr(1).starts_with(substitution.name)
                             : rest.size() > 1 && rest[1] == substitution.letter;
        });
    if (found == kSubstitutions.end()) {
      return refuse(token, fmt::format("{} in the value of {} is no substitution; a plain {} is "
                                       "written twice",
                                       quote(rest.substr(0, 10)), key_text(token), mark));
    }
    const std::string_view written = rest.substr(0, mark == '$' ? 1 + found->name.size() : 2);
    if (found->kind == Piece::Kind::literal) {
      return refuse(token, fmt::format("{} in the value of {} is not supported", quote(written),
                                       key_text(token)));
    }
    rest.remove_prefix(written.size());
    std::string_view name;
    if (rest.starts_with('{')) {
      const std::size_t close = rest.find('}');
      if (close == std::string_view::npos) {
        return refuse(token, fmt::format("{} in the value of {} has no closing brace",
                                         quote(written), key_text(token)));
      }
      name = rest.substr(1, close - 1);
      rest.remove_prefix(close + 1);
      if (!found->takes_name) {
        return refuse(token, fmt::format("{} in the value of {} takes no name in braces",
                                         quote(written), key_text(token)));
      }
    }
    if (found->takes_name && (name.empty() || name.size() > kMaxName)) {
      return refuse(token, fmt::format("{} in the value of {} needs a name in braces",
                                       quote(written), key_text(token)));
    }
    if (found->kind == Piece::Kind::attr && name.front() == '[') {
      return refuse(token, fmt::format("{} in the value of {}: an attribute of another device "
                                       "([subsystem/kernel]) is not supported",
                                       quote(written), key_text(token)));
    }
    flush();
    pieces.push_back({found->kind, std::string(name)});
  }
  flush();
  return true;
}

}  // namespace

std::optional<Rule> parse_rule(const std::vector<Token>& tokens, int line,
                               std::vector<Fault>& faults) {
  return RuleParser(line, faults).parse(tokens);
}

void resolve_jumps(std::vector<Rule>& rules, std::size_t first, std::vector<Fault>& faults) {
  // Backwards, so that the map holds what lies ahead, the nearest one of each name.
  std::unordered_map<std::string_view, std::size_t> ahead;
  std::unordered_map<std::string_view, bool> anywhere;
  for (std::size_t i = first; i < rules.size(); ++i) {
    if (!rules[i].label.empty()) {
      anywhere[rules[i].label] = true;
    }
  }
  for (std::size_t i = rules.size(); i-- > first;) {
    Rule& rule = rules[i];
    if (!rule.goto_label.empty()) {
      if (const auto target = ahead.find(rule.goto_label); target != ahead.end()) {
        rule.jump = target->second;
      } else {
        faults.push_back(
            {rule.line,
             fmt::format("GOTO={} has no LABEL {}, the GOTO is ignored", quote(rule.goto_label),
                         anywhere.contains(rule.goto_label) ? "after it (it only jumps forward)"
                                                            : "in this file")});
      }
    }
    if (!rule.label.empty()) {
      ahead[rule.label] = i;
    }
  }
}

}  // namespace muster::rules
