#include "handlers/md/md_superblock_json.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

namespace muster::md {
namespace {

constexpr std::array kVersions{Version::v0_90, Version::v1_0, Version::v1_1, Version::v1_2};
constexpr std::array kRoleKinds{
    std::pair{Role::Kind::active, "active"}, std::pair{Role::Kind::spare, "spare"},
    std::pair{Role::Kind::faulty, "faulty"}, std::pair{Role::Kind::journal, "journal"}};
constexpr std::array kSlotStates{std::pair{SlotState::missing, "missing"},
                                 std::pair{SlotState::active, "active"},
                                 std::pair{SlotState::replacing, "replacing"}};
constexpr std::size_t kMaxSlots = 4096;  // the kernel's superblocks hold 1,920 devices at most

template <typename Pairs, typename Value>
std::string_view word_of(const Pairs& pairs, Value value) {
  for (const auto& [candidate, word] : pairs) {
    if (candidate == value) {
      return word;
    }
  }
  return "";
}

std::int64_t role_number(const Role& role) {
  switch (role.kind) {
    case Role::Kind::active:
      return role.slot;
    case Role::Kind::spare:
      return -1;
    case Role::Kind::faulty:
      return -2;
    case Role::Kind::journal:
      return -3;
  }
  return -1;
}

// One table of the plain fields serves both directions.
template <typename Self, typename Visitor>
void visit_fields(Self& sb, Visitor&& visit) {
  visit("major_version", sb.major_version, false);
  visit("minor_version", sb.minor_version, false);
  visit("foreign_endianness", sb.foreign_endianness, false);
  visit("uuid", sb.array_uuid, true);
  visit("device_uuid", sb.device_uuid, false);
  visit("full_name", sb.full_name, false);
  visit("name", sb.name, false);
  visit("home_host", sb.home_host, false);
  visit("level", sb.level, true);
  visit("layout", sb.layout, true);
  visit("layout_is_meaningful", sb.layout_is_meaningful, false);
  visit("raid_disks", sb.raid_disks, true);
  visit("preferred_minor", sb.preferred_minor, false);
  visit("device_number", sb.device_number, false);
  visit("write_mostly", sb.write_mostly, false);
  visit("fail_fast", sb.fail_fast, false);
  visit("events", sb.events, true);
  visit("size_sectors", sb.used_sectors, true);
  visit("data_offset", sb.data_offset, true);
  visit("data_size", sb.data_sectors, true);
  visit("super_offset", sb.super_offset, true);
  visit("created", sb.created, false);
  visit("updated", sb.updated, false);
  visit("clean", sb.clean, true);
  visit("feature_map", sb.feature_map, false);
  visit("unknown_features", sb.unknown_features, false);
  visit("reserved_bytes_set", sb.reserved_bytes_set, false);
  visit("clustered", sb.clustered, false);
  visit("replacement", sb.replacement, false);
  visit("has_journal", sb.has_journal, false);
  visit("has_bad_blocks", sb.has_bad_blocks, false);
  visit("bitmap_offset", sb.bitmap_offset, false);
  visit("recovery_offset", sb.recovery_offset, false);
  visit("recovery_by_bitmap", sb.recovery_by_bitmap, false);
}

template <typename Self, typename Visitor>
void visit_fields_of(Self& reshape, Visitor&& visit)
  requires std::is_same_v<std::remove_const_t<Self>, Reshape>
{
  visit("position", reshape.position, true);
  visit("new_level", reshape.new_level, true);
  visit("new_layout", reshape.new_layout, true);
  visit("new_chunk_sectors", reshape.new_chunk_sectors, true);
  visit("delta_disks", reshape.delta_disks, true);
  visit("new_offset", reshape.new_offset, true);
  visit("backwards", reshape.backwards, true);
}

template <typename Self, typename Visitor>
void visit_fields_of(Self& log, Visitor&& visit)
  requires std::is_same_v<std::remove_const_t<Self>, BadBlockLog>
{
  visit("offset", log.offset, true);
  visit("sectors", log.sectors, true);
  visit("shift", log.shift, true);
}

template <typename Self, typename Visitor>
void visit_fields_of(Self& ppl, Visitor&& visit)
  requires std::is_same_v<std::remove_const_t<Self>, Ppl>
{
  visit("offset", ppl.offset, true);
  visit("sectors", ppl.sectors, true);
}

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

// Writes each field; one that is at its default only if it is always written.
struct Writer {
  Json& json;

  template <typename T>
  void operator()(const char* name, const T& value, bool always) const {
    if constexpr (IsOptional<T>::value) {
      if (value) {
        json[name] = *value;
      }
    } else if constexpr (std::is_same_v<T, bool>) {
      if (always || value != (std::string_view(name) == "layout_is_meaningful")) {
        json[name] = value;
      }
    } else {
      if (always || value != T{}) {
        json[name] = value;
      }
    }
  }
};

struct Reading {
  const Json& json;
  std::string& trouble;

