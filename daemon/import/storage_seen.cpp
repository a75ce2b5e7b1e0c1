#include "daemon/import/storage_seen.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "daemon/quote.h"
#include "daemon/root.h"
#include "daemon/text_lines.h"
#include "handlers/lvm/lvm_metadata.h"

namespace muster::imports {
namespace {

constexpr std::size_t kMaxEntries = 20'000;
constexpr std::size_t kMaxSlots = 4096;  // as md_superblock_json.h

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && is_space(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

std::optional<std::uint64_t> first_number(std::string_view text) {
  text = trimmed(text);
  return whole_number(text.substr(0, std::min(text.find_first_not_of("0123456789"), text.size())));
}

std::string_view first_word(std::string_view text) {
  text = trimmed(text);
  return text.substr(0, std::min(text.find_first_of(" \t"), text.size()));
}

std::string kernel_name(std::string_view device) {
  return std::string(device.substr(device.rfind('/') + 1));
}

// "64K", "512 K" -> bytes
std::optional<std::uint64_t> chunk_from(std::string_view text) {
  const auto number = first_number(text);
  const auto unit = trimmed(trimmed(text).substr(
      std::min(trimmed(text).find_first_not_of("0123456789"), trimmed(text).size())));
  if (!number || *number > (std::uint64_t{1} << 40)) {
    return std::nullopt;
  }
  return unit.starts_with('K')   ? std::optional(*number * 1024)
         : unit.starts_with('M') ? std::optional(*number * 1024 * 1024)
                                 : std::nullopt;
}

std::optional<std::uint64_t> sectors_of_kib(std::string_view text) {
  const auto kib = first_number(text);
  return kib && *kib < (std::uint64_t{1} << 53) ? std::optional(*kib * 2) : std::nullopt;
}

void split_name(const std::string& full, Json& superblock) {
  const auto colon = full.find(':');
  superblock["full_name"] = full;
  superblock["name"] = colon == std::string::npos ? full : full.substr(colon + 1);
  if (colon != std::string::npos) {
    superblock["home_host"] = full.substr(0, colon);
  }
}

// One device's section of mdadm's output, "KEY : VALUE" and tables.
struct Section {
  std::string device;
  std::vector<std::pair<std::string, std::string>> pairs;
  std::vector<std::vector<std::string>> rows;  // of the table of members
  [[nodiscard]] std::string get(std::string_view key) const {
    const auto it = std::find_if(pairs.begin(), pairs.end(),
                                 [&](const auto& pair) { return pair.first == key; });
    return it == pairs.end() ? std::string() : it->second;
  }
};

std::vector<Section> sections_of(std::string_view text) {
  std::vector<Section> sections;
  TextLines lines(text);
  while (const auto line = lines.next()) {
    if (line->text.starts_with("/dev/") && line->text.ends_with(':')) {
      if (sections.size() == kMaxEntries) {
        break;
      }
      sections.push_back({valid_text(line->text.substr(0, line->text.size() - 1), false), {}, {}});
      continue;
    }
    if (sections.empty()) {
      continue;
    }
    Section& section = sections.back();
    const auto here = trimmed(line->text);
    if (const auto colon = line->text.find(" : "); colon != std::string_view::npos) {
      if (section.pairs.size() < kMaxEntries) {
        section.pairs.emplace_back(valid_text(trimmed(line->text.substr(0, colon)), false),
                                   valid_text(trimmed(line->text.substr(colon + 3)), false));
      }
      continue;
    }
    const auto words = split_words(here, 12);
    if (words.size() >= 5 && section.rows.size() < kMaxEntries) {
      auto& row = section.rows.emplace_back();
      for (const auto word : words) {
        row.push_back(valid_text(word, false));
      }
    }
  }
  return sections;
}

void read_detail(const Section& section, StorageSeen& seen) {
  ArraySeen array;
  const auto uuid_text = section.get("UUID");
  array.uuid = md_uuid_from(first_word(uuid_text));
  array.version = section.get("Version");
  const auto name_text = section.get("Name");
  array.full_name = std::string(first_word(name_text));
  array.level = level_from(section.get("Raid Level"));
  array.events = first_number(section.get("Events"));
  // 0.90 counts in halves: "0.42" is 42.
  if (const auto events = section.get("Events"); events.starts_with("0.")) {
    array.events = first_number(std::string_view(events).substr(2));
  }
  if (const auto disks = first_number(section.get("Raid Devices")); disks && *disks < kMaxSlots) {
    array.raid_disks = static_cast<std::uint32_t>(*disks);
  }
  if (array.level) {
    array.layout = layout_from(section.get("Layout"), *array.level);
  }
  array.chunk_bytes = chunk_from(section.get("Chunk Size"));
  if (!array.chunk_bytes) {
    array.chunk_bytes = chunk_from(section.get("Rounding"));
  }
  array.array_sectors = sectors_of_kib(section.get("Array Size"));
  array.used_sectors = sectors_of_kib(section.get("Used Dev Size"));
  array.state = section.get("State");
  array.runs = !array.state.empty() && array.state.find("Not Started") == std::string::npos &&
               array.state != "inactive";
  for (const auto& row : section.rows) {
    // Number Major Minor RaidDevice State... /dev/sdX
    if (!row.back().starts_with("/dev/") || row.size() < 6) {
      continue;
    }
    ArraySeen::Member member;
    if (const auto slot = whole_number(row[3]); slot && *slot < 4096) {
      member.slot = static_cast<std::uint32_t>(*slot);
    }
    for (std::size_t i = 4; i + 1 < row.size(); ++i) {
      member.state += (i > 4 ? " " : "") + row[i];
    }
    array.members.insert_or_assign(row.back(), std::move(member));
  }
  if (!array.uuid.empty() && array.level) {
    seen.arrays.insert_or_assign(section.device, std::move(array));
  }
}

// Why this is mdadm's business, in the words of md_superblock.h; empty if nothing shows.
std::string unusual_in(const Section& section) {
  if (!section.get("Reshape pos'n").empty()) {
    return "a reshape is under way";
  }
  if (!section.get("Journal").empty() || section.get("Device Role") == "Journal") {
    return "has a write journal";
  }
  if (!section.get("PPL").empty()) {
    return "has a partial parity log";
  }
  if (!section.get("Recovery Offset").empty()) {
    return "this device is being rebuilt";
  }
  if (section.get("Array State").substr(0, section.get("Array State").find(' ')).find('R') !=
      std::string::npos) {
    return "a device is being replaced";
  }
  return {};
}

void put_number(Json& json, const char* key, std::optional<std::uint64_t> value) {
  if (value) {
    json[key] = *value;
  }
}

// Version 1.x, and 0.90 as far as it is alike.
void read_examine(const Section& section, StorageSeen& seen) {
  const auto version_text = section.get("Version");
  std::string version(first_word(version_text));
  const bool old = version.starts_with("0.9");
  if (old) {
    version = "0.90";
  }
  const auto uuid_text = section.get(old ? "UUID" : "Array UUID");
  const auto uuid = md_uuid_from(first_word(uuid_text));
  const auto level = level_from(section.get("Raid Level"));
  const auto disks = first_number(section.get("Raid Devices"));
  if (uuid.empty() || !level || !disks || *disks > 4096 ||
      (!old && version != "1.0" && version != "1.1" && version != "1.2" && version != "1")) {
    return;
  }
  Json sb = Json::object();
  sb["version"] = version;
  sb["uuid"] = uuid;
  sb["level"] = *level;
  sb["raid_disks"] = *disks;
  if (const auto layout = layout_from(section.get("Layout"), *level)) {
    sb["layout"] = *layout;
  }
  put_number(sb, "chunk", chunk_from(section.get("Chunk Size")));
  if (*level == -1 || *level == 1) {
    sb.emplace("chunk", 0);
  }
  sb["clean"] = section.get("State").starts_with("clean");
  const auto events = section.get("Events");
  put_number(sb, "events",
             first_number(events.starts_with("0.") ? std::string_view(events).substr(2)
                                                   : std::string_view(events)));
  sb["unusual"] = unusual_in(section);
  sb["bitmap"] = !section.get("Internal Bitmap").empty();
  Json roles = Json::array();
  if (old) {
    put_number(sb, "preferred_minor", first_number(section.get("Preferred Minor")));
    put_number(sb, "size_sectors", sectors_of_kib(section.get("Used Dev Size")));
    // The table at the end: "this" is this device; the rest are the slots.
    sb["role"] = -1;
    sb["role_kind"] = "spare";
    for (const auto& row : section.rows) {
      const bool is_this = row.front() == "this";
      constexpr std::size_t at = 4;
      const auto slot = row.size() > at ? whole_number(row[at]) : std::nullopt;
      const bool active = row.size() > at + 1 && row[at + 1] == "active";
      if (!slot || *slot >= *disks) {
        continue;
      }
      if (is_this && active) {
        sb["role"] = *slot;
        sb["role_kind"] = "active";
      } else if (!is_this) {
        while (roles.size() <= *slot) {
          roles.push_back("missing");
        }
        if (active) {
          roles[*slot] = "active";
        }
      }
    }
    while (roles.size() < *disks) {
      roles.push_back("missing");
    }
  } else {
    if (const auto device = md_uuid_from(section.get("Device UUID")); !device.empty()) {
      sb["device_uuid"] = device;
    }
    const auto full_name = section.get("Name");
    split_name(std::string(first_word(full_name)), sb);
    // In sectors, unlike everything else that mdadm prints.
    put_number(sb, "data_size", first_number(section.get("Avail Dev Size")));
    put_number(sb, "size_sectors", first_number(section.get("Used Dev Size")));
    if (!sb.contains("size_sectors") && sb.contains("data_size")) {
      // Printed only where it differs, and never where the level leaves it open.
      sb["size_sectors"] = *level > 0 ? sb["data_size"] : Json(0);
    }
    put_number(sb, "data_offset", first_number(section.get("Data Offset")));
    if (version == "1.0") {
      sb.emplace("data_offset", 0);  // the data comes first; mdadm does not print it
    }
    put_number(sb, "super_offset", first_number(section.get("Super Offset")));
    const auto role = section.get("Device Role");
    sb["role"] = -1;
    sb["role_kind"] = "spare";
    if (role.starts_with("Active device ")) {
      if (const auto slot = first_number(std::string_view(role).substr(14)); slot && *slot < 4096) {
        sb["role"] = *slot;
        sb["role_kind"] = "active";
      }
    } else if (role == "Journal") {
      sb["role"] = -3;
      sb["role_kind"] = "journal";
    } else if (role.starts_with("faulty")) {
      sb["role"] = -2;
      sb["role_kind"] = "faulty";
    }
    const auto array_state = section.get("Array State");
    for (const char c : first_word(array_state).substr(0, kMaxSlots)) {
      roles.push_back(c == 'A' ? "active" : c == 'R' ? "replacing" : "missing");
    }
  }
  sb["roles"] = std::move(roles);
  seen.superblocks.insert_or_assign(section.device, std::move(sb));
}

bool looks_like_pv_uuid(std::string_view text) {
  if (text.size() != 38) {
    return false;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 6 || i == 11 || i == 16 || i == 21 || i == 26 || i == 31;
    if (dash != (text[i] == '-') ||
        (!dash && std::isalnum(static_cast<unsigned char>(text[i])) == 0)) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::optional<int> level_from(std::string_view name) {
  name = first_word(name);
  if (name == "linear" || name == "-linear") {
    return -1;
  }
  if (name == "multipath") {
    return -4;
  }
  if (name.starts_with("raid")) {
    if (const auto number = whole_number(name.substr(4)); number && *number <= 10) {
      return static_cast<int>(*number);
    }
  }
  return std::nullopt;
}

std::optional<int> layout_from(std::string_view name, int level) {
  name = first_word(name);
  if (level == 5 || level == 6) {
    constexpr std::array kNames{std::pair{"left-asymmetric", 0}, std::pair{"right-asymmetric", 1},
                                std::pair{"left-symmetric", 2}, std::pair{"right-symmetric", 3}};
    for (const auto& [text, number] : kNames) {
      if (name == text) {
        return number;
      }
    }
    return std::nullopt;
  }
  if (level == 10) {
    const auto equals = name.find('=');
    const auto copies =
        equals == std::string_view::npos ? std::nullopt : whole_number(name.substr(equals + 1));
    if (copies && *copies > 0 && *copies < 16) {
      const int n = static_cast<int>(*copies);
      const auto kind = name.substr(0, equals);
      return kind == "near"     ? std::optional(0x100 + n)
             : kind == "far"    ? std::optional(n * 0x100 + 1)
             : kind == "offset" ? std::optional(0x10000 + n * 0x100 + 1)
                                : std::nullopt;
    }
    return std::nullopt;
  }
  return level == -1 || level == 0 || level == 1 || level == 4 ? std::optional(0) : std::nullopt;
}

std::string md_uuid_from(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c == '-' || c == ':') {
      continue;
    }
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0 || digits.size() == 32) {
      return {};
    }
    digits += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (digits.size() != 32) {
    return {};
  }
  return fmt::format("{}:{}:{}:{}", digits.substr(0, 8), digits.substr(8, 8), digits.substr(16, 8),
                     digits.substr(24, 8));
}

void read_mdadm(std::string_view text, StorageSeen& seen) {
  for (const Section& section : sections_of(text)) {
    if (!section.get("Magic").empty()) {
      read_examine(section, seen);
    } else if (!section.get("UUID").empty()) {
      read_detail(section, seen);
    }
  }
}

// "md0 : active raid5 sdc[2] sdb[1] sda[0]"; the numbers in brackets are not slots.
void read_mdstat(std::string_view text, StorageSeen& seen) {
  TextLines lines(text);
  while (const auto line = lines.next()) {
    const auto words = split_words(line->text, 1000);
    if (words.size() < 4 || !words[0].starts_with("md") || words[1] != ":" ||
        seen.stands_on.size() >= kMaxEntries) {
      continue;
    }
    for (std::size_t i = 3; i < words.size(); ++i) {
      if (const auto bracket = words[i].find('[');
          bracket != std::string_view::npos && bracket > 0) {
        seen.stands_on[std::string(words[0])].insert(std::string(words[i].substr(0, bracket)));
      }
    }
  }
}

// "   8        1      16384 sda1": blocks of 1 KiB
void read_proc_partitions(std::string_view text, StorageSeen& seen) {
  TextLines lines(text);
  while (const auto line = lines.next()) {
    const auto words = split_words(line->text, 5);
    if (words.size() == 4 && whole_number(words[0]) && whole_number(words[1]) &&
        seen.bytes.size() < kMaxEntries) {
      // Rounded down to 1 KiB: fdisk knows better where it was asked.
      if (const auto kib = whole_number(words[2]); kib && *kib < (std::uint64_t{1} << 53)) {
        seen.bytes.try_emplace(std::string(words[3]), *kib * 1024);
      }
    }
  }
}

// "Disk /dev/sda: 16 MiB, 16777216 bytes, 32768 sectors"
void read_fdisk(std::string_view text, StorageSeen& seen) {
  TextLines lines(text);
  while (const auto line = lines.next()) {
    const auto colon = line->text.find(": ");
    const auto bytes = line->text.find(" bytes");
    if (!line->text.starts_with("Disk /dev/") || colon == std::string_view::npos ||
        bytes == std::string_view::npos || seen.bytes.size() >= kMaxEntries) {
      continue;
    }
    const auto before = line->text.substr(0, bytes);
    if (const auto size = whole_number(before.substr(before.rfind(' ') + 1))) {
      seen.bytes.insert_or_assign(kernel_name(line->text.substr(5, colon - 5)), *size);
    }
  }
}

// Two columns a level; the branches are ASCII or drawn.
void read_lsblk(std::string_view text, StorageSeen& seen) {
  TextLines lines(text);
  std::vector<std::string> above;  // by depth
  while (const auto line = lines.next()) {
    if (line->text.starts_with("NAME ")) {
      above.clear();
      continue;
    }
    std::size_t at = 0;
    std::size_t columns = 0;
    while (at < line->text.size()) {
      const auto c = static_cast<unsigned char>(line->text[at]);
      if (c == 0xe2 && at + 2 < line->text.size()) {
        at += 3;  // a box drawing
      } else if (c == ' ' || c == '|' || c == '`' || (c == '-' && columns > 0)) {
        ++at;
      } else {
        break;
      }
      ++columns;
    }
    const auto name = first_word(line->text.substr(at));
    const std::size_t depth = columns / 2;
    if (name.empty() || columns % 2 != 0 || depth > above.size() || depth > 64) {
      continue;
    }
    above.resize(depth);
    above.emplace_back(name);
    if (depth > 0 && seen.stands_on.size() < kMaxEntries) {
      seen.stands_on[std::string(name)].insert(above[depth - 1]);
    }
  }
}

void read_pvs(std::string_view text, StorageSeen& seen) {
  TextLines lines(text);
  std::size_t begin = 0;
  std::size_t end = 0;
  while (const auto line = lines.next()) {
    if (const auto at = line->text.find("#PMda"); at != std::string_view::npos) {
      begin = at;
      end = at + 5;
      continue;
    }
    if (end == 0 || seen.areas_of_pv.size() >= kMaxEntries) {
      continue;
    }
    std::string uuid;
    for (const auto word : split_words(line->text, 40)) {
      if (looks_like_pv_uuid(word)) {
        uuid = word;
      }
    }
    if (uuid.empty() || line->text.size() < end) {
      continue;
    }
    // Numbers stand at the right of their column.
    if (const auto areas = whole_number(trimmed(line->text.substr(begin, end - begin)))) {
      seen.areas_of_pv.insert_or_assign(uuid, *areas);
    }
  }
}

void read_lvs(std::string_view text, StorageSeen& seen) {
  TextLines lines(text);
  bool table = false;
  while (const auto line = lines.next()) {
    const auto words = split_words(line->text, 3);
    if (words.size() < 3) {
      continue;
    }
    if (words[0] == "LV" && words[1] == "VG") {
      table = true;
      continue;
    }
    const bool hidden = words[0].starts_with('[');
    if (table && line->text.starts_with("  ") && !hidden && !words[0].ends_with(':') &&
        words[2].size() >= 10 && seen.volumes.size() < kMaxEntries) {
      const auto volume = valid_text(words[0], false);
      auto& volumes = seen.volumes[valid_text(words[1], false)];
      if (volumes.size() < kMaxEntries &&
          std::find(volumes.begin(), volumes.end(), volume) == volumes.end()) {
        volumes.push_back(volume);
      }
    }
  }
}

void read_attribute_walk(std::string_view text, StorageSeen& seen) {
  TextLines lines(text);
  std::map<std::string, std::string>* device = nullptr;
  while (const auto line = lines.next()) {
    const auto here = trimmed(line->text);
    if (here.starts_with("looking at ")) {
      const auto open = here.find('\'');
      const auto close = here.rfind('\'');
      device = open != close && seen.attributes.size() < kMaxEntries
                   ? &seen.attributes[valid_text(here.substr(open + 1, close - open - 1), false)]
                   : nullptr;
      continue;
    }
    const auto brace = here.find("}==\"");
    if (device == nullptr || !here.starts_with("ATTR") || brace == std::string_view::npos ||
        !here.ends_with('"') || here.size() < brace + 5) {
      continue;
    }
    const auto name = here.substr(here.find('{') + 1, brace - here.find('{') - 1);
    // What is no text (vpd_pg80) is shown as nothing.
    if (device->size() < 1000 &&
        !(name.find("vpd_pg") != std::string_view::npos && here.ends_with("==\"\""))) {
      device->insert_or_assign(valid_text(name, false),
                               attribute_text(here.substr(brace + 4, here.size() - brace - 5)));
    }
  }
}

Result<void> read_group_backup(std::string_view text, StorageSeen& seen) {
  const std::string copy(text);
  auto group = lvm::parse_volume_group(copy);
  if (!group) {
    return tl::unexpected(group.error());
  }
  std::string on_one_line = copy;
  std::replace_if(
      on_one_line.begin(), on_one_line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  if (valid_text(on_one_line, false) != on_one_line) {
    return fail(Errc::invalid, "not valid UTF-8");
  }
  seen.group_texts.push_back(copy);
  return {};
}

bool read_tool_output(std::string_view text, StorageSeen& seen) {
  if (text.find('\0') != std::string_view::npos) {
    return false;
  }
  const auto counted = [&] {
    return seen.arrays.size() + seen.superblocks.size() + seen.bytes.size();
  };
  const auto before = counted();
  TextLines lines(text);
  for (int i = 0; i < 20; ++i) {
    const auto line = lines.next();
    if (!line) {
      break;
    }
    if (line->text.starts_with("/dev/") && line->text.ends_with(':')) {
      read_mdadm(text, seen);
      return counted() > before;
    }
    if (line->text.starts_with("Disk /dev/")) {
      read_fdisk(text, seen);
      return counted() > before;
    }
    if (line->text.starts_with("major minor  #blocks")) {
      read_proc_partitions(text, seen);
      return counted() > before;
    }
    if (line->text.find("Text Format Volume Group") != std::string_view::npos) {
      return read_group_backup(text, seen).has_value();
    }
  }
  return false;
}

}  // namespace muster::imports
