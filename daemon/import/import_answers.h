// What a log cannot tell, told by a person: a TOML file (IMPORT.md documents each key).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/event.h"
#include "daemon/result.h"

namespace muster::imports {

struct DeviceAnswer {
  int line = 0;
  bool used = false;
  std::optional<std::uint64_t> size;  // bytes
  bool holds_nothing = false;
  Properties properties;     // as udev would have them: ID_FS_TYPE ...
  Json md = Json::object();  // fields of md_superblock_json.h
};

struct MediumAnswer {
  int line = 0;
  bool used = false;
  std::string kind = "disc";  // or "directory", with the two below
  std::string directory;
  std::string prefix;
  std::string filesystem = "iso9660";
  Json found = Json::object();  // what "medium examine" finds
};

struct Answers {
  std::string name;  // of the file; empty: there is none
  Json facts = Json::object();
  std::map<std::string, DeviceAnswer> devices;              // "/dev/sdb"
  std::map<std::string, MediumAnswer> media;                // "/dev/sr0"
  std::vector<std::string> group_texts;                     // of volume groups
  std::map<std::string, std::vector<std::string>> aliases;  // to modules
  std::set<std::string> missing_modules;
};

// The text of a file that the answers name, by the path that stands there.
using ReadFile = std::function<Result<std::string>(const std::string& path)>;

// Errors: "NAME: line N: WHY"; an unknown key is one.
[[nodiscard]] Result<Answers> read_answers(std::string_view name, std::string_view text,
                                           const ReadFile& read_file);

}  // namespace muster::imports
