#include "daemon/facts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <optional>
#include <utility>

#include "daemon/scrub.h"
#include "rules/match.h"

namespace muster {
namespace {

constexpr std::array<std::pair<const char*, const char*>, 4> kMondoFiles = {{
    {"mondo-restore.cfg", "/tmp/mondo-restore.cfg"},
    {"mountlist.txt", "/tmp/mountlist.txt"},
    {"i-want-my-lvm", "/tmp/i-want-my-lvm"},
    {"raidtab", "/etc/raidtab"},
}};
// Written last: without it the copies are not complete.
constexpr const char* kComplete = "complete";

std::optional<std::string> read(const Root& root, const std::string& path,
                                std::vector<std::string>& notes) {
  auto text = root.read_file(path, kMaxFactFile);
  if (!text) {
    if (text.error().code != Errc::not_found) {
      notes.push_back(text.error().text);
    }
    return std::nullopt;
  }
  return std::move(*text);
}

Result<void> write_new(const Root& root, const std::string& path, std::string_view text) {
  const auto fd = root.open_at(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!fd) {
    return tl::unexpected(fd.error());
  }
  while (!text.empty()) {
    const ssize_t written = ::write(fd->get(), text.data(), text.size());
    if (written < 0) {
      return fail_errno(path, errno);
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

void keep(const Root& root, const std::string& directory, const Json& facts,
          std::vector<std::string>& notes) {
  std::error_code ignored;
  std::filesystem::create_directories(root.host_path(directory), ignored);
  for (const auto& [key, path] : kMondoFiles) {
    if (facts.contains(key)) {
      if (const auto kept = write_new(root, fmt::format("{}/{}", directory, key),
                                      facts.at(key).get<std::string>());
          !kept) {
        notes.push_back(kept.error().text);
        return;
      }
    }
  }
  if (const auto kept = write_new(root, fmt::format("{}/{}", directory, kComplete), ""); !kept) {
    notes.push_back(kept.error().text);
  }
}

}  // namespace

Json read_facts(const Root& root, const FactFiles& files, std::vector<std::string>& notes) {
  Json facts = Json::object();
  const auto add = [&](const char* key, const std::string& path) {
    if (const auto text = read(root, path, notes)) {
      facts[key] = *text;
    }
  };
  const auto add_value = [&](const char* key, const std::string& path) {
    if (const auto text = read(root, path, notes)) {
      facts[key] = attribute_text(*text);
    }
  };
  if (const auto words = read(root, "/proc/cmdline", notes)) {
    facts["command_line"] = scrub_words(*words);
  }
  add("muster.toml", files.config);
  add("filesystems", "/proc/filesystems");
  add_value("kernel", "/proc/sys/kernel/osrelease");
  add_value("start_ro", "/sys/module/md_mod/parameters/start_ro");
  facts["udevd"] = root.exists("/run/udev/control");
  const bool kept = !files.keep.empty() && root.exists(fmt::format("{}/{}", files.keep, kComplete));
  for (const auto& [key, path] : kMondoFiles) {
    add(key, kept ? fmt::format("{}/{}", files.keep, key) : std::string(path));
  }
  for (const auto* settings : {"muster.toml", "mondo-restore.cfg"}) {
    if (const auto text = facts.find(settings); text != facts.end()) {
      *text = scrub_lines(text->get_ref<const std::string&>());
    }
  }
  if (!files.keep.empty() && !kept) {
    keep(root, files.keep, facts, notes);
  }
  return facts;
}

std::vector<rules::Source> read_rules(const Root& root, const std::vector<std::string>& directories,
                                      std::vector<std::string>& notes) {
  std::vector<rules::Source> merged;
  for (const auto& directory : directories) {
    const auto names = root.list(directory);
    if (!names) {
      if (names.error().code != Errc::not_found) {
        notes.push_back(names.error().text);
      }
      continue;
    }
    std::vector<rules::Source> sources;
    for (const auto& name : *names) {
      const std::string path = fmt::format("{}/{}", directory, name);
      if (!name.ends_with(".rules")) {
        continue;
      }
      struct stat status{};
      const auto fd = root.open_at(path, O_PATH);
      const bool device = fd && ::fstat(fd->get(), &status) == 0 && S_ISCHR(status.st_mode);
      // A link to /dev/null switches the file of that name off.
      if (auto text = device ? std::optional(std::string()) : read(root, path, notes)) {
        sources.push_back({path, std::move(*text)});
      }
    }
    merged = rules::merge_by_name({merged, sources});
  }
  return merged;
}

}  // namespace muster
