// The text in which LVM2 describes a volume group, and what follows from it: on which physical
// volumes a logical volume lies, how device-mapper is to call it, and the table of those that need
// no more than linear and striped targets. Pure: text in, values out; bounded in depth, in number
// of values and in work (n log n of the text's length).
//
// A text that contradicts itself is an Error that names the line or the logical volume, never a
// volume group: a table made from it would write over somebody's data.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/result.h"

namespace muster::lvm {

// --- the language: NAME = VALUE, NAME { ... }, # comment; VALUE is a string, a number or a list of
// those in brackets

class Config {
 public:
  enum class Kind { section, string, integer, real, list };
  using Index = uint32_t;
  static constexpr Index kNone = 0xffffffff;
  static constexpr size_t kMaxDepth = 16;
  static constexpr size_t kMaxNodes = size_t{1} << 20;

  // Errors name the line. A section with the same name twice in it is one.
  [[nodiscard]] static Result<Config> parse(std::string text, size_t max_nodes = kMaxNodes);

  static constexpr Index kRoot = 0;
  [[nodiscard]] Kind kind(Index n) const { return nodes_[n].kind; }
  [[nodiscard]] size_t line(Index n) const { return nodes_[n].line; }
  // Empty for the members of a list.
  [[nodiscard]] std::string_view name(Index n) const;
  // The children of a section or the members of a list, in the order of the text.
  [[nodiscard]] Index first_child(Index n) const { return nodes_[n].child; }
  [[nodiscard]] Index next(Index n) const { return nodes_[n].next; }
  [[nodiscard]] Index find(Index section, std::string_view name) const;

  [[nodiscard]] std::string_view text(Index n) const;  // of a string or a real; escapes resolved
  [[nodiscard]] int64_t integer(Index n) const { return nodes_[n].integer; }

 private:
  friend class ConfigParser;
  struct Node {
    Kind kind = Kind::section;
    uint32_t line = 0;
    uint32_t name_at = 0, name_length = 0;
    Index child = kNone, next = kNone;
    uint32_t text_at = 0, text_length = 0;
    int64_t integer = 0;
  };
  std::string text_;  // escapes are resolved in place: the result is never longer
  std::vector<Node> nodes_;
};

// --- the volume group

struct PhysicalVolume {
  std::string key;  // its name within the text: pv0
  std::string id;   // dashed UUID
  std::string device_hint;
  uint64_t dev_size = 0;  // sectors; 0 if the text does not say
  uint64_t pe_start = 0;  // sectors
  uint64_t pe_count = 0;
  std::vector<std::string> flags;  // of status and flags
  bool is_missing = false;
  bool is_allocatable = false;
};

// One stripe, mirror leg or raid image: on a physical volume, or on another logical volume.
struct SegmentArea {
  enum class On { pv, lv };
  On on = On::pv;
  uint32_t index = 0;  // in VolumeGroup::pvs or ::lvs
  uint64_t start_extent = 0;
  friend bool operator==(const SegmentArea&, const SegmentArea&) = default;
};

// Another logical volume that a segment names: origin, cow_store, thin_pool, metadata, mirror_log
// ...
struct Reference {
  std::string role;  // the word of the text
  uint32_t lv = 0;   // index in VolumeGroup::lvs
  friend bool operator==(const Reference&, const Reference&) = default;
};

struct Segment {
  uint64_t start_extent = 0;
  uint64_t extent_count = 0;
  std::string type;          // "striped" (linear has one stripe), "raid1", "thin" ...
  uint64_t stripe_size = 0;  // sectors; 0 for linear
  std::vector<SegmentArea> areas;
  std::vector<Reference> references;
};

struct LogicalVolume {
  std::string name;
  std::string id;                  // dashed UUID
  std::vector<std::string> flags;  // of status and flags
  bool is_visible =
      false;  // to users of LVM2: snapshots are, the text's links to their origins not
  bool is_writable = false;
  bool skips_activation = false;       // flag ACTIVATION_SKIP
  bool auto_activation = true;         // unless NOAUTOACTIVATE
  std::optional<uint32_t> minor;       // asked for with FIXED_MINOR
  std::optional<uint32_t> read_ahead;  // sectors; nothing: automatic
  std::vector<Segment> segments;       // by start_extent, without gaps
  uint64_t extent_count = 0;
  std::vector<Reference>
      used_by;  // who names this one, and as what ("stripes", "raids", "origin" ...)
  std::vector<uint32_t> needed_pvs;  // see pvs_of(); ascending indexes in VolumeGroup::pvs
};

struct VolumeGroup {
  std::string name;
  std::string id;  // dashed UUID
  uint64_t seqno = 0;
  std::vector<std::string> flags;  // of status and flags
  bool is_resizeable = false;
  bool is_readable = false;
  bool is_writable = false;
  bool is_exported = false;
  bool is_partial = false;
  bool is_clustered = false;
  bool auto_activation = true;
  std::string system_id;     // empty: no owner
  std::string lock_type;     // empty or "none": not shared
  uint64_t extent_size = 0;  // sectors
  std::vector<PhysicalVolume> pvs;
  std::vector<LogicalVolume> lvs;

  [[nodiscard]] std::optional<uint32_t> find_lv(std::string_view lv_name) const;
  [[nodiscard]] std::optional<uint32_t> find_pv(std::string_view pv_id) const;
};

[[nodiscard]] Result<VolumeGroup> parse_volume_group(std::string text);

// --- what follows from it; LV is an index in VolumeGroup::lvs

// The UUIDs of all physical volumes that a logical volume needs: through the volumes that it is
// made of, and, since a snapshot and its origin work only together, through those of either.
[[nodiscard]] std::set<std::string> pvs_of(const VolumeGroup& vg, uint32_t lv);

// LVM-<VG id><LV id>[-LAYER], ids without dashes.
[[nodiscard]] std::string dm_uuid(const VolumeGroup& vg, const LogicalVolume& lv,
                                  std::string_view layer = {});

struct TableLine {
  struct Part {
    std::string pv_id;
    uint64_t offset = 0;  // sectors from the start of the physical volume
    friend bool operator==(const Part&, const Part&) = default;
  };
  uint64_t start = 0;   // sectors
  uint64_t length = 0;  // sectors
  enum class Target { linear, striped } target = Target::linear;
  uint64_t stripe_size = 0;  // sectors; of striped
  std::vector<Part> parts;   // one for linear
  friend bool operator==(const TableLine&, const TableLine&) = default;
};

// Why a logical volume is lvm2's to activate and not ours; nothing if linear_table() gives its
// table.
[[nodiscard]] std::optional<std::string> why_not_linear(const VolumeGroup& vg, uint32_t lv);

// The table of a logical volume that is nothing but linear and striped segments on physical
// volumes, and that no other is built on (the origin of a snapshot is not activated under its own
// table).
[[nodiscard]] std::optional<std::vector<TableLine>> linear_table(const VolumeGroup& vg,
                                                                 uint32_t lv);

}  // namespace muster::lvm
