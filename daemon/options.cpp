#include "daemon/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "daemon/quote.h"
#include "daemon/text_lines.h"
#include "daemon/toml.h"

namespace muster {

namespace {

constexpr std::size_t kMaxFile = std::size_t{64} << 10;
// Each dot of a key is one more table inside another, and they are taken down recursively.
constexpr std::size_t kMaxLine = 1000;
constexpr std::size_t kMaxListEntries = 1000;
constexpr int kMaxRepairs = 20;

constexpr std::string_view kCommandLineName = "/proc/cmdline";

struct Value {
  std::string text;
  int line = 0;
  int column = 0;
};

// Takes one value, or all of a list; an empty answer is success, anything else says what was
// expected instead.
using Setter = std::function<std::string(const std::vector<Value>&)>;

struct Key {
  std::string_view name;
  bool list;                    // may have several values
  std::string_view separators;  // of a list on the command line; empty: one value a word
  Setter set;
};

std::string accept_deadline(Deadline* target, const std::string& text, bool zero_allowed) {
  const auto deadline = parse_deadline(text);
  if (!deadline) {
    return R"(a duration such as "500ms", "10s", "2m" or "never")";
  }
  if (!zero_allowed && *deadline && (*deadline)->count() == 0) {
    return R"(a duration above zero, or "never")";
  }
  *target = *deadline;
  return {};
}

template <typename T, std::size_t N>
std::string accept_choice(T* target, const std::string& text,
                          const std::array<std::pair<std::string_view, T>, N>& choices) {
  std::string names;
  for (const auto& [name, value] : choices) {
    if (text == name) {
      *target = value;
      return {};
    }
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return "one of " + names;
}

std::string accept_text(std::string* target, const std::string& text, bool empty_allowed,
                        std::string_view expected) {
  const bool printable = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
  });
  if (!printable || text.size() > 4096 || (text.empty() && !empty_allowed)) {
    return std::string(expected);
  }
  *target = text;
  return {};
}

// A binding together with where it was given.
struct PlacedBinding {
  Binding binding;
  TextDiagnostic place;  // without a text
};

class Reader {
 public:
  Reader(std::string_view file, const CommandLine& command_line)
      : file_(file), command_line_(command_line), diagnostics_(file_) {
    make_keys();
  }

  ParsedOptions read(std::string_view toml) {
    read_file(toml);
    read_words();
    settle_bindings();
    ParsedOptions parsed{std::move(options_), diagnostics_.take()};
    std::vector<TextDiagnostic> more = word_diagnostics_.take();
    parsed.diagnostics.insert(parsed.diagnostics.end(), std::make_move_iterator(more.begin()),
                              std::make_move_iterator(more.end()));
    return parsed;
  }

  std::vector<std::string_view> key_names() const {
    std::vector<std::string_view> names;
    for (const Key& key : keys_) {
      names.push_back(key.name);
    }
    return names;
  }

