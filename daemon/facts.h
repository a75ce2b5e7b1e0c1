// What the daemon tells the engine at its start (keys: plan.h), and the rule files.
#pragma once

#include <string>
#include <vector>

#include "daemon/event.h"
#include "daemon/root.h"
#include "rules/rule.h"

namespace muster {

// Larger than any text that a person writes; a file above it is reported and left out.
inline constexpr std::size_t kMaxFactFile = std::size_t{1024} * 1024;

struct FactFiles {
  std::string config = "/etc/muster/muster.toml";
  // Where the image's own copies of Mondo's files are kept, so that a daemon that is started again
  // sees what the first one saw, and not what a medium unpacked over them. Empty: the files are
  // read where they are.
  std::string keep;
};

// Passwords are taken out (scrub.h): what the engine sees is in the journal.
// `notes`: what could not be read, one line each. A file that does not exist is none.
[[nodiscard]] Json read_facts(const Root& root, const FactFiles& files,
                              std::vector<std::string>& notes);

// The *.rules of the directories, the later ones overriding the earlier by name.
[[nodiscard]] std::vector<rules::Source> read_rules(const Root& root,
                                                    const std::vector<std::string>& directories,
                                                    std::vector<std::string>& notes);

}  // namespace muster
