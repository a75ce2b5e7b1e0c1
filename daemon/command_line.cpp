#include "daemon/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "daemon/quote.h"
#include "daemon/text_lines.h"

namespace muster {

namespace {

struct ModeWord {
  std::string_view word;
  Mode mode;
};

// "Word" is what the shipped boot menus pass, with and without the "_mode".
constexpr std::array<ModeWord, 8> kModeWords{{{"interactive", Mode::interactive},
                                              {"interactive_mode", Mode::interactive},
                                              {"nuke", Mode::nuke},
                                              {"nuke_mode", Mode::nuke},
                                              {"compare", Mode::compare},
                                              {"compare_mode", Mode::compare},
                                              {"expert", Mode::expert},
                                              {"expert_mode", Mode::expert}}};

// What the old scripts look for anywhere in the line.
constexpr std::array<std::string_view, 4> kOldSubstrings{"nuke", "compare", "interactive",
                                                         "expert"};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

// lib/cmdline.c, next_arg(): a quote protects white space, wherever in the word it stands; the
// quotes around a value or around the whole word are taken off, no others; there is no way to
// escape one.
CommandLineWord split_word(std::string_view raw) {
  bool quoted = false;
  if (!raw.empty() && raw.front() == '"') {
    raw.remove_prefix(1);
    quoted = true;
  }
  // From 1: to the kernel, too, a word that starts with '=' is a key.
  const std::size_t equals = raw.find('=', 1);
  if (equals == std::string_view::npos) {
    if (quoted && !raw.empty() && raw.back() == '"') {
      raw.remove_suffix(1);
    }
    return {std::string(raw), std::nullopt};
  }
  std::string_view value = raw.substr(equals + 1);
  bool strip_end = quoted;
  if (!value.empty() && value.front() == '"') {
    value.remove_prefix(1);
    strip_end = true;
  }
  if (strip_end && !value.empty() && value.back() == '"') {
    value.remove_suffix(1);
  }
  return {std::string(raw.substr(0, equals)), std::string(value)};
}

std::vector<CommandLineWord> split_words_as_kernel(std::string_view text, bool* unbalanced) {
  std::vector<CommandLineWord> words;
  std::size_t at = 0;
  *unbalanced = false;
  while (true) {
    while (at < text.size() && is_space(text[at])) {
      ++at;
    }
    if (at == text.size()) {
      return words;
    }
    const std::size_t begin = at;
    bool in_quote = false;
    for (; at < text.size() && (in_quote || !is_space(text[at])); ++at) {
      in_quote = in_quote != (text[at] == '"');
    }
    *unbalanced = in_quote;
    words.push_back(split_word(text.substr(begin, at - begin)));
  }
}

std::vector<std::string_view> split_at_colons(std::string_view text) {
  std::vector<std::string_view> parts;
  while (parts.size() < 6) {
    const std::size_t colon = text.find(':');
    parts.push_back(text.substr(0, colon));
    if (colon == std::string_view::npos) {
      break;
    }
    text.remove_prefix(colon + 1);
  }
  return parts;
}

bool is_ipv4(std::string_view text) {
  int parts = 0;
  while (true) {
    const std::size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    const auto number = whole_number(part);
    if (part.size() > 3 || !number || *number > 255) {
      return false;
    }
    ++parts;
    if (dot == std::string_view::npos) {
      return parts == 4;
    }
    text.remove_prefix(dot + 1);
  }
}

std::optional<IpConf> parse_ipconf(std::string_view text) {
  const auto parts = split_at_colons(text);
  if (parts.size() < 2 || parts[0].empty()) {
    return std::nullopt;
  }
  IpConf conf;
  conf.interface = parts[0];
  if (parts.size() == 2 && equal_ignoring_case(parts[1], "dhcp")) {
    conf.dhcp = true;
    return conf;
  }
  if (parts.size() < 3 || parts.size() > 5 || !is_ipv4(parts[1]) || !is_ipv4(parts[2])) {
    return std::nullopt;
  }
  conf.address = parts[1];
  conf.netmask = parts[2];
  for (std::size_t i = 3; i < parts.size(); ++i) {
    if (!parts[i].empty() && !is_ipv4(parts[i])) {
      return std::nullopt;
    }
    (i == 3 ? conf.broadcast : conf.gateway) = parts[i];
  }
  return conf;
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view file) : diagnostics_(std::string(file)) {
    const std::size_t nul = text.find('\0');
    if (nul != std::string_view::npos) {
      complain("a NUL byte ends the command line; what follows is not read");
      text = text.substr(0, nul);
    }
    bool unbalanced = false;
    result_.words = split_words_as_kernel(text, &unbalanced);
    if (unbalanced) {
      complain("a quote is opened and not closed: the last word reaches to the end of the line");
    }
  }

