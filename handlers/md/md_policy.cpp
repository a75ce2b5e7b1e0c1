#include "handlers/md/md_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "daemon/quote.h"
#include "handlers/md/md_superblock.h"
#include "handlers/md/raid_level.h"
#include "handlers/target/assembly_scope.h"

namespace muster::md {
namespace {

bool is_array_device(const Device& device) {
  return device.is_block() && device.kernel.starts_with("md") && !device.is_partition();
}

// An imported log may know a member but not its superblock; our own probe always tells the level.
std::string level_text(const Json& superblock) {
  return superblock.contains("level") ? level_name(superblock["level"].get<int>())
                                      : std::string("level unknown");
}

bool is_running(std::string_view state) {
  return state == "clean" || state == "active" || state == "read-auto" || state == "readonly" ||
         state == "active-idle" || state == "write-pending";
}

std::string thing_id(const std::string& uuid) {
  return "array:" + uuid;
}

// "0", "md0", "host:3" -> the number that the array's name asks for.
std::optional<int> number_in(std::string_view name) {
  if (name.starts_with("md")) {
    name.remove_prefix(name.starts_with("md_") ? 3 : 2);
  }
  int value = 0;
  const auto* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data(), end, value);
  if (error != std::errc() || rest != end || value < 0 || value > 511) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

std::string MdPolicy::title(const Array& array) const {
  static const Json kNone = Json::object();
  const Json& superblock = array.members.empty() ? kNone : array.members.begin()->second.superblock;
  const auto array_name = superblock.value("name", std::string());
  const auto level = level_text(superblock);
  return array_name.empty()
             ? fmt::format("array {} ({})", array.uuid, level)
             : fmt::format("array {} ({}, {})", quote(array_name), level, array.uuid);
}

bool MdPolicy::running(const Array& array, const World& world) const {
  const Device* device = array.devpath.empty() ? nullptr : world.find(array.devpath);
  return device != nullptr && is_running(device->attribute("md/array_state"));
}

void MdPolicy::plan_changed(Context& context) {
  for (const auto& [uuid, array] : arrays_) {
    dirty_.insert(uuid);
  }
  context.touch();
}

void MdPolicy::device(const Device& device, Context& context) {
  if (is_array_device(device)) {
    for (auto& [uuid, array] : arrays_) {
      if (array.devpath == device.devpath) {
        dirty_.insert(uuid);
      }
    }
    context.request("module:md_mod");
    adopt(context);
    return;
  }
  const Json* superblock = nullptr;
  if (device.signature) {
    const auto it = device.signature->details.find("md");
    if (it != device.signature->details.end()) {
      superblock = &*it;
    }
  }
  if (superblock == nullptr || !superblock->contains("uuid")) {
    Thing thing;
    thing.id = "member:" + device.kernel;
    thing.what = fmt::format("{} on {}", device.signature_property("ID_FS_TYPE"), device.kernel);
    thing.state = State::impossible;
    thing.why = "firmware RAID: assemble it by hand with mdadm, then it is used";
    context.publish(std::move(thing));
    return;
  }
  Member member;
  member.devpath = device.devpath;
  member.superblock = *superblock;
  member.device_uuid = superblock->value("device_uuid", std::string());
  member.events = superblock->value("events", std::uint64_t{0});
  member.unusual = superblock->value("unusual", std::string());
  if (superblock->value("role_kind", std::string()) == "active") {
    member.slot = superblock->value("role", -1);
  }
  for (const auto& slot : superblock->value("roles", Json::array())) {
    member.active_slots.push_back(slot.get<std::string>() != "missing");
  }
  const auto uuid = superblock->at("uuid").get<std::string>();
  if (const auto known = array_of_.find(device.devpath);
      known != array_of_.end() && known->second != uuid) {
    device_gone(device, context);
  }
  array_of_[device.devpath] = uuid;
  if (!arrays_.contains(uuid)) {
    plan_changed(context);  // which array a number means depends on all that are known
  }
  auto& array = arrays_[uuid];
  array.uuid = uuid;
  array.gone.erase(std::to_string(member.slot));
  array.members[device.devpath] = std::move(member);
  dirty_.insert(uuid);
  // Loading a personality takes up to half a second: it starts when the first member is seen.
  context.request("module:md_mod");
  if (superblock->contains("level")) {
    if (const auto module = personality(superblock->at("level").get<int>())) {
      context.request("module:" + *module);
    }
  }
  adopt(context);
}

void MdPolicy::device_gone(const Device& device, Context& context) {
  if (is_array_device(device)) {
    for (auto& [uuid, array] : arrays_) {
      if (array.devpath == device.devpath && context.world().find(device.devpath) == nullptr) {
        array.devpath.clear();
        array.stopped = false;
        array.used.clear();
        array.cannot_stop.clear();
        dirty_.insert(uuid);
      }
    }
    return;
  }
  context.withdraw("member:" + device.kernel);
  const auto it = array_of_.find(device.devpath);
  if (it == array_of_.end()) {
    return;
  }
  auto& array = arrays_[it->second];
  if (const auto member = array.members.find(device.devpath);
      member != array.members.end() && member->second.slot >= 0) {
    array.gone[std::to_string(member->second.slot)] = {device.kernel, context.now()};
  }
  array.members.erase(device.devpath);
  array.failed.clear();
  array.member_went = true;
  dirty_.insert(it->second);
  array_of_.erase(it);
}

// Arrays that run already: started by an earlier life of the daemon, by the kernel, by the
// operator.
void MdPolicy::adopt(Context& context) {
  for (const Device* device : context.world().assigned(name())) {
    if (!is_array_device(*device) || !is_running(device->attribute("md/array_state"))) {
      continue;
    }
    const auto slaves = device->attribute("slaves");
    std::set<std::string> used;
    std::string uuid;
    for (std::size_t begin = 0; begin < slaves.size();) {
      const auto end = std::min(slaves.find(' ', begin), slaves.size());
      if (const Device* member =
              context.world().block_by_kernel_name(slaves.substr(begin, end - begin))) {
        used.insert(member->devpath);
        if (const auto it = array_of_.find(member->devpath); it != array_of_.end()) {
          uuid = it->second;
        }
      }
      begin = end + 1;
    }
    const auto it = arrays_.find(uuid);
    if (it != arrays_.end() && it->second.devpath.empty() && it->second.assembling == 0) {
      it->second.devpath = device->devpath;
      it->second.used = std::move(used);
      dirty_.insert(uuid);
    }
  }
}

MdPolicy::Verdict MdPolicy::judge(const Array& array, const World& world) const {
  Verdict verdict;
  std::uint64_t newest = 0;
  for (const auto& [devpath, member] : array.members) {
    newest = std::max(newest, member.events);
  }
  const Member* reference = nullptr;
  for (const auto& [devpath, member] : array.members) {
    if (member.events == newest && member.slot >= 0) {
      reference = &member;
      break;
    }
  }
  const auto kernel_name = [&](const std::string& devpath) {
    const Device* device = world.find(devpath);
    return device == nullptr ? devpath : device->kernel;
  };
  if (reference == nullptr) {
    std::vector<std::string> names;
    for (const auto& [devpath, member] : array.members) {
      names.push_back(kernel_name(devpath));
    }
    const bool unknown =
        std::any_of(array.members.begin(), array.members.end(), [](const auto& entry) {
          return entry.second.superblock.value("role_kind", std::string()) == "unknown";
        });
    verdict.why = fmt::format("{}: {}",
                              unknown ? "the slots of its members are not known"
                                      : "only spares or stale members are there",
                              fmt::join(names, ", "));
    return verdict;
  }
  std::map<int, std::string> stale;  // by slot
  for (const auto& [devpath, member] : array.members) {
    if (!member.unusual.empty()) {
      verdict.kind = Verdict::Kind::unusual;
      verdict.why = member.unusual;
    }
    if (member.slot < 0) {
      continue;
    }
    // The kernel takes members that are one event behind for current: a crash between two
    // superblock writes. But not one that the newest says had failed by then.
    const auto slot = static_cast<std::size_t>(member.slot);
    const bool failed = slot < reference->active_slots.size() && !reference->active_slots[slot];
    if (member.events + 1 < newest || (member.events < newest && failed)) {
      stale[member.slot] =
          fmt::format("{} (events {}, newest {})", kernel_name(devpath), member.events, newest);
      const auto own = static_cast<std::size_t>(reference->slot);
      if (own < member.active_slots.size() && !member.active_slots[own]) {
        verdict.kind = Verdict::Kind::refused;
        verdict.why = fmt::format(
            "{} and {} both went on without each other (events {} and {}): choose one with mdadm",
            kernel_name(reference->devpath), kernel_name(devpath), newest, member.events);
        return verdict;
      }
      continue;
    }
    const auto [it, is_new] = verdict.members.emplace(member.slot, devpath);
    if (!is_new) {
      verdict.kind = Verdict::Kind::refused;
      verdict.why = fmt::format("{} and {} both claim slot {}", kernel_name(it->second),
                                kernel_name(devpath), member.slot);
      return verdict;
    }
  }
  std::vector<std::string> missing;
  std::size_t expected = 0;
  for (std::size_t slot = 0; slot < reference->active_slots.size(); ++slot) {
    ++expected;
    if (const auto own = static_cast<int>(slot); !verdict.members.contains(own)) {
      const auto old = stale.find(own);
      missing.push_back(old != stale.end() ? fmt::format("slot {} is stale: {}", slot, old->second)
                        : reference->active_slots[slot]
                            ? fmt::format("slot {} not seen", slot)
                            : fmt::format("slot {} removed or failed earlier", slot));
    }
  }
  if (verdict.kind == Verdict::Kind::unusual) {
    if (!missing.empty()) {
      verdict.kind = Verdict::Kind::incomplete;
      verdict.why = fmt::format("{} of {} members; {}; {}", verdict.members.size(), expected,
                                fmt::join(missing, ", "), verdict.why);
    }
    return verdict;
  }
  if (missing.empty()) {
    verdict.kind = Verdict::Kind::complete;
    return verdict;
  }
  verdict.why = fmt::format("{} of {} members; {}", verdict.members.size(), expected,
                            fmt::join(missing, ", "));
  if (!verdict.members.empty()) {
    std::vector<std::string> present;
    for (const auto& [slot, devpath] : verdict.members) {
      present.push_back(fmt::format("slot {} {}", slot, kernel_name(devpath)));
    }
    verdict.why += fmt::format("; here: {}", fmt::join(present, ", "));
  }
  const int level = reference->superblock.value("level", 0);
  const auto lost = missing.size();
  verdict.can_run_degraded = (level == 1 && !verdict.members.empty()) ||
                             ((level == 4 || level == 5) && lost == 1) ||
                             (level == 6 && lost <= 2) || (level == 10 && lost == 1);
  return verdict;
}

std::optional<int> MdPolicy::number_of(const Array& array, const World& world) const {
  const auto own_number = [](const Array& each) -> std::optional<int> {
    const auto& superblock = each.members.begin()->second.superblock;
    if (const auto minor = superblock.find("preferred_minor");
        minor != superblock.end() && minor->is_number()) {
      return minor->get<int>();
    }
    const auto name = superblock.find("name");
    return number_in(name == superblock.end() ? std::string_view()
                                              : name->get_ref<const std::string&>());
  };
  if (array.members.empty()) {
    return std::nullopt;  // all are gone: nothing says any more which it was
  }
  if (world.plan().mode == Mode::nuke) {
    return std::nullopt;  // the plan's numbers are for arrays that mondorestore will make
  }
  std::map<int, int> claims;
  std::vector<const Array*> unnumbered;
  for (const auto& [uuid, each] : arrays_) {
    if (each.members.empty()) {
      continue;
    }
    if (const auto number = own_number(each)) {
      ++claims[*number];
    } else {
      unnumbered.push_back(&each);
    }
  }
  if (const auto number = own_number(array)) {
    return claims[*number] == 1 ? number : std::nullopt;
  }
  // A plan's array that no superblock claims by number: the raidtab decides by level and member
  // count; it must fit exactly one array, and that array exactly one line.
  const auto& plan = world.plan();
  const auto fits = [](const Array& each, const target::RaidtabArray& line) {
    const auto& superblock = each.members.begin()->second.superblock;
    return line.level && superblock.value("level", 0) == *line.level &&
           (!line.disks || superblock.value("raid_disks", 0U) == *line.disks);
  };
  std::optional<int> found;
  for (const auto& line : plan.raidtab.arrays) {
    if (!line.number || claims.contains(static_cast<int>(*line.number)) || !fits(array, line)) {
      continue;
    }
    const auto rivals = std::count_if(unnumbered.begin(), unnumbered.end(),
                                      [&](const Array* each) { return fits(*each, line); });
    if (rivals != 1 || found) {
      return std::nullopt;
    }
    found = static_cast<int>(*line.number);
  }
  if (found || !plan.raidtab.arrays.empty()) {
    return found;
  }
  // Without a raidtab: one such line and one such array can only mean each other.
  std::set<int> wanted;
  for (const auto& line : target::arrays(plan.mountlist)) {
    if (line.number && !claims.contains(static_cast<int>(*line.number))) {
      wanted.insert(static_cast<int>(*line.number));
    }
  }
  if (wanted.size() == 1 && unnumbered.size() == 1) {
    return *wanted.begin();
  }
  return std::nullopt;
}

std::vector<std::string> MdPolicy::names_of(const Array& array, const World& world) const {
  std::set<std::string> names;
  if (const Device* device = array.devpath.empty() ? nullptr : world.find(array.devpath)) {
    names.insert("/dev/" + device->kernel);
  }
  if (const auto number = number_of(array, world)) {
    names.insert(fmt::format("/dev/md{}", *number));
  }
  if (!array.members.empty()) {
    const auto array_name = array.members.begin()->second.superblock.value("name", std::string());
    if (!array_name.empty() && array_name.find('/') == std::string::npos && array_name != "." &&
        array_name != "..") {
      names.insert("/dev/md/" + array_name);
    }
  }
  return {names.begin(), names.end()};
}

void MdPolicy::show(Array& array, const std::string& why, State state, Context& context,
                    std::vector<std::string> needs) {
  Thing thing;
  thing.id = thing_id(array.uuid);
  thing.what = title(array);
  thing.state = state;
  thing.why = why;
  thing.needs = std::move(needs);
  for (const auto& [slot, gone] : array.gone) {
    thing.past.emplace(fmt::format("slot {} was {}, which went away", slot, gone.kernel), gone.at);
  }
  thing.names = names_of(array, context.world());
  if (!array.devpath.empty()) {
    thing.devpath = array.devpath;
    thing.on.assign(array.used.begin(), array.used.end());
  }
  context.publish(std::move(thing));
}

void MdPolicy::consider(Array& array, Context& context) {
  const World& world = context.world();
  if (array.assembling != 0 || array.stopping != 0) {
    return;
  }
  const bool there = !array.devpath.empty() && world.find(array.devpath) != nullptr;
  if (array.stopped) {
    return;  // until the kernel says that it is gone
  }
  if (!array.devpath.empty() && !there) {
    show(array, "started; the kernel has not announced it yet", State::working, context);
    return;
  }
  if (there) {
    if (!running(array, world)) {
      show(array, "started; the kernel does not call it running yet", State::working, context);
      return;
    }
    const Thing* known = world.thing(thing_id(array.uuid));
    const bool doomed = known != nullptr && known->doomed;
    if (world.phase() != Phase::gathering) {
      show(array, {}, State::ready, context);
      return;
    }
    const Verdict verdict = judge(array, world);
    std::set<std::string> chosen;
    for (const auto& [slot, devpath] : verdict.members) {
      chosen.insert(devpath);
    }
    // A degraded start that nobody has written to is put together whole when the member turns up.
    const bool could_be_whole =
        verdict.kind == Verdict::Kind::complete && chosen.size() > array.used.size() &&
        world.find(array.devpath)->attribute("md/array_state") == "read-auto";
    if (!doomed && !could_be_whole) {
      show(array, {}, State::ready, context);
      return;
    }
    const std::string reason =
        doomed ? "a member is gone" : "the missing member is there, it will be put together whole";
    held_up_.insert(array.uuid);
    if (const auto holders = world.holders(array.devpath); !holders.empty()) {
      show(array, fmt::format("{}; to be stopped once {} is down", reason, holders.front()->what),
           State::broken, context);
      return;
    }
    if (!array.cannot_stop.empty()) {
      show(array, fmt::format("{}; it cannot be stopped: {}", reason, array.cannot_stop),
           State::broken, context);
      return;
    }
    held_up_.erase(array.uuid);
    const Device* device = world.find(array.devpath);
    show(array, reason + "; being stopped", State::broken, context);
    array.stopping = context.want("stop", device->kernel,
                                  {{"devno", device->devno->text()}, {"kernel", device->kernel}},
                                  world.plan().tool_ms());
    return;
  }
  if (array.members.empty()) {
    context.withdraw(thing_id(array.uuid));
    return;
  }
  if (world.phase() != Phase::gathering) {
    return;
  }
  const Verdict verdict = judge(array, world);
  std::set<std::string> devices;
  for (const auto& [devpath, member] : array.members) {
    devices.insert(devpath);
  }
  std::string why;
  if (!target::may_assemble(world, devices, &why)) {
    show(array, why, State::waiting, context);
    return;
  }
  if (verdict.kind == Verdict::Kind::refused) {
    show(array, verdict.why, State::impossible, context);
    return;
  }
  bool degraded = false;
  if (verdict.kind == Verdict::Kind::incomplete) {
    const auto after = world.plan().options.degraded_after;
    if (!verdict.can_run_degraded) {
      show(array, verdict.why + (verdict.members.empty() ? "" : "; too few to run"), State::waiting,
           context);
      return;
    }
    if (!after) {
      show(array, verdict.why + "; not started degraded, since muster.degraded_after is never",
           State::waiting, context);
      return;
    }
    if (!array.degraded_allowed) {
      if (!array.degraded_timer) {
        array.degraded_timer = true;
        context.set_timer("degraded start " + array.uuid,
                          context.now() + std::chrono::microseconds(*after).count());
      }
      show(array, verdict.why, State::waiting, context);
      return;
    }
    degraded = true;
  }
  if (array.degraded_timer && !degraded) {
    array.degraded_timer = false;
    context.cancel_timer("degraded start " + array.uuid);
  }
  const auto& superblock = array.members.begin()->second.superblock;
  const int level = superblock.value("level", 0);
  const auto module = personality(level);
  if (!module) {
    show(array, fmt::format("level {} is not one this kernel runs", level), State::impossible,
         context);
    return;
  }
  for (const auto& id : {std::string("module:md_mod"), "module:" + *module}) {
    const Thing* needed = world.thing(id);
    if (needed == nullptr || needed->state != State::ready) {
      show(array, fmt::format("complete; needs module {}", id.substr(7)), State::waiting, context,
           {id});
      return;
    }
  }
  if (start_ro_ != StartRo::set) {
    if (start_ro_ == StartRo::unset) {
      start_ro_ = StartRo::setting;
      context.want("start_ro", "md_mod.start_ro", Json::object(), world.plan().tool_ms());
    }
    show(array,
         start_ro_ == StartRo::failed ? "md_mod.start_ro cannot be set: a start could write"
                                      : "complete; starts are being made read-only",
         start_ro_ == StartRo::failed ? State::broken : State::working, context);
    return;
  }
  std::set<std::string> chosen;
  Json members = Json::array();
  for (const auto& [slot, devpath] : verdict.members) {
    const Device* device = world.find(devpath);
    if (device == nullptr || !device->devno) {
      return;
    }
    chosen.insert(devpath);
    members.push_back({{"devno", device->devno->text()}, {"name", device->kernel}, {"slot", slot}});
  }
  if (!array.failed.empty() && array.failed_with == chosen) {
    show(array, array.failed, State::broken, context);
    return;
  }
  array.failed.clear();
  array.member_went = false;
  array.used = chosen;
  const auto number = number_of(array, world);
  const bool number_is_free =
      number && world.block_by_kernel_name(fmt::format("md{}", *number)) == nullptr;
  Json arguments = {{"uuid", array.uuid},
                    {"number", number_is_free ? *number : -1},
                    {"version", superblock.value("version", std::string())},
                    {"members", std::move(members)}};
  show(array, degraded ? "being started degraded" : "complete; being started", State::working,
       context);
  if (verdict.kind == Verdict::Kind::unusual) {
    arguments["devices"] = arguments["members"];
    context.report(fmt::format("{}: {}: handed to mdadm", title(array), verdict.why));
    array.assembling =
        context.want("mdadm_assemble", array.uuid, std::move(arguments), world.plan().tool_ms());
  } else {
    array.assembling =
        context.want("assemble", array.uuid, std::move(arguments), world.plan().tool_ms());
  }
}

void MdPolicy::done(const Effect& effect, const EffectDone& outcome, Context& context) {
  if (effect.verb == "start_ro") {
    if (!outcome.ok) {
      start_ro_ = StartRo::failed;
      context.report(fmt::format("arrays cannot be set to start read-only, none is started: {}",
                                 outcome.error));
      return;
    }
    start_ro_ = StartRo::set;
    plan_changed(context);
    return;
  }
  for (auto& [uuid, array] : arrays_) {
    if (array.assembling == effect.id) {
      array.assembling = 0;
      if (outcome.ok) {
        const auto kernel = outcome.result.value("kernel", std::string());
        array.devpath = "/devices/virtual/block/" + kernel;
        // The `change` of a started array is one event; what sysfs says is the fact.
        context.read_again(array.devpath);
      } else {
        // With a member that went meanwhile it is another attempt, even if it is there again.
        array.failed = array.member_went ? std::string() : outcome.error;
        array.failed_with = array.used;
        array.used.clear();
        context.report(fmt::format("{} does not start: {}", title(array), outcome.error));
      }
      dirty_.insert(uuid);
      return;
    }
    if (array.stopping == effect.id) {
      array.stopping = 0;
      if (outcome.ok) {
        array.cannot_stop.clear();
        if (!array.devpath.empty()) {
          array.stopped = true;
          context.read_again(array.devpath);
        }
      } else {
        array.cannot_stop = outcome.error;
      }
      dirty_.insert(uuid);
      return;
    }
  }
}

void MdPolicy::late(const Effect& effect, Context& context) {
  context.report(
      fmt::format("md: {} of {} takes longer than expected", effect.verb, effect.subject));
}

void MdPolicy::timer(std::string_view name, Context& context) {
  constexpr std::string_view kDegraded = "degraded start ";
  if (!name.starts_with(kDegraded)) {
    return;
  }
  const auto it = arrays_.find(std::string(name.substr(kDegraded.size())));
  if (it != arrays_.end()) {
    it->second.degraded_allowed = true;
    dirty_.insert(it->first);
    context.touch();
  }
}

void MdPolicy::thing(const Thing& thing, bool withdrawn, Context& context) {
  // Accepted drives are what an assembly may have waited for.
  if (thing.id.starts_with("module:") || thing.id.starts_with("binding:")) {
    for (const auto& [uuid, array] : arrays_) {
      if (array.devpath.empty()) {
        dirty_.insert(uuid);
      }
    }
    if (!arrays_.empty()) {
      context.touch();
    }
    return;
  }
  if (thing.owner == name()) {
    if (thing.doomed && !withdrawn) {
      if (const auto it = arrays_.find(thing.id.substr(thing.id.find(':') + 1));
          it != arrays_.end()) {
        dirty_.insert(it->first);
        context.touch();
      }
    }
    return;
  }
  // Something came down: what waits for its holders, or could not be stopped, may be stopped now.
  for (const auto& uuid : held_up_) {
    arrays_[uuid].cannot_stop.clear();
    dirty_.insert(uuid);
    context.touch();
  }
}

void MdPolicy::decide(Context& context) {
  for (const auto& uuid : std::exchange(dirty_, {})) {
    if (const auto it = arrays_.find(uuid); it != arrays_.end()) {
      consider(it->second, context);
    }
  }
}

}  // namespace muster::md
