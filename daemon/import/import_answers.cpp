#include "daemon/import/import_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <stdexcept>

#include "daemon/import/device_log.h"
#include "daemon/import/storage_seen.h"
#include "daemon/quote.h"
#include "daemon/root.h"
#include "daemon/text_lines.h"
#include "daemon/toml.h"
#include "handlers/lvm/lvm_metadata.h"

namespace muster::imports {
namespace {

constexpr std::size_t kMaxAnswers = std::size_t{1024} * 1024;
// Each dot of a key is one more table inside another, and they are taken down recursively.
constexpr std::size_t kMaxAnswersLine = 4000;

// Unwinds to read_answers(); never leaves this file.
struct Wrong {
  int line;
  std::string why;
};

int line_of(const toml::node& node) {
  return static_cast<int>(node.source().begin.line);
}

// A text that a journal can carry; line breaks stay.
std::string clean(std::string_view text) {
  std::string result;
  TextLines lines(text);
  while (const auto line = lines.next()) {
    result += valid_text(line->text, false);
    result += line->terminated ? "\n" : "";
  }
  return result;
}

class Reader {
 public:
  explicit Reader(const ReadFile& read_file) : read_file_(read_file) {}

  Answers read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      const std::string_view name = key.str();
      const toml::table& table = table_of(node, name);
      if (name == "facts") {
        facts(table);
      } else if (name == "modules") {
        modules(table);
      } else if (name == "device" || name == "medium" || name == "volume_group" ||
                 name == "alias") {
        for (const auto& [of, inner] : table) {
          each(name, std::string(of.str()), table_of(inner, of.str()));
        }
      } else {
        unknown(name, node, "facts, device, medium, volume_group, alias, modules");
      }
    }
    return std::move(answers_);
  }

 private:
  [[noreturn]] static void unknown(std::string_view name, const toml::node& node,
                                   std::string_view known) {
    throw Wrong{line_of(node), fmt::format("unknown key {}; known here: {}", quote(name), known)};
  }

  static const toml::table& table_of(const toml::node& node, std::string_view name) {
    const auto* table = node.as_table();
    if (table == nullptr) {
      throw Wrong{line_of(node), fmt::format("{} is a table", quote(name))};
    }
    return *table;
  }

  static std::string text_of(const toml::node& node, std::string_view name) {
    const auto* text = node.as_string();
    if (text == nullptr) {
      throw Wrong{line_of(node), fmt::format("{} is a text", quote(name))};
    }
    return clean(text->get());
  }

  static bool flag_of(const toml::node& node, std::string_view name) {
    const auto* flag = node.as_boolean();
    if (flag == nullptr) {
      throw Wrong{line_of(node), fmt::format("{} is true or false", quote(name))};
    }
    return flag->get();
  }

  static std::uint64_t number_of(const toml::node& node, std::string_view name) {
    const auto* number = node.as_integer();
    if (number == nullptr || number->get() < 0) {
      throw Wrong{line_of(node), fmt::format("{} is a whole number, not below 0", quote(name))};
    }
    return static_cast<std::uint64_t>(number->get());
  }

  // A text, or {file = "PATH"}.
  std::string text_or_file(const toml::node& node, std::string_view name) {
    const auto* table = node.as_table();
    if (table == nullptr) {
      return text_of(node, name);
    }
    if (table->size() != 1 || table->begin()->first.str() != "file") {
      throw Wrong{line_of(node), fmt::format("{} is a text, or {{file = \"PATH\"}}", quote(name))};
    }
    auto text = read_file_(text_of(table->begin()->second, "file"));
    if (!text) {
      throw Wrong{line_of(node), text.error().text};
    }
    return clean(*text);
  }

  static std::vector<std::string> names_of(const toml::node& node, std::string_view name) {
    const auto* array = node.as_array();
    if (array == nullptr) {
      throw Wrong{line_of(node), fmt::format("{} is a list of texts", quote(name))};
    }
    std::vector<std::string> names;
    for (const auto& each : *array) {
      names.push_back(text_of(each, name));
    }
    return names;
  }

  void facts(const toml::table& table) {
    constexpr std::array<std::string_view, 7> kKeys = {
        "command_line",  "kernel",        "muster.toml", "mondo-restore.cfg",
        "mountlist.txt", "i-want-my-lvm", "raidtab"};
    for (const auto& [key, node] : table) {
      if (std::find(kKeys.begin(), kKeys.end(), key.str()) == kKeys.end()) {
        unknown(key.str(), node, fmt::format("{}", fmt::join(kKeys, ", ")));
      }
      answers_.facts[std::string(key.str())] = text_or_file(node, key.str());
    }
  }

  void modules(const toml::table& table) {
    for (const auto& [key, node] : table) {
      if (key.str() != "missing") {
        unknown(key.str(), node, "missing");
      }
      for (auto& name : names_of(node, "missing")) {
        answers_.missing_modules.insert(std::move(name));
      }
    }
  }

  void each(std::string_view kind, const std::string& of, const toml::table& table) {
    if (kind == "device") {
      device(of, table);
    } else if (kind == "medium") {
      medium(of, table);
    } else if (kind == "volume_group") {
      volume_group(of, table);
    } else {
      for (const auto& [key, node] : table) {
        if (key.str() != "modules") {
          unknown(key.str(), node, "modules");
        }
        answers_.aliases[of] = names_of(node, "modules");
      }
    }
  }

