#include "daemon/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>

#include "daemon/json_line.h"

namespace muster {
namespace {

constexpr const char* kNext = ".next";
constexpr unsigned kGenerationsKept = 8;  // at each end

std::string stem_of(const std::string& path) {
  constexpr std::string_view kSuffix = ".jsonl";
  return path.ends_with(kSuffix) ? path.substr(0, path.size() - kSuffix.size()) : path;
}

std::string generation_path(const std::string& path, unsigned number) {
  return fmt::format("{}.{}.jsonl", stem_of(path), number);
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

// The highest N of journal.N.jsonl; 0: there is none.
unsigned last_generation(const std::string& path) {
  const std::string prefix = std::filesystem::path(stem_of(path)).filename().string() + ".";
  unsigned last = 0;
  std::error_code error;
  const auto folder = std::filesystem::path(path).parent_path();
  for (auto it = std::filesystem::directory_iterator(folder.empty() ? "." : folder, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(prefix)) {
      continue;
    }
    const char* const end = name.data() + name.size();
    unsigned number = 0;
    const auto [rest, failed] = std::from_chars(name.data() + prefix.size(), end, number);
    if (failed == std::errc() && std::string_view(rest, end) == ".jsonl") {
      last = std::max(last, number);
    }
  }
  return last;
}

// The earlier daemon's journal gets the next free number.
void put_aside(const std::string& path) {
  // Killed while a new segment began: its file is whole once the one before it has moved.
  const std::string next = path + kNext;
  if (exists(path)) {
    ::unlink(next.c_str());
  } else if (std::rename(next.c_str(), path.c_str()) != 0) {
    return;
  }
  const unsigned number = last_generation(path) + 1;
  const auto name = generation_path(path, number);
  static_cast<void>(std::rename(path.c_str(), name.c_str()));
  static_cast<void>(std::rename((path + ".1").c_str(), (name + ".1").c_str()));
  if (number > 2 * kGenerationsKept) {
    const auto dropped = generation_path(path, number - kGenerationsKept);
    ::unlink(dropped.c_str());
    ::unlink((dropped + ".1").c_str());
  }
}

}  // namespace

Result<JournalWriter> JournalWriter::open(std::string path, Json header, std::size_t limit) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  struct stat status{};
  if (::lstat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return fail(Errc::invalid,
                fmt::format("journal {}: what lies there is not a file and is left alone", path));
  }
  put_aside(path);
  JournalWriter writer(std::move(path), std::move(header), limit);
  auto fd = writer.start_file(writer.path_, Json::object());
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  writer.fd_ = std::move(*fd);
  ++writer.segment_;
  return writer;
}

Result<Fd> JournalWriter::start_file(const std::string& path, const Json& state) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) {
    return fail_errno(fmt::format("journal {}", path_), errno);
  }
  Json header = header_;
  header["journal"] = kJournalVersion;
  header["segment"] = segment_ + 1;
  header.update(state);
  std::string line = to_line(header);
  const std::size_t size = state.empty() ? 0 : std::min(line.size(), JournalReader::kMaxLine);
  if (line.size() > JournalReader::kMaxLine) {
    // No reader would take it. What follows is still worth reading.
    header["snapshot"] = nullptr;
    line = to_line(header);
  }
  if (auto written = write(fd, line + "\n"); !written) {
    return tl::unexpected(written.error());
  }
  state_size_ = size;
  return fd;
}

bool JournalWriter::due() const {
  const auto size = size_ + batch_.size();
  return !tried_ && (gap_ || (size > 0 && size >= std::max(limit_, state_size_)));
}

Result<void> JournalWriter::begin_segment(Json state) {
  auto flushed = flush();
  // Beside the present one first: without memory for both, that one stays.
  const std::string next = path_ + kNext;
  ::unlink(next.c_str());
  auto fd = start_file(next, state);
  if (!fd) {
    ::unlink(next.c_str());
    tried_ = true;
    return tl::unexpected(fd.error());
  }
  if (std::rename(path_.c_str(), (path_ + ".1").c_str()) != 0 ||
      std::rename(next.c_str(), path_.c_str()) != 0) {
    tried_ = true;
    return fail_errno(fmt::format("journal {}", path_), errno);
  }
  fd_ = std::move(*fd);
  ++segment_;
  size_ = 0;
  gap_ = false;
  return flushed;
}

void JournalWriter::add(std::string_view lines) {
  // What no reader would take is left out whole, event and effects.
  if (gap_ || lines.size() > JournalReader::kMaxLine) {
    gap_ = true;
    return;
  }
  batch_ += lines;
}

Result<void> JournalWriter::flush() {
  tried_ = false;
  if (batch_.empty()) {
    return {};
  }
  auto result = write(fd_, batch_);
  if (result) {
    size_ += batch_.size();
  } else {
    gap_ = true;
  }
  batch_.clear();
  return result;
}

Result<void> JournalWriter::write(const Fd& fd, std::string_view text) const {
  const off_t before = ::lseek(fd.get(), 0, SEEK_END);
  while (!text.empty()) {
    const ssize_t written = ::write(fd.get(), text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      const int error = errno;
      // Not half a line: others may follow.
      static_cast<void>(::ftruncate(fd.get(), std::max<off_t>(before, 0)));
      return fail_errno(fmt::format("journal {}", path_), error);
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

std::vector<std::string> journal_files(const std::string& path) {
  std::vector<std::string> files;
  const auto add = [&](const std::string& file) {
    for (const auto& each : {file + ".1", file}) {
      if (exists(each)) {
        files.push_back(each);
      }
    }
  };
  for (unsigned number = 1, last = last_generation(path); number <= last; ++number) {
    add(generation_path(path, number));
  }
  add(path);
  return files;
}

Result<JournalReader> JournalReader::open(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(path, errno);
  }
  return JournalReader(std::move(fd));
}

Result<std::optional<JournalReader::Line>> JournalReader::next() {
  constexpr std::size_t kChunk = std::size_t{64} * 1024;
  std::size_t searched = used_;
  for (;;) {
    const auto newline = buffer_.find('\n', searched);
    if (newline != std::string::npos) {
      const std::string_view text = std::string_view(buffer_).substr(used_, newline - used_);
      ++number_;
      used_ = newline + 1;
      auto json = object_from_line(text);
      if (!json) {
        return tl::unexpected(json.error().within(fmt::format("line {}", number_)));
      }
      return Line{number_, std::move(*json)};
    }
    if (end_) {
      cut_off_ = used_ < buffer_.size();
      return std::nullopt;
    }
    if (buffer_.size() - used_ > kMaxLine) {
      end_ = true;
      buffer_.clear();
      used_ = 0;
      return fail(Errc::invalid,
                  fmt::format("line {}: longer than {} bytes", number_ + 1, kMaxLine));
    }
    buffer_.erase(0, used_);
    used_ = 0;
    searched = buffer_.size();
    buffer_.resize(searched + kChunk);
    const ssize_t got = ::read(fd_.get(), buffer_.data() + searched, kChunk);
    buffer_.resize(searched + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno != EINTR) {
      const int error = errno;
      end_ = true;
      return fail_errno(fmt::format("line {}", number_ + 1), error);
    }
    end_ = got == 0;
  }
}

}  // namespace muster
