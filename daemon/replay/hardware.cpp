#include "daemon/replay/hardware.h"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/json_line.h"
#include "daemon/plan.h"

namespace muster::replay {
namespace {

std::string_view property_of(const DeviceEvent& event, std::string_view name) {
  const auto it = event.properties.find(name);
  return it == event.properties.end() ? std::string_view() : std::string_view(it->second);
}

std::string_view attribute_of(const DeviceEvent& event, std::string_view name) {
  const auto it = event.attributes.find(name);
  return it == event.attributes.end() || !it->second ? std::string_view()
                                                     : std::string_view(*it->second);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || value > (UINT64_MAX - 9) / 10) {
      return 0;
    }
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

std::string last_component(std::string_view devpath) {
  return std::string(devpath.substr(devpath.rfind('/') + 1));
}

bool is_below(std::string_view devpath, std::string_view above) {
  return devpath.size() > above.size() && devpath.starts_with(above) &&
         devpath[above.size()] == '/';
}

Outcome outcome_of(const EffectDone& done) {
  return {done.ok, done.result, done.error, done.code};
}

// Arguments as an object, whatever a hand wrote there.
std::string text_argument(const Effect& effect, std::string_view name) {
  if (effect.arguments.is_object()) {
    if (const auto it = effect.arguments.find(name);
        it != effect.arguments.end() && it->is_string()) {
      return it->get<std::string>();
    }
  }
  return {};
}

std::string text_result(const Json& result, std::string_view name) {
  if (result.is_object()) {
    if (const auto it = result.find(name); it != result.end() && it->is_string()) {
      return it->get<std::string>();
    }
  }
  return {};
}

bool decides(const Command& command) {
  return command.verb != "status" && command.verb != "explain" && command.verb != "wait" &&
         command.verb != "drivers" && command.verb != "launch-state";
}

// Walks the segment once and collects; then puts the parts in order.
class Collector {
 public:
  explicit Collector(const Segment& segment) : segment_(segment) {}

  Result<Hardware> collect() {
    hardware_.header = segment_.header;
    hardware_.rules = segment_.rules;
    if (segment_.header.contains("snapshot")) {
      return fail(Errc::unsupported,
                  fmt::format("line {}: a segment that goes on from a snapshot does not tell what "
                              "the machine was; take the boot's first segment",
                              segment_.line));
    }
    find_built_arrays();
    for (index_ = 0; index_ < segment_.steps.size(); ++index_) {
      const Step& step = segment_.steps[index_];
      std::visit([this](const auto& body) { see(body); }, step.event.body);
      for (const auto& effect : step.effects) {
        sent_[effect.id] = {&effect, index_};
        launched_ = launched_ || (effect.handler == "launch" && effect.verb == "run");
      }
    }
    if (hardware_.facts.is_null()) {
      return fail(Errc::invalid,
                  fmt::format("line {}: the segment begins without facts", segment_.line));
    }
    try {
      static_cast<void>(make_plan(hardware_.facts, Json()));
    } catch (const Json::exception& e) {
      return fail(Errc::invalid, fmt::format("line {}: the segment's facts make no plan: {}",
                                             segment_.line, e.what()));
    }
    find_parents();
    find_modules();
    find_moves();
    leave_out_the_irrelevant();
    count_lives();
    return std::move(hardware_);
  }

 private:
  struct Sent {
    const Effect* effect = nullptr;
    std::size_t step = 0;
  };

  [[nodiscard]] Micros now() const { return segment_.steps[index_].event.time; }

  // The kernel names that assemblies were given, so that the array's events are not taken for
  // hardware: its first event comes before the effect's end.
  void find_built_arrays() {
    std::map<EffectId, std::pair<const Effect*, std::size_t>> assembling;
    for (std::size_t i = 0; i < segment_.steps.size(); ++i) {
      for (const auto& effect : segment_.steps[i].effects) {
        if (effect.handler == "md" &&
            (effect.verb == "assemble" || effect.verb == "mdadm_assemble")) {
          assembling[effect.id] = {&effect, i};
        }
      }
      if (const auto* done = std::get_if<EffectDone>(&segment_.steps[i].event.body)) {
        const auto it = assembling.find(done->id);
        if (it != assembling.end() && done->ok) {
          const auto kernel = text_result(done->result, "kernel");
          const auto uuid = text_argument(*it->second.first, "uuid");
          if (!kernel.empty() && !uuid.empty()) {
            arrays_["/devices/virtual/block/" + kernel].push_back(
                {it->second.second, "md " + uuid});
          }
        }
      }
    }
  }

