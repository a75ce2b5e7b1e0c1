// Why we wait: the world told to people and programs. Pure.
#pragma once

#include <string>

#include "daemon/event.h"

namespace muster {

class Engine;

// For each requirement (or for one subject: a device name, an id or part of a title) the chain down
// to what is missing.
[[nodiscard]] std::string explain_text(const Engine& engine, const std::string& subject);

// Everything `muster status --json` prints.
[[nodiscard]] Json status_json(const Engine& engine);

}  // namespace muster
