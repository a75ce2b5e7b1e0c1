// Which medium this restore is made from.
//
// Every disc, and every filesystem where the plan expects ISO files, is examined read-only and
// aside; what is found is judged against the image's own config. The right disc 1 of the right
// backup is taken at once and waits for no other candidate; a medium of another backup is only
// offered (`muster use DEVICE`); two different backups that both fit are refused by name. A taken
// medium is mounted where Mondo expects it and its tools are unpacked.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "daemon/state_json.h"
#include "handlers/handler.h"

namespace muster::medium {

class MediumPolicy final : public Policy {
 public:
  [[nodiscard]] std::string_view name() const override { return "medium"; }
  void plan_changed(Context& context) override;
  void device(const Device& device, Context& context) override;
  void device_as_before(const Device& device, Context& context) override;
  void device_gone(const Device& device, Context& context) override;
  void done(const Effect& effect, const EffectDone& outcome, Context& context) override;
  void late(const Effect& effect, Context& context) override;
  void thing(const Thing& thing, bool withdrawn, Context& context) override;
  bool command(const Command& command, Context& context) override;
  void decide(Context& context) override;

  MUSTER_POLICY_STATE(candidates_, chosen_, chosen_diskseq_, stage_, pending_, failed_,
                      failed_with_, polled_, tools_of_, reloads_)

 private:
  struct Candidate {
    std::string devpath;
    std::string kernel;
    std::uint64_t diskseq = 0;  // the content that was examined, or is being
    std::string filesystem;     // ID_FS_TYPE; empty: a drive without a readable disc
    EffectId examining = 0;
    bool examined = false;
    std::string asked_with;  // arguments of the examination: another plan asks anew
    Json found;              // what examine found
    std::string error;
    std::string drive_state;   // "no_disc", "tray_open" ... of an optical drive
    bool told_to_use = false;  // by the operator: this content, and no other in its place
    MUSTER_STATE(devpath, kernel, diskseq, filesystem, examining, examined, asked_with, found,
                 error, drive_state, told_to_use)
  };
  enum class Verdict { exact, other_backup, not_it };
  enum class Stage { none, taking, unpacking, ready, releasing };

  [[nodiscard]] Verdict judge(const Candidate& candidate, const World& world,
                              std::string* why) const;
  [[nodiscard]] std::string type_refusal(const Plan& plan) const;
  void examine(Candidate& candidate, const Device& device, Context& context);
  void choose(Context& context);
  void forget(const std::string& devpath, Context& context);
  void release(Context& context);
  void show(State state, std::string why, std::vector<std::string> needs, Context& context);

  std::map<std::string, Candidate> candidates_;  // by devpath
  std::string chosen_;                           // devpath of the medium taken
  std::uint64_t chosen_diskseq_ = 0;
  Stage stage_ = Stage::none;
  EffectId pending_ = 0;
  std::string failed_;            // why taking or unpacking failed ...
  std::string failed_with_;       // ... and with which candidate: another generation is tried again
  std::set<std::string> polled_;  // devpaths of drives that are to say when a disc or card comes
  std::string tools_of_;          // serial of the backup whose tools are unpacked
  unsigned reloads_ = 0;
};

}  // namespace muster::medium