  // Who made this device: "md UUID", a map's UUID; empty for hardware.
  std::string identity_of(const DeviceEvent& event) {
    const std::string_view devpath = event.devpath;
    for (const auto& [array, lives] : arrays_) {
      if (devpath == array || is_below(devpath, array)) {
        std::string identity;
        for (const auto& [step, name] : lives) {
          if (step < index_) {
            identity = name;
          }
        }
        return identity;
      }
    }
    if (last_component(devpath).starts_with("dm-") && devpath.starts_with("/devices/virtual/")) {
      if (const auto uuid = attribute_of(event, "dm/uuid"); !uuid.empty()) {
        map_of_[event.devpath] = uuid;
      } else if (event.action == Action::add) {
        map_of_.erase(event.devpath);
      }
      const auto it = map_of_.find(event.devpath);
      // One that is there before its UUID is: not known yet whose it is, but a map is never
      // hardware unless it was there at the start.
      return it != map_of_.end() ? it->second : scanned_ ? std::string("?") : std::string();
    }
    return {};
  }

  void see(const FactsRead& event) {
    if (hardware_.facts.is_null()) {
      hardware_.facts = event.facts;
    }
  }

  void see(const DeviceEvent& event) {
    const std::string identity = identity_of(event);
    if (!identity.empty() && !part_of_.contains(event.devpath)) {
      see_built(identity, event);
    } else {
      see_part(event);
    }
  }

  void see_built(const std::string& identity, const DeviceEvent& event) {
    if (identity == "?" || launched_ || event.action == Action::remove) {
      return;
    }
    Built& built = hardware_.built[identity];
    const auto array = arrays_.lower_bound(event.devpath);
    const bool is_partition = property_of(event, "DEVTYPE") == "partition";
    if (is_partition && !(array != arrays_.end() && array->first == event.devpath)) {
      const auto same =
          std::find_if(built.partitions.begin(), built.partitions.end(),
                       [&](const DeviceEvent& known) { return known.devpath == event.devpath; });
      if (same == built.partitions.end()) {
        built.partitions.push_back(event);
        built.partition_contents.emplace_back();
      } else {
        *same = event;
      }
      return;
    }
    const bool first = built.settled.devpath.empty();
    built.settled = event;
    if (first) {
      note_activation(identity);
    }
  }

  // A map that none of our own tables asked for was made by the `lvm` call under way.
  void note_activation(const std::string& uuid) {
    if (uuid.starts_with("md ")) {
      return;
    }
    const Effect* activating = nullptr;
    for (const auto& [id, sent] : sent_) {
      if (sent.effect->handler != "lvm") {
        continue;
      }
      if (sent.effect->verb == "create" && text_argument(*sent.effect, "dm_uuid") == uuid) {
        return;
      }
      if (sent.effect->verb == "activate") {
        activating = sent.effect;
      }
    }
    if (activating != nullptr) {
      hardware_
          .activations[text_argument(*activating, "vg") + "/" + text_argument(*activating, "lv")]
          .push_back(uuid);
    }
  }

