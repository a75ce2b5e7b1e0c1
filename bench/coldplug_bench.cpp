// Reading all of /sys, with every attribute that the shipped rules name. The tree is a directory of
// plain files: what the kernel takes to make up an attribute is not in it.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <set>

#include "bench/synthetic_boot.h"
#include "daemon/root.h"
#include "daemon/sysfs_reader.h"
#include "tests/support/temp_tree.h"

namespace {

using namespace muster;
using muster::testing::TempTree;

constexpr int kDevicesPerDisk = 5;

void add_disk(TempTree& tree, int number) {
  const auto target = fmt::format("/devices/pci0000:00/0000:00:02.0/host0/target0:0:{}", number);
  const auto scsi = fmt::format("{}/0:0:{}:0", target, number);
  const auto block = fmt::format("{}/block/sd{}", scsi, number);
  tree.device(target, "scsi", "DEVTYPE=scsi_target\n")
      .device(scsi, "scsi", "DEVTYPE=scsi_device\nDRIVER=sd\nMODALIAS=scsi:t-0x00\n")
      .file("/sys" + scsi + "/model", "Synthetic LUN\n")
      .file("/sys" + scsi + "/vendor", "MUSTER\n")
      .device(fmt::format("{}/scsi_disk/0:0:{}:0", scsi, number), "scsi_disk", "")
      .device(fmt::format("{}/bsg/0:0:{}:0", scsi, number), "bsg",
              fmt::format("MAJOR=247\nMINOR={0}\nDEVNAME=bsg/0:0:{0}:0\n", number))
      .device(block, "block",
              fmt::format("MAJOR=8\nMINOR={0}\nDEVNAME=sd{0}\nDEVTYPE=disk\nDISKSEQ={0}\n", number))
      .file("/sys" + block + "/size", "2097152\n")
      .file("/sys" + block + "/ro", "0\n")
      .file("/sys" + block + "/hidden", "0\n")
      .file("/sys" + block + "/removable", "0\n")
      .directory("/sys" + block + "/slaves")
      .link("/sys" + block + "/device", "../../../" + fmt::format("0:0:{}:0", number));
}

void coldplug(benchmark::State& state) {
  const auto devices = static_cast<int>(state.range(0));
  TempTree tree;
  tree.file("/sys/kernel/uevent_seqnum", "1234\n");
  for (int i = 0; i < devices / kDevicesPerDisk; ++i) {
    add_disk(tree, i);
  }
  std::vector<rules::Diagnostic> diagnostics;
  const auto rules = rules::RuleSet::load(bench::shipped_rules(), diagnostics);
  std::set<std::string> names(rules.attributes().begin(), rules.attributes().end());
  names.insert(rules.parent_attributes().begin(), rules.parent_attributes().end());
  const auto root = Root::open(tree.path());
  const SysfsReader reader(*root, {names.begin(), names.end()}, false);
  for (auto _ : state) {
    int found = 0;
    const auto done = reader.scan([&](DeviceEvent event) {
      benchmark::DoNotOptimize(event);
      ++found;
    });
    if (!done || found != devices) {
      state.SkipWithError("not all devices were found");
      return;
    }
  }
  state.SetItemsProcessed(state.iterations() * devices);
}
BENCHMARK(coldplug)->Arg(5'000)->Unit(benchmark::kMillisecond);

}  // namespace
