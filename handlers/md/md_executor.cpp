#include "handlers/md/md_executor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/major.h>
#include <linux/raid/md_u.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "daemon/quote.h"
#include "handlers/arguments.h"
#include "handlers/md/md_superblock.h"
#include "handlers/md/start_ro.h"
#include "handlers/tool.h"

namespace muster::md {
namespace {

constexpr std::int64_t kHighestNumber = (1 << 20) - 1;  // of the kernel's minor numbers
constexpr std::int64_t kFirstFree = 127;                // where mdadm starts to count down, too
constexpr std::int64_t kLastFree = 511;                 // and where it goes on, above 127
constexpr const char* kNewArray = "/sys/module/md_mod/parameters/new_array";

struct KernelVersion {
  std::string_view text;
  int major;
  int minor;
};
constexpr std::array kVersions{KernelVersion{"0.90", 0, 90}, KernelVersion{"1.0", 1, 0},
                               KernelVersion{"1.1", 1, 1}, KernelVersion{"1.2", 1, 2}};

bool runs(std::string_view state) {
  constexpr std::array<std::string_view, 8> kRunning{"readonly", "read-auto",     "clean",
                                                     "active",   "write-pending", "active-idle",
                                                     "broken",   "suspended"};
  return std::find(kRunning.begin(), kRunning.end(), state) != kRunning.end();
}

std::int64_t number_or(const std::string& text, std::int64_t otherwise) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end != text.data() ? value : otherwise;
}

bool is_uuid(std::string_view uuid) {
  return uuid.size() == 35 &&
         uuid.find_first_not_of("0123456789abcdefABCDEF:") == std::string_view::npos;
}

// What the kernel means by an errno where a member is added.
std::string why_not_added(int error) {
  switch (error) {
    case EINVAL:
      return "its superblock does not belong to this array (EINVAL)";
    case EBUSY:
      return "it is in use (EBUSY)";
    default:
      return std::strerror(error);
  }
}

std::string why_not_run(int error) {
  switch (error) {
    case EINVAL:
      return "the personality is not loaded or refuses the array (EINVAL)";
    case EIO:
      return "too few members, or dirty and degraded (EIO)";
    default:
      return std::strerror(error);
  }
}

Errc code_of(int error) {
  return error == EBUSY || error == EEXIST ? Errc::busy : Errc::io;
}

}  // namespace

Result<Json> MdExecutor::run(const Effect& effect) {
  if (effect.verb == "start_ro") {
    return start_ro();
  }
  if (effect.verb == "assemble") {
    return assemble(effect);
  }
  if (effect.verb == "stop") {
    return stop(effect);
  }
  if (effect.verb == "mdadm_assemble") {
    return mdadm_assemble(effect);
  }
  if (effect.verb == "inspect") {
    return inspect(effect);
  }
  return fail(Errc::invalid, "md: no such effect: " + effect.verb);
}

std::string MdExecutor::attribute(const std::string& kernel, const std::string& name) const {
  return attribute_text(
      root_.read_file(fmt::format("/sys/block/{}/md/{}", kernel, name), kMaxAttribute)
          .value_or(std::string{}));
}

Result<Json> MdExecutor::start_ro() {
  if (auto written = set_start_ro(root_); !written) {
    return tl::unexpected(written.error());
  }
  return Json::object();
}

Result<MdExecutor::Array> MdExecutor::make_array(std::int64_t number) const {
  const bool any = number < 0;
  std::int64_t candidate = any ? kFirstFree : number;
  for (;;) {
    const std::string kernel = fmt::format("md{}", candidate);
    int error = EEXIST;
    if (is_leased(candidate)) {
      // mdadm is about to make it
    } else if (!root_.exists("/sys/block/" + kernel)) {
      const auto written = root_.write_file(kNewArray, kernel);
      if (written) {
        error = 0;
      } else if (written.error().code == Errc::not_found) {
        return tl::unexpected(written.error().within("md is not in the kernel"));
      } else {
        error = written.error().os_error;
      }
    } else if (!any && attribute(kernel, "array_state") == "clear" &&
               attribute(kernel, "raid_disks") == "0") {
      error = 0;  // an empty one that somebody's open() left behind
    }
    if (error == 0) {
      Array array{kernel, fmt::format("{}:{}", MD_MAJOR, candidate), {}};
      auto fd = devices_.open(array.devno, O_RDONLY);
      if (!fd) {
        return tl::unexpected(fd.error().within(kernel));
      }
      array.fd = *std::move(fd);
      return array;
    }
    if (!any) {
      const std::string state = attribute(kernel, "array_state");
      return tl::unexpected(
          Error{code_of(error),
                fmt::format("{}: {}", kernel,
                            error == EEXIST ? "the number is taken by an array that is " +
                                                  (state.empty() ? "going away" : state)
                                            : std::strerror(error)),
                error});
    }
    if (error != EEXIST && error != EBUSY) {
      return tl::unexpected(
          Error{code_of(error), fmt::format("{}: {}", kernel, std::strerror(error)), error});
    }
    candidate = candidate == 0 ? kLastFree : candidate - 1;
    if (candidate == kFirstFree) {
      return fail(Errc::busy, "no number is free for another array");
    }
  }
}

