#include "handlers/launch/journal_keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "daemon/quote.h"

namespace muster::launch {
namespace {

constexpr const char* kFile = "journal.jsonl";
constexpr std::size_t kMostDevices = 4096;

bool is_mount_point(const std::string& directory) {
  struct stat here{};
  struct stat above{};
  return ::stat(directory.c_str(), &here) == 0 &&
         ::stat((directory + "/..").c_str(), &above) == 0 && here.st_dev != above.st_dev;
}

// Each folder of the path below `directory`, made where it is missing. A symbolic link is not
// followed: it is one of the restored system and may lead out of it.
Result<Fd> folder_in(const std::string& directory, const std::string& path) {
  Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(directory, errno);
  }
  for (const auto& part : std::filesystem::path(path).relative_path()) {
    const std::string name = part.string();
    if (name.empty() || name == "." || name == "..") {
      return fail(Errc::invalid, quote(path) + ": not a plain path");
    }
    if (::mkdirat(fd.get(), name.c_str(), name == "muster" ? 0700 : 0755) != 0 && errno != EEXIST) {
      return fail_errno(directory + path, errno);
    }
    Fd next(::openat(fd.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) {
      return fail_errno(directory + path, errno);
    }
    fd = std::move(next);
  }
  return fd;
}

Result<std::uint64_t> copy_into(const std::string& directory, const std::string& path,
                                const std::string& journal) {
  const auto folder = folder_in(directory, path);
  if (!folder) {
    return tl::unexpected(folder.error());
  }
  // What an earlier restore left there is kept once.
  static_cast<void>(::renameat(folder->get(), kFile, folder->get(), "journal.old.jsonl"));
  RecordSettings settings;
  settings.journal = journal;
  settings.output = fmt::format("/proc/self/fd/{}/{}", folder->get(), kFile);
  auto recorded = record_journal(settings);
  if (!recorded) {
    return tl::unexpected(recorded.error());
  }
  return recorded->bytes;
}

class WritableMount {
 public:
  explicit WritableMount(std::string directory) : directory_(std::move(directory)) {}
  ~WritableMount() { static_cast<void>(end()); }
  WritableMount(const WritableMount&) = delete;
  WritableMount& operator=(const WritableMount&) = delete;

  [[nodiscard]] Result<void> begin(const std::string& device, const std::string& format) {
    std::error_code ignored;
    std::filesystem::create_directories(directory_, ignored);
    if (::mount(device.c_str(), directory_.c_str(), format.c_str(),
                MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
      return fail_errno(fmt::format("mounting {} ({})", quote(device), quote(format)), errno);
    }
    mounted_ = true;
    return {};
  }
  [[nodiscard]] Result<void> end() {
    if (!std::exchange(mounted_, false)) {
      return {};
    }
    if (::umount2(directory_.c_str(), UMOUNT_NOFOLLOW) != 0) {
      const int error = errno;
      static_cast<void>(::umount2(directory_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW));
      return fail_errno(directory_, error);
    }
    return {};
  }

 private:
  std::string directory_;
  bool mounted_ = false;
};

std::optional<Devno> devno_file(const Root& root, const std::string& path) {
  const auto text = root.read_file(path, 64);
  return text ? devno_from(std::string_view(*text).substr(0, text->find('\n'))) : std::nullopt;
}

}  // namespace

std::set<Devno> disks_below(const Root& root, Devno devno) {
  std::set<Devno> disks;
  std::set<Devno> seen;
  std::vector<Devno> unvisited{devno};
  while (!unvisited.empty() && seen.size() < kMostDevices) {
    const Devno each = unvisited.back();
    unvisited.pop_back();
    if (!seen.insert(each).second) {
      continue;
    }
    const std::string place = "/sys/dev/block/" + each.text();
    if (root.exists(place + "/partition")) {
      if (const auto disk = devno_file(root, place + "/../dev")) {
        unvisited.push_back(*disk);
      }
      continue;
    }
    const auto below = root.list(place + "/slaves");
    if (!below || below->empty()) {
      disks.insert(each);
      continue;
    }
    for (const auto& name : *below) {
      if (const auto slave = devno_file(root, fmt::format("{}/slaves/{}/dev", place, name))) {
        unvisited.push_back(*slave);
      }
    }
  }
  return disks;
}

Result<Json> keep_journal(const Root& root, const KeepSettings& settings) {
  const auto answer = [](const std::string& file, std::uint64_t bytes) {
    return Json{{"file", file}, {"bytes", bytes}};
  };
  const std::string file = fmt::format("{}/{}", settings.folder, kFile);
  if (is_mount_point(settings.restored)) {
    const auto copied = copy_into(settings.restored, settings.folder, settings.journal);
    return copied ? Result<Json>(answer(file, *copied)) : tl::unexpected(copied.error());
  }
  if (settings.device.empty()) {
    return Json{{"why", "it is not mounted any more"}};
  }
  struct stat status{};
  if (::stat(settings.device.c_str(), &status) != 0) {
    return fail_errno(quote(settings.device), errno);
  }
  // A name is order of arrival: whatever it leads to now must lie on the drives of the plan.
  const auto disks = disks_below(root, {::major(status.st_rdev), ::minor(status.st_rdev)});
  const bool ours = S_ISBLK(status.st_mode) && !disks.empty() &&
                    std::all_of(disks.begin(), disks.end(), [&](Devno disk) {
                      return std::find(settings.drives.begin(), settings.drives.end(), disk) !=
                             settings.drives.end();
                    });
  if (!ours) {
    return Json{{"why", fmt::format("{} does not lie on the drives of the plan alone",
                                    quote(settings.device))}};
  }
  WritableMount mount(settings.aside);
  if (auto begun = mount.begin(settings.device, settings.format); !begun) {
    return tl::unexpected(begun.error());
  }
  const auto copied = copy_into(settings.aside, settings.below, settings.journal);
  auto ended = mount.end();
  if (!copied) {
    return tl::unexpected(copied.error());
  }
  return ended ? Result<Json>(answer(file, *copied)) : tl::unexpected(ended.error());
}

}  // namespace muster::launch
