#include "handlers/medium/medium_mount.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "daemon/quote.h"

namespace muster::medium {
namespace {

constexpr int kLoopAttempts = 16;  // somebody else may take the free loop device first

Result<Fd> open_inside(const std::string& directory, const std::string& file) {
  const Fd base(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!base) {
    return fail_errno(directory, errno);
  }
  struct open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const long fd = ::syscall(SYS_openat2, base.get(), file.c_str(), &how, sizeof how);
  if (fd < 0) {
    return fail_errno(quote(file), errno);
  }
  return Fd(static_cast<int>(fd));
}

}  // namespace

std::string_view quiet_options(std::string_view filesystem) {
  if (filesystem == "ext3" || filesystem == "ext4") {
    return "noload";
  }
  if (filesystem == "xfs") {
    return "norecovery";
  }
  if (filesystem == "btrfs") {
    return "rescue=nologreplay";
  }
  return {};
}

Result<void> mount_quietly(const std::string& source, const std::string& directory,
                           const std::string& filesystem) {
  std::error_code ignored;
  std::filesystem::create_directories(directory, ignored);
  const std::string options(quiet_options(filesystem));
  constexpr unsigned long kFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount(source.c_str(), directory.c_str(), filesystem.c_str(), kFlags, options.c_str()) !=
      0) {
    return fail_errno(fmt::format("mounting {} ({}) read-only", source, filesystem), errno);
  }
  return {};
}

Result<LoopDevice> attach_loop(const std::string& directory, const std::string& file) {
  auto opened = open_inside(directory, file);
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  struct stat info{};
  if (::fstat(opened->get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return fail(Errc::invalid, fmt::format("{} is not a regular file", quote(file)));
  }
  const Fd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control) {
    return fail_errno("/dev/loop-control (is the loop module in the image?)", errno);
  }
  for (int attempt = 0; attempt < kLoopAttempts; ++attempt) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) {
      return fail_errno("no free loop device", errno);
    }
    std::string node = fmt::format("/dev/loop{}", number);
    Fd loop(::open(node.c_str(), O_RDONLY | O_CLOEXEC));
    if (!loop) {
      return fail_errno(node, errno);
    }
    struct loop_config config{};
    config.fd = static_cast<__u32>(opened->get());
    config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
    if (::ioctl(loop.get(), LOOP_CONFIGURE, &config) == 0) {
      return LoopDevice{std::move(node), std::move(loop)};
    }
    if (errno != EBUSY) {
      return fail_errno(fmt::format("{} on {}", quote(file), node), errno);
    }
  }
  return fail(Errc::busy, "every loop device that was offered was taken by somebody else");
}

Result<void> unmount(const std::string& directory) {
  if (::umount2(directory.c_str(), UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT) {
    return {};
  }
  if (errno == EBUSY && ::umount2(directory.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
    return {};
  }
  return fail_errno("unmounting " + directory, errno);
}

TemporaryMount::~TemporaryMount() {
  static_cast<void>(unmount(directory_));
  ::rmdir(directory_.c_str());
}

}  // namespace muster::medium
