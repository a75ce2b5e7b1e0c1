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
#include <utility>
#include <vector>

#include "daemon/state_json.h"
#include "handlers/handler.h"

namespace muster::node {

// Names under /dev, in order, and whether each is to be a node, not a link. Few.
using Names = std::vector<std::pair<std::string, bool>>;

// Who claims which names: devices for themselves, things for the device that they are.
struct Claims {
  struct OfThing {
    Devpath devpath;
    Names names;
  };
  DevpathMap<Names> devices;
  std::map<std::string, OfThing> things;  // by id
};

}  // namespace muster::node

template <>
struct muster::state::Custom<muster::node::Claims> {
  [[nodiscard]] static Json save(const node::Claims& claims);
  static void restore(const Json& json, node::Claims& claims);
};

namespace muster::node {

class NodePolicy final : public Policy {
 public:
  [[nodiscard]] std::string_view name() const override { return "node"; }
  void plan_changed(Context& context) override;
  void device(const Device& device, Context& context) override;
  void device_as_before(const Device&, Context&) override {}
  void device_gone(const Device& device, Context& context) override;
  void done(const Effect& effect, const EffectDone& outcome, Context& context) override;
  void thing(const Thing& thing, bool withdrawn, Context& context) override;
  void decide(Context& context) override;

  MUSTER_POLICY_STATE(names_, claimed_by_, dirty_)

 private:
  struct Name {
    // Several may claim one name (a label, say): the first by devpath has it. In order.
    std::vector<Devpath> claims;
    Devpath made_for;      // what the name leads to now
    bool as_node = false;  // a device node, not a link
    MUSTER_STATE(claims, made_for, as_node)
  };

  void claim_for(const Devpath& device, Names names);
  void claim(const Devpath& devpath_before, const Names& before, const Devpath& devpath,
             const Names& now);

  DenseMap<std::string, Name, TextHash> names_;
  Claims claimed_by_;
  std::set<std::string> dirty_;
};

}  // namespace muster::node