bool MdExecutor::is_leased(std::int64_t number) const {
  const std::lock_guard lock(numbers_);
  return leased_.contains(number);
}

Result<Json> MdExecutor::assemble(const Effect& effect) {
  Arguments arguments(effect);
  const std::string uuid = arguments.text("uuid");
  const std::int64_t number = arguments.number_or("number", -1);
  const std::string version = arguments.text("version");
  std::vector<Member> members;
  for (const Json& json : arguments.list("members")) {
    Arguments member(json, "md assemble: members");
    members.push_back({member.text("devno"), member.number_or("slot", -1)});
    if (auto status = member.status(); !status) {
      return tl::unexpected(status.error());
    }
    if (!dev_from(members.back().devno)) {
      return fail(Errc::invalid, quote(members.back().devno) + " is not the number of a device");
    }
  }
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  const auto* known = std::find_if(kVersions.begin(), kVersions.end(),
                                   [&](const KernelVersion& v) { return v.text == version; });
  if (known == kVersions.end()) {
    return fail(Errc::unsupported, "the kernel knows no superblock " + quote(version));
  }
  if (number > kHighestNumber) {
    return fail(Errc::invalid, fmt::format("md{}: there is no such number", number));
  }
  if (members.empty()) {
    return fail(Errc::invalid, "md assemble: no members");
  }
  // A daemon that was started again may have read the members before it sees their array.
  if (auto array = started(members)) {
    return *std::move(array);
  }
  auto array = make_array(number);
  if (!array) {
    return tl::unexpected(array.error());
  }
  auto result = start(*array, known->major, known->minor, members);
  if (!result) {
    Error error = result.error().within(fmt::format("{} ({})", array->kernel, quote(uuid)));
    if (::ioctl(array->fd.get(), STOP_ARRAY, nullptr) != 0) {
      error.text += fmt::format("; and it cannot be taken back: {}", std::strerror(errno));
    }
    return tl::unexpected(std::move(error));
  }
  return result;
}

Result<Json> MdExecutor::start(const Array& array, int major_version, int minor_version,
                               const std::vector<Member>& members) const {
  mdu_array_info_t version = {};
  version.major_version = major_version;
  version.minor_version = minor_version;
  if (::ioctl(array.fd.get(), SET_ARRAY_INFO, &version) != 0) {
    const int error = errno;
    return tl::unexpected(
        Error{code_of(error), fmt::format("setting the version: {}", std::strerror(error)), error});
  }
  for (const Member& member : members) {
    const dev_t devno = dev_from(member.devno).value_or(0);
    mdu_disk_info_t disk = {};
    disk.major = static_cast<int>(major(devno));
    disk.minor = static_cast<int>(minor(devno));
    if (::ioctl(array.fd.get(), ADD_NEW_DISK, &disk) != 0) {
      const int error = errno;
      const std::string kernel = kernel_name(root_, member.devno);
      std::string text = fmt::format("adding {} {} (slot {}): {}", member.devno, kernel,
                                     member.slot, why_not_added(error));
      if (error == EBUSY) {
        text += ": " + holders_text(root_, member.devno);
      }
      return tl::unexpected(
          Error{error == ENXIO || error == ENODEV ? Errc::not_found : code_of(error), text, error});
    }
  }
  if (::ioctl(array.fd.get(), RUN_ARRAY, nullptr) != 0) {
    const int error = errno;
    return tl::unexpected(Error{code_of(error), "running it: " + why_not_run(error), error});
  }
  const std::string state = attribute(array.kernel, "array_state");
  if (!runs(state)) {
    return fail(Errc::io,
                fmt::format("running it: the kernel calls it {}", state.empty() ? "gone" : state));
  }
  // RUN drops members that it finds stale, and starts without them.
  if (auto held = holds(array.kernel, members); !held) {
    return tl::unexpected(held.error().within("running it"));
  }
  return Json{{"kernel", array.kernel}, {"devno", array.devno}, {"state", state}};
}

