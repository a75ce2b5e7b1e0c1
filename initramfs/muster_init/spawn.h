// Starting the three kinds of children. Each call forks and returns at once; whether the exec
// worked comes back on a pipe that closes without a byte when it did, so PID 1 never waits for a
// program file to be read.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "daemon/fd.h"
#include "daemon/result.h"
#include "initramfs/muster_init/console.h"

namespace muster::init {

struct Child {
  pid_t pid = -1;
  Fd exec_result;  // readable: an errno as int, or end of file
  Fd terminal;     // the master side, if it got a pseudo terminal
};

// In the background: a session of its own, descriptors 0 to 2 on the console, no controlling
// terminal.
[[nodiscard]] Result<Child> spawn_daemon(const std::vector<std::string>& argv,
                                         const std::vector<std::string>& env);

// Leader of a new session whose controlling terminal is a new pseudo terminal with the console's
// settings and size; if there is none to be had, the console itself.
[[nodiscard]] Result<Child> spawn_on_terminal(const std::vector<std::string>& argv,
                                              const std::vector<std::string>& env,
                                              const std::string& cwd, const Console& console);

// Leader of a new session on the tty at PATH.
[[nodiscard]] Result<Child> spawn_on_tty(const std::vector<std::string>& argv,
                                         const std::vector<std::string>& env,
                                         const std::string& path);

// A child of our own that runs WORK (sync, umount: whatever may hang) and ends.
[[nodiscard]] Result<Child> spawn_work(void (*work)());

}  // namespace muster::init
