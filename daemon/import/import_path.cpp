#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>

#include "daemon/import/imported.h"
#include "daemon/import/sosreport.h"
#include "daemon/root.h"

namespace muster::imports {
namespace {

Result<std::string> read_whole(const std::string& path) {
  const auto slash = path.rfind('/');
  const auto root = Root::open(slash == std::string::npos ? "." : path.substr(0, slash + 1));
  if (!root) {
    return tl::unexpected(root.error());
  }
  auto text =
      root->read_file("/" + (slash == std::string::npos ? path : path.substr(slash + 1)), kMaxLog);
  return text ? std::move(text) : tl::unexpected(text.error().within(path));
}

class Inputs {
 public:
  Result<void> add(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
      return fail_errno(path, errno);
    }
    if (S_ISDIR(status.st_mode)) {
      auto report = read_sosreport(path);
      if (!report) {
        return tl::unexpected(report.error());
      }
      seen = std::move(report->seen);
      return add(path, std::move(report->log));
    }
    if (!S_ISREG(status.st_mode)) {
      return fail(Errc::invalid, fmt::format("{}: neither a file nor a directory", path));
    }
    const auto text = read_whole(path);
    if (!text) {
      return tl::unexpected(text.error());
    }
    if (read_tool_output(*text, seen)) {
      return {};
    }
    auto read = read_log(path, *text);
    if (!read) {
      return tl::unexpected(read.error());
    }
    return add(path, std::move(*read));
  }

  // What a monitor heard, in the order of its times.
  void settle() {
    std::stable_sort(log.records.begin(), log.records.end(),
                     [](const LogRecord& a, const LogRecord& b) { return a.time < b.time; });
  }

  DeviceLog log;
  StorageSeen seen;
  std::string from;  // the log's path; empty: none yet

 private:
  Result<void> add(const std::string& path, DeviceLog read) {
    if (from.empty()) {
      log = std::move(read);
      from = path;
      return {};
    }
    if (log.format != Format::udevadm_monitor || read.format != Format::udevadm_monitor) {
      return fail(Errc::unsupported,
                  fmt::format("{}: {} beside {} of {}: only logs of udevadm monitor can be put "
                              "together",
                              path, to_string(read.format), to_string(log.format), from));
    }
    log.records.insert(log.records.end(), std::make_move_iterator(read.records.begin()),
                       std::make_move_iterator(read.records.end()));
    log.unknown.insert(log.unknown.end(), read.unknown.begin(), read.unknown.end());
    settle();
    return {};
  }
};

}  // namespace

Result<Imported> import_paths(const std::vector<std::string>& paths, const Answers& answers,
                              const std::vector<rules::Source>& rules) {
  Inputs inputs;
  // A sosreport brings what tools said; what was given beside it counts more.
  for (const bool directories : {true, false}) {
    for (const auto& path : paths) {
      struct stat status{};
      const bool is_directory = ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
      if (is_directory != directories) {
        continue;
      }
      if (auto added = inputs.add(path); !added) {
        return tl::unexpected(added.error());
      }
    }
  }
  if (inputs.from.empty()) {
    return fail(Errc::invalid, fmt::format("{}: what tools said about a machine, but no log of its "
                                           "devices",
                                           paths.empty() ? std::string("nothing") : paths.front()));
  }
  auto imported = make_hardware(inputs.log, inputs.seen, answers, rules);
  if (!imported && imported.error().text.starts_with("no disk")) {
    return tl::unexpected(imported.error().within(inputs.from));
  }
  return imported;
}

}  // namespace muster::imports
