// Replay without the journal's own parsing: events a second, and that time grows with the length
// alone.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "bench/synthetic_boot.h"
#include "daemon/replay/replay.h"

namespace {

using namespace muster;

void replay_synthetic(benchmark::State& state) {
  const auto recording = bench::synthetic_boot(static_cast<std::size_t>(state.range(0)));
  std::size_t events = 0;
  for (auto _ : state) {
    const auto replayed = replay::replay(recording);
    if (!replayed || replayed->difference) {
      state.SkipWithError("the replay differs");
      return;
    }
    events += replayed->events;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(events));
  state.SetComplexityN(state.range(0));
}
BENCHMARK(replay_synthetic)
    ->Arg(10'000)
    ->Arg(30'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMillisecond)
    ->Complexity(benchmark::oN);

void replay_recorded(benchmark::State& state, const char* name) {
  const auto recording =
      replay::read_recording(fmt::format("{}/tests/replay/logs/{}.jsonl", MUSTER_SOURCE_DIR, name));
  if (!recording) {
    state.SkipWithError(recording.error().text.c_str());
    return;
  }
  std::size_t events = 0;
  for (auto _ : state) {
    events += replay::replay(*recording)->events;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(events));
}
BENCHMARK_CAPTURE(replay_recorded, order_1, "order_1");
BENCHMARK_CAPTURE(replay_recorded, levels_hotplug, "levels_hotplug");

}  // namespace

BENCHMARK_MAIN();
