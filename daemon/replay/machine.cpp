#include "daemon/replay/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <limits>

namespace muster::replay {
namespace {

constexpr std::string_view kVirtualBlock = "/devices/virtual/block/";

std::string text_of(const Json& object, std::string_view name) {
  if (object.is_object()) {
    if (const auto it = object.find(name); it != object.end() && it->is_string()) {
      return it->get<std::string>();
    }
  }
  return {};
}

std::string property_of(const Properties& properties, std::string_view name) {
  const auto it = properties.find(name);
  return it == properties.end() ? std::string() : it->second;
}

std::string last_component(std::string_view devpath) {
  return std::string(devpath.substr(devpath.rfind('/') + 1));
}

bool is_below(std::string_view devpath, std::string_view above) {
  return devpath.size() > above.size() && devpath.starts_with(above) &&
         devpath[above.size()] == '/';
}

std::optional<Devno> devno_of(const Properties& properties) {
  return devno_from(property_of(properties, "MAJOR") + ":" + property_of(properties, "MINOR"));
}

// The kernel gives device-mapper a major of its choice: the one of the recording is no other
// driver's there.
unsigned major_of_maps(const Built& built) {
  constexpr unsigned kUsual = 253;
  const auto devno = devno_of(built.settled.properties);
  return devno ? devno->major : kUsual;
}

std::uint64_t number(const std::string& text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') {
      return 0;
    }
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

Outcome ok(Json result = Json::object()) {
  return {.ok = true, .result = std::move(result), .error = {}, .code = Errc::io};
}
Outcome refused(Errc code, std::string error) {
  return {.ok = false, .result = nullptr, .error = std::move(error), .code = code};
}

// "sd" of "sdb": the family whose members are named in the order of their arrival. Empty: none.
std::string family_of(std::string_view kernel) {
  for (const std::string_view family : {"sd", "vd", "hd", "xvd"}) {
    if (kernel.starts_with(family) && kernel.size() > family.size() &&
        std::all_of(kernel.begin() + static_cast<std::ptrdiff_t>(family.size()), kernel.end(),
                    [](char c) { return c >= 'a' && c <= 'z'; })) {
      return std::string(family);
    }
  }
  if (kernel.starts_with("sr") && kernel.size() > 2 &&
      std::all_of(kernel.begin() + 2, kernel.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return "sr";
  }
  return {};
}

// The device numbers in a device-mapper table's parameters ("8:0 2048").
std::vector<std::string> devnos_in(const Json& table) {
  std::vector<std::string> found;
  if (!table.is_array()) {
    return found;
  }
  for (const auto& row : table) {
    const std::string params = text_of(row, "params");
    std::size_t at = 0;
    while (at < params.size()) {
      const auto end = std::min(params.find(' ', at), params.size());
      const auto token = params.substr(at, end - at);
      if (devno_from(token)) {
        found.push_back(token);
      }
      at = end + 1;
    }
  }
  return found;
}

bool is_kernel_name_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
}

}  // namespace

Machine::Machine(const Hardware& hardware, bool rename, std::set<std::size_t> absent)
    : hardware_(hardware),
      rename_(rename),
      absent_(std::move(absent)),
      lived_(hardware.parts.size(), 0),
      children_(hardware.parts.size()) {
  for (std::size_t i = 0; i < hardware_.parts.size(); ++i) {
    const Part& part = hardware_.parts[i];
    if (part.parent) {
      children_[*part.parent].push_back(i);
    }
    if (part.is_disk()) {
      const auto kernel = last_component(part.devpath);
      const auto devno = devno_of(part.life.front().event.properties);
      if (const auto family = family_of(kernel); !family.empty() && devno) {
        auto& names = names_[family];
        if (std::none_of(names.begin(), names.end(),
                         [&](const Name& name) { return name.kernel == kernel; })) {
          names.push_back({kernel, *devno});
        }
      }
    }
  }
  for (auto& [family, names] : names_) {
    std::sort(names.begin(), names.end(), [](const Name& a, const Name& b) {
      return std::pair(a.kernel.size(), a.kernel) < std::pair(b.kernel.size(), b.kernel);
    });
  }
}

std::vector<Choice> Machine::choices() const {
  std::vector<Choice> result;
  for (std::size_t i = 0; i < hardware_.parts.size(); ++i) {
    if (may_appear(i)) {
      result.push_back({Choice::Kind::appear, i});
    }
  }
  std::set<std::string_view> lanes;
  for (std::size_t i = 0; i < under_way_.size(); ++i) {
    const Effect& effect = under_way_[i].effect;
    if (effect.lane.empty() || lanes.insert(effect.lane).second) {
      result.push_back({Choice::Kind::act, i});
    }
  }
  if (!uevents_.empty()) {
    result.push_back({Choice::Kind::receive, 0});
  }
  for (std::size_t i = 0; i < carried_out_.size(); ++i) {
    result.push_back({Choice::Kind::finish, i});
  }
  return result;
}

Micros Machine::recorded_time(const Choice& choice) const {
  return choice.kind == Choice::Kind::appear
             ? hardware_.parts[choice.index].life[lived_[choice.index]].time
             : 0;
}

bool Machine::may_appear(std::size_t index) const {
  const Part& part = hardware_.parts[index];
  if (absent_.contains(index) || lived_[index] >= part.life.size()) {
    return false;
  }
  const Moment& next = part.life[lived_[index]];
  if (devpath_of_part_.contains(index)) {
    // What was already there when it "came again" had gone unseen by the recording.
    return true;
  }
  if (next.event.action == Action::remove) {
    return true;
  }
  if (part.parent &&
      (!devpath_of_part_.contains(*part.parent) || times_added(*part.parent) < next.life_above)) {
    return false;
  }
  for (std::size_t i = 0; i < hardware_.parts.size() && !part.comes_after.empty(); ++i) {
    const Part& other = hardware_.parts[i];
    if (part.comes_after.contains(other.devpath) && !is_absent(i) &&
        (devpath_of_part_.contains(i) || lived_[i] < other.life.size())) {
      return false;
    }
  }
  const bool stands =
      std::all_of(part.stands_on.begin(), part.stands_on.end(), [this](const std::string& devpath) {
        return std::any_of(present_.begin(), present_.end(), [&](const auto& entry) {
          return entry.second.part && hardware_.parts[*entry.second.part].devpath == devpath;
        });
      });
  return stands && std::all_of(part.modules.begin(), part.modules.end(),
                               [this](const auto& name) { return live_modules_.contains(name); });
}

std::size_t Machine::times_added(std::size_t part) const {
  const auto& life = hardware_.parts[part].life;
  return static_cast<std::size_t>(
      std::count_if(life.begin(), life.begin() + static_cast<std::ptrdiff_t>(lived_[part]),
                    [](const Moment& moment) { return moment.event.action == Action::add; }));
}

bool Machine::is_absent(std::size_t part) const {
  for (std::optional<std::size_t> at = part; at; at = hardware_.parts[*at].parent) {
    if (absent_.contains(*at)) {
      return true;
    }
  }
  return false;
}

std::optional<EventBody> Machine::happen(const Choice& choice) {
  switch (choice.kind) {
    case Choice::Kind::appear:
      appear(choice.index);
      return std::nullopt;
    case Choice::Kind::act:
      act(choice.index);
      return std::nullopt;
    case Choice::Kind::receive:
      return receive();
    case Choice::Kind::finish: {
      EffectDone done = std::move(carried_out_[choice.index]);
      carried_out_.erase(carried_out_.begin() + static_cast<std::ptrdiff_t>(choice.index));
      return done;
    }
  }
  return std::nullopt;
}

void Machine::appear(std::size_t index) {
  const Moment& moment = hardware_.parts[index].life[lived_[index]++];
  const auto known = devpath_of_part_.find(index);
  if (moment.event.action == Action::remove) {
    if (known != devpath_of_part_.end()) {
      vanish(std::string(known->second));
    }
    return;
  }
  if (known == devpath_of_part_.end()) {
    if (moment.event.action == Action::add) {
      add_part(index, moment);
    }
    return;
  }
  Present& device = present_.find(known->second)->second;
  for (const auto& [name, value] : moment.event.properties) {
    if (name != "DEVNAME" && name != "DEVPATH" && name != "MAJOR" && name != "MINOR" &&
        name != "DISKSEQ") {
      device.properties[name] = value;
    }
  }
  if (const auto seq = number(property_of(moment.event.properties, "DISKSEQ"));
      seq != 0 && seq != device.recorded_diskseq) {
    device.recorded_diskseq = seq;
    if (!hardware_.parts[index].is_partition()) {
      device.diskseq = ++diskseq_;
      device.properties["DISKSEQ"] = std::to_string(device.diskseq);
    }
  }
  for (const auto& [name, value] : moment.event.attributes) {
    device.attributes[name] = value;
  }
  announce(device, moment.event.action == Action::add ? Action::change : moment.event.action);
}

void Machine::add_part(std::size_t index, const Moment& moment) {
  const Part& part = hardware_.parts[index];
  Present device;
  device.part = index;
  device.properties = moment.event.properties;
  device.attributes = moment.event.attributes;
  device.devno = devno_of(device.properties);
  device.kernel = last_component(part.devpath);
  device.recorded_diskseq = number(property_of(device.properties, "DISKSEQ"));
  std::string above = part.devpath.substr(0, part.devpath.rfind('/'));
  const Present* parent = nullptr;
  if (part.parent) {
    const std::string& recorded = hardware_.parts[*part.parent].devpath;
    parent = find(devpath_of_part_.at(*part.parent));
    above = parent->devpath + above.substr(recorded.size());
  }
  if (rename_ && part.is_disk()) {
    if (const auto names = names_.find(family_of(device.kernel)); names != names_.end()) {
      for (const auto& name : names->second) {
        if (by_kernel(name.kernel) == nullptr) {
          device.kernel = name.kernel;
          device.devno = name.devno;
          break;
        }
      }
    }
  } else if (rename_ && part.is_partition() && parent != nullptr && parent->part) {
    const Part& disk = hardware_.parts[*parent->part];
    const auto disk_name = last_component(disk.devpath);
    const auto disk_devno = devno_of(disk.life.front().event.properties);
    if (device.kernel.starts_with(disk_name) && parent->kernel != disk_name) {
      device.kernel = parent->kernel + device.kernel.substr(disk_name.size());
      if (device.devno && disk_devno && parent->devno && device.devno->major == disk_devno->major) {
        device.devno = Devno{parent->devno->major,
                             parent->devno->minor + (device.devno->minor - disk_devno->minor)};
      }
    }
  }
  device.devpath = above + "/" + device.kernel;
  device.properties["DEVPATH"] = device.devpath;
  if (device.devno) {
    device.properties["MAJOR"] = std::to_string(device.devno->major);
    device.properties["MINOR"] = std::to_string(device.devno->minor);
    if (part.is_block()) {
      device.properties["DEVNAME"] = "/dev/" + device.kernel;
    }
  }
  if (part.is_partition() && parent != nullptr) {
    device.diskseq = parent->diskseq;
  } else if (part.is_block()) {
    device.diskseq = ++diskseq_;
  }
  if (device.properties.contains("DISKSEQ")) {
    device.properties["DISKSEQ"] = std::to_string(device.diskseq);
  }
  devpath_of_part_[index] = device.devpath;
  const auto& present = present_.insert_or_assign(device.devpath, std::move(device)).first->second;
  announce(present, Action::add);
}

void Machine::vanish(const std::string& devpath) {
  const auto it = present_.find(devpath);
  if (it == present_.end()) {
    return;
  }
  std::vector<std::string> below;
  for (const auto& [path, device] : present_) {
    if (is_below(path, devpath)) {
      below.push_back(path);
    }
  }
  // Longest first: the deepest go first.
  std::sort(below.begin(), below.end(), [](const std::string& a, const std::string& b) {
    return std::pair(b.size(), b) < std::pair(a.size(), a);
  });
  for (const auto& path : below) {
    vanish(path);
  }
  const Present gone = std::move(it->second);
  present_.erase(it);
  if (gone.part) {
    devpath_of_part_.erase(*gone.part);
    // The rest of this life is over.
    const Part& part = hardware_.parts[*gone.part];
    std::size_t& lived = lived_[*gone.part];
    while (lived > 0 && lived < part.life.size() &&
           part.life[lived - 1].event.action != Action::remove &&
           part.life[lived].event.action != Action::add) {
      ++lived;
    }
  }
  release(gone.kernel);
  announce(gone, Action::remove);
}

void Machine::announce(const Present& device, Action action) {
  DeviceEvent event;
  event.origin = DeviceEvent::Origin::kernel;
  event.action = action;
  event.devpath = device.devpath;
  event.subsystem = property_of(device.properties, "SUBSYSTEM");
  if (event.subsystem.empty() && device.part) {
    event.subsystem = hardware_.parts[*device.part].life.front().event.subsystem;
  }
  event.seqnum = ++seqnum_;
  event.properties = device.properties;
  event.properties["ACTION"] = to_string(action);
  event.properties["SEQNUM"] = std::to_string(event.seqnum);
  uevents_.emplace_back(std::move(event));
}

// As UeventSource does: attributes are read as the event is taken, and what a scan has already
// seen only causes the device to be read again.
EventBody Machine::receive() {
  EventBody body = std::move(uevents_.front());
  uevents_.pop_front();
  auto* event = std::get_if<DeviceEvent>(&body);
  if (event == nullptr || event->origin != DeviceEvent::Origin::kernel) {
    return body;
  }
  const Present* device = find(event->devpath);
  if (event->seqnum <= scanned_seqnum_) {
    event->origin = DeviceEvent::Origin::scan;
    event->seqnum = 0;
    event->action = device == nullptr ? Action::remove : Action::change;
    event->properties = device == nullptr ? Properties() : device->properties;
    event->attributes = device == nullptr ? Attributes() : device->attributes;
    return body;
  }
  if (event->action != Action::remove) {
    event->attributes = device == nullptr ? Attributes() : device->attributes;
  }
  return body;
}

void Machine::scan() {
  scanned_seqnum_ = seqnum_;
  ScanDone done{seqnum_, {}};
  // Parents first, as by the length of their paths.
  std::vector<const Present*> devices;
  for (const auto& [devpath, device] : present_) {
    devices.push_back(&device);
  }
  std::stable_sort(devices.begin(), devices.end(), [](const Present* a, const Present* b) {
    return a->devpath.size() < b->devpath.size();
  });
  for (const Present* device : devices) {
    done.devpaths.push_back(device->devpath);
    DeviceEvent event;
    event.origin = DeviceEvent::Origin::scan;
    event.action = Action::add;
    event.devpath = device->devpath;
    event.subsystem = property_of(device->properties, "SUBSYSTEM");
    if (event.subsystem.empty() && device->part) {
      event.subsystem = hardware_.parts[*device->part].life.front().event.subsystem;
    }
    event.properties = device->properties;
    event.attributes = device->attributes;
    uevents_.emplace_back(std::move(event));
  }
  uevents_.emplace_back(std::move(done));
}

void Machine::read_again(const std::string& devpath) {
  DeviceEvent event;
  event.origin = DeviceEvent::Origin::scan;
  event.action = Action::remove;
  event.devpath = devpath;
  if (const Present* device = find(devpath)) {
    event.action = Action::change;
    event.subsystem = property_of(device->properties, "SUBSYSTEM");
    event.properties = device->properties;
    event.attributes = device->attributes;
  }
  uevents_.emplace_back(std::move(event));
}

void Machine::take(const Effect& effect) {
  if (effect.handler == "timer" || effect.handler == "control" || effect.handler == "report") {
    return;
  }
  if (effect.handler == "launch" && effect.verb == "follow") {
    follow_ = effect;
    return;
  }
  under_way_.push_back({effect, {}, false});
}

void Machine::act(std::size_t index) {
  if (under_way_[index].effect.handler == "source") {
    const Effect effect = std::move(under_way_[index].effect);
    under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(index));
    if (effect.verb == "scan") {
      scan();
    } else {
      read_again(effect.subject);
    }
    return;
  }
  bool done = true;
  Outcome outcome = carry_out(under_way_[index], done);
  if (!done) {
    return;
  }
  const EffectId id = under_way_[index].effect.id;
  under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(index));
  carried_out_.push_back(EffectDone{id, outcome.ok, outcome.ok ? outcome.result : Json(nullptr),
                                    outcome.error, outcome.code});
}

