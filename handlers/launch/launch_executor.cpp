#include "handlers/launch/launch_executor.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include "daemon/child_process.h"
#include "daemon/quote.h"
#include "handlers/arguments.h"
#include "handlers/block_device.h"
#include "handlers/launch/drive_nodes.h"
#include "handlers/launch/init_client.h"
#include "handlers/launch/journal_keeper.h"
#include "handlers/launch/target_guard.h"
#include "handlers/md/start_ro.h"
#include "handlers/medium/medium_link.h"

namespace muster::launch {
namespace {

// Contract 7.1: what mondorestore's PATH must hold.
constexpr const char* kPath = "/bin:/usr/bin:/sbin:/usr/sbin:/usr/local/bin:/usr/local/sbin:/mondo";
constexpr const char* kLvmConf = "/etc/lvm/lvm.conf";
constexpr std::size_t kLogTail = 65536;
// muster-init executes itself again at most three times in a boot; each costs a connection or two.
constexpr int kMostConnections = 16;

std::vector<DriveName> drives_of(const Json& arguments) {
  std::vector<DriveName> drives;
  for (const auto& drive : arguments.value("drives", Json::array())) {
    drives.push_back({drive.value("name", std::string()),
                      devno_from(drive.value("devno", std::string())).value_or(Devno{}),
                      drive.value("kernel", std::string()),
                      {}});
  }
  return drives;
}

Result<void> write_text(const std::string& path, const std::string& text) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  std::ofstream file(path, std::ios::trunc | std::ios::binary);
  file << text;
  if (!file.flush()) {
    return fail_errno(path, errno != 0 ? errno : EIO);
  }
  return {};
}

std::string find_in_path(const std::string& program) {
  if (program.find('/') != std::string::npos) {
    return ::access(program.c_str(), X_OK) == 0 ? program : std::string();
  }
  std::istringstream path(kPath);
  for (std::string directory; std::getline(path, directory, ':');) {
    std::string candidate = directory + "/" + program;
    if (::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return {};
}

// The number in the last "Mondo-restore is exiting (retval=N)" of Mondo's log (contract 7.3).
std::optional<std::int64_t> result_in_log() {
  std::ifstream log("/var/log/mondo-archive.log", std::ios::binary | std::ios::ate);
  if (!log) {
    return std::nullopt;
  }
  const auto size = static_cast<std::size_t>(log.tellg());
  const auto begin = size > kLogTail ? size - kLogTail : 0;
  log.seekg(static_cast<std::streamoff>(begin));
  std::string tail(size - begin, '\0');
  log.read(tail.data(), static_cast<std::streamsize>(tail.size()));
  constexpr std::string_view kMark = "Mondo-restore is exiting (retval=";
  const auto at = tail.rfind(kMark);
  if (at == std::string::npos) {
    return std::nullopt;
  }
  std::int64_t value = 0;
  const char* first = tail.data() + at + kMark.size();
  const auto [rest, error] = std::from_chars(first, tail.data() + tail.size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

enum class When { now, at_the_end };

// What muster-init knows of mondorestore; `at_the_end`: waits until it does not run any more. That
// a connection is lost says nothing about mondorestore: muster-init executes itself again after a
// crash.
Result<init::LaunchState> launch_state(const std::string& socket, When when) {
  Result<init::Reply> reply = fail(Errc::io, "muster-init was not asked");
  for (int connections = 0; connections < kMostConnections; ++connections) {
    auto init = InitClient::reconnect(socket);
    if (!init) {
      return tl::unexpected(init.error());
    }
    reply = init->ask(init::StateRequest{});
    while (when == When::at_the_end && reply && reply->state.launch.phase == init::Phase::running) {
      reply = init->next();
    }
    if (reply) {
      return reply->state.launch;
    }
  }
  return tl::unexpected(reply.error());
}

Json outcome_of(const init::LaunchState& launch) {
  const bool started = launch.phase == init::Phase::exited;
  auto result = launch.result;
  if (started && !result) {
    result = result_in_log();
  }
  // Exit status 0 does not mean success: the true value is the one that it printed.
  const bool ended_well = started && launch.ended == init::Ended::exit && launch.status == 0;
  const bool success = ended_well && result.value_or(0) == 0;
  std::string text = init::describe(launch);
  if (result && !launch.result) {
    text += fmt::format(", result {} by its log", *result);
  }
  Json json = {
      {"started", started}, {"success", success}, {"text", text}, {"status", launch.status}};
  if (result) {
    json["result"] = *result;
  }
  return json;
}

}  // namespace

LaunchExecutor::LaunchExecutor(const Root& root, std::string init_socket, Keep keep,
                               std::chrono::milliseconds keep_within)
    : root_(root),
      init_socket_(std::move(init_socket)),
      keep_(std::move(keep)),
      keep_within_(keep_within) {
  if (!keep_) {
    // With a root of its own: it may outlive this.
    keep_ = [path = root.path()](const KeepSettings& settings) -> Result<Json> {
      const auto own_root = Root::open(path);
      return own_root ? keep_journal(*own_root, settings) : tl::unexpected(own_root.error());
    };
  }
}

Result<Json> LaunchExecutor::run(const Effect& effect) {
  if (effect.verb == "prepare") {
    return prepare(effect);
  }
  if (effect.verb == "filter") {
    return filter(effect);
  }
  if (effect.verb == "run") {
    return start(effect);
  }
  if (effect.verb == "follow") {
    return follow();
  }
  if (effect.verb == "shell") {
    return shell();
  }
  if (effect.verb == "end") {
    return end(effect);
  }
  return fail(Errc::unsupported, fmt::format("launch: no such effect: {}", quote(effect.verb)));
}

Result<Json> LaunchExecutor::prepare(const Effect& effect) {
  nodes_.clear();
  drives_ = drives_of(effect.arguments);
  if (auto unused = check_unused(root_, drives_); !unused) {
    return tl::unexpected(unused.error());
  }
  for (const auto* directory :
       {"/mnt/cdrom", "/mnt/floppy", "/tmp/isodir", "/var/run", "/var/log", "/mnt/RESTORING"}) {
    std::error_code ignored;
    std::filesystem::create_directories(directory, ignored);
  }
  if (::access("/THIS-IS-A-RAMDISK", F_OK) != 0) {
    if (auto written = write_text("/THIS-IS-A-RAMDISK", ""); !written) {
      return tl::unexpected(written.error());
    }
  }
  // Without these mondorestore ends at once.
  for (const auto* file : {"/tmp/mondo-restore.cfg", "/tmp/mountlist.txt"}) {
    if (::access(file, R_OK) != 0) {
      return fail_errno(fmt::format("{} (neither the image nor the medium brought it)", file),
                        errno);
    }
  }
  if (const auto mountlist = root_.read_file("/tmp/mountlist.txt", std::size_t{1} << 20);
      mountlist && ::access("/tmp/mountlist.original", F_OK) != 0) {
    if (auto written = write_text("/tmp/mountlist.original", *mountlist); !written) {
      return tl::unexpected(written.error());
    }
  }
  Json missing = Json::array();
  for (const auto* file : {"/tmp/fstab"}) {
    if (::access(file, R_OK) != 0) {
      missing.push_back(file);
    }
  }
  if (const auto medium = effect.arguments.find("medium"); medium != effect.arguments.end()) {
    // The drive is mondorestore's now: nobody asks it for its disc any more. Disks have no such
    // file.
    const auto polling = "/sys" + medium->value("devpath", std::string()) + "/events_poll_msecs";
    if (root_.exists(polling)) {
      static_cast<void>(root_.write_file(polling, "-1"));
    }
  }
  auto renamed = name_drives(effect.arguments);
  if (!renamed) {
    return tl::unexpected(renamed.error());
  }
  return Json{{"missing", missing}, {"renamed", *renamed}};
}

// The names of the plan's drives lead to the disks that are meant; the medium's name still leads to
// the medium, whatever its drive was called. The number of nodes that were changed.
Result<std::size_t> LaunchExecutor::name_drives(const Json& arguments) {
  for (auto& drive : drives_) {
    drive.partitions = partitions_of(root_, drive.devno);
  }
  auto nodes = nodes_for(drives_);
  if (!nodes) {
    return tl::unexpected(nodes.error());
  }
  std::size_t changed = 0;
  for (const auto& node : *nodes) {
    const auto put = put_node(node);
    if (!put) {
      return tl::unexpected(put.error());
    }
    if (*put) {
      ++changed;
    }
  }
  if (auto right = check_nodes(*nodes); !right) {
    return tl::unexpected(right.error());
  }
  const Json carrier = arguments.value("medium", Json::object());
  const auto number = dev_from(carrier.value("devno", std::string()));
  if (number && !nodes->empty()) {
    if (auto kept = medium::keep_link(carrier.value("dev_name", std::string()), *number); !kept) {
      return tl::unexpected(kept.error());
    }
  }
  nodes_ = std::move(*nodes);
  return changed;
}

Result<Json> LaunchExecutor::filter(const Effect& effect) {
  const auto drives = drives_of(effect.arguments);
  if (drives.empty()) {
    return fail(Errc::invalid, "no drive of the plan is known: LVM cannot be kept from all others");
  }
  std::vector<std::string> names;
  names.reserve(drives.size());
  for (const auto& drive : drives) {
    names.push_back(drive.name);
  }
  std::vector<std::string> arrays;
  for (const auto& array : effect.arguments.value("arrays", Json::array())) {
    if (array.is_string()) {
      arrays.push_back(array.get<std::string>());
    }
  }
  const std::string accept = lvm_filter(names, arrays);
  const std::string conf = fmt::format(
      "# written by muster before a nuke: mondorestore removes every volume group that it can see\n"
      "devices {{\n  filter = {}\n  global_filter = {}\n  use_devicesfile = 0\n  "
      "obtain_device_list_from_udev = 0\n"
      "  write_cache_state = 0\n  scan = [ \"/dev\" ]\n}}\n"
      "activation {{\n  udev_sync = 0\n  udev_rules = 0\n  verify_udev_operations = 1\n  "
      "monitoring = 0\n}}\n"
      "global {{\n  use_lvmetad = 0\n  use_lvmpolld = 0\n}}\n",
      accept, accept);
  if (auto written = write_text(kLvmConf, conf); !written) {
    return tl::unexpected(written.error());
  }
  // Checked with the program, the path and the configuration that mondorestore will use.
  const std::string lvm = find_in_path("lvm");
  if (lvm.empty()) {
    return fail(Errc::not_found,
                "no lvm program in mondorestore's PATH: the LVM filter cannot be checked");
  }
  ChildOptions options;
  options.environment = {
      {"PATH", kPath}, {"LVM_SYSTEM_DIR", std::nullopt}, {"LVM_SUPPRESS_FD_WARNINGS", "1"}};
  options.deadline_ms = effect.deadline_ms;
  const auto child = run_child({lvm, "pvs", "--noheadings", "-o", "pv_name"}, options);
  if (!child) {
    return tl::unexpected(child.error().within("checking the LVM filter"));
  }
  if (!child->ok() || child->truncated) {
    return fail(Errc::io, fmt::format("the LVM filter cannot be checked: {} pvs: {}: {}", lvm,
                                      child->describe(), quote(child->output, 200)));
  }
  Json seen = Json::array();
  std::istringstream lines(child->output);
  for (std::string line; std::getline(lines, line);) {
    const auto begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos) {
      continue;
    }
    const auto pv = line.substr(begin, line.find_last_not_of(" \t") - begin + 1);
    if (!pv.starts_with("/dev/")) {
      continue;  // a warning of lvm's
    }
    struct stat info{};
    const bool known = ::stat(pv.c_str(), &info) == 0 && S_ISBLK(info.st_mode);
    bool ours = false;
    for (const auto& drive : drives) {
      const bool is_disk = known && info.st_rdev == ::makedev(drive.devno.major, drive.devno.minor);
      const auto partition =
          fmt::format("/sys/dev/block/{}:{}/../dev", ::major(info.st_rdev), ::minor(info.st_rdev));
      const auto parent =
          known ? root_.read_file(partition, 64) : Result<std::string>(std::string());
      ours = ours || is_disk ||
             (parent && devno_from(parent->substr(0, parent->find('\n'))) == drive.devno);
    }
    if (!ours) {
      return fail(
          Errc::busy,
          fmt::format("LVM still sees {}, which is no drive of the plan: a nuke would remove its "
                      "volume group",
                      quote(pv)));
    }
    seen.push_back(pv);
  }
  return Json{{"seen", seen}};
}

Result<Json> LaunchExecutor::start(const Effect& effect) {
  Arguments arguments(effect);
  const auto wanted = arguments.text("program");
  const auto& list = arguments.list("arguments");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  const std::string program = find_in_path(wanted);
  if (program.empty()) {
    return fail(Errc::not_found,
                fmt::format("{} is not in {}: neither the image nor the medium's tools brought it",
                            quote(wanted), kPath));
  }
  // There was time since they were prepared, and an operator has a shell.
  auto ready = check_nodes(nodes_);
  if (ready) {
    ready = check_unused(root_, drives_);
  }
  if (ready) {
    ready = check_exclusive(BlockDevices(root_), drives_);
  }
  if (!ready) {
    return tl::unexpected(ready.error());
  }
  auto init = InitClient::connect(init_socket_);
  if (!init) {
    return tl::unexpected(init.error());
  }
  init::LaunchRequest request;
  const char* generation = std::getenv(init::kGenerationVariable);
  request.generation = generation == nullptr ? 0 : std::strtoull(generation, nullptr, 10);
  request.token = fmt::format("effect-{}", effect.id);
  request.cwd = "/";
  request.argv.push_back(program);
  for (const auto& argument : list) {
    request.argv.push_back(argument.get<std::string>());
  }
  // From here on arrays are mondorestore's: what it starts must not come up read-only.
  if (auto restored = md::clear_start_ro(root_); !restored) {
    return tl::unexpected(restored.error());
  }
  auto reply = init->ask(request);
  const bool launched = reply && (reply->kind == init::ReplyKind::launched ||
                                  reply->kind == init::ReplyKind::already);
  if (launched) {
    return Json{{"state", init::describe(reply->state.launch)}};
  }
  if (!reply) {
    // Not sent a second time: it may have been what muster-init crashed on.
    const auto launch = launch_state(init_socket_, When::now);
    if (!launch) {
      // It may run, so it counts as running: `follow` says what is known of it.
      return Json{{"state", fmt::format("not known: {}", launch.error().text)}};
    }
    if (launch->phase == init::Phase::running || launch->phase == init::Phase::exited) {
      return Json{{"state", init::describe(*launch)}};
    }
  }
  static_cast<void>(md::set_start_ro(root_));
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  return fail(Errc::io,
              fmt::format("muster-init does not start {}: {}", program,
                          reply->text.empty() ? std::string("this daemon is being replaced")
                                              : reply->text));
}

Result<Json> LaunchExecutor::follow() {
  const auto launch = launch_state(init_socket_, When::at_the_end);
  if (!launch) {
    return tl::unexpected(launch.error());
  }
  if (launch->phase == init::Phase::idle) {
    return fail(Errc::io, "muster-init knows of no start; it may have lost what it knew");
  }
  if (launch->phase == init::Phase::failed) {
    // There is no mondorestore: what is assembled from here on is muster's again.
    static_cast<void>(md::set_start_ro(root_));
  }
  return outcome_of(*launch);
}

// Never an obstacle: what is to be done at the end is done.
Json LaunchExecutor::keep(const Effect& effect) {
  KeepSettings settings;
  if (const auto home = effect.arguments.find("journal"); home != effect.arguments.end()) {
    Arguments arguments(*home, "launch end: journal");
    settings.device = arguments.text("device");
    settings.format = arguments.text("format");
    settings.below = arguments.text("below");
    if (auto status = arguments.status(); !status) {
      return {{"why", status.error().text}};
    }
    for (const auto& drive : drives_of(*home)) {
      settings.drives.push_back(drive.devno);
    }
  }
  std::packaged_task<Result<Json>()> task([keep = keep_, settings] { return keep(settings); });
  auto answer = task.get_future();
  try {
    std::thread(std::move(task)).detach();
  } catch (const std::system_error& error) {
    return {{"why", error.what()}};
  }
  if (answer.wait_for(keep_within_) != std::future_status::ready) {
    return {{"why", fmt::format("the restored system does not take it within {} s",
                                std::chrono::ceil<std::chrono::seconds>(keep_within_).count())}};
  }
  auto kept = answer.get();
  return kept ? std::move(*kept) : Json{{"why", kept.error().text}};
}

Result<Json> LaunchExecutor::shell() {
  auto init = InitClient::connect(init_socket_);
  if (!init) {
    return tl::unexpected(init.error());
  }
  const auto reply = init->ask(init::ShellRequest{});
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  if (reply->kind != init::ReplyKind::ok) {
    return fail(Errc::io, "muster-init starts no shell: " + reply->text);
  }
  return Json::object();
}

Result<Json> LaunchExecutor::end(const Effect& effect) {
  Json result = {{"journal", keep(effect)}};
  const auto then = effect.arguments.value("then", std::string("shell"));
  if (then == "shell") {
    auto started = shell();
    return started ? Result<Json>(std::move(result)) : started;
  }
  auto init = InitClient::connect(init_socket_);
  if (!init) {
    return tl::unexpected(init.error());
  }
  const auto reply = init->ask(
      init::EndRequest{then == "poweroff" ? init::EndKind::poweroff : init::EndKind::reboot});
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  if (reply->kind != init::ReplyKind::ok) {
    return fail(Errc::busy, fmt::format("muster-init does not {}: {}", then, reply->text));
  }
  return result;
}

}  // namespace muster::launch
