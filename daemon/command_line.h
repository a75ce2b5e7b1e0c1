// The kernel command line: Mondo's words, the module lists and muster's own settings.
//
// Mondo's old scripts look for substrings, so that a prefix or a path with "nuke" in it starts a
// nuke. Here only whole words count, and a doubt never ends in nuke: two modes that contradict each
// other give interactive and a diagnostic.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/text_diagnostic.h"

namespace muster {

enum class Mode { interactive, nuke, compare, expert };

[[nodiscard]] std::string_view to_string(Mode mode);
[[nodiscard]] std::optional<Mode> mode_from(std::string_view name);

struct CommandLineWord {
  std::string key;                   // up to the first '=', or the whole word
  std::optional<std::string> value;  // after it, the kernel's quotes removed

  bool operator==(const CommandLineWord&) const = default;
};

// ipconf=IF:dhcp or ipconf=IF:ADDR:MASK:BCAST:GW (the last two may be left out or empty)
struct IpConf {
  std::string interface;
  bool dhcp = false;
  std::string address;
  std::string netmask;
  std::string broadcast;
  std::string gateway;

  bool operator==(const IpConf&) const = default;
};

struct CommandLine {
  std::vector<CommandLineWord> words;  // all of them, in order, as the kernel splits them

  Mode mode = Mode::interactive;
  bool mode_given = false;    // a word asked for a mode
  bool mode_refused = false;  // the words contradict each other; mode is interactive
  bool restore = false;       // RESTORE or restore: mondorestore leaves out its closing dialogue
  bool iso_mode = false;      // without effect of its own

  bool pxe = false;
  bool textonly = false;
  bool noresize = false;
  bool nopart = false;
  bool donteject = false;
  std::optional<std::string> prefix;
  std::optional<IpConf> ipconf;
  std::optional<std::string> nfsmount;  // SERVER:/EXPORT
  std::optional<unsigned> ping;

  // Module names, '-' written as '_'.
  std::vector<std::string> denymods;
  std::vector<std::string> forcemods;
  std::vector<std::string>
      modprobe_blacklist;  // modprobe.blacklist=, rd.driver.blacklist=: not by alias
  std::vector<std::string>
      module_blacklist;  // module_blacklist=: the kernel refuses them, whoever asks

  // muster.KEY=VALUE in order, KEY without the "muster."; options.h gives them their meaning.
  std::vector<CommandLineWord> muster;

  std::vector<TextDiagnostic> diagnostics;
};

// Pure. `text` is the content of /proc/cmdline.
[[nodiscard]] CommandLine parse_command_line(std::string_view text,
                                             std::string_view file = "/proc/cmdline");

// Comma- or blank-separated module names with '-' written as '_', as the kernel names modules.
[[nodiscard]] std::vector<std::string> split_module_names(std::string_view text);

}  // namespace muster
