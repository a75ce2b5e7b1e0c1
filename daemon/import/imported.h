// Foreign logs as hardware that replay, shuffle and explain can work on.
//
// An import tells what a log tells and nothing more. What it does not tell is in `unknown`, a line
// each, and in what the hardware does not hold: the machine (daemon/replay/machine.h) answers such
// a question with an error that says so. IMPORT.md says which log tells what.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/import/device_log.h"
#include "daemon/import/import_answers.h"
#include "daemon/import/storage_seen.h"
#include "daemon/replay/hardware.h"
#include "rules/rule.h"

namespace muster::imports {

struct Imported {
  replay::Hardware hardware;
  std::vector<std::string> unknown;
};

// The rules that ship with this program.
[[nodiscard]] const std::vector<rules::Source>& shipped_rules();

// Errors: no block device in the log; an answer about a device that the log does not know.
[[nodiscard]] Result<Imported> make_hardware(const DeviceLog& log, const StorageSeen& seen,
                                             const Answers& answers,
                                             const std::vector<rules::Source>& rules);

// A log of one of the three text formats.
[[nodiscard]] Result<Imported> import_text(
    std::string_view name, std::string_view text, const Answers& answers = {},
    const std::vector<rules::Source>& rules = shipped_rules());

// Files and directories of one machine, as users have them:
//   - a log of a text format, or the directory of an unpacked sosreport;
//   - several logs of `udevadm monitor`, that ran side by side or one after the other;
//   - beside a log, outputs that say what it does not: mdadm --examine or --detail, lvm2's backup
//   of
//     a volume group (/etc/lvm/backup/VG), fdisk -l, /proc/partitions.
// Errors begin with the file's name.
[[nodiscard]] Result<Imported> import_paths(
    const std::vector<std::string>& paths, const Answers& answers = {},
    const std::vector<rules::Source>& rules = shipped_rules());

// One line a device, array and volume, with members by identity; for people, and for tests.
[[nodiscard]] std::string summary(const Imported& imported);

}  // namespace muster::imports
