// What a uevent costs before the engine sees it.
#include <benchmark/benchmark.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "bench/thread_clock.h"
#include "daemon/event_json.h"
#include "daemon/fd.h"
#include "daemon/json_line.h"
#include "daemon/uevent_monitor.h"

namespace {

using namespace muster;

using namespace std::string_view_literals;

constexpr std::string_view kMessage =
    "change@/devices/pci0000:00/0000:00:02.0/host0/target0:0:7/0:0:7:0/block/sdh\0"
    "ACTION=change\0"
    "DEVPATH=/devices/pci0000:00/0000:00:02.0/host0/target0:0:7/0:0:7:0/block/sdh\0"
    "SUBSYSTEM=block\0MAJOR=8\0MINOR=112\0DEVNAME=sdh\0DEVTYPE=disk\0DISKSEQ=17"sv;

// The kernel passes on what root sends to its end of the socket, as from itself, to the network
// namespace that the sender is in.
bool send_to_kernel(const Fd& socket, std::string_view message) {
  alignas(nlmsghdr) std::array<char, 1024> buffer{};
  auto* header = reinterpret_cast<nlmsghdr*>(buffer.data());
  const auto size = message.size() + 1;  // and the NUL
  header->nlmsg_len = NLMSG_LENGTH(static_cast<unsigned>(size));
  header->nlmsg_type = NLMSG_MIN_TYPE;
  header->nlmsg_flags = NLM_F_REQUEST;
  std::memcpy(NLMSG_DATA(header), message.data(), message.size());
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  return ::sendto(socket.get(), buffer.data(), header->nlmsg_len, 0,
                  reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) > 0;
}

// Receive and parse, by libudev as musterd does; what the kernel does to send is not in it. Root
// only: a network namespace of its own, so that nobody else hears of these uevents.
void uevent_receive(benchmark::State& state) {
  std::thread([&state] {
    if (::unshare(CLONE_NEWNET) != 0) {
      state.SkipWithError("needs root: no network namespace of its own");
      return;
    }
    std::vector<std::string> notes;
    const auto monitor = open_uevent_monitor(DeviceEvent::Origin::kernel, notes);
    const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
    if (!monitor || !socket) {
      state.SkipWithError("no uevent socket");
      return;
    }
    for (auto _ : state) {
      if (!send_to_kernel(socket, kMessage)) {
        state.SkipWithError("the kernel does not pass on uevents");
        return;
      }
      const auto begin = bench::thread_seconds();
      auto message = (*monitor)->receive();
      state.SetIterationTime(bench::thread_seconds() - begin);
      if (!std::holds_alternative<DeviceEvent>(message)) {
        state.SkipWithError("no event was received");
        return;
      }
    }
  }).join();
}
BENCHMARK(uevent_receive)->UseManualTime()->Unit(benchmark::kMicrosecond);

// The same from a journal's line.
void uevent_from_json(benchmark::State& state) {
  const std::string line =
      R"({"action":"change","attributes":{"device/model":"VM-p0","device/serial":null,)"
      R"("device/vendor":"QEMU","device/wwid":null,"dm/name":null,"dm/suspended":null,)"
      R"("hidden":"0","removable":"0","ro":"0","size":"32768","slaves":"","wwid":null},)"
      R"("devpath":"/devices/pci0000:00/0000:00:02.0/host0/target0:0:7/0:0:7:0/block/sdh",)"
      R"("event":"device","origin":"kernel","properties":{"ACTION":"change",)"
      R"("DEVNAME":"/dev/sdh","DEVTYPE":"disk","DISKSEQ":"17","MAJOR":"8","MINOR":"112",)"
      R"("SEQNUM":"777","SUBSYSTEM":"block"},"seqnum":777,"subsystem":"block","t":10931203})";
  for (auto _ : state) {
    const auto json = object_from_line(line);
    auto event = json ? event_from_json(*json) : tl::unexpected(json.error());
    if (!event) {
      state.SkipWithError(event.error().text.c_str());
      return;
    }
    benchmark::DoNotOptimize(event);
  }
}
BENCHMARK(uevent_from_json)->Unit(benchmark::kMicrosecond);

}  // namespace
