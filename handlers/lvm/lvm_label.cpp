#include "handlers/lvm/lvm_label.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace muster::lvm {
namespace {

constexpr size_t kSectorBytes = 512;
constexpr std::string_view kLabelId = "LABELONE";
constexpr std::string_view kLabelType = "LVM2 001";
constexpr std::string_view kMdaMagic = " LVM2 x[5A%r0N*>";
constexpr size_t kUuidChars = 32;
constexpr size_t kLocationsAt = 40;  // in a metadata area's header
constexpr uint32_t kIgnored = 1;     // flag of a location

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) {
      c = (c & 1) != 0 ? c >> 1 ^ 0xedb88320U : c >> 1;
    }
    table[i] = c;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

tl::unexpected<Error> malformed(std::string_view what) {
  return fail(Errc::invalid, fmt::format("lvm label: {}", what));
}

// A list of (offset, size) pairs that ends with an offset of 0; AT moves behind its end.
Result<std::vector<Area>> read_areas(Bytes sector, size_t& at, std::string_view what) {
  std::vector<Area> areas;
  for (;;) {
    if (sector.size() < 16 || at > sector.size() - 16) {
      return malformed(fmt::format("the list of {} areas runs out of its sector", what));
    }
    const Area a{le64(sector, at), le64(sector, at + 8)};
    at += 16;
    if (a.offset == 0) {
      return areas;
    }
    if (a.offset + a.size < a.offset) {
      return malformed(fmt::format("{} area of {} bytes at {}", what, a.size, a.offset));
    }
    areas.push_back(a);
  }
}

Result<Label> parse_label_sector(Bytes sector, uint64_t number) {
  // sector number, checksum of all behind it, where the header stands, type
  if (le64(sector, 8) != number) {
    return malformed(fmt::format("stands in sector {}, says {}", number, le64(sector, 8)));
  }
  if (as_text(sector.subspan(24, 8)) != kLabelType) {
    return malformed("type is " + quoted(as_text(sector.subspan(24, 8))));
  }
  const uint32_t sum = crc(kInitialCrc, sector.subspan(20));
  if (sum != le32(sector, 16)) {
    return malformed(fmt::format("checksum is {:08x}, stored {:08x}", sum, le32(sector, 16)));
  }
  size_t at = le32(sector, 20);
  if (at < 32 || at > kSectorBytes - (kUuidChars + 8)) {
    return malformed(fmt::format("header at byte {} of its sector", at));
  }
  Label label;
  label.sector = number;
  const std::string_view raw = as_text(sector.subspan(at, kUuidChars));
  auto uuid = dashed_uuid(raw);
  if (!uuid) {
    return malformed(quoted(raw) + " is no UUID");
  }
  label.pv_uuid = std::move(*uuid);
  label.device_bytes = le64(sector, at + kUuidChars);
  at += kUuidChars + 8;

  auto data = read_areas(sector, at, "data");
  if (!data) {
    return tl::unexpected(std::move(data.error()));
  }
  label.data_areas = std::move(*data);
  auto metadata = read_areas(sector, at, "metadata");
  if (!metadata) {
    return tl::unexpected(std::move(metadata.error()));
  }
  label.metadata_areas = std::move(*metadata);

  // Sectors written before the extension existed are zero here, which reads as version 0.
  if (at + 8 <= sector.size()) {
    label.extension_version = le32(sector, at);
    label.extension_flags = le32(sector, at + 4);
    at += 8;
    if (label.extension_version >= 1) {
      auto bootloader = read_areas(sector, at, "bootloader");
      if (!bootloader) {
        return tl::unexpected(std::move(bootloader.error()));
      }
      label.bootloader_areas = std::move(*bootloader);
    }
  }
  return label;
}

Result<std::string> read_pieces(const Reader& read, const TextLocation& where) {
  std::string text;
  for (const Area& piece : where.pieces) {
    auto bytes = read(piece.offset, static_cast<size_t>(piece.size));
    if (!bytes) {
      return tl::unexpected(std::move(bytes.error()));
    }
    text += as_text(*bytes);
  }
  return text;
}

// The verified text of one metadata area; nothing if it holds none. What is read of it, good or
// bad, is taken from BUDGET.
Result<std::optional<std::string>> read_area(const Reader& read, const Area& area,
                                             uint64_t device_bytes, uint64_t max_text_bytes,
                                             uint64_t& budget) {
  const auto bad = [&area](std::string_view what) {
    return fail(Errc::invalid, fmt::format("lvm metadata area at byte {}: {}", area.offset, what));
  };
  if (area.offset + area.size > device_bytes) {
    return bad(fmt::format("its {} bytes reach beyond the device's {}", area.size, device_bytes));
  }
  auto header = read(area.offset, kMdaHeaderBytes);
  if (!header) {
    return tl::unexpected(std::move(header.error()));
  }
  auto where = parse_mda_header(*header, area, std::min(budget, max_text_bytes));
  if (!where) {
    return tl::unexpected(std::move(where.error()));
  }
  if (!*where) {
    return std::nullopt;
  }
  budget -= (*where)->size;
  auto text = read_pieces(read, **where);
  if (!text) {
    return tl::unexpected(std::move(text.error()));
  }
  const uint32_t sum = crc(kInitialCrc, as_bytes_of(*text));
  if (text->size() != (*where)->size || sum != (*where)->checksum) {
    return bad(fmt::format("text checksum is {:08x}, stored {:08x}", sum, (*where)->checksum));
  }
  return std::move(*text);
}

