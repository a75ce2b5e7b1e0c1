#include "handlers/device_mapper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <libdevmapper.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>

#include "daemon/quote.h"
#include "handlers/block_device.h"

namespace muster::dm {
namespace {

constexpr std::size_t kMaxName = 127;  // DM_NAME_LEN, DM_UUID_LEN less the NUL
constexpr std::size_t kMaxUuid = 128;
constexpr int kMaxTargets = 65536;

std::mutex library_mutex;
std::string last_message;  // guarded by it

void keep_message(int level, const char* /*file*/, int /*line*/, int /*dm_errno*/,
                  const char* format, ...) {
  constexpr int kErrorLevel = 3;  // _LOG_ERR
  constexpr int kLevelMask = 7;
  if ((level & kLevelMask) > kErrorLevel) {
    return;
  }
  std::array<char, 512> text{};
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text.data(), text.size(), format, arguments);
  va_end(arguments);
  last_message = printable(text.data());
}

// Held for the length of a call; sets the library up at the first.
class Library {
 public:
  Library() : lock_(library_mutex) {
    static const bool ready = [] {
      ::dm_log_with_errno_init(keep_message);
      ::dm_udev_set_sync_support(0);
      ::dm_set_name_mangling_mode(DM_STRING_MANGLING_NONE);
      return true;
    }();
    static_cast<void>(ready);
    last_message.clear();
  }

 private:
  std::lock_guard<std::mutex> lock_;
};

struct Destroy {
  void operator()(dm_task* task) const { ::dm_task_destroy(task); }
};
using Task = std::unique_ptr<dm_task, Destroy>;

// Where one call makes several ioctls libdevmapper keeps only its message, which ends with the
// errno's text.
int error_in(const std::string& message) {
  constexpr std::array kErrors{EBUSY,  EINVAL, ENXIO, ENODEV, ENOENT,
                               EEXIST, ENOMEM, EIO,   EPERM,  ENOSPC};
  for (const int error : kErrors) {
    if (message.ends_with(std::strerror(error))) {
      return error;
    }
  }
  return 0;
}

Error refusal(std::string_view what, const Task& task) {
  const int error = task ? ::dm_task_get_errno(task.get()) : ENOMEM;
  const int known = error != 0 ? error : error_in(last_message);
  if (known != 0) {
    return fail_errno(what, known).value();
  }
  return Error{Errc::io,
               fmt::format("{}: {}", what, last_message.empty() ? "refused" : last_message), 0};
}

Result<void> check_names(const std::string& name, const std::string& uuid) {
  const auto good = [](const std::string& text, std::size_t limit) {
    return !text.empty() && text.size() <= limit && text != "." && text != ".." &&
           text != "control" &&
           text.find_first_not_of(
               "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#+-.:=@_") ==
               std::string::npos;
  };
  if (!good(name, kMaxName)) {
    return fail(Errc::invalid, quote(name) + " cannot be the name of a device-mapper device");
  }
  if (!good(uuid, kMaxUuid)) {
    return fail(Errc::invalid, quote(uuid) + " cannot be the UUID of a device-mapper device");
  }
  return {};
}

Result<std::optional<Device>> find(const char* name, const char* uuid) {
  const Task task(::dm_task_create(DM_DEVICE_INFO));
  const bool set = task && (uuid != nullptr ? ::dm_task_set_uuid(task.get(), uuid) != 0
                                            : ::dm_task_set_name(task.get(), name) != 0);
  dm_info info = {};
  if (!set || ::dm_task_run(task.get()) == 0) {
    if (task && ::dm_task_get_errno(task.get()) == ENXIO) {
      return std::nullopt;
    }
    return tl::unexpected(refusal("device-mapper", task));
  }
  if (::dm_task_get_info(task.get(), &info) == 0) {
    return tl::unexpected(refusal("device-mapper", task));
  }
  if (info.exists == 0) {
    return std::nullopt;
  }
  const char* found_name = ::dm_task_get_name(task.get());
  const char* found_uuid = ::dm_task_get_uuid(task.get());
  Device device;
  device.name = found_name == nullptr ? "" : found_name;
  device.uuid = found_uuid == nullptr ? "" : found_uuid;
  device.kernel = fmt::format("dm-{}", info.minor);
  device.devno = fmt::format("{}:{}", info.major, info.minor);
  device.open_count = info.open_count;
  device.suspended = info.suspended != 0;
  device.has_table = info.live_table != 0;
  device.read_only = info.read_only != 0;
  return device;
}

Result<std::vector<Target>> table_of(const std::string& name) {
  const Task task(::dm_task_create(DM_DEVICE_TABLE));
  if (!task || ::dm_task_set_name(task.get(), name.c_str()) == 0 ||
      ::dm_task_run(task.get()) == 0) {
    return tl::unexpected(refusal("table of " + name, task));
  }
  std::vector<Target> table;
  void* next = nullptr;
  for (int i = 0; i < kMaxTargets; ++i) {
    std::uint64_t start = 0;
    std::uint64_t length = 0;
    char* type = nullptr;
    char* params = nullptr;
    next = ::dm_get_next_target(task.get(), next, &start, &length, &type, &params);
    if (type != nullptr) {
      std::string text = params == nullptr ? "" : params;
      text.erase(text.find_last_not_of(' ') + 1);
      table.push_back({start, length, type, std::move(text)});
    }
    if (next == nullptr) {
      break;
    }
  }
  return table;
}

Result<void> remove_unlocked(const std::string& name) {
  const Task task(::dm_task_create(DM_DEVICE_REMOVE));
  if (!task || ::dm_task_set_name(task.get(), name.c_str()) == 0 ||
      ::dm_task_run(task.get()) == 0) {
    return tl::unexpected(refusal("removing " + name, task));
  }
  ::dm_task_update_nodes();
  return {};
}

// With a udevd /dev/mapper/NAME is its link, without one libdevmapper's node. Where neither was
// made, by us.
Result<void> make_sure_of_node(const Root& root, const Device& device) {
  ::dm_task_update_nodes();
  const std::string path = root.host_path("/dev/mapper/" + device.name);
  const dev_t wanted = dev_from(device.devno).value_or(0);
  struct stat status = {};
  if (::stat(path.c_str(), &status) == 0 && S_ISBLK(status.st_mode) && status.st_rdev == wanted) {
    return {};
  }
  ::mkdir(root.host_path("/dev/mapper").c_str(), 0755);
  const std::string temporary =
      root.host_path(fmt::format("/dev/mapper/.muster-{}", device.kernel));
  ::unlink(temporary.c_str());
  if (::mknod(temporary.c_str(), S_IFBLK | 0600, wanted) != 0 ||
      ::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return fail_errno(path, error);
  }
  return {};
}

// "8:0 held by md127; ...": the devices of a table that somebody else has.
std::string who_holds_parts(const Root& root, const std::vector<Target>& table) {
  std::string text;
  for (const Target& target : table) {
    std::string_view rest = target.params;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      const std::string_view word = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (dev_from(word) && !holders_of(root, word).empty() &&
          text.find(fmt::format("{} held", word)) == std::string::npos) {
        text += fmt::format("{}{} {}", text.empty() ? "" : "; ", word, holders_text(root, word));
      }
    }
  }
  return text;
}

