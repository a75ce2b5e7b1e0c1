#include "handlers/block_device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>

#include "daemon/quote.h"

namespace muster {
namespace {

#ifndef BLKGETDISKSEQ
#define BLKGETDISKSEQ _IOR(0x12, 128, std::uint64_t)
#endif

// More than any reader asks for at once; a length that exceeds it was computed from something
// hostile.
constexpr std::size_t kMaxMounts = 4 * 1024 * 1024;
constexpr std::size_t kMaxRead = 64 * 1024 * 1024;

// A path as /proc writes it: blanks and the like as \040.
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](std::size_t at) {
      return at < text.size() && text[at] >= '0' && text[at] <= '7';
    };
    if (text[i] == '\\' && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      plain += static_cast<char>(
          ((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0')) & 0xFF);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// "8:2": the number of the device that /proc calls by this path. A node that gave way to another
// one ("/dev/sda2 (deleted)") had the kernel's name.
std::string number_of(const Root& root, std::string path) {
  constexpr std::string_view kDeleted = " (deleted)";
  const bool deleted = path.ends_with(kDeleted);
  if (deleted) {
    path.resize(path.size() - kDeleted.size());
  }
  struct stat status = {};
  if (!deleted && ::stat(root.host_path(path).c_str(), &status) == 0 && S_ISBLK(status.st_mode)) {
    return fmt::format("{}:{}", major(status.st_rdev), minor(status.st_rdev));
  }
  const std::string name = path.substr(path.rfind('/') + 1);
  return attribute_text(root.read_file(fmt::format("/sys/class/block/{}/dev", name), kMaxAttribute)
                            .value_or(std::string{}));
}

// The first line, taken off the text.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// The first word, taken off the line.
std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

}  // namespace

std::optional<dev_t> dev_from(std::string_view devno) {
  constexpr unsigned kMaxMajor = (1U << 12U) - 1;
  constexpr unsigned kMaxMinor = (1U << 20U) - 1;
  unsigned major_number = 0;
  unsigned minor_number = 0;
  const char* end = devno.data() + devno.size();
  const auto [colon, major_error] = std::from_chars(devno.data(), end, major_number);
  if (major_error != std::errc() || colon == end || *colon != ':') {
    return std::nullopt;
  }
  const auto [rest, minor_error] = std::from_chars(colon + 1, end, minor_number);
  if (minor_error != std::errc() || rest != end || major_number > kMaxMajor ||
      minor_number > kMaxMinor) {
    return std::nullopt;
  }
  return makedev(major_number, minor_number);
}

BlockDevices::BlockDevices(const Root& root, std::string directory)
    : root_(root), directory_(std::move(directory)) {
}

Result<Fd> BlockDevices::directory() const {
  const std::lock_guard lock(mutex_);
  auto fd = root_.open_at(directory_, O_RDONLY | O_DIRECTORY);
  if (!fd) {
    for (std::size_t end = directory_.find('/', 1); end != std::string::npos;
         end = directory_.find('/', end + 1)) {
      ::mkdir(root_.host_path(directory_.substr(0, end)).c_str(), 0755);
    }
    if (::mkdir(root_.host_path(directory_).c_str(), 0700) != 0 && errno != EEXIST) {
      return fail_errno(directory_, errno);
    }
    fd = root_.open_at(directory_, O_RDONLY | O_DIRECTORY);
    if (!fd) {
      return fd;
    }
  }
  // Distributions mount /run so that nodes in it cannot be opened.
  struct statvfs filesystem = {};
  if (::fstatvfs(fd->get(), &filesystem) == 0 && (filesystem.f_flag & ST_NODEV) != 0) {
    const std::string path = root_.host_path(directory_);
    if (::mount("muster-dev", path.c_str(), "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0700,size=1m") !=
        0) {
      return fail_errno(
          directory_ + ": nodes cannot be opened here, and a file system where they can", errno);
    }
    fd = root_.open_at(directory_, O_RDONLY | O_DIRECTORY);
  }
  return fd;
}

Result<std::string> BlockDevices::node(std::string_view devno) const {
  const auto device = dev_from(devno);
  if (!device) {
    return fail(Errc::invalid, quote(devno) + " is not the number of a device");
  }
  auto dir = directory();
  if (!dir) {
    return tl::unexpected(dir.error());
  }
  const std::string name = fmt::format("b{}:{}", major(*device), minor(*device));
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (::mknodat(dir->get(), name.c_str(), S_IFBLK | 0600, *device) != 0 && errno != EEXIST) {
      return fail_errno(fmt::format("{}/{}", directory_, name), errno);
    }
    struct stat status = {};
    if (::fstatat(dir->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISBLK(status.st_mode) && status.st_rdev == *device) {
      return fmt::format("{}/{}", directory_, name);
    }
    ::unlinkat(dir->get(), name.c_str(), 0);  // not ours: made anew
  }
  return fail(Errc::io, fmt::format("{}/{}: something else stands in its place", directory_, name));
}

Result<Fd> BlockDevices::open(std::string_view devno, int flags) const {
  const auto path = node(devno);
  if (!path) {
    return tl::unexpected(path.error());
  }
  Fd fd(::open(root_.host_path(*path).c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY));
  if (!fd) {
    return fail_errno(fmt::format("device {}", devno), errno);
  }
  struct stat status = {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISBLK(status.st_mode) ||
      status.st_rdev != dev_from(devno)) {
    return fail(Errc::io, fmt::format("device {}: its node was exchanged", devno));
  }
  return fd;
}

Result<std::uint64_t> block_size_bytes(const Fd& device) {
  std::uint64_t bytes = 0;
  if (::ioctl(device.get(), BLKGETSIZE64, &bytes) != 0) {
    return fail_errno("size of the device", errno);
  }
  return bytes;
}

std::uint64_t block_diskseq(const Fd& device) {
  std::uint64_t diskseq = 0;
  return ::ioctl(device.get(), BLKGETDISKSEQ, &diskseq) == 0 ? diskseq : 0;
}

Reader device_reader(const Fd& device, std::uint64_t size_bytes) {
  return [fd = device.get(), size_bytes](std::uint64_t offset,
                                         std::size_t length) -> Result<std::vector<std::byte>> {
    if (offset >= size_bytes) {
      return std::vector<std::byte>{};
    }
    length = static_cast<std::size_t>(std::min<std::uint64_t>(length, size_bytes - offset));
    if (length > kMaxRead) {
      return fail(Errc::invalid,
                  fmt::format("a read of {} bytes at {} is refused", length, offset));
    }
    std::vector<std::byte> bytes(length);
    std::size_t have = 0;
    while (have < length) {
      const ssize_t n =
          ::pread(fd, bytes.data() + have, length - have, static_cast<off_t>(offset + have));
      if (n < 0 && errno == EINTR) {
        continue;
      }
      if (n < 0) {
        return fail_errno(fmt::format("reading {} bytes at {}", length, offset), errno);
      }
      if (n == 0) {
        break;  // it shrank
      }
      have += static_cast<std::size_t>(n);
    }
    bytes.resize(have);
    return bytes;
  };
}

std::string kernel_name(const Root& root, std::string_view devno) {
  const auto device = root.open_at(fmt::format("/sys/dev/block/{}", devno), O_PATH | O_DIRECTORY);
  if (!device) {
    return {};
  }
  const std::string uevent =
      Root::read_below(*device, "uevent", kMaxAttribute).value_or(std::string{});
  constexpr std::string_view kKey = "DEVNAME=";
  const std::size_t start = uevent.starts_with(kKey) ? 0 : uevent.find("\nDEVNAME=");
  if (start == std::string::npos) {
    return {};
  }
  const std::size_t value = uevent.find('=', start) + 1;
  return uevent.substr(value, uevent.find('\n', value) - value);
}

std::vector<std::string> holders_of(const Root& root, std::string_view devno) {
  std::vector<std::string> names;
  std::vector<std::string> numbers{std::string(devno)};
  const auto add_holders = [&](const std::string& device) {
    for (const std::string& holder :
         root.list(device + "/holders").value_or(std::vector<std::string>{})) {
      const std::string map = attribute_text(
          root.read_file(fmt::format("{}/holders/{}/dm/name", device, holder), kMaxAttribute)
              .value_or(std::string{}));
      names.push_back(map.empty() ? attribute_text(holder)
                                  : fmt::format("{} ({})", attribute_text(holder), map));
    }
  };
  const std::string device = fmt::format("/sys/dev/block/{}", devno);
  add_holders(device);
  for (const std::string& child : root.list(device).value_or(std::vector<std::string>{})) {
    if (root.exists(fmt::format("{}/{}/partition", device, child))) {
      add_holders(fmt::format("{}/{}", device, child));
      numbers.push_back(
          attribute_text(root.read_file(fmt::format("{}/{}/dev", device, child), kMaxAttribute)
                             .value_or(std::string{})));
    }
  }
  const auto is_one_of_them = [&](std::string_view number) {
    return !number.empty() && std::find(numbers.begin(), numbers.end(), number) != numbers.end();
  };
  // ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAG]... - FSTYPE SOURCE OPTIONS
  const std::string mounts =
      root.read_file("/proc/self/mountinfo", kMaxMounts).value_or(std::string{});
  for (std::string_view rest = mounts; !rest.empty();) {
    std::string_view line = take_line(rest);
    std::array<std::string_view, 5> fields;
    for (std::string_view& field : fields) {
      field = take_word(line);
    }
    bool ours = is_one_of_them(fields[2]);
    // btrfs has a number of its own and names only its device.
    const std::size_t dash = line.find(" - ");
    if (!ours && fields[2].starts_with("0:") && dash != std::string_view::npos) {
      line.remove_prefix(dash + 3);
      static_cast<void>(take_word(line));
      const std::string source = unescaped(take_word(line));
      ours = source.starts_with("/dev/") && is_one_of_them(number_of(root, source));
    }
    if (ours) {
      names.push_back("mounted at " + attribute_text(fields[4]));
    }
  }
  // FILENAME TYPE SIZE USED PRIORITY, below a line of titles. The file system that a swap file is
  // on is mounted.
  const std::string swaps = root.read_file("/proc/swaps", kMaxMounts).value_or(std::string{});
  for (std::string_view rest = swaps; !rest.empty();) {
    std::string_view line = take_line(rest);
    const std::string path = unescaped(take_word(line));
    if (take_word(line) == "partition" && is_one_of_them(number_of(root, path))) {
      names.push_back("swap on " + attribute_text(path));
    }
  }
  return names;
}

Result<void> make_block_node(const std::string& path, dev_t number) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const std::string temporary = path + ".muster";
  ::unlink(temporary.c_str());
  if (::mknod(temporary.c_str(), S_IFBLK | 0600, number) != 0) {
    return fail_errno(path, errno);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return fail_errno(path, error);
  }
  return {};
}

std::string holders_text(const Root& root, std::string_view devno) {
  const auto names = holders_of(root, devno);
  return names.empty() ? std::string("held open by a program")
                       : fmt::format("held by {}", fmt::join(names, ", "));
}

}  // namespace muster
