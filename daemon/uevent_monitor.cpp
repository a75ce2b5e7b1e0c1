#include "daemon/uevent_monitor.h"

#include <fmt/format.h>
#include <libudev.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "daemon/root.h"
#include "daemon/sysfs_reader.h"

namespace muster {
namespace {

// udevd's own choice. 128 MiB hold some 100,000 uevents; the memory is taken only while they wait.
constexpr int kReceiveBuffer = 128 * 1024 * 1024;
// recvmsg() on a healthy socket does not fail for ever.
constexpr int kMostFailures = 100;

struct UnrefUdev {
  void operator()(udev* context) const { ::udev_unref(context); }
};
struct UnrefMonitor {
  void operator()(udev_monitor* monitor) const { ::udev_monitor_unref(monitor); }
};
struct UnrefDevice {
  void operator()(udev_device* device) const { ::udev_device_unref(device); }
};

std::string text_of(const char* value) {
  return value == nullptr ? "" : valid_text(value, false);
}

class LibudevMonitor final : public UeventMonitor {
 public:
  LibudevMonitor(std::unique_ptr<udev, UnrefUdev> context,
                 std::unique_ptr<udev_monitor, UnrefMonitor> monitor, DeviceEvent::Origin origin)
      : context_(std::move(context)), monitor_(std::move(monitor)), origin_(origin) {}

  [[nodiscard]] DeviceEvent::Origin origin() const override { return origin_; }
  [[nodiscard]] int fd() const override { return ::udev_monitor_get_fd(monitor_.get()); }

  [[nodiscard]] Message receive() override {
    errno = 0;
    const std::unique_ptr<udev_device, UnrefDevice> device(
        ::udev_monitor_receive_device(monitor_.get()));
    if (device) {
      failures_ = 0;
      return event_of(device.get());
    }
    switch (errno) {
      case 0:
      case EAGAIN:
      case EINTR:
        return Nothing{};
      case ENOBUFS:
        failures_ = 0;
        return EventsLost{"the receive buffer ran over"};
      default:
        break;
    }
    if (++failures_ == kMostFailures) {
      return Failed{fmt::format("netlink: {}", std::strerror(errno))};
    }
    return EventsLost{fmt::format("a uevent could not be read: {}", std::strerror(errno))};
  }

 private:
  [[nodiscard]] Message event_of(udev_device* device) const {
    DeviceEvent event;
    event.origin = origin_;
    event.action = action_from(text_of(::udev_device_get_action(device)));
    event.devpath = text_of(::udev_device_get_devpath(device));
    event.subsystem = text_of(::udev_device_get_subsystem(device));
    event.seqnum = ::udev_device_get_seqnum(device);
    udev_list_entry* entry = nullptr;
    udev_list_entry_foreach(entry, ::udev_device_get_properties_list_entry(device)) {
      event.properties.insert_or_assign(text_of(::udev_list_entry_get_name(entry)),
                                        text_of(::udev_list_entry_get_value(entry)));
    }
    if (const auto it = event.properties.find("DEVNAME"); it != event.properties.end()) {
      it->second = dev_path(it->second);
    }
    return event;
  }

  std::unique_ptr<udev, UnrefUdev> context_;
  std::unique_ptr<udev_monitor, UnrefMonitor> monitor_;
  DeviceEvent::Origin origin_;
  int failures_ = 0;
};

}  // namespace

Result<std::unique_ptr<UeventMonitor>> open_uevent_monitor(DeviceEvent::Origin origin,
                                                           std::vector<std::string>& notes) {
  const char* name = origin == DeviceEvent::Origin::udev ? "udev" : "kernel";
  std::unique_ptr<udev, UnrefUdev> context(::udev_new());
  std::unique_ptr<udev_monitor, UnrefMonitor> monitor(
      context ? ::udev_monitor_new_from_netlink(context.get(), name) : nullptr);
  if (!monitor) {
    return fail_errno("cannot open the kernel's uevent socket", errno);
  }
  const int set = ::udev_monitor_set_receive_buffer_size(monitor.get(), kReceiveBuffer);
  int size = 0;
  socklen_t length = sizeof size;
  if (::getsockopt(::udev_monitor_get_fd(monitor.get()), SOL_SOCKET, SO_RCVBUF, &size, &length) <
      0) {
    size = 0;
  }
  if (set < 0 || size < kReceiveBuffer) {
    notes.push_back(fmt::format("the uevent buffer is only {} KiB (wanted {} KiB)", size / 1024,
                                kReceiveBuffer / 1024));
  }
  if (const int r = ::udev_monitor_enable_receiving(monitor.get()); r < 0) {
    return fail_errno("cannot listen to the kernel's uevents", -r);
  }
  return std::make_unique<LibudevMonitor>(std::move(context), std::move(monitor), origin);
}

}  // namespace muster
