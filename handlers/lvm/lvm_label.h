// LVM2 physical volumes as they lie on disk: the label in one of the first four sectors, the header
// behind it, and the metadata areas it points to. Pure: bytes in, values out. The metadata's text
// itself is read by lvm_metadata.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/result.h"
#include "handlers/bytes.h"

namespace muster::lvm {

// Where labels stand: read this much from offset 0.
inline constexpr size_t kLabelScanBytes = 4 * 512;

// LVM2's own areas are 1 MiB unless asked for more; 5,000 logical volumes fit in 3 MiB of text.
inline constexpr uint64_t kDefaultMaxTextBytes = 16 * 1024 * 1024;

struct Area {
  uint64_t offset = 0;  // bytes from the start of the device
  uint64_t size = 0;    // bytes; 0 of a data area: up to the end of the device
  friend bool operator==(const Area&, const Area&) = default;
};

struct Label {
  uint64_t sector = 0;        // in which the label stands
  std::string pv_uuid;        // dashed: 6-4-4-4-4-4-6
  uint64_t device_bytes = 0;  // as the header says; the device may be another size
  std::vector<Area> data_areas;
  std::vector<Area> metadata_areas;
  std::vector<Area> bootloader_areas;
  uint32_t extension_version = 0;  // 0: there is no extension
  uint32_t extension_flags = 0;
  // Extension 2 and later: some volume group uses this physical volume, even if it carries no
  // metadata area.
  [[nodiscard]] bool is_used() const {
    return extension_version >= 2 && (extension_flags & 1U) != 0;
  }
  friend bool operator==(const Label&, const Label&) = default;
};

// 32 characters of LVM's alphabet with dashes put in; nothing if they are not that.
[[nodiscard]] std::optional<std::string> dashed_uuid(std::string_view raw);

// The first kLabelScanBytes of a device. Nothing if no label is there; an Error names what is wrong
// with the one that is. Of several the first counts, as for LVM2.
[[nodiscard]] Result<std::optional<Label>> parse_label(Bytes head);

// Where a metadata area's current text lies: one piece, or two where it wraps around the end of the
// circular buffer.
struct TextLocation {
  std::vector<Area> pieces;  // one or two
  uint64_t size = 0;
  uint32_t checksum = 0;
  friend bool operator==(const TextLocation&, const TextLocation&) = default;
};

inline constexpr size_t kMdaHeaderBytes = 512;

// The header (kMdaHeaderBytes) of a metadata area. Nothing if the area is empty or marked as
// ignored.
[[nodiscard]] Result<std::optional<TextLocation>> parse_mda_header(
    Bytes header, const Area& area, uint64_t max_text_bytes = kDefaultMaxTextBytes);

// LVM2's CRC: the usual polynomial, its own start value, no final inversion.
inline constexpr uint32_t kInitialCrc = 0xf597a6cf;
[[nodiscard]] uint32_t crc(uint32_t start, Bytes b);

// One copy of the metadata, its checksum verified. Copies with the same text are given once.
struct MetadataText {
  std::vector<size_t> areas;  // indexes into Label::metadata_areas
  std::string text;           // without trailing NULs
};

struct PhysicalVolumeHead {
  Label label;
  // Which of several texts counts is decided by their seqno (lvm_metadata.h).
  std::vector<MetadataText> texts;
  std::vector<std::string> diagnostics;  // areas and texts that are malformed
};

// Label, headers and texts of a device. Nothing if there is no label. An Error is the reader's own
// or a malformed label; what is only one bad copy of several is in the diagnostics.
[[nodiscard]] Result<std::optional<PhysicalVolumeHead>> read_physical_volume(
    const Reader& read, uint64_t device_bytes, uint64_t max_text_bytes = kDefaultMaxTextBytes);

}  // namespace muster::lvm
