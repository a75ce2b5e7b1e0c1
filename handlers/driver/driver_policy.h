// Which modules are wanted: from the MODALIAS of devices, and by name for handlers that ask for
// "module:NAME".
//
// Each alias is resolved once by the executor (which owns libkmod), each module is inserted once,
// after what it needs, and side by side with everything else. A module in flight is waited for; a
// load is never killed, only reported as slow. An alias that matches nothing is kept and resolved
// again when the module tree grows (request "modules:reload").
//
// Somebody else's load may be killed: a musterd that dies inside the kernel takes the driver's look
// at its devices with it. What has no driver at the start although its module is live already is
// offered to the drivers once more ("bind").
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "daemon/state_json.h"
#include "handlers/handler.h"

namespace muster::driver {

class DriverPolicy final : public Policy {
 public:
  [[nodiscard]] std::string_view name() const override { return "driver"; }
  void device(const Device& device, Context& context) override;
  void device_as_before(const Device&, Context&) override {}
  void device_gone(const Device& device, Context& context) override;
  void done(const Effect& effect, const EffectDone& outcome, Context& context) override;
  void late(const Effect& effect, Context& context) override;
  bool request(std::string_view id, Context& context) override;
  bool command(const Command& command, Context& context) override;
  void decide(Context& context) override;

  MUSTER_POLICY_STATE(aliases_, alias_of_device_, modules_, ready_to_insert_, waiting_on_,
                      aliases_of_module_, driverless_at_start_, reloading_, reload_again_)

 private:
  struct Module {
    enum class State { wanted, loading, live, failed } state = State::wanted;
    std::string path;
    std::string options;
    std::string install;  // command of an `install` line, run instead of inserting
    std::set<std::string> needs;
    bool soft = false;
    bool somebody_elses = false;  // live, and not by us
    std::string error;
    MUSTER_STATE(state, path, options, install, needs, soft, somebody_elses, error)
  };
  struct Alias {
    enum class State { resolving, known, unknown } state = State::resolving;
    std::vector<std::string> modules;
    DevpathSet devices;  // that carry it
    std::vector<std::string> refused;
    bool asked_for = false;  // by a handler, as "module:NAME"
    MUSTER_STATE(state, modules, devices, refused, asked_for)
  };

  void resolve(const std::string& alias, Context& context);
  void resolved(const std::string& name, const EffectDone& outcome, Context& context);
  void module_finished(const std::string& name, Context& context);
  void bind(const Alias& alias, Context& context);
  void show(const std::string& alias_name, Context& context);
  [[nodiscard]] bool denied(const std::string& module, Context& context, std::string& why) const;

  std::map<std::string, Alias, std::less<>> aliases_;
  DevpathMap<std::string> alias_of_device_;
  std::map<std::string, Module, std::less<>> modules_;
  std::set<std::string> ready_to_insert_;
  std::map<std::string, std::set<std::string>> waiting_on_;  // module -> modules that need it
  std::map<std::string, std::set<std::string>> aliases_of_module_;
  DevpathSet driverless_at_start_;
  bool reloading_ = false;
  bool reload_again_ = false;
};

}  // namespace muster::driver
