#include "handlers/md/md_superblock.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/support/device_image.h"

namespace muster::md {
namespace {

using ::muster::testing::DeviceImage;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kSize = 16 << 20;

Found read(const std::string& fixture) {
  DeviceImage image = DeviceImage::fixture("md/" + fixture);
  auto found = read_superblocks(image.reader(), image.size());
  EXPECT_TRUE(found) << found.error().text;
  return found.value_or(Found{});
}

Superblock one(const std::string& fixture) {
  Found found = read(fixture);
  EXPECT_THAT(found.superblocks, SizeIs(1)) << fixture;
  EXPECT_THAT(found.diagnostics, IsEmpty()) << fixture;
  return found.superblocks.empty() ? Superblock{} : found.superblocks.front();
}

Superblock one_of(DeviceImage& image) {
  auto found = read_superblocks(image.reader(), image.size());
  EXPECT_TRUE(found);
  EXPECT_THAT(found->superblocks, SizeIs(1));
  EXPECT_THAT(found->diagnostics, IsEmpty());
  return found->superblocks.empty() ? Superblock{} : found->superblocks.front();
}

// Puts the checksum right after a change.
void put_sum(DeviceImage& image, uint64_t at, Version version) {
  const auto b = image.bytes(at, 4096);
  const Bytes bytes(b);
  const bool old = version == Version::v0_90;
  const size_t field = old ? 152 : 216;
  // A device table beyond the superblock is summed over as far as it goes.
  const size_t size = old ? 4096 : std::min<size_t>(4096, 256 + size_t{2} * le32(bytes, 220));
  uint64_t sum = 0;
  for (size_t i = 0; i + 4 <= size; i += 4) {
    sum += i == field ? 0 : le32(bytes, i);
  }
  if (size % 4 == 2) {
    sum += le16(bytes, size - 2);
  }
  image.put_le(at + field, 4, (sum & 0xffffffff) + (sum >> 32));
}

// --- mdadm as the witness: the same facts as its --examine of the same bytes

// "Key : value" lines; the line of the device itself ("this 0 254 0 0 active sync") under "this".
std::map<std::string, std::string> examine(const std::string& fixture) {
  std::map<std::string, std::string> facts;
  std::ifstream in(DeviceImage::fixture_path("md/" + fixture + ".examine"));
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(" : ");
    if (line.starts_with("this")) {
      facts["this"] = line;
    } else if (colon != std::string::npos) {
      std::string key = line.substr(0, colon);
      key.erase(0, key.find_first_not_of(' '));
      facts[key] = line.substr(colon + 3);
    }
  }
  return facts;
}

std::string word(const std::string& text, size_t index) {
  std::istringstream in(text);
  std::string w;
  for (size_t i = 0; i <= index; ++i) {
    w.clear();
    in >> w;
  }
  return w;
}

std::string layout_word(const Superblock& sb) {
  switch (sb.level) {
    case 0:
      return sb.layout == 1 ? "original" : "?";
    case 5:
    case 6:
      return sb.layout == 2 ? "left-symmetric" : "?";
    case 10:
      return sb.layout == 0x102 ? "near=2" : sb.layout == 0x201 ? "far=2" : "?";
    default:
      return "";
  }
}

std::string slots_word(const Superblock& sb) {
  std::string s;
  for (const SlotState slot : sb.slots) {
    s += slot == SlotState::active ? 'A' : slot == SlotState::replacing ? 'R' : '.';
  }
  return s;
}

// Some figures mdadm follows up with other units or a legend: what it added is added.
void follow_up(std::map<std::string, std::string>& told,
               const std::map<std::string, std::string>& facts) {
  for (const std::string key :
       {"Used Dev Size", "Avail Dev Size", "Data Offset", "Super Offset", "Array State", "Name"}) {
    const auto fact = facts.find(key);
    if (fact != facts.end() && told.contains(key) && word(fact->second, 0) == told[key]) {
      told[key] = fact->second;
    }
  }
}

// What mdadm would have written of this superblock.
std::map<std::string, std::string> retold(const Superblock& sb) {
  const bool old = sb.version == Version::v0_90;
  std::map<std::string, std::string> told;
  told["Version"] =
      old ? fmt::format("0.{}.00", sb.minor_version) : std::string(to_string(sb.version));
  told[old ? "UUID" : "Array UUID"] = sb.array_uuid;
  told["Raid Level"] = level_name(sb.level);
  told["Raid Devices"] = std::to_string(sb.raid_disks);
  told["Events"] = std::to_string(sb.events);
  told["State"] = sb.clean ? "clean" : "active";
  if (sb.chunk_sectors != 0 && sb.level != kLinear) {
    told["Chunk Size"] = fmt::format("{}K", sb.chunk_sectors / 2);
  }
  if (const std::string layout = layout_word(sb);
      !layout.empty() && sb.layout_is_meaningful && !(old && sb.level == 0)) {
    told["Layout"] = layout;
  }
  if (sb.reshape) {
    told["Reshape pos'n"] = std::to_string(sb.reshape->position / 2);
    told["Delta Devices"] =
        fmt::format("{} ({}->{})", sb.reshape->delta_disks,
                    static_cast<int>(sb.raid_disks) - sb.reshape->delta_disks, sb.raid_disks);
  }
  if (old) {
    told["Preferred Minor"] = std::to_string(sb.preferred_minor.value_or(999));
    if (sb.level > 0) {
      told["Used Dev Size"] = std::to_string(sb.used_sectors / 2);
    }
    if (sb.bitmap_offset) {
      told["Internal Bitmap"] = "present";
    }
    return told;
  }
  told["Name"] = sb.home_host + ":" + sb.name;
  told["Device UUID"] = sb.device_uuid;
  told["Avail Dev Size"] = std::to_string(sb.data_sectors);
  if (sb.used_sectors != sb.data_sectors && sb.level != 0) {
    told["Used Dev Size"] = std::to_string(sb.used_sectors);
  }
  if (sb.version != Version::v1_0) {
    told["Data Offset"] = std::to_string(sb.data_offset);
  }
  told["Super Offset"] = std::to_string(sb.super_offset);
  told["Feature Map"] = fmt::format("{:#x}", sb.feature_map);
  told["Array State"] = slots_word(sb);
  switch (sb.role.kind) {
    case Role::Kind::active:
      told["Device Role"] =
          fmt::format("{} device {}", sb.replacement ? "Replacement" : "Active", sb.role.slot);
      break;
    case Role::Kind::spare:
      told["Device Role"] = "spare";
      break;
    case Role::Kind::journal:
      told["Device Role"] = "Journal";
      break;
    case Role::Kind::faulty:
      told["Device Role"] = "Faulty";
      break;
  }
  if (sb.bitmap_offset) {
    told["Internal Bitmap"] = fmt::format("{} sectors from superblock", *sb.bitmap_offset);
  }
  if (sb.recovery_offset) {
    told["Recovery Offset"] = fmt::format("{} sectors", *sb.recovery_offset);
  }
  if (sb.ppl) {
    told["PPL"] = fmt::format("{} sectors at offset {} sectors from superblock", sb.ppl->sectors,
                              sb.ppl->offset);
  }
  if (sb.bad_block_log) {
    told["Bad Block Log"] =
        fmt::format("512 entries available at offset {} sectors", sb.bad_block_log->offset);
  }
  if (sb.write_mostly || sb.fail_fast) {
    told["Flags"] =
        fmt::format("{}{}", sb.write_mostly ? "write-mostly " : "", sb.fail_fast ? "failfast" : "");
  }
  return told;
}

TEST(Superblock, TellsWhatMdadmTells) {
  // What mdadm derives, or says of the whole rather than of this superblock.
  const std::set<std::string> derived{"Magic",
                                      "Creation Time",
                                      "Update Time",
                                      "Checksum",
                                      "Array Size",
                                      "Unused Space",
                                      "Total Devices",
                                      "Active Devices",
                                      "Working Devices",
                                      "Failed Devices",
                                      "Spare Devices",
                                      "Rounding",
                                      "this"};
  size_t compared = 0;
  for (const std::string& name : DeviceImage::fixture_names("md", ".examine")) {
    SCOPED_TRACE(name);
    const auto facts = examine(name);
    if (name.starts_with("imsm") || name.starts_with("ddf") || !facts.contains("Magic")) {
      continue;  // a container, or nothing found
    }
    const Found found = read(name);
    ASSERT_FALSE(found.superblocks.empty());
    // Of two, mdadm shows the one that was made last.
    const auto sb =
        std::find_if(found.superblocks.begin(), found.superblocks.end(), [&](const Superblock& s) {
          return facts.contains("Array UUID") ? s.array_uuid == facts.at("Array UUID")
                                              : s.array_uuid == facts.at("UUID");
        });
    ASSERT_NE(sb, found.superblocks.end());
    std::map<std::string, std::string> expected = facts;
    std::erase_if(expected, [&](const auto& fact) { return derived.contains(fact.first); });
    auto told = retold(*sb);
    follow_up(told, facts);
    EXPECT_EQ(told, expected);
    if (const auto self = facts.find("this"); self != facts.end()) {
      EXPECT_EQ(word(self->second, 1), std::to_string(sb->device_number));
      if (word(self->second, 5) == "active") {
        EXPECT_EQ(sb->role, (Role{Role::Kind::active,
                                  static_cast<uint32_t>(std::stoul(word(self->second, 4)))}));
      } else {
        EXPECT_EQ(sb->role.kind, Role::Kind::spare);
      }
    }
    ++compared;
  }
  EXPECT_EQ(compared, 107);
}

TEST(Superblock, SlotsOf090) {
  EXPECT_EQ(slots_word(one("v090-l6-1")), "AAAA");
  EXPECT_EQ(slots_word(one("spare-090-2")), "AA");
  EXPECT_EQ(slots_word(one("degraded-090-0")), "A.A");
  EXPECT_EQ(slots_word(one("stale-090-0")), "A.");
  EXPECT_EQ(slots_word(one("stale-090-1")), "AA");
  EXPECT_EQ(one("degraded-090-0").active_slots(), 2);
  EXPECT_TRUE(one("degraded-090-0").is_degraded());
  EXPECT_FALSE(one("v090-l6-1").is_degraded());
}

TEST(Superblock, ResyncAndDirt) {
  for (const char* version : {"090", "12"}) {
    const Superblock halfway = one(fmt::format("resync1-{}-0", version));
    EXPECT_FALSE(halfway.clean);
    EXPECT_GT(halfway.resync_offset, 0);
    EXPECT_LT(halfway.resync_offset, halfway.used_sectors);
    const Superblock dirty = one(fmt::format("dirty-{}-0", version));
    EXPECT_FALSE(dirty.clean);
    EXPECT_EQ(dirty.resync_offset, 0);
    EXPECT_TRUE(usual(dirty));
    const Superblock clean = one(fmt::format("v{}-l1-0", version));
    EXPECT_TRUE(clean.clean);
    EXPECT_EQ(clean.resync_offset, kMaxSector);
  }
}

TEST(Superblock, ACheckpointCountsOnlyAtItsOwnEvent) {
  constexpr uint64_t kAt = 32640 * 512;
  DeviceImage image = DeviceImage::fixture("md/resync1-090-0");
  const uint64_t events = le64(image.bytes(kAt, 4096), 39 * 4);
  image.put_le(kAt + 41 * 4, 8, events - 1);
  put_sum(image, kAt, Version::v0_90);
  EXPECT_EQ(one_of(image).resync_offset, 0);
}

TEST(Superblock, NamesAreSplitAtTheFirstColon) {
  const Superblock sb = one("name-12-0");
  EXPECT_EQ(sb.full_name, "any:r5");
  EXPECT_EQ(sb.home_host, "any");
  EXPECT_EQ(sb.name, "r5");
  EXPECT_EQ(one("v090-l1-0").full_name, "");
}

TEST(Superblock, WhatIsUnusualGoesToMdadm) {
  const std::map<std::string, std::string> expected{
      {"v12-l5-0", ""},
      {"v090-llinear-0", ""},
      {"bitmap-10-0", ""},
      {"spare-12-2", ""},
      {"degraded-12-0", ""},
      {"mostly-12-1", ""},
      {"dirty-12-0", ""},
      {"reshape-12-0", "a reshape is under way (at sector 3072)"},
      {"reshape-090-3", "a reshape is under way (at sector 3072)"},
      {"journal-12-0", "has a write journal"},
      {"journal-12-j", "has a write journal"},
      {"ppl-12-1", "has a partial parity log"},
      {"replace-12-0", "a device is being replaced"},
      {"replace-12-2", "a device is being replaced"},
      {"rebuild-12-1", "this device is being rebuilt (up to sector 2304)"},
      {"rebuild-12-0", ""},
  };
  std::map<std::string, std::string> got;
  for (const auto& [name, reason] : expected) {
    const Superblock sb = one(name);
    got[name] = why_unusual(sb).value_or("");
    EXPECT_EQ(usual(sb), reason.empty());
  }
  EXPECT_EQ(got, expected);
}

TEST(Superblock, ContainersAreRecognised) {
  EXPECT_EQ(read("imsm-0").container, Container::imsm);
  EXPECT_EQ(read("ddf-0").container, Container::ddf);
  EXPECT_EQ(read("v12-l5-0").container, std::nullopt);
  // IMSM on a disk with sectors of 4 KiB
  DeviceImage image(kSize);
  image.put(kSize - 8192, "Intel Raid ISM Cfg Sig. 1.3.00");
  EXPECT_EQ(read_superblocks(image.reader(), image.size())->container, Container::imsm);
}

// --- whose is it?

constexpr uint64_t kPartitionStart = 1 << 20;

TEST(WhichOwns, SizesAndPositionsDecide) {
  const auto owner = [](const std::string& fixture) {
    return which_owns(kSize, kPartitionStart, kSize - kPartitionStart, one(fixture));
  };
  EXPECT_EQ(owner("last-part-090-0"), Owner::partition);
  EXPECT_EQ(owner("last-disk-090-0"), Owner::disk);
  EXPECT_EQ(owner("last-disk-10-0"), Owner::disk);
  // Both read whole: the disk's position is not what a 1.0 superblock of the partition says.
  EXPECT_THAT(read("last-part-10-0").superblocks, IsEmpty());
  EXPECT_THAT(read("last-part-10-0").diagnostics,
              ElementsAre("md superblock 1.0: stands at sector 32752, says sector 30704"));
}

TEST(WhichOwns, WhatMayBeEithersIsAmbiguous) {
  Superblock sb = one("last-part-090-0");
  sb.used_sectors = 20000;  // made smaller than either, for a smaller third member
  EXPECT_EQ(which_owns(kSize, kPartitionStart, kSize - kPartitionStart, sb), Owner::ambiguous);
  sb.level = 0;
  sb.used_sectors = 0;
  EXPECT_EQ(which_owns(kSize, kPartitionStart, kSize - kPartitionStart, sb), Owner::ambiguous);
  sb.level = 1;
  sb.used_sectors = kSize / 512;
  EXPECT_EQ(which_owns(kSize, kPartitionStart, kSize - kPartitionStart, sb), Owner::neither);
}

TEST(WhichOwns, AnotherPlaceIsNotShared) {
  // The partition ends early, so its superblock would stand elsewhere.
  const Superblock sb = one("last-disk-090-0");
  EXPECT_EQ(which_owns(2 * kSize, kPartitionStart, kSize, sb), Owner::partition);
  EXPECT_EQ(which_owns(kSize, kPartitionStart, kSize / 2, sb), Owner::disk);
}

TEST(Fits, OnlyWhereItsSizesFit) {
  const Superblock old = one("v090-l5-0");
  EXPECT_TRUE(fits(old, kSize));
  EXPECT_TRUE(fits(old, 2 * kSize));
  EXPECT_FALSE(fits(old, kSize / 2));
  EXPECT_FALSE(fits(old, 1000));
  const Superblock end = one("v10-l5-0");
  EXPECT_TRUE(fits(end, kSize));
  EXPECT_FALSE(fits(end, kSize + 4096));
  const Superblock start = one("v12-l5-0");
  EXPECT_TRUE(fits(start, kSize + 4096));
  EXPECT_FALSE(fits(start, kSize - 4096));
}

TEST(Outermost, IsTheOneThatHoldsTheOther) {
  const auto version = [](const std::string& fixture) -> std::string {
    const Found found = read(fixture);
    EXPECT_THAT(found.superblocks, SizeIs(2));
    const auto i = outermost(found.superblocks);
    return i ? std::string(to_string(found.superblocks[*i].version)) : "none";
  };
  EXPECT_EQ(version("nested-0"), "1.0");    // an array with 1.2 in the content of one with 1.0
  EXPECT_EQ(version("nested90-0"), "1.2");  // 0.90 in the content of 1.2
  const Superblock lone = one("v12-l1-0");
  EXPECT_EQ(outermost({lone}), 0);
  EXPECT_EQ(outermost({}), std::nullopt);
  // Two that claim the whole device, each over the other: an old one was left behind.
  EXPECT_EQ(outermost({lone, one("v090-l1-0")}), std::nullopt);
}

// --- where to look

TEST(Windows, LieWithinAnyDevice) {
  for (uint64_t size = 0; size < 300000; size += 509) {
    for (const Window& w : windows(size)) {
      EXPECT_LE(w.offset + w.length, size) << size;
      EXPECT_LE(w.length, 4096);
    }
  }
  EXPECT_THAT(windows(511), IsEmpty());
  // The largest size there is
  for (const Window& w : windows(~uint64_t{0})) {
    EXPECT_LE(w.offset, ~uint64_t{0} - w.length);
  }
}

TEST(Windows, StandWhereTheKernelLooks) {
  using K = WindowKind;
  EXPECT_THAT(windows(kSize + 1234 * 512),
              ElementsAre(Window{K::superblock_1_1, 0, 4096}, Window{K::superblock_1_2, 4096, 4096},
                          Window{K::superblock_0_90, 17301504, 4096},
                          Window{K::superblock_1_0, 17399808, 4096}, Window{K::imsm, 17400832, 512},
                          Window{K::imsm, 17408000, 512}, Window{K::ddf, 17408512, 512}));
}

TEST(ReadSuperblocks, ReadsLittleAndPassesErrorsOn) {
  DeviceImage image = DeviceImage::fixture("md/v12-l5-0");
  ASSERT_TRUE(read_superblocks(image.reader(), image.size()));
  EXPECT_LE(image.bytes_read, 20000);
  const Reader broken = [](uint64_t, size_t) -> Result<std::vector<std::byte>> {
    return fail_errno("read sda", EIO);
  };
  const auto found = read_superblocks(broken, kSize);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().os_error, EIO);
  // A device that ends early
  const Reader empty = [](uint64_t, size_t) -> Result<std::vector<std::byte>> {
    return std::vector<std::byte>{};
  };
  EXPECT_THAT(read_superblocks(empty, kSize)->superblocks, IsEmpty());
}

