// From a modalias to modules.
//
// MUSTER_BENCH_MODULES=.../lib/modules/VERSION measures libkmod on a distribution's tree (with its
// depmod indexes). Without it a tree of the same size is generated: of text alone, as a medium
// brings one, which is what the daemon's own reader is for.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "daemon/root.h"
#include "handlers/driver/driver_executor.h"
#include "tests/support/temp_tree.h"

namespace {

using namespace muster;
using muster::testing::TempTree;

constexpr int kModules = 4'000;
constexpr int kAliasesEach = 5;

class Tree {
 public:
  Tree() {
    const char* given = std::getenv("MUSTER_BENCH_MODULES");
    if (given != nullptr) {
      root_.emplace(Root::open("/").value());
      settings_ = {{std::filesystem::absolute(given).string()}, {}};
      alias_ = "virtio:d00000008v00001AF4";
      return;
    }
    std::string dependencies;
    std::string aliases;
    for (int i = 0; i < kModules; ++i) {
      dependencies += fmt::format("kernel/drivers/m{}.ko:{}\n", i,
                                  i < 8 ? "" : fmt::format(" kernel/drivers/m{}.ko", i % 8));
      for (int k = 0; k < kAliasesEach; ++k) {
        aliases += fmt::format("alias pci:v{:08X}d{:08X}sv*sd*bc*sc*i* m{}\n", i, k, i);
      }
    }
    made_.emplace();
    made_->file("/second/modules.dep", dependencies).file("/second/modules.alias", aliases);
    root_.emplace(Root::open(made_->path()).value());
    settings_ = {{"/first", "/second"}, {}};
    alias_ = fmt::format("pci:v{:08X}d{:08X}sv00000000sd00000000bc01sc00i00", kModules / 2, 1);
  }

  // Whether the executor found the module.
  bool resolve(driver::DriverExecutor& executor) const {
    const auto result =
        executor.run({1, "driver", "resolve", alias_, {{"alias", alias_}}, 0, "kmod"});
    return result && !result->at("modules").empty();
  }
  [[nodiscard]] driver::DriverExecutor executor() const {
    return driver::DriverExecutor(*root_, settings_);
  }

 private:
  std::optional<TempTree> made_;
  std::optional<Root> root_;
  driver::DriverSettings settings_;
  std::string alias_;
};

// The first of all: the indexes are opened or read.
void modalias_first(benchmark::State& state) {
  const Tree tree;
  for (auto _ : state) {
    auto executor = tree.executor();
    if (!tree.resolve(executor)) {
      state.SkipWithError("no module for the alias");
      return;
    }
  }
}
BENCHMARK(modalias_first)->Unit(benchmark::kMicrosecond);

// Every later one. (One that was asked for before costs nothing: the policy remembers the answer.)
void modalias_next(benchmark::State& state) {
  const Tree tree;
  auto executor = tree.executor();
  if (!tree.resolve(executor)) {
    state.SkipWithError("no module for the alias");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(tree.resolve(executor));
  }
}
BENCHMARK(modalias_next)->Unit(benchmark::kMicrosecond);

}  // namespace