Outcome Machine::carry_out(UnderWay& under_way, bool& done) {
  const Effect& effect = under_way.effect;
  const std::string what = effect.handler + " " + effect.verb;
  if (what == "driver resolve") {
    return resolve(effect);
  }
  if (what == "driver insert" || what == "driver install") {
    return insert(effect);
  }
  if (what == "driver reload") {
    ++reloads_;
    return recorded_answer(effect, false);
  }
  if (what == "probe read") {
    return probe(effect);
  }
  if (what == "md start_ro") {
    start_ro_ = true;
    return ok();
  }
  if (what == "md assemble" || what == "md mdadm_assemble") {
    return assemble(under_way, done);
  }
  if (what == "md stop") {
    return take_down(effect, by_devno(text_of(effect.arguments, "devno")));
  }
  if (what == "lvm create") {
    return create_map(under_way, done);
  }
  if (what == "lvm remove") {
    return take_down(effect, by_identity(text_of(effect.arguments, "dm_uuid")));
  }
  if (what == "lvm activate") {
    return activate(effect);
  }
  if (what == "lvm deactivate") {
    return deactivate(effect);
  }
  if (effect.handler == "medium") {
    return medium(effect);
  }
  if (what == "launch run") {
    return ok({{"state", "running"}});
  }
  if (effect.handler == "node") {
    return ok({{"changed", true}, {"removed", true}});
  }
  return recorded_answer(effect, what == "md inspect");
}

