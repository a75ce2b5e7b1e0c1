#include "tests/support/model_machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "daemon/event_json.h"
#include "daemon/json_line.h"
#include "handlers/registry.h"

namespace muster::test {
namespace {

constexpr std::size_t kMaxEffects = 5000;

}  // namespace

std::vector<rules::Source> shipped_rule_files() {
  static const char* const kFiles[] = {"10-driver", "20-node",   "30-probe", "40-md",
                                       "50-lvm",    "60-medium", "70-target"};
  std::vector<rules::Source> sources;
  for (const auto* name : kFiles) {
    const std::string path = fmt::format("{}/rules/{}.rules", MUSTER_SOURCE_DIR, name);
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    sources.push_back({path, text.str()});
  }
  return sources;
}

namespace {

rules::RuleSet shipped_rules() {
  std::vector<rules::Diagnostic> diagnostics;
  return rules::RuleSet::load(shipped_rule_files(), diagnostics);
}

std::string devpath_of(const std::string& kernel) {
  if (kernel.starts_with("md") || kernel.starts_with("dm-") || kernel.starts_with("loop")) {
    return "/devices/virtual/block/" + kernel;
  }
  return "/devices/pci0000:00/host0/target0/" + kernel + "/block/" + kernel;
}

}  // namespace

Json md_member(const std::string& uuid, const std::string& name, int level, int raid_disks,
               int slot, std::uint64_t events, std::vector<std::string> roles) {
  if (roles.empty()) {
    roles.assign(static_cast<std::size_t>(raid_disks), "active");
  }
  return {{"properties",
           {{"ID_FS_TYPE", "linux_raid_member"}, {"ID_FS_USAGE", "raid"}, {"ID_FS_UUID", uuid}}},
          {"details",
           {{"md",
             {{"uuid", uuid},
              {"device_uuid", uuid + ":" + std::to_string(slot)},
              {"name", name},
              {"version", "1.2"},
              {"level", level},
              {"raid_disks", raid_disks},
              {"role", slot},
              {"role_kind", slot < 0 ? "spare" : "active"},
              {"events", events},
              {"roles", roles},
              {"unusual", ""}}}}}};
}

Json lvm_pv(const std::string& pv_uuid, const std::string& metadata) {
  return {{"properties",
           {{"ID_FS_TYPE", "LVM2_member"}, {"ID_FS_USAGE", "raid"}, {"ID_FS_UUID", pv_uuid}}},
          {"details", {{"lvm", {{"pv_uuid", pv_uuid}, {"metadata", metadata}}}}}};
}

Json filesystem(const std::string& type, const std::string& uuid) {
  return {{"properties",
           {{"ID_FS_TYPE", type},
            {"ID_FS_USAGE", "filesystem"},
            {"ID_FS_UUID", uuid},
            {"ID_FS_UUID_ENC", uuid}}},
          {"details", Json::object()}};
}

std::unique_ptr<Engine> shipped_engine() {
  return std::make_unique<Engine>(shipped_rules(), make_policies());
}

std::string lines_of(const std::vector<Effect>& effects) {
  std::string lines;
  for (const auto& effect : effects) {
    lines += to_line(to_json(effect, 0)) + "\n";
  }
  return lines;
}

ModelMachine::ModelMachine(Json facts) : engine_(shipped_engine()), facts_(std::move(facts)) {
}

void ModelMachine::start() {
  send(FactsRead{facts_});
}

void ModelMachine::send(EventBody body) {
  now_ += 1000;
  const Event event{now_, std::move(body)};
  auto answered = engine_->on(event);
  steps_.push_back({event, lines_of(answered), answered});
  for (auto& effect : answered) {
    effects_.push_back(effect);
    queue_.push_back(std::move(effect));
  }
  if (effects_.size() > kMaxEffects) {
    std::string last;
    for (std::size_t i = effects_.size() - 12; i < effects_.size(); ++i) {
      last += fmt::format("\n{} {} {} {}", effects_[i].handler, effects_[i].verb,
                          effects_[i].subject, effects_[i].arguments.dump());
    }
    throw std::runtime_error("the effects never end:" + last);
  }
  if (working_) {
    return;
  }
  working_ = true;
  while (!queue_.empty()) {
    const Effect effect = std::move(queue_.front());
    queue_.pop_front();
    if (held_.contains(effect.handler + " " + effect.verb)) {
      kept_.push_back(effect);
    } else {
      answer(effect);
    }
  }
  working_ = false;
}

void ModelMachine::release(const std::string& handler, const std::string& verb) {
  held_.erase(handler + " " + verb);
  auto kept = std::exchange(kept_, {});
  for (auto& effect : kept) {
    if (effect.handler == handler && effect.verb == verb) {
      answer(effect);
    } else {
      kept_.push_back(std::move(effect));
    }
  }
}

void ModelMachine::fail_effect(const std::string& handler, const std::string& verb,
                               std::string error, Errc code) {
  if (error.empty()) {
    failures_.erase(handler + " " + verb);
  } else {
    failures_[handler + " " + verb] = Error{code, std::move(error), 0};
  }
}

void ModelMachine::finish(const Effect& effect, Result<Json> result) {
  if (const auto it = failures_.find(effect.handler + " " + effect.verb); it != failures_.end()) {
    result = tl::unexpected(it->second);
  }
  EffectDone done;
  done.id = effect.id;
  done.ok = result.has_value();
  if (result) {
    done.result = std::move(*result);
  } else {
    done.error = result.error().text;
    done.code = result.error().code;
  }
  send(std::move(done));
}

void ModelMachine::appear(const std::string& kernel, unsigned major, unsigned minor,
                          std::uint64_t sectors, Attributes attributes) {
  DeviceEvent event;
  event.action = Action::add;
  event.devpath = devpath_of(kernel);
  event.subsystem = "block";
  event.properties = {{"MAJOR", std::to_string(major)}, {"MINOR", std::to_string(minor)},
                      {"DEVNAME", "/dev/" + kernel},    {"DEVTYPE", "disk"},
                      {"SUBSYSTEM", "block"},           {"DISKSEQ", "1"}};
  event.attributes = std::move(attributes);
  event.attributes["size"] = std::to_string(sectors);
  if (kernel.starts_with("md") || kernel.starts_with("dm-")) {
    virtual_[kernel] = event;
  }
  send(event);
}

void ModelMachine::vanish(const std::string& kernel) {
  virtual_.erase(kernel);
  DeviceEvent event;
  event.action = Action::remove;
  event.devpath = devpath_of(kernel);
  event.subsystem = "block";
  send(event);
}

void ModelMachine::plug(const ModelDisk& disk) {
  disks_[disk.name] = disk;
  Attributes attributes;
  if (!disk.serial.empty()) {
    attributes["serial"] = disk.serial;
  }
  const bool optical = disk.name.starts_with("sr");
  appear(disk.name, optical ? 11 : 8, disk.minor, disk.sectors, std::move(attributes));
}

void ModelMachine::unplug(const std::string& name) {
  disks_.erase(name);
  vanish(name);
}

void ModelMachine::command(const std::string& verb, Json arguments) {
  send(Command{1, verb, std::move(arguments)});
}

void ModelMachine::timer(const std::string& name) {
  send(TimerDue{name});
}

void ModelMachine::answer(const Effect& effect) {
  const auto& arguments = effect.arguments;
  if (effect.handler == "source") {
    if (effect.verb == "scan") {
      std::vector<std::string> present;
      for (const auto& [name, disk] : disks_) {
        present.push_back(devpath_of(name));
      }
      for (const auto& [name, event] : virtual_) {
        present.push_back(devpath_of(name));
      }
      send(ScanDone{1, present});
      return;
    }
    const auto kernel = effect.subject.substr(effect.subject.rfind('/') + 1);
    if (const auto it = virtual_.find(kernel); it != virtual_.end()) {
      DeviceEvent event = it->second;
      event.origin = DeviceEvent::Origin::scan;
      event.action = Action::change;
      send(event);
    } else if (!disks_.contains(kernel)) {
      vanish(kernel);
    }
    return;
  }
  if (effect.handler == "control") {
    replies_.push_back(arguments.at("answer"));
    return;
  }
  if (effect.handler == "timer" || effect.handler == "report") {
    return;
  }
  if (failures_.contains(effect.handler + " " + effect.verb)) {
    finish(effect, Json::object());
    return;
  }
  if (effect.handler == "driver" && effect.verb == "resolve") {
    const auto alias = arguments.at("alias").get<std::string>();
    const auto known = modules_.find(alias);
    const auto name = known == modules_.end() ? alias : known->second;
    if (name.empty()) {
      finish(effect, Json{{"modules", Json::array()}, {"refused", Json::array()}});
      return;
    }
    const Json module = {{"name", name},           {"path", name + ".ko"}, {"options", ""},
                         {"needs", Json::array()}, {"soft", false},        {"state", "absent"}};
    finish(effect, Json{{"modules", Json::array({module})}, {"refused", Json::array()}});
  } else if (effect.handler == "probe") {
    const auto kernel = arguments.at("name").get<std::string>();
    Json result = {{"diskseq", 1}, {"properties", Json::object()}, {"details", Json::object()}};
    Json found;
    if (const auto disk = disks_.find(kernel); disk != disks_.end()) {
      found = disk->second.probe;
    } else if (const auto identity = identity_of_.find(kernel); identity != identity_of_.end()) {
      if (const auto content = contents_.find(identity->second); content != contents_.end()) {
        found = content->second;
      }
    }
    if (found.is_object()) {
      result.update(found);
    }
    finish(effect, std::move(result));
  } else if (effect.handler == "md" &&
             (effect.verb == "assemble" || effect.verb == "mdadm_assemble")) {
    const int number = arguments.at("number").get<int>();
    const unsigned minor = number >= 0 ? static_cast<unsigned>(number) : next_md_--;
    const auto kernel = fmt::format("md{}", minor);
    std::string slaves;
    for (const auto& member : arguments.at("members")) {
      slaves += (slaves.empty() ? "" : " ") + member.at("name").get<std::string>();
    }
    identity_of_[kernel] = arguments.at("uuid").get<std::string>();
    appear(kernel, 9, minor, 131072, {{"md/array_state", "read-auto"}, {"slaves", slaves}});
    finish(effect,
           Json{{"kernel", kernel}, {"devno", fmt::format("9:{}", minor)}, {"state", "read-auto"}});
  } else if (effect.handler == "md" && effect.verb == "stop") {
    vanish(arguments.at("kernel").get<std::string>());
    finish(effect, Json::object());
  } else if (effect.handler == "lvm" && effect.verb == "create") {
    const auto kernel = fmt::format("dm-{}", next_dm_);
    identity_of_[kernel] = arguments.at("dm_uuid").get<std::string>();
    appear(kernel, 254, next_dm_++, 65536,
           {{"dm/name", arguments.at("dm_name").get<std::string>()},
            {"dm/uuid", arguments.at("dm_uuid").get<std::string>()},
            {"dm/suspended", "0"}});
    finish(effect, Json{{"kernel", kernel}});
  } else if (effect.handler == "lvm" && effect.verb == "remove") {
    for (const auto& [kernel, event] : virtual_) {
      if (kernel.starts_with("dm-") &&
          identity_of_[kernel] == arguments.at("dm_uuid").get<std::string>()) {
        const std::string gone = kernel;
        vanish(gone);
        break;
      }
    }
    finish(effect, Json::object());
  } else if (effect.handler == "medium" && effect.verb == "examine") {
    const auto it = media_.find(arguments.at("name").get<std::string>());
    finish(effect, it == media_.end() ? Json{{"archives", false}} : it->second);
  } else if (effect.handler == "launch" && effect.verb == "follow") {
    kept_.push_back(effect);  // mondorestore runs until the test ends it
  } else {
    finish(effect, Json::object());
  }
}

std::size_t ModelMachine::count(const std::string& handler, const std::string& verb) const {
  return static_cast<std::size_t>(std::count_if(
      effects_.begin(), effects_.end(),
      [&](const Effect& effect) { return effect.handler == handler && effect.verb == verb; }));
}

std::vector<Json> ModelMachine::arguments_of(const std::string& handler,
                                             const std::string& verb) const {
  std::vector<Json> result;
  for (const auto& effect : effects_) {
    if (effect.handler == handler && effect.verb == verb) {
      result.push_back(effect.arguments);
    }
  }
  return result;
}

std::string ModelMachine::state(const std::string& thing_id) const {
  const Thing* thing = world().thing(thing_id);
  return thing == nullptr ? "absent" : std::string(to_string(thing->state));
}

std::string ModelMachine::why(const std::string& thing_id) const {
  const Thing* thing = world().thing(thing_id);
  return thing == nullptr ? "absent" : thing->why;
}

std::string ModelMachine::final_state() const {
  std::string text = fmt::format("{}\n", to_string(world().phase()));
  for (const auto& [id, thing] : world().things()) {
    text += fmt::format("{} {}{}\n", id, to_string(thing.state), thing.doomed ? " doomed" : "");
  }
  return text;
}

}  // namespace muster::test