Result<void> MdExecutor::holds(const std::string& kernel,
                               const std::vector<Member>& members) const {
  const Json present = members_of(kernel);
  for (const Member& member : members) {
    const auto found = std::find_if(present.begin(), present.end(), [&](const Json& json) {
      return json["devno"] == member.devno;
    });
    const std::string name = kernel_name(root_, member.devno);
    if (found == present.end()) {
      return fail(Errc::io, fmt::format("the kernel left out {} {} (slot {}): it is stale",
                                        member.devno, name, member.slot));
    }
    const std::string flags = (*found)["state"].get<std::string>();
    if (flags.find("in_sync") == std::string::npos ||
        (member.slot >= 0 && (*found)["slot"] != member.slot)) {
      return fail(Errc::io,
                  fmt::format("the kernel has {} {} as {} in slot {}, not as slot {}", member.devno,
                              name, flags, (*found)["slot"].dump(), member.slot));
    }
  }
  return {};
}

std::optional<Json> MdExecutor::started(const std::vector<Member>& members) const {
  const auto holders = root_.list(fmt::format("/sys/dev/block/{}/holders", members.front().devno));
  for (const std::string& kernel : holders.value_or(std::vector<std::string>{})) {
    const std::string state = attribute(kernel, "array_state");
    if (kernel.starts_with("md") && runs(state) && holds(kernel, members)) {
      const auto devno = root_.read_file(fmt::format("/sys/block/{}/dev", kernel), kMaxAttribute);
      return Json{{"kernel", kernel},
                  {"devno", attribute_text(devno.value_or(std::string{}))},
                  {"state", state}};
    }
  }
  return std::nullopt;
}

Json MdExecutor::members_of(const std::string& kernel) const {
  Json members = Json::array();
  const std::string directory = fmt::format("/sys/block/{}/md", kernel);
  for (const std::string& name : root_.list(directory).value_or(std::vector<std::string>{})) {
    if (!name.starts_with("dev-")) {
      continue;
    }
    const auto read = [&](const char* file) {
      return attribute_text(
          root_.read_file(fmt::format("{}/{}/{}", directory, name, file), kMaxAttribute)
              .value_or(std::string{}));
    };
    const std::string devno = read("block/dev");
    members.push_back(Json{{"devno", devno},
                           {"kernel", kernel_name(root_, devno)},
                           {"slot", number_or(read("slot"), -1)},
                           {"state", read("state")}});
  }
  return members;
}

Result<Json> MdExecutor::stop(const Effect& effect) {
  Arguments arguments(effect);
  const std::string devno = arguments.text("devno");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  const std::string kernel = kernel_name(root_, devno);
  if (kernel.empty()) {
    return Json::object();  // gone; opening the number would make an empty array of it
  }
  if (!kernel.starts_with("md")) {
    return fail(Errc::invalid, fmt::format("{} ({}) is not an array", quote(devno), kernel));
  }
  const auto fd = devices_.open(devno, O_RDONLY);
  if (!fd) {
    if (fd.error().code == Errc::not_found) {
      return Json::object();
    }
    return tl::unexpected(fd.error());
  }
  if (::ioctl(fd->get(), STOP_ARRAY, nullptr) != 0) {
    const int error = errno;
    if (error == ENODEV || error == ENXIO) {
      return Json::object();
    }
    std::string text = fmt::format("stopping {}: {}", kernel, std::strerror(error));
    if (error == EBUSY) {
      text += ": " + holders_text(root_, devno);
    }
    return tl::unexpected(Error{code_of(error), std::move(text), error});
  }
  return Json::object();
}

Result<Json> MdExecutor::mdadm_assemble(const Effect& effect) {
  Arguments arguments(effect);
  const std::string uuid = arguments.text("uuid");
  const std::int64_t number = arguments.number_or("number", -1);
  std::vector<std::string> nodes;
  for (const Json& json : arguments.list("devices")) {
    Arguments device(json, "md mdadm_assemble: devices");
    const auto node = devices_.node(device.text("devno"));
    if (auto status = device.status(); !status) {
      return tl::unexpected(status.error());
    }
    if (!node) {
      return tl::unexpected(node.error());
    }
    nodes.push_back(root_.host_path(*node));
  }
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  if (!is_uuid(uuid)) {
    return fail(Errc::invalid, quote(uuid) + " is not the UUID of an array");
  }
  if (number > kHighestNumber) {
    return fail(Errc::invalid, fmt::format("md{}: there is no such number", number));
  }
  const auto mdadm = find_tool(root_, "mdadm");
  if (!mdadm) {
    return tl::unexpected(mdadm.error());
  }
  // From here to the end of mdadm the number is ours: another effect must not take it before mdadm
  // does.
  const NumberLease lease(*this, number);
  if (lease.number() < 0) {
    return fail(Errc::busy, number < 0 ? std::string("no number is free for another array")
                                       : fmt::format("md{}: the number is taken", number));
  }
  return run_mdadm(*mdadm, lease.number(), uuid, nodes);
}