Outcome Machine::not_told(const std::string& what) {
  unknown_.insert(what);
  return refused(Errc::not_found, std::string(kUnknown) + "the recording does not tell " + what);
}

Outcome Machine::recorded_answer(const Effect& effect, bool must_be_known) {
  const auto key = fmt::format("{} {} {}", effect.handler, effect.verb, effect.subject);
  const auto it = hardware_.answers.find(key);
  if (it != hardware_.answers.end()) {
    return it->second;
  }
  return must_be_known ? not_told("what came of " + key) : ok();
}

Outcome Machine::resolve(const Effect& effect) {
  const auto alias = text_of(effect.arguments, "alias");
  const auto it = hardware_.aliases.find(alias);
  if (it == hardware_.aliases.end() || it->second.empty()) {
    return not_told("the drivers of " + alias);
  }
  auto answer = it->second.upper_bound(reloads_);
  if (answer != it->second.begin()) {
    --answer;
  }
  Outcome outcome = answer->second;
  if (!outcome.ok || !outcome.result.is_object() || !outcome.result.contains("modules")) {
    return outcome;
  }
  for (auto& module : outcome.result["modules"]) {
    if (!module.is_object()) {
      continue;
    }
    const auto name = text_of(module, "name");
    if (module.contains("needs") && module["needs"].is_array()) {
      for (const auto& need : module["needs"]) {
        if (need.is_string()) {
          needs_of_module_[name].insert(need.get<std::string>());
        }
      }
    }
    if (live_modules_.contains(name)) {
      module["state"] = "live";
    } else if (hardware_.modules.contains(name)) {
      module["state"] = "absent";
    }
  }
  return outcome;
}

