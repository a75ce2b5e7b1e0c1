#include "initramfs/muster_init/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "daemon/fd.h"

namespace muster::init {
namespace {

constexpr int kDeepest = 32;

bool copy_file(const std::string& from, const std::string& to, const struct stat& status) {
  const Fd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  const Fd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, status.st_mode & 07777));
  if (!in || !out) {
    return false;
  }
  for (;;) {
    const ssize_t n = ::sendfile(out.get(), in.get(), nullptr, std::size_t{1} << 20);
    if (n == 0) {
      break;
    }
    if (n < 0) {
      return false;
    }
  }
  const struct timespec times[2] = {status.st_atim, status.st_mtim};
  return ::fchown(out.get(), status.st_uid, status.st_gid) == 0 &&
         ::fchmod(out.get(), status.st_mode & 07777) == 0 && ::futimens(out.get(), times) == 0;
}

bool copy_link(const std::string& from, const std::string& to) {
  char target[PATH_MAX];
  const ssize_t n = ::readlink(from.c_str(), target, sizeof target - 1);
  if (n < 0) {
    return false;
  }
  target[n] = '\0';
  return ::symlink(target, to.c_str()) == 0;
}

void move_directory(const std::string& from, const std::string& to, int depth,
                    std::vector<std::string>& problems) {
  DIR* dir = depth > kDeepest ? nullptr : ::opendir(from.c_str());
  if (dir == nullptr) {
    problems.push_back(from + ": " + std::strerror(depth > kDeepest ? ELOOP : errno));
    return;
  }
  while (const dirent* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") {
      continue;
    }
    const std::string source = from + "/" + name;
    const std::string target = to + "/" + name;
    struct stat status{};
    bool done = ::lstat(source.c_str(), &status) == 0;
    if (done && S_ISDIR(status.st_mode)) {
      done = ::mkdir(target.c_str(), status.st_mode & 07777) == 0 || errno == EEXIST;
      if (done) {
        move_directory(source, target, depth + 1, problems);
        ::rmdir(source.c_str());
      }
    } else if (done && S_ISREG(status.st_mode)) {
      done = copy_file(source, target, status) && ::unlink(source.c_str()) == 0;
    } else if (done && S_ISLNK(status.st_mode)) {
      done = copy_link(source, target) && ::unlink(source.c_str()) == 0;
    } else {
      done = false;
      errno = EOPNOTSUPP;
    }
    if (!done) {
      problems.push_back(source + ": " + std::strerror(errno));
    }
  }
  ::closedir(dir);
}

}  // namespace

std::string read_small_file(const char* path) {
  constexpr std::size_t kMost = std::size_t{64} * 1024;
  std::string text;
  const Fd fd(::open(path, O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  while (fd && text.size() < kMost) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n <= 0) {
      break;
    }
    text.append(buffer, static_cast<std::size_t>(n));
  }
  return text;
}

bool write_small_file(const char* path, std::string_view text) {
  const Fd fd(::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool make_directories(const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    ::mkdir(path.substr(0, slash).c_str(), 0755);
  }
  return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST;
}

void move_tree(const std::string& from, const std::string& to, std::vector<std::string>& problems) {
  move_directory(from, to, 0, problems);
}

}  // namespace muster::init
