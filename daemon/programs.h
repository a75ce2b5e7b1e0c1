// musterd and muster, which asks it, lie in one file: half of each is what both need to speak JSON
// over a socket. Which of them is meant says the name that the file is called by.
#pragma once

namespace muster::daemon {
[[nodiscard]] int program(int argc, char** argv);
}  // namespace muster::daemon

namespace muster::client {
[[nodiscard]] int program(int argc, char** argv);
}  // namespace muster::client
