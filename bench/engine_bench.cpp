// One step of the engine among few and among many disks, and what a world of them takes in memory.
//
// Disks are paths: four in a row have the same WWN and content. Each is three devices of sysfs.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <map>
#include <memory>
#include <utility>

#include "bench/synthetic_boot.h"
#include "bench/thread_clock.h"

namespace {

using namespace muster;

constexpr bench::SyntheticMachine::Shape kShape{.paths = 4, .every_attribute = true};

// A machine of so many disks, and what the engine alone took so far.
struct Populated {
  std::unique_ptr<Engine> engine = bench::shipped_engine();
  std::size_t events = 0;
  double spent = 0;                              // seconds
  std::vector<Event>* kept_for_later = nullptr;  // instead of going to the engine now
  bench::SyntheticMachine machine{kShape, [this](Event event) {
                                    if (kept_for_later != nullptr) {
                                      kept_for_later->push_back(std::move(event));
                                      return std::vector<Effect>();
                                    }
                                    const auto begin = bench::thread_seconds();
                                    auto effects = engine->on(event);
                                    spent += bench::thread_seconds() - begin;
                                    ++events;
                                    return effects;
                                  }};

  explicit Populated(std::size_t disks) {
    machine.start();
    for (std::size_t i = 0; i < disks; ++i) {
      machine.add_disk(i);
    }
  }
};

// Google Benchmark calls a function several times; a large machine is made once.
Populated& populated(std::size_t disks) {
  static std::map<std::size_t, std::unique_ptr<Populated>> machines;
  auto& machine = machines[disks];
  if (!machine) {
    machine = std::make_unique<Populated>(disks);
  }
  return *machine;
}

void take(benchmark::State& state, Populated& on) {
  state.SetIterationTime(std::exchange(on.spent, 0));
}

// One `change` uevent of a disk: read before, so nothing comes of it but that all are asked. Many
// are timed as one, or the clock would cost as much as the step.
void step_change(benchmark::State& state) {
  constexpr std::size_t kTogether = 64;
  const auto disks = static_cast<std::size_t>(state.range(0));
  auto& on = populated(disks);
  std::size_t at = 0;
  while (state.KeepRunningBatch(kTogether)) {
    std::vector<Event> events;
    on.kept_for_later = &events;
    for (std::size_t i = 0; i < kTogether; ++i) {
      at = (at + 7919) % disks;
      on.machine.change_disk(at);
    }
    on.kept_for_later = nullptr;
    const auto begin = bench::thread_seconds();
    for (const auto& event : events) {
      benchmark::DoNotOptimize(on.engine->on(event));
    }
    state.SetIterationTime(bench::thread_seconds() - begin);
  }
}
BENCHMARK(step_change)
    ->Arg(10)
    ->Arg(1'000)
    ->Arg(100'000)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

// A disk is pulled and plugged again: three devices go and come, it is read, its links move.
void step_replug(benchmark::State& state) {
  const auto disks = static_cast<std::size_t>(state.range(0));
  auto& on = populated(disks);
  on.spent = 0;
  on.events = 0;
  std::size_t at = 0;
  for (auto _ : state) {
    at = (at + 7919) % disks;
    on.machine.remove_disk(at);
    on.machine.add_disk(at);
    take(state, on);
  }
  state.counters["events"] =
      benchmark::Counter(static_cast<double>(on.events), benchmark::Counter::kAvgIterations);
}
BENCHMARK(step_replug)
    ->Arg(10)
    ->Arg(1'000)
    ->Arg(100'000)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

// All disks of a machine arrive. Bytes are those asked of malloc that are still in use at the end.
void arrival(benchmark::State& state) {
  const auto disks = static_cast<std::size_t>(state.range(0));
  std::size_t events = 0;
  double seconds = 0;
  double bytes = 0;
  double devices = 0;
  for (auto _ : state) {
    const auto before = mallinfo2();
    const Populated on(disks);
    const auto after = mallinfo2();
    bytes = static_cast<double>(after.uordblks + after.hblkhd) -
            static_cast<double>(before.uordblks + before.hblkhd);
    devices = static_cast<double>(on.engine->world().device_count());
    events += on.events;
    seconds += on.spent;
    state.SetIterationTime(on.spent);
  }
  state.counters["us_per_event"] = seconds * 1e6 / static_cast<double>(events);
  state.counters["bytes_per_disk"] = bytes / static_cast<double>(disks);
  state.counters["bytes_per_device"] = bytes / devices;
}
BENCHMARK(arrival)->Arg(1'000)->Arg(10'000)->Arg(100'000)->UseManualTime()->Unit(
    benchmark::kMillisecond);

}  // namespace
