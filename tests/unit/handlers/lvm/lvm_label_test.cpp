#include "handlers/lvm/lvm_label.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "handlers/lvm/lvm_metadata.h"
#include "tests/support/device_image.h"

namespace muster::lvm {
namespace {

using ::muster::testing::DeviceImage;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kMda = 4096;  // where LVM2 puts the first metadata area

DeviceImage load(const std::string& fixture) {
  return DeviceImage::fixture("lvm/" + fixture);
}

Result<std::optional<PhysicalVolumeHead>> read(DeviceImage& image,
                                               uint64_t max = kDefaultMaxTextBytes) {
  return read_physical_volume(image.reader(), image.size(), max);
}

PhysicalVolumeHead head_of(const std::string& fixture) {
  DeviceImage image = load(fixture);
  auto head = read(image);
  EXPECT_TRUE(head && *head) << fixture;
  return head && *head ? **head : PhysicalVolumeHead{};
}

// Checksums of the label (in sector SECTOR) and of the header of an area put right after a change.
void put_label_sum(DeviceImage& image, uint64_t sector = 1) {
  const auto b = image.bytes(sector * 512, 512);
  image.put_le(sector * 512 + 16, 4, crc(kInitialCrc, Bytes(b).subspan(20)));
}
void put_header_sum(DeviceImage& image, uint64_t at = kMda) {
  const auto b = image.bytes(at, 512);
  image.put_le(at, 4, crc(kInitialCrc, Bytes(b).subspan(4)));
}

TEST(Label, OfAnOrdinaryPhysicalVolume) {
  const PhysicalVolumeHead pv = head_of("plain-0");
  EXPECT_EQ(pv.label.sector, 1);
  EXPECT_EQ(pv.label.device_bytes, 32 << 20);
  EXPECT_THAT(pv.label.data_areas, ElementsAre(Area{1 << 20, 0}));
  EXPECT_THAT(pv.label.metadata_areas, ElementsAre(Area{kMda, (1 << 20) - kMda}));
  EXPECT_THAT(pv.label.bootloader_areas, IsEmpty());
  EXPECT_TRUE(pv.label.is_used());
  EXPECT_THAT(pv.diagnostics, IsEmpty());
  ASSERT_THAT(pv.texts, SizeIs(1));
  EXPECT_THAT(pv.texts[0].text, HasSubstr("my-vg {"));
  EXPECT_NE(pv.texts[0].text.back(), '\0');
  // The text names the physical volume that it stands on.
  EXPECT_THAT(pv.texts[0].text, HasSubstr(pv.label.pv_uuid));
}

TEST(Label, OfUnusualPhysicalVolumes) {
  EXPECT_EQ(head_of("label3-0").label.sector, 3);
  EXPECT_THAT(head_of("label3-0").texts, SizeIs(1));

  const PhysicalVolumeHead orphan = head_of("orphan-0");
  EXPECT_FALSE(orphan.label.is_used());
  EXPECT_THAT(orphan.texts, IsEmpty());
  EXPECT_THAT(orphan.diagnostics, IsEmpty());

  const PhysicalVolumeHead bare = head_of("nomda-0");
  EXPECT_THAT(bare.label.metadata_areas, IsEmpty());
  EXPECT_TRUE(bare.label.is_used());

  EXPECT_THAT(head_of("nomda-1").label.bootloader_areas, ElementsAre(Area{1 << 20, 1 << 20}));

  // Both areas hold the same text: it is given once.
  const PhysicalVolumeHead two = head_of("twomda-0");
  EXPECT_THAT(two.label.metadata_areas, SizeIs(2));
  ASSERT_THAT(two.texts, SizeIs(1));
  EXPECT_THAT(two.texts[0].areas, ElementsAre(0, 1));

  // One of the two devices has its area ignored, with stale text in it.
  EXPECT_EQ(head_of("ignored-0").texts.size() + head_of("ignored-1").texts.size(), 1);
}

TEST(Label, TextWrapsAroundTheEndOfItsArea) {
  DeviceImage image = load("wrap-0");
  const auto label = parse_label(image.bytes(0, kLabelScanBytes));
  ASSERT_TRUE(label && *label);
  const Area area = (*label)->metadata_areas[0];
  const auto where = parse_mda_header(image.bytes(area.offset, kMdaHeaderBytes), area);
  ASSERT_TRUE(where && *where);
  EXPECT_THAT((*where)->pieces,
              ElementsAre(Area{area.offset + 1040896, 1044480 - 1040896},
                          Area{area.offset + 512, (*where)->size - (1044480 - 1040896)}));
  const PhysicalVolumeHead pv = head_of("wrap-0");
  ASSERT_THAT(pv.texts, SizeIs(1));
  const auto vg = parse_volume_group(pv.texts[0].text);
  ASSERT_TRUE(vg) << vg.error().text;
  EXPECT_EQ(vg->seqno, 232);
  EXPECT_THAT(vg->lvs, SizeIs(12));
}

TEST(Label, NoneIsNoError) {
  DeviceImage image(1 << 20);
  EXPECT_EQ(read(image)->has_value(), false);
  for (const uint64_t size : {0, 1, 511, 512, 2047}) {
    DeviceImage tiny(size);
    ASSERT_TRUE(read(tiny)) << size;
    EXPECT_FALSE(*read(tiny)) << size;
  }
}

TEST(Label, TheFirstOfTwoCounts) {
  DeviceImage image = load("plain-0");
  const auto label = image.bytes(512, 512);
  image.put(3 * 512, label);
  EXPECT_EQ((*read(image))->label.sector, 1);
}

TEST(Label, ReadsLittle) {
  DeviceImage image = load("plain-0");
  ASSERT_TRUE(read(image));
  EXPECT_LE(image.bytes_read, 2048 + 512 + 5000);
}

TEST(DashedUuid, TakesLvmsAlphabetOnly) {
  EXPECT_EQ(dashed_uuid("abcdefGHIJKLMNOPQRSTUVWXYZ0123!#"),
            "abcdef-GHIJ-KLMN-OPQR-STUV-WXYZ-0123!#");
  EXPECT_EQ(dashed_uuid("abcdefGHIJKLMNOPQRSTUVWXYZ0123!"), std::nullopt);
  EXPECT_EQ(dashed_uuid("abcdefGHIJKLMNOPQRSTUVWXYZ0123! "), std::nullopt);
  EXPECT_EQ(dashed_uuid(std::string(32, '\0')), std::nullopt);
}

struct Lie {
  uint64_t at;
  size_t length;
  uint64_t value;
  std::string error;
};

TEST(HostileLabel, LiesAreErrors) {
  // The header begins behind 32 bytes of label: UUID, size, data areas (one and the end), metadata
  // areas.
  constexpr uint64_t kHeader = 512 + 32;
  const std::vector<Lie> lies{
      {512 + 8, 8, 2, "stands in sector 1, says 2"},
      {512 + 24, 1, 'X', R"(type is "XVM2 001")"},
      {512 + 20, 4, 31, "header at byte 31"},
      {512 + 20, 4, 473, "header at byte 473"},
      {512 + 20, 4, 0xffffffff, "header at byte 4294967295"},
      {kHeader, 1, '-', "is no UUID"},
      {kHeader, 1, 0, "is no UUID"},
      {kHeader + 40 + 8, 8, ~uint64_t{0}, "data area of 18446744073709551615 bytes at 1048576"},
  };
  for (const Lie& lie : lies) {
    SCOPED_TRACE(fmt::format("byte {} = {}", lie.at, lie.value));
    DeviceImage image = load("plain-0");
    image.put_le(lie.at, lie.length, lie.value);
    put_label_sum(image);
    const auto head = read(image);
    ASSERT_FALSE(head);
    EXPECT_THAT(head.error().text, HasSubstr(lie.error));
  }
}

TEST(HostileLabel, ListsWithoutEnd) {
  DeviceImage image = load("plain-0");
  for (uint64_t at = 512 + 32 + 40; at < 1024; at += 8) {
    image.put_le(at, 8, 4096);
  }
  put_label_sum(image);
  const auto head = read(image);
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().text, "lvm label: the list of data areas runs out of its sector");
}

TEST(HostileLabel, AnyChangedByteIsNoticed) {
  const DeviceImage image = load("plain-0");
  const auto good = image.bytes(0, kLabelScanBytes);
  for (size_t i = 512; i < 1024; ++i) {
    auto bad = good;
    bad[i] ^= std::byte{0x04};
    const auto label = parse_label(bad);
    EXPECT_TRUE(!label || !*label) << i;
  }
}

TEST(HostileLabel, Truncated) {
  const DeviceImage image = load("plain-0");
  const auto whole = image.bytes(0, kLabelScanBytes);
  for (size_t n = 0; n < 1024; ++n) {
    const auto label = parse_label(Bytes(whole).first(n));
    ASSERT_TRUE(label);
    EXPECT_FALSE(*label) << n;
  }
  const auto header = image.bytes(kMda, 512);
  for (size_t n = 0; n < 512; ++n) {
    EXPECT_FALSE(parse_mda_header(Bytes(header).first(n), {kMda, 1 << 20})) << n;
  }
}

TEST(HostileArea, LiesAreDiagnostics) {
  const std::vector<Lie> lies{
      {kMda + 4, 1, 'X', "has not LVM2's magic"},
      {kMda + 20, 4, 2, "header version 2"},
      {kMda + 24, 8, 8192, "header claims 1044480 bytes at 8192, the label 1044480 bytes"},
      {kMda + 32, 8, 1044481, "header claims 1044481 bytes"},
      {kMda + 32, 8, ~uint64_t{0}, "header claims 18446744073709551615 bytes"},
      {kMda + 32, 8, 512, "512 bytes leave no room for text"},
      {kMda + 40, 8, 511, "at 511 in an area of 1044480"},
      {kMda + 40, 8, 1044480, "at 1044480 in an area of 1044480"},
      {kMda + 40, 8, ~uint64_t{0}, "at 18446744073709551615"},
      {kMda + 48, 8, 1044480, "text of 1044480 bytes"},
      {kMda + 48, 8, uint64_t{4} << 30, "text of 4294967296 bytes"},
      {kMda + 48, 8, ~uint64_t{0}, "text of 18446744073709551615 bytes"},
      {kMda + 48, 8, 10, "text checksum is"},
      {kMda + 56, 4, 0, "stored 00000000"},
  };
  for (const Lie& lie : lies) {
    SCOPED_TRACE(fmt::format("byte {} = {}", lie.at, lie.value));
    DeviceImage image = load("plain-0");
    image.put_le(lie.at, lie.length, lie.value);
    put_header_sum(image);
    const auto head = read(image);
    ASSERT_TRUE(head && *head);
    EXPECT_THAT((*head)->texts, IsEmpty());
    EXPECT_THAT((*head)->diagnostics, ElementsAre(HasSubstr(lie.error)));
  }
}

TEST(HostileArea, AnyChangedByteIsNoticed) {
  const DeviceImage image = load("plain-0");
  const auto good = image.bytes(kMda, 512);
  for (size_t i = 0; i < 512; ++i) {
    auto bad = good;
    bad[i] ^= std::byte{0x20};
    EXPECT_FALSE(parse_mda_header(bad, {kMda, 1044480})) << i;
  }
}

TEST(HostileArea, BeyondTheDevice) {
  DeviceImage image = load("plain-0");
  image.resize(100000);
  auto head = read(image);
  ASSERT_TRUE(head && *head);
  EXPECT_THAT((*head)->diagnostics,
              ElementsAre("lvm metadata area at byte 4096: its 1044480 bytes reach beyond the "
                          "device's 100000"));
}

TEST(HostileArea, LongTextsAreRefusedByTheLimit) {
  DeviceImage image = load("plain-0");
  auto head = read(image, 4000);
  ASSERT_TRUE(head && *head);
  EXPECT_THAT((*head)->diagnostics, ElementsAre(HasSubstr("read are at most 4000")));
  EXPECT_LE(image.bytes_read, 4096);
}

TEST(HostileArea, DozensOfAreasShareOneBudget) {
  // Areas that overlap: each holds the real text, behind a header of its own.
  DeviceImage image = load("orphan-0");
  const std::string text(3000, 'x');
  constexpr uint64_t kAreas = 20;
  for (uint64_t i = 0; i < kAreas; ++i) {
    const uint64_t at = (1 + i) * 64 * 1024;
    std::string own = text;
    own[0] = static_cast<char>('a' + i);
    image.put(at + 4, std::string_view(" LVM2 x[5A%r0N*>"));
    image.put_le(at + 20, 4, 1);
    image.put_le(at + 24, 8, at);
    image.put_le(at + 32, 8, 32768);
    image.put_le(at + 40, 8, 1024);
    image.put_le(at + 48, 8, own.size());
    image.put_le(at + 56, 4, crc(kInitialCrc, as_bytes_of(own)));
    image.put(at + 1024, own);
    put_header_sum(image, at);
    image.put_le(512 + 32 + 40 + 32 + 16 * i, 8, at);
    image.put_le(512 + 32 + 40 + 32 + 16 * i + 8, 8, 32768);
  }
  image.put_le(512 + 32 + 40 + 32 + 16 * kAreas, 8, 0);
  image.put_le(512 + 32 + 40 + 32 + 16 * kAreas + 16, 8, 0);
  image.put_le(512 + 32 + 40 + 32 + 16 * kAreas + 24, 8, 0);
  put_label_sum(image);
  const auto all = read(image);
  ASSERT_TRUE(all && *all) << all.error().text;
  EXPECT_THAT((*all)->texts, SizeIs(kAreas));
  const auto some = read(image, 4000);
  ASSERT_TRUE(some && *some);
  EXPECT_THAT((*some)->texts, SizeIs(2));
  EXPECT_THAT((*some)->diagnostics, SizeIs(kAreas - 2));
}

TEST(ReadPhysicalVolume, OneReadableCopyIsEnough) {
  DeviceImage image = load("twomda-0");
  const auto label = parse_label(image.bytes(0, kLabelScanBytes));
  const uint64_t second = (*label)->metadata_areas[1].offset;
  const auto failing = [&image](uint64_t from, uint64_t to) -> Reader {
    return [&image, from, to](uint64_t at, size_t n) -> Result<std::vector<std::byte>> {
      if (at >= from && at < to) {
        return fail_errno("read sda", EIO);
      }
      return image.bytes(at, n);
    };
  };
  auto head = read_physical_volume(failing(second, image.size()), image.size());
  ASSERT_TRUE(head && *head);
  ASSERT_THAT((*head)->texts, SizeIs(1));
  EXPECT_THAT((*head)->texts[0].areas, ElementsAre(0));
  EXPECT_THAT((*head)->diagnostics, ElementsAre("read sda: Input/output error"));
  // None readable, or not even the label: the device's own error.
  head = read_physical_volume(failing(kMda, image.size()), image.size());
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().os_error, EIO);
  head = read_physical_volume(failing(0, 1), image.size());
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().os_error, EIO);
}

TEST(ReadPhysicalVolume, AStaleCopyIsTheOlderOne) {
  // missing-1 was away while the others changed.
  std::vector<VolumeGroup> copies;
  for (const char* name : {"missing-1", "missing-0", "missing-2"}) {
    const PhysicalVolumeHead pv = head_of(name);
    ASSERT_THAT(pv.texts, SizeIs(1));
    auto vg = parse_volume_group(pv.texts[0].text);
    ASSERT_TRUE(vg) << vg.error().text;
    copies.push_back(*vg);
  }
  EXPECT_LT(copies[0].seqno, copies[1].seqno);
  EXPECT_EQ(copies[2].seqno, copies[1].seqno);
  const auto missing = [](const VolumeGroup& vg) {
    std::vector<bool> out;
    for (const PhysicalVolume& pv : vg.pvs) {
      out.push_back(pv.is_missing);
    }
    return out;
  };
  EXPECT_THAT(missing(copies[0]), ElementsAre(false, false, false));
  EXPECT_THAT(missing(copies[1]), ElementsAre(false, true, false));
}

}  // namespace
}  // namespace muster::lvm
