// A journal of any content: read, replayed, and played as the hardware it tells of.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "daemon/fd.h"
#include "daemon/replay/hardware.h"
#include "daemon/replay/play.h"
#include "daemon/replay/recording.h"
#include "daemon/replay/replay.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster::replay;
  const muster::Fd file(::memfd_create("journal", MFD_CLOEXEC));
  if (!file || ::write(file.get(), data, size) != static_cast<ssize_t>(size)) {
    return 0;
  }
  const auto recording = read_recording("/proc/self/fd/" + std::to_string(file.get()));
  if (!recording) {
    return 0;
  }
  static_cast<void>(replay(*recording));
  for (const auto& segment : recording->segments) {
    if (const auto hardware = hardware_of(segment)) {
      PlayOptions options;
      options.order_of = PlayOptions::Order::random;
      options.remove = true;
      static_cast<void>(play(*hardware, options));
    }
  }
  return 0;
}
