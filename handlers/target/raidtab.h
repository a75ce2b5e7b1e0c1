// /etc/raidtab: the arrays of the old machine; the only source that mondorestore knows.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/text_diagnostic.h"

namespace muster::target {

enum class RaidRole { data, spare, parity, failed };

struct RaidtabMember {
  std::string device;
  RaidRole role = RaidRole::data;
  int index = 0;
  int line = 0;

  bool operator==(const RaidtabMember&) const = default;
};

// As mondorestore numbers it; all others have md's numbers.
constexpr int kRaidLevelMultipath = -2;

struct RaidtabArray {
  std::string device;                 // /dev/md0
  std::optional<unsigned> number;     // of /dev/mdN or /dev/md/N
  std::optional<int> level;           // absent: no raid-level, or one that is none
  std::optional<unsigned> chunk_kib;  // absent: mondorestore takes 64
  std::optional<unsigned> disks;      // nr-raid-disks; mondorestore counts for itself
  bool persistent_superblock = true;
  std::string parity_algorithm;
  std::vector<RaidtabMember> members;
  int line = 0;

  bool operator==(const RaidtabArray&) const = default;
};

struct Raidtab {
  std::vector<RaidtabArray> arrays;
  bool as_written = true;  // mondorestore reads the file as a human does
  int misread_line = 0;    // the first that is not; 0: all are
  std::vector<TextDiagnostic> diagnostics;
};

// Pure; any bytes. Less than 5 bytes count as no file: no arrays, no diagnostics.
[[nodiscard]] Raidtab parse_raidtab(std::string_view text, std::string_view file);

}  // namespace muster::target
