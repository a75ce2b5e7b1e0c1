#include "daemon/uevent_source.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <array>
#include <csignal>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <utility>

#include "daemon/boottime.h"
#include "daemon/fd.h"
#include "daemon/sysfs_reader.h"
#include "daemon/uevent_order.h"

namespace muster {
namespace {

// How many messages are taken before requests are looked at again.
constexpr int kMessagesInARow = 256;
// Behind the insertion of drivers.
constexpr int kScanNice = 5;

// Of the calling thread. As root, which musterd is: nobody else may raise a priority again.
void set_nice(int nice) {
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, nice));
}

// Modules, drivers, buses and slab caches send uevents as well; devices live below /devices.
bool is_device(std::string_view devpath) {
  return devpath.starts_with("/devices/");
}

}  // namespace

class UeventSource::Thread {
 public:
  Thread(const Root& root, std::unique_ptr<UeventMonitor> monitor,
         std::vector<std::string> attributes, Deliver deliver, Crowded crowded)
      : monitor_(std::move(monitor)),
        reader_(root, std::move(attributes), monitor_->origin() == DeviceEvent::Origin::udev),
        deliver_(std::move(deliver)),
        crowded_(std::move(crowded)),
        order_(monitor_->origin() == DeviceEvent::Origin::kernel),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  ~Thread() {
    if (thread_.joinable()) {
      ask([](Requests& requests) { requests.stop = true; });
      thread_.join();
    }
  }

  void start() {
    thread_ = std::thread([this] {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
      ::pthread_setname_np(::pthread_self(), "uevents");
      run();
    });
  }

  void scan() {
    ask([](Requests& requests) { requests.scan = true; });
  }
  void read(std::string devpath) {
    ask([&](Requests& requests) { requests.read.push_back(std::move(devpath)); });
  }
  void go_on() {
    ask([](Requests&) {});
  }

 private:
  struct Requests {
    bool stop = false;
    bool scan = false;
    std::vector<std::string> read;
  };

  template <typename Change>
  void ask(Change change) {
    {
      const std::lock_guard lock(mutex_);
      change(requests_);
    }
    const std::uint64_t one = 1;
    // Fails only if the counter is full, and then it wakes as well.
    static_cast<void>(!::write(wake_.get(), &one, sizeof one));
  }

  [[nodiscard]] Requests take_requests() {
    std::uint64_t count = 0;
    static_cast<void>(!::read(wake_.get(), &count, sizeof count));
    const std::lock_guard lock(mutex_);
    return std::exchange(requests_, {});
  }

  void run() {
    for (;;) {
      wait();
      serve();
      while (!stop_ && std::exchange(scan_, false)) {
        scan_now();
      }
      if (stop_) {
        return;
      }
      receive();
      if (const auto gap = order_.lost(boottime())) {
        lose(fmt::format("uevents {} to {} never came", gap->first, gap->last));
      }
    }
  }

  void serve() {
    const Requests requests = take_requests();
    stop_ = stop_ || requests.stop;
    scan_ = scan_ || requests.scan;
    for (const auto& devpath : requests.read) {
      deliver_device(devpath);
    }
  }

  // Between two devices of a scan.
  void give_way() {
    bool crowded = false;
    do {
      crowded = !stop_ && crowded_();
      std::array<pollfd, 2> fds = awaited();
      if (::poll(fds.data(), fds.size(), crowded ? -1 : 0) > 0) {
        serve();
        receive();
      }
    } while (crowded);
  }

  void wait() {
    int timeout = -1;
    if (const auto due = order_.gap_due()) {
      timeout = static_cast<int>(std::max<Micros>(*due - boottime(), 0) / 1000 + 1);
    }
    std::array<pollfd, 2> fds = awaited();
    static_cast<void>(::poll(fds.data(), fds.size(), timeout));
  }

  [[nodiscard]] std::array<pollfd, 2> awaited() const {
    return {{{wake_.get(), POLLIN, 0}, {monitor_fd(), POLLIN, 0}}};
  }

  [[nodiscard]] int monitor_fd() const { return failed_ ? -1 : monitor_->fd(); }