  void see_part(const DeviceEvent& event) {
    const auto known = part_of_.find(event.devpath);
    if (known != part_of_.end()) {
      // What happens to a device after the launch is mondorestore's doing, unless it comes or goes.
      if (!launched_ || event.action == Action::remove || event.action == Action::add) {
        Part& part = hardware_.parts[known->second];
        // A scan repeats what is known.
        const bool repeated = event.origin == DeviceEvent::Origin::scan &&
                              event.action != Action::remove && !gone(part) &&
                              part.life.back().event.attributes == event.attributes;
        if (!repeated) {
          part.life.push_back({now(), event, 0});
        }
      }
      return;
    }
    if (event.action == Action::remove) {
      return;
    }
    Part part;
    part.devpath = event.devpath;
    part.at_start = !scanned_ && event.origin == DeviceEvent::Origin::scan;
    part.life.push_back({now(), event, 0});
    part.life.back().event.action = Action::add;
    if (const auto slaves = attribute_of(event, "slaves");
        !slaves.empty() && event.devpath.starts_with("/devices/virtual/")) {
      std::size_t at = 0;
      while (at < slaves.size()) {
        const auto end = std::min(slaves.find(' ', at), slaves.size());
        slaves_of_[event.devpath].insert(std::string(slaves.substr(at, end - at)));
        at = end + 1;
      }
    }
    part_of_[event.devpath] = hardware_.parts.size();
    hardware_.parts.push_back(std::move(part));
  }

  static bool gone(const Part& part) { return part.life.back().event.action == Action::remove; }

  void see(const ScanDone&) { scanned_ = true; }
  void see(const EventsLost&) {}
  void see(const EffectLate&) {}
  void see(const TimerDue& event) { hardware_.timers.insert(event.name); }
  void see(const Command& event) {
    if (decides(event)) {
      hardware_.commands.push_back(event);
    }
  }

  void see(const EffectDone& event) {
    const auto it = sent_.find(event.id);
    if (it == sent_.end()) {
      return;
    }
    const Effect& effect = *it->second.effect;
    const Outcome outcome = outcome_of(event);
    if (effect.handler == "driver" && effect.verb == "resolve") {
      hardware_.aliases[text_argument(effect, "alias")][reloads_] = outcome;
    } else if (effect.handler == "driver" &&
               (effect.verb == "insert" || effect.verb == "install")) {
      const auto name = text_argument(effect, "name");
      hardware_.modules[name] = outcome;
      if (outcome.ok) {
        live_since_.emplace(name, segment_.steps[it->second.step].event.time);
      }
    } else if (Content* content = content_of(effect, outcome)) {
      if (effect.handler == "probe") {
        content->probe = outcome;
      } else if (effect.verb == "examine") {
        content->examined[question(effect)] = outcome;
      } else if (effect.verb == "take") {
        content->taken[question(effect)] = outcome;
      } else {
        content->tools = outcome;
      }
    } else {
      reloads_ += effect.handler == "driver" && effect.verb == "reload" ? 1U : 0U;
      hardware_.answers[fmt::format("{} {} {}", effect.handler, effect.verb, subject_of(effect))] =
          outcome;
    }
  }

  // Arrays and maps go by what they are, not by the number they got.
  static std::string subject_of(const Effect& effect) {
    const auto uuid = text_argument(effect, "dm_uuid");
    return uuid.empty() ? effect.subject : uuid;
  }

  // The content that this effect asked about; nullptr for effects of another kind.
  Content* content_of(const Effect& effect, const Outcome& outcome) {
    const bool reads = effect.handler == "probe" && effect.verb == "read";
    const bool medium =
        effect.handler == "medium" &&
        (effect.verb == "examine" || effect.verb == "take" || effect.verb == "tools");
    if (!reads && !medium) {
      return nullptr;
    }
    const std::string devpath = text_argument(effect, "devpath");
    if (const auto part = part_of_.find(devpath); part != part_of_.end()) {
      std::uint64_t diskseq = current_diskseq(part->second);
      if (reads && outcome.ok && outcome.result.is_object() && outcome.result.contains("diskseq") &&
          outcome.result["diskseq"].is_number_unsigned()) {
        diskseq = std::max(diskseq, outcome.result["diskseq"].get<std::uint64_t>());
      }
      return &hardware_.contents[{devpath, diskseq}];
    }
    DeviceEvent asked;
    asked.action = Action::change;
    asked.devpath = devpath;
    const std::string identity = identity_of(asked);
    const auto built = hardware_.built.find(identity);
    if (built == hardware_.built.end()) {
      return &elsewhere_;
    }
    for (std::size_t i = 0; i < built->second.partitions.size(); ++i) {
      if (built->second.partitions[i].devpath == devpath) {
        return &built->second.partition_contents[i];
      }
    }
    return &built->second.content;
  }