// --- hostile superblocks

struct Lie {
  size_t at;
  size_t length;
  uint64_t value;
  std::string error;  // empty: not a superblock at all, and nothing to say
};

void expect_lies_are_seen(const std::string& fixture, Version version, uint64_t at,
                          const std::vector<Lie>& lies) {
  for (const Lie& lie : lies) {
    SCOPED_TRACE(fmt::format("{} byte {} = {}", fixture, lie.at, lie.value));
    DeviceImage image = DeviceImage::fixture("md/" + fixture);
    image.put_le(at + lie.at, lie.length, lie.value);
    put_sum(image, at, version);
    const auto sb = parse_superblock(image.bytes(at, 4096), version, image.size());
    if (lie.error.empty()) {
      ASSERT_TRUE(sb) << sb.error().text;
      EXPECT_EQ(*sb, std::nullopt);
    } else {
      ASSERT_FALSE(sb);
      EXPECT_THAT(sb.error().text, HasSubstr(lie.error));
    }
  }
}

TEST(HostileSuperblock, Version1) {
  const std::vector<Lie> lies{
      {0, 4, 0, ""},
      {4, 4, 2, "stored major version is 2"},
      {92, 4, 0, "0 raid disks"},
      {92, 4, 0xffffffff, "4294967295 raid disks"},
      {92, 4, 1921, "1921 raid disks"},
      {136, 8, 9, ": 9 data sectors"},
      {136, 8, ~uint64_t{0}, "claims 18446744073709551615 data sectors"},
      {136, 8, 30721, "claims 30721 data sectors from 2048 on, the device has room up to 32768"},
      {128, 8, 15, "overlap the superblock"},
      {128, 8, ~uint64_t{0}, "from 18446744073709551615 on"},
      {80, 8, 30721, "uses 30721 of 30720 data sectors"},
      {80, 8, ~uint64_t{0}, "uses 18446744073709551615"},
      {144, 8, 0, "stands at sector 8, says sector 0"},
      {220, 4, 0xffffffff, "table of 4294967295 devices"},
      {220, 4, 1921, "table of 1921 devices"},
      {256, 2, 3, "slot 3 of 3"},
      {256, 2, 0xff01, "slot 65281 of 3"},
      {256, 2, 0xfffd, "journal device of an array without a journal"},
  };
  expect_lies_are_seen("v12-l5-0", Version::v1_2, 4096, lies);
  expect_lies_are_seen("v12-l5-1", Version::v1_2, 4096, {{92, 4, 1, "slot 1 of 1"}});
  expect_lies_are_seen("v10-l5-0", Version::v1_0, 32752 * 512,
                       {{136, 8, 32753, "room up to 32752"}, {144, 8, 8, "says sector 8"}});
  expect_lies_are_seen("v11-l5-0", Version::v1_1, 0, {{144, 8, 8, "stands at sector 0, says"}});
}

