#include "handlers/lvm/map_name.h"

namespace muster::lvm {
namespace {

std::string doubled_hyphens(std::string_view name) {
  std::string text;
  for (const char c : name) {
    text.append(c == '-' ? 2 : 1, c);
  }
  return text;
}

}  // namespace

std::string map_name(std::string_view vg, std::string_view lv, std::string_view layer) {
  std::string name = doubled_hyphens(vg) + "-" + doubled_hyphens(lv);
  if (!layer.empty()) {
    // Layers like _mlog bring their own separator.
    name += (layer[0] == '_' ? "" : "-") + doubled_hyphens(layer);
  }
  return name;
}

std::optional<LvName> split_map_name(std::string_view name) {
  LvName split;
  std::string* part = &split.vg;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '-') {
      *part += name[i];
    } else if (i + 1 < name.size() && name[i + 1] == '-') {
      *part += '-';
      ++i;
    } else if (part == &split.vg) {
      part = &split.lv;
    } else {
      return std::nullopt;
    }
  }
  return split.vg.empty() || split.lv.empty() ? std::nullopt : std::optional(split);
}

}  // namespace muster::lvm
