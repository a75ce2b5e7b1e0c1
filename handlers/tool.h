// Programs of others (mdadm, lvm, sh), run to their end.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/child_process.h"
#include "daemon/result.h"
#include "daemon/root.h"

namespace muster {

// The first of these places where NAME is: what the image brought before what a medium may have put
// beside it.
inline constexpr const char* kToolDirectories[] = {
    "/usr/lib/muster/sbin", "/usr/lib/muster/bin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"};
[[nodiscard]] Result<std::string> find_tool(const Root& root, std::string_view name);

// Output (both streams) of a program that ended with status 0; else an Error with how it ended and
// what it said last.
[[nodiscard]] Result<std::string> run_tool(const std::vector<std::string>& argv,
                                           const ChildOptions& options = {});

// The last lines of a program's output as one line, for errors.
[[nodiscard]] std::string last_words(std::string_view output);

}  // namespace muster
