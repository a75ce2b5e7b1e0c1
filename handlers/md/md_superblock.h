// Linux RAID superblocks as they lie on disk: 0.90 and 1.0, 1.1, 1.2 (linux/raid/md_p.h), and the
// signatures of the two container formats that mdadm handles outside the kernel. Pure: bytes in,
// values out.
//
// What is accepted is what the kernel accepts (super_90_load, super_1_load of drivers/md/md.c):
// magic, version, position, both checksums, sizes that the device can hold. A magic with anything
// else wrong is a diagnostic, never a superblock.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/result.h"
#include "handlers/bytes.h"

namespace muster::md {

enum class Version { v0_90, v1_0, v1_1, v1_2 };
[[nodiscard]] std::string_view to_string(Version v);  // "0.90", "1.0" ...

inline constexpr uint64_t kMaxSector = std::numeric_limits<uint64_t>::max();

// Levels as the kernel numbers them.
inline constexpr int kLinear = -1;
inline constexpr int kMultipath = -4;
[[nodiscard]] std::string level_name(int level);  // "raid5", "linear", ..., "level 77"

// What this device is in its array.
struct Role {
  enum class Kind { active, spare, faulty, journal };
  Kind kind = Kind::spare;
  uint32_t slot = 0;  // of an active device
  friend bool operator==(const Role&, const Role&) = default;
};

enum class SlotState {
  missing,    // nobody holds it: failed, removed or never there
  active,     // one device holds it
  replacing,  // two hold it: a replacement is being built
};

struct Reshape {
  uint64_t position = 0;  // sectors in array space
  int32_t new_level = 0;
  int32_t new_layout = 0;
  uint32_t new_chunk_sectors = 0;
  int32_t delta_disks = 0;
  int32_t new_offset = 0;  // sectors to add to data_offset; 0 in 0.91
  bool backwards = false;
  friend bool operator==(const Reshape&, const Reshape&) = default;
};

struct BadBlockLog {
  int32_t offset = 0;  // sectors from the superblock
  uint32_t sectors = 0;
  uint8_t shift = 0;
  friend bool operator==(const BadBlockLog&, const BadBlockLog&) = default;
};

struct Ppl {
  int32_t offset = 0;  // sectors from the superblock
  uint32_t sectors = 0;
  friend bool operator==(const Ppl&, const Ppl&) = default;
};

struct Superblock {
  Version version = Version::v1_2;
  uint32_t major_version = 0;       // as stored
  uint32_t minor_version = 0;       // 0.90: as stored (90, or 91 while reshaping); 1.x: by position
  bool foreign_endianness = false;  // 0.90 written by a machine of the other byte order

  std::string array_uuid;   // aaaaaaaa:bbbbbbbb:cccccccc:dddddddd, as mdadm prints it
  std::string device_uuid;  // same form; empty for 0.90
  std::string full_name;    // 1.x: as stored, unprintable bytes as \xNN; empty for 0.90
  std::string home_host;    // before the first colon of full_name; empty if there is none
  std::string name;         // after it

  int32_t level = 0;
  int32_t layout = 0;
  bool layout_is_meaningful =
      true;  // false for RAID0 without its layout bit (written before Linux 5.4)
  uint32_t chunk_sectors = 0;
  uint32_t raid_disks = 0;
  std::optional<uint32_t> preferred_minor;  // 0.90

  uint32_t device_number = 0;  // index in the superblock's table, not the slot
  Role role;
  bool write_mostly = false;
  bool fail_fast = false;

  uint64_t events = 0;
  uint64_t used_sectors =
      0;  // of each device; 0 where the level leaves it open (linear, some RAID0)
  uint64_t data_offset = 0;   // sectors
  uint64_t data_sectors = 0;  // that the array may use on this device
  uint64_t super_offset = 0;  // sectors
  uint64_t created = 0;       // seconds since 1970
  uint64_t updated = 0;

  uint64_t resync_offset = kMaxSector;  // sectors known to be in sync; kMaxSector: all
  bool clean = true;

