// Uevents and scans of /sys in one stream, in the order in which they were read.
//
// One thread does both, since order is the point: what a scan saw and what a uevent says can only
// be put together if it is known which was read first. The scan takes the place of udev's coldplug;
// nothing is written to `uevent` files, so nobody else on the machine hears of it. It gives way:
// what is new is read between two devices of it, and it goes no faster than its events are used, so
// that nothing that a driver brings has to stand behind thousands of disks.
//
// Requests may be made from any thread. Events are delivered on the source's own thread, stamped
// when they were taken.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/event.h"
#include "daemon/root.h"
#include "daemon/uevent_monitor.h"

namespace muster {

class UeventSource {
 public:
  using Deliver = std::function<void(Event)>;
  // Whether so many events are waiting that a scan is to pause; whoever says so calls go_on() once
  // there is room.
  using Crowded = std::function<bool()>;

  // `attributes` are read with every event (not with `remove`). `root` outlives the source.
  UeventSource(
      const Root& root, std::unique_ptr<UeventMonitor> monitor, std::vector<std::string> attributes,
      Deliver deliver, Crowded crowded = [] { return false; });
  // Waits for the thread; only a scan or a read that is under way is finished, without a pause.
  ~UeventSource();
  UeventSource(const UeventSource&) = delete;
  UeventSource& operator=(const UeventSource&) = delete;

  void start();
  // Reads all of /sys: a DeviceEvent for each device, then ScanDone. After EventsLost no other is
  // sent until a scan.
  void scan();
  // Reads one device again: DeviceEvent change, or remove if it is gone.
  void read(std::string devpath);
  void go_on();

 private:
  class Thread;
  std::unique_ptr<Thread> thread_;
};

}  // namespace muster
