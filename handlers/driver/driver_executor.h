// Turns an alias into an ordered list of modules, and inserts modules.
//
// Effects of lane "kmod" (resolve, reload) share one libkmod context, which must not be used by two
// threads; all others run side by side and do not touch it. libkmod reads only the first tree; see
// module_tree.h for the others.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/root.h"
#include "handlers/driver/module_order.h"
#include "handlers/handler.h"

namespace muster::driver {

// Paths below the root that the executor was given.
struct DriverSettings {
  std::vector<std::string> module_dirs;  // of this kernel; the first is the image's own
  std::vector<std::string> config_dirs{"/etc/modprobe.d", "/usr/lib/muster/modprobe.d",
                                       "/lib/modprobe.d"};

  // With the trees of the running kernel.
  [[nodiscard]] static DriverSettings of_this_machine();
};

class DriverExecutor : public Executor {
 public:
  explicit DriverExecutor(const Root& root,
                          DriverSettings settings = DriverSettings::of_this_machine());
  ~DriverExecutor() override;

  [[nodiscard]] std::string_view name() const override { return "driver"; }
  // Of a module, that of the most urgent alias that it was resolved for (alias_urgency.h). Another
  // look at the module trees, for devices that had no driver so far, can wait.
  [[nodiscard]] Urgency urgency(const Effect& effect) const override;
  [[nodiscard]] std::uint64_t urgency_revision() const override;

  // resolve {"alias"} -> {"modules": [{"name", "path", "options", "needs", "wants", "soft",
  // "state", "install"}],
  //                       "refused": [{"name", "why"}]}
  //   "needs" must be live before; "wants" (softdeps) should have been tried before, whatever came
  //   of it. Both name only what stands earlier in the list. "path" is absent for what is built in.
  // reload {} -> {"trees": [paths that exist]}
  // insert {"name", "path", "options"} -> {"took_us", "existed": true if somebody else's is live}
  // install {"name", "command"} -> {"took_us", "output"}
  // bind {"bus", "device"} -> {}: the drivers of the bus look at the device once more
  [[nodiscard]] Result<Json> run(const Effect& effect) override;

 private:
  class Kmod;

  Result<Json> resolve(const Effect& effect);
  Result<Json> reload();
  Result<Json> insert(const Effect& effect);
  Result<Json> install(const Effect& effect);
  [[nodiscard]] Result<Json> bind(const Effect& effect) const;

  void note_urgency(const std::string& alias, const ModuleOrder& order);

  const Root& root_;
  DriverSettings settings_;
  std::unique_ptr<Kmod> kmod_;
  mutable std::mutex mutex_;
  std::map<std::string, Urgency, std::less<>> urgencies_;  // by module, the most urgent
  std::uint64_t urgency_revision_ = 0;
};

}  // namespace muster::driver
