#include "initramfs/muster_init/boot_setup.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "daemon/fd.h"
#include "initramfs/muster_init/files.h"

namespace muster::init {
namespace {

constexpr const char* kModuleHelper = "/usr/lib/muster/bin/muster-modprobe";

struct Mount {
  const char* type;
  const char* target;
  unsigned long flags;
  const char* options;
};

// devtmpfs before what is mounted below it. No noexec on /tmp and /run: Mondo runs scripts from
// there.
constexpr Mount kMounts[] = {
    {"proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""},
    {"sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""},
    {"devtmpfs", "/dev", MS_NOSUID, "mode=0755"},
    {"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666"},
    {"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777"},
    {"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755"},
};

// mondorestore keeps file lists and 32 MiB of a tape's head here, and the tools are unpacked here.
// Not nodev: Mondo's scripts make device nodes in it.
constexpr const char* kTmpOptions = "mode=1777,size=75%";

constexpr const char* kDirectories[] = {
    "/mnt/cdrom",  "/mnt/floppy", "/mnt/isodir", "/tmp/isodir",     "/var/log",
    "/run/muster", "/run/lock",   "/run/lvm",    "/var/lib/muster",
};

struct Link {
  const char* target;
  const char* path;
};

constexpr Link kLinks[] = {
    {"/proc/self/fd", "/dev/fd"},
    {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"},
    {"/proc/self/fd/2", "/dev/stderr"},
    {"/run", "/var/run"},
    {"/run/lock", "/var/lock"},
};

void note(std::vector<std::string>& problems, const std::string& what) {
  problems.push_back(what + ": " + std::strerror(errno));
}

// The image may have put files into /tmp (Mondo's config, flags): they move to the tmpfs that
// covers it.
void mount_tmp(std::vector<std::string>& problems) {
  const std::string aside = "/run/muster/tmp";
  if (!make_directories(aside) ||
      ::mount("tmpfs", aside.c_str(), "tmpfs", MS_NOSUID, kTmpOptions) != 0) {
    note(problems, "cannot make a tmpfs for /tmp");
    return;
  }
  make_directories("/tmp");
  move_tree("/tmp", aside, problems);
  if (::mount(aside.c_str(), "/tmp", nullptr, MS_MOVE, nullptr) != 0) {
    note(problems, "cannot mount /tmp");
  }
  ::rmdir(aside.c_str());
}

void raise_loopback() {
  const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  if (fd && ::ioctl(fd.get(), SIOCGIFFLAGS, &request) == 0) {
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    ::ioctl(fd.get(), SIOCSIFFLAGS, &request);
  }
}

}  // namespace

std::vector<std::string> prepare_system() {
  std::vector<std::string> problems;
  ::umask(022);
  // A root that is read-only (an image that is no initramfs) is made writable; on an initramfs this
  // changes nothing.
  ::mount(nullptr, "/", nullptr, MS_REMOUNT, nullptr);
  for (const Mount& m : kMounts) {
    make_directories(m.target);
    if (::mount(m.type, m.target, m.type, m.flags, m.options) != 0 && errno != EBUSY) {
      note(problems, std::string("cannot mount ") + m.target);
    }
  }
  mount_tmp(problems);
  for (const char* directory : kDirectories) {
    if (!make_directories(directory)) {
      note(problems, std::string("cannot make ") + directory);
    }
  }
  for (const Link& link : kLinks) {
    struct stat status{};
    if (::lstat(link.path, &status) != 0 && ::symlink(link.target, link.path) != 0) {
      note(problems, std::string("cannot make ") + link.path);
    }
  }
  // The kernel's own module requests never pass through the daemon that may be waiting for them.
  if (::access(kModuleHelper, X_OK) != 0 ||
      !write_small_file("/proc/sys/kernel/modprobe", kModuleHelper)) {
    note(problems, std::string("cannot make the kernel call ") + kModuleHelper);
  }
  ::reboot(RB_DISABLE_CAD);  // ctrl-alt-del sends us SIGINT instead of resetting the machine
  constexpr std::string_view kHostName = "rescue";
  ::sethostname(kHostName.data(), kHostName.size());
  raise_loopback();
  return problems;
}

}  // namespace muster::init