Outcome Machine::insert(const Effect& effect) {
  const auto name = text_of(effect.arguments, "name");
  const auto it = hardware_.modules.find(name);
  if (it == hardware_.modules.end()) {
    return not_told("what came of inserting " + name);
  }
  for (const auto& need : needs_of_module_[name]) {
    const auto known = hardware_.modules.find(need);
    if (known != hardware_.modules.end() && known->second.ok && !live_modules_.contains(need) &&
        offence_.empty()) {
      offence_ = fmt::format("module {} was inserted before {}, which it needs", name, need);
    }
  }
  if (it->second.ok && !live_modules_.insert(name).second && offence_.empty()) {
    offence_ = fmt::format("module {} was inserted twice", name);
  }
  return it->second;
}

Outcome Machine::probe(const Effect& effect) {
  const Present* device = by_devno(text_of(effect.arguments, "devno"));
  if (device == nullptr) {
    return refused(Errc::not_found, fmt::format("/dev/{}: No such device or address",
                                                text_of(effect.arguments, "name")));
  }
  const Content* content = content_of(*device);
  if (content == nullptr || !content->probe) {
    return not_told("what " + recorded_name(device->kernel) + " holds");
  }
  Outcome outcome = *content->probe;
  if (outcome.ok && outcome.result.is_object()) {
    outcome.result["diskseq"] = device->diskseq;
    outcome.result.erase("changed");
  }
  return outcome;
}

