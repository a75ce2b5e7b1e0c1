// The board of requirements of which none is there yet.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>
#include <vector>

#include "daemon/board.h"
#include "daemon/engine.h"
#include "handlers/handler.h"

namespace {

using namespace muster;

// Mondo's mountlists end at 500 entries; the board has to do with more.
class Requirements final : public Policy {
 public:
  explicit Requirements(std::int64_t count) : count_(count) {}
  [[nodiscard]] std::string_view name() const override { return "target"; }
  void plan_changed(Context& context) override {
    for (std::int64_t i = 0; i < count_; ++i) {
      Thing lv;
      lv.id = fmt::format("lv:vg{}/lv{}", i % 7, i);
      lv.what = fmt::format("LV vg{}/lv{}", i % 7, i);
      lv.why = "physical volume Kx9iT3-xxxx-xxxx-xxxx-xxxx-xxxx-xxxxxx not seen yet";
      Thing need;
      need.id = fmt::format("need:/dev/vg{}/lv{}", i % 7, i);
      need.what = fmt::format("target /dev/vg{}/lv{}", i % 7, i);
      need.why = "needs " + lv.what;
      need.needs = {lv.id};
      need.requirement = true;
      context.publish(std::move(lv));
      context.publish(std::move(need));
    }
  }
  [[nodiscard]] Json save() const override { return nullptr; }
  [[nodiscard]] Result<void> restore(const Json&) override { return {}; }

 private:
  std::int64_t count_;
};

void board(benchmark::State& state) {
  std::vector<std::unique_ptr<Policy>> policies;
  policies.push_back(std::make_unique<Requirements>(state.range(0)));
  Engine engine({}, std::move(policies));
  static_cast<void>(engine.on({1'000'000, FactsRead{{{"command_line", "compare_mode"}}}}));
  std::size_t bytes = 0;
  for (auto _ : state) {
    const auto text = board_text(engine);
    bytes = text.size();
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(board)->Arg(5)->Arg(1'000)->Unit(benchmark::kMicrosecond);

}  // namespace
