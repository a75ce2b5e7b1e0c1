// `muster chart`: a boot as one file to look at.
#pragma once

#include <string>

#include "daemon/replay/recording.h"

namespace muster::chart {

enum class Format { svg, html };

// The format that a file's name asks for (.svg, .html, .htm).
[[nodiscard]] Result<Format> format_of(const std::string& path);

// Errors: a recording that cannot be begun.
[[nodiscard]] Result<std::string> chart(const replay::Recording& recording, Format format);

}  // namespace muster::chart