const Content* Machine::content_of(const Present& device) const {
  if (!device.part) {
    return device.content;
  }
  const std::string& recorded = hardware_.parts[*device.part].devpath;
  std::uint64_t generation = device.recorded_diskseq;
  if (hardware_.parts[*device.part].is_partition() && hardware_.parts[*device.part].parent) {
    if (const auto disk = devpath_of_part_.find(*hardware_.parts[*device.part].parent);
        disk != devpath_of_part_.end()) {
      generation = std::max(generation, find(disk->second)->recorded_diskseq);
    }
  }
  // The generation itself; else the last one before it (a change that nobody read), else the
  // first after it (it was read before its uevent came).
  const auto begin = hardware_.contents.lower_bound({recorded, 0});
  const auto end =
      hardware_.contents.upper_bound({recorded, std::numeric_limits<std::uint64_t>::max()});
  const Content* found = nullptr;
  for (auto it = begin; it != end; ++it) {
    if (it->first.second <= generation || found == nullptr) {
      found = &it->second;
    }
  }
  return found;
}

std::string Machine::holder_against(const Present& device, std::string_view kind) {
  for (const auto& [who, how] : device.held_by) {
    if (how != kind || kind != "dm") {
      return who;
    }
  }
  return {};
}

void Machine::release(const std::string& holder) {
  for (auto& [devpath, device] : present_) {
    device.held_by.erase(holder);
  }
}

Machine::Present& Machine::make(const std::string& identity, const Built& built,
                                const std::string& kernel, Devno devno) {
  Present device;
  device.identity = identity;
  device.kernel = kernel;
  device.devpath = std::string(kVirtualBlock) + kernel;
  device.devno = devno;
  device.diskseq = ++diskseq_;
  device.content = &built.content;
  device.properties = {{"DEVNAME", "/dev/" + kernel},
                       {"DEVPATH", device.devpath},
                       {"DEVTYPE", "disk"},
                       {"DISKSEQ", std::to_string(device.diskseq)},
                       {"MAJOR", std::to_string(devno.major)},
                       {"MINOR", std::to_string(devno.minor)},
                       {"SUBSYSTEM", "block"}};
  // What it will be is not to be seen before it runs.
  device.attributes = built.settled.attributes;
  for (auto& [name, value] : device.attributes) {
    if (name.starts_with("md/") || name.starts_with("dm/")) {
      value.reset();
    }
  }
  device.attributes["size"] = "0";
  device.attributes["slaves"] = "";
  auto& made = present_.insert_or_assign(device.devpath, device).first->second;
  announce(made, Action::add);
  return made;
}