TEST(HostileSuperblock, Version090) {
  expect_lies_are_seen("v090-l5-0", Version::v0_90, 32640 * 512,
                       {{0, 4, 1, ""},
                        {4, 4, 1, "stored version is 1.90"},
                        {8, 4, 89, "stored version is 0.89"},
                        {8, 4, 92, "stored version is 0.92"},
                        {40, 4, 0, "0 raid disks"},
                        {40, 4, 28, "28 raid disks"},
                        {40, 4, 0x80000000, "2147483648 raid disks"},
                        {32, 4, 16321, "uses 32642 sectors, the device has 32640"},
                        {32, 4, 0xffffffff, "uses 8589934590 sectors"},
                        {992 * 4, 4, 27, "device number 27 of 27"},
                        {992 * 4, 4, 0xffffffff, "device number 4294967295"},
                        {(128 + 3) * 4, 4, 3, "slot 3 of 3"}});
}

TEST(HostileSuperblock, AnyChangedByteIsNoticed) {
  for (const auto& [fixture, version, at] :
       {std::tuple{"v12-l5-0", Version::v1_2, uint64_t{4096}},
        std::tuple{"v090-l5-0", Version::v0_90, uint64_t{32640 * 512}}}) {
    const DeviceImage image = DeviceImage::fixture(std::string("md/") + fixture);
    const auto good = image.bytes(at, 4096);
    for (size_t i = 0; i < (version == Version::v0_90 ? 4096 : 512); ++i) {
      auto bad = good;
      bad[i] ^= std::byte{0x10};
      const auto sb = parse_superblock(bad, version, image.size());
      EXPECT_TRUE(!sb || !*sb) << fixture << " byte " << i;
    }
  }
}

