#include "handlers/node/node_executor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <functional>
#include <optional>

#include "daemon/quote.h"
#include "handlers/arguments.h"
#include "handlers/block_device.h"
#include "handlers/bytes.h"

namespace muster::node {
namespace {

constexpr int kAttempts = 8;

// Directories that stay when they are empty.
bool stays(const std::vector<std::string>& directory) {
  constexpr std::array kLasting{"block",  "bus", "bsg",       "char",  "cpu",    "disk",
                                "dri",    "fd",  "hugepages", "input", "mapper", "md",
                                "mqueue", "net", "pts",       "shm",   "snd",    "vfio"};
  return directory.size() == 1 &&
         std::find(kLasting.begin(), kLasting.end(), directory.front()) != kLasting.end();
}

std::string temporary_name() {
  static std::atomic<std::uint64_t> counter{0};
  return fmt::format(".muster-{}-{}", ::getpid(), counter.fetch_add(1));
}

// The directory that holds the last component; no symbolic link is followed on the way.
Result<Fd> open_parent(const Root& root, const std::vector<std::string>& parts, bool make) {
  auto directory = root.open_at("/dev", O_RDONLY | O_DIRECTORY);
  for (std::size_t i = 0; directory && i + 1 < parts.size(); ++i) {
    const char* name = parts[i].c_str();
    if (make && ::mkdirat(directory->get(), name, 0755) != 0 && errno != EEXIST) {
      return fail_errno(name, errno);
    }
    directory = Root::open_below(*directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }
  return directory;
}

std::optional<std::string> link_text(const Fd& directory, const std::string& name) {
  std::array<char, PATH_MAX> buffer{};
  const ssize_t length = ::readlinkat(directory.get(), name.c_str(), buffer.data(), buffer.size());
  if (length < 0) {
    return std::nullopt;
  }
  return std::string(buffer.data(), static_cast<std::size_t>(length));
}

// Puts at `path` what `make` makes under a temporary name. `as_wanted` looks at what is there:
// nothing to do (true), may be replaced (false), must stay (Error). Somebody may empty and remove
// the directory meanwhile.
Result<Json> put(const Root& root, const std::string& path, const std::vector<std::string>& parts,
                 const std::function<Result<bool>(const Fd&, const std::string&)>& as_wanted,
                 const std::function<int(const Fd&, const std::string&)>& make) {
  const std::string& name = parts.back();
  int error = ENOENT;
  for (int attempt = 0; attempt < kAttempts && error == ENOENT; ++attempt) {
    const auto directory = open_parent(root, parts, true);
    if (!directory) {
      error = directory.error().os_error;
      if (error == ENOENT) {
        continue;
      }
      return tl::unexpected(directory.error().within(path));
    }
    const auto present = as_wanted(*directory, name);
    if (!present) {
      return tl::unexpected(present.error());
    }
    if (*present) {
      return Json{{"changed", false}};
    }
    const std::string temporary = temporary_name();
    error = make(*directory, temporary) == 0 ? 0 : errno;
    if (error == 0) {
      if (::renameat(directory->get(), temporary.c_str(), directory->get(), name.c_str()) == 0) {
        return Json{{"changed", true}};
      }
      error = errno;
      ::unlinkat(directory->get(), temporary.c_str(), 0);
    }
  }
  return fail_errno(path, error);
}

Error occupied(const std::string& path, const char* by) {
  return Error{Errc::busy, fmt::format("{}: is {}, which is left alone", path, by), 0};
}

}  // namespace

Result<std::vector<std::string>> components(std::string_view path) {
  constexpr std::string_view kDev = "/dev/";
  const auto wrong = [&] { return fail(Errc::invalid, quote(path) + " is not a path below /dev"); };
  if (!path.starts_with(kDev) || path.size() >= PATH_MAX ||
      path.find('\0') != std::string_view::npos) {
    return wrong();
  }
  std::vector<std::string> parts;
  std::string_view rest = path.substr(kDev.size());
  for (;;) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view part = rest.substr(0, end);
    if (part.empty() || part == "." || part == ".." || part.size() > NAME_MAX) {
      return wrong();
    }
    parts.emplace_back(part);
    if (end == rest.size()) {
      return parts;
    }
    rest.remove_prefix(end + 1);
  }
}

std::string relative_target(std::string_view path, std::string_view target) {
  const auto from = components(path).value_or(std::vector<std::string>{});
  const auto to = components(target).value_or(std::vector<std::string>{});
  std::size_t common = 0;
  while (common + 1 < from.size() && common + 1 < to.size() && from[common] == to[common]) {
    ++common;
  }
  std::string text;
  for (std::size_t i = common; i + 1 < from.size(); ++i) {
    text += "../";
  }
  for (std::size_t i = common; i < to.size(); ++i) {
    text += to[i] + (i + 1 < to.size() ? "/" : "");
  }
  return text;
}

Result<Json> NodeExecutor::run(const Effect& effect) {
  if (effect.verb == "link") {
    return link(effect);
  }
  if (effect.verb == "unlink") {
    return unlink(effect);
  }
  if (effect.verb == "node") {
    return make_node(effect);
  }
  return fail(Errc::invalid, "node: no such effect: " + effect.verb);
}

Result<Json> NodeExecutor::link(const Effect& effect) {
  Arguments arguments(effect);
  const std::string path = arguments.text("path");
  const std::string target = arguments.text("target");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  const auto parts = components(path);
  if (!parts) {
    return tl::unexpected(parts.error());
  }
  if (auto to = components(target); !to) {
    return tl::unexpected(to.error());
  }
  const std::string text = relative_target(path, target);
  return put(
      root_, path, *parts,
      [&](const Fd& directory, const std::string& name) -> Result<bool> {
        struct stat status = {};
        if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
          return false;
        }
        if (!S_ISLNK(status.st_mode)) {
          return tl::unexpected(
              occupied(path, S_ISBLK(status.st_mode) ? "a device node" : "not a link"));
        }
        return link_text(directory, name) == text;
      },
      [&](const Fd& directory, const std::string& name) {
        return ::symlinkat(text.c_str(), directory.get(), name.c_str());
      });
}

