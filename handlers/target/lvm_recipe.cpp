#include "handlers/target/lvm_recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "daemon/quote.h"
#include "daemon/text_lines.h"

namespace muster::target {

namespace {

constexpr std::size_t kMaxCommands = 1000;
constexpr std::size_t kMaxCommandLength = 16384;
constexpr std::size_t kMaxPvs = 10000;
constexpr std::size_t kMaxWords = 2048;

// Words of one simple command. Quotes are taken off; there is no expansion, and none is expected.
using Words = std::vector<std::string>;

std::vector<Words> split_shell(std::string_view text) {
  std::vector<Words> commands(1);
  std::optional<std::string> word;
  char quote_mark = 0;
  const auto end_word = [&] {
    if (word) {
      commands.back().push_back(std::move(*word));
    }
    word.reset();
  };
  for (const char c : text) {
    if (commands.back().size() > kMaxWords) {
      break;
    }
    if (quote_mark != 0) {
      if (c == quote_mark) {
        quote_mark = 0;
      } else {
        word->push_back(c);
      }
    } else if (c == '\'' || c == '"') {
      quote_mark = c;
      word = word.value_or("");
    } else if (c == '|' || c == ';' || c == '&') {
      end_word();
      if (!commands.back().empty()) {
        commands.emplace_back();
      }
    } else if (is_space(c)) {
      end_word();
    } else {
      word = word.value_or("");
      word->push_back(c);
    }
  }
  end_word();
  return commands;
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

// The options of these verbs with an argument of their own behind a blank.
bool takes_argument(std::string_view verb, std::string_view option) {
  if (option.starts_with("--")) {
    constexpr std::array<std::string_view, 12> kLong{
        "--size",    "--extents",      "--name",
        "--stripes", "--stripesize",   "--physicalextentsize",
        "--type",    "--mirrors",      "--maxlogicalvolumes",
        "--addtag",  "--metadatasize", "--maxphysicalvolumes"};
    return std::find(kLong.begin(), kLong.end(), option) != kLong.end();
  }
  // Of one letter all others have one; -s is a snapshot for lvcreate and an extent size for
  // vgcreate.
  const std::string_view flags = verb == "lvcreate" ? "dfhqstvyTH" : "dfhqtvy";
  return option.size() == 2 && flags.find(option[1]) == std::string_view::npos;
}

struct Arguments {
  std::vector<std::string> positional;
  std::string name;  // -n, --name
};

Arguments read_arguments(std::string_view verb, const Words& words, std::size_t from) {
  Arguments out;
  for (std::size_t i = from; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() < 2 || word[0] != '-') {
      out.positional.push_back(word);
    } else if (word.starts_with("--name=")) {
      out.name = word.substr(std::string_view("--name=").size());
    } else if (word.starts_with("-n") && word.size() > 2) {
      out.name = word.substr(2);
    } else if (takes_argument(verb, word) && i + 1 < words.size()) {
      ++i;
      if (word == "-n" || word == "--name") {
        out.name = words[i];
      }
    }
  }
  return out;
}

std::string vg_name(std::string_view text) {
  constexpr std::string_view kDev = "/dev/";
  if (text.starts_with(kDev)) {
    text.remove_prefix(kDev.size());
  }
  return std::string(text.substr(0, text.find('/')));
}

// mondorestore cuts bytes below 32 off the end, not blanks.
std::string_view cut_end(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.back()) < 32) {
    text.remove_suffix(1);
  }
  return text;
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view file)
      : lines_(text), diagnostics_(std::string(file)) {}

  LvmRecipe read() {
    auto line = next_line();
    while (line) {
      line = take(*line);
    }
    check();
    result_.diagnostics = diagnostics_.take();
    return std::move(result_);
  }

 private:
  void misread(int line, std::string text) {
    if (std::exchange(result_.as_written, false)) {
      result_.misread_line = line;
    }
    diagnostics_.add(line, std::move(text));
  }

  // Up to and without a last line that has no newline: mondorestore does not see it.
  std::optional<TextLine> next_line() {
    auto line = lines_.next();
    if (line && !line->terminated) {
      if (line->text.starts_with('#')) {
        misread(line->number,
                fmt::format("the newline at the end is missing, so mondorestore does not run {}",
                            quote(line->text)));
      }
      return std::nullopt;
    }
    return line;
  }

  // Returns the next line to look at.
  std::optional<TextLine> take(const TextLine& first) {
    std::string_view text = first.text;
    if (text.starts_with(">>>>>")) {
      for (const std::string_view word : split_words(text.substr(5), kMaxWords)) {
        add_pv(std::string(word));
      }
      return next_line();
    }
    if (!text.starts_with('#')) {
      return next_line();
    }
    bool too_long = text.size() > kMaxCommandLength;
    std::string command(text.substr(0, kMaxCommandLength));
    auto line = next_line();
    if (text.find("vgcreate") != std::string_view::npos) {
      for (; line && !line->text.starts_with('#'); line = next_line()) {
        const std::string_view more = line->text.substr(0, kMaxCommandLength + 1);
        if (!split_words(more, 1).empty() && !split_words(more, 1)[0].starts_with("/dev/")) {
          misread(line->number,
                  fmt::format("mondorestore takes this line as part of the vgcreate in line {}: {}",
                              first.number, quote(line->text)));
        }
        too_long = too_long || command.size() + more.size() >= kMaxCommandLength;
        if (!too_long) {
          command += ' ';
          command += more;
        }
      }
      std::replace_if(
          command.begin(), command.end(), [](char c) { return static_cast<unsigned char>(c) < 32; },
          ' ');
    }
    finish_command(command, first.number, too_long);
    return line;
  }

  void finish_command(std::string_view text, int line, bool too_long) {
    text.remove_prefix(1);
    while (text.starts_with(' ')) {
      text.remove_prefix(1);
    }
    text = cut_end(text);
    if (text.empty()) {
      return;
    }
    if (too_long || text.find('\0') != std::string_view::npos) {
      misread(line, fmt::format("no command that a shell could run: {}", quote(text)));
      return;
    }
    if (result_.commands.size() == kMaxCommands) {
      misread(line, fmt::format("more than {} commands; this one and all others are left out",
                                kMaxCommands));
    }
    if (result_.commands.size() >= kMaxCommands) {
      return;
    }
    result_.commands.push_back({std::string(text), line});
    for (const Words& words : split_shell(text)) {
      interpret(words, line);
    }
  }

  void interpret(const Words& words, int line) {
    std::size_t at = 0;
    if (at < words.size() && base_name(words[at]) == "lvm") {
      ++at;
    }
    if (at == words.size()) {
      return;
    }
    const std::string_view verb = base_name(words[at]);
    const Arguments arguments = read_arguments(verb, words, at + 1);
    if (verb == "pvcreate") {
      for (const std::string& pv : arguments.positional) {
        add_pv(pv);
      }
    } else if (verb == "vgcreate" || verb == "vgextend") {
      take_vg(verb, arguments, line);
    } else if (verb == "lvcreate") {
      take_lv(arguments, line);
    }
  }

  void take_vg(std::string_view verb, const Arguments& arguments, int line) {
    if (arguments.positional.empty()) {
      diagnostics_.add(line, fmt::format("{} without the name of a volume group", verb));
      return;
    }
    const std::string name = vg_name(arguments.positional.front());
    RecipeVg* vg = find_vg(name);
    if (verb == "vgcreate" && vg != nullptr) {
      diagnostics_.add(line,
                       fmt::format("volume group {} is created a second time, first in line {}",
                                   quote(name), vg->line));
    } else if (verb == "vgextend" && vg == nullptr) {
      diagnostics_.add(
          line, fmt::format("volume group {} is extended, but not created before", quote(name)));
    }
    if (vg == nullptr) {
      result_.vgs.push_back({name, {}, line});
      vg = &result_.vgs.back();
    }
    for (std::size_t i = 1; i < arguments.positional.size(); ++i) {
      const std::string& pv = arguments.positional[i];
      if (vg_pvs_.emplace(name, pv).second) {
        vg->pvs.push_back(pv);
      }
      add_pv(pv);
    }
  }

  void take_lv(const Arguments& arguments, int line) {
    if (arguments.positional.empty()) {
      diagnostics_.add(line, "lvcreate without the name of a volume group");
    } else if (arguments.name.empty()) {
      diagnostics_.add(line, fmt::format("lvcreate in {} without a name for the volume",
                                         quote(arguments.positional.front())));
    } else {
      const std::string vg = vg_name(arguments.positional.front());
      if (find_vg(vg) == nullptr) {
        diagnostics_.add(line, fmt::format("volume {} lies in {}, which is not created before",
                                           quote(arguments.name), quote(vg)));
      }
      result_.lvs.push_back({vg, std::string(base_name(arguments.name)), line});
    }
  }

  void check() {
    for (const RecipeVg& vg : result_.vgs) {
      if (vg.pvs.empty()) {
        diagnostics_.add(vg.line,
                         fmt::format("volume group {} has no physical volume", quote(vg.name)));
      }
    }
    std::map<std::string_view, const RecipeVg*> owners;
    for (const RecipeVg& vg : result_.vgs) {
      for (const std::string& pv : vg.pvs) {
        const auto [owner, is_new] = owners.try_emplace(pv, &vg);
        if (!is_new) {
          diagnostics_.add(vg.line, fmt::format("{} is in {} and in {}", quote(pv),
                                                quote(owner->second->name), quote(vg.name)));
        }
      }
    }
  }

  RecipeVg* find_vg(std::string_view name) {
    const auto vg = std::find_if(result_.vgs.begin(), result_.vgs.end(),
                                 [&](const RecipeVg& v) { return v.name == name; });
    return vg == result_.vgs.end() ? nullptr : &*vg;
  }

  void add_pv(const std::string& pv) {
    if (result_.pvs.size() < kMaxPvs && pvs_.insert(pv).second) {
      result_.pvs.push_back(pv);
    }
  }

  TextLines lines_;
  Diagnostics diagnostics_;
  LvmRecipe result_;
  std::set<std::string> pvs_;                             // seen
  std::set<std::pair<std::string, std::string>> vg_pvs_;  // seen
};

}  // namespace

LvmRecipe parse_lvm_recipe(std::string_view text, std::string_view file) {
  return Reader(text, file).read();
}

}  // namespace muster::target