  // A partition holds what its disk's generation holds.
  [[nodiscard]] std::uint64_t current_diskseq(std::size_t part) const {
    for (auto moment = hardware_.parts[part].life.rbegin();
         moment != hardware_.parts[part].life.rend(); ++moment) {
      if (const auto text = property_of(moment->event, "DISKSEQ"); !text.empty()) {
        return number(text);
      }
    }
    return 0;
  }

  void find_parents() {
    for (auto& part : hardware_.parts) {
      std::string_view above = part.devpath;
      while (!above.empty()) {
        above = above.substr(0, above.rfind('/') == std::string_view::npos ? 0 : above.rfind('/'));
        if (const auto it = part_of_.find(std::string(above)); it != part_of_.end()) {
          part.parent = it->second;
          break;
        }
      }
      for (const auto& name : slaves_of_[part.devpath]) {
        for (const auto& other : hardware_.parts) {
          if (other.is_block() && last_component(other.devpath) == name) {
            part.stands_on.insert(other.devpath);
          }
        }
      }
    }
    // Parents first; what a scan or the kernel reported earlier stays earlier.
    std::vector<std::size_t> order(hardware_.parts.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      order[i] = i;
    }
    const auto depth = [this](std::size_t i) {
      std::size_t deep = 0;
      for (auto above = hardware_.parts[i].parent; above; above = hardware_.parts[*above].parent) {
        ++deep;
      }
      return deep + (hardware_.parts[i].stands_on.empty() ? 0 : hardware_.parts.size());
    };
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(hardware_.parts[a].at_start ? 0 : 1, depth(a)) <
             std::pair(hardware_.parts[b].at_start ? 0 : 1, depth(b));
    });
    reorder(order);
  }

  // `order` lists the parts to be kept.
  void reorder(const std::vector<std::size_t>& order) {
    std::map<std::size_t, std::size_t> new_place;
    for (std::size_t i = 0; i < order.size(); ++i) {
      new_place[order[i]] = i;
    }
    std::vector<Part> parts;
    part_of_.clear();
    for (const auto old : order) {
      Part part = std::move(hardware_.parts[old]);
      while (part.parent && !new_place.contains(*part.parent)) {
        part.parent = hardware_.parts[*part.parent].parent;
      }
      if (part.parent) {
        part.parent = new_place[*part.parent];
      }
      part_of_[part.devpath] = parts.size();
      parts.push_back(std::move(part));
    }
    hardware_.parts = std::move(parts);
  }

  // A device needs the modules that the aliases of the devices above it stand for, as far as they
  // went in before it appeared.
  void find_modules() {
    for (auto& part : hardware_.parts) {
      if (part.at_start) {
        continue;
      }
      for (auto above = part.parent; above; above = hardware_.parts[*above].parent) {
        for (const auto& moment : hardware_.parts[*above].life) {
          const auto alias =
              hardware_.aliases.find(std::string(property_of(moment.event, "MODALIAS")));
          if (alias == hardware_.aliases.end()) {
            continue;
          }
          for (const auto& [reloads, answer] : alias->second) {
            add_modules(answer.result, part);
          }
        }
      }
    }
  }

  // A disk that was pulled and plugged in elsewhere is one disk: it cannot be in both places.
  void find_moves() {
    for (auto& part : hardware_.parts) {
      if (!part.is_disk()) {
        continue;
      }
      for (const auto& other : hardware_.parts) {
        if (&other == &part || !other.is_disk() || !gone(other) ||
            other.life.back().time > part.life.front().time) {
          continue;
        }
        if (last_component(other.devpath) == last_component(part.devpath) ||
            same_content(other.devpath, part.devpath)) {
          part.comes_after.insert(other.devpath);
        }
      }
    }
  }

