// What device-mapper calls an LV: VG-LV[-LAYER], with the hyphens of each part doubled (lvm2,
// dm_build_dm_name() of libdevmapper).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace muster::lvm {

[[nodiscard]] std::string map_name(std::string_view vg, std::string_view lv,
                                   std::string_view layer = {});

struct LvName {
  std::string vg;
  std::string lv;
  bool operator==(const LvName&) const = default;
};
// Nothing for what is no LV's name, and for LVM's own layers ("vg-lv-cow").
[[nodiscard]] std::optional<LvName> split_map_name(std::string_view name);

}  // namespace muster::lvm