  void receive() {
    for (int i = 0; i < kMessagesInARow && !failed_; ++i) {
      auto message = monitor_->receive();
      if (std::holds_alternative<UeventMonitor::Nothing>(message)) {
        return;
      }
      if (auto* event = std::get_if<DeviceEvent>(&message)) {
        take(std::move(*event));
      } else if (auto* lost = std::get_if<EventsLost>(&message)) {
        lose(std::move(lost->reason));
      } else {
        failed_ = true;
        lose(std::get<UeventMonitor::Failed>(message).reason + "; no further uevent will be seen");
      }
    }
  }

  void take(DeviceEvent event) {
    const Micros now = boottime();
    const auto take = order_.take(event.seqnum, event.devpath, now);
    if (!is_device(event.devpath) || take == UeventOrder::Take::nothing) {
      return;
    }
    if (take == UeventOrder::Take::read_again) {
      if (event.action == Action::move) {
        if (const auto old = event.properties.find("DEVPATH_OLD"); old != event.properties.end()) {
          deliver_device(old->second);
        }
      }
      deliver_device(event.devpath);
      return;
    }
    if (event.action == Action::remove) {
      seen_.erase(event.devpath);
    } else {
      event.attributes = reader_.read_attributes(event.devpath);
      note(event.devpath);
    }
    deliver_({now, std::move(event)});
  }

  void deliver_device(const std::string& devpath) {
    auto event = reader_.read(devpath, Action::change);
    if (!event) {
      event.emplace();
      event->origin = DeviceEvent::Origin::scan;
      event->action = Action::remove;
      event->devpath = devpath;
      seen_.erase(devpath);
    } else {
      note(devpath);
    }
    deliver_({boottime(), std::move(*event)});
  }

  void note(const std::string& devpath) {
    if (scanning_) {
      seen_.insert(devpath);
    }
  }

  void scan_now() {
    outstanding_ = false;
    seen_.clear();
    scanning_ = true;
    set_nice(kScanNice);
    auto done = reader_.scan(
        [this](DeviceEvent event) {
          deliver_({boottime(), std::move(event)});
          give_way();
        },
        [this](std::uint64_t seqnum) { order_.scanned(seqnum); },
        [this](const std::string& devpath) { return seen_.contains(devpath); });
    set_nice(0);
    scanning_ = false;
    if (!done) {
      // Only where sysfs is not mounted. A scan that found nothing ends all the same, or nobody
      // would ever ask again.
      deliver_({boottime(), ScanDone{}});
      return;
    }
    // The walk need not have come by what uevents announced meanwhile.
    done->devpaths.insert(done->devpaths.end(), seen_.begin(), seen_.end());
    deliver_({boottime(), std::move(*done)});
  }

  void lose(std::string reason) {
    if (!std::exchange(outstanding_, true)) {
      deliver_({boottime(), EventsLost{std::move(reason)}});
    }
  }

  std::unique_ptr<UeventMonitor> monitor_;
  SysfsReader reader_;
  Deliver deliver_;
  Crowded crowded_;
  UeventOrder order_;
  Fd wake_;
  bool stop_ = false;
  bool scan_ = false;  // asked for
  bool scanning_ = false;
  // While scanning: the devices of uevents and of reads, as long as they are there.
  std::unordered_set<std::string> seen_;
  bool outstanding_ = false;
  bool failed_ = false;
  std::mutex mutex_;
  Requests requests_;
  std::thread thread_;
};

UeventSource::UeventSource(const Root& root, std::unique_ptr<UeventMonitor> monitor,
                           std::vector<std::string> attributes, Deliver deliver, Crowded crowded)
    : thread_(std::make_unique<Thread>(root, std::move(monitor), std::move(attributes),
                                       std::move(deliver), std::move(crowded))) {
}

UeventSource::~UeventSource() = default;

void UeventSource::start() {
  thread_->start();
}
void UeventSource::scan() {
  thread_->scan();
}
void UeventSource::read(std::string devpath) {
  thread_->read(std::move(devpath));
}
void UeventSource::go_on() {
  thread_->go_on();
}

}  // namespace muster
