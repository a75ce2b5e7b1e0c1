#include "rules/match.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "rules/lexer.h"
#include "rules/parser.h"

namespace muster::rules {
namespace {

// udev's UDEV_NAME_SIZE less the NUL: what a property or an attribute in a value may have. It also
// keeps ENV{A}="$env{A}$env{A}" from growing without bound.
constexpr std::size_t kMaxValue = 511;
// One file of garbage is one screenful, not a flood.
constexpr std::size_t kMaxDiagnosticsPerFile = 50;

std::string_view without_trailing(std::string_view text, std::string_view set) {
  const std::size_t last = text.find_last_not_of(set);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// As libudev hands out an attribute: a C string without trailing newlines.
std::optional<std::string_view> read_attribute(const DeviceView& device, std::string_view name) {
  const std::optional<std::string_view> raw = device.attr(name);
  if (!raw) {
    return std::nullopt;
  }
  return without_trailing(raw->substr(0, raw->find('\0')), "\n\r");
}

// udev's udev_replace_chars(): what a device says about itself must not bring in anything odd.
void append_cleaned(std::string& out, std::string_view text) {
  static constexpr std::string_view kAllowed = "#+-.:=@_/ $%?,";
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
        kAllowed.find(c) != std::string_view::npos) {
      out += c;
      ++i;
    } else if (text.substr(i).starts_with("\\x")) {
      out += "\\x";
      i += 2;
    } else if (const std::size_t length = utf8_length(text.substr(i)); length > 1) {
      out += text.substr(i, length);
      i += length;
    } else {
      out += std::string_view("\t\n\v\f\r").find(c) != std::string_view::npos ? ' ' : '_';
      ++i;
    }
  }
}

// The digits at the end of the name, unless it is nothing but digits.
std::string_view kernel_number(std::string_view kernel) {
  const std::size_t last = kernel.find_last_not_of("0123456789");
  return last == std::string_view::npos ? std::string_view() : kernel.substr(last + 1);
}

bool is_valid_tag(std::string_view tag) {
  return !tag.empty() && std::all_of(tag.begin(), tag.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

// The faults of one file, in the order of its lines.
void report(const std::string& file, std::vector<Fault> faults,
            std::vector<Diagnostic>& diagnostics) {
  std::stable_sort(faults.begin(), faults.end(),
                   [](const Fault& a, const Fault& b) { return a.line < b.line; });
  const std::size_t shown = std::min(faults.size(), kMaxDiagnosticsPerFile);
  for (std::size_t i = 0; i < shown; ++i) {
    diagnostics.push_back({file, faults[i].line, std::move(faults[i].text)});
  }
  if (faults.size() > shown) {
    diagnostics.push_back(
        {file, faults[shown].line,
         fmt::format("{} more faults in this file from here on", faults.size() - shown)});
  }
}

void sort_unique(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

}  // namespace

// One match() in progress: the device, and what the rules have said so far.
class RuleSet::Run {
 public:
  Run(const DeviceView& device, const std::vector<std::string>& files)
      : device_(device), files_(files) {}

  [[nodiscard]] const DeviceView& device() const { return device_; }

  // Whether it matched; if so, its assignments are carried out. `tests` are the rule's matches.
  bool apply(const Rule& rule, const std::vector<Test>& tests);

  // The handlers as a number that no other list of them has; nothing where there is more to say, or
  // they are too many.
  [[nodiscard]] std::optional<std::uint64_t> only_handlers(
      const std::vector<std::string>& all) const;
  [[nodiscard]] Outcome finish() &&;

 private:
  struct Property {
    std::string_view key;  // in the rule set
    std::string value;     // empty: taken away
  };
  static constexpr std::size_t kSlots = 64;

  [[nodiscard]] bool passes(const Test& test);
  [[nodiscard]] bool fits(const Match& match, const DeviceView& device) const;
  [[nodiscard]] bool value_fits(const Match& match, const DeviceView& device) const;
  [[nodiscard]] std::string_view property(std::string_view key) const;
  [[nodiscard]] std::string_view device_number(std::string_view key) const;
  [[nodiscard]] bool has_tag(const Pattern& pattern, const DeviceView& device) const;
  bool select_parent(const Rule& rule);

  void assign_env(const Rule& rule, const Assignment& assignment);
  void assign_tag(const Rule& rule, const Assignment& assignment);
  bool expand(const Rule& rule, const Assignment& assignment, std::string& out);
  void warn(const Rule& rule, std::string_view text);

  const DeviceView& device_;
  const std::vector<std::string>& files_;
  // udev keeps what the last rule with KERNELS, SUBSYSTEMS, DRIVERS, ATTRS or TAGS selected, for
  // $attr{}, also in the rules after it, until such a rule finds nothing.
  const DeviceView* selected_ = nullptr;
  std::vector<Property> properties_;
  std::vector<std::string_view> handlers_;  // in the rule set
  std::set<std::string> tags_;
  std::vector<std::string> warnings_;
  // What was looked up already: one bit a slot.
  std::uint64_t looked_up_ = 0;
  std::uint64_t absent_ = 0;
  struct Text {
    const char* data;
    std::size_t size;
  };
  std::array<Text, kSlots> values_;  // of the slots that were looked up; the others hold nothing
};

bool RuleSet::Run::apply(const Rule& rule, const std::vector<Test>& tests) {
  for (const Test& test : tests) {
    if (!passes(test)) {
      return false;
    }
  }
  if (!rule.parent_matches.empty() && !select_parent(rule)) {
    return false;
  }
  for (const Assignment& assignment : rule.assignments) {
    switch (assignment.target) {
      case Assignment::Target::tag:
        assign_tag(rule, assignment);
        break;
      case Assignment::Target::env:
        assign_env(rule, assignment);
        break;
      case Assignment::Target::handler: {
        const std::string& name = assignment.value.front().text;
        if (std::find(handlers_.begin(), handlers_.end(), name) == handlers_.end()) {
          handlers_.push_back(name);
        }
        break;
      }
    }
  }
  return true;
}

bool RuleSet::Run::select_parent(const Rule& rule) {
  for (selected_ = &device_; selected_ != nullptr; selected_ = selected_->parent()) {
    if (std::all_of(rule.parent_matches.begin(), rule.parent_matches.end(),
                    [&](const Match& match) { return fits(match, *selected_); })) {
      return true;
    }
  }
  return false;
}

// fits() for the device itself, with what was looked up before.
bool RuleSet::Run::passes(const Test& test) {
  const Match& match = test.match;
  if (test.slot >= kSlots || (match.key != Key::env && match.key != Key::attr)) {
    return fits(match, device_);
  }
  if (match.key == Key::env && !properties_.empty()) {
    return fits(match, device_);  // a rule may have changed it
  }
  const std::uint64_t bit = std::uint64_t{1} << test.slot;
  if ((looked_up_ & bit) == 0) {
    looked_up_ |= bit;
    const auto value = match.key == Key::env ? device_.env(match.name).value_or("")
                                             : read_attribute(device_, match.name);
    const std::string_view text = value.value_or("");
    values_[test.slot] = {text.data(), text.size()};
    absent_ |= value ? 0 : bit;
  }
  if ((absent_ & bit) != 0) {
    return false;  // neither == nor !=
  }
  const std::string_view value(values_[test.slot].data, values_[test.slot].size);
  return match.pattern.matches(match.trim_attribute ? without_trailing(value, " \t\n\r") : value) !=
         match.negated;
}

bool RuleSet::Run::fits(const Match& match, const DeviceView& device) const {
  if (match.key == Key::attr || match.key == Key::attrs) {
    std::optional<std::string_view> value = read_attribute(device, match.name);
    if (!value) {
      return false;  // neither == nor !=
    }
    if (match.trim_attribute) {
      value = without_trailing(*value, " \t\n\r");
    }
    return match.pattern.matches(*value) != match.negated;
  }
  return value_fits(match, device) != match.negated;
}

bool RuleSet::Run::value_fits(const Match& match, const DeviceView& device) const {
  switch (match.key) {
    case Key::action:
      return match.pattern.matches(device.action());
    case Key::kernel:
    case Key::kernels:
      return match.pattern.matches(device.kernel());
    case Key::subsystem:
    case Key::subsystems:
      return match.pattern.matches(device.subsystem());
    case Key::driver:
    case Key::drivers:
      return match.pattern.matches(device.driver());
    case Key::devpath:
      return match.pattern.matches(device.devpath());
    case Key::env:
      return match.pattern.matches(property(match.name));
    case Key::tag:
    case Key::tags:
      return has_tag(match.pattern, device);
    case Key::attr:
    case Key::attrs:
      break;  // in fits()
  }
  return false;
}

std::string_view RuleSet::Run::property(std::string_view key) const {
  for (const Property& one : properties_) {
    if (one.key == key) {
      return one.value;
    }
  }
  return device_.env(key).value_or("");
}

// MAJOR or MINOR: "0" for what has no node.
std::string_view RuleSet::Run::device_number(std::string_view key) const {
  const std::string_view value = device_.env(key).value_or("");
  const bool is_number =
      !value.empty() && value.find_first_not_of("0123456789") == std::string_view::npos;
  return is_number ? value : "0";
}

bool RuleSet::Run::has_tag(const Pattern& pattern, const DeviceView& device) const {
  const std::set<std::string>& tags = &device == &device_ ? tags_ : device.tags();
  return std::any_of(tags.begin(), tags.end(),
                     [&](const std::string& tag) { return pattern.matches(tag); });
}

void RuleSet::Run::assign_env(const Rule& rule, const Assignment& assignment) {
  std::string value;
  if (assignment.op == Op::add) {
    if (assignment.value.empty()) {
      return;
    }
    if (const std::string_view old = property(assignment.name); !old.empty()) {
      value = old;
      value += ' ';
    }
  }
  if (!expand(rule, assignment, value)) {
    return;
  }
  for (Property& one : properties_) {
    if (one.key == assignment.name) {
      one.value = std::move(value);
      return;
    }
  }
  properties_.push_back({assignment.name, std::move(value)});
}

void RuleSet::Run::assign_tag(const Rule& rule, const Assignment& assignment) {
  std::string tag;
  if (!expand(rule, assignment, tag)) {
    return;
  }
  if (assignment.op == Op::assign) {
    tags_.clear();
  }
  if (!is_valid_tag(tag)) {
    warn(rule, fmt::format("{} is not a tag (letters, digits, - and _), ignored", quote(tag)));
    return;
  }
  if (assignment.op == Op::remove) {
    tags_.erase(tag);
  } else {
    tags_.insert(std::move(tag));
  }
}

// Appends the value. False if it gets too long: then nothing is assigned.
bool RuleSet::Run::expand(const Rule& rule, const Assignment& assignment, std::string& out) {
  for (const Piece& piece : assignment.value) {
    std::size_t source_size = 0;
    switch (piece.kind) {
      case Piece::Kind::literal:
        out += piece.text;
        break;
      case Piece::Kind::kernel:
        out += device_.kernel();
        break;
      case Piece::Kind::number:
        out += kernel_number(device_.kernel());
        break;
      case Piece::Kind::devpath:
        out += device_.devpath();
        break;
      case Piece::Kind::major:
        out += device_number("MAJOR");
        break;
      case Piece::Kind::minor:
        out += device_number("MINOR");
        break;
      case Piece::Kind::env:
        out += property(piece.text);
        break;
      case Piece::Kind::attr: {
        std::optional<std::string_view> value = read_attribute(device_, piece.text);
        if (!value && selected_ != nullptr && selected_ != &device_) {
          value = read_attribute(*selected_, piece.text);
        }
        if (value) {
          source_size = value->size();
          if (source_size <= kMaxValue) {
            append_cleaned(out, without_trailing(*value, " \t\n\r"));
          }
        }
        break;
      }
    }
    if (out.size() > kMaxValue || source_size > kMaxValue) {
      warn(rule, fmt::format("the value of {} would be longer than {} bytes, not assigned",
                             assignment.target == Assignment::Target::tag
                                 ? std::string("TAG")
                                 : fmt::format("ENV{{{}}}", printable(assignment.name)),
                             kMaxValue));
      return false;
    }
  }
  return true;
}

void RuleSet::Run::warn(const Rule& rule, std::string_view text) {
  warnings_.push_back(fmt::format("{}:{}: {}", files_[rule.file], rule.line, text));
}

std::optional<std::uint64_t> RuleSet::Run::only_handlers(
    const std::vector<std::string>& all) const {
  constexpr std::size_t kBits = 4;
  if (!properties_.empty() || !tags_.empty() || !warnings_.empty() || handlers_.size() > 15) {
    return std::nullopt;
  }
  std::uint64_t number = 0;
  for (const std::string_view handler : handlers_) {
    const auto at = std::lower_bound(all.begin(), all.end(), handler) - all.begin() + 1;
    if (at >> kBits != 0) {
      return std::nullopt;
    }
    number = number << kBits | static_cast<std::uint64_t>(at);
  }
  return number;
}

Outcome RuleSet::Run::finish() && {
  Outcome outcome;
  outcome.handlers.assign(handlers_.begin(), handlers_.end());
  outcome.tags = std::move(tags_);
  outcome.warnings = std::move(warnings_);
  for (Property& one : properties_) {
    // A name with a leading dot lives only while the rules run (udev).
    const bool is_change = !one.value.empty() || !device_.env(one.key).value_or("").empty();
    if (!one.key.starts_with('.') && is_change) {
      outcome.properties.emplace(one.key, std::move(one.value));
    }
  }
  return outcome;
}

// Writes the program of one subsystem.
class RuleSet::Compiler {
 public:
  explicit Compiler(const std::vector<Rule>& rules) : rules_(rules) {
    for (const Rule& rule : rules_) {
      for (const Match& match : rule.matches) {
        if (match.key == Key::subsystem && match.pattern.is_literal()) {
          subsystems_.insert(match.pattern.alternatives().begin(),
                             match.pattern.alternatives().end());
        }
        if (match.key == Key::env) {
          read_.insert(match.name);
        }
        if (match.key == Key::env || match.key == Key::attr) {
          slots_.try_emplace({match.key, match.name}, static_cast<std::uint32_t>(slots_.size()));
        }
      }
      for (const Assignment& assignment : rule.assignments) {
        for (const Piece& piece : assignment.value) {
          reads_attributes_ = reads_attributes_ || piece.kind == Piece::Kind::attr;
          if (piece.kind == Piece::Kind::env) {
            read_.insert(piece.text);
          }
        }
      }
    }
    while (subsystems_.size() > kMostPrograms) {
      subsystems_.erase(std::prev(subsystems_.end()));
      all_listed_ = false;
    }
  }

  // Those that rules name: each has a program of its own.
  [[nodiscard]] const std::set<std::string, std::less<>>& subsystems() const { return subsystems_; }

  // Of one of them; of every other one where none is given.
  [[nodiscard]] Program program(std::optional<std::string_view> subsystem) const {
    Program program;
    auto& steps = program.steps;
    std::set<std::size_t> targets;  // where what is kept may jump to
    std::size_t out_of_reach_until = 0;
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      const Rule& rule = rules_[i];
      if (targets.contains(i)) {
        out_of_reach_until = 0;
      }
      if (i < out_of_reach_until || !does_anything(rule)) {
        continue;
      }
      Step step{static_cast<std::uint32_t>(i), 0, {}, {}};
      if (!keep_tests(rule, subsystem, step.tests)) {
        continue;
      }
      const auto kernel = std::find_if(step.tests.begin(), step.tests.end(), [](const Test& test) {
        return test.match.key == Key::kernel && !test.match.negated;
      });
      if (kernel != step.tests.end()) {
        step.kernel_begins = kernel->match.pattern.first_bytes();
      }
      if (rule.jump != Rule::kNoJump) {
        targets.insert(rule.jump);
        if (step.tests.empty() && rule.parent_matches.empty()) {
          out_of_reach_until = rule.jump;
        }
      }
      note_questions(rule, step.tests, program.questions);
      steps.push_back(std::move(step));
    }
    sort_unique(program.questions.properties);
    sort_unique(program.questions.attributes);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const std::size_t jump = rules_[steps[i].rule].jump;
      const auto next = jump == Rule::kNoJump
                            ? steps.begin() + static_cast<std::ptrdiff_t>(i) + 1
                            : std::lower_bound(steps.begin(), steps.end(), jump,
                                               [](const Step& step, std::size_t rule) {
                                                 return step.rule < rule;
                                               });
      steps[i].next = static_cast<std::uint32_t>(next - steps.begin());
    }
    return program;
  }

 private:
  // A journal's rules are as foreign as the rest of it: no more programs than any machine needs.
  static constexpr std::size_t kMostPrograms = 16;

  // Rules that only name an attribute, so that it is read (ENV{.read}="1"), come to nothing. What
  // parents a rule selects counts for $attr{} in it and after it.
  [[nodiscard]] bool does_anything(const Rule& rule) const {
    if (rule.jump != Rule::kNoJump || (reads_attributes_ && !rule.parent_matches.empty())) {
      return true;
    }
    return std::any_of(
        rule.assignments.begin(), rule.assignments.end(), [this](const Assignment& assignment) {
          return assignment.target != Assignment::Target::env || assignment.op != Op::assign ||
                 !assignment.name.starts_with('.') || read_.contains(assignment.name) ||
                 assignment.value.size() > 1 ||
                 std::any_of(
                     assignment.value.begin(), assignment.value.end(), [](const Piece& piece) {
                       return piece.kind != Piece::Kind::literal || piece.text.size() > kMaxValue;
                     });
        });
  }

  // False if the rule never matches.
  [[nodiscard]] bool keep_tests(const Rule& rule, std::optional<std::string_view> subsystem,
                                std::vector<Test>& tests) const {
    for (const Match& match : rule.matches) {
      if (match.key == Key::subsystem &&
          (subsystem || (match.pattern.is_literal() && all_listed_))) {
        if ((subsystem && match.pattern.matches(*subsystem)) == match.negated) {
          return false;
        }
        continue;
      }
      const auto slot = slots_.find({match.key, match.name});
      tests.push_back({match, slot == slots_.end() ? 0 : slot->second});
    }
    return true;
  }

  static void note_questions(const Rule& rule, const std::vector<Test>& tests,
                             Questions& questions) {
    questions.device_alone = questions.device_alone && rule.parent_matches.empty();
    for (const Test& test : tests) {
      switch (test.match.key) {
        case Key::action:
          questions.device_alone = false;
          break;
        case Key::driver:
          questions.properties.emplace_back("DRIVER");
          break;
        case Key::env:
          questions.properties.push_back(test.match.name);
          break;
        case Key::attr:
          questions.attributes.push_back(test.match.name);
          break;
        default:
          break;  // its names, and what the rules themselves said so far
      }
    }
    for (const Assignment& assignment : rule.assignments) {
      if (assignment.target == Assignment::Target::env) {
        questions.properties.push_back(assignment.name);
      }
      for (const Piece& piece : assignment.value) {
        switch (piece.kind) {
          case Piece::Kind::major:
            questions.properties.emplace_back("MAJOR");
            break;
          case Piece::Kind::minor:
            questions.properties.emplace_back("MINOR");
            break;
          case Piece::Kind::env:
            questions.properties.push_back(piece.text);
            break;
          case Piece::Kind::attr:
            questions.attributes.push_back(piece.text);
            break;
          default:
            break;
        }
      }
    }
  }

  const std::vector<Rule>& rules_;
  std::set<std::string, std::less<>> subsystems_;
  bool all_listed_ = true;
  std::set<std::string, std::less<>> read_;  // properties that some rule looks at
  bool reads_attributes_ = false;            // $attr{}
  std::map<std::pair<Key, std::string>, std::uint32_t> slots_;
};

const std::set<std::string>& DeviceView::tags() const {
  static const std::set<std::string> kNone;
  return kNone;
}

RuleSet RuleSet::load(std::span<const Source> sources, std::vector<Diagnostic>& diagnostics) {
  RuleSet set;
  for (const Source& source : sources) {
    const auto file = static_cast<std::uint32_t>(set.files_.size());
    set.files_.push_back(source.name);
    const std::size_t first = set.rules_.size();
    std::vector<Fault> faults;
    LineReader reader(source.text);
    for (LogicalLine line; reader.next(line, faults);) {
      std::vector<Token> tokens;
      if (std::optional<Fault> fault = tokenize(line, tokens)) {
        faults.push_back(*std::move(fault));
        continue;
      }
      if (std::optional<Rule> rule = parse_rule(tokens, line.first_line(), faults)) {
        rule->file = file;
        set.rules_.push_back(*std::move(rule));
      }
    }
    resolve_jumps(set.rules_, first, faults);
    report(source.name, std::move(faults), diagnostics);
  }
  set.index();
  set.compile();
  return set;
}

void RuleSet::index() {
  bool selects_parent = false;  // some rule so far does
  for (const Rule& rule : rules_) {
    for (const Match& match : rule.matches) {
      if (match.key == Key::attr) {
        attributes_.push_back(match.name);
      }
    }
    selects_parent = selects_parent || !rule.parent_matches.empty();
    for (const Match& match : rule.parent_matches) {
      if (match.key == Key::attrs) {
        attributes_.push_back(match.name);
        parent_attributes_.push_back(match.name);
      }
    }
    for (const Assignment& assignment : rule.assignments) {
      if (assignment.target == Assignment::Target::handler) {
        handlers_.push_back(assignment.value.front().text);
      }
      for (const Piece& piece : assignment.value) {
        if (piece.kind == Piece::Kind::attr) {
          attributes_.push_back(piece.text);
          if (selects_parent) {
            parent_attributes_.push_back(piece.text);
          }
        }
      }
    }
  }
  sort_unique(attributes_);
  sort_unique(parent_attributes_);
  sort_unique(handlers_);
}

void RuleSet::compile() {
  const Compiler compiler(rules_);
  for (const std::string& subsystem : compiler.subsystems()) {
    programs_.emplace(subsystem, compiler.program(subsystem));
  }
  program_ = compiler.program(std::nullopt);
}

void RuleSet::run(Run& run) const {
  const auto& steps = program(run.device().subsystem()).steps;
  const std::string_view kernel = run.device().kernel();
  for (std::size_t at = 0; at < steps.size();) {
    const Step& step = steps[at];
    if (step.kernel_begins && !kernel.empty() &&
        !(*step.kernel_begins)[static_cast<unsigned char>(kernel.front())]) {
      ++at;
      continue;
    }
    at = run.apply(rules_[step.rule], step.tests) ? step.next : at + 1;
  }
}

Outcome RuleSet::match(const DeviceView& device) const {
  Run one(device, files_);
  run(one);
  return std::move(one).finish();
}

std::shared_ptr<const Outcome> RuleSet::match(const DeviceView& device, OutcomePool& pool) const {
  Run one(device, files_);
  run(one);
  const auto handlers = one.only_handlers(handlers_);
  if (!handlers) {
    return std::make_shared<const Outcome>(std::move(one).finish());
  }
  auto& shared = pool.by_handlers_[*handlers];
  if (shared == nullptr) {
    shared = std::make_shared<const Outcome>(std::move(one).finish());
  }
  return shared;
}

std::vector<Source> merge_by_name(std::initializer_list<std::span<const Source>> directories) {
  std::map<std::string_view, const Source*> by_name;
  for (const std::span<const Source> directory : directories) {
    for (const Source& source : directory) {
      if (const std::string_view name = base_name(source.name); name.ends_with(".rules")) {
        by_name[name] = &source;
      }
    }
  }
  std::vector<Source> merged;
  for (const auto& [name, source] : by_name) {
    if (!source->text.empty()) {
      merged.push_back(*source);
    }
  }
  return merged;
}

}  // namespace muster::rules
