// `muster import`: foreign logs to a journal that replays.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/import/imported.h"
#include "daemon/replay/recording.h"

namespace CLI {
class App;
}

namespace muster::imports {

// Plays the hardware once, in the recorded order.
using Play = std::function<replay::Segment(const replay::Hardware&)>;

struct ImportRequest {
  std::vector<std::string> paths;
  std::string answers;             // path; empty: none
  std::string output;              // path; "-": standard output
  std::vector<std::string> rules;  // directories; empty: the rules that ship
};

// Writes the journal; the answer is what to say about it, a line each. Files that the answers name
// are looked for beside the answers. Nothing is written where something fails.
[[nodiscard]] Result<std::vector<std::string>> run_import(const ImportRequest& request,
                                                          const Play& play);

// Adds the subcommand; `exit_status` is set when it ran.
void add_import(CLI::App& app, Play play, int& exit_status);

}  // namespace muster::imports
