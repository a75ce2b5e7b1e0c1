#include "daemon/record.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/journal.h"

namespace muster {
namespace {

constexpr std::size_t kChunk = std::size_t{256} * 1024;
// A segment may become the one before it while the files are being opened.
constexpr int kAttempts = 100;

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};

std::optional<FileId> id_of(const Fd& fd) {
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) {
    return std::nullopt;
  }
  return FileId{status.st_dev, status.st_ino};
}

std::optional<FileId> id_of(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return std::nullopt;
  }
  return FileId{status.st_dev, status.st_ino};
}

Result<Fd> open_journal(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    return fail_errno(path, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(Errc::invalid, path + ": not a regular file");
  }
  return fd;
}

// Every file of the journal, held open, so that a new segment changes nothing for us.
Result<std::vector<Fd>> open_all(const std::string& journal) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::vector<Fd> opened;
    const auto before = id_of(journal);
    bool complete = true;
    for (const auto& path : journal_files(journal)) {
      auto fd = open_journal(path);
      if (!fd && fd.error().code != Errc::not_found) {
        return tl::unexpected(fd.error());
      }
      complete = complete && fd;
      if (fd) {
        opened.push_back(std::move(*fd));
      }
    }
    // Nothing moved in between.
    if (complete && before && id_of(journal) == before && !opened.empty() &&
        id_of(opened.back()) == before) {
      return opened;
    }
    if (!before && opened.empty()) {
      break;
    }
  }
  return fail(Errc::not_found, fmt::format("{}: there is no journal", journal));
}

Result<Fd> open_output(const RecordSettings& settings) {
  const auto& path = settings.output;
  Fd fd(::open(
      path.c_str(),
      O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (settings.force ? 0 : O_EXCL),
      0600));
  if (!fd) {
    return errno == EEXIST  ? fail(Errc::busy, path + ": exists already (--force replaces it)")
           : errno == ELOOP ? fail(Errc::invalid, path + ": a symbolic link is not followed")
                            : fail_errno(path, errno);
  }
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return fail(Errc::invalid, path + ": not a regular file");
  }
  if (::ftruncate(fd.get(), 0) != 0) {
    return fail_errno(path, errno);
  }
  return fd;
}

// The name of a new file has to reach the medium as well.
Result<void> sync_directory_of(const std::string& path) {
  auto parent = std::filesystem::path(path).parent_path().string();
  parent = parent.empty() ? "." : parent;
  const Fd directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems know no fsync of directories.
  if (!directory || (::fsync(directory.get()) != 0 && errno != EINVAL && errno != ENOTSUP)) {
    return fail_errno(parent, errno);
  }
  return {};
}

class Copy {
 public:
  Copy(Fd output, std::string path) : output_(std::move(output)), path_(std::move(path)) {}

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  // All whole lines from where the last call ended to the end of the file as it is now.
  [[nodiscard]] Result<void> append(const Fd& from) {
    std::vector<char> chunk(kChunk);
    for (;;) {
      const ssize_t got = ::read(from.get(), chunk.data(), chunk.size());
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got < 0) {
        return fail_errno("the journal", errno);
      }
      if (got == 0) {
        return {};
      }
      rest_.append(chunk.data(), static_cast<std::size_t>(got));
      const auto end = rest_.rfind('\n');
      if (end == std::string::npos) {
        if (rest_.size() > JournalReader::kMaxLine) {
          return fail(Errc::invalid, "the journal: a line without an end");
        }
        continue;
      }
      if (auto written = write(end + 1); !written) {
        return written;
      }
    }
  }
  // The file that was read is complete; a last line without its end is nobody's.
  void next_file() { rest_.clear(); }

  [[nodiscard]] Result<void> sync() {
    if (::fdatasync(output_.get()) != 0) {
      // What did not get there is forgotten, wherever in the file it was: the same call again
      // succeeds.
      const int error = errno;
      return end_at(synced_, error);
    }
    synced_ = bytes_;
    return {};
  }

 private:
  [[nodiscard]] tl::unexpected<Error> end_at(std::uint64_t size, int error) {
    bytes_ = size;
    static_cast<void>(::ftruncate(output_.get(), static_cast<off_t>(bytes_)));
    auto failed = fail_errno(path_, error);
    failed.value().text += fmt::format(" ({} bytes were saved)", bytes_);
    return failed;
  }
  [[nodiscard]] Result<void> write(std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t written = ::write(output_.get(), rest_.data() + done, size - done);
      if (written < 0) {
        if (errno == EINTR) {
          continue;
        }
        const int error = errno;
        // Whole lines only, and what is there is to stay.
        const auto last = done == 0 ? std::string::npos : rest_.rfind('\n', done - 1);
        bytes_ += last == std::string::npos ? 0 : last + 1;
        return ::ftruncate(output_.get(), static_cast<off_t>(bytes_)) == 0 &&
                       ::fdatasync(output_.get()) == 0
                   ? end_at(bytes_, error)
                   : end_at(synced_, error);
      }
      done += static_cast<std::size_t>(written);
    }
    bytes_ += size;
    rest_.erase(0, size);
    return {};
  }

  Fd output_;
  std::string path_;
  std::string rest_;
  std::uint64_t bytes_ = 0;   // whole lines written
  std::uint64_t synced_ = 0;  // of them are on the medium
};

