// muster-modprobe: what the kernel calls when it wants a module by itself (md-level-5, fs-iso9660,
// crypto-crc32c).
//
// The caller in the kernel waits for us, often with a lock held and often on behalf of musterd, so
// this program asks nobody: it maps the image's index, inserts what is not there, and returns when
// it is live. With nothing to do it costs one exec, one mmap and one read of /sys/module.
//
// What the index does not know may have come with the medium (the second tree, /lib/modules): that
// is left to kmod.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "daemon/fd.h"
#include "initramfs/muster_init/files.h"
#include "initramfs/muster_modprobe/load_plan.h"
#include "initramfs/muster_modprobe/module_index.h"
#include "initramfs/one_file/programs.h"

namespace muster::modprobe {

namespace {

constexpr const char* kTrees = "/usr/lib/muster/modules/";
constexpr const char* kSecondTrees = "/lib/modules/";
constexpr const char* kKmod = "/usr/lib/muster/bin/modprobe";
constexpr const char* kKmodRoot = "/usr/lib/muster";  // kmod appends lib/modules/VERSION
constexpr const char* kKmodConfig = "/usr/lib/muster/modprobe.d";
constexpr int kCompressedFile = 4;  // MODULE_INIT_COMPRESSED_FILE, since Linux 5.17
constexpr int kMostTries = 8;

void complain(const std::string& text) {
  const Fd log(::open("/dev/kmsg", O_WRONLY | O_CLOEXEC));
  const std::string line = "<4>muster-modprobe: " + text + "\n";
  if (log && ::write(log.get(), line.data(), line.size()) < 0) {
    return;  // the log is the last resort
  }
}

// "live", "coming", "going", or nothing if it is not loaded.
std::string state_of(std::string_view module) {
  std::string state =
      muster::init::read_small_file(("/sys/module/" + std::string(module) + "/initstate").c_str());
  if (!state.empty() && state.back() == '\n') {
    state.pop_back();
  }
  return state;
}

bool is_compressed(std::string_view path) {
  return !path.ends_with(".ko");
}

class Loader {
 public:
  Loader(const ModuleIndex& index, int tree) : index_(index), tree_(tree) {}

  // 0 or an errno
  int insert(std::string_view module) {
    if (state_of(module) == "live") {
      return 0;
    }
    const auto file = index_.file_of(module);
    if (!file) {
      return ENOENT;
    }
    const Fd fd(::openat(tree_, std::string(file->path).c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
      return errno;
    }
    std::string options(file->options);
    const std::string more = command_line().options_of(module);
    options += (options.empty() || more.empty() ? "" : " ") + more;
    const int flags = is_compressed(file->path) ? kCompressedFile : 0;
    // Where somebody else is inserting it, finit_module waits inside the kernel and then says
    // EEXIST (it is live), or EBUSY (that attempt failed, or the module is being removed): then it
    // is ours to try.
    int error = 0;
    for (int tries = 0; tries < kMostTries; ++tries) {
      if (::syscall(SYS_finit_module, fd.get(), options.c_str(), flags) == 0) {
        return 0;
      }
      error = errno;
      if (error == EEXIST && state_of(module) == "live") {
        return 0;
      }
      if (error != EEXIST && error != EBUSY && error != EINTR) {
        break;
      }
    }
    return error;
  }

  const CommandLine& command_line() {
    if (!command_line_) {
      command_line_.emplace(muster::init::read_small_file("/proc/cmdline"));
    }
    return *command_line_;
  }

 private:
  const ModuleIndex& index_;
  int tree_;
  std::optional<CommandLine> command_line_;  // read only when something is to be loaded
};

// Does not return if kmod's program could be executed.
void hand_over(const char* name, const char* root, const char* config) {
  if (config != nullptr) {
    ::execl(kKmod, "modprobe", "-q", "-d", root, "-C", config, "--", name, nullptr);
  } else {
    ::execl(kKmod, "modprobe", "-q", "--", name, nullptr);
  }
}

// Modules that came with the medium; an image may also have the name lead to its own tree, which we
// have just searched.
bool has_second_tree(const std::string& version) {
  struct stat second{};
  struct stat own{};
  if (::stat((kSecondTrees + version + "/modules.dep.bin").c_str(), &second) != 0) {
    return false;
  }
  return ::stat((kTrees + version + "/modules.dep.bin").c_str(), &own) != 0 ||
         own.st_dev != second.st_dev || own.st_ino != second.st_ino;
}

std::string_view map_file(int tree) {
  const Fd fd(::openat(tree, kIndexName, O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0 || status.st_size <= 0) {
    return {};
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  void* bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  return bytes == MAP_FAILED ? std::string_view{}
                             : std::string_view(static_cast<const char*>(bytes), size);
}

int load_group(Loader& loader, const ModuleIndex& index, const std::vector<Step>& group,
               bool by_alias, const char* name, std::string& failure) {
  for (const Step& step : group) {
    if (step.role == Role::target && state_of(step.module) == "live") {
      return 0;  // then so is what it depends on
    }
  }
  for (const Step& step : group) {
    if (step.role == Role::target && by_alias &&
        loader.command_line().is_blacklisted(step.module)) {
      return 0;
    }
    if (index.has_install_line(step.module)) {
      hand_over(name, kKmodRoot, kKmodConfig);
      return ENOEXEC;
    }
  }
  for (const Step& step : group) {
    const int error = loader.insert(step.module);
    if (error == EOPNOTSUPP || error == ENOTSUP) {
      hand_over(name, kKmodRoot,
                kKmodConfig);  // compressed, and this kernel leaves that to userspace
    }
    if (error != 0 && step.role != Role::optional) {
      failure +=
          (failure.empty() ? "" : "; ") + std::string(step.module) + ": " + std::strerror(error);
      return error;
    }
  }
  return 0;
}

}  // namespace

int program(int argc, char** argv) {
  const std::string name(requested_name(argc, argv));
  utsname system{};
  if (name.empty() || ::uname(&system) != 0) {
    return 1;
  }
  const std::string version = system.release;
  const Fd tree(::open((kTrees + version).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const ModuleIndex index(tree ? map_file(tree.get()) : std::string_view{});
  const auto lookup = index.find(normalize(name));
  if (!lookup) {
    if (has_second_tree(version)) {
      hand_over(name.c_str(), nullptr, nullptr);
    }
    return 1;
  }
  Loader loader(index, tree.get());
  // An alias of several modules is served by any of them: crc32c-intel fails on a processor without
  // the instruction.
  bool served = lookup->builtin;
  std::string failure;
  for (const auto& group : lookup->groups) {
    served |= load_group(loader, index, group, lookup->by_alias, name.c_str(), failure) == 0;
  }
  if (!served) {
    complain("cannot load " + name + ": " + failure);
  }
  return served ? 0 : 1;
}

}  // namespace muster::modprobe
