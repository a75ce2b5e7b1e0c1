#include "daemon/uevent_source.h"

#include <gmock/gmock.h>
#include <linux/netlink.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "daemon/event_json.h"
#include "tests/support/temp_tree.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using testing::TempTree;

// Messages that a test hands in, as netlink would.
class FakeMonitor final : public UeventMonitor {
 public:
  explicit FakeMonitor(DeviceEvent::Origin origin)
      : origin_(origin), readable_(::eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK)) {}
  [[nodiscard]] DeviceEvent::Origin origin() const override { return origin_; }
  [[nodiscard]] int fd() const override { return readable_.get(); }
  [[nodiscard]] Message receive() override {
    const std::lock_guard lock(mutex_);
    if (messages_.empty()) {
      return Nothing{};
    }
    std::uint64_t one = 0;
    EXPECT_EQ(::read(readable_.get(), &one, sizeof one), 8);
    Message message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }
  void send(Message message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(readable_.get(), &one, sizeof one), 8);
  }

 private:
  DeviceEvent::Origin origin_;
  Fd readable_;
  std::mutex mutex_;
  std::deque<Message> messages_;
};

std::string brief(const Event& event) {
  if (const auto* device = std::get_if<DeviceEvent>(&event.body)) {
    const auto json = to_json(event);
    return json["origin"].get<std::string>() + " " + std::string(to_string(device->action)) + " " +
           device->devpath;
  }
  if (const auto* done = std::get_if<ScanDone>(&event.body)) {
    return "scan done " + std::to_string(done->seqnum) + ", " +
           std::to_string(done->devpaths.size()) + " devices";
  }
  if (const auto* lost = std::get_if<EventsLost>(&event.body)) {
    return "lost: " + lost->reason;
  }
  return "unexpected";
}

class UeventSourceTest : public ::testing::Test {
 protected:
  UeventSourceTest() : root_(Root::open(tree_.path()).value()) {
    tree_.file("/sys/kernel/uevent_seqnum", "100\n")
        .device("/devices/a", "block", "DEVNAME=a\n")
        .file("/sys/devices/a/size", "8\n");
  }

  void start(DeviceEvent::Origin origin = DeviceEvent::Origin::kernel) {
    auto monitor = std::make_unique<FakeMonitor>(origin);
    monitor_ = monitor.get();
    source_.emplace(
        root_, std::move(monitor), std::vector<std::string>{"size"},
        [this](Event event) {
          const std::lock_guard lock(mutex_);
          events_.push_back(std::move(event));
          arrived_.notify_all();
        },
        [this] { return crowded_.load(); });
    source_->start();
  }

  void send(Action action, std::string devpath, std::uint64_t seqnum) {
    DeviceEvent event;
    event.action = action;
    event.devpath = std::move(devpath);
    event.subsystem = "block";
    event.seqnum = seqnum;
    monitor_->send(std::move(event));
  }

  // The next events, as many as there are to be; a missing one is what ends the test run.
  std::vector<std::string> next(std::size_t count) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return events_.size() >= count; });
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < count; ++i) {
      texts.push_back(brief(events_.front()));
      last_ = events_.front();
      events_.pop_front();
    }
    return texts;
  }

  TempTree tree_;
  Root root_;
  FakeMonitor* monitor_ = nullptr;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Event> events_;
  Event last_;
  std::atomic<bool> crowded_ = false;
  std::optional<UeventSource> source_;
};

TEST_F(UeventSourceTest, EventsCarryTheAttributesThatTheRulesName) {
  start();
  send(Action::add, "/devices/a", 1);
  send(Action::remove, "/devices/a", 2);
  send(Action::add, "/module/raid1", 3);
  send(Action::change, "/devices/b", 4);
  EXPECT_THAT(next(1), ElementsAre("kernel add /devices/a"));
  EXPECT_EQ(std::get<DeviceEvent>(last_.body).attributes, (Attributes{{"size", "8"}}));
  EXPECT_GT(last_.time, 0);
  EXPECT_THAT(next(1), ElementsAre("kernel remove /devices/a"));
  EXPECT_EQ(std::get<DeviceEvent>(last_.body).attributes, Attributes{});
  EXPECT_THAT(next(1), ElementsAre("kernel change /devices/b"));
  EXPECT_EQ(std::get<DeviceEvent>(last_.body).attributes, (Attributes{{"size", std::nullopt}}));
}

TEST_F(UeventSourceTest, AfterAScanOlderEventsOnlyHaveTheirDeviceReadAgain) {
  start();
  source_->scan();
  EXPECT_THAT(next(2), ElementsAre("scan add /devices/a", "scan done 100, 1 devices"));
  send(Action::remove, "/devices/a", 99);  // an older life of it
  send(Action::add, "/devices/gone", 100);
  send(Action::add, "/devices/a", 100);
  send(Action::remove, "/devices/a", 101);
  EXPECT_THAT(next(3), ElementsAre("scan change /devices/a", "scan remove /devices/gone",
                                   "kernel remove /devices/a"));
}