 private:
  // All that can be set stands here.
  void make_keys() {
    const auto scalar = [&](std::string_view name,
                            std::function<std::string(const std::string&)> set) {
      keys_.push_back({name, false, {}, [set = std::move(set)](const std::vector<Value>& v) {
                         return set(v.front().text);
                       }});
    };
    const auto deadline = [&](std::string_view name, Deadline* target, bool zero_allowed) {
      scalar(name,
             [=](const std::string& text) { return accept_deadline(target, text, zero_allowed); });
    };
    scalar("mode", [this](const std::string& text) -> std::string {
      const auto mode = mode_from(text);
      if (!mode) {
        return "one of interactive, nuke, compare, expert";
      }
      options_.mode = mode;
      return {};
    });
    keys_.push_back(
        {"target", true, {}, [this](const auto& values) { return set_targets(values); }});
    deadline("degraded_after", &options_.degraded_after, true);
    deadline("deadlines.probe", &options_.deadlines.probe, false);
    deadline("deadlines.tool", &options_.deadlines.tool, false);
    deadline("deadlines.medium", &options_.deadlines.medium, false);
    deadline("deadlines.module", &options_.deadlines.module, false);
    deadline("deadlines.mount", &options_.deadlines.mount, false);
    deadline("deadlines.network", &options_.deadlines.network, false);
    scalar("launch.program", [this](const std::string& text) -> std::string {
      const bool sound = text.find('/') == std::string::npos || text.starts_with('/');
      return sound ? accept_text(&options_.launch.program, text, false,
                                 "the name of a program or its absolute path")
                   : "the name of a program or its absolute path";
    });
    keys_.push_back({"launch.arguments", true, " ",
                     [this](const auto& values) { return set_arguments(values); }});
    scalar("at_end", [this](const std::string& text) {
      constexpr std::array<std::pair<std::string_view, AtEnd>, 3> kChoices{
          {{"shell", AtEnd::shell}, {"reboot", AtEnd::reboot}, {"poweroff", AtEnd::poweroff}}};
      return accept_choice(&options_.at_end, text, kChoices);
    });
    keys_.push_back({"deny", true, ", ", [this](const auto& values) { return set_deny(values); }});
    scalar("medium", [this](const std::string& text) {
      return accept_text(&options_.medium, text, true, "a device or a path");
    });
    scalar("log_level", [this](const std::string& text) {
      constexpr std::array<std::pair<std::string_view, LogLevel>, 4> kChoices{
          {{"error", LogLevel::error},
           {"warning", LogLevel::warning},
           {"info", LogLevel::info},
           {"debug", LogLevel::debug}}};
      return accept_choice(&options_.log_level, text, kChoices);
    });
    scalar("console", [this](const std::string& text) -> std::string {
      return text.starts_with("/dev/")
                 ? accept_text(&options_.console, text, false, "a device below /dev")
                 : "a device below /dev";
    });
  }

  std::string set_targets(const std::vector<Value>& values) {
    // What one place says replaces what another one said; what is wrong is dropped by itself.
    if (bindings_of_ != place_.file) {
      bindings_.clear();
      bindings_of_ = place_.file;
    }
    for (const Value& value : values) {
      if (auto binding = parse_binding(value.text)) {
        bindings_.push_back({std::move(*binding), {place_.file, value.line, {}, value.column}});
      } else {
        complain(value.line, value.column,
                 fmt::format("{} is not DRIVE:serial=..., DRIVE:wwn=... or DRIVE:path=...: this "
                             "target is dropped",
                             quote(value.text)));
      }
    }
    return {};
  }

  std::string set_arguments(const std::vector<Value>& values) {
    std::vector<std::string> arguments;
    for (const Value& value : values) {
      if (!accept_text(&arguments.emplace_back(), value.text, true, "x").empty()) {
        return "a list of printable arguments";
      }
    }
    options_.launch.arguments = std::move(arguments);
    return {};
  }

  std::string set_deny(const std::vector<Value>& values) {
    std::vector<std::string> modules;
    for (const auto& [value, line, column] : values) {
      const auto names = split_module_names(value);
      const bool sound = names.size() == 1 && std::all_of(value.begin(), value.end(), [](char c) {
                           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                  (c >= '0' && c <= '9') || c == '_' || c == '-';
                         });
      if (!sound) {
        return "a list of module names";
      }
      modules.push_back(names.front());
    }
    options_.deny = std::move(modules);
    return {};
  }

  const Key* find_key(std::string_view name) const {
    const auto key =
        std::find_if(keys_.begin(), keys_.end(), [&](const Key& k) { return k.name == name; });
    return key == keys_.end() ? nullptr : &*key;
  }