  uint32_t feature_map = 0;         // 1.x: as stored
  uint32_t unknown_features = 0;    // bits of it that md_p.h of Linux 6.1 does not name
  bool reserved_bytes_set = false;  // padding that Linux 6.1 insists is zero: a newer feature
  bool clustered = false;
  bool replacement = false;  // this device is replacing the one in its slot
  bool has_journal =
      false;  // the array has one (this device's role says whether it is the journal)
  bool has_bad_blocks = false;           // the log is not empty
  std::optional<int64_t> bitmap_offset;  // sectors from the superblock; there is an internal bitmap
  std::optional<Ppl> ppl;
  std::optional<uint64_t> recovery_offset;  // this device is rebuilt up to here
  bool recovery_by_bitmap = false;
  std::optional<Reshape> reshape;
  std::optional<BadBlockLog> bad_block_log;

  // What this superblock thinks of each slot: raid_disks of them, more only while a reshape takes
  // some away. An active role's slot is always within.
  std::vector<SlotState> slots;

  // Slots that somebody holds, by this superblock: that many members are to be waited for.
  [[nodiscard]] uint32_t active_slots() const;
  [[nodiscard]] bool is_degraded() const { return active_slots() < raid_disks; }

  friend bool operator==(const Superblock&, const Superblock&) = default;
};

// Why this array is mdadm's and not ours: one phrase for the board; nothing if it is usual.
[[nodiscard]] std::optional<std::string> why_unusual(const Superblock& sb);
[[nodiscard]] inline bool usual(const Superblock& sb) {
  return !why_unusual(sb);
}

enum class Container { imsm, ddf };
[[nodiscard]] std::string_view to_string(Container c);

// --- reading

enum class WindowKind {
  superblock_0_90,
  superblock_1_0,
  superblock_1_1,
  superblock_1_2,
  imsm,
  ddf
};

struct Window {
  WindowKind kind = WindowKind::superblock_1_2;
  uint64_t offset = 0;
  size_t length = 0;
  friend bool operator==(const Window&, const Window&) = default;
};

// Where a device of this size may carry something, by offset; all of them lie within the device.
[[nodiscard]] std::vector<Window> windows(uint64_t device_bytes);

// The bytes of one superblock window. Nothing if the magic is not there; an Error names what is
// wrong with what claims to be a superblock.
[[nodiscard]] Result<std::optional<Superblock>> parse_superblock(Bytes window, Version version,
                                                                 uint64_t device_bytes);

// The bytes of an imsm or ddf window.
[[nodiscard]] std::optional<Container> recognise_container(Bytes window, WindowKind kind);

struct Found {
  std::vector<Superblock> superblocks;  // in the order of windows()
  std::optional<Container> container;
  std::vector<std::string> diagnostics;  // malformed superblocks
};

// Reads all windows. An Error is the reader's own: a device that cannot be read. Metadata that is
// only malformed is in the diagnostics.
[[nodiscard]] Result<Found> read_superblocks(const Reader& read, uint64_t device_bytes);

// --- whose superblock is it?

// Does a device of this size hold this superblock where its version puts it, and what it claims to
// use? For 0.90 the position is not stored, so a smaller or larger device may fit as well.
[[nodiscard]] bool fits(const Superblock& sb, uint64_t device_bytes);

enum class Owner { disk, partition, ambiguous, neither };

// The same bytes at the end of a disk and of its last partition can be a valid 0.90 superblock for
// both. 1.0 stores its position, and that decides; for 0.90 the used size decides where it can:
// more than the partition holds is the disk's, exactly what mdadm would have taken from one of the
// two is that one's, anything else is ambiguous.
[[nodiscard]] Owner which_owns(uint64_t disk_bytes, uint64_t partition_start_bytes,
                               uint64_t partition_bytes, const Superblock& sb);

// Several superblocks stand on one device if an array's content carries one of its own or an old
// one was left behind. The outermost is the one whose data area holds every other superblock while
// none of the others' data areas holds it. Gives its index; nothing if sizes and offsets prove
// none.
[[nodiscard]] std::optional<size_t> outermost(const std::vector<Superblock>& superblocks);

}  // namespace muster::md
