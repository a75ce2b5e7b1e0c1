#include "handlers/tool.h"

#include <fmt/format.h>

#include "handlers/bytes.h"

namespace muster {

Result<std::string> find_tool(const Root& root, std::string_view name) {
  for (const char* directory : kToolDirectories) {
    std::string path = fmt::format("{}/{}", directory, name);
    if (root.exists(path)) {
      return root.host_path(path);
    }
  }
  return fail(Errc::not_found, fmt::format("{} is not in this image", name));
}

std::string last_words(std::string_view output) {
  constexpr std::size_t kLines = 3;
  constexpr std::size_t kBytes = 300;
  std::string words;
  for (std::size_t lines = 0; lines < kLines && !output.empty();) {
    const std::size_t start = output.rfind('\n') + 1;  // npos + 1 is 0
    const std::string_view line = output.substr(start);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
      const std::size_t first = line.find_first_not_of(" \t\r");
      const std::string text =
          printable(line.substr(first, line.find_last_not_of(" \t\r") + 1 - first));
      words = words.empty() ? text : text + "; " + words;
      ++lines;
    }
    output = output.substr(0, start == 0 ? 0 : start - 1);
  }
  if (words.size() > kBytes) {
    words.erase(0, words.size() - kBytes);
    // Not in the middle of a character.
    while (!words.empty() && (static_cast<unsigned char>(words.front()) & 0xC0U) == 0x80) {
      words.erase(0, 1);
    }
    words.insert(0, "...");
  }
  return words;
}

Result<std::string> run_tool(const std::vector<std::string>& argv, const ChildOptions& options) {
  auto result = run_child(argv, options);
  if (!result) {
    return tl::unexpected(result.error());
  }
  if (!result->ok()) {
    const std::string words = last_words(result->output);
    return fail(result->late ? Errc::timeout : Errc::io,
                fmt::format("{}: {}{}{}", argv.front(), result->describe(),
                            words.empty() ? "" : ": ", words));
  }
  return std::move(result->output);
}

}  // namespace muster
