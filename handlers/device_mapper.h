// libdevmapper, as values. It keeps global state, so every call here holds one lock; the calls are
// short.
//
// No udev cookies are used and no semaphores made: the node under /dev/mapper is there when
// create() returns, with or without a udevd.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/result.h"
#include "daemon/root.h"

namespace muster::dm {

struct Target {
  std::uint64_t start = 0;   // sectors
  std::uint64_t length = 0;  // sectors
  std::string type;          // "linear", "striped", "multipath" ...
  std::string params;        // as the kernel prints them: "8:0 2048"
  friend bool operator==(const Target&, const Target&) = default;
};

struct Device {
  std::string name;
  std::string uuid;
  std::string kernel;  // "dm-0"
  std::string devno;   // "254:0"
  std::int32_t open_count = 0;
  bool suspended = false;
  bool has_table = false;
  bool read_only = false;
};

struct Created {
  Device device;
  bool existed = false;  // it was there already, with this very table
};

// Nothing if there is none. An Error: the kernel has no device-mapper, or refuses.
[[nodiscard]] Result<std::optional<Device>> find_by_uuid(const std::string& uuid);
[[nodiscard]] Result<std::optional<Device>> find_by_name(const std::string& name);
[[nodiscard]] Result<std::vector<Target>> live_table(const Device& device);

// A device of that UUID with the same live table is success. Errc::busy: the name, the UUID or one
// of the devices below is taken; the text says by whom.
[[nodiscard]] Result<Created> create(const Root& root, const std::string& name,
                                     const std::string& uuid, bool read_only,
                                     const std::vector<Target>& table);

// What is not there any more is success. The UUID is checked against the name before anything is
// done.
[[nodiscard]] Result<void> remove(const Root& root, const std::string& name,
                                  const std::string& uuid);

// A map and those beneath it that nobody else uses, all with this prefix in their UUID, top-down:
// what is left to do when the devices that they lie on are gone and no tool can read about them any
// more.
[[nodiscard]] Result<void> remove_stack(const Root& root, const std::string& name,
                                        const std::string& uuid_prefix);

}  // namespace muster::dm
