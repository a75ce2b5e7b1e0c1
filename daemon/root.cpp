#include "daemon/root.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

namespace muster {
namespace {

// Neither over-long forms, nor surrogates, nor anything above U+10FFFF. Length of the sequence at
// the start; 0: none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t i) {
    return i < text.size() && (byte(i) & 0xC0U) == 0x80;
  };
  const unsigned char first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xC2 && first <= 0xDF) {
    return continues(1) ? 2 : 0;
  }
  if (first >= 0xE0 && first <= 0xEF) {
    if (!continues(1) || !continues(2)) {
      return 0;
    }
    const bool overlong = first == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = first == 0xED && byte(1) >= 0xA0;
    return overlong || surrogate ? 0 : 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!continues(1) || !continues(2) || !continues(3)) {
      return 0;
    }
    const bool overlong = first == 0xF0 && byte(1) < 0x90;
    const bool beyond = first == 0xF4 && byte(1) >= 0x90;
    return overlong || beyond ? 0 : 4;
  }
  return 0;
}

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

Result<std::vector<std::string>> list_fd(Fd fd, std::string_view what) {
  const std::unique_ptr<DIR, CloseDir> dir(::fdopendir(fd.get()));
  if (!dir) {
    return fail_errno(what, errno);
  }
  static_cast<void>(fd.release());  // closedir's now
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) {
      if (errno != 0) {
        return fail_errno(what, errno);
      }
      break;
    }
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") {
      names.emplace_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Up to `limit` bytes; one more is asked for so that the caller can tell that there was more.
Result<std::string> read_fd(const Fd& fd, std::size_t limit, std::string_view what) {
  std::string text;
  std::array<char, 4096> buffer;
  while (text.size() <= limit) {
    const ssize_t got =
        ::read(fd.get(), buffer.data(), std::min(buffer.size(), limit + 1 - text.size()));
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      return fail_errno(what, errno);
    }
    if (got == 0) {
      break;
    }
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) {
    if (!text.empty()) {
      text += ' ';
    }
    text += name;
    if (text.size() > kMaxAttribute) {
      text.resize(kMaxAttribute);
      break;
    }
  }
  return text;
}

}  // namespace

Result<Root> Root::open(const std::string& path) {
  Fd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(fmt::format("root directory {}", path), errno);
  }
  return Root(std::move(fd), path);
}

std::string Root::host_path(std::string_view path) const {
  while (path.starts_with('/')) {
    path.remove_prefix(1);
  }
  return path_.ends_with('/') ? path_ + std::string(path) : fmt::format("{}/{}", path_, path);
}

Result<Fd> Root::open_at(std::string_view path, int flags, unsigned mode) const {
  std::string relative(path);
  relative.erase(0, std::min(relative.find_first_not_of('/'), relative.size()));
  if (relative.empty()) {
    relative = ".";
  }
  int fd = -1;
  if (path_ == "/") {
    fd = ::openat(fd_.get(), relative.c_str(), flags | O_CLOEXEC, mode);
  } else {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags | O_CLOEXEC));
    how.mode = mode;
    how.resolve = RESOLVE_IN_ROOT;
    fd = static_cast<int>(::syscall(SYS_openat2, fd_.get(), relative.c_str(), &how, sizeof how));
  }
  if (fd < 0) {
    return fail_errno(path, errno);
  }
  return Fd(fd);
}

Result<Fd> Root::open_below(const Fd& directory, const char* name, int flags) {
  Fd fd(::openat(directory.get(), name, flags | O_CLOEXEC));
  if (!fd) {
    return fail_errno(name, errno);
  }
  return fd;
}

bool Root::exists(std::string_view path) const {
  return open_at(path, O_PATH).has_value();
}

Result<std::string> Root::read_file(std::string_view path, std::size_t limit) const {
  // A FIFO or a tty must not hold us up.
  auto fd = open_at(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  auto text = read_fd(*fd, limit, path);
  if (text && text->size() > limit) {
    return fail(Errc::invalid, fmt::format("{}: more than {} bytes", path, limit));
  }
  return text;
}

Result<void> Root::write_file(std::string_view path, std::string_view text) const {
  const auto fd = open_at(path, O_WRONLY | O_NOCTTY);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  for (;;) {
    const ssize_t written = ::write(fd->get(), text.data(), text.size());
    if (written >= 0) {
      return static_cast<std::size_t>(written) == text.size()
                 ? Result<void>()
                 : fail(Errc::io, fmt::format("{}: only {} of {} bytes were taken", path, written,
                                              text.size()));
    }
    if (errno != EINTR) {
      return fail_errno(path, errno);
    }
  }
}

Result<std::vector<std::string>> Root::list(std::string_view path) const {
  auto fd = open_at(path, O_RDONLY | O_DIRECTORY);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  return list_fd(std::move(*fd), path);
}

std::optional<std::string> Root::read_attribute(std::string_view devpath,
                                                std::string_view name) const {
  const auto device = open_at(fmt::format("/sys{}", devpath), O_PATH | O_DIRECTORY);
  return device ? read_attribute(*device, std::string(name)) : std::nullopt;
}

std::optional<std::string> Root::read_attribute(const Fd& device, const std::string& name) {
  if (name == "driver" || name == "subsystem" || name == "module") {
    if (auto target = link_name(device, name.c_str())) {
      return target;
    }
  }
  auto fd = open_below(device, name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) {
    return std::nullopt;
  }
  // sysfs gives all there is at once.
  std::array<char, kMaxAttribute> buffer;
  ssize_t got = 0;
  do {
    got = ::read(fd->get(), buffer.data(), buffer.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EISDIR) {
    const auto names = list_fd(std::move(*fd), name);
    return names ? std::optional(valid_text(joined(*names), true)) : std::nullopt;
  }
  return got < 0 ? std::nullopt
                 : std::optional(attribute_text({buffer.data(), static_cast<std::size_t>(got)}));
}

Result<std::string> Root::read_below(const Fd& directory, const char* name, std::size_t limit) {
  const auto fd = open_below(directory, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  auto text = read_fd(*fd, limit, name);
  if (text && text->size() > limit) {
    return fail(Errc::invalid, fmt::format("{}: more than {} bytes", name, limit));
  }
  return text;
}

std::optional<std::string> Root::link_name(const Fd& directory, const char* name) {
  std::array<char, 4096> buffer;
  const ssize_t length = ::readlinkat(directory.get(), name, buffer.data(), buffer.size());
  if (length <= 0) {
    return std::nullopt;
  }
  const std::string_view target(buffer.data(), static_cast<std::size_t>(length));
  return valid_text(target.substr(target.rfind('/') + 1), true);
}

std::string valid_text(std::string_view bytes, bool escape_backslash) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const auto length = utf8_length(bytes);
    const auto first = static_cast<unsigned char>(bytes.front());
    // U+0080 to U+009F are control characters as well; terminals obey some of them.
    const bool control =
        first < 0x20 || first == 0x7F ||
        (first == 0xC2 && length == 2 && static_cast<unsigned char>(bytes[1]) < 0xA0);
    if (length == 0 || control || (escape_backslash && first == '\\')) {
      const std::size_t count = std::max<std::size_t>(length, 1);
      for (const char c : bytes.substr(0, count)) {
        text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      }
      bytes.remove_prefix(count);
    } else {
      text.append(bytes.substr(0, length));
      bytes.remove_prefix(length);
    }
  }
  return text;
}

std::string attribute_text(std::string_view bytes) {
  bytes = bytes.substr(0, bytes.find_last_not_of(" \t\r\n") + 1);
  return valid_text(bytes, true);
}

}  // namespace muster
