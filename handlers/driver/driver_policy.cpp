#include "handlers/driver/driver_policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/quote.h"

namespace muster::driver {
namespace {

constexpr std::string_view kModulePrefix = "module:";
constexpr std::string_view kKmodLane = "kmod";
// A load is never killed: what is late is only said.
constexpr std::int64_t kSlowLoadMs = 10'000;

std::string normalised(std::string_view module) {
  std::string name(module);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// "pci 0000:3a:00.0 (8086:37D2)"
std::string name_of(const Devpath& devpath, const World& world) {
  const Device* device = world.find(devpath);
  if (device == nullptr) {
    return devpath.str();
  }
  const auto pci_id = device->property("PCI_ID");
  return fmt::format("{} {}{}", device->subsystem, device->kernel,
                     pci_id.empty() ? std::string() : fmt::format(" ({})", pci_id));
}

}  // namespace

void DriverPolicy::device(const Device& device, Context& context) {
  auto& known = alias_of_device_[device.devpath];
  if (!device.property("DRIVER").empty()) {
    driverless_at_start_.erase(device.devpath);
  } else if (known.empty() && !context.world().scanned()) {
    driverless_at_start_.insert(device.devpath);
  }
  if (known == device.property("MODALIAS")) {
    return;
  }
  if (!known.empty()) {
    aliases_[known].devices.erase(device.devpath);
  }
  known = device.property("MODALIAS");
  if (known.empty()) {
    return;
  }
  const auto [it, is_new] = aliases_.try_emplace(known);
  it->second.devices.insert(device.devpath);
  if (is_new) {
    resolve(it->first, context);
  } else if (it->second.state != Alias::State::resolving) {
    show(it->first, context);
    bind(it->second, context);
  }
}

void DriverPolicy::device_gone(const Device& device, Context& context) {
  const auto* known = alias_of_device_.find(device.devpath);
  if (known == nullptr) {
    return;
  }
  if (const auto alias = aliases_.find(*known); alias != aliases_.end()) {
    alias->second.devices.erase(device.devpath);
    show(alias->first, context);
  }
  alias_of_device_.erase(device.devpath);
  driverless_at_start_.erase(device.devpath);
}

void DriverPolicy::resolve(const std::string& alias, Context& context) {
  aliases_[alias].state = Alias::State::resolving;
  context.want("resolve", alias, {{"alias", alias}}, 0, kKmodLane);
}

bool DriverPolicy::request(std::string_view id, Context& context) {
  if (id.starts_with("modules:reload")) {
    if (reloading_) {
      reload_again_ = true;
    } else {
      reloading_ = true;
      context.want("reload", "module trees", Json::object(), 0, kKmodLane);
    }
    return true;
  }
  if (!id.starts_with(kModulePrefix)) {
    return false;
  }
  const std::string module(id.substr(kModulePrefix.size()));
  auto& alias = aliases_[module];
  const bool is_new = !alias.asked_for && alias.devices.empty();
  alias.asked_for = true;
  if (is_new) {
    resolve(module, context);
  }
  show(module, context);
  return true;
}

bool DriverPolicy::denied(const std::string& module, Context& context, std::string& why) const {
  const auto& plan = context.world().plan();
  const auto listed = [&](const std::vector<std::string>& list) {
    return std::any_of(list.begin(), list.end(), [&](const std::string& name) {
      return normalised(name) == normalised(module);
    });
  };
  if (listed(plan.options.deny)) {
    why = "denied by muster.deny";
    return true;
  }
  if (listed(plan.command_line.denymods)) {
    why = "denied by the kernel command line";
    return true;
  }
  return false;
}

void DriverPolicy::resolved(const std::string& name, const EffectDone& outcome, Context& context) {
  auto& alias = aliases_[name];
  alias.modules.clear();
  alias.refused.clear();
  alias.state = Alias::State::unknown;
  if (!outcome.ok) {
    alias.refused.push_back(outcome.error);
    show(name, context);
    return;
  }
  for (const auto& refused : outcome.result.value("refused", Json::array())) {
    alias.refused.push_back(fmt::format("{}: {}", refused.value("name", std::string()),
                                        refused.value("why", std::string())));
  }
  for (const auto& entry : outcome.result.value("modules", Json::array())) {
    const auto module_name = entry.value("name", std::string());
    std::string why;
    if (denied(module_name, context, why)) {
      alias.refused.push_back(module_name + ": " + why);
      continue;
    }
    alias.modules.push_back(module_name);
    alias.state = Alias::State::known;
    aliases_of_module_[module_name].insert(name);
    auto [it, is_new] = modules_.try_emplace(module_name);
    auto& module = it->second;
    if (!is_new && module.state != Module::State::failed) {
      continue;
    }
    module.path = entry.value("path", std::string());
    module.options = entry.value("options", std::string());
    module.install = entry.value("install", std::string());
    module.soft = entry.value("soft", false);
    module.error.clear();
    module.needs.clear();
    // What it needs must be live, what it wants must have been tried: either way it waits until
    // that is over.
    for (const auto* kind : {"needs", "wants"}) {
      for (const auto& need : entry.value(kind, Json::array())) {
        const auto needed = need.get<std::string>();
        const auto other = modules_.find(needed);
        if (other != modules_.end() && (other->second.state == Module::State::wanted ||
                                        other->second.state == Module::State::loading)) {
          module.needs.insert(needed);
          waiting_on_[needed].insert(module_name);
        }
      }
    }
    const auto state = entry.value("state", std::string());
    if (state == "live" || state == "builtin") {
      module.state = Module::State::live;
      module.somebody_elses = state == "live";
      module_finished(module_name, context);
    } else {
      module.state = Module::State::wanted;
      if (module.needs.empty()) {
        ready_to_insert_.insert(module_name);
      }
    }
  }
  show(name, context);
  bind(alias, context);
}

void DriverPolicy::done(const Effect& effect, const EffectDone& outcome, Context& context) {
  if (effect.verb == "resolve") {
    resolved(effect.arguments.at("alias").get<std::string>(), outcome, context);
    return;
  }
  if (effect.verb == "reload") {
    // What matched nothing, or failed, may be found in the grown tree.
    for (auto& [name, alias] : aliases_) {
      const bool failed = std::any_of(
          alias.modules.begin(), alias.modules.end(),
          [&](const auto& module) { return modules_[module].state == Module::State::failed; });
      if (alias.state == Alias::State::unknown || failed) {
        resolve(name, context);
      }
    }
    reloading_ = false;
    if (std::exchange(reload_again_, false)) {
      reloading_ = true;
      context.want("reload", "module trees", Json::object(), 0, kKmodLane);
    }
    return;
  }
  if (effect.verb == "bind") {
    if (!outcome.ok) {
      context.report(
          fmt::format("{}: its driver does not take it: {}", effect.subject, outcome.error));
    }
    return;
  }
  const auto name = effect.arguments.at("name").get<std::string>();
  auto& module = modules_[name];
  module.somebody_elses = outcome.ok && outcome.result.value("existed", false);
  module.state = outcome.ok ? Module::State::live : Module::State::failed;
  if (!outcome.ok) {
    module.error = outcome.error;
    if (!module.soft) {
      context.report(fmt::format("module {} does not load: {}", name, outcome.error));
    }
  }
  module_finished(name, context);
}

void DriverPolicy::late(const Effect& effect, Context& context) {
  if (effect.verb == "insert" || effect.verb == "install") {
    context.report(
        fmt::format("module {} is still loading; everything else goes on", effect.subject));
  }
}

void DriverPolicy::module_finished(const std::string& name, Context& context) {
  // A dependency that failed does not keep the dependent back: the kernel's own answer is the
  // better message, and a soft one was optional.
  if (const auto waiting = waiting_on_.find(name); waiting != waiting_on_.end()) {
    for (const auto& dependent : waiting->second) {
      auto& module = modules_[dependent];
      module.needs.erase(name);
      if (module.needs.empty() && module.state == Module::State::wanted) {
        ready_to_insert_.insert(dependent);
      }
    }
    waiting_on_.erase(waiting);
  }
  for (const auto& alias : aliases_of_module_[name]) {
    show(alias, context);
    bind(aliases_[alias], context);
  }
  context.touch();
}

void DriverPolicy::bind(const Alias& alias, Context& context) {
  const auto live = [&](const std::string& module) {
    const auto it = modules_.find(module);
    return it != modules_.end() && it->second.state == Module::State::live;
  };
  // The last one is what the alias names. Where udevd runs, what has no driver may be meant to.
  if (context.world().plan().udevd || alias.state != Alias::State::known ||
      !live(alias.modules.back()) || !modules_[alias.modules.back()].somebody_elses) {
    return;
  }
  for (const Devpath& devpath : alias.devices.sorted()) {
    const Device* device = context.world().find(devpath);
    if (device != nullptr && driverless_at_start_.contains(devpath)) {
      driverless_at_start_.erase(devpath);
      context.want("bind", device->kernel, {{"bus", device->subsystem}, {"device", device->kernel}},
                   kSlowLoadMs);
    }
  }
}

void DriverPolicy::show(const std::string& alias_name, Context& context) {
  const auto it = aliases_.find(alias_name);
  if (it == aliases_.end()) {
    return;
  }
  const auto& alias = it->second;
  Thing thing;
  thing.state = State::working;
  if (alias.asked_for) {
    thing.id = std::string(kModulePrefix) + alias_name;
    thing.what = "module " + alias_name;
  } else {
    thing.id = "driver:" + alias_name;
    if (alias.devices.empty()) {
      context.withdraw(thing.id);
      return;
    }
  }
  switch (alias.state) {
    case Alias::State::resolving:
      thing.why = "being looked up";
      break;
    case Alias::State::unknown:
      thing.state = State::waiting;
      thing.why = alias.refused.empty()
                      ? "not in the image's modules"
                      : fmt::format("refused: {}", fmt::join(alias.refused, "; "));
      break;
    case Alias::State::known: {
      // The last one is what the alias names; those before it are what that needs.
      bool live = true;
      for (const auto& name : alias.modules) {
        const auto& module = modules_[name];
        if (module.state == Module::State::failed && !module.soft) {
          thing.state = State::broken;
          thing.why = module.error;
        }
        if (module.state == Module::State::wanted || module.state == Module::State::loading) {
          live = false;
          thing.why = name == alias_name ? std::string("being loaded")
                                         : fmt::format("{} is being loaded", name);
        }
      }
      if (live && thing.state != State::broken) {
        thing.state = State::ready;
        thing.why.clear();
      }
      break;
    }
  }
  // Only what somebody asked for, or what has no driver, is worth a line.
  const bool driverless = !alias.asked_for && thing.state != State::ready &&
                          thing.state != State::working &&
                          alias.devices.any_of([&](const Devpath& devpath) {
                            const Device* device = context.world().find(devpath);
                            return device != nullptr && device->property("DRIVER").empty();
                          });
  if (alias.asked_for || driverless) {
    if (!alias.asked_for) {
      thing.what = "driver for " + name_of(alias.devices.first(), context.world());
    }
    context.publish(std::move(thing));
  } else {
    context.withdraw(thing.id);
  }
}

bool DriverPolicy::command(const Command& command, Context& context) {
  if (command.verb != "drivers") {
    return false;
  }
  Json modules = Json::object();
  for (const auto& [name, module] : modules_) {
    static constexpr const char* kNames[] = {"wanted", "loading", "live", "failed"};
    modules[name] = {{"state", kNames[static_cast<int>(module.state)]}, {"error", module.error}};
  }
  context.reply(command, {{"modules", std::move(modules)}});
  return true;
}

void DriverPolicy::decide(Context& context) {
  for (const auto& name : std::exchange(ready_to_insert_, {})) {
    auto& module = modules_[name];
    module.state = Module::State::loading;
    if (module.install.empty()) {
      context.want("insert", name,
                   {{"name", name}, {"path", module.path}, {"options", module.options}},
                   kSlowLoadMs);
    } else {
      context.want("install", name, {{"name", name}, {"command", module.install}},
                   context.world().plan().tool_ms());
    }
  }
}

}  // namespace muster::driver
