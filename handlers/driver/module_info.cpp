#include "handlers/driver/module_info.h"

#include <algorithm>

namespace muster::driver {
namespace {

// Real modules have some 50 sections and some 60 KiB of aliases at most.
constexpr std::size_t kMostSections = 4096;
constexpr std::size_t kMaxNames = std::size_t{256} * 1024;
constexpr std::size_t kMaxInfo = std::size_t{1024} * 1024;

// Where the fields lie that matter here (elf.h).
struct Layout {
  std::size_t word = 8;  // size of an offset
  std::size_t section_table = 0x28;
  std::size_t section_size = 0x3A;  // then their count, then the section with their names
  std::size_t offset_in_section = 0x18;
  std::size_t header = 0x40;
  std::size_t section_header = 0x40;
};
constexpr Layout kElf64{};
constexpr Layout kElf32{.word = 4,
                        .section_table = 0x20,
                        .section_size = 0x2E,
                        .offset_in_section = 0x10,
                        .header = 0x34,
                        .section_header = 0x28};

std::uint64_t word(const Layout& layout, Bytes bytes, std::size_t at) {
  return layout.word == 8 ? le64(bytes, at) : le32(bytes, at);
}

std::optional<std::vector<std::byte>> exactly(const Reader& file, std::uint64_t offset,
                                              std::uint64_t length, std::size_t most) {
  if (length > most) {
    return std::nullopt;
  }
  auto bytes = file(offset, static_cast<std::size_t>(length));
  if (!bytes || bytes->size() != length) {
    return std::nullopt;
  }
  return *std::move(bytes);
}

}  // namespace

std::optional<std::vector<std::string>> module_info(const Reader& file, std::string_view key) {
  constexpr std::string_view kMagic =
      "\x7f"
      "ELF";
  const auto header = exactly(file, 0, kElf64.header, kElf64.header);
  if (!header || !as_text(*header).starts_with(kMagic) || (*header)[5] != std::byte{1}) {
    return std::nullopt;  // big-endian among what is none
  }
  const bool wide = (*header)[4] == std::byte{2};
  const Layout& layout = wide ? kElf64 : kElf32;
  const std::uint64_t table_at = word(layout, *header, layout.section_table);
  const std::size_t size = le16(*header, layout.section_size);
  const std::size_t count = le16(*header, layout.section_size + 2);
  const std::size_t names_index = le16(*header, layout.section_size + 4);
  if (size < layout.section_header || count > kMostSections || names_index >= count) {
    return std::nullopt;
  }
  const auto table = exactly(file, table_at, count * size, kMaxInfo);
  if (!table) {
    return std::nullopt;
  }
  const auto content = [&](std::size_t index, std::size_t most) {
    const Bytes section = Bytes(*table).subspan(index * size, size);
    return exactly(file, word(layout, section, layout.offset_in_section),
                   word(layout, section, layout.offset_in_section + layout.word), most);
  };
  const auto names = content(names_index, kMaxNames);
  if (!names) {
    return std::nullopt;
  }
  for (std::size_t index = 0; index < count; ++index) {
    const std::string_view all = as_text(*names);
    const std::size_t at = le32(*table, index * size);
    if (at >= all.size() || all.substr(at, all.find('\0', at) - at) != ".modinfo") {
      continue;
    }
    const auto info = content(index, kMaxInfo);
    if (!info) {
      return std::nullopt;
    }
    std::vector<std::string> values;
    for (std::string_view rest = as_text(*info); !rest.empty();) {
      const std::string_view line = rest.substr(0, rest.find('\0'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == '=') {
        values.emplace_back(line.substr(key.size() + 1));
      }
    }
    return values;
  }
  return std::nullopt;
}

}  // namespace muster::driver