TEST(HostileSuperblock, TruncatedIsAnError) {
  for (const auto& [fixture, version, at] :
       {std::tuple{"v12-l5-0", Version::v1_2, uint64_t{4096}},
        std::tuple{"v090-l5-0", Version::v0_90, uint64_t{32640 * 512}}}) {
    const DeviceImage image = DeviceImage::fixture(std::string("md/") + fixture);
    const auto whole = image.bytes(at, 4096);
    for (size_t n = 0; n < 4096; n += n < 300 ? 1 : 97) {
      const auto sb = parse_superblock(Bytes(whole).first(n), version, image.size());
      EXPECT_TRUE(!sb || !*sb) << n;
      EXPECT_EQ(sb.has_value(), n < 4) << n;
    }
  }
}

TEST(HostileSuperblock, OfASmallerDeviceDoesNotFit) {
  DeviceImage image = DeviceImage::fixture("md/v12-l5-0");
  image.resize(kSize - 512);
  const auto found = read_superblocks(image.reader(), image.size());
  ASSERT_TRUE(found);
  EXPECT_THAT(found->superblocks, IsEmpty());
  EXPECT_THAT(found->diagnostics, ElementsAre(HasSubstr("the device has room up to 32767")));
}

TEST(HostileSuperblock, OtherByteOrderIsReadAndLeftToMdadm) {
  const DeviceImage image = DeviceImage::fixture("md/v090-l5-1");
  const uint64_t at = 32512 * 512;
  const auto good = image.bytes(at, 4096);
  auto swapped = good;
  for (size_t i = 0; i < 4096; i += 4) {
    std::reverse(swapped.begin() + static_cast<std::ptrdiff_t>(i),
                 swapped.begin() + static_cast<std::ptrdiff_t>(i) + 4);
  }
  // 64-bit values have their halves the other way round.
  for (const size_t pair : {size_t{39}, size_t{41}}) {
    for (size_t i = 0; i < 4; ++i) {
      std::swap(swapped[4 * pair + i], swapped[4 * pair + 4 + i]);
    }
  }
  auto sb = parse_superblock(swapped, Version::v0_90, image.size());
  ASSERT_TRUE(sb && *sb);
  EXPECT_EQ(why_unusual(**sb), "written by a machine of the other byte order");
  (*sb)->foreign_endianness = false;
  EXPECT_EQ(**sb, **parse_superblock(good, Version::v0_90, image.size()));
}

