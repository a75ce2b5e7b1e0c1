#include "handlers/md/md_superblock.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace muster::md {
namespace {

// linux/raid/md_p.h
constexpr uint32_t kMagic = 0xa92b4efc;
constexpr size_t kSuperblockBytes = 4096;
constexpr uint64_t kSectorBytes = 512;
constexpr uint64_t kReserved090 = 64 * 1024;
constexpr uint32_t kDisks090 = 27;
constexpr size_t kHeader1Bytes = 256;
constexpr uint32_t kMaxDevices1 = (kSuperblockBytes - kHeader1Bytes) / 2;

constexpr uint32_t kFeatureBitmap = 1;
constexpr uint32_t kFeatureRecoveryOffset = 2;
constexpr uint32_t kFeatureReshape = 4;
constexpr uint32_t kFeatureBadBlocks = 8;
constexpr uint32_t kFeatureReplacement = 16;
constexpr uint32_t kFeatureBackwards = 32;
constexpr uint32_t kFeatureNewOffset = 64;
constexpr uint32_t kFeatureRecoveryBitmap = 128;
constexpr uint32_t kFeatureClustered = 256;
constexpr uint32_t kFeatureJournal = 512;
constexpr uint32_t kFeaturePpl = 1024;
constexpr uint32_t kFeatureMultiplePpls = 2048;
constexpr uint32_t kFeatureRaid0Layout = 4096;
constexpr uint32_t kFeatureAll = 8191;

constexpr uint16_t kRoleSpare = 0xffff;
constexpr uint16_t kRoleFaulty = 0xfffe;
constexpr uint16_t kRoleJournal = 0xfffd;
constexpr uint16_t kRoleMax = 0xff00;

// Seconds are the low 40 bits of a version 1 time.
constexpr uint64_t kTimeMask = (uint64_t{1} << 40) - 1;

// Where a version 0.90 superblock stands; the caller knows that the device is large enough.
uint64_t offset_0_90(uint64_t device_bytes) {
  return device_bytes / kReserved090 * kReserved090 - kReserved090;
}

// super_1_load counts in sectors: 8 KiB before the end, aligned down to 4 KiB.
uint64_t offset_1_0(uint64_t device_bytes) {
  return (device_bytes / kSectorBytes - 16) / 8 * 8 * kSectorBytes;
}

// Nothing where the device is too small for that version.
std::optional<uint64_t> offset_of(Version v, uint64_t device_bytes) {
  switch (v) {
    case Version::v0_90:
      if (device_bytes < 2 * kReserved090) {
        return std::nullopt;
      }
      return offset_0_90(device_bytes);
    case Version::v1_0:
      if (device_bytes < 24 * kSectorBytes) {
        return std::nullopt;
      }
      return offset_1_0(device_bytes);
    case Version::v1_1:
      if (device_bytes < kSuperblockBytes) {
        return std::nullopt;
      }
      return 0;
    case Version::v1_2:
      if (device_bytes < 2 * kSuperblockBytes) {
        return std::nullopt;
      }
      return kSuperblockBytes;
  }
  return std::nullopt;
}

std::string uuid_text(const std::array<uint32_t, 4>& words) {
  return fmt::format("{:08x}:{:08x}:{:08x}:{:08x}", words[0], words[1], words[2], words[3]);
}

std::string uuid_text(Bytes b, size_t offset) {
  std::array<uint32_t, 4> words{};
  for (size_t i = 0; i < words.size(); ++i) {
    words[i] = static_cast<uint32_t>(load_be<4>(b, offset + 4 * i));
  }
  return uuid_text(words);
}

bool all_zero(Bytes b) {
  return std::all_of(b.begin(), b.end(), [](std::byte x) { return x == std::byte{0}; });
}

tl::unexpected<Error> malformed(Version v, std::string_view what) {
  return fail(Errc::invalid, fmt::format("md superblock {}: {}", to_string(v), what));
}

// A 0.90 superblock is 1024 words in the byte order of the machine that wrote it.
class Words090 {
 public:
  Words090(Bytes b, bool big_endian) : bytes_(b), big_endian_(big_endian) {}