  template <typename T>
  bool take(const Json& value, T& out) const {
    if constexpr (std::is_same_v<T, bool>) {
      if (!value.is_boolean()) {
        return false;
      }
      out = value.get<bool>();
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!value.is_string()) {
        return false;
      }
      out = value.get<std::string>();
    } else {
      if (!value.is_number_integer()) {
        return false;
      }
      if (value.is_number_unsigned()) {
        const auto number = value.get<std::uint64_t>();
        if (!std::in_range<T>(number)) {
          return false;
        }
        out = static_cast<T>(number);
      } else {
        const auto number = value.get<std::int64_t>();
        if (!std::in_range<T>(number)) {
          return false;
        }
        out = static_cast<T>(number);
      }
    }
    return true;
  }

  template <typename T>
  void operator()(const char* name, T& out, bool always) const {
    const auto it = json.find(name);
    bool good = true;
    if (it == json.end()) {
      good = !always;
    } else if constexpr (IsOptional<T>::value) {
      typename T::value_type value{};
      good = take(*it, value);
      out = value;
    } else if constexpr (std::is_same_v<T, uint8_t>) {
      uint32_t value = 0;
      good = take(*it, value) && value <= std::numeric_limits<uint8_t>::max();
      out = static_cast<uint8_t>(value);
    } else {
      good = take(*it, out);
    }
    if (!good && trouble.empty()) {
      trouble = fmt::format("superblock: field \"{}\" is {}", name,
                            it == json.end() ? "missing" : "wrong");
    }
  }
};

template <typename T>
void write_part(Json& json, const char* name, const std::optional<T>& part) {
  if (part) {
    Json object = Json::object();
    visit_fields_of(*part, Writer{object});
    json[name] = std::move(object);
  }
}

template <typename T>
void read_part(const Json& json, const char* name, std::optional<T>& part, std::string& trouble) {
  const auto it = json.find(name);
  if (it == json.end()) {
    return;
  }
  if (!it->is_object()) {
    trouble = fmt::format("superblock: field \"{}\" is wrong", name);
    return;
  }
  part.emplace();
  visit_fields_of(*part, Reading{*it, trouble});
}

}  // namespace

Json to_json(const Superblock& sb) {
  Json json = Json::object();
  json["version"] = std::string(to_string(sb.version));
  visit_fields(sb, Writer{json});
  if (sb.resync_offset != kMaxSector) {
    json["resync_offset"] = sb.resync_offset;
  }
  json["chunk"] = std::uint64_t{sb.chunk_sectors} * 512;
  json["role"] = role_number(sb.role);
  json["role_kind"] = std::string(word_of(kRoleKinds, sb.role.kind));
  Json roles = Json::array();
  for (const SlotState state : sb.slots) {
    roles.push_back(std::string(word_of(kSlotStates, state)));
  }
  json["roles"] = std::move(roles);
  json["bitmap"] = sb.bitmap_offset.has_value();
  json["unusual"] = why_unusual(sb).value_or("");
  write_part(json, "ppl", sb.ppl);
  write_part(json, "reshape", sb.reshape);
  write_part(json, "bad_block_log", sb.bad_block_log);
  return json;
}

Result<Superblock> superblock_from_json(const Json& json) {
  if (!json.is_object()) {
    return fail(Errc::invalid, "superblock: not an object");
  }
  const auto wrong = [](const char* name) {
    return fail(Errc::invalid, fmt::format("superblock: field \"{}\" is missing or wrong", name));
  };
  const auto text = [&](const char* name) {
    const auto it = json.find(name);
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string{};
  };
  Superblock sb;
  bool known = false;
  for (const Version version : kVersions) {
    if (text("version") == to_string(version)) {
      sb.version = version;
      known = true;
    }
  }
  if (!known) {
    return wrong("version");
  }
  std::string trouble;
  const Reading reading{json, trouble};
  visit_fields(sb, reading);
  std::uint64_t chunk = 0;
  reading("chunk", chunk, true);
  reading("resync_offset", sb.resync_offset, false);
  std::int64_t role = 0;
  reading("role", role, true);
  read_part(json, "ppl", sb.ppl, trouble);
  read_part(json, "reshape", sb.reshape, trouble);
  read_part(json, "bad_block_log", sb.bad_block_log, trouble);
  if (!trouble.empty()) {
    return fail(Errc::invalid, trouble);
  }
  if (chunk / 512 > std::numeric_limits<uint32_t>::max()) {
    return wrong("chunk");
  }
  sb.chunk_sectors = static_cast<uint32_t>(chunk / 512);

  const auto roles = json.find("roles");
  if (roles == json.end() || !roles->is_array() || roles->size() > kMaxSlots) {
    return wrong("roles");
  }
  for (const Json& word : *roles) {
    bool good = false;
    for (const auto& [state, name] : kSlotStates) {
      if (word.is_string() && word.get<std::string>() == name) {
        sb.slots.push_back(state);
        good = true;
      }
    }
    if (!good) {
      return wrong("roles");
    }
  }
  known = false;
  for (const auto& [kind, name] : kRoleKinds) {
    if (text("role_kind") == name) {
      sb.role.kind = kind;
      known = true;
    }
  }
  if (!known) {
    return wrong("role_kind");
  }
  // That an active role's slot is within the slots is what the reader promises, so it is asked of
  // the journal too.
  if (sb.role.kind == Role::Kind::active) {
    if (role < 0 || static_cast<std::uint64_t>(role) >= sb.slots.size()) {
      return wrong("role");
    }
    sb.role.slot = static_cast<uint32_t>(role);
  }
  return sb;
}

}  // namespace muster::md
