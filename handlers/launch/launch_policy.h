// When mondorestore is started, and what must be true of the machine at that moment.
//
// Once every requirement is met: prepare (files, names, drives let go), for a nuke with LVM the
// filter that hides everything but the plan's drives, checked; then, once nobody reads a drive of
// the nuke any more (a partition held open keeps its disk's table from being read anew), the launch
// through muster-init, which is mondorestore's parent and starts it once. If a requirement falls
// away meanwhile, what was prepared is done again when it is met. After a restart of the daemon
// muster-init says whether it runs already.
#pragma once

#include <string>

#include "daemon/state_json.h"
#include "handlers/handler.h"

namespace muster::launch {

class LaunchPolicy final : public Policy {
 public:
  [[nodiscard]] std::string_view name() const override { return "launch"; }
  void plan_changed(Context& context) override;
  void done(const Effect& effect, const EffectDone& outcome, Context& context) override;
  void late(const Effect& effect, Context& context) override;
  void thing(const Thing& thing, bool withdrawn, Context& context) override;
  bool command(const Command& command, Context& context) override;
  void decide(Context& context) override;

  MUSTER_POLICY_STATE(stage_, pending_, prepared_, failed_, failed_with_, forced_, follow_)

 private:
  enum class Stage { waiting, preparing, filtering, settling, launching, running, ended };

  [[nodiscard]] Json home_of_journal(const World& world) const;

  [[nodiscard]] bool all_met(const World& world) const;
  [[nodiscard]] bool may_start(const World& world) const;
  [[nodiscard]] Json preparation(const World& world) const;
  void step(Stage stage, std::string_view verb, Json arguments, std::int64_t deadline_ms,
            Context& context);
  void call_off(std::string why, Context& context);
  void settle(Context& context);
  void show(State state, std::string why, Context& context);

  Stage stage_ = Stage::waiting;
  EffectId pending_ = 0;
  std::string prepared_;  // the preparation that was made, as JSON
  std::string failed_;
  std::string failed_with_;
  bool forced_ = false;
  bool follow_ = false;
};

}  // namespace muster::launch
