// muster's own settings: /etc/muster/muster.toml, overridden by muster.KEY=VALUE of the kernel
// command line.
//
// A broken file never stops the daemon: what can be read is used, what cannot is a diagnostic.
// initramfs/ muster.toml.sample documents every key.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/command_line.h"
#include "daemon/text_diagnostic.h"

namespace muster {

// Absent is "never".
using Deadline = std::optional<std::chrono::milliseconds>;

// "500ms", "10s", "2m", "1h", "never"; the outer optional is empty for anything else. At most a
// year.
[[nodiscard]] std::optional<Deadline> parse_deadline(std::string_view text);
[[nodiscard]] std::string to_text(const Deadline& deadline);

enum class BindingKind { serial, wwn, path };

[[nodiscard]] std::string_view to_string(BindingKind kind);

// The drive that the mountlist calls by this name is the one with that identity.
struct Binding {
  std::string drive;  // "sda", "cciss/c0d0"
  BindingKind kind = BindingKind::serial;
  std::string value;

  bool operator==(const Binding&) const = default;
};

// "sda:serial=ABC", "sda:wwn=0x5000...", "sda:path=pci-0000:00:1f.2-ata-1"; a "/dev/" before the
// drive is taken off.
[[nodiscard]] std::optional<Binding> parse_binding(std::string_view text);

// The same drive is meant. WWNs are compared without "0x", "naa.", "eui." and the case of their
// digits.
[[nodiscard]] bool same_identity(const Binding& a, const Binding& b);

enum class AtEnd { shell, reboot, poweroff };
enum class LogLevel { error, warning, info, debug };

struct Deadlines {
  Deadline probe = std::chrono::seconds(10);   // reading signatures of one device
  Deadline tool = std::chrono::seconds(60);    // mdadm, lvm and other programs
  Deadline medium = std::chrono::seconds(60);  // examining one candidate
  Deadline module = std::chrono::seconds(60);  // inserting one module
  Deadline mount = std::chrono::seconds(60);
  Deadline network = std::chrono::seconds(30);  // one attempt at DHCP, a server or an export

  bool operator==(const Deadlines&) const = default;
};

struct Launch {
  // An absolute path; a bare name is looked for in /sbin and PATH by whoever starts it.
  std::string program = "mondorestore";
  std::vector<std::string> arguments = {"--{mode}"};

  bool operator==(const Launch&) const = default;
};

struct Options {
  std::optional<Mode> mode;  // absent: what Mondo's words say; ask effective_mode()
  bool mode_from_command_line = false;
  std::vector<Binding> targets;
  Deadline degraded_after;  // never
  Deadlines deadlines;
  Launch launch;
  AtEnd at_end = AtEnd::shell;
  std::vector<std::string> deny;  // modules, '-' written as '_'
  std::string medium;  // the medium's home: a device or a path; empty: wherever it turns up
  LogLevel log_level = LogLevel::info;
  std::string console = "/dev/console";

  bool operator==(const Options&) const = default;
};

struct ParsedOptions {
  Options options;
  std::vector<TextDiagnostic> diagnostics;
};

// Pure; any bytes. An empty text is a missing file. A list that the command line gives replaces the
// file's.
[[nodiscard]] ParsedOptions parse_options(std::string_view toml, std::string_view file,
                                          const CommandLine& command_line);

// Mondo's words and the two places of "mode" together. The command line wins over the file; where
// the command line contradicts itself the mode is interactive, and `why` (may be null) says so.
[[nodiscard]] Mode effective_mode(const Options& options, const CommandLine& command_line,
                                  std::string* why);

// The arguments with {mode} put in.
[[nodiscard]] std::vector<std::string> launch_arguments(const Launch& launch, Mode mode);

// Every key, as it is written on the command line behind "muster.": "deadlines.probe".
[[nodiscard]] std::vector<std::string_view> option_keys();

}  // namespace muster