  void device(const std::string& of, const toml::table& table) {
    DeviceAnswer& answer = answers_.devices[of];
    answer.line = line_of(table);
    for (const auto& [key, node] : table) {
      const std::string_view name = key.str();
      if (name == "size") {
        answer.size = number_of(node, name);
      } else if (name == "holds") {
        if (text_of(node, name) != "nothing") {
          throw Wrong{line_of(node), R"("holds" is "nothing"; for all else there is "properties")"};
        }
        answer.holds_nothing = true;
      } else if (name == "properties") {
        for (const auto& [property, value] : table_of(node, name)) {
          answer.properties[std::string(property.str())] = text_of(value, property.str());
        }
      } else if (name == "md") {
        md(table_of(node, name), answer.md);
      } else {
        unknown(name, node, "size, holds, properties, md");
      }
    }
  }

  static void md(const toml::table& table, Json& answer) {
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      if (name == "uuid" || name == "device_uuid") {
        const auto uuid = md_uuid_from(text_of(node, name));
        if (uuid.empty()) {
          throw Wrong{line_of(node), fmt::format("{} is a UUID, as mdadm prints it", quote(name))};
        }
        answer[name] = uuid;
      } else if (name == "level") {
        const auto level = level_from(text_of(node, name));
        if (!level) {
          throw Wrong{line_of(node), R"("level" is one such as "raid5" or "linear")"};
        }
        answer[name] = *level;
      } else if (name == "slot") {
        answer["role"] = number_of(node, name);
        answer["role_kind"] = "active";
      } else if (name == "spare") {
        if (flag_of(node, name)) {
          answer["role"] = -1;
          answer["role_kind"] = "spare";
        }
      } else if (name == "raid_disks" || name == "events" || name == "chunk" || name == "layout") {
        answer[name] = number_of(node, name);
      } else if (name == "name" || name == "version") {
        answer[name] = text_of(node, name);
      } else if (name == "clean") {
        answer[name] = flag_of(node, name);
      } else if (name == "missing_slots") {
        Json slots = Json::array();
        const auto* list = node.as_array();
        if (list == nullptr) {
          throw Wrong{line_of(node), R"("missing_slots" is a list of numbers)"};
        }
        for (const auto& slot : *list) {
          slots.push_back(number_of(slot, name));
        }
        answer[name] = std::move(slots);
      } else {
        unknown(name, node,
                "uuid, device_uuid, version, name, level, layout, chunk, raid_disks, slot, spare, "
                "missing_slots, events, clean");
      }
    }
  }

  void medium(const std::string& of, const toml::table& table) {
    MediumAnswer& answer = answers_.media[of];
    answer.line = line_of(table);
    answer.found = {{"archives", true},
                    {"number", ""},
                    {"serial", ""},
                    {"not_the_last", false},
                    {"files", Json::object()}};
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      if (name == "archives" || name == "not_the_last") {
        answer.found[name] = flag_of(node, name);
      } else if (name == "number" || name == "serial" || name == "iso" || name == "why") {
        answer.found[name] = text_of(node, name);
      } else if (name == "filesystem") {
        answer.filesystem = text_of(node, name);
      } else if (name == "directory") {
        answer.kind = "directory";
        answer.directory = text_of(node, name);
      } else if (name == "prefix") {
        answer.prefix = text_of(node, name);
      } else if (name == "files") {
        for (const auto& [file, value] : table_of(node, name)) {
          answer.found["files"][std::string(file.str())] = text_or_file(value, file.str());
        }
      } else {
        unknown(name, node,
                "archives, number, serial, not_the_last, files, iso, why, filesystem, directory, "
                "prefix");
      }
    }
  }

  void volume_group(const std::string& of, const toml::table& table) {
    for (const auto& [key, node] : table) {
      if (key.str() != "metadata") {
        unknown(key.str(), node, "metadata");
      }
      auto text = text_or_file(node, "metadata");
      const auto group = lvm::parse_volume_group(text);
      if (!group) {
        throw Wrong{line_of(node), "metadata: " + group.error().text};
      }
      if (group->name != of) {
        throw Wrong{line_of(node), fmt::format("metadata of volume group {}, not {}",
                                               quote(group->name), quote(of))};
      }
      answers_.group_texts.push_back(std::move(text));
    }
  }

  const ReadFile& read_file_;
  Answers answers_;
};

}  // namespace

Result<Answers> read_answers(std::string_view name, std::string_view text,
                             const ReadFile& read_file) {
  if (text.size() > kMaxAnswers) {
    return fail(Errc::unsupported, fmt::format("{}: larger than {} KiB", name, kMaxAnswers / 1024));
  }
  TextLines lines(text);
  while (const auto line = lines.next()) {
    if (line->text.size() > kMaxAnswersLine) {
      return fail_at(name, static_cast<std::size_t>(line->number),
                     fmt::format("longer than {} characters", kMaxAnswersLine));
    }
  }
  if (const auto line = foreign_character_in_toml(text); line != 0) {
    return fail_at(name, line, std::string(kForeignCharacter));
  }
  try {
    auto answers = Reader(read_file).read(toml::parse(text, std::string(name)));
    answers.name = name;
    return answers;
  } catch (const Wrong& wrong) {
    return fail_at(name, static_cast<std::size_t>(wrong.line), wrong.why);
  } catch (const toml::parse_error& error) {
    return fail_at(name, error.source().begin.line, valid_text(error.description(), false));
  } catch (const std::exception& error) {
    return fail(Errc::invalid, fmt::format("{}: {}", name, valid_text(error.what(), false)));
  }
}

}  // namespace muster::imports
