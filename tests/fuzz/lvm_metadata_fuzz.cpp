// A volume group's metadata text: what is made of it fits together, or it is an error of one line.
#include <algorithm>

#include "handlers/lvm/lvm_metadata.h"
#include "handlers/lvm/map_name.h"
#include "tests/fuzz/reader_check.h"

namespace muster::fuzz {
namespace {

void check_table(const lvm::VolumeGroup& vg, uint32_t i) {
  const lvm::LogicalVolume& lv = vg.lvs[i];
  const auto table = lvm::linear_table(vg, i);
  const auto why = lvm::why_not_linear(vg, i);
  FUZZ_CHECK(table.has_value() != why.has_value());
  if (why) {
    check_text(*why);
    return;
  }
  uint64_t at = 0;
  for (const lvm::TableLine& line : *table) {
    FUZZ_CHECK(line.start == at && line.length > 0);
    at += line.length;
    FUZZ_CHECK(!line.parts.empty() && line.length % line.parts.size() == 0);
    for (const auto& part : line.parts) {
      const auto pv = vg.find_pv(part.pv_id);
      FUZZ_CHECK(pv.has_value());
      const lvm::PhysicalVolume& on = vg.pvs[*pv];
      FUZZ_CHECK(part.offset >= on.pe_start && part.offset + line.length / line.parts.size() <=
                                                   on.pe_start + on.pe_count * vg.extent_size);
      FUZZ_CHECK(std::binary_search(lv.needed_pvs.begin(), lv.needed_pvs.end(), *pv));
    }
  }
  FUZZ_CHECK(at == lv.extent_count * vg.extent_size);
}

}  // namespace
}  // namespace muster::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster;
  using namespace muster::fuzz;
  const Bytes input = std::as_bytes(std::span(data, size));
  const auto vg = lvm::parse_volume_group(std::string(muster::as_text(input)));
  if (!vg) {
    check_text(vg.error().text);
    return 0;
  }
  for (uint32_t i = 0; i < vg->lvs.size(); ++i) {
    const lvm::LogicalVolume& lv = vg->lvs[i];
    FUZZ_CHECK(!lv.segments.empty() && lv.extent_count > 0);
    FUZZ_CHECK(lv.name.find('/') == std::string::npos && lv.name != "..");
    FUZZ_CHECK(std::is_sorted(lv.needed_pvs.begin(), lv.needed_pvs.end()) &&
               (lv.needed_pvs.empty() || lv.needed_pvs.back() < vg->pvs.size()));
    FUZZ_CHECK(lvm::dm_uuid(*vg, lv).size() == 68);
    FUZZ_CHECK(!lvm::map_name(vg->name, lv.name).empty());
    FUZZ_CHECK(lvm::pvs_of(*vg, i).size() == lv.needed_pvs.size());
    check_table(*vg, i);
  }
  return 0;
}