Result<Json> NodeExecutor::unlink(const Effect& effect) {
  Arguments arguments(effect);
  const std::string path = arguments.text("path");
  const std::string target = arguments.text_or("target", "");
  const std::string devno = arguments.text_or("devno", "");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  auto parts = components(path);
  if (!parts) {
    return tl::unexpected(parts.error());
  }
  if (!target.empty()) {
    if (auto to = components(target); !to) {
      return tl::unexpected(to.error());
    }
  }
  auto directory = open_parent(root_, *parts, false);
  if (!directory) {
    if (directory.error().code == Errc::not_found) {
      return Json{{"removed", false}};
    }
    return tl::unexpected(directory.error().within(path));
  }
  struct stat status = {};
  if (::fstatat(directory->get(), parts->back().c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return Json{{"removed", false}};
  }
  bool ours = false;
  if (S_ISLNK(status.st_mode)) {
    ours = target.empty() || link_text(*directory, parts->back()) == relative_target(path, target);
  } else if (S_ISBLK(status.st_mode)) {
    // The kernel's own node of a device is the kernel's to remove.
    const std::string number = fmt::format("{}:{}", major(status.st_rdev), minor(status.st_rdev));
    ours = (devno.empty() || devno == number) && target.empty() &&
           "/dev/" + kernel_name(root_, number) != path;
  }
  if (!ours) {
    return Json{{"removed", false}};
  }
  if (::unlinkat(directory->get(), parts->back().c_str(), 0) != 0) {
    return fail_errno(path, errno);
  }
  for (parts->pop_back(); !parts->empty() && !stays(*parts); parts->pop_back()) {
    directory = open_parent(root_, *parts, false);
    if (!directory || ::unlinkat(directory->get(), parts->back().c_str(), AT_REMOVEDIR) != 0) {
      break;  // something is left in it
    }
  }
  return Json{{"removed", true}};
}

Result<Json> NodeExecutor::make_node(const Effect& effect) {
  Arguments arguments(effect);
  const std::string path = arguments.text("path");
  const std::string devno_text = arguments.text("devno");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  const auto parts = components(path);
  if (!parts) {
    return tl::unexpected(parts.error());
  }
  const auto devno = dev_from(devno_text);
  if (!devno) {
    return fail(Errc::invalid, quote(devno_text) + " is not the number of a device");
  }
  return put(
      root_, path, *parts,
      [&](const Fd& directory, const std::string& name) -> Result<bool> {
        struct stat status = {};
        if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
          return false;
        }
        if (!S_ISBLK(status.st_mode) && !S_ISLNK(status.st_mode)) {
          return tl::unexpected(occupied(path, "neither a link nor a block device's node"));
        }
        return S_ISBLK(status.st_mode) && status.st_rdev == *devno;
      },
      [&](const Fd& directory, const std::string& name) {
        return ::mknodat(directory.get(), name.c_str(), S_IFBLK | 0660, *devno);
      });
}

}  // namespace muster::node