void Machine::settle(Present& device, const Built& built, const std::string& slaves) {
  device.attributes = built.settled.attributes;
  device.attributes["slaves"] = slaves;
  announce(device, Action::change);
  device.diskseq = ++diskseq_;
  device.properties["DISKSEQ"] = std::to_string(device.diskseq);
  const std::string recorded = last_component(built.settled.devpath);
  for (std::size_t i = 0; i < built.partitions.size(); ++i) {
    const DeviceEvent& event = built.partitions[i];
    Present partition;
    partition.identity = device.identity + "/" + std::to_string(i + 1);
    partition.kernel = last_component(event.devpath);
    if (partition.kernel.starts_with(recorded)) {
      partition.kernel = device.kernel + partition.kernel.substr(recorded.size());
    }
    partition.devpath = device.devpath + "/" + partition.kernel;
    partition.properties = event.properties;
    partition.properties["DEVNAME"] = "/dev/" + partition.kernel;
    partition.properties["DEVPATH"] = partition.devpath;
    partition.devno = devno_of(event.properties);
    partition.diskseq = device.diskseq;
    partition.attributes = event.attributes;
    partition.content = &built.partition_contents[i];
    announce(present_.insert_or_assign(partition.devpath, partition).first->second, Action::add);
  }
}

Outcome Machine::assemble(UnderWay& under_way, bool& done) {
  const Json& arguments = under_way.effect.arguments;
  const std::string uuid = text_of(arguments, "uuid");
  const auto built = hardware_.built.find("md " + uuid);
  if (built == hardware_.built.end()) {
    return not_told("what becomes of array " + uuid);
  }
  if (!start_ro_ && offence_.empty()) {
    offence_ = fmt::format("array {} was started before md_mod.start_ro was set", uuid);
  }
  const auto list = arguments.find(arguments.contains("members") ? "members" : "devices");
  std::vector<Present*> members;
  if (list != arguments.end() && list->is_array()) {
    for (const auto& entry : *list) {
      Present* member = by_devno(text_of(entry, "devno"));
      if (member == nullptr) {
        if (!under_way.half_done.empty()) {
          vanish(under_way.half_done);
        }
        return refused(Errc::not_found, fmt::format("ADD_NEW_DISK {}: No such device or address",
                                                    text_of(entry, "name")));
      }
      members.push_back(member);
    }
  }
  if (under_way.half_done.empty()) {
    for (const Present* member : members) {
      if (const auto holder = holder_against(*member, "md"); !holder.empty()) {
        return refused(Errc::busy,
                       fmt::format("ADD_NEW_DISK {}: held by {}", member->kernel, holder));
      }
    }
    const auto wanted = arguments.contains("number") && arguments["number"].is_number_integer()
                            ? arguments["number"].get<std::int64_t>()
                            : -1;
    std::int64_t minor = wanted >= 0 ? wanted : 127;
    while (wanted < 0 && minor > 0 && by_kernel(fmt::format("md{}", minor)) != nullptr) {
      --minor;
    }
    const auto kernel = fmt::format("md{}", minor);
    if (by_kernel(kernel) != nullptr) {
      return refused(Errc::busy, fmt::format("/dev/{}: the number is taken", kernel));
    }
    Present& device =
        make(built->first, built->second, kernel, {9, static_cast<std::uint32_t>(minor)});
    for (Present* member : members) {
      member->held_by[kernel] = "md";
    }
    under_way.half_done = device.devpath;
    done = false;
    return ok();
  }
  Present* device = find(under_way.half_done);
  if (device == nullptr) {
    return refused(Errc::io, "RUN_ARRAY: the array is gone");
  }
  std::string slaves;
  for (const Present* member : members) {
    slaves += (slaves.empty() ? "" : " ") + member->kernel;
  }
  settle(*device, built->second, slaves);
  return ok({{"kernel", device->kernel}, {"devno", device->devno->text()}, {"state", "read-auto"}});
}

Outcome Machine::create_map(UnderWay& under_way, bool& done) {
  const Json& arguments = under_way.effect.arguments;
  const std::string uuid = text_of(arguments, "dm_uuid");
  if (under_way.half_done.empty()) {
    if (const Present* there = by_identity(uuid)) {
      return ok({{"kernel", there->kernel}, {"devno", there->devno->text()}, {"existed", true}});
    }
  }
  const auto built = hardware_.built.find(uuid);
  if (built == hardware_.built.end()) {
    return not_told("what becomes of " + text_of(arguments, "dm_name"));
  }
  std::vector<Present*> below;
  for (const auto& devno : devnos_in(arguments.value("table", Json::array()))) {
    Present* device = by_devno(devno);
    if (device == nullptr) {
      if (!under_way.half_done.empty()) {
        vanish(under_way.half_done);
      }
      return refused(Errc::not_found, fmt::format("{}: there is no device {}",
                                                  text_of(arguments, "dm_name"), devno));
    }
    below.push_back(device);
  }
  if (under_way.half_done.empty()) {
    for (const Present* device : below) {
      if (const auto holder = holder_against(*device, "dm"); !holder.empty()) {
        return refused(Errc::busy,
                       fmt::format("{}: {} is held by {}", text_of(arguments, "dm_name"),
                                   device->kernel, holder));
      }
    }
    unsigned minor = 0;
    while (by_kernel(fmt::format("dm-{}", minor)) != nullptr) {
      ++minor;
    }
    Present& device = make(uuid, built->second, fmt::format("dm-{}", minor),
                           {major_of_maps(built->second), minor});
    for (Present* each : below) {
      each->held_by[device.kernel] = "dm";
    }
    under_way.half_done = device.devpath;
    done = false;
    return ok();
  }
  Present* device = find(under_way.half_done);
  if (device == nullptr) {
    return refused(Errc::io, text_of(arguments, "dm_name") + ": the map is gone");
  }
  std::string slaves;
  for (const Present* each : below) {
    slaves += (slaves.empty() ? "" : " ") + each->kernel;
  }
  settle(*device, built->second, slaves);
  return ok({{"kernel", device->kernel}, {"devno", device->devno->text()}, {"existed", false}});
}

