// Which logical volumes are activated, when, and from what.
//
// The metadata text of every PV seen is kept; the one with the highest seqno speaks for its volume
// group. An LV is activated when every PV that *it* lies on is there, carries that seqno, and is
// not flagged missing. Linear and striped ones by libdevmapper as lvm2 itself would name them;
// every other type by `lvm`, and only if the plan names it. Duplicate PVs, two groups of one name,
// exported, shared and foreign groups are refused with the reason.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/state_json.h"
#include "handlers/handler.h"
#include "handlers/lvm/lvm_metadata.h"

namespace muster::lvm {

// What follows for one LV from the text alone.
struct Layout {
  std::uint32_t lv = 0;                   // in VolumeGroup::lvs
  std::vector<std::uint32_t> pvs;         // that it needs, in VolumeGroup::pvs; ascending by UUID
  std::optional<std::string> not_linear;  // why it is lvm's to activate
  std::vector<TableLine> table;           // if it is not
};

// What the text of a volume group says, and the text.
struct Metadata : VolumeGroup {
  Metadata() = default;
  Metadata(VolumeGroup group, std::shared_ptr<const std::string> its_text);
  std::shared_ptr<const std::string> text;
  std::map<std::string, Layout, std::less<>> layouts;  // by name of the LV
};

class LvmPolicy final : public Policy {
 public:
  [[nodiscard]] std::string_view name() const override { return "lvm"; }
  void plan_changed(Context& context) override;
  void device(const Device& device, Context& context) override;
  void device_gone(const Device& device, Context& context) override;
  void done(const Effect& effect, const EffectDone& outcome, Context& context) override;
  void late(const Effect& effect, Context& context) override;
  void thing(const Thing& thing, bool withdrawn, Context& context) override;
  void decide(Context& context) override;

  MUSTER_POLICY_STATE(pvs_, devices_of_pv_, groups_, dm_devices_, dirty_, touched_, held_up_)

 private:
  struct Pv {
    std::string uuid;
    std::string vg;           // UUID of its group; empty if its metadata could not be read
    std::uint64_t seqno = 0;  // of the metadata on it; 0 if it carries none
    std::shared_ptr<const std::string> text;
    MUSTER_STATE(uuid, vg, seqno, text)
  };
  struct Lv {
    std::string name;
    std::string dm_name;
    std::string dm_uuid;
    std::string devpath;  // of the dm device, while it is there
    EffectId activating = 0;
    EffectId removing = 0;
    std::string failed;       // why the last attempt failed ...
    std::string failed_with;  // ... and with which arguments
    std::string made_with;    // the arguments the running one was made with; empty if adopted
    std::string cannot_remove;
    std::set<std::string> on;  // PVs' devpaths it was made on
    bool native = true;
    bool pv_went = false;  // since the activation under way was sent
    MUSTER_STATE(name, dm_name, dm_uuid, devpath, activating, removing, failed, failed_with,
                 made_with, cannot_remove, on, native, pv_went)
  };
  struct Group {
    std::string uuid;
    std::optional<Metadata> metadata;  // of the highest seqno seen
    std::string text_error;
    std::map<std::string, Lv> lvs;  // by name
    MUSTER_STATE(uuid, metadata, text_error, lvs)
  };

  // How one PV of a group stands.
  struct Standing {
    const Device* carrier = nullptr;  // the device that carries it at the seqno that counts
    std::string why;                  // there is none
    std::string needs;                // what would have to come, if that has a name
  };
  // What all LVs of a group have in common, put together once for those that are judged now.
  struct Judgement {
    std::string refusal;
    std::vector<std::optional<Standing>> pvs;  // as in VolumeGroup::pvs, once asked for
  };

  void refresh(const std::string& vg_uuid, Context& context);
  void touch_users(const Group& group, const std::string& pv_uuid);
  void judge(Group& group, const std::set<std::string>& volumes, Context& context);
  void consider(Group& group, Lv& lv, Judgement& judgement, Context& context);
  void show(const Group& group, const Lv& lv, State state, std::string why,
            std::vector<std::string> needs, Context& context);
  [[nodiscard]] std::string refusal(const Group& group) const;
  [[nodiscard]] Standing standing_of(const Group& group, const PhysicalVolume& pv,
                                     const World& world) const;
  [[nodiscard]] static bool is_idle(const Lv& lv);
  void adopt(const Device& device, Context& context);
  void forget_map(const std::string& devpath, std::string_view unless);

  std::map<std::string, Pv> pvs_;                               // by devpath
  std::map<std::string, std::set<std::string>> devices_of_pv_;  // PV UUID -> devpaths
  std::map<std::string, Group> groups_;                         // by UUID
  std::map<std::string, std::string> dm_devices_;               // dm UUID -> devpath
  std::set<std::string> dirty_;                                 // groups
  std::map<std::string, std::set<std::string>> touched_;  // of other groups, by UUID, some LVs
  std::set<std::string> held_up_;  // groups with LVs to be taken down on which something stands
};

}  // namespace muster::lvm

// The text is enough.
template <>
struct muster::state::Custom<muster::lvm::Metadata> {
  [[nodiscard]] static Json save(const lvm::Metadata& metadata);
  static void restore(const Json& json, lvm::Metadata& metadata);
};
