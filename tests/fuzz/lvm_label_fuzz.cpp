// The start of a device of 2 MiB; zeros follow. Read as it is, and again with all checksums put
// right.
#include <algorithm>

#include "handlers/lvm/lvm_label.h"
#include "tests/fuzz/reader_check.h"

namespace muster::fuzz {
namespace {

constexpr size_t kDeviceBytes = 2 << 20;
constexpr uint64_t kMaxText = 256 * 1024;

// Checksums of the label, of the areas' headers and of their texts.
void put_lvm_checksums(std::vector<std::byte>& device) {
  for (size_t sector = 0; sector < 4; ++sector) {
    const size_t at = sector * 512;
    if (muster::as_text(Bytes(device).subspan(at, 8)) == "LABELONE") {
      put_le32(device, at + 16, lvm::crc(lvm::kInitialCrc, Bytes(device).subspan(at + 20, 492)));
    }
  }
  const auto label = lvm::parse_label(Bytes(device).first(lvm::kLabelScanBytes));
  if (!label || !*label) {
    return;
  }
  for (const lvm::Area& area : (*label)->metadata_areas) {
    if (area.size < 512 || area.offset > device.size() || area.size > device.size() - area.offset) {
      continue;
    }
    const auto header = [&] { return Bytes(device).subspan(area.offset, 512); };
    const auto sum_header = [&] {
      put_le32(device, area.offset, lvm::crc(lvm::kInitialCrc, header().subspan(4)));
    };
    sum_header();
    const auto where = lvm::parse_mda_header(header(), area, kMaxText);
    if (where && *where) {
      uint32_t sum = lvm::kInitialCrc;
      for (const lvm::Area& piece : (*where)->pieces) {
        FUZZ_CHECK(piece.offset >= area.offset + 512 &&
                   piece.offset + piece.size <= area.offset + area.size);
        sum = lvm::crc(sum, Bytes(device).subspan(piece.offset, piece.size));
      }
      put_le32(device, area.offset + 56, sum);
      sum_header();
    }
  }
}

void check_physical_volume(const std::vector<std::byte>& device) {
  uint64_t read = 0;
  const Reader reader = [&](uint64_t offset, size_t length) -> Result<std::vector<std::byte>> {
    FUZZ_CHECK(offset <= device.size() && length <= device.size() - offset);
    read += length;
    const Bytes piece = Bytes(device).subspan(offset, length);
    return std::vector<std::byte>(piece.begin(), piece.end());
  };
  const auto head = lvm::read_physical_volume(reader, device.size(), kMaxText);
  // The label, the headers of the areas that it has room for, and the budget for texts.
  FUZZ_CHECK(read <= 2048 + 32 * 512 + 2 * kMaxText);
  if (!head) {
    check_text(head.error().text);
    return;
  }
  if (!*head) {
    return;
  }
  FUZZ_CHECK((*head)->label.pv_uuid.size() == 38);
  for (const std::string& line : (*head)->diagnostics) {
    check_text(line);
  }
  uint64_t total = 0;
  for (const lvm::MetadataText& text : (*head)->texts) {
    total += text.text.size();
    FUZZ_CHECK(!text.areas.empty() && text.areas.back() < (*head)->label.metadata_areas.size());
  }
  FUZZ_CHECK(total <= 2 * kMaxText);
}

}  // namespace
}  // namespace muster::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster;
  using namespace muster::fuzz;
  const Bytes input = std::as_bytes(std::span(data, size));
  if (input.size() > kDeviceBytes) {
    return 0;
  }
  static std::vector<std::byte> device(kDeviceBytes);  // allocating it took most of the time
  std::fill(device.begin(), device.end(), std::byte{0});
  std::copy(input.begin(), input.end(), device.begin());
  check_physical_volume(device);
  put_lvm_checksums(device);
  check_physical_volume(device);
  return 0;
}
