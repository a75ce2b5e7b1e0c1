// A window in which a superblock may stand. Input: the version (one byte, 0 to 3), the size of the
// device (8 bytes, little-endian), the window; zeros follow. Read as it is, and again with the
// checksum put right.
#include <algorithm>

#include "handlers/md/md_superblock.h"
#include "tests/fuzz/reader_check.h"

namespace muster::fuzz {
namespace {

void put_md_checksum(std::vector<std::byte>& window, md::Version version) {
  const bool old = version == md::Version::v0_90;
  const size_t field = old ? 152 : 216;
  const size_t size =
      old ? window.size()
          : std::min<size_t>(window.size(), 256 + size_t{2} * (le32(window, 220) & 0xffff));
  uint64_t sum = 0;
  for (size_t at = 0; at + 4 <= size; at += 4) {
    sum += at == field ? 0 : le32(window, at);
  }
  if (size % 4 == 2) {
    sum += le16(window, size - 2);
  }
  put_le32(window, field, static_cast<uint32_t>((sum & 0xffffffff) + (sum >> 32)));
}

void check_superblock(Bytes window, md::Version version, uint64_t device_bytes) {
  const auto result = md::parse_superblock(window, version, device_bytes);
  if (!result) {
    check_text(result.error().text);
    return;
  }
  if (!*result) {
    return;
  }
  const md::Superblock& sb = **result;
  FUZZ_CHECK(sb.raid_disks >= 1 && sb.raid_disks <= 1920);
  FUZZ_CHECK(sb.slots.size() >= sb.raid_disks && sb.slots.size() <= 1920);
  FUZZ_CHECK(sb.role.kind != md::Role::Kind::active || sb.role.slot < sb.slots.size());
  FUZZ_CHECK(sb.active_slots() <= sb.slots.size());
  FUZZ_CHECK(sb.array_uuid.size() == 35);
  FUZZ_CHECK(sb.data_offset <= device_bytes / 512 &&
             sb.data_sectors <= device_bytes / 512 - sb.data_offset);
  FUZZ_CHECK(md::fits(sb, device_bytes));
  FUZZ_CHECK(md::usual(sb) != md::why_unusual(sb).has_value());
  if (const auto why = md::why_unusual(sb)) {
    check_text(*why);
  }
  FUZZ_CHECK(printable(sb.full_name) == sb.full_name);
  FUZZ_CHECK(md::outermost({sb}) == 0);
  static_cast<void>(md::which_owns(device_bytes, 1 << 20, device_bytes / 2, sb));
  static_cast<void>(md::outermost({sb, sb}));
}

}  // namespace
}  // namespace muster::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster;
  using namespace muster::fuzz;
  const Bytes input = std::as_bytes(std::span(data, size));
  if (input.size() < 9) {
    return 0;
  }
  const auto version = static_cast<md::Version>(std::to_integer<unsigned>(input[0]) & 3);
  const uint64_t device_bytes = le64(input, 1);
  const Bytes rest = input.subspan(9);
  check_superblock(rest, version, device_bytes);
  std::vector<std::byte> window(
      rest.begin(),
      rest.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(rest.size(), 4096)));
  window.resize(4096);
  check_superblock(window, version, device_bytes);
  put_md_checksum(window, version);
  check_superblock(window, version, device_bytes);
  for (const md::Window& w : md::windows(device_bytes)) {
    FUZZ_CHECK(w.length <= 4096 && w.offset <= device_bytes - w.length);
    static_cast<void>(md::recognise_container(rest, w.kind));
  }
  return 0;
}
