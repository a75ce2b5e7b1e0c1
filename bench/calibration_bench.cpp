// What this machine does in general, to hold the other figures against: none of our code. See
// compare.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <map>
#include <string>

namespace {

// Strings in an ordered map, made and taken apart: what the engine's time mostly goes into, too.
void calibration(benchmark::State& state) {
  for (auto _ : state) {
    std::map<std::string, std::string> map;
    std::uint32_t number = 1;
    for (int i = 0; i < 200; ++i) {
      number = number * 1664525U + 1013904223U;
      map.emplace("/devices/pci0000:00/" + std::to_string(number), std::to_string(i));
    }
    benchmark::DoNotOptimize(map);
  }
}
BENCHMARK(calibration)->Unit(benchmark::kMicrosecond);

}  // namespace