  CommandLine read() {
    for (const CommandLineWord& word : result_.words) {
      take(word);
    }
    decide_mode();
    result_.diagnostics = diagnostics_.take();
    return std::move(result_);
  }

 private:
  void complain(std::string text) { diagnostics_.add(1, std::move(text)); }

  void take(const CommandLineWord& word) {
    if (word.key.starts_with("muster.")) {
      CommandLineWord own = word;
      own.key.erase(0, std::string_view("muster.").size());
      result_.muster.push_back(std::move(own));
    } else if (word.value) {
      take_pair(word);
    } else {
      take_bare(word.key);
    }
  }

  void take_bare(const std::string& word) {
    const auto* const mode = std::find_if(kModeWords.begin(), kModeWords.end(),
                                          [&](const ModeWord& m) { return m.word == word; });
    if (mode != kModeWords.end()) {
      wish(mode->mode, word);
    } else if (equal_ignoring_case(word, "restore")) {
      result_.restore = true;
      wish(Mode::nuke, word);
    } else if (word == "iso_mode") {
      result_.iso_mode = true;
    } else if (bool* flag = flag_of(word)) {
      *flag = true;
    } else if (pair_needed(word)) {
      complain(fmt::format("{} needs a value: ignored", quote(word)));
    } else {
      warn_of_substring(word, word);
    }
  }

  bool* flag_of(std::string_view word) {
    return word == "pxe"         ? &result_.pxe
           : word == "textonly"  ? &result_.textonly
           : word == "noresize"  ? &result_.noresize
           : word == "nopart"    ? &result_.nopart
           : word == "donteject" ? &result_.donteject
                                 : nullptr;
  }

  static bool pair_needed(std::string_view key) {
    return key == "prefix" || key == "ipconf" || key == "nfsmount" || key == "ping" ||
           key == "denymods" || key == "forcemods";
  }

  void take_pair(const CommandLineWord& word) {
    const std::string& value = *word.value;
    if (word.key == "prefix") {
      take_prefix(value);
    } else if (word.key == "ipconf") {
      take_checked(&result_.ipconf, parse_ipconf(value), word,
                   "IF:dhcp or IF:ADDRESS:MASK:BROADCAST:GATEWAY");
    } else if (word.key == "nfsmount") {
      const std::size_t at = value.find(":/");
      const bool sound = at != std::string::npos && at > 0;
      take_checked(&result_.nfsmount, sound ? std::optional(value) : std::nullopt, word,
                   "SERVER:/EXPORT");
    } else if (word.key == "ping") {
      const auto number = whole_number(value);
      const bool sound = number && *number >= 1 && *number <= 1000;
      take_checked(&result_.ping,
                   sound ? std::optional(static_cast<unsigned>(*number)) : std::nullopt, word,
                   "a number from 1 to 1000");
    } else if (std::vector<std::string>* modules = module_list_of(word.key)) {
      for (std::string& name : split_module_names(value)) {
        modules->push_back(std::move(name));
      }
    } else {
      warn_of_substring(word.key + "=" + value, word.key);
    }
  }

  // It becomes part of a path on the medium, so it must not be able to leave the directory.
  void take_prefix(const std::string& value) {
    const bool sound = !value.empty() && value.find('/') == std::string::npos && value != "." &&
                       value != ".." && value.size() <= 200;
    take_checked(&result_.prefix, sound ? std::optional(value) : std::nullopt, {"prefix", value},
                 "the stem of STEM-N.iso, without '/'");
    warn_of_substring("prefix=" + value, value);
  }