Result<Json> MdExecutor::run_mdadm(const std::string& mdadm, std::int64_t number,
                                   const std::string& uuid,
                                   const std::vector<std::string>& nodes) const {
  const std::string kernel = fmt::format("md{}", number);
  const std::string devno = fmt::format("{}:{}", MD_MAJOR, number);
  // Without --run it starts no array that lacks members it had last time; a reshape stays where it
  // is.
  std::vector<std::string> argv{mdadm,           "--assemble",     "/dev/" + kernel,
                                "--config=none", "--uuid=" + uuid, "--freeze-reshape"};
  argv.insert(argv.end(), nodes.begin(), nodes.end());
  ChildOptions options;
  options.environment = {{"LC_ALL", "C"}, {"IMSM_NO_PLATFORM", "1"}};
  if (!root_.exists("/run/udev/control")) {
    options.environment.emplace_back("MDADM_NO_UDEV", "1");
  }
  const auto take_back = [&](Error error) {
    // What mdadm left half made would hold the members.
    if (const auto fd = devices_.open(devno, O_RDONLY);
        fd && root_.exists("/sys/block/" + kernel) &&
        ::ioctl(fd->get(), STOP_ARRAY, nullptr) != 0) {
      error.text += fmt::format("; and it cannot be taken back: {}", std::strerror(errno));
    }
    return tl::unexpected(std::move(error));
  };
  const auto output = run_tool(argv, options);
  if (!output) {
    return take_back(output.error().within(fmt::format("{} ({})", kernel, uuid)));
  }
  Json result{{"kernel", kernel}, {"devno", devno}, {"output", last_words(*output)}};
  const std::string state = attribute(kernel, "array_state");
  if (attribute(kernel, "metadata_version").starts_with("external:")) {
    // A container holds arrays of its own; they are mdadm's to start too.
    const auto volumes = run_tool(
        {mdadm, "--incremental", "--config=none", "--no-degraded", "/dev/" + kernel}, options);
    if (!volumes) {
      return take_back(volumes.error().within(kernel + ": volumes of the container"));
    }
    result["container"] = true;
    result["output"] = last_words(*output + *volumes);
  } else if (!runs(state)) {
    return take_back(
        Error{Errc::io,
              fmt::format("{} ({}): mdadm reported success, but the kernel calls it {} ({})",
                          kernel, uuid, state.empty() ? "gone" : state, last_words(*output)),
              0});
  }
  result["state"] = state;
  return result;
}

// A number that no array has, kept from other effects for as long as this lives.
MdExecutor::NumberLease::NumberLease(MdExecutor& owner, std::int64_t wanted) : owner_(owner) {
  const std::lock_guard lock(owner_.numbers_);
  const auto is_free = [&](std::int64_t number) {
    return !owner_.leased_.contains(number) &&
           !owner_.root_.exists(fmt::format("/sys/block/md{}", number));
  };
  if (wanted >= 0) {
    number_ = is_free(wanted) ? wanted : -1;
  } else {
    number_ = kFirstFree;
    while (number_ >= 0 && !is_free(number_)) {
      --number_;
    }
  }
  if (number_ >= 0) {
    owner_.leased_.insert(number_);
  }
}

MdExecutor::NumberLease::~NumberLease() {
  const std::lock_guard lock(owner_.numbers_);
  owner_.leased_.erase(number_);
}

Result<Json> MdExecutor::inspect(const Effect& effect) {
  Arguments arguments(effect);
  const std::string devno = arguments.text("devno");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  const std::string kernel = kernel_name(root_, devno);
  const std::string state = attribute(kernel, "array_state");
  if (kernel.empty() || state.empty()) {
    return fail(Errc::not_found, quote(devno) + " is not an array");
  }
  Json result{{"kernel", kernel},
              {"devno", devno},
              {"state", state},
              {"level", attribute(kernel, "level")},
              {"raid_disks", number_or(attribute(kernel, "raid_disks"), 0)},
              {"degraded", number_or(attribute(kernel, "degraded"), 0)},
              {"version", attribute(kernel, "metadata_version")},
              {"members", members_of(kernel)}};
  // The UUID in the form of our reader, from a member's superblock; the kernel's own attribute is
  // younger than 6.1.
  for (const Json& member : result["members"]) {
    const auto device = devices_.open(member["devno"].get<std::string>(), O_RDONLY);
    const auto bytes = device ? block_size_bytes(*device) : tl::unexpected(device.error());
    if (!bytes) {
      continue;
    }
    const auto found = read_superblocks(device_reader(*device, *bytes), *bytes);
    if (!found) {
      continue;
    }
    for (const Superblock& sb : found->superblocks) {
      if (to_string(sb.version) == result["version"]) {
        result["uuid"] = sb.array_uuid;
        return result;
      }
    }
  }
  return result;
}

}  // namespace muster::md
