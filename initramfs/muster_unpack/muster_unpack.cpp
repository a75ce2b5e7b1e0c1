// muster-unpack: the child program that reads a medium's archives for musterd, so that libarchive
// and what it drags in stay out of the daemon, and a hostile archive has only this process.
//
//   muster-unpack extract --archive FILE --member PATH .. [--to-stdout-json] [--limit BYTES]
//     {"members": {PATH: text or null}, "error": text or null}
//
//   muster-unpack tools --images DIR [--root /] [--staging /tmp/groovy-stuff] [--limit BYTES]
//     {"archives": [..], "files": N, "refused": [{"path": .., "reason": ..}], "refused_total": N,
//     "kept": [..],
//      "module_trees": [..], "fstab": bool, "raidtab": bool, "error": text or null}
//
// Exit status 0 where "error" is null, 1 where it is not, 2 for a wrong command line.
#include <charconv>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "initramfs/muster_unpack/member_reader.h"
#include "initramfs/muster_unpack/tools_step.h"
#include "initramfs/one_file/programs.h"

namespace muster::unpack {

namespace {

using nlohmann::json;

constexpr std::uint64_t kExtractLimit = std::uint64_t{512} * 1024 * 1024;

struct Arguments {
  std::string verb;
  std::string archive;
  std::vector<std::string> members;
  ToolsRequest tools;
  std::uint64_t limit = 0;
};

int usage(const std::string& problem) {
  std::fprintf(stderr,
               "muster-unpack: %s\n"
               "usage: muster-unpack extract --archive FILE --member PATH .. --to-stdout-json\n"
               "       muster-unpack tools --images DIR --root DIR --staging DIR [--limit BYTES]\n",
               problem.c_str());
  return 2;
}

// Empty if all went well.
std::string parse(const std::vector<std::string>& words, Arguments& arguments) {
  if (words.empty() || (words[0] != "extract" && words[0] != "tools")) {
    return "say extract or tools";
  }
  arguments.verb = words[0];
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string& option = words[i];
    if (option == "--to-stdout-json") {
      continue;
    }
    if (i + 1 == words.size()) {
      return option + " needs a value";
    }
    const std::string& value = words[++i];
    if (option == "--archive") {
      arguments.archive = value;
    } else if (option == "--member") {
      arguments.members.push_back(value);
      while (i + 1 < words.size() && words[i + 1].rfind("--", 0) != 0) {
        arguments.members.push_back(words[++i]);
      }
    } else if (option == "--images") {
      arguments.tools.images = value;
    } else if (option == "--root") {
      arguments.tools.root = value;
    } else if (option == "--staging") {
      arguments.tools.staging = value;
    } else if (option == "--limit") {
      const auto [end, error] =
          std::from_chars(value.data(), value.data() + value.size(), arguments.limit);
      if (error != std::errc{} || end != value.data() + value.size() || arguments.limit == 0) {
        return "--limit " + value + ": not a number of bytes";
      }
    } else {
      return "unknown argument " + option;
    }
  }
  if (arguments.verb == "extract" && (arguments.archive.empty() || arguments.members.empty())) {
    return "extract needs --archive and --member";
  }
  if (arguments.verb == "tools" && arguments.tools.images.empty()) {
    return "tools needs --images";
  }
  return {};
}

json text_or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(text);
}

int print(const json& result) {
  // Old text files are not always UTF-8; what is not becomes a replacement character.
  const std::string text = result.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return written && std::fflush(stdout) == 0 && result["error"].is_null() ? 0 : 1;
}

int extract(const Arguments& arguments) {
  const MemberTexts texts = read_members(arguments.archive, arguments.members,
                                         arguments.limit != 0 ? arguments.limit : kExtractLimit);
  json members = json::object();
  for (const auto& [name, text] : texts.members) {
    members[name] = text ? json(*text) : json(nullptr);
  }
  return print({{"members", members}, {"error", text_or_null(texts.error)}});
}

int tools(Arguments& arguments) {
  if (arguments.limit != 0) {
    arguments.tools.limit = arguments.limit;
  }
  const ToolsReport report = bring_tools(arguments.tools);
  json refused = json::array();
  for (const Refusal& refusal : report.refused) {
    refused.push_back({{"path", refusal.path}, {"reason", refusal.reason}});
  }
  return print({{"archives", report.archives},
                {"files", report.files},
                {"refused", refused},
                {"refused_total", report.refused_total},
                {"kept", report.kept},
                {"module_trees", report.module_trees},
                {"fstab", report.fstab},
                {"raidtab", report.raidtab},
                {"error", text_or_null(report.error)}});
}

}  // namespace

int program(int argc, char** argv) {
  Arguments arguments;
  const std::string problem = parse({argv + 1, argv + argc}, arguments);
  if (!problem.empty()) {
    return usage(problem);
  }
  try {
    return arguments.verb == "extract" ? extract(arguments) : tools(arguments);
  } catch (const std::exception& error) {  // out of memory
    std::fprintf(stderr, "muster-unpack: %s\n", error.what());
    return 1;
  }
}

}  // namespace muster::unpack
