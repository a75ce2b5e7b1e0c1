#include "handlers/lvm/lvm_executor.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "daemon/quote.h"
#include "handlers/arguments.h"
#include "handlers/bytes.h"
#include "handlers/device_mapper.h"
#include "handlers/lvm/map_name.h"
#include "handlers/tool.h"

namespace muster::lvm {
namespace {

// lvm reads no file of the machine that it runs on: neither lvm.conf with its filters, nor
// system.devices, nor what pvscan left in /run/lvm. Its own directory below /run is empty.
constexpr const char* kSystemDirectory = "/run/muster/lvm";

std::string configuration(const Root& root) {
  // Without a udevd lvm makes nodes itself, and only then removes them too.
  const bool udevd = root.exists("/run/udev/control");
  const auto tool = [&](const char* name) {
    const auto path = find_tool(root, name);
    return path ? *path : std::string{};  // an empty name: not checked before activation
  };
  return fmt::format(
      "activation {{ udev_sync={0} udev_rules={0} verify_udev_operations={1} monitoring=0 "
      "activation_mode=\"complete\" "
      "raid_fault_policy=\"warn\" mirror_image_fault_policy=\"remove\" "
      "thin_pool_autoextend_threshold=100 "
      "snapshot_autoextend_threshold=100 }} "
      "devices {{ obtain_device_list_from_udev=0 external_device_info_source=\"none\" "
      "use_devicesfile=0 hints=\"none\" "
      "scan_lvs=1 multipath_component_detection=0 filter=[\"a|.*|\"] global_filter=[\"a|.*|\"] }} "
      "global {{ locking_dir=\"{2}/lock\" use_lvmlockd=0 use_lvmpolld=0 event_activation=0 "
      "notify_dbus=0 "
      "thin_check_executable=\"{3}\" cache_check_executable=\"{4}\" }} "
      "backup {{ backup=0 archive=0 }} log {{ syslog=0 }}",
      udevd ? 1 : 0, udevd ? 0 : 1, root.host_path(kSystemDirectory), tool("thin_check"),
      tool("cache_check"));
}

bool is_lvm_name(const std::string& name) {
  return !name.empty() && name.size() <= 127 && name.front() != '-' && name != "." &&
         name != ".." &&
         name.find_first_not_of(
             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_.-") ==
             std::string::npos;
}

}  // namespace

Result<Json> LvmExecutor::run(const Effect& effect) {
  if (effect.verb == "create") {
    return create(effect);
  }
  if (effect.verb == "remove") {
    return remove(effect);
  }
  if (effect.verb == "activate" || effect.verb == "deactivate") {
    return change(effect, effect.verb == "activate");
  }
  return fail(Errc::invalid, "lvm: no such effect: " + effect.verb);
}

Result<Json> LvmExecutor::create(const Effect& effect) {
  Arguments arguments(effect);
  const std::string name = arguments.text("dm_name");
  const std::string uuid = arguments.text("dm_uuid");
  const bool read_only = arguments.flag_or("read_only", false);
  std::vector<dm::Target> table;
  for (const Json& line : arguments.list("table")) {
    Arguments target(line, "lvm create: table");
    table.push_back({target.unsigned_number("start"), target.unsigned_number("length"),
                     target.text("type"), target.text("params")});
    if (auto status = target.status(); !status) {
      return tl::unexpected(status.error());
    }
  }
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  const auto created = dm::create(root_, name, uuid, read_only, table);
  if (!created) {
    return tl::unexpected(created.error());
  }
  return Json{{"kernel", created->device.kernel},
              {"devno", created->device.devno},
              {"existed", created->existed}};
}

Result<Json> LvmExecutor::remove(const Effect& effect) {
  Arguments arguments(effect);
  const std::string name = arguments.text("dm_name");
  const std::string uuid = arguments.text("dm_uuid");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  if (auto removed = dm::remove(root_, name, uuid); !removed) {
    return tl::unexpected(removed.error());
  }
  return Json::object();
}

Result<Json> LvmExecutor::change(const Effect& effect, bool activate) {
  Arguments arguments(effect);
  const std::string vg = arguments.text("vg");
  const std::string lv = arguments.text("lv");
  const std::string vg_uuid = arguments.text("vg_uuid");
  std::string devices;
  for (const Json& device : arguments.list("devices")) {
    const std::string path = device.is_string() ? device.get<std::string>() : std::string{};
    if (!path.starts_with("/dev/") || path.find(',') != std::string::npos) {
      return fail(Errc::invalid,
                  fmt::format("lvm {}: {} is not a device", effect.verb, quote(path)));
    }
    devices += (devices.empty() ? "" : ",") + path;
  }
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  if (!is_lvm_name(vg) || !is_lvm_name(lv)) {
    return fail(Errc::invalid, fmt::format("lvm {}: {} is not a logical volume", effect.verb,
                                           quote(vg + "/" + lv)));
  }
  if (vg_uuid.empty() ||
      vg_uuid.find_first_not_of(
          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") != std::string::npos) {
    return fail(Errc::invalid,
                fmt::format("lvm {}: {} is not a UUID", effect.verb, quote(vg_uuid)));
  }
  std::string uuid_prefix = "LVM-" + vg_uuid;
  std::erase(uuid_prefix, '-');
  uuid_prefix.insert(3, "-");
  if (devices.empty() && !activate) {
    if (auto removed = dm::remove_stack(root_, map_name(vg, lv), uuid_prefix); !removed) {
      return tl::unexpected(removed.error());
    }
    return Json{{"output", ""}, {"status", 0}};
  }
  if (devices.empty()) {
    return fail(Errc::invalid, fmt::format("lvm {}: no devices are given", effect.verb));
  }
  const auto program = find_tool(root_, "lvm");
  if (!program) {
    return tl::unexpected(program.error());
  }
  const std::string directory = root_.host_path(kSystemDirectory);
  ::mkdir(root_.host_path("/run/muster").c_str(), 0755);
  ::mkdir(directory.c_str(), 0700);
  ChildOptions options;
  options.environment = {
      {"LVM_SYSTEM_DIR", directory},
      {"LVM_SUPPRESS_FD_WARNINGS", "1"},
      {"LC_ALL", "C"},
      {"PATH", "/usr/lib/muster/sbin:/usr/lib/muster/bin:/usr/sbin:/usr/bin:/sbin:/bin"}};
  // A late lvm is left to end: killed in the middle it leaves devices suspended.
  options.deadline_ms = 0;
  const auto output = run_tool(
      {*program, "lvchange", activate ? "-ay" : "-an", "--config", configuration(root_),
       "--devices", devices, "--select", fmt::format("vg_uuid=\"{}\"", vg_uuid), vg + "/" + lv},
      options);
  if (!output) {
    Error error = output.error().within(fmt::format("{}/{}", vg, lv));
    if (activate) {
      return tl::unexpected(std::move(error));
    }
    // The group cannot be read any more, say: its maps can be taken down all the same.
    if (auto removed = dm::remove_stack(root_, map_name(vg, lv), uuid_prefix); !removed) {
      error.code = removed.error().code;
      error.text += "; " + removed.error().text;
      return tl::unexpected(std::move(error));
    }
    return Json{{"output", error.text}, {"status", 0}};
  }
  Json result{{"output", last_words(*output)}, {"status", 0}};

  // A volume group of the same name but another UUID is passed over by lvm without an error.
  const auto map = dm::find_by_name(map_name(vg, lv));
  if (!map) {
    return tl::unexpected(map.error());
  }
  const bool is_up = map->has_value() && (*map)->uuid.starts_with(uuid_prefix);
  if (is_up != activate) {
    return fail(Errc::io, fmt::format("{}/{}: lvm reported success, but it is {} ({})", vg, lv,
                                      is_up ? "still active" : "not active", last_words(*output)));
  }
  if (activate) {
    result["kernel"] = (*map)->kernel;
    result["devno"] = (*map)->devno;
  }
  return result;
}

}  // namespace muster::lvm