void add_text(PhysicalVolumeHead& head, size_t area, std::string text) {
  while (!text.empty() && text.back() == '\0') {
    text.pop_back();
  }
  for (MetadataText& known : head.texts) {
    if (known.text == text) {
      known.areas.push_back(area);
      return;
    }
  }
  head.texts.push_back({{area}, std::move(text)});
}

}  // namespace

uint32_t crc(uint32_t start, Bytes b) {
  uint32_t c = start;
  for (const std::byte x : b) {
    c = c >> 8 ^ kCrcTable[(c ^ static_cast<uint32_t>(x)) & 0xff];
  }
  return c;
}

std::optional<std::string> dashed_uuid(std::string_view raw) {
  constexpr std::array<size_t, 7> kGroups{6, 4, 4, 4, 4, 4, 6};
  constexpr std::string_view kAlphabet =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#";
  if (raw.size() != kUuidChars || raw.find_first_not_of(kAlphabet) != std::string_view::npos) {
    return std::nullopt;
  }
  std::string out;
  for (const size_t n : kGroups) {
    if (!out.empty()) {
      out += '-';
    }
    out += raw.substr(0, n);
    raw.remove_prefix(n);
  }
  return out;
}

Result<std::optional<Label>> parse_label(Bytes head) {
  for (uint64_t number = 0; (number + 1) * kSectorBytes <= std::min(head.size(), kLabelScanBytes);
       ++number) {
    const Bytes sector = head.subspan(number * kSectorBytes, kSectorBytes);
    if (as_text(sector).starts_with(kLabelId)) {
      auto label = parse_label_sector(sector, number);
      if (!label) {
        return tl::unexpected(std::move(label.error()));
      }
      return std::move(*label);
    }
  }
  return std::nullopt;
}

Result<std::optional<TextLocation>> parse_mda_header(Bytes header, const Area& area,
                                                     uint64_t max_text_bytes) {
  const auto bad = [&area](std::string_view what) {
    return fail(Errc::invalid, fmt::format("lvm metadata area at byte {}: {}", area.offset, what));
  };
  if (header.size() < kMdaHeaderBytes) {
    return bad(fmt::format("{} of {} bytes", header.size(), kMdaHeaderBytes));
  }
  header = header.first(kMdaHeaderBytes);
  if (as_text(header.subspan(4, kMdaMagic.size())) != kMdaMagic) {
    return bad("its header has not LVM2's magic");
  }
  const uint32_t sum = crc(kInitialCrc, header.subspan(4));
  if (sum != le32(header, 0)) {
    return bad(fmt::format("header checksum is {:08x}, stored {:08x}", sum, le32(header, 0)));
  }
  if (le32(header, 20) != 1) {
    return bad(fmt::format("header version {}", le32(header, 20)));
  }
  const uint64_t size = le64(header, 32);
  if (le64(header, 24) != area.offset || size > area.size) {
    return bad(fmt::format("header claims {} bytes at {}, the label {} bytes", size,
                           le64(header, 24), area.size));
  }
  if (size <= kMdaHeaderBytes) {
    return bad(fmt::format("{} bytes leave no room for text", size));
  }

  // Only the first location counts; the second is that of a change not yet committed.
  const uint64_t offset = le64(header, kLocationsAt);
  const uint64_t length = le64(header, kLocationsAt + 8);
  if (offset == 0 || length == 0 || (le32(header, kLocationsAt + 20) & kIgnored) != 0) {
    return std::nullopt;
  }
  if (offset < kMdaHeaderBytes || offset >= size || length > size - kMdaHeaderBytes) {
    return bad(fmt::format("text of {} bytes at {} in an area of {}", length, offset, size));
  }
  if (length > max_text_bytes) {
    return bad(fmt::format("text of {} bytes, read are at most {}", length, max_text_bytes));
  }
  TextLocation where{{}, length, le32(header, kLocationsAt + 16)};
  const uint64_t first = std::min(length, size - offset);
  where.pieces.push_back({area.offset + offset, first});
  if (first < length) {
    // The circular buffer begins behind the header.
    where.pieces.push_back({area.offset + kMdaHeaderBytes, length - first});
  }
  return where;
}

Result<std::optional<PhysicalVolumeHead>> read_physical_volume(const Reader& read,
                                                               uint64_t device_bytes,
                                                               uint64_t max_text_bytes) {
  if (device_bytes < kSectorBytes) {
    return std::nullopt;
  }
  auto start = read(0, static_cast<size_t>(std::min<uint64_t>(device_bytes, kLabelScanBytes)));
  if (!start) {
    return tl::unexpected(std::move(start.error()));
  }
  auto label = parse_label(*start);
  if (!label) {
    return tl::unexpected(std::move(label.error()));
  }
  if (!*label) {
    return std::nullopt;
  }
  PhysicalVolumeHead head;
  head.label = std::move(**label);
  // LVM2 writes two areas at most; a label has room to claim dozens.
  uint64_t budget = 2 * max_text_bytes;
  std::optional<Error> unreadable;
  for (size_t i = 0; i < head.label.metadata_areas.size(); ++i) {
    auto text = read_area(read, head.label.metadata_areas[i], device_bytes, max_text_bytes, budget);
    if (!text) {
      if (text.error().code != Errc::invalid && !unreadable) {
        unreadable = text.error();
      }
      head.diagnostics.push_back(std::move(text.error().text));
    } else if (*text) {
      add_text(head, i, std::move(**text));
    }
  }
  // One bad end of a disk does not matter while the other end can be read.
  if (head.texts.empty() && unreadable) {
    return tl::unexpected(std::move(*unreadable));
  }
  return head;
}

}  // namespace muster::lvm
