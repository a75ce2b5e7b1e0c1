#include "handlers/launch/target_guard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "daemon/quote.h"

namespace muster::launch {
namespace {

// Where the medium handler mounts what may be a medium.
constexpr std::string_view kLooking = "mounted at /run/muster/look/";

enum class Found { nothing, right, wrong };

Result<Found> look_at(const NodePlan& node) {
  struct stat info{};
  if (::lstat(node.path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return Found::nothing;
    }
    return fail_errno(node.path, errno);
  }
  const bool right =
      S_ISBLK(info.st_mode) && info.st_rdev == ::makedev(node.devno.major, node.devno.minor);
  return right ? Found::right : Found::wrong;
}

std::string describe(const DriveName& drive) {
  return fmt::format("{} ({}, {})", drive.name, quote(drive.kernel), drive.devno.text());
}

}  // namespace

std::map<unsigned, Devno> partitions_of(const Root& root, Devno disk) {
  std::map<unsigned, Devno> partitions;
  const std::string place = "/sys/dev/block/" + disk.text();
  for (const auto& child : root.list(place).value_or(std::vector<std::string>{})) {
    const auto text = root.read_file(fmt::format("{}/{}/partition", place, child), kMaxAttribute);
    const auto dev = root.read_file(fmt::format("{}/{}/dev", place, child), kMaxAttribute);
    if (!text || !dev) {
      continue;
    }
    unsigned number = 0;
    const auto parsed = std::from_chars(text->data(), text->data() + text->size(), number);
    const auto devno = devno_from(attribute_text(*dev));
    if (parsed.ec == std::errc() && devno) {
      partitions[number] = *devno;
    }
  }
  return partitions;
}

Result<bool> put_node(const NodePlan& node) {
  const auto found = look_at(node);
  if (!found) {
    return tl::unexpected(found.error());
  }
  if (*found == Found::right || (*found == Found::nothing && node.rule != NodeRule::made)) {
    return false;
  }
  if (node.rule == NodeRule::cleared) {
    if (::unlink(node.path.c_str()) != 0 && errno != ENOENT) {
      return fail_errno(node.path, errno);
    }
    return true;
  }
  // The kernel's own node of that name gives way: whoever opens the name from now on gets the disk
  // that is meant.
  if (auto made = make_block_node(node.path, ::makedev(node.devno.major, node.devno.minor));
      !made) {
    return tl::unexpected(made.error());
  }
  return true;
}

Result<void> check_nodes(const std::vector<NodePlan>& nodes) {
  for (const auto& node : nodes) {
    const auto found = look_at(node);
    if (!found) {
      return tl::unexpected(found.error());
    }
    if (*found == Found::right || (*found == Found::nothing && node.rule != NodeRule::made)) {
      continue;
    }
    const auto where = node.devno == Devno{} ? "not be there" : "lead to " + node.devno.text();
    return fail(Errc::io, fmt::format("{} must {} and does not: mondorestore would write to "
                                      "another disk than the one that is meant",
                                      node.path, where));
  }
  return {};
}

Result<void> check_unused(const Root& root, const std::vector<DriveName>& drives) {
  for (const auto& drive : drives) {
    auto holders = holders_of(root, drive.devno.text());
    holders.erase(std::remove_if(holders.begin(), holders.end(),
                                 [](const auto& name) { return name.starts_with(kLooking); }),
                  holders.end());
    if (!holders.empty()) {
      return fail(Errc::busy,
                  fmt::format("{} is in use: {}", describe(drive), fmt::join(holders, ", ")));
    }
  }
  return {};
}

Result<void> check_exclusive(const BlockDevices& devices, const std::vector<DriveName>& drives) {
  for (const auto& drive : drives) {
    const auto opened = devices.open(drive.devno.text(), O_RDONLY | O_EXCL | O_NONBLOCK);
    if (!opened && opened.error().code == Errc::busy) {
      return fail(Errc::busy, fmt::format("{} is in use: {}", describe(drive),
                                          holders_text(devices.root(), drive.devno.text())));
    }
    if (!opened) {
      return tl::unexpected(opened.error().within(describe(drive)));
    }
  }
  return {};
}

}  // namespace muster::launch