  uint32_t operator[](size_t word) const {
    return big_endian_ ? static_cast<uint32_t>(load_be<4>(bytes_, 4 * word))
                       : le32(bytes_, 4 * word);
  }
  // 64-bit values are stored as the machine stores them, so the high half comes first on a
  // big-endian one.
  uint64_t pair(size_t word) const {
    const uint64_t first = (*this)[word];
    const uint64_t second = (*this)[word + 1];
    return big_endian_ ? first << 32 | second : second << 32 | first;
  }

 private:
  Bytes bytes_;
  bool big_endian_;
};

// The kernel folds to 16 bits before it compares, since older kernels summed another way.
uint32_t fold(uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return (sum & 0xffff) + (sum >> 16);
}

uint32_t checksum_0_90(const Words090& w) {
  constexpr size_t kChecksumWord = 38;
  uint64_t sum = 0;
  for (size_t i = 0; i < kSuperblockBytes / 4; ++i) {
    sum += i == kChecksumWord ? 0 : w[i];
  }
  return static_cast<uint32_t>((sum & 0xffffffff) + (sum >> 32));
}

uint32_t checksum_1(Bytes b, uint32_t max_dev) {
  constexpr size_t kChecksumOffset = 216;
  const size_t size = kHeader1Bytes + size_t{2} * max_dev;
  uint64_t sum = 0;
  for (size_t at = 0; at + 4 <= size; at += 4) {
    sum += at == kChecksumOffset ? 0 : le32(b, at);
  }
  if (size % 4 == 2) {
    sum += le16(b, size - 2);
  }
  return static_cast<uint32_t>((sum & 0xffffffff) + (sum >> 32));
}

// One more device claims SLOT; grows no further than the caller's bound.
void take_slot(std::vector<SlotState>& slots, uint32_t slot) {
  if (slot >= slots.size()) {
    slots.resize(slot + 1, SlotState::missing);
  }
  slots[slot] = slots[slot] == SlotState::missing ? SlotState::active : SlotState::replacing;
}

Result<std::optional<Superblock>> parse_0_90(Bytes b, uint64_t device_bytes) {
  constexpr auto kV = Version::v0_90;
  const bool big_endian = load_be<4>(b, 0) == kMagic;
  if (!big_endian && le32(b, 0) != kMagic) {
    return std::nullopt;
  }
  if (b.size() < kSuperblockBytes) {
    return malformed(kV, fmt::format("{} of {} bytes", b.size(), kSuperblockBytes));
  }
  const Words090 w(b, big_endian);
  if (w[1] != 0 || w[2] < 90 || w[2] > 91) {
    return malformed(kV, fmt::format("stored version is {}.{}", w[1], w[2]));
  }
  if (fold(checksum_0_90(w)) != fold(w[38])) {
    return malformed(kV, fmt::format("checksum is {:08x}, stored {:08x}", checksum_0_90(w), w[38]));
  }

  Superblock sb;
  sb.version = kV;
  sb.major_version = w[1];
  sb.minor_version = w[2];
  sb.foreign_endianness = big_endian;
  sb.array_uuid = uuid_text({w[5], w[13], w[14], w[15]});
  sb.created = w[6];
  sb.level = static_cast<int32_t>(w[7]);
  sb.used_sectors = uint64_t{w[8]} * 2;
  sb.raid_disks = w[10];
  sb.preferred_minor = w[11];
  sb.updated = w[32];
  const uint32_t state = w[33];
  sb.events = w.pair(39);
  sb.layout = static_cast<int32_t>(w[64]);
  sb.chunk_sectors = static_cast<uint32_t>(w[65] / kSectorBytes);
  sb.super_offset = offset_0_90(device_bytes) / kSectorBytes;
  sb.data_sectors = sb.super_offset;

  if (sb.raid_disks == 0 || sb.raid_disks > kDisks090) {
    return malformed(kV,
                     fmt::format("{} raid disks, possible are 1 to {}", sb.raid_disks, kDisks090));
  }
  if (sb.level >= 1 && sb.used_sectors > sb.data_sectors) {
    return malformed(kV, fmt::format("uses {} sectors, the device has {} before the superblock",
                                     sb.used_sectors, sb.data_sectors));
  }

  sb.clean = (state & 1U << 0) != 0;
  // A checkpoint counts only if it was taken at this very event.
  sb.resync_offset = sb.clean ? kMaxSector : w.pair(41) == sb.events ? w[43] : 0;
  sb.clustered = (state & 1U << 5) != 0;
  if ((state & 1U << 8) != 0) {
    // The position is the kernel's convention, not stored: right behind the superblock.
    sb.bitmap_offset = static_cast<int64_t>(kSuperblockBytes / kSectorBytes);
  }
  if (sb.minor_version >= 91) {
    sb.reshape = Reshape{.position = w.pair(44),
                         .new_level = static_cast<int32_t>(w[46]),
                         .new_layout = static_cast<int32_t>(w[48]),
                         .new_chunk_sectors = static_cast<uint32_t>(w[49] / kSectorBytes),
                         .delta_disks = static_cast<int32_t>(w[47]),
                         .new_offset = 0,
                         .backwards = static_cast<int32_t>(w[47]) < 0};
  }

  // Device descriptors: 32 words each; the fourth is the slot, the fifth the state.
  constexpr uint32_t kFaulty = 1U << 0;
  constexpr uint32_t kActive = 1U << 1;
  constexpr uint32_t kSync = 1U << 2;
  constexpr uint32_t kRemoved = 1U << 3;
  constexpr uint32_t kWriteMostly = 1U << 9;
  constexpr uint32_t kFailFast = 1U << 10;
  const auto descriptor = [&w](uint32_t i, size_t word) { return w[128 + size_t{32} * i + word]; };
  sb.slots.assign(sb.raid_disks, SlotState::missing);
  for (uint32_t i = 0; i < kDisks090; ++i) {
    const uint32_t st = descriptor(i, 4);
    const uint32_t slot = descriptor(i, 3);
    if ((st & (kFaulty | kRemoved)) == 0 && (st & kSync) != 0 && slot < sb.raid_disks) {
      take_slot(sb.slots, slot);
    }
  }
  sb.device_number = w[992];
  if (sb.level == kMultipath) {
    sb.role = {Role::Kind::active, 0};  // every path is as good as the next
    return sb;
  }
  if (sb.device_number >= kDisks090) {
    return malformed(kV, fmt::format("device number {} of {}", sb.device_number, kDisks090));
  }
  const uint32_t st = descriptor(sb.device_number, 4);
  const uint32_t slot = descriptor(sb.device_number, 3);
  sb.write_mostly = (st & kWriteMostly) != 0;
  sb.fail_fast = (st & kFailFast) != 0;
  if ((st & kFaulty) != 0) {
    sb.role = {Role::Kind::faulty, 0};
  } else if ((st & kSync) != 0 || (sb.reshape && (st & kActive) != 0)) {
    if (slot >= sb.raid_disks) {
      return malformed(kV, fmt::format("slot {} of {}", slot, sb.raid_disks));
    }
    sb.role = {Role::Kind::active, slot};
    if ((st & kSync) == 0) {
      sb.recovery_offset = 0;
    }
  }
  return sb;
}

void read_name(Superblock& sb, Bytes field) {
  const std::string_view stored = as_text(field);
  const std::string_view text = stored.substr(0, stored.find('\0'));
  sb.full_name = printable(text);
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    sb.home_host = printable(text.substr(0, colon));
    sb.name = printable(text.substr(colon + 1));
  } else {
    sb.name = sb.full_name;
  }
}

