#include "initramfs/muster_unpack/safe_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>

namespace muster::unpack {
namespace {

constexpr int kDeepest = 128;

}  // namespace

Result<SafeTree> SafeTree::open(const std::string& root) {
  Fd fd(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(root, errno);
  }
  char place[PATH_MAX];
  const ssize_t n =
      ::readlink(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), place, sizeof place - 1);
  if (n < 0) {
    return fail_errno("/proc/self/fd", errno);
  }
  std::string text(place, static_cast<std::size_t>(n));
  return SafeTree(std::move(fd), text == "/" ? "" : std::move(text));
}

Result<Fd> SafeTree::resolve(const std::string& path, int flags) const {
  open_how how{};
  how.flags = static_cast<__u64>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  Fd fd(static_cast<int>(
      ::syscall(SYS_openat2, root_.get(), path.empty() ? "." : path.c_str(), &how, sizeof how)));
  if (!fd) {
    return fail_errno(path, errno);
  }
  return fd;
}

Result<Fd> SafeTree::folder(const std::string& path) const {
  return resolve(path, O_RDONLY | O_DIRECTORY);
}

Result<Fd> SafeTree::file(const std::string& path) const {
  // A fifo or a device must not be opened for real.
  auto probe = resolve(path, O_PATH);
  struct stat status{};
  if (!probe) {
    return probe;
  }
  if (::fstat(probe->get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return fail(Errc::invalid, path + ": not a file");
  }
  return resolve(path, O_RDONLY);
}

Result<Fd> SafeTree::make_folder(const std::string& path) const {
  for (std::size_t end = path.find('/');; end = path.find('/', end + 1)) {
    const std::string head = path.substr(0, end);
    if (!head.empty()) {
      const auto [parent, name] = split_path(head);
      auto above = folder(parent);
      if (!above) {
        return above;
      }
      if (::mkdirat(above->get(), name.c_str(), 0755) != 0 && errno != EEXIST) {
        return fail_errno(head, errno);
      }
    }
    if (end == std::string::npos) {
      return folder(path);
    }
  }
}

Result<std::string> SafeTree::place_of(int fd) const {
  char place[PATH_MAX];
  const ssize_t n =
      ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), place, sizeof place - 1);
  if (n < 0) {
    return fail_errno("/proc/self/fd", errno);
  }
  const std::string text(place, static_cast<std::size_t>(n));
  if (text == place_ || text == "/") {
    return std::string();
  }
  if (text.rfind(place_ + "/", 0) != 0) {
    return fail(Errc::invalid, text + ": outside of the tree");
  }
  return text.substr(place_.size() + 1);
}

std::pair<std::string, std::string> split_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos
             ? std::pair<std::string, std::string>{"", path}
             : std::pair<std::string, std::string>{path.substr(0, slash), path.substr(slash + 1)};
}

Result<NewFile> NewFile::create(int folder, const std::string& name, unsigned mode) {
  // The longest name leaves no room for a suffix, so the temporary one is its own.
  const std::string temporary = ".muster-unpack." + std::to_string(::getpid());
  ::unlinkat(folder, temporary.c_str(), 0);
  Fd fd(::openat(folder, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                 0600));
  if (!fd) {
    return fail_errno(name, errno);
  }
  NewFile file(folder, std::move(fd), name, temporary);
  if (::fchmod(file.fd_.get(), mode & 07777) != 0) {
    return fail_errno(name, errno);
  }
  return file;
}

NewFile::~NewFile() {
  if (fd_) {
    ::unlinkat(folder_, temporary_.c_str(), 0);
  }
}

Result<void> NewFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return fail_errno(name_, errno);
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> NewFile::finish(time_t mtime) {
  const struct timespec times[2] = {{mtime, 0}, {mtime, 0}};
  ::futimens(fd_.get(), times);
  if (::renameat(folder_, temporary_.c_str(), folder_, name_.c_str()) != 0) {
    return fail_errno(name_, errno);
  }
  fd_.reset();
  return {};
}

Result<std::vector<std::string>> names_in(int folder) {
  const int copy = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(copy < 0 ? nullptr : ::fdopendir(copy), ::closedir);
  if (!dir) {
    return fail_errno("cannot list a folder", errno);
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") {
      names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

namespace {

void remove_below(int folder, const std::string& name, int depth) {
  const Fd inner(::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (inner && depth < kDeepest) {
    if (const auto names = names_in(inner.get())) {
      for (const auto& child : *names) {
        remove_below(inner.get(), child, depth + 1);
      }
    }
  }
  ::unlinkat(folder, name.c_str(), inner ? AT_REMOVEDIR : 0);
}

}  // namespace

void remove_tree(int folder, const std::string& name) {
  remove_below(folder, name, 0);
}

}  // namespace muster::unpack