Outcome Machine::take_down(const Effect& effect, Present* device) {
  if (device == nullptr) {
    return ok();  // what is not there is down
  }
  for (const auto& [path, other] : present_) {
    if ((path == device->devpath || is_below(path, device->devpath)) && !other.held_by.empty()) {
      return refused(Errc::busy, fmt::format("{}: {} is held by {}", effect.subject, other.kernel,
                                             other.held_by.begin()->first));
    }
  }
  vanish(std::string(device->devpath));
  return ok();
}

Outcome Machine::activate(const Effect& effect) {
  const Json& arguments = effect.arguments;
  const auto volume = text_of(arguments, "vg") + "/" + text_of(arguments, "lv");
  const auto made = hardware_.activations.find(volume);
  Outcome outcome = recorded_answer(effect, true);
  if (!outcome.ok) {
    return outcome;
  }
  std::vector<Present*> below;
  for (const auto& path : arguments.value("devices", Json::array())) {
    Present* device =
        path.is_string() ? by_kernel(last_component(path.get<std::string>())) : nullptr;
    if (device == nullptr) {
      return refused(Errc::not_found, volume + ": a device that was named to lvm is not there");
    }
    below.push_back(device);
  }
  const Present* last = nullptr;
  if (made != hardware_.activations.end()) {
    for (const auto& uuid : made->second) {
      last = by_identity(uuid);
      const auto built = hardware_.built.find(uuid);
      if (last != nullptr || built == hardware_.built.end()) {
        continue;
      }
      unsigned minor = 0;
      while (by_kernel(fmt::format("dm-{}", minor)) != nullptr) {
        ++minor;
      }
      Present& device = make(uuid, built->second, fmt::format("dm-{}", minor),
                             {major_of_maps(built->second), minor});
      std::string slaves;
      for (Present* each : below) {
        each->held_by[device.kernel] = "dm";
        slaves += (slaves.empty() ? "" : " ") + each->kernel;
      }
      settle(device, built->second, slaves);
      last = &device;
    }
  }
  if (last != nullptr && outcome.result.is_object()) {
    outcome.result["kernel"] = last->kernel;
    outcome.result["devno"] = last->devno->text();
  }
  return outcome;
}

Outcome Machine::deactivate(const Effect& effect) {
  const auto made = hardware_.activations.find(text_of(effect.arguments, "vg") + "/" +
                                               text_of(effect.arguments, "lv"));
  if (made != hardware_.activations.end()) {
    for (auto uuid = made->second.rbegin(); uuid != made->second.rend(); ++uuid) {
      if (Present* device = by_identity(*uuid)) {
        if (auto outcome = take_down(effect, device); !outcome.ok) {
          return outcome;
        }
      }
    }
  }
  return ok({{"output", ""}, {"status", 0}});
}

Outcome Machine::medium(const Effect& effect) {
  if (effect.verb == "poll") {
    return recorded_answer(effect, false);
  }
  if (effect.verb == "release") {
    release("mount");
    return ok();
  }
  Present* device = find(text_of(effect.arguments, "devpath"));
  if (device == nullptr) {
    return refused(Errc::not_found,
                   fmt::format("/dev/{}: No such device or address", effect.subject));
  }
  const Content* content = content_of(*device);
  const auto unknown = [&] {
    return not_told(
        fmt::format("what '{}' finds on {}", effect.verb, recorded_name(device->kernel)));
  };
  if (content == nullptr) {
    return unknown();
  }
  if (effect.verb == "tools") {
    return content->tools ? *content->tools : unknown();
  }
  const auto& answers = effect.verb == "examine" ? content->examined : content->taken;
  const auto answer = answers.find(question(effect));
  if (answer == answers.end()) {
    return unknown();
  }
  if (effect.verb == "take" && answer->second.ok) {
    device->held_by["mount"] = "mount";
  }
  return answer->second;
}

bool Machine::lose_uevent() {
  const auto uevent = std::find_if(uevents_.begin(), uevents_.end(), [](const EventBody& body) {
    const auto* event = std::get_if<DeviceEvent>(&body);
    return event != nullptr && event->origin == DeviceEvent::Origin::kernel;
  });
  if (uevent == uevents_.end()) {
    return false;
  }
  uevents_.erase(uevent);
  return true;
}

