// The links in /dev that people and mondorestore use, as facts allow them.
//
// From probe results: /dev/disk/by-{uuid,label,partuuid,partlabel}. From what was built:
// /dev/VG/LV, /dev/md/NAME, and a second node where a plan calls an array by another number than
// the kernel does. Where a udevd runs, links are its business and this policy does nothing. While
// mondorestore runs, only what uevents and sysfs alone tell is linked.
#pragma once

#include <map>
#include <set>
#include <string>

#include "daemon/state_json.h"
#include "handlers/handler.h"

namespace muster::node {

class NodePolicy final : public Policy {
 public:
  [[nodiscard]] std::string_view name() const override { return "node"; }
  void plan_changed(Context& context) override;
  void device(const Device& device, Context& context) override;
  void device_gone(const Device& device, Context& context) override;
  void done(const Effect& effect, const EffectDone& outcome, Context& context) override;
  void thing(const Thing& thing, bool withdrawn, Context& context) override;
  void decide(Context& context) override;

  MUSTER_POLICY_STATE(names_, claimed_by_, dirty_)

 private:
  struct Name {
    std::set<std::string>
        claims;  // devpaths; several may claim one name (a label, say): the first by devpath has it
    std::string made_for;  // devpath the name leads to now
    bool as_node = false;  // a device node, not a link
    MUSTER_STATE(claims, made_for, as_node)
  };

  void claim(const std::string& owner, const std::string& devpath,
             std::map<std::string, bool> names, Context& context);

  std::map<std::string, Name> names_;
  std::map<std::string, std::pair<std::string, std::map<std::string, bool>>>
      claimed_by_;  // owner -> devpath, names
  std::set<std::string> dirty_;
};

}  // namespace muster::node