  [[nodiscard]] bool same_content(const std::string& a, const std::string& b) const {
    const auto left = hardware_.contents.lower_bound({a, 0});
    const auto right = hardware_.contents.lower_bound({b, 0});
    if (left == hardware_.contents.end() || left->first.first != a ||
        right == hardware_.contents.end() || right->first.first != b || !left->second.probe ||
        !right->second.probe || !left->second.probe->result.is_object() ||
        !right->second.probe->result.is_object()) {
      return false;
    }
    const auto properties = left->second.probe->result.find("properties");
    const auto others = right->second.probe->result.find("properties");
    return properties != left->second.probe->result.end() &&
           others != right->second.probe->result.end() && !properties->empty() &&
           *properties == *others;
  }

  void add_modules(const Json& resolved, Part& part) const {
    if (!resolved.is_object() || !resolved.contains("modules") || !resolved["modules"].is_array()) {
      return;
    }
    for (const auto& module : resolved["modules"]) {
      const auto live = live_since_.find(text_result(module, "name"));
      if (live != live_since_.end() && live->second < part.life.front().time) {
        part.modules.insert(live->first);
      }
    }
  }

  // Devices that no effect was about, and that nothing which counts is below of: the hundreds of
  // ttys, bdis and work queues of any machine.
  void leave_out_the_irrelevant() {
    std::set<std::size_t> kept;
    for (std::size_t i = 0; i < hardware_.parts.size(); ++i) {
      const Part& part = hardware_.parts[i];
      const bool counts = part.is_block() || has_modules(part);
      if (counts) {
        for (std::optional<std::size_t> at = i; at; at = hardware_.parts[*at].parent) {
          kept.insert(*at);
        }
      }
    }
    hardware_.left_out = hardware_.parts.size() - kept.size();
    reorder({kept.begin(), kept.end()});
  }

  void count_lives() {
    for (auto& part : hardware_.parts) {
      if (!part.parent) {
        continue;
      }
      const auto& above = hardware_.parts[*part.parent].life;
      for (auto& moment : part.life) {
        moment.life_above = static_cast<std::size_t>(
            std::count_if(above.begin(), above.end(), [&](const Moment& earlier) {
              return earlier.event.action == Action::add && earlier.time <= moment.time;
            }));
      }
    }
  }

  [[nodiscard]] bool has_modules(const Part& part) const {
    return std::any_of(part.life.begin(), part.life.end(), [this](const Moment& moment) {
      const auto alias = hardware_.aliases.find(std::string(property_of(moment.event, "MODALIAS")));
      return alias != hardware_.aliases.end() &&
             std::any_of(alias->second.begin(), alias->second.end(), [](const auto& answer) {
               return answer.second.result.is_object() &&
                      answer.second.result.contains("modules") &&
                      !answer.second.result["modules"].empty();
             });
    });
  }

  const Segment& segment_;
  Hardware hardware_;
  std::size_t index_ = 0;
  bool scanned_ = false;
  bool launched_ = false;
  std::size_t reloads_ = 0;
  std::map<std::string, std::vector<std::pair<std::size_t, std::string>>> arrays_;  // by devpath
  std::map<std::string, std::string> map_of_;   // devpath of a dm device -> its UUID now
  std::map<std::string, std::size_t> part_of_;  // devpath
  std::map<std::string, std::set<std::string>> slaves_of_;
  std::map<EffectId, Sent> sent_;
  std::map<std::string, Micros> live_since_;  // modules, by when their insertion began
  Content elsewhere_;                         // of devices that the recording does not know
};

}  // namespace

bool Part::is_partition() const {
  return property_of(life.front().event, "DEVTYPE") == "partition";
}

std::string question(const Effect& effect) {
  Json asked = effect.arguments;
  if (asked.is_object()) {
    for (const auto* name : {"devno", "devpath", "name", "dev_name", "diskseq", "kernel"}) {
      asked.erase(name);
    }
  }
  return effect.verb + " " + to_line(asked);
}

Result<Hardware> hardware_of(const Segment& segment) {
  return Collector(segment).collect();
}

}  // namespace muster::replay
