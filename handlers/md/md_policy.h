// Which arrays are put together, when, and of what.
//
// Members are collected by the UUID in their superblocks. An array is started once every slot that
// its newest superblock calls active has its member with that event count, auto-read-only, in one
// effect. What is unusual (reshape, journal, ...) goes to mdadm; what is ambiguous (two devices for
// one slot, two halves that both went on alone) is refused and both candidates are named. An array
// counts as ready when sysfs says that it runs.
//
// If a member goes, the array is taken down as soon as nothing stands on it, and built again when
// the member returns.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/state_json.h"
#include "handlers/handler.h"

namespace muster::md {

class MdPolicy final : public Policy {
 public:
  [[nodiscard]] std::string_view name() const override { return "md"; }
  void plan_changed(Context& context) override;
  void device(const Device& device, Context& context) override;
  void device_gone(const Device& device, Context& context) override;
  void done(const Effect& effect, const EffectDone& outcome, Context& context) override;
  void late(const Effect& effect, Context& context) override;
  void timer(std::string_view name, Context& context) override;
  void thing(const Thing& thing, bool withdrawn, Context& context) override;
  void decide(Context& context) override;

  MUSTER_POLICY_STATE(arrays_, array_of_, dirty_, held_up_, start_ro_)

 private:
  struct Member {
    std::string devpath;
    std::string device_uuid;
    std::uint64_t events = 0;
    int slot = -1;                   // of an active member; -1 for spares and the like
    std::string unusual;             // why mdadm has to do it
    std::vector<bool> active_slots;  // what this superblock thinks of each slot
    Json superblock;
    MUSTER_STATE(devpath, device_uuid, events, slot, unusual, active_slots, superblock)
  };
  struct Gone {  // a member that was there
    std::string kernel;
    Micros at = 0;
    MUSTER_STATE(kernel, at)
  };
  struct Array {
    std::string uuid;
    std::map<std::string, Member> members;  // by devpath
    std::string devpath;                    // of the md device, while there is one for it
    EffectId assembling = 0;
    EffectId stopping = 0;
    std::string failed;                 // why the last attempt failed ...
    std::set<std::string> failed_with;  // ... and with which members: tried again with others only
    std::string cannot_stop;
    bool stopped = false;  // STOP_ARRAY succeeded, the removal is not announced yet
    bool degraded_allowed = false;
    bool degraded_timer = false;
    bool member_went = false;          // since the assembly under way was sent
    std::map<std::string, Gone> gone;  // by slot: told, never decided by
    std::set<std::string> used;        // members the running array was made of
    MUSTER_STATE(uuid, members, devpath, assembling, stopping, failed, failed_with, cannot_stop,
                 stopped, degraded_allowed, degraded_timer, member_went, gone, used)
  };
  struct Verdict {
    enum class Kind { complete, incomplete, refused, unusual } kind = Kind::incomplete;
    std::string why;
    std::map<int, std::string> members;  // slot -> devpath
    bool can_run_degraded = false;
  };

  [[nodiscard]] Verdict judge(const Array& array, const World& world) const;
  void consider(Array& array, Context& context);
  void show(Array& array, const std::string& why, State state, Context& context,
            std::vector<std::string> needs = {});
  void adopt(Context& context);
  [[nodiscard]] std::vector<std::string> names_of(const Array& array, const World& world) const;
  [[nodiscard]] std::optional<int> number_of(const Array& array, const World& world) const;
  [[nodiscard]] std::string title(const Array& array) const;
  [[nodiscard]] bool running(const Array& array, const World& world) const;

  std::map<std::string, Array> arrays_;          // by UUID
  std::map<std::string, std::string> array_of_;  // member devpath -> UUID
  std::set<std::string> dirty_;                  // arrays to be considered
  std::set<std::string> held_up_;                // to be stopped, but something stands on them
  enum class StartRo { unset, setting, set, failed } start_ro_ = StartRo::unset;
};

}  // namespace muster::md