  // Optimal string alignment is not needed: one swapped pair counts two, and three is the limit.
  static std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) {
      row[j] = j;
    }
    for (std::size_t i = 1; i <= a.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= b.size(); ++j) {
        const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
      }
    }
    return row.back();
  }

  // `prefix`: "muster." where the key is written so.
  std::string unknown_key(std::string_view prefix, std::string_view name) const {
    const auto full = [&](std::string_view key) {
      return quote(std::string(prefix) + std::string(key));
    };
    const Key* best = nullptr;
    std::size_t best_distance = 4;
    for (const Key& key : keys_) {
      // "probe" for "deadlines.probe" is the commonest slip
      const bool tail = key.name.ends_with("." + std::string(name));
      const std::size_t distance = tail               ? 0
                                   : name.size() > 40 ? best_distance
                                                      : edit_distance(name, key.name);
      if (distance < best_distance && (tail || distance < key.name.size() / 2)) {
        best = &key;
        best_distance = distance;
      }
    }
    return best == nullptr
               ? fmt::format("unknown key {}", full(name))
               : fmt::format("unknown key {}; did you mean {}?", full(name), full(best->name));
  }

  void complain(int line, int column, std::string text) {
    (place_.file == kCommandLineName ? word_diagnostics_ : diagnostics_)
        .add(line, std::move(text), column);
  }

  // --- the file

  void read_file(std::string_view toml) {
    place_ = {file_, 0, {}, 0};
    if (toml.size() > kMaxFile) {
      complain(0, 0, "larger than 64 KiB: not read");
      return;
    }
    std::string text = without_long_lines(toml);
    for (int repair = 0;; ++repair) {
      std::string message;
      int line = 0;
      int column = 0;
      try {
        if (const auto foreign = foreign_character_in_toml(text); foreign != 0) {
          message = kForeignCharacter;
          line = static_cast<int>(foreign);
        } else {
          const toml::table table = toml::parse(text, file_);
          walk(table, {});
          return;
        }
      } catch (const toml::parse_error& error) {
        message = error.description();
        line = static_cast<int>(error.source().begin.line);
        column = static_cast<int>(error.source().begin.column);
      } catch (const std::exception& error) {
        message = error.what();
        line = first_line_that_throws(text);
      }
      const bool repairable = line > 0 && repair < kMaxRepairs && remove_line(&text, line);
      complain(line, column,
               fmt::format("{}; {}", one_line(message),
                           repairable ? "this line is left out" : "the file is not read"));
      if (!repairable) {
        return;
      }
    }
  }

  // For exceptions without a place. The parser goes through the text once from the front, so it
  // fails on every beginning that holds the line, and on no other in this way.
  static int first_line_that_throws(std::string_view text) {
    std::vector<std::size_t> ends;
    TextLines lines(text);
    while (const auto line = lines.next()) {
      ends.push_back(static_cast<std::size_t>(line->text.data() - text.data()) + line->text.size());
    }
    const auto throws = [&](std::size_t end) {
      try {
        static_cast<void>(toml::parse(text.substr(0, end)));
      } catch (const toml::parse_error&) {
        return false;
      } catch (const std::exception&) {
        return true;
      }
      return false;
    };
    const auto found = std::partition_point(ends.begin(), ends.end(),
                                            [&](std::size_t end) { return !throws(end); });
    return found == ends.end() ? 0 : static_cast<int>(found - ends.begin()) + 1;
  }

  std::string without_long_lines(std::string_view toml) {
    std::string text(toml);
    TextLines lines(toml);
    while (const auto line = lines.next()) {
      if (line->text.size() > kMaxLine) {
        complain(line->number, 0,
                 fmt::format("longer than {} characters; this line is left out", kMaxLine));
        std::fill_n(text.begin() + (line->text.data() - toml.data()), line->text.size(), ' ');
      }
    }
    return text;
  }

  // toml++ quotes the offending text in its messages.
  static std::string one_line(const std::string& message) {
    const std::string quoted = quote(message, 200);
    const bool harmless = quoted == "\"" + message + "\"";
    return harmless ? message : quoted;
  }

  // Blanks the line, so that the others keep their numbers. With a broken [header] goes all that
  // stands below it: those keys would otherwise land in the table before. false: there is nothing
  // left in that line to take away.
  static bool remove_line(std::string* text, int number) {
    std::size_t begin = 0;
    for (int i = 1; i < number; ++i) {
      begin = text->find('\n', begin);
      if (begin == std::string::npos) {
        return false;
      }
      ++begin;
    }
    std::size_t end = std::min(text->find('\n', begin), text->size());
    const std::size_t word = text->find_first_not_of(" \t\r", begin);
    if (word >= end) {
      return false;
    }
    if ((*text)[word] == '[') {
      while (end < text->size()) {
        const std::size_t next = text->find_first_not_of(" \t\r", end + 1);
        if (next == std::string::npos) {
          end = text->size();
          break;
        }
        if ((*text)[next] == '[') {
          break;
        }
        end = std::min(text->find('\n', next), text->size());
      }
    }
    std::replace_if(
        text->begin() + static_cast<std::ptrdiff_t>(begin),
        text->begin() + static_cast<std::ptrdiff_t>(end), [](char c) { return c != '\n'; }, ' ');
    return true;
  }

  void walk(const toml::table& table, const std::string& prefix) {
    for (const auto& [toml_key, node] : table) {
      const std::string name = prefix + std::string(toml_key.str());
      place_.line = static_cast<int>(toml_key.source().begin.line);
      place_.column = static_cast<int>(toml_key.source().begin.column);
      const bool is_section = name == "deadlines" || name == "launch";
      if (const toml::table* inner = node.as_table(); inner != nullptr && is_section) {
        walk(*inner, name + ".");
      } else if (const Key* key = find_key(name)) {
        take_node(*key, node);
      } else {
        complain(place_.line, place_.column,
                 is_section ? fmt::format("{} is a section: write [{}]", name, name)
                            : unknown_key("", name));
      }
    }
  }

  void take_node(const Key& key, const toml::node& node) {
    place_.line = static_cast<int>(node.source().begin.line);
    place_.column = static_cast<int>(node.source().begin.column);
    std::vector<Value> values;
    if (const auto* text = node.as_string()) {
      values.push_back({text->get(), place_.line, place_.column});
    } else if (const toml::array* array = node.as_array(); array != nullptr && key.list) {
      for (const toml::node& element : *array) {
        const auto* item = element.as_string();
        if (item == nullptr || values.size() == kMaxListEntries) {
          complain(static_cast<int>(element.source().begin.line),
                   static_cast<int>(element.source().begin.column),
                   fmt::format("{} is a list of strings in quotes: ignored", key.name));
          return;
        }
        values.push_back({item->get(), static_cast<int>(element.source().begin.line),
                          static_cast<int>(element.source().begin.column)});
      }
    } else {
      complain(place_.line, place_.column,
               fmt::format("{} is {}: ignored", key.name,
                           key.list ? "a list of strings in quotes" : "a string in quotes"));
      return;
    }
    apply(key, values);
  }

  bool apply(const Key& key, const std::vector<Value>& values) {
    const std::string expected = key.set(values);
    if (!expected.empty()) {
      complain(
          place_.line, place_.column,
          fmt::format("{}: {} is not {}: ignored", key.name,
                      values.size() == 1 ? quote(values.front().text) : "this list", expected));
    }
    return expected.empty();
  }

  // --- the command line

  void read_words() {
    place_ = {std::string(kCommandLineName), 1, {}, 0};
    std::map<std::string_view, std::vector<Value>> lists;
    for (const CommandLineWord& word : command_line_.muster) {
      const Key* key = find_key(word.key);
      if (key == nullptr) {
        complain(1, 0, unknown_key("muster.", word.key));
      } else if (!word.value) {
        complain(1, 0, fmt::format("muster.{} needs a value: ignored", key->name));
      } else if (key->list) {
        add_to_list(*key, *word.value, &lists[key->name]);
      } else if (key->name == "mode") {
        take_mode(*key, *word.value);
      } else {
        apply(*key, {{*word.value, 1, 0}});
      }
    }
    for (const Key& key : keys_) {
      if (const auto list = lists.find(key.name); list != lists.end()) {
        apply(key, list->second);
      }
    }
  }

  static void add_to_list(const Key& key, std::string_view value, std::vector<Value>* list) {
    const auto add = [&](std::string_view text) {
      if (list->size() < kMaxListEntries) {
        list->push_back({std::string(text), 1, 0});
      }
    };
    if (key.separators.empty()) {
      add(value);
      return;
    }
    while (!value.empty()) {
      const std::size_t end = std::min(value.find_first_of(key.separators), value.size());
      if (end > 0) {
        add(value.substr(0, end));
      }
      value.remove_prefix(std::min(end + 1, value.size()));
    }
  }

  // A word that nobody understands is a doubt as well: the file's nuke must not come through.
  void take_mode(const Key& key, const std::string& value) {
    const std::optional<Mode> before = options_.mode;
    const bool second = options_.mode_from_command_line;
    options_.mode_from_command_line = true;
    if (!apply(key, {{value, 1, 0}})) {
      options_.mode = Mode::interactive;
    } else if (second && before != options_.mode) {
      complain(
          1, 0,
          "muster.mode is given more than once, with different values: the mode is interactive");
      options_.mode = Mode::interactive;
    }
  }

  // --- bindings

  static std::string describe(const Binding& binding) {
    return quote(fmt::format("{}:{}={}", binding.drive, to_string(binding.kind), binding.value));
  }

  // Two of one drive, or one identity for two drives: nobody can know which was meant, so none of
  // them counts.
  void settle_bindings() {
    std::set<std::size_t> repeated;
    std::set<std::size_t> refused;
    const auto complain_at = [&](std::size_t i, std::string text) {
      place_ = bindings_[i].place;
      complain(place_.line, place_.column, std::move(text));
    };
    for (std::size_t i = 0; i < bindings_.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        const Binding& one = bindings_[j].binding;
        const Binding& other = bindings_[i].binding;
        const bool same_drive = one.drive == other.drive;
        const bool same = same_identity(one, other);
        if (same_drive && same) {
          repeated.insert(i);
        } else if (same_drive) {
          complain_at(i, fmt::format("drive {} is bound twice, by {} and by {}: both are refused",
                                     quote(one.drive), describe(one), describe(other)));
          refused.insert({i, j});
        } else if (same) {
          complain_at(i, fmt::format("{} and {} are one drive under two names: both are refused",
                                     describe(one), describe(other)));
          refused.insert({i, j});
        }
      }
    }
    for (std::size_t i = 0; i < bindings_.size(); ++i) {
      if (!repeated.contains(i) && !refused.contains(i)) {
        options_.targets.push_back(std::move(bindings_[i].binding));
      }
    }
  }

  std::string file_;
  const CommandLine& command_line_;
  Diagnostics diagnostics_;
  Diagnostics word_diagnostics_{std::string(kCommandLineName)};
  Options options_;
  std::vector<Key> keys_;
  TextDiagnostic place_;  // of what is being read
  std::vector<PlacedBinding> bindings_;
  std::string bindings_of_;
};