void read_features(Superblock& sb, Bytes b) {
  const auto has = [&sb](uint32_t bit) { return (sb.feature_map & bit) != 0; };
  sb.unknown_features = sb.feature_map & ~kFeatureAll;
  sb.clustered = has(kFeatureClustered);
  sb.replacement = has(kFeatureReplacement);
  sb.has_journal = has(kFeatureJournal);
  sb.has_bad_blocks = has(kFeatureBadBlocks);
  sb.recovery_by_bitmap = has(kFeatureRecoveryBitmap);
  sb.layout_is_meaningful = sb.level != 0 || has(kFeatureRaid0Layout);
  if (has(kFeatureBitmap)) {
    sb.bitmap_offset = static_cast<int32_t>(le32(b, 96));
  }
  if (has(kFeaturePpl | kFeatureMultiplePpls)) {
    sb.ppl = Ppl{static_cast<int16_t>(le16(b, 96)), le16(b, 98)};
  }
  if (has(kFeatureRecoveryOffset)) {
    sb.recovery_offset = le64(b, 152);
  }
  if (has(kFeatureReshape)) {
    const auto delta = static_cast<int32_t>(le32(b, 112));
    sb.reshape = Reshape{
        .position = le64(b, 104),
        .new_level = static_cast<int32_t>(le32(b, 100)),
        .new_layout = static_cast<int32_t>(le32(b, 116)),
        .new_chunk_sectors = le32(b, 120),
        .delta_disks = delta,
        .new_offset = has(kFeatureNewOffset) ? static_cast<int32_t>(le32(b, 124)) : 0,
        .backwards = delta < 0 || (delta == 0 && has(kFeatureBackwards)),
    };
  }
  const BadBlockLog log{static_cast<int32_t>(le32(b, 188)), le16(b, 186),
                        static_cast<uint8_t>(load_le<1>(b, 185))};
  if (log.offset != 0 && log.sectors != 0) {
    sb.bad_block_log = log;
  }
}

