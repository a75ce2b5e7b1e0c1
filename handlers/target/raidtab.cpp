#include "handlers/target/raidtab.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "daemon/quote.h"
#include "daemon/text_lines.h"
#include "handlers/md/raid_level.h"

namespace muster::target {

namespace {

// mondorestore's arrays have these sizes, and nothing looks whether they are kept.
constexpr std::size_t kMaxArrays = 32;
constexpr std::size_t kMaxMembers = 32;
constexpr std::size_t kMaxLine = 379;

struct LabelledLine {
  std::string_view label;
  std::string_view value;
  int line = 0;
};

std::optional<RaidRole> role_from(std::string_view label) {
  constexpr std::array<std::pair<std::string_view, RaidRole>, 4> kRoles{
      {{"raid-disk", RaidRole::data},
       {"spare-disk", RaidRole::spare},
       {"parity-disk", RaidRole::parity},
       {"failed-disk", RaidRole::failed}}};
  for (const auto& [name, role] : kRoles) {
    if (name == label) {
      return role;
    }
  }
  return std::nullopt;
}

std::optional<unsigned> small_number(std::string_view text) {
  const auto number = whole_number(text);
  return number && *number <= 0x7fffffff ? std::optional(static_cast<unsigned>(*number))
                                         : std::nullopt;
}

std::optional<unsigned> number_of(std::string_view device) {
  for (const std::string_view prefix : {"/dev/md/", "/dev/md"}) {
    if (device.starts_with(prefix)) {
      const auto number = small_number(device.substr(prefix.size()));
      if (number && *number < (1U << 20)) {
        return number;
      }
    }
  }
  return std::nullopt;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') {
    text.remove_prefix(1);
  }
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') {
    text.remove_suffix(1);
  }
  return text;
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view file)
      : text_(text), lines_(text), diagnostics_(std::string(file)) {}

  Raidtab read() {
    if (text_.size() >= 5) {
      read_arrays();
    }
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

  std::optional<LabelledLine> next() {
    while (const auto line = lines_.next()) {
      std::string_view text = trim(line->text.substr(0, line->text.find('\0')));
      const std::size_t blank = std::min(text.find(' '), text.find('\t'));
      const bool counts = text.size() >= 3 && text.front() != '#';
      if (!line->terminated) {
        if (counts) {
          misread(line->number,
                  fmt::format("the newline at the end is missing, so mondorestore does not see {}",
                              quote(text)));
        }
        return std::nullopt;
      }
      if (!counts) {
        continue;
      }
      if (blank == std::string_view::npos) {
        diagnostics_.add(line->number, fmt::format("{} has no value: ignored", quote(text)));
        continue;
      }
      if (line->text.find('\0') != std::string_view::npos) {
        misread(line->number, "contains a NUL byte; mondorestore reads up to there");
      }
      if (text.size() > kMaxLine) {
        misread(line->number,
                fmt::format(
                    "longer than {} characters, which mondorestore has no room for; left out: {}",
                    kMaxLine, quote(text)));
        continue;
      }
      return LabelledLine{text.substr(0, blank), trim(text.substr(blank)), line->number};
    }
    return std::nullopt;
  }

  void read_arrays() {
    auto line = next();
    for (; line && line->label != "raiddev"; line = next()) {
      diagnostics_.add(line->line,
                       fmt::format("{} before the first raiddev: ignored", quote(line->label)));
    }
    while (line) {
      if (result_.arrays.size() == kMaxArrays) {
        misread(line->line,
                fmt::format("mondorestore has no room for more than {} arrays", kMaxArrays));
        return;
      }
      begin_array(*line);
      for (line = next(); line && line->label != "raiddev"; line = next()) {
        take(*line);
      }
      end_array();
    }
  }

  RaidtabArray& array() { return result_.arrays.back(); }

  void begin_array(const LabelledLine& line) {
    for (const RaidtabArray& known : result_.arrays) {
      if (known.device == line.value) {
        misread(line.line,
                fmt::format("{} is there already in line {}", quote(line.value), known.line));
      }
    }
    RaidtabArray made;
    made.device = line.value;
    made.number = number_of(line.value);
    made.line = line.line;
    if (!made.number) {
      diagnostics_.add(line.line, fmt::format("{} is not an array /dev/mdN", quote(line.value)));
    }
    result_.arrays.push_back(std::move(made));
  }

  void take(const LabelledLine& line) {
    if (line.label == "raid-level") {
      take_level(line);
    } else if (line.label == "nr-raid-disks") {
      take_number(line, &array().disks);
    } else if (line.label == "chunk-size") {
      take_number(line, &array().chunk_kib);
    } else if (line.label == "persistent-superblock") {
      array().persistent_superblock = leading_number(line.value) != 0;
    } else if (line.label == "parity-algorithm") {
      array().parity_algorithm = line.value;
    } else if (line.label == "device") {
      take_device(line);
    } else if (role_from(line.label)) {
      misread(line.line,
              fmt::format("{} without a device line before it: ignored", quote(line.label)));
    } else if (line.label != "nr-spare-disks" && line.label != "nr-parity-disks" &&
               line.label != "nr-failed-disks") {
      diagnostics_.add(line.line, fmt::format("unknown word {}", quote(line.label)));
    }
  }

  void take_level(const LabelledLine& line) {
    if (line.value == "linear") {
      array().level = md::kLevelLinear;
    } else if (line.value == "multipath") {
      array().level = kRaidLevelMultipath;
    } else if (const auto level = small_number(line.value)) {
      array().level = static_cast<int>(*level);
    } else {
      misread(line.line, fmt::format("{} is not a RAID level; mondorestore takes {}",
                                     quote(line.value), leading_number(line.value)));
    }
  }

  void take_number(const LabelledLine& line, std::optional<unsigned>* field) {
    *field = small_number(line.value);
    if (!*field) {
      diagnostics_.add(line.line,
                       fmt::format("{} is not a number: {}", quote(line.label), quote(line.value)));
    }
  }

  // The very next line belongs to it, whatever it says.
  void take_device(const LabelledLine& line) {
    const auto second = next();
    const auto role = second ? role_from(second->label) : std::nullopt;
    if (!role) {
      misread(line.line,
              second
                  ? fmt::format(
                        "device {} is followed by {}, not by its role: mondorestore ignores both",
                        quote(line.value), quote(second->label))
                  : fmt::format("device {} has no role", quote(line.value)));
      return;
    }
    const auto index = small_number(second->value);
    if (!index) {
      misread(second->line,
              fmt::format("{} is not a number: {}", quote(second->label), quote(second->value)));
    }
    auto& members = array().members;
    if (std::count_if(members.begin(), members.end(), [&](const RaidtabMember& m) {
          return m.role == *role;
        }) >= static_cast<std::ptrdiff_t>(kMaxMembers)) {
      misread(line.line,
              fmt::format("mondorestore has no room for more than {} members; {} is left out",
                          kMaxMembers, quote(line.value)));
      return;
    }
    for (const RaidtabArray& other : result_.arrays) {
      for (const RaidtabMember& member : other.members) {
        if (member.device == line.value) {
          misread(line.line, fmt::format("{} is a member already, in line {}", quote(line.value),
                                         member.line));
        }
      }
    }
    members.push_back(
        {std::string(line.value), *role, static_cast<int>(index.value_or(0)), line.line});
  }

  void end_array() {
    const RaidtabArray& made = array();
    const auto count = static_cast<std::size_t>(
        std::count_if(made.members.begin(), made.members.end(),
                      [](const RaidtabMember& m) { return m.role == RaidRole::data; }));
    if (made.disks && *made.disks != count) {
      diagnostics_.add(made.line, fmt::format("{} is said to have {} disks, but {} are listed",
                                              quote(made.device), *made.disks, count));
    }
    if (!made.level) {
      diagnostics_.add(made.line, fmt::format("{} has no RAID level", quote(made.device)));
    }
  }

  std::string_view text_;
  TextLines lines_;
  Diagnostics diagnostics_;
  Raidtab result_;
};

}  // namespace

Raidtab parse_raidtab(std::string_view text, std::string_view file) {
  return Reader(text, file).read();
}

}  // namespace muster::target
