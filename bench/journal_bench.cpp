// One event of a disk and its effect, written as the loop does: two lines, one write(2).
#include <benchmark/benchmark.h>

#include "bench/synthetic_boot.h"
#include "daemon/event_json.h"
#include "daemon/journal.h"
#include "daemon/json_line.h"
#include "tests/support/temp_tree.h"

namespace {

using namespace muster;
using muster::testing::TempTree;

void journal_line(benchmark::State& state) {
  const TempTree tree;
  auto journal = JournalWriter::open(tree.path("/journal.jsonl"), Json::object());
  if (!journal) {
    state.SkipWithError(journal.error().text.c_str());
    return;
  }
  // The event that announces a disk: its effect is that the disk is read.
  const auto engine = bench::shipped_engine();
  Event event;
  Effect effect;
  bench::SyntheticMachine machine({}, [&](const Event& each) {
    auto effects = engine->on(each);
    for (const auto& wanted : effects) {
      if (wanted.handler == "probe") {
        event = each;
        effect = wanted;
      }
    }
    return effects;
  });
  machine.start();
  machine.add_disk(0);
  std::size_t bytes = 0;
  for (auto _ : state) {
    const auto lines = to_line(to_json(event)) + "\n" + to_line(to_json(effect, event.time)) + "\n";
    bytes += lines.size();
    journal->add(lines);
    auto written = journal->flush();
    if (written && journal->due()) {
      written = journal->begin_segment(Json::object());
    }
    if (!written) {
      state.SkipWithError(written.error().text.c_str());
      return;
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
  state.counters["bytes"] =
      benchmark::Counter(static_cast<double>(bytes), benchmark::Counter::kAvgIterations);
}
BENCHMARK(journal_line)->Unit(benchmark::kMicrosecond);

}  // namespace