// The maps that this one lies on, by name; of those with this prefix in their UUID.
std::vector<Device> maps_below(const Root& root, const Device& device,
                               const std::string& uuid_prefix) {
  std::vector<Device> below;
  for (const std::string& slave : root.list(fmt::format("/sys/block/{}/slaves", device.kernel))
                                      .value_or(std::vector<std::string>{})) {
    const std::string uuid =
        attribute_text(root.read_file(fmt::format("/sys/block/{}/dm/uuid", slave), kMaxAttribute)
                           .value_or(std::string{}));
    if (!uuid.starts_with(uuid_prefix)) {
      continue;
    }
    if (auto found = find(nullptr, uuid.c_str()); found && found->has_value()) {
      below.push_back(**found);
    }
  }
  return below;
}

}  // namespace

Result<std::optional<Device>> find_by_uuid(const std::string& uuid) {
  const Library library;
  return find(nullptr, uuid.c_str());
}

Result<std::optional<Device>> find_by_name(const std::string& name) {
  const Library library;
  return find(name.c_str(), nullptr);
}

Result<std::vector<Target>> live_table(const Device& device) {
  const Library library;
  return table_of(device.name);
}

Result<Created> create(const Root& root, const std::string& name, const std::string& uuid,
                       bool read_only, const std::vector<Target>& table) {
  if (auto good = check_names(name, uuid); !good) {
    return tl::unexpected(good.error());
  }
  if (table.empty()) {
    return fail(Errc::invalid, name + ": an empty table");
  }
  const Library library;
  auto existing = find(nullptr, uuid.c_str());
  if (!existing) {
    return tl::unexpected(existing.error());
  }
  if (existing->has_value()) {
    const Device& device = **existing;
    if (device.has_table) {
      const auto live = table_of(device.name);
      if (!live) {
        return tl::unexpected(live.error());
      }
      if (device.name != name || *live != table || device.read_only != read_only) {
        return fail(Errc::busy,
                    fmt::format("{}: a device with this UUID exists as {} ({}) and differs in {}",
                                name, device.kernel, device.name,
                                device.name != name ? "name"
                                : *live != table    ? "table"
                                                    : "access"));
      }
      if (device.suspended) {
        return fail(Errc::busy,
                    fmt::format("{}: exists as {} and is suspended", name, device.kernel));
      }
      if (auto node = make_sure_of_node(root, device); !node) {
        return tl::unexpected(node.error());
      }
      return Created{device, true};
    }
    // Somebody died between making it and giving it a table: it holds nothing.
    if (auto removed = remove_unlocked(device.name); !removed) {
      return tl::unexpected(removed.error().within(name + " exists without a table"));
    }
  }
  auto namesake = find(name.c_str(), nullptr);
  if (!namesake) {
    return tl::unexpected(namesake.error());
  }
  if (namesake->has_value()) {
    return fail(Errc::busy, fmt::format("{}: the name is taken by {} with UUID {}", name,
                                        (*namesake)->kernel, quote((*namesake)->uuid)));
  }

  const Task task(::dm_task_create(DM_DEVICE_CREATE));
  bool set = task && ::dm_task_set_name(task.get(), name.c_str()) != 0 &&
             ::dm_task_set_uuid(task.get(), uuid.c_str()) != 0 &&
             (!read_only || ::dm_task_set_ro(task.get()) != 0);
  for (const Target& target : table) {
    set = set && ::dm_task_add_target(task.get(), target.start, target.length, target.type.c_str(),
                                      target.params.c_str()) != 0;
  }
  if (!set || ::dm_task_run(task.get()) == 0) {
    Error error = refusal("making " + name, task);
    if (error.os_error == EBUSY) {
      if (const std::string holders = who_holds_parts(root, table); !holders.empty()) {
        error.text += ": " + holders;
      }
    }
    return tl::unexpected(std::move(error));
  }
  const auto made = find(nullptr, uuid.c_str());
  if (!made) {
    return tl::unexpected(made.error());
  }
  if (!made->has_value()) {
    return fail(Errc::io, name + ": vanished as it was made");
  }
  if (auto node = make_sure_of_node(root, **made); !node) {
    return tl::unexpected(node.error());
  }
  return Created{**made, false};
}