// Roles of this device and of all that the superblock lists. An Error where a role contradicts the
// rest.
Result<void> read_roles(Superblock& sb, Bytes b, uint32_t max_dev) {
  sb.slots.assign(sb.raid_disks, SlotState::missing);
  const auto role_of = [b](uint32_t i) { return le16(b, kHeader1Bytes + size_t{2} * i); };
  for (uint32_t i = 0; i < max_dev; ++i) {
    const uint16_t role = role_of(i);
    // While a reshape takes devices away, the slots that go lie behind raid_disks.
    if (role < sb.raid_disks || (sb.reshape && role < kMaxDevices1)) {
      take_slot(sb.slots, role);
    }
  }
  const uint16_t role = sb.device_number < max_dev ? role_of(sb.device_number) : kRoleSpare;
  switch (role) {
    case kRoleSpare:
      sb.role = {Role::Kind::spare, 0};
      return {};
    case kRoleFaulty:
      sb.role = {Role::Kind::faulty, 0};
      return {};
    case kRoleJournal:
      if (!sb.has_journal) {
        return malformed(sb.version, "is a journal device of an array without a journal");
      }
      sb.role = {Role::Kind::journal, 0};
      return {};
    default:
      if (role > kRoleMax || role >= sb.slots.size()) {
        return malformed(sb.version, fmt::format("slot {} of {}", role, sb.raid_disks));
      }
      sb.role = {Role::Kind::active, role};
      return {};
  }
}

Result<void> check_sizes_1(const Superblock& sb, uint64_t device_bytes) {
  const uint64_t device_sectors = device_bytes / kSectorBytes;
  const uint64_t end = sb.version == Version::v1_0 ? sb.super_offset : device_sectors;
  if (sb.data_sectors < 10) {
    return malformed(sb.version, fmt::format("{} data sectors", sb.data_sectors));
  }
  if (sb.data_offset > end || sb.data_sectors > end - sb.data_offset) {
    return malformed(sb.version,
                     fmt::format("claims {} data sectors from {} on, the device has room up to {}",
                                 sb.data_sectors, sb.data_offset, end));
  }
  const uint64_t behind = sb.super_offset + kSuperblockBytes / kSectorBytes;
  if (sb.version != Version::v1_0 && sb.data_offset < behind) {
    return malformed(sb.version, fmt::format("data from sector {} on would overlap the superblock",
                                             sb.data_offset));
  }
  if (sb.level >= 1 && sb.role.kind == Role::Kind::active && !sb.reshape &&
      sb.used_sectors > sb.data_sectors) {
    return malformed(sb.version,
                     fmt::format("uses {} of {} data sectors", sb.used_sectors, sb.data_sectors));
  }
  return {};
}

