// The static programs of the rescue image lie in one file: each brings the same libc and libstdc++
// with it, and those are most of it. Which of them is meant says the name that the file is called
// by, as with busybox.
#pragma once

#include <string_view>

namespace muster::init {
[[nodiscard]] int program(int argc, char** argv);
}  // namespace muster::init

namespace muster::modprobe {
[[nodiscard]] int program(int argc, char** argv);
}  // namespace muster::modprobe

namespace muster::unpack {
[[nodiscard]] int program(int argc, char** argv);
}  // namespace muster::unpack

namespace muster {

using Program = int (*)(int argc, char** argv);

// nullptr: none has this name. `called_as`: argv[0], with or without folders. The first process is
// muster-init whatever its name: a boot loader may call it by any, and the kernel panics if it
// ends.
[[nodiscard]] Program program_called(std::string_view called_as, bool is_first_process);

}  // namespace muster