Result<void> remove(const Root& root, const std::string& name, const std::string& uuid) {
  const Library library;
  const auto device = find(nullptr, uuid.c_str());
  if (!device) {
    return tl::unexpected(device.error());
  }
  if (!device->has_value()) {
    return {};
  }
  if ((*device)->name != name) {
    return fail(Errc::invalid,
                fmt::format("{}: UUID {} belongs to {}", name, uuid, quote((*device)->name)));
  }
  if ((*device)->open_count > 0) {
    return fail(Errc::busy,
                fmt::format("{} ({}) is open {} times: {}", name, (*device)->kernel,
                            (*device)->open_count, holders_text(root, (*device)->devno)));
  }
  return remove_unlocked(name);
}

Result<void> remove_stack(const Root& root, const std::string& name,
                          const std::string& uuid_prefix) {
  constexpr std::size_t kMaxStack = 256;
  const Library library;
  auto top = find(name.c_str(), nullptr);
  if (!top) {
    return tl::unexpected(top.error());
  }
  if (!top->has_value()) {
    return {};
  }
  if (!(*top)->uuid.starts_with(uuid_prefix)) {
    return fail(Errc::invalid,
                fmt::format("{}: is another device, with UUID {}", name, quote((*top)->uuid)));
  }
  if ((*top)->open_count > 0) {
    return fail(Errc::busy, fmt::format("{} ({}) is open {} times: {}", name, (*top)->kernel,
                                        (*top)->open_count, holders_text(root, (*top)->devno)));
  }
  std::vector<Device> stack{**top};
  while (!stack.empty() && stack.size() < kMaxStack) {
    const Device device = stack.back();
    stack.pop_back();
    // Others may use it as well (a pool has many volumes), or it went with another branch.
    const auto current = find(nullptr, device.uuid.c_str());
    if (!current || !current->has_value() || (*current)->open_count > 0) {
      continue;
    }
    const std::vector<Device> below = maps_below(root, device, uuid_prefix);
    if (auto removed = remove_unlocked(device.name); !removed) {
      return removed;
    }
    stack.insert(stack.end(), below.begin(), below.end());
  }
  return {};
}

}  // namespace muster::dm