  // The last one wins, as with the kernel's own parameters; a broken one takes nothing away.
  template <typename T>
  void take_checked(std::optional<T>* target, std::optional<T> value, const CommandLineWord& word,
                    std::string_view expected) {
    if (!value) {
      complain(fmt::format("{}={} is not {}: ignored", word.key, quote(*word.value), expected));
      return;
    }
    if (*target && **target != *value) {
      complain(fmt::format("{}= is given more than once; the last one counts: {}", word.key,
                           quote(*word.value)));
    }
    *target = std::move(value);
  }

  std::vector<std::string>* module_list_of(std::string key) {
    // Hyphen and underscore are the same in the name of a parameter (parameq() in kernel/params.c).
    std::replace(key.begin(), key.end(), '-', '_');
    return key == "denymods"              ? &result_.denymods
           : key == "forcemods"           ? &result_.forcemods
           : key == "modprobe.blacklist"  ? &result_.modprobe_blacklist
           : key == "rd.driver.blacklist" ? &result_.modprobe_blacklist
           : key == "module_blacklist"    ? &result_.module_blacklist
                                          : nullptr;
  }

  // Who is used to the old scripts must learn why nothing happens.
  void warn_of_substring(std::string_view whole, std::string_view searched) {
    for (const std::string_view old : kOldSubstrings) {
      if (whole.find(old) != std::string_view::npos ||
          (whole == searched && equal_ignoring_case(whole, old))) {
        complain(fmt::format("{} is not the word {}: it does not choose the mode", quote(whole),
                             quote(old)));
        return;
      }
    }
  }

  void wish(Mode mode, const std::string& word) {
    for (const auto& [known, by] : wishes_) {
      if (known == mode) {
        return;
      }
    }
    wishes_.emplace_back(mode, word);
  }

  bool wished(Mode mode) const {
    return std::any_of(wishes_.begin(), wishes_.end(),
                       [&](const auto& wish) { return wish.first == mode; });
  }

  // Of the old precedence (compare before nuke, interactive before expert) only the harmless half
  // is kept.
  void decide_mode() {
    if (wishes_.empty()) {
      return;
    }
    result_.mode_given = true;
    if (wishes_.size() == 1) {
      result_.mode = wishes_.front().first;
      return;
    }
    result_.mode = Mode::interactive;
    if (wishes_.size() == 2 && wished(Mode::interactive) && wished(Mode::expert)) {
      return;
    }
    result_.mode_refused = true;
    std::string words;
    for (const auto& [mode, word] : wishes_) {
      words += (words.empty() ? "" : " and ") + quote(word);
    }
    complain(fmt::format("{} contradict each other: the mode is interactive", words));
  }

  CommandLine result_;
  Diagnostics diagnostics_;
  std::vector<std::pair<Mode, std::string>> wishes_;
};

}  // namespace

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::interactive:
      return "interactive";
    case Mode::nuke:
      return "nuke";
    case Mode::compare:
      return "compare";
    case Mode::expert:
      return "expert";
  }
  return "interactive";
}

std::optional<Mode> mode_from(std::string_view name) {
  for (const Mode mode : {Mode::interactive, Mode::nuke, Mode::compare, Mode::expert}) {
    if (name == to_string(mode)) {
      return mode;
    }
  }
  return std::nullopt;
}

std::vector<std::string> split_module_names(std::string_view text) {
  std::vector<std::string> names;
  std::string name;
  const auto finish = [&] {
    if (!name.empty()) {
      names.push_back(std::move(name));
    }
    name.clear();
  };
  for (const char c : text) {
    if (c == ',' || is_space(c)) {
      finish();
    } else {
      name += c == '-' ? '_' : c;
    }
  }
  finish();
  return names;
}

CommandLine parse_command_line(std::string_view text, std::string_view file) {
  return Reader(text, file).read();
}

}  // namespace muster
