#include "handlers/launch/drive_nodes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "daemon/quote.h"

namespace muster::launch {
namespace {

constexpr unsigned kPartitions =
    15;  // minors of a disk on a major with fixed numbering, less the disk itself

// Majors on which partition N of a disk always is the disk's minor + N
// (Documentation/admin-guide/devices.txt: sd).
bool has_fixed_partitions(const Devno& devno) {
  const auto major = devno.major;
  const bool is_sd = major == 8 || (major >= 65 && major <= 71) || (major >= 128 && major <= 135);
  return is_sd && devno.minor % 16 == 0;
}

// The kernel's own name of the disk. In sysfs a slash is written as '!'.
std::string kernel_path(const DriveName& drive) {
  std::string path = "/dev/" + drive.kernel;
  std::replace(path.begin(), path.end(), '!', '/');
  return path;
}

void add_corrections(const DriveName& drive, std::vector<NodePlan>& nodes) {
  nodes.push_back({drive.name, drive.devno, NodeRule::made});
  for (unsigned number = 1; number <= kPartitions; ++number) {
    const auto path = partition_name(drive.name, number);
    if (has_fixed_partitions(drive.devno)) {
      nodes.push_back(
          {path, Devno{drive.devno.major, drive.devno.minor + number}, NodeRule::corrected});
      continue;
    }
    const auto partition = drive.partitions.find(number);
    nodes.push_back({path, partition == drive.partitions.end() ? Devno{} : partition->second,
                     NodeRule::cleared});
  }
}

}  // namespace

std::string partition_name(const std::string& drive, unsigned number) {
  const bool digit = !drive.empty() && std::isdigit(static_cast<unsigned char>(drive.back())) != 0;
  return fmt::format("{}{}{}", drive, digit ? "p" : "", number);
}

Result<std::vector<NodePlan>> nodes_for(const std::vector<DriveName>& drives) {
  std::vector<NodePlan> nodes;
  for (const auto& drive : drives) {
    if (!drive.name.starts_with("/dev/") || drive.devno == Devno{}) {
      return fail(Errc::invalid, fmt::format("no name or no number of a drive: {} is {}",
                                             quote(drive.name), drive.devno.text()));
    }
    if (drive.name == kernel_path(drive)) {
      add_corrections(drive, nodes);
      continue;
    }
    if (!has_fixed_partitions(drive.devno)) {
      return fail(Errc::unsupported, fmt::format("{} is bound to {}, whose partitions get their "
                                                 "numbers only when they are made: it cannot "
                                                 "be given another name",
                                                 drive.name, drive.kernel));
    }
    nodes.push_back({drive.name, drive.devno, NodeRule::made});
    for (unsigned number = 1; number <= kPartitions; ++number) {
      nodes.push_back({partition_name(drive.name, number),
                       Devno{drive.devno.major, drive.devno.minor + number}, NodeRule::made});
    }
  }
  return nodes;
}

std::string lvm_filter(const std::vector<std::string>& drives,
                       const std::vector<std::string>& arrays) {
  std::string filter = "[ ";
  for (const auto& array : arrays) {
    filter += fmt::format("\"r|^/dev/{}$|\", \"r|^/dev/{}p[0-9]+$|\", ", array, array);
  }
  for (const auto& drive : drives) {
    std::string escaped;
    for (const char c : drive) {
      if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '/' && c != '_') {
        escaped += '\\';
        escaped += '\\';
      }
      escaped += c;
    }
    const bool digit =
        !drive.empty() && std::isdigit(static_cast<unsigned char>(drive.back())) != 0;
    filter += fmt::format("\"a|^{}$|\", \"a|^{}{}[0-9]+$|\", ", escaped, escaped, digit ? "p" : "");
  }
  // No drive of the plan is in an array when a nuke starts: every other that there will be is
  // mondorestore's own.
  filter += "\"a|^/dev/md[0-9]+$|\", \"r|.*|\" ]";
  return filter;
}

}  // namespace muster::launch