TEST_F(UeventSourceTest, AScanGivesWayToWhatIsNew) {
  tree_.device("/devices/b", "block", "DEVNAME=b\n");
  crowded_ = true;
  start();
  source_->scan();
  EXPECT_THAT(next(1), ElementsAre("scan add /devices/a"));
  send(Action::add, "/devices/new", 101);
  EXPECT_THAT(next(1), ElementsAre("kernel add /devices/new"));
  send(Action::add, "/devices/b", 100);  // older than the scan
  EXPECT_THAT(next(1), ElementsAre("scan change /devices/b"));
  source_->read("/devices/a");
  EXPECT_THAT(next(1), ElementsAre("scan change /devices/a"));
  send(Action::remove, "/devices/a", 102);
  EXPECT_THAT(next(1), ElementsAre("kernel remove /devices/a"));
  crowded_ = false;
  source_->go_on();
  // b was read since the scan began.
  EXPECT_THAT(next(1), ElementsAre("scan done 100, 4 devices"));
  // Found by the walk or announced meanwhile: nothing of it counts as gone.
  EXPECT_THAT(std::get<ScanDone>(last_.body).devpaths, ::testing::Contains("/devices/new"));
}

TEST_F(UeventSourceTest, AScanThatPausesIsNoReasonToStay) {
  tree_.device("/devices/b", "block", "DEVNAME=b\n");
  crowded_ = true;
  start();
  source_->scan();
  EXPECT_THAT(next(1), ElementsAre("scan add /devices/a"));
  source_.reset();
  EXPECT_THAT(next(2), ElementsAre("scan add /devices/b", "scan done 100, 2 devices"));
}

TEST_F(UeventSourceTest, ReadsOneDeviceWhenAsked) {
  start();
  source_->read("/devices/a");
  EXPECT_THAT(next(1), ElementsAre("scan change /devices/a"));
  source_->read("/devices/none");
  EXPECT_THAT(next(1), ElementsAre("scan remove /devices/none"));
}

TEST_F(UeventSourceTest, LossesAreReportedOnceUntilAScan) {
  start();
  monitor_->send(EventsLost{"first"});
  monitor_->send(EventsLost{"second"});
  send(Action::add, "/devices/a", 1);
  EXPECT_THAT(next(2), ElementsAre("lost: first", "kernel add /devices/a"));
  source_->scan();
  EXPECT_THAT(next(2), ElementsAre("scan add /devices/a", "scan done 100, 1 devices"));
  monitor_->send(EventsLost{"third"});
  EXPECT_THAT(next(1), ElementsAre("lost: third"));
}

TEST_F(UeventSourceTest, AGapThatDoesNotCloseIsALoss) {
  start();
  source_->scan();
  EXPECT_THAT(next(2), ElementsAre("scan add /devices/a", "scan done 100, 1 devices"));
  send(Action::change, "/devices/a", 105);
  send(Action::change, "/devices/a", 103);
  EXPECT_THAT(next(3), ElementsAre("kernel change /devices/a", "kernel change /devices/a",
                                   "lost: uevents 101 to 102 never came"));
}

TEST_F(UeventSourceTest, OnUdevdsSourceAGapIsNone) {
  start(DeviceEvent::Origin::udev);
  source_->scan();
  EXPECT_THAT(next(2), ElementsAre("scan add /devices/a", "scan done 100, 1 devices"));
  send(Action::change, "/devices/a", 105);
  EXPECT_THAT(next(1), ElementsAre("kernel change /devices/a"));
  monitor_->send(UeventMonitor::Failed{"netlink: gone"});
  EXPECT_THAT(next(1), ElementsAre("lost: netlink: gone; no further uevent will be seen"));
  // Scans go on.
  source_->scan();
  EXPECT_THAT(next(2), ElementsAre("scan add /devices/a", "scan done 100, 1 devices"));
}

TEST(UeventMonitor, WhatAnotherProcessSendsIsNoEvent) {
  std::vector<std::string> notes;
  const auto monitor = open_uevent_monitor(DeviceEvent::Origin::kernel, notes);
  ASSERT_TRUE(monitor) << monitor.error().text;
  sockaddr_nl theirs{};
  socklen_t length = sizeof theirs;
  ASSERT_EQ(::getsockname((*monitor)->fd(), reinterpret_cast<sockaddr*>(&theirs), &length), 0);
  const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
  using namespace std::string_view_literals;
  constexpr auto kForged =
      "add@/devices/forged\0ACTION=add\0DEVPATH=/devices/forged\0SUBSYSTEM=block\0SEQNUM=1\0"sv;
  theirs.nl_groups = 0;
  ASSERT_EQ(::sendto(socket.get(), kForged.data(), kForged.size(), 0,
                     reinterpret_cast<const sockaddr*>(&theirs), length),
            static_cast<ssize_t>(kForged.size()));
  std::size_t received = 0;
  // Real uevents may come in between.
  for (int empty = 0; empty < 2;) {
    auto message = (*monitor)->receive();
    if (std::holds_alternative<UeventMonitor::Nothing>(message)) {
      ++empty;
    } else if (const auto* event = std::get_if<DeviceEvent>(&message)) {
      received += event->devpath == "/devices/forged" ? 1 : 0;
    }
  }
  EXPECT_EQ(received, 0);
}

}  // namespace
}  // namespace muster
