#include "initramfs/muster_modprobe/module_index.h"

#include <algorithm>

namespace muster::modprobe {
namespace {

constexpr std::size_t kLongestName = 512;
constexpr std::size_t kMostSteps = 1024;  // of all groups of one line

std::string_view take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName &&
         name.find_first_of("/\\ \t\n\0,?=") == std::string_view::npos && name != "." &&
         name != "..";
}

bool parse_group(std::string_view text, std::size_t& budget, std::vector<Step>& steps) {
  bool has_target = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    std::string_view name = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    Step step;
    if (!name.empty() && (name.front() == '?' || name.front() == '=')) {
      step.role = name.front() == '?' ? Role::optional : Role::target;
      name.remove_prefix(1);
    }
    if (!is_plain_name(name) || budget == 0) {
      return false;
    }
    --budget;
    has_target = has_target || step.role == Role::target;
    step.module = name;
    steps.push_back(step);
  }
  return has_target;
}

void parse_groups(std::string_view text, Lookup& lookup) {
  std::size_t budget = kMostSteps;
  while (!text.empty()) {
    const std::string_view group = take_word(text);
    if (group == "-") {
      lookup.builtin = true;
      continue;
    }
    std::vector<Step> steps;
    if (parse_group(group, budget, steps)) {
      lookup.groups.push_back(std::move(steps));
    }
  }
}

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != std::string_view::npos) {
    return false;
  }
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (path.substr(0, end) == "..") {
      return false;
    }
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return true;
}

// One [set]; on return `pattern` stands behind it. A set without end matches nothing.
bool set_matches(std::string_view& pattern, char c) {
  pattern.remove_prefix(1);
  const bool negated = !pattern.empty() && (pattern.front() == '!' || pattern.front() == '^');
  if (negated) {
    pattern.remove_prefix(1);
  }
  bool found = false;
  bool first = true;
  while (!pattern.empty() && (first || pattern.front() != ']')) {
    first = false;
    const char low = pattern.front();
    char high = low;
    pattern.remove_prefix(1);
    if (pattern.size() >= 2 && pattern[0] == '-' && pattern[1] != ']') {
      high = pattern[1];
      pattern.remove_prefix(2);
    }
    found = found || (low <= c && c <= high);
  }
  if (pattern.empty()) {
    return false;
  }
  pattern.remove_prefix(1);
  return found != negated;
}

}  // namespace

std::string normalize(std::string_view name) {
  std::string result(name);
  bool bracket = false;
  for (char& c : result) {
    bracket = c == '[' || (bracket && c != ']');
    if (c == '-' && !bracket) {
      c = '_';
    }
  }
  return result;
}

bool matches(std::string_view pattern, std::string_view name) {
  // The last * is the only one to go back to: its tail is tried one character further on. Linear in
  // space, at worst pattern times name in time.
  std::string_view star_pattern;
  std::string_view star_name;
  bool star = false;
  for (;;) {
    if (!pattern.empty() && pattern.front() == '*') {
      pattern.remove_prefix(1);
      star = true;
      star_pattern = pattern;
      star_name = name;
      continue;
    }
    bool same = false;
    if (name.empty()) {
      if (pattern.empty()) {
        return true;
      }
      return false;
    }
    if (!pattern.empty()) {
      if (pattern.front() == '[') {
        same = set_matches(pattern, name.front());
      } else {
        same = pattern.front() == '?' || pattern.front() == name.front();
        pattern.remove_prefix(1);
      }
    }
    if (same) {
      name.remove_prefix(1);
      continue;
    }
    if (!star || star_name.empty()) {
      return false;
    }
    star_name.remove_prefix(1);
    name = star_name;
    pattern = star_pattern;
  }
}

ModuleIndex::ModuleIndex(std::string_view bytes) {
  if (take_line(bytes) != kIndexHeader) {
    return;
  }
  valid_ = true;
  const std::size_t patterns = bytes.substr(0, 2) == "p " ? 0 : bytes.find("\np ");
  if (patterns == std::string_view::npos) {
    sorted_ = bytes;
    return;
  }
  const std::size_t split = patterns == 0 && bytes.front() == 'p' ? 0 : patterns + 1;
  sorted_ = bytes.substr(0, split);
  patterns_ = bytes.substr(split);
}

std::optional<std::string_view> ModuleIndex::find_line(char kind, std::string_view key) const {
  if (key.empty() || key.size() > kLongestName ||
      key.find_first_of(std::string_view(" \n\0", 3)) != std::string_view::npos) {
    return std::nullopt;
  }
  std::string wanted{kind, ' '};
  wanted.append(key);
  std::size_t low = 0;
  std::size_t high = sorted_.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    const std::size_t newline =
        middle == 0 ? std::string_view::npos : sorted_.rfind('\n', middle - 1);
    const std::size_t start =
        newline == std::string_view::npos || newline < low ? low : newline + 1;
    const std::size_t end = std::min(sorted_.find('\n', start), sorted_.size());
    const std::string_view line = sorted_.substr(start, end - start);
    // Both keys end before a blank, which sorts before every other character of a name.
    const std::size_t key_end =
        std::min(line.size() < 2 ? line.size() : line.find(' ', 2), line.size());
    const int order = line.substr(0, key_end).compare(wanted);
    if (order == 0) {
      return line.substr(std::min(key_end + 1, line.size()));
    }
    if (order < 0) {
      low = std::min(end + 1, sorted_.size());
    } else {
      high = start;
    }
  }
  return std::nullopt;
}

std::optional<Lookup> ModuleIndex::find(std::string_view name) const {
  Lookup lookup;
  if (const auto own = find_line('m', name)) {
    parse_groups(*own, lookup);
  } else {
    lookup.by_alias = true;
    if (const auto alias = find_line('a', name)) {
      parse_groups(*alias, lookup);
    } else if (name.size() <= kLongestName) {
      std::string_view rest = patterns_;
      while (!rest.empty()) {
        std::string_view line = take_line(rest);
        if (take_word(line) == "p" && matches(take_word(line), name)) {
          parse_groups(line, lookup);
        }
      }
    }
  }
  if (lookup.groups.empty() && !lookup.builtin) {
    return std::nullopt;
  }
  return lookup;
}

std::optional<ModuleFile> ModuleIndex::file_of(std::string_view module) const {
  auto line = find_line('f', module);
  if (!line) {
    return std::nullopt;
  }
  ModuleFile file;
  file.path = take_word(*line);
  file.options = *line;
  if (!is_safe_path(file.path) || file.options.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  return file;
}

bool ModuleIndex::has_install_line(std::string_view module) const {
  return find_line('i', module).has_value();
}

}  // namespace muster::modprobe