Result<std::optional<Superblock>> parse_1(Bytes b, Version v, uint64_t device_bytes,
                                          uint64_t offset) {
  if (le32(b, 0) != kMagic) {
    return std::nullopt;
  }
  if (b.size() < kSuperblockBytes) {
    return malformed(v, fmt::format("{} of {} bytes", b.size(), kSuperblockBytes));
  }
  if (le32(b, 4) != 1) {
    return malformed(v, fmt::format("stored major version is {}", le32(b, 4)));
  }
  if (le64(b, 144) != offset / kSectorBytes) {
    return malformed(
        v, fmt::format("stands at sector {}, says sector {}", offset / kSectorBytes, le64(b, 144)));
  }
  const uint32_t max_dev = le32(b, 220);
  if (max_dev > kMaxDevices1) {
    return malformed(v, fmt::format("table of {} devices, possible are {}", max_dev, kMaxDevices1));
  }
  if (checksum_1(b, max_dev) != le32(b, 216)) {
    return malformed(
        v, fmt::format("checksum is {:08x}, stored {:08x}", checksum_1(b, max_dev), le32(b, 216)));
  }

  Superblock sb;
  sb.version = v;
  sb.major_version = 1;
  sb.minor_version = v == Version::v1_0 ? 0 : v == Version::v1_1 ? 1 : 2;
  sb.feature_map = le32(b, 8);
  sb.array_uuid = uuid_text(b, 16);
  sb.device_uuid = uuid_text(b, 168);
  read_name(sb, b.subspan(32, 32));
  sb.created = le64(b, 64) & kTimeMask;
  sb.level = static_cast<int32_t>(le32(b, 72));
  sb.layout = static_cast<int32_t>(le32(b, 76));
  sb.used_sectors = le64(b, 80);
  sb.chunk_sectors = le32(b, 88);
  sb.raid_disks = le32(b, 92);
  sb.data_offset = le64(b, 128);
  sb.data_sectors = le64(b, 136);
  sb.super_offset = le64(b, 144);
  sb.device_number = le32(b, 160);
  const auto device_flags = load_le<1>(b, 184);
  sb.write_mostly = (device_flags & 1) != 0;
  sb.fail_fast = (device_flags & 2) != 0;
  sb.updated = le64(b, 192) & kTimeMask;
  sb.events = le64(b, 200);
  sb.resync_offset = le64(b, 208);
  sb.clean = sb.resync_offset == kMaxSector;
  sb.reserved_bytes_set = le32(b, 12) != 0 || !all_zero(b.subspan(224, 32));

  if (sb.raid_disks == 0 || sb.raid_disks > kMaxDevices1) {
    return malformed(
        v, fmt::format("{} raid disks, possible are 1 to {}", sb.raid_disks, kMaxDevices1));
  }
  read_features(sb, b);
  if (auto ok = read_roles(sb, b, max_dev); !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  if (auto ok = check_sizes_1(sb, device_bytes); !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  return sb;
}

std::optional<Version> version_of(WindowKind kind) {
  switch (kind) {
    case WindowKind::superblock_0_90:
      return Version::v0_90;
    case WindowKind::superblock_1_0:
      return Version::v1_0;
    case WindowKind::superblock_1_1:
      return Version::v1_1;
    case WindowKind::superblock_1_2:
      return Version::v1_2;
    case WindowKind::imsm:
    case WindowKind::ddf:
      break;
  }
  return std::nullopt;
}

// What mdadm takes of CAPACITY sectors for a 0.90 array with these chunks, or all of it.
bool takes_all(const Superblock& sb, uint64_t capacity) {
  const uint64_t chunk = std::max<uint64_t>(sb.chunk_sectors, 2);
  return sb.used_sectors != 0 &&
         (sb.used_sectors == capacity || sb.used_sectors == capacity / chunk * chunk);
}

}  // namespace

std::string_view to_string(Version v) {
  switch (v) {
    case Version::v0_90:
      return "0.90";
    case Version::v1_0:
      return "1.0";
    case Version::v1_1:
      return "1.1";
    case Version::v1_2:
      return "1.2";
  }
  return "?";
}

std::string_view to_string(Container c) {
  return c == Container::imsm ? "imsm" : "ddf";
}

std::string level_name(int level) {
  switch (level) {
    case kMultipath:
      return "multipath";
    case kLinear:
      return "linear";
    case 0:
    case 1:
    case 4:
    case 5:
    case 6:
    case 10:
      return fmt::format("raid{}", level);
    default:
      return fmt::format("level {}", level);
  }
}

uint32_t Superblock::active_slots() const {
  return static_cast<uint32_t>(std::count_if(slots.begin(), slots.end(),
                                             [](SlotState s) { return s != SlotState::missing; }));
}

std::optional<std::string> why_unusual(const Superblock& sb) {
  if (sb.foreign_endianness) {
    return "written by a machine of the other byte order";
  }
  if (sb.unknown_features != 0) {
    return fmt::format("unknown feature bits {:#x}", sb.unknown_features);
  }
  if (sb.reserved_bytes_set) {
    return "reserved bytes are in use: a newer feature";
  }
  if (sb.reshape) {
    return fmt::format("a reshape is under way (at sector {})", sb.reshape->position);
  }
  if (sb.has_journal || sb.role.kind == Role::Kind::journal) {
    return "has a write journal";
  }
  if (sb.ppl) {
    return "has a partial parity log";
  }
  if (sb.clustered) {
    return "belongs to a cluster";
  }
  if (sb.replacement ||
      std::find(sb.slots.begin(), sb.slots.end(), SlotState::replacing) != sb.slots.end()) {
    return "a device is being replaced";
  }
  if (sb.recovery_offset) {
    return fmt::format("this device is being rebuilt (up to sector {})", *sb.recovery_offset);
  }
  constexpr std::array kLevels{kLinear, 0, 1, 4, 5, 6, 10};
  if (std::find(kLevels.begin(), kLevels.end(), sb.level) == kLevels.end()) {
    return "is of " + (sb.level == kMultipath ? "level multipath" : level_name(sb.level));
  }
  return std::nullopt;
}

std::vector<Window> windows(uint64_t device_bytes) {
  std::vector<Window> out;
  constexpr std::array kVersions{
      std::pair{WindowKind::superblock_1_1, Version::v1_1},
      std::pair{WindowKind::superblock_1_2, Version::v1_2},
      std::pair{WindowKind::superblock_0_90, Version::v0_90},
      std::pair{WindowKind::superblock_1_0, Version::v1_0},
  };
  for (const auto& [kind, version] : kVersions) {
    if (const auto at = offset_of(version, device_bytes)) {
      out.push_back({kind, *at, kSuperblockBytes});
    }
  }
  // IMSM stands in the last sector but one, and a sector may have 4 KiB; DDF's anchor in the last
  // 512 bytes.
  for (const uint64_t back : {uint64_t{8192}, uint64_t{1024}}) {
    if (device_bytes >= back) {
      out.push_back({WindowKind::imsm, device_bytes - back, 512});
    }
  }
  if (device_bytes >= 512) {
    out.push_back({WindowKind::ddf, device_bytes - 512, 512});
  }
  return out;
}

Result<std::optional<Superblock>> parse_superblock(Bytes window, Version version,
                                                   uint64_t device_bytes) {
  const auto offset = offset_of(version, device_bytes);
  if (!offset) {
    return std::nullopt;
  }
  return version == Version::v0_90 ? parse_0_90(window, device_bytes)
                                   : parse_1(window, version, device_bytes, *offset);
}

std::optional<Container> recognise_container(Bytes window, WindowKind kind) {
  constexpr std::string_view kImsm = "Intel Raid ISM Cfg Sig. ";
  constexpr uint32_t kDdf = 0xde11de11;
  if (kind == WindowKind::imsm && as_text(window).starts_with(kImsm)) {
    return Container::imsm;
  }
  // Magic, checksum, identifier of 24 bytes, then the revision: "01.02.00", "02.00.00".
  if (kind == WindowKind::ddf && window.size() >= 40 && load_be<4>(window, 0) == kDdf) {
    const std::string_view revision = as_text(window.subspan(32, 8));
    if (revision[2] == '.' && revision[5] == '.') {
      return Container::ddf;
    }
  }
  return std::nullopt;
}

Result<Found> read_superblocks(const Reader& read, uint64_t device_bytes) {
  Found found;
  for (const Window& w : windows(device_bytes)) {
    auto bytes = read(w.offset, w.length);
    if (!bytes) {
      return tl::unexpected(std::move(bytes.error()));
    }
    const auto version = version_of(w.kind);
    if (!version) {
      if (const auto c = recognise_container(*bytes, w.kind); c && !found.container) {
        found.container = c;
      }
      continue;
    }
    auto sb = parse_superblock(*bytes, *version, device_bytes);
    if (!sb) {
      found.diagnostics.push_back(std::move(sb.error().text));
    } else if (*sb) {
      found.superblocks.push_back(std::move(**sb));
    }
  }
  return found;
}

bool fits(const Superblock& sb, uint64_t device_bytes) {
  const auto offset = offset_of(sb.version, device_bytes);
  if (!offset) {
    return false;
  }
  if (sb.version == Version::v0_90) {
    return sb.level < 1 || sb.used_sectors <= *offset / kSectorBytes;
  }
  return sb.super_offset == *offset / kSectorBytes && check_sizes_1(sb, device_bytes).has_value();
}

Owner which_owns(uint64_t disk_bytes, uint64_t partition_start_bytes, uint64_t partition_bytes,
                 const Superblock& sb) {
  bool disk = fits(sb, disk_bytes);
  bool partition = fits(sb, partition_bytes);
  if (disk && partition && sb.version == Version::v0_90) {
    const uint64_t disk_at = offset_0_90(disk_bytes);
    const uint64_t partition_at = offset_0_90(partition_bytes);
    if (disk_at != partition_start_bytes + partition_at) {
      // Not the same bytes: the position at which this superblock was read tells them apart.
      disk = sb.super_offset == disk_at / kSectorBytes;
      partition = sb.super_offset == partition_at / kSectorBytes;
    } else if (takes_all(sb, disk_at / kSectorBytes) !=
               takes_all(sb, partition_at / kSectorBytes)) {
      disk = takes_all(sb, disk_at / kSectorBytes);
      partition = !disk;
    }
  }
  return disk && partition ? Owner::ambiguous
         : disk            ? Owner::disk
         : partition       ? Owner::partition
                           : Owner::neither;
}

std::optional<size_t> outermost(const std::vector<Superblock>& superblocks) {
  // Does A's data area hold B's superblock?
  const auto holds = [](const Superblock& a, const Superblock& b) {
    uint64_t length = a.data_sectors;
    if (a.version == Version::v0_90) {
      // 0.90 does not say where it stands: in B's content it would have taken all of that smaller
      // device.
      if (!takes_all(a, a.super_offset) && b.data_offset < a.super_offset &&
          takes_all(a, a.super_offset - b.data_offset)) {
        return false;
      }
      length = a.level >= 1 && a.used_sectors != 0 ? a.used_sectors : a.data_sectors;
    }
    return b.super_offset >= a.data_offset && b.super_offset - a.data_offset < length;
  };
  for (size_t i = 0; i < superblocks.size(); ++i) {
    bool is_outermost = true;
    for (size_t j = 0; j < superblocks.size(); ++j) {
      is_outermost = is_outermost && (i == j || (holds(superblocks[i], superblocks[j]) &&
                                                 !holds(superblocks[j], superblocks[i])));
    }
    if (is_outermost) {
      return i;
    }
  }
  return std::nullopt;
}

}  // namespace muster::md
