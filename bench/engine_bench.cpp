// One step of the engine among few and among many devices, and what a world of them takes in
// memory.
//
// The argument counts devices of sysfs, of which each disk is three. Disks are paths: four in a row
// have the same WWN and content.
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

constexpr std::size_t disks_of(std::size_t devices) {
  return devices / bench::SyntheticMachine::kDevicesPerDisk;
}

// A machine of so many devices, and what the engine alone took so far.
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

  explicit Populated(std::size_t devices) {
    machine.start();
    for (std::size_t i = 0; i < disks_of(devices); ++i) {
      machine.add_disk(i);
    }
  }
};

// Google Benchmark calls a function several times; a large machine is made once.
Populated& populated(std::size_t devices) {
  static std::map<std::size_t, std::unique_ptr<Populated>> machines;
  auto& machine = machines[devices];
  if (!machine) {
    machine = std::make_unique<Populated>(devices);
  }
  return *machine;
}

void take(benchmark::State& state, Populated& on) {
  state.SetIterationTime(std::exchange(on.spent, 0));
}

// 1,000 and 100,000 devices, and as many disks.
void arguments(benchmark::internal::Benchmark* one) {
  one->ArgName("devices");
  for (const int devices : {30, 1'000, 3'000, 100'000, 300'000}) {
    one->Arg(devices);
  }
  one->UseManualTime()->Unit(benchmark::kMicrosecond);
}

// `change` uevents of disks that were read, each disk in its turn, so that it was not looked at for
// as long as possible. Many are timed as one, or the clock would cost as much as the step.
void change_disks(benchmark::State& state, bool with_news) {
  constexpr std::size_t kTogether = 64;
  const auto devices = static_cast<std::size_t>(state.range(0));
  const std::size_t disks = disks_of(devices);
  auto& on = populated(devices);
  std::size_t at = 0;
  std::vector<bool> read_only(disks);
  const auto change = [&] {
    at = (at + 7919) % disks;
    if (with_news) {
      read_only[at].flip();
    }
    on.machine.change_disk(at, read_only[at]);
  };
  while (state.KeepRunningBatch(kTogether)) {
    std::vector<Event> events;
    on.kept_for_later = &events;
    for (std::size_t i = 0; i < kTogether; ++i) {
      change();
    }
    on.kept_for_later = nullptr;
    const auto begin = bench::thread_seconds();
    for (const auto& event : events) {
      benchmark::DoNotOptimize(on.engine->on(event));
    }
    state.SetIterationTime(bench::thread_seconds() - begin);
  }
  // As they were, for who comes next.
  for (at = 0; at < disks; ++at) {
    if (read_only[at]) {
      on.machine.change_disk(at);
    }
  }
}

// Nothing is different: nothing comes of it.
void step_change(benchmark::State& state) {
  change_disks(state, false);
}
BENCHMARK(step_change)->Apply(arguments);

// It is read-only, or not any more: all that care for disks are asked, and none of them minds.
void step_news(benchmark::State& state) {
  change_disks(state, true);
}
BENCHMARK(step_news)->Apply(arguments);

// A disk is pulled and plugged again: three devices go and come, it is read, its links move.
void step_replug(benchmark::State& state) {
  const auto devices = static_cast<std::size_t>(state.range(0));
  const std::size_t disks = disks_of(devices);
  auto& on = populated(devices);
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
BENCHMARK(step_replug)->Apply(arguments);

// All disks of a machine arrive. Bytes are those asked of malloc that are still in use at the end.
void arrival(benchmark::State& state) {
  const auto asked = static_cast<std::size_t>(state.range(0));
  std::size_t events = 0;
  double seconds = 0;
  double bytes = 0;
  double devices = 0;
  for (auto _ : state) {
    const auto before = mallinfo2();
    const Populated on(asked);
    const auto after = mallinfo2();
    bytes = static_cast<double>(after.uordblks + after.hblkhd) -
            static_cast<double>(before.uordblks + before.hblkhd);
    devices = static_cast<double>(on.engine->world().device_count());
    events += on.events;
    seconds += on.spent;
    state.SetIterationTime(on.spent);
  }
  state.counters["us_per_event"] = seconds * 1e6 / static_cast<double>(events);
  state.counters["bytes_per_disk"] = bytes / static_cast<double>(disks_of(asked));
  state.counters["bytes_per_device"] = bytes / devices;
}
BENCHMARK(arrival)
    ->ArgName("devices")
    ->Arg(1'000)
    ->Arg(10'000)
    ->Arg(100'000)
    ->Arg(300'000)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
