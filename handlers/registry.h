// Every handler there is, in one visible table.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "handlers/handler.h"

namespace muster {

// Where executors find the world and our own programs; absolute paths.
struct ExecutorSettings {
  std::string root = "/";
  std::string bin_dir = "/usr/lib/muster/bin";  // muster-unpack
  std::string run_dir = "/run/muster";
  std::string init_socket = "/run/muster/init.sock";
};

[[nodiscard]] std::vector<std::unique_ptr<Policy>> make_policies();
// An error: the root cannot be opened.
[[nodiscard]] Result<std::vector<std::unique_ptr<Executor>>> make_executors(
    const ExecutorSettings& settings);

}  // namespace muster
