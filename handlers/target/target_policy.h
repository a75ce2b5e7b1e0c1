// What this restore writes to, or compares with, and whether it is there: one requirement for each
// line of the plan.
//
// compare: every device of the mountlist that is mounted or switched on. interactive: its arrays,
// its LVs, and the drives that hold the rest. nuke: its drives, each bound to a physical disk, and
// the drivers of its filesystems.
#pragma once

#include <map>
#include <set>
#include <string>

#include "daemon/state_json.h"
#include "handlers/handler.h"

namespace muster::target {

class TargetPolicy final : public Policy {
 public:
  [[nodiscard]] std::string_view name() const override { return "target"; }
  void plan_changed(Context& context) override;
  void device(const Device& device, Context& context) override;
  void device_as_before(const Device&, Context&) override {}
  void device_gone(const Device& device, Context& context) override;
  void thing(const Thing& thing, bool withdrawn, Context& context) override;
  bool command(const Command& command, Context& context) override;
  void decide(Context& context) override;

  MUSTER_POLICY_STATE(new_plan_, published_, wanted_, judged_)

 private:
  struct Need {
    std::string what;
    State state = State::waiting;
    std::string why;
    std::vector<std::string> needs;
  };

  // If every need is one of things, what those say changes it little by little.
  struct Judged {
    bool only_things = false;
    std::map<std::string, std::set<std::string>> devices;  // needed, by the name that things bear
    std::map<std::string, std::set<std::string>> names;    // found, by id of the thing
    std::set<std::string> unseen;                          // names of LVs that no thing bears
    std::set<std::string> touched;                         // names to be looked at again
  };

  // Whether nothing but things tells of it.
  bool need_device(const std::string& device, Context& context);
  void need_drive(const std::string& drive, Context& context);
  void need_nuke(Context& context);
  void require(const std::string& id, Need need, Context& context);

  bool new_plan_ = false;            // not looked at yet
  std::set<std::string> published_;  // requirements of ours that are published
  std::set<std::string> wanted_;     // those of the plan as it is now
  state::Derived<Judged> judged_;
};

}  // namespace muster::target
