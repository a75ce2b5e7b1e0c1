// /tmp/i-want-my-lvm: the commands with which a nuke creates the old machine's LVM again.
//
// Lines that start with '#' are commands, everything else is prose, but for two exceptions: ">>>>>"
// lists the PVs, and behind a vgcreate mondorestore takes all lines up to the next '#' as part of
// that command.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/text_diagnostic.h"

namespace muster::target {

struct RecipeCommand {
  std::string text;  // what mondorestore gives to the shell
  int line = 0;

  bool operator==(const RecipeCommand&) const = default;
};

struct RecipeVg {
  std::string name;
  std::vector<std::string> pvs;
  int line = 0;

  bool operator==(const RecipeVg&) const = default;
};

struct RecipeLv {
  std::string vg;
  std::string name;
  int line = 0;

  bool operator==(const RecipeLv&) const = default;
};

struct LvmRecipe {
  std::vector<RecipeCommand> commands;  // all, in order
  std::vector<std::string> pvs;  // of >>>>>, pvcreate, vgcreate and vgextend; each once, in order
  std::vector<RecipeVg> vgs;
  std::vector<RecipeLv> lvs;
  bool as_written = true;  // false: mondorestore runs something else than a human reads
  int misread_line = 0;    // the first that is not; 0: all are
  std::vector<TextDiagnostic> diagnostics;
};

// Pure; any bytes.
[[nodiscard]] LvmRecipe parse_lvm_recipe(std::string_view text, std::string_view file);

}  // namespace muster::target