TEST(Superblock, UnknownFeaturesAreMdadms) {
  const auto patched = [](size_t field, size_t length, uint64_t value) {
    DeviceImage image = DeviceImage::fixture("md/v12-l5-0");
    image.put_le(4096 + field, length, value);
    put_sum(image, 4096, Version::v1_2);
    return why_unusual(one_of(image)).value_or("usual");
  };
  EXPECT_EQ(patched(8, 4, 0), "usual");
  EXPECT_EQ(patched(8, 4, 0x2000), "unknown feature bits 0x2000");
  EXPECT_EQ(patched(12, 4, 1), "reserved bytes are in use: a newer feature");
  EXPECT_EQ(patched(255, 1, 1), "reserved bytes are in use: a newer feature");
  EXPECT_EQ(patched(8, 4, 256), "belongs to a cluster");
  EXPECT_EQ(patched(72, 4, 77), "is of level 77");
  EXPECT_EQ(patched(72, 4, 0xfffffffc), "is of level multipath");
}

TEST(Superblock, ForeignNamesArePrintable) {
  DeviceImage image = DeviceImage::fixture("md/v12-l5-0");
  image.put(4096 + 32, std::string_view("a\x1b[2J:b\xff\0\0\0\0\0\0\0", 16));
  put_sum(image, 4096, Version::v1_2);
  const Superblock sb = one_of(image);
  EXPECT_EQ(sb.full_name, "a\\x1b[2J:b\\xff");
  EXPECT_EQ(sb.home_host, "a\\x1b[2J");
  EXPECT_EQ(sb.name, "b\\xff");
}

TEST(Superblock, AShrinkingArrayHasSlotsBehindItsEnd) {
  DeviceImage image = DeviceImage::fixture("md/v12-l6-1");
  image.put_le(4096 + 92, 4, 3);            // three disks left of four
  image.put_le(4096 + 8, 4, 4);             // reshape active
  image.put_le(4096 + 112, 4, 0xffffffff);  // one less
  put_sum(image, 4096, Version::v1_2);
  const Superblock sb = one_of(image);
  EXPECT_EQ(slots_word(sb), "AAAA");
  ASSERT_TRUE(sb.reshape);
  EXPECT_EQ(sb.reshape->delta_disks, -1);
  EXPECT_TRUE(sb.reshape->backwards);
}

}  // namespace
}  // namespace muster::md
