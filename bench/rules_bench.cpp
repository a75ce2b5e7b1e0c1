// The shipped rules, asked about the devices that a machine has.
#include <benchmark/benchmark.h>

#include "bench/synthetic_boot.h"
#include "daemon/event.h"
#include "rules/match.h"

namespace {

using namespace muster;

struct View final : rules::DeviceView {
  std::string name;
  std::string of;
  std::string path;
  Properties properties;
  Attributes attributes;
  const View* above = nullptr;

  [[nodiscard]] std::string_view action() const override { return "add"; }
  [[nodiscard]] std::string_view kernel() const override { return name; }
  [[nodiscard]] std::string_view subsystem() const override { return of; }
  [[nodiscard]] std::string_view driver() const override { return {}; }
  [[nodiscard]] std::string_view devpath() const override { return path; }
  [[nodiscard]] std::optional<std::string_view> env(std::string_view key) const override {
    const auto it = properties.find(key);
    return it == properties.end() ? std::nullopt : std::optional<std::string_view>(it->second);
  }
  [[nodiscard]] std::optional<std::string_view> attr(std::string_view key) const override {
    const auto it = attributes.find(key);
    return it == attributes.end() || !it->second ? std::nullopt
                                                 : std::optional<std::string_view>(*it->second);
  }
  [[nodiscard]] const rules::DeviceView* parent() const override { return above; }
};

View scsi_device() {
  View view;
  view.name = "0:0:7:0";
  view.of = "scsi";
  view.path = "/devices/pci0000:00/0000:00:02.0/host0/target0:0:7/0:0:7:0";
  view.properties = {{"DEVTYPE", "scsi_device"}, {"MODALIAS", "scsi:t-0x00"}};
  return view;
}

View disk(const View& above, Properties found) {
  View view;
  view.name = "sdh";
  view.of = "block";
  view.path = above.path + "/block/sdh";
  view.properties = std::move(found);
  view.properties["DEVTYPE"] = "disk";
  view.attributes = {{"size", "2097152"}, {"hidden", "0"}, {"removable", "0"}, {"slaves", ""}};
  view.above = &above;
  return view;
}

View tty() {
  View view;
  view.name = "tty7";
  view.of = "tty";
  view.path = "/devices/virtual/tty/tty7";
  return view;
}

void match(benchmark::State& state, const View& view, std::size_t handlers) {
  std::vector<rules::Diagnostic> diagnostics;
  const auto rules = rules::RuleSet::load(bench::shipped_rules(), diagnostics);
  for (auto _ : state) {
    auto outcome = rules.match(view);
    if (outcome.handlers.size() != handlers) {
      state.SkipWithError("the rules give other handlers than they did");
      return;
    }
    benchmark::DoNotOptimize(outcome);
  }
}

void match_no_device_of_ours(benchmark::State& state) {
  match(state, tty(), 0);
}
BENCHMARK(match_no_device_of_ours);

void match_scsi_device(benchmark::State& state) {
  match(state, scsi_device(), 1);
}
BENCHMARK(match_scsi_device);

void match_disk(benchmark::State& state) {
  const auto above = scsi_device();
  match(state, disk(above, {}), 3);  // node, probe, target
}
BENCHMARK(match_disk);

void match_member_that_was_read(benchmark::State& state) {
  const auto above = scsi_device();
  match(state,
        disk(above, {{"ID_FS_TYPE", "linux_raid_member"},
                     {"ID_FS_USAGE", "raid"},
                     {"ID_FS_UUID", "6e9b3ea4-9a8f-25d4-6c53-2f8d2d3bb001"},
                     {"ID_FS_VERSION", "1.2"}}),
        4);
}
BENCHMARK(match_member_that_was_read);

}  // namespace