bool lies_in_memory(const std::string& path) {
  struct statfs status{};
  return ::statfs(path.c_str(), &status) == 0 &&
         (status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC);
}

// Follows the journal from file to file: PATH becomes PATH.1, or an earlier daemon's.
class Follower {
 public:
  Follower(std::string journal, Fd current, Copy& copy)
      : journal_(std::move(journal)), current_(std::move(current)), copy_(copy) {}

  [[nodiscard]] Result<void> run(const Fd& until) {
    const Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    const auto parent = std::filesystem::path(journal_).parent_path().string();
    if (!watch || ::inotify_add_watch(watch.get(), parent.empty() ? "." : parent.c_str(),
                                      IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR) < 0) {
      return fail_errno(parent, errno);
    }
    for (;;) {
      // After the watch is there, and after it was emptied: nothing is missed.
      const auto before = copy_.bytes();
      if (auto caught_up = catch_up(); !caught_up) {
        return caught_up;
      }
      if (copy_.bytes() != before) {
        if (auto synced = copy_.sync(); !synced) {
          return synced;
        }
      }
      std::array<pollfd, 2> fds = {{{watch.get(), POLLIN, 0}, {until.get(), POLLIN, 0}}};
      if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) {
        return fail_errno("poll", errno);
      }
      if (fds[1].revents != 0) {
        auto last = catch_up();
        return last ? copy_.sync() : last;
      }
      std::array<char, 4096> ignored{};
      while (::read(watch.get(), ignored.data(), ignored.size()) > 0) {
      }
    }
  }

 private:
  [[nodiscard]] Result<void> catch_up() {
    for (;;) {
      // The order matters: a file that is no longer the present one does not grow any more.
      const auto present = id_of(journal_);
      if (auto appended = copy_.append(current_); !appended) {
        return appended;
      }
      if (!present || present == id_of(current_)) {
        return {};
      }
      // The segment after the one that we hold; if that is gone already, the oldest of this daemon.
      auto opened = open_all(journal_);
      if (!opened) {
        return tl::unexpected(opened.error());
      }
      std::size_t next = opened->size() - std::min<std::size_t>(opened->size(), 2);
      for (std::size_t i = 0; i + 1 < opened->size(); ++i) {
        if (id_of((*opened)[i]) == id_of(current_)) {
          next = i + 1;
        }
      }
      copy_.next_file();
      current_ = std::move((*opened)[next]);
    }
  }

  std::string journal_;
  Fd current_;
  Copy& copy_;
};

}  // namespace

Result<Recorded> record_journal(const RecordSettings& settings) {
  auto opened = open_all(settings.journal);
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  auto output = open_output(settings);
  if (!output) {
    return tl::unexpected(output.error());
  }
  Recorded recorded{
      .bytes = 0, .files = opened->size(), .in_memory = lies_in_memory(settings.output)};
  Copy copy(std::move(*output), settings.output);
  for (const auto& from : *opened) {
    copy.next_file();
    if (auto appended = copy.append(from); !appended) {
      return tl::unexpected(appended.error());
    }
  }
  for (auto synced : {copy.sync(), sync_directory_of(settings.output)}) {
    if (!synced) {
      return tl::unexpected(synced.error());
    }
  }
  if (settings.follow_until != nullptr) {
    Follower follower(settings.journal, std::move(opened->back()), copy);
    if (auto followed = follower.run(*settings.follow_until); !followed) {
      return tl::unexpected(followed.error());
    }
  }
  recorded.bytes = copy.bytes();
  return recorded;
}

}  // namespace muster
