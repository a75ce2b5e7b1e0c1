// Levels as md numbers them (linux/raid/md_p.h), and what the kernel calls what runs them.
#pragma once

#include <optional>
#include <string>

namespace muster::md {

constexpr int kLevelLinear = -1;

// The module of a level's personality: "raid456" for 5. Nothing for a level that md does not run.
[[nodiscard]] std::optional<std::string> personality(int level);

}  // namespace muster::md
