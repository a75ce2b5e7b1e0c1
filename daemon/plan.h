// The plan of this restore, made from texts: Mondo's files, the kernel command line, our config.
// Pure.
//
// A plan made from the image's files is provisional; once the medium is proven, the medium's copies
// replace them, as they do for mondorestore (mondo's files are read by handlers/medium and
// handlers/target).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "daemon/command_line.h"
#include "daemon/options.h"
#include "daemon/text_diagnostic.h"
#include "handlers/medium/mondo_config.h"
#include "handlers/target/lvm_recipe.h"
#include "handlers/target/mountlist.h"
#include "handlers/target/raidtab.h"

namespace muster {

// launching: muster-init was asked to start mondorestore, and has not answered yet.
enum class Phase { gathering, launching, restoring, done };
std::string_view to_string(Phase phase);

// Keys of the facts (FactsRead::facts), all optional texts unless said otherwise:
//   "command_line"       /proc/cmdline
//   "muster.toml"        our config
//   "mondo-restore.cfg", "mountlist.txt", "i-want-my-lvm", "raidtab"
//                        Mondo's files as the image holds them
//   "kernel"             uname -r
//   "udevd"              bool: a udevd runs, links are its business
//   "launch"             "idle", "running", "exited" or "failed": what muster-init says of
//   mondorestore "start_ro"           what md_mod.start_ro was, where the module is loaded
//   "filesystems"        /proc/filesystems
//   "notes"              array of texts: what the daemon could not read at its start
struct Plan {
  Options options;
  CommandLine command_line;
  Mode mode = Mode::interactive;
  Mode mode_asked =
      Mode::interactive;    // before a doubt about the files turned nuke into interactive
  bool has_config = false;  // mondo-restore.cfg was there, with a media type
  bool has_mountlist = false;
  bool from_medium = false;  // the medium's copies are in force
  medium::MondoConfig config;
  medium::MondoConfig image_config;  // the image's own, which a medium must match
  target::Mountlist mountlist;
  target::LvmRecipe lvm_recipe;
  bool has_lvm_recipe = false;
  target::Raidtab raidtab;
  bool udevd = false;
  std::string launch_state;  // what muster-init says of mondorestore: "idle", "running", "exited"
  std::vector<TextDiagnostic> diagnostics;

  // Deadlines in milliseconds, 0 for never.
  [[nodiscard]] std::int64_t probe_ms() const { return milliseconds(options.deadlines.probe); }
  [[nodiscard]] std::int64_t tool_ms() const { return milliseconds(options.deadlines.tool); }
  [[nodiscard]] std::int64_t medium_ms() const { return milliseconds(options.deadlines.medium); }
  [[nodiscard]] static std::int64_t milliseconds(const Deadline& deadline) {
    return deadline ? deadline->count() : 0;
  }
};

// `medium_files` holds the medium's copies under the same keys, or is null.
[[nodiscard]] Plan make_plan(const nlohmann::json& facts, const nlohmann::json& medium_files);

}  // namespace muster