void Machine::pull(std::size_t index) {
  const auto it = devpath_of_part_.find(index);
  if (it == devpath_of_part_.end()) {
    return;
  }
  const std::string devpath = it->second;
  // It comes again as it was: from its last add on.
  std::vector<std::pair<std::size_t, std::size_t>> again;
  for (const auto& [part, path] : devpath_of_part_) {
    if (path != devpath && !is_below(path, devpath)) {
      continue;
    }
    std::size_t at = lived_[part];
    while (at > 0 && hardware_.parts[part].life[at - 1].event.action != Action::add) {
      --at;
    }
    again.emplace_back(part, at > 0 ? at - 1 : 0);
  }
  vanish(devpath);
  for (const auto& [part, at] : again) {
    lived_[part] = at;
  }
}

std::vector<std::pair<std::string, std::string>> Machine::built() const {
  std::vector<std::pair<std::string, std::string>> result;
  for (const auto& [devpath, device] : present_) {
    if (!device.part && !device.identity.empty()) {
      result.emplace_back(devpath, device.identity);
    }
  }
  return result;
}

bool Machine::is_there(std::size_t part) const {
  return devpath_of_part_.contains(part);
}

std::optional<EffectId> Machine::can_be_late() const {
  for (const auto& each : under_way_) {
    if (!each.late && each.effect.deadline_ms != 0) {
      return each.effect.id;
    }
  }
  return std::nullopt;
}

EventBody Machine::say_late(EffectId id) {
  for (auto& each : under_way_) {
    each.late = each.late || each.effect.id == id;
  }
  return EffectLate{id};
}

EventBody Machine::end_restore() {
  const Effect effect = *std::exchange(follow_, std::nullopt);
  const auto it = hardware_.answers.find("launch follow " + effect.subject);
  const Outcome outcome =
      it != hardware_.answers.end()
          ? it->second
          : ok({{"success", true}, {"text", "ended"}, {"status", 0}, {"result", 0}});
  return EffectDone{effect.id, outcome.ok, outcome.result, outcome.error, outcome.code};
}

Machine::Present* Machine::find(std::string_view devpath) {
  const auto it = present_.find(devpath);
  return it == present_.end() ? nullptr : &it->second;
}
const Machine::Present* Machine::find(std::string_view devpath) const {
  const auto it = present_.find(devpath);
  return it == present_.end() ? nullptr : &it->second;
}

Machine::Present* Machine::by_devno(std::string_view devno) {
  const auto wanted = devno_from(devno);
  for (auto& [devpath, device] : present_) {
    if (wanted && device.devno == wanted &&
        property_of(device.properties, "SUBSYSTEM") == "block") {
      return &device;
    }
  }
  return nullptr;
}

Machine::Present* Machine::by_kernel(std::string_view kernel) {
  for (auto& [devpath, device] : present_) {
    if (device.kernel == kernel && property_of(device.properties, "SUBSYSTEM") == "block") {
      return &device;
    }
  }
  return nullptr;
}

Machine::Present* Machine::by_identity(std::string_view identity) {
  for (auto& [devpath, device] : present_) {
    if (!identity.empty() && device.identity == identity) {
      return &device;
    }
  }
  return nullptr;
}

std::string Machine::recorded_name(std::string_view kernel) const {
  for (const auto& [devpath, device] : present_) {
    if (device.kernel == kernel) {
      return device.part ? last_component(hardware_.parts[*device.part].devpath)
                         : "<" + device.identity + ">";
    }
  }
  return std::string(kernel);
}

std::string Machine::in_recorded_names(std::string_view text) const {
  std::string result;
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = at;
    while (end < text.size() && is_kernel_name_char(text[end])) {
      ++end;
    }
    if (end > at) {
      result += recorded_name(text.substr(at, end - at));
    } else {
      result += text[end++];
    }
    at = end;
  }
  return result;
}

std::string Machine::identity(std::string_view devpath) const {
  const Present* device = find(devpath);
  if (device == nullptr) {
    return std::string(devpath);
  }
  return device->part ? fmt::format("{}@{}", hardware_.parts[*device->part].devpath,
                                    device->recorded_diskseq)
                      : device->identity;
}

std::string Machine::title(const Choice& choice) const {
  if (choice.kind != Choice::Kind::appear) {
    return {};
  }
  const Part& part = hardware_.parts[choice.index];
  const Action action = part.life[lived_[choice.index]].event.action;
  const auto verb = action == Action::add      ? std::string("appears")
                    : action == Action::remove ? std::string("goes")
                                               : fmt::format("says {}", to_string(action));
  return fmt::format("{} {}", last_component(part.devpath), verb);
}

}  // namespace muster::replay
