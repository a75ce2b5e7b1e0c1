#include "daemon/import/sosreport.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>

#include "daemon/quote.h"
#include "daemon/root.h"
#include "daemon/text_lines.h"

namespace muster::imports {
namespace {

constexpr std::size_t kMaxOutput = std::size_t{4} * 1024 * 1024;
constexpr std::size_t kMaxFiles = 20'000;

// Everything below the report is reached through a Root: a link that leads out of it stays inside.
class Report {
 public:
  Report(const Root& root, std::vector<std::string>& unknown) : root_(root), unknown_(unknown) {}

  // The files of a directory whose names begin so.
  void each(const std::string& directory, std::string_view begins,
            const std::function<void(const std::string& path, const std::string& text)>& use) {
    const auto names = root_.list(directory);
    if (!names) {
      return;
    }
    for (const auto& name : *names) {
      if (!name.starts_with(begins) || ++files_ > kMaxFiles) {
        continue;
      }
      const auto path = directory + "/" + name;
      if (const auto text = read(path, kMaxOutput)) {
        use(path, *text);
      }
    }
  }

  std::optional<std::string> read(const std::string& path, std::size_t limit) {
    const auto fd = root_.open_at(path, O_PATH);
    struct stat status{};
    if (!fd || ::fstat(fd->get(), &status) != 0 || !S_ISREG(status.st_mode)) {
      return std::nullopt;
    }
    auto text = root_.read_file(path, limit);
    if (!text) {
      unknown_.push_back(fmt::format("{}: not read: {}", quote(path), text.error().text));
      return std::nullopt;
    }
    if (text->find('\0') != std::string::npos) {
      unknown_.push_back(fmt::format("{}: not read: no text", quote(path)));
      return std::nullopt;
    }
    return std::move(*text);
  }

 private:
  const Root& root_;
  std::vector<std::string>& unknown_;
  std::size_t files_ = 0;
};

std::string one_line(std::string_view text) {
  return attribute_text(text.substr(0, std::min(text.find('\n'), text.size())));
}

// "Linux HOST 6.1.0 ..." or, from `uname -r`, the version alone.
std::optional<std::string> kernel_in(std::string_view text) {
  const auto words = split_words(text, 3);
  return words.size() >= 3 && words[0] == "Linux" ? std::optional(std::string(words[2]))
                                                  : std::nullopt;
}

}  // namespace

Result<Sosreport> read_sosreport(const std::string& directory) {
  const auto root = Root::open(directory);
  if (!root) {
    return tl::unexpected(root.error());
  }
  if (!root->exists("/sos_commands")) {
    return fail(Errc::invalid,
                fmt::format("{}: no sosreport: there is no sos_commands in it", directory));
  }
  Sosreport result;
  std::vector<std::string> unknown;
  Report report(*root, unknown);
  std::optional<Error> failed;
  bool found = false;
  // sos 3: devices; sos 4.3 and later: devices or udev. The database is by far the largest.
  for (const auto* plugin : {"devices", "udev", "hardware"}) {
    const auto names = root->list(fmt::format("/sos_commands/{}", plugin));
    if (!names) {
      continue;
    }
    for (const auto& name : *names) {
      if (found || name.find("udevadm_info") == std::string::npos ||
          name.find("export-db") == std::string::npos) {
        continue;
      }
      const auto path = fmt::format("/sos_commands/{}/{}", plugin, name);
      const auto text = report.read(path, kMaxLog);
      if (!text) {
        continue;
      }
      auto log = read_udevadm_database(directory + path, *text);
      if (!log) {
        failed = log.error();
        continue;
      }
      result.log = std::move(*log);
      found = true;
    }
  }
  if (!found) {
    return failed ? Result<Sosreport>(tl::unexpected(*failed))
                  : fail(Errc::invalid,
                         fmt::format("{}: a sosreport without a udev database (no udevadm_info "
                                     "--export-db in sos_commands/devices): make it with the "
                                     "plugin \"devices\"",
                                     directory));
  }
  result.log.format = Format::sosreport;
  StorageSeen& seen = result.seen;
  report.each("/sos_commands/block", "fdisk",
              [&](const auto&, const auto& text) { read_fdisk(text, seen); });
  if (const auto text = report.read("/proc/partitions", kMaxOutput)) {
    read_proc_partitions(*text, seen);
  }
  report.each("/sos_commands/block", "udevadm_info_-a",
              [&](const auto&, const auto& text) { read_attribute_walk(text, seen); });
  report.each("/sos_commands/block", "lsblk",
              [&](const auto&, const auto& text) { read_lsblk(text, seen); });
  if (const auto text = report.read("/proc/mdstat", kMaxOutput)) {
    read_mdstat(*text, seen);
  }
  for (const auto* plugin : {"/sos_commands/md", "/sos_commands/raid", "/sos_commands/block"}) {
    report.each(plugin, "mdadm", [&](const auto&, const auto& text) { read_mdadm(text, seen); });
  }
  report.each("/sos_commands/lvm2", "pvs",
              [&](const auto&, const auto& text) { read_pvs(text, seen); });
  report.each("/sos_commands/lvm2", "lvs",
              [&](const auto&, const auto& text) { read_lvs(text, seen); });
  report.each("/etc/lvm/backup", "", [&](const auto& path, const auto& text) {
    if (const auto group = read_group_backup(text, seen); !group) {
      unknown.push_back(fmt::format("{}: not used: {}", quote(path), group.error().text));
    }
  });
  if (const auto text = report.read("/proc/cmdline", kMaxOutput)) {
    seen.command_line = one_line(*text);
  }
  report.each("/sos_commands/kernel", "uname", [&](const auto&, const auto& text) {
    if (auto kernel = kernel_in(one_line(text))) {
      seen.kernel = std::move(kernel);
    }
  });
  result.log.unknown.insert(result.log.unknown.end(), unknown.begin(), unknown.end());
  return result;
}

}  // namespace muster::imports