std::string plain_wwn(std::string_view text) {
  std::string lower;
  for (const char c : text) {
    lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  for (const std::string_view prefix : {"0x", "naa.", "eui."}) {
    if (lower.starts_with(prefix)) {
      return lower.substr(prefix.size());
    }
  }
  return lower;
}

}  // namespace

std::optional<Deadline> parse_deadline(std::string_view text) {
  if (text == "never") {
    return Deadline{};
  }
  struct Unit {
    std::string_view name;
    std::uint64_t milliseconds;
  };
  constexpr std::array<Unit, 4> kUnits{{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};
  constexpr std::uint64_t kYear = std::uint64_t{365} * 24 * 3'600'000;
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = whole_number(text.substr(0, digits));
  for (const Unit& unit : kUnits) {
    if (number && text.substr(digits) == unit.name && *number <= kYear / unit.milliseconds) {
      return Deadline(std::chrono::milliseconds(*number * unit.milliseconds));
    }
  }
  return std::nullopt;
}

std::string to_text(const Deadline& deadline) {
  if (!deadline) {
    return "never";
  }
  const auto count = deadline->count();
  if (count == 0) {
    return "0s";
  }
  if (count % 3'600'000 == 0) {
    return fmt::format("{}h", count / 3'600'000);
  }
  if (count % 60'000 == 0) {
    return fmt::format("{}m", count / 60'000);
  }
  return count % 1000 == 0 ? fmt::format("{}s", count / 1000) : fmt::format("{}ms", count);
}

std::string_view to_string(BindingKind kind) {
  switch (kind) {
    case BindingKind::serial:
      return "serial";
    case BindingKind::wwn:
      return "wwn";
    case BindingKind::path:
      return "path";
  }
  return "serial";
}

std::optional<Binding> parse_binding(std::string_view text) {
  constexpr std::string_view kDev = "/dev/";
  if (text.starts_with(kDev)) {
    text.remove_prefix(kDev.size());
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon > 60 || text.front() == '/') {
    return std::nullopt;
  }
  const std::string_view drive = text.substr(0, colon);
  const bool sound_drive = std::all_of(drive.begin(), drive.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '/';
  });
  text.remove_prefix(colon + 1);
  for (const BindingKind kind : {BindingKind::serial, BindingKind::wwn, BindingKind::path}) {
    const std::string_view name = to_string(kind);
    if (text.starts_with(name) && text.size() > name.size() && text[name.size()] == '=') {
      const std::string_view value = text.substr(name.size() + 1);
      const bool sound_value =
          !value.empty() && value.size() <= 256 && !is_space(value.front()) &&
          !is_space(value.back()) &&
          std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
      return sound_drive && sound_value
                 ? std::optional(Binding{std::string(drive), kind, std::string(value)})
                 : std::nullopt;
    }
  }
  return std::nullopt;
}

bool same_identity(const Binding& a, const Binding& b) {
  return a.kind == b.kind && (a.kind == BindingKind::wwn ? plain_wwn(a.value) == plain_wwn(b.value)
                                                         : a.value == b.value);
}

ParsedOptions parse_options(std::string_view toml, std::string_view file,
                            const CommandLine& command_line) {
  return Reader(file, command_line).read(toml);
}

Mode effective_mode(const Options& options, const CommandLine& command_line, std::string* why) {
  const auto refuse = [&](std::string text) {
    if (why != nullptr) {
      *why = std::move(text);
    }
    return Mode::interactive;
  };
  if (command_line.mode_refused) {
    return refuse("the words of the command line contradict each other");
  }
  if (!command_line.mode_given) {
    return options.mode.value_or(Mode::interactive);
  }
  if (options.mode_from_command_line && options.mode && *options.mode != command_line.mode) {
    return refuse(fmt::format("the command line asks for {} and, by muster.mode, for {}",
                              to_string(command_line.mode), to_string(*options.mode)));
  }
  return command_line.mode;
}

std::vector<std::string> launch_arguments(const Launch& launch, Mode mode) {
  constexpr std::string_view kPlace = "{mode}";
  std::vector<std::string> arguments = launch.arguments;
  for (std::string& argument : arguments) {
    for (std::size_t at = argument.find(kPlace); at != std::string::npos;
         at = argument.find(kPlace, at)) {
      argument.replace(at, kPlace.size(), to_string(mode));
      at += to_string(mode).size();
    }
  }
  return arguments;
}

std::vector<std::string_view> option_keys() {
  return Reader({}, CommandLine{}).key_names();
}

}  // namespace muster
