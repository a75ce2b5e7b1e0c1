// Where uevents come from: netlink, by libudev.
//
// libudev believes only the kernel (sender pid 0, credentials of root) and, on udevd's source,
// messages sent by root to udevd's multicast group; what others send to our socket never becomes an
// event.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "daemon/event.h"
#include "daemon/result.h"

namespace muster {

class UeventMonitor {
 public:
  virtual ~UeventMonitor() = default;
  // `kernel` or `udev`.
  [[nodiscard]] virtual DeviceEvent::Origin origin() const = 0;
  // Readable when something was received.
  [[nodiscard]] virtual int fd() const = 0;

  struct Nothing {};
  struct Failed {
    std::string reason;
  };
  // The next message; the event's attributes are left to the caller. EventsLost: the buffer ran
  // over, or a message could not be read. Nothing: none is waiting, or one that was not for us.
  // Failed: there will never be another.
  using Message = std::variant<Nothing, DeviceEvent, EventsLost, Failed>;
  [[nodiscard]] virtual Message receive() = 0;
};

// Bound when this returns: nothing that happens later is missed. `notes`: what is not as it should
// be.
[[nodiscard]] Result<std::unique_ptr<UeventMonitor>> open_uevent_monitor(
    DeviceEvent::Origin origin, std::vector<std::string>& notes);

}  // namespace muster
