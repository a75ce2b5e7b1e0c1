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
  if (!exists(path)) {
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
  if (auto begun = writer.begin_segment(); !begun) {
    return tl::unexpected(begun.error());
  }
  return writer;
}

Result<void> JournalWriter::begin_segment() {
  fd_.reset(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  if (!fd_) {
    return fail_errno(fmt::format("journal {}", path_), errno);
  }
  Json header = header_;
  header["journal"] = kJournalVersion;
  header["segment"] = ++segment_;
  size_ = 0;
  return write(to_line(header) + "\n");
}

void JournalWriter::add(std::string_view line) {
  batch_ += line;
  batch_ += '\n';
}

Result<void> JournalWriter::flush() {
  if (batch_.empty()) {
    return {};
  }
  Result<void> result;
  if (size_ + batch_.size() > limit_) {
    static_cast<void>(std::rename(path_.c_str(), (path_ + ".1").c_str()));
    result = begin_segment();
  }
  if (result) {
    result = write(batch_);
  }
  batch_.clear();
  return result;
}

Result<void> JournalWriter::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd_.get(), text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      return fail_errno(fmt::format("journal {}", path_), errno);
    }
    size_ += static_cast<std::size_t>(written);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
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
