// KEY{name} operator "value" pairs to a Rule: which keys there are, which operators they take, and
// why not.
#pragma once

#include <optional>
#include <vector>

#include "rules/lexer.h"
#include "rules/rule.h"

namespace muster::rules {

// The rule that the pairs of one line make. Nothing if it cannot be used: then `faults` grew.
// `faults` may also grow by what was only odd; the text says what was done instead.
[[nodiscard]] std::optional<Rule> parse_rule(const std::vector<Token>& tokens, int line,
                                             std::vector<Fault>& faults);

// GOTO to LABEL within one file's rules, [first, rules.size()): forward only, the nearest one.
void resolve_jumps(std::vector<Rule>& rules, std::size_t first, std::vector<Fault>& faults);

}  // namespace muster::rules
