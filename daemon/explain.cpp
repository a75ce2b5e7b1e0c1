#include "daemon/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "daemon/engine.h"
#include "handlers/target/target_binding.h"

namespace muster {
namespace {

constexpr std::size_t kMaxDepth = 16;
constexpr std::size_t kMostLines = 6;  // of one kind, for people; programs get all

std::string_view last_component(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

// Whether an effect of this handler is about this thing. What only one thing of a handler can be
// about (its requirement, or what bears its name) takes every effect of it.
bool is_about(const Thing& thing, std::string_view handler, std::string_view subject) {
  if (thing.owner != handler) {
    return false;
  }
  if (thing.requirement || thing.id == thing.owner) {
    return true;
  }
  const auto colon = thing.id.find(':');
  return (colon != std::string::npos && std::string_view(thing.id).substr(colon + 1) == subject) ||
         (!thing.devpath.empty() && last_component(thing.devpath) == subject) ||
         std::any_of(thing.names.begin(), thing.names.end(),
                     [&](const std::string& name) { return last_component(name) == subject; });
}

// "/dev/md0", as opposed to "/dev/md/0" and "/dev/mdadm".
bool is_numbered(std::string_view name) {
  return name.starts_with("/dev/md") && name.size() > 7 && name[7] >= '0' && name[7] <= '9';
}

}  // namespace

// A timer's name is "HANDLER/WHAT SUBJECT".
std::pair<std::string, Micros> deadline_of(const Engine& engine, const Thing& thing) {
  for (const auto& [name, at] : engine.timers()) {
    const auto slash = name.find('/');
    const auto blank = name.rfind(' ');
    if (slash != std::string::npos && blank != std::string::npos && slash < blank &&
        is_about(thing, std::string_view(name).substr(0, slash),
                 std::string_view(name).substr(blank + 1))) {
      return {name.substr(slash + 1, blank - slash - 1), at};
    }
  }
  return {};
}

std::vector<Needed> needed_things(const World& world, const Thing& by, const std::string& need) {
  std::vector<Needed> found;
  if (const Thing* thing = world.thing(need)) {
    // Where ISO files lie is not known before they are found.
    found.push_back({thing, by.owner == "medium" && thing->owner != by.owner});
    return found;
  }
  if (!need.starts_with("/dev/")) {
    return found;
  }
  for (const Thing* thing : world.things_named(need)) {
    found.push_back({thing, false});
  }
  const bool array = need.starts_with("/dev/md");
  const bool volume = !array && need.find('/', 5) != std::string::npos;
  if (!found.empty() || (!array && !volume) ||
      world.block_by_kernel_name(std::string_view(need).substr(5)) != nullptr) {
    return found;
  }
  for (const auto& [id, other] : world.things()) {
    if (other.state == State::ready || !other.devpath.empty() || id == by.id ||
        (other.owner != "md" && (array || other.owner != "lvm"))) {
      continue;
    }
    // A plan's array is that of its number; where a PV was is no more than a hint.
    if (array && by.requirement &&
        std::any_of(other.names.begin(), other.names.end(), is_numbered)) {
      continue;
    }
    found.push_back({&other, true});
  }
  return found;
}

std::vector<const Thing*> storage_without_driver(const World& world) {
  std::vector<const Thing*> found;
  constexpr std::string_view kPrefix = "driver:";
  for (auto it = world.things().lower_bound(kPrefix);
       it != world.things().end() && it->first.starts_with(kPrefix); ++it) {
    const auto alias = std::string_view(it->first).substr(kPrefix.size());
    // A modalias is upper case but for the names of its fields.
    const auto pci_class = alias.starts_with("pci:") ? alias.find("bc") : std::string_view::npos;
    const auto code =
        pci_class == std::string_view::npos ? std::string_view() : alias.substr(pci_class + 2);
    constexpr std::string_view kOthers[] = {"virtio:d00000002", "virtio:d00000008", "scsi:t-0x00",
                                            "scsi:t-0x05", "mmc:block"};
    if (code.starts_with("01") || code.starts_with("0Csc03") ||
        (alias.starts_with("usb:") && alias.find("ic08") != std::string_view::npos) ||
        std::any_of(std::begin(kOthers), std::end(kOthers),
                    [&](std::string_view other) { return alias.starts_with(other); })) {
      found.push_back(&it->second);
    }
  }
  return found;
}

namespace {

class Explainer {
 public:
  Explainer(const Engine& engine, Micros now)
      : engine_(engine), world_(engine.world()), now_(std::max(now, engine.now())) {}

  Json all() {
    Json chains = Json::array();
    Json met = Json::array();
    std::size_t requirements = 0;
    for (const auto& [id, thing] : world_.things()) {
      if (!thing.requirement) {
        continue;
      }
      ++requirements;
      if (thing.state == State::ready) {
        met.push_back(thing.what);
        told_.insert(id);
      } else {
        chains.push_back(link(thing));
      }
    }
    // The hopeless first: it is what somebody has to do something about.
    std::stable_sort(chains.begin(), chains.end(),
                     [](const Json& a, const Json& b) { return rank(a) < rank(b); });
    const Thing* launch = world_.thing("launch");
    const std::size_t met_count = met.size();
    if (launch != nullptr) {
      if (launch->state != State::ready && world_.phase() == Phase::gathering) {
        chains.push_back(link(*launch));
      }
      told_.insert(launch->id);
    }
    Json explained = header(summary(requirements, met_count, launch));
    explained["chains"] = std::move(chains);
    explained["met"] = std::move(met);
    explained["scanning"] = engine_.scanning() && world_.scanned();
    if (met_count < requirements && world_.phase() == Phase::gathering) {
      Json without_driver = Json::array();
      for (const Thing* driver : storage_without_driver(world_)) {
        without_driver.push_back(link(*driver));
      }
      explained["without_driver"] = std::move(without_driver);
      explained["disks"] = unbound_disks();
    }
    Json also = Json::array();
    for (const auto& [id, thing] : world_.things()) {
      if ((thing.state == State::broken || thing.state == State::impossible) &&
          !told_.contains(id)) {
        also.push_back(link(thing));
      }
    }
    explained["also"] = std::move(also);
    explained["under_way"] = other_effects();
    return explained;
  }

  Json about(const std::string& subject) {
    Json explained = header({});
    Json chains = Json::array();
    for (const auto& [id, thing] : world_.things()) {
      const bool named =
          std::find(thing.names.begin(), thing.names.end(), subject) != thing.names.end();
      const Device* device = thing.devpath.empty() ? nullptr : world_.find(thing.devpath);
      const bool is_device =
          device != nullptr && (device->kernel == subject || device->dev_name() == subject);
      if ((id == subject || named || is_device || thing.what.find(subject) != std::string::npos) &&
          !told_.contains(id)) {
        chains.push_back(link(thing));
      }
    }
    const std::string name = subject.starts_with("/dev/") ? subject.substr(5) : subject;
    if (const Device* device = world_.block_by_kernel_name(name)) {
      explained["device"] = device_json(*device);
    }
    explained["subject"] = subject;
    explained["chains"] = std::move(chains);
    return explained;
  }

 private:
  [[nodiscard]] Json header(std::string summary) const {
    Json problems = Json::array();
    for (const auto& diagnostic : world_.plan().diagnostics) {
      problems.push_back(to_text(diagnostic));
    }
    return {{"now_us", now_},
            {"phase", to_string(world_.phase())},
            {"mode", to_string(world_.plan().mode)},
            {"summary", std::move(summary)},
            {"problems", std::move(problems)}};
  }

  static int rank(const Json& chain) {
    const auto state = chain.value("state", std::string());
    return state == "impossible" ? 0 : state == "broken" ? 1 : state == "waiting" ? 2 : 3;
  }

  [[nodiscard]] std::string summary(std::size_t requirements, std::size_t met,
                                    const Thing* launch) const {
    const auto mode = to_string(world_.plan().mode);
    const std::string said = launch == nullptr ? std::string() : launch->why;
    switch (world_.phase()) {
      case Phase::launching:
        return fmt::format("{}: mondorestore is being started", mode);
      case Phase::restoring:
        return fmt::format("{}: {}; nothing is assembled or taken down any more", mode,
                           said.empty() ? "mondorestore runs" : said);
      case Phase::done:
        return fmt::format("{}: {}", mode, said);
      case Phase::gathering:
        break;
    }
    if (world_.plan().mode == Mode::expert) {
      return fmt::format("{}: a shell; nothing is waited for, mondorestore is not started", mode);
    }
    if (!world_.scanned()) {
      return fmt::format("{}: /sys is being read for the first time; {} of {} requirements are met",
                         mode, met, requirements);
    }
    if (requirements != 0 && met == requirements) {
      return fmt::format("{}: everything is met; mondorestore is not started yet", mode);
    }
    return fmt::format("{}: {} of {} requirements are met; mondorestore is not started", mode, met,
                       requirements);
  }

  Json effect_json(EffectId id, const Effect& effect) const {
    Json json = {{"handler", effect.handler},
                 {"verb", effect.verb},
                 {"subject", effect.subject},
                 {"since_us", engine_.sent(id)},
                 {"late", engine_.late().contains(id)}};
    if (effect.deadline_ms != 0) {
      json["due_us"] = engine_.sent(id) + effect.deadline_ms * 1000;
    }
    return json;
  }

  Json link(const Thing& thing, std::size_t depth = 0) {
    Json json = {{"id", thing.id},   {"what", thing.what},      {"state", to_string(thing.state)},
                 {"why", thing.why}, {"since_us", thing.since}, {"requirement", thing.requirement}};
    if (const Device* device = thing.devpath.empty() ? nullptr : world_.find(thing.devpath)) {
      json["device"] = device->dev_name();
    }
    if (const auto [then, due] = deadline_of(engine_, thing); due != 0) {
      json["then"] = then;
      json["due_us"] = due;
    }
    if (!thing.past.empty() && thing.state != State::ready) {
      Json& past = json["past"] = Json::array();
      for (const auto& [what, until] : thing.past) {
        past.push_back({{"what", what}, {"until_us", until}});
      }
    }
    if (!told_.insert(thing.id).second || depth >= kMaxDepth) {
      json["told"] = true;
      return json;
    }
    if (thing.state == State::ready) {
      return json;
    }
    Json under_way = Json::array();
    for (const auto& [id, effect] : engine_.pending()) {
      if (is_about(thing, effect.handler, effect.subject)) {
        under_way.push_back(effect_json(id, effect));
        told_effects_.insert(id);
      }
    }
    Json tried = Json::array();
    for (const auto& attempt : engine_.failed_attempts()) {
      if (is_about(thing, attempt.handler, attempt.subject)) {
        tried.push_back({{"handler", attempt.handler},
                         {"verb", attempt.verb},
                         {"subject", attempt.subject},
                         {"error", attempt.error},
                         {"last_us", attempt.last},
                         {"times", attempt.times}});
      }
    }
    Json needs = Json::array();
    for (const auto& id : thing.needs) {
      needed(id, thing, depth + 1, needs);
    }
    for (auto& [key, list] : {std::pair("under_way", &under_way), std::pair("tried", &tried),
                              std::pair("needs", &needs)}) {
      if (!list->empty()) {
        json[key] = std::move(*list);
      }
    }
    return json;
  }

  // `id`: of a thing, or the name under /dev that it had when it was last seen.
  void needed(const std::string& id, const Thing& by, std::size_t depth, Json& needs) {
    const auto things = needed_things(world_, by, id);
    for (const auto& [thing, perhaps] : things) {
      needs.push_back(link(*thing, depth));
      if (perhaps) {
        needs.back()["perhaps"] = true;
      }
    }
    if (!things.empty()) {
      return;
    }
    if (!id.starts_with("/dev/")) {
      needs.push_back({{"id", id}, {"what", id}, {"state", "unseen"}, {"why", ""}});
    } else if (const Device* device = world_.block_by_kernel_name(std::string_view(id).substr(5))) {
      needs.push_back({{"id", id},
                       {"what", id},
                       {"state", "there"},
                       {"why", "is there today, and " + content_of(*device)}});
    }
  }

  // Those that the missing disk of a nuke is none of.
  [[nodiscard]] Json unbound_disks() const {
    Json disks = Json::array();
    if (world_.plan().mode != Mode::nuke) {
      return disks;
    }
    std::set<const Device*> bound;
    bool missing = false;
    for (const auto& binding : target::bindings(world_)) {
      bound.insert(binding.disk);
      missing = missing || (binding.bound && binding.disk == nullptr && binding.conflict.empty());
    }
    for (const Device* device : world_.assigned("target")) {
      if (missing && device->property("DEVTYPE") == "disk" && device->size_bytes() != 0 &&
          !bound.contains(device) && !device->devpath.starts_with("/devices/virtual/") &&
          !device->kernel.starts_with("sr")) {
        disks.push_back(
            {{"name", device->dev_name()}, {"identity", target::identity_text(world_, *device)}});
      }
    }
    return disks;
  }

  [[nodiscard]] static std::string content_of(const Device& device) {
    if (!device.signature) {
      return "was not read yet";
    }
    const auto& properties = device.signature->properties;
    const auto type = properties.find("ID_FS_TYPE");
    std::string text = type                                    ? "holds " + std::string(*type)
                       : properties.find("ID_PART_TABLE_TYPE") ? "holds a partition table"
                                                               : "nothing is recognised on it";
    if (!device.signature->note.empty()) {
      text += " (" + device.signature->note + ")";
    }
    return text;
  }

  Json device_json(const Device& device) {
    Json json = {{"name", device.dev_name()},         {"devpath", device.devpath},
                 {"size_bytes", device.size_bytes()}, {"generation", device.diskseq},
                 {"content", content_of(device)},     {"since_us", device.since}};
    Json under_way = Json::array();
    for (const auto& [id, effect] : engine_.pending()) {
      if (effect.subject == device.kernel) {
        under_way.push_back(effect_json(id, effect));
      }
    }
    Json held_by = Json::array();
    for (const Thing* holder : world_.holders(device.devpath)) {
      held_by.push_back(holder->what);
    }
    json["under_way"] = std::move(under_way);
    json["held_by"] = std::move(held_by);
    return json;
  }

  Json other_effects() const {
    Json effects = Json::array();
    for (const auto& [id, effect] : engine_.pending()) {
      // That mondorestore is followed, and what follows its end, is the summary.
      if (!told_effects_.contains(id) && effect.handler != "launch") {
        effects.push_back(effect_json(id, effect));
      }
    }
    std::stable_sort(effects.begin(), effects.end(), [](const Json& a, const Json& b) {
      return a.at("late").get<bool>() > b.at("late").get<bool>();
    });
    return effects;
  }

  const Engine& engine_;
  const World& world_;
  Micros now_;
  std::set<std::string> told_;
  std::set<EffectId> told_effects_;
};

// --- for people

struct Phrase {
  std::string_view handler;
  std::string_view verb;
  std::string_view text;  // "{}": the subject
};

// What is done, as an operator would say it.
constexpr Phrase kPhrases[] = {
    {"probe", "read", "reading {}"},
    {"md", "assemble", "starting {}"},
    {"md", "mdadm_assemble", "starting {} with mdadm"},
    {"md", "stop", "stopping {}"},
    {"md", "start_ro", "having arrays start read-only"},
    {"lvm", "create", "activating {}"},
    {"lvm", "activate", "activating {} with lvm"},
    {"lvm", "remove", "taking {} down"},
    {"lvm", "deactivate", "taking {} down with lvm"},
    {"driver", "resolve", "looking for a module for {}"},
    {"driver", "insert", "loading {}"},
    {"driver", "install", "loading {} by its install command"},
    {"driver", "reload", "reading the module trees"},
    {"medium", "poll", "having {} report changes of its disc"},
    {"medium", "examine", "looking for a backup on {}"},
    {"medium", "take", "mounting {}"},
    {"medium", "tools", "unpacking the tools on {}"},
    {"medium", "release", "unmounting {}"},
    {"launch", "prepare", "preparing the system for mondorestore"},
    {"launch", "filter", "hiding volume groups from LVM"},
    {"launch", "run", "starting mondorestore"},
    {"node", "node", "making {}"},
    {"node", "link", "making {}"},
    {"node", "unlink", "removing {}"},
};

// Below the line of the array or volume that it is about, its id need not be told again.
std::string phrase(const Json& effect, bool below_it) {
  const auto handler = effect.value("handler", std::string());
  const auto verb = effect.value("verb", std::string());
  std::string subject = effect.value("subject", std::string());
  if (below_it && (handler == "md" || handler == "lvm")) {
    subject = "it";
  } else if (subject.starts_with("/devices/")) {
    subject = last_component(subject);
  }
  for (const auto& known : kPhrases) {
    if (known.handler == handler && known.verb == verb) {
      std::string text(known.text);
      const auto at = text.find("{}");
      return at == std::string::npos ? text : text.replace(at, 2, subject);
    }
  }
  return fmt::format("{} {} of {}", handler, verb, subject);
}

std::string span(Micros micros) {
  const auto tenths = std::max<Micros>(micros, 0) / 100'000;
  const auto seconds = tenths / 10;
  if (seconds < 100) {
    return fmt::format("{}.{} s", seconds, tenths % 10);
  }
  if (seconds < 2 * 3600) {
    return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  }
  return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
}

class Teller {
 public:
  explicit Teller(const Json& explained)
      : explained_(explained), now_(explained.value("now_us", Micros{0})) {}

  std::string text() {
    const Json none = Json::array();
    const auto list = [&](const Json& of, const char* key) -> const Json& {
      const auto it = of.find(key);
      return it == of.end() ? none : *it;
    };
    if (const auto summary = explained_.value("summary", std::string()); !summary.empty()) {
      line(0, summary);
    }
    for (const auto& problem : list(explained_, "problems")) {
      line(0, "problem: " + problem.get<std::string>());
    }
    const auto& chains = list(explained_, "chains");
    const auto phase = explained_.value("phase", std::string());
    if (!chains.empty() && !explained_.contains("subject") && phase != "gathering") {
      line(0, "started although this was not met:");
    }
    for (const auto& chain : chains) {
      link(chain, 0);
    }
    if (const auto& met = list(explained_, "met"); !met.empty()) {
      std::string text;
      for (const auto& what : met) {
        text += (text.empty() ? "" : "; ") + what.get<std::string>();
      }
      line(0, "met: " + text);
    }
    if (const auto& also = list(explained_, "also"); !also.empty()) {
      line(0, "besides:");
      for (const auto& each : also) {
        link(each, 1);
      }
    }
    if (const auto& without = list(explained_, "without_driver"); !without.empty()) {
      line(0, "what is not seen may be behind:");
      for (const auto& each : without) {
        link(each, 1);
      }
    }
    if (const auto& disks = list(explained_, "disks"); !disks.empty()) {
      line(0, "other disks here:");
      each(explained_, "disks", 1, [](const Json& disk) {
        return fmt::format("{} ({})", disk.value("name", std::string()),
                           disk.value("identity", std::string()));
      });
    }
    if (explained_.value("scanning", false)) {
      line(0, "/sys is being read once more: uevents were lost");
    }
    Json under_way = Json::array();
    for (const auto& effect : list(explained_, "under_way")) {
      // Nodes are made in no time; what is held up is told.
      if (effect.value("handler", std::string()) != "node" || effect.value("late", false)) {
        under_way.push_back(effect);
      }
    }
    if (!under_way.empty()) {
      line(0, "under way:");
      effects({{"under_way", std::move(under_way)}}, 1, false);
    }
    if (const auto device = explained_.find("device"); device != explained_.end()) {
      this->device(*device);
    }
    if (explained_.contains("subject") && chains.empty() && !explained_.contains("device")) {
      line(0, explained_.value("subject", std::string()) + ": nothing known by this name");
    }
    return std::move(out_);
  }

 private:
  // Texts hold names from disks: nothing that moves a cursor leaves here.
  void line(std::size_t depth, const std::string& text) {
    out_.append(2 * depth, ' ');
    for (const char c : text) {
      out_.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
    }
    out_.push_back('\n');
  }

  [[nodiscard]] std::string since(const Json& json, const char* key = "since_us") const {
    return span(now_ - json.value(key, now_));
  }

  void link(const Json& link, std::size_t depth) {
    const auto state = link.value("state", std::string());
    const auto why = link.value("why", std::string());
    std::string text = link.value("what", std::string());
    if (state == "ready") {
      text += link.value("requirement", false) ? ": met" : ": up";
      if (link.contains("device")) {
        text += " as " + link.value("device", std::string());
      }
      line(depth, text + (why.empty() ? "" : ": " + why));
      return;
    }
    if (state == "there") {
      line(depth, text + " " + why);
      return;
    }
    if (state == "unseen") {
      line(depth, text + ": not seen");
      return;
    }
    if (link.value("perhaps", false)) {
      text = "may depend on " + text;
    }
    if (link.value("told", false) && depth != 0) {
      line(depth, text + ": see above");
      return;
    }
    text += state == "waiting"   ? ": waiting for " + since(link)
            : state == "working" ? ": under way for " + since(link)
            : state == "broken"  ? ": failed " + since(link) + " ago"
                                 : ": impossible, known for " + since(link);
    line(depth, text + (why.empty() ? "" : why.starts_with("until ") ? " " + why : ": " + why));
    if (link.value("told", false)) {
      return;
    }
    const auto due = link.value("due_us", Micros{0});
    if (due != 0) {
      line(depth + 1,
           due > now_ ? fmt::format("{} in {}", link.value("then", std::string()), span(due - now_))
                      : fmt::format("{} is due", link.value("then", std::string())));
    }
    each(link, "past", depth + 1, [&](const Json& past) {
      return fmt::format("{} {} ago", past.value("what", std::string()), since(past, "until_us"));
    });
    each(link, "tried", depth + 1, [&](const Json& attempt) {
      const auto times = attempt.value("times", 1U);
      const auto error = attempt.value("error", std::string());
      return fmt::format("tried {}{} ago: {}{}",
                         times > 1 ? fmt::format("{} times, last ", times) : "",
                         since(attempt, "last_us"), phrase(attempt, true),
                         why.find(error) != std::string::npos ? "" : ": " + error);
    });
    effects(link, depth + 1, true);
    if (const auto needs = link.find("needs"); needs != link.end()) {
      for (const auto& need : *needs) {
        this->link(need, depth + 1);
      }
    }
  }

  template <typename Tell>
  void each(const Json& of, const char* key, std::size_t depth, const Tell& tell) {
    const auto list = of.find(key);
    std::size_t told = 0;
    for (const auto& item : list == of.end() ? Json::array() : *list) {
      if (++told > kMostLines) {
        line(depth, fmt::format("and {} more", list->size() - kMostLines));
        return;
      }
      line(depth, tell(item));
    }
  }

  void effects(const Json& of, std::size_t depth, bool below_it) {
    each(of, "under_way", depth, [&](const Json& effect) {
      const auto due = effect.value("due_us", Micros{0});
      const bool late = effect.value("late", false);
      return fmt::format("{}: for {}{}", phrase(effect, below_it), since(effect),
                         late       ? ", overdue for " + span(now_ - due)
                         : due != 0 ? ", overdue in " + span(due - now_)
                                    : std::string());
    });
  }

  void device(const Json& device) {
    line(0, fmt::format("{}: {} MiB, generation {}, {}; there for {}",
                        device.value("name", std::string()),
                        device.value("size_bytes", std::uint64_t{0}) >> 20,
                        device.value("generation", std::uint64_t{0}),
                        device.value("content", std::string()), since(device)));
    line(1, "at " + device.value("devpath", std::string()));
    for (const auto& holder : device.value("held_by", Json::array())) {
      line(1, "used by " + holder.get<std::string>());
    }
    effects(device, 1, false);
  }

  const Json& explained_;
  Micros now_;
  std::string out_;
};

}  // namespace

Json explain_json(const Engine& engine, const std::string& subject, Micros now) {
  Explainer explainer(engine, now);
  return subject.empty() ? explainer.all() : explainer.about(subject);
}

std::string explain_text(const Json& explained) {
  return Teller(explained).text();
}

std::string explain_text(const Engine& engine, const std::string& subject) {
  return explain_text(explain_json(engine, subject, engine.now()));
}

Json status_json(const Engine& engine) {
  const World& world = engine.world();
  Json things = Json::array();
  for (const auto& [id, thing] : world.things()) {
    const Device* device = thing.devpath.empty() ? nullptr : world.find(thing.devpath);
    things.push_back({{"id", id},
                      {"owner", thing.owner},
                      {"what", thing.what},
                      {"state", to_string(thing.state)},
                      {"why", thing.why},
                      {"needs", thing.needs},
                      {"names", thing.names},
                      {"device", device == nullptr ? std::string() : device->dev_name()},
                      {"requirement", thing.requirement},
                      {"doomed", thing.doomed},
                      {"since_us", thing.since}});
    if (const auto [then, due] = deadline_of(engine, thing); due != 0) {
      things.back()["then"] = then;
      things.back()["due_us"] = due;
    }
  }
  Json late = Json::array();
  for (const auto id : engine.late()) {
    const auto& effect = engine.pending().at(id);
    late.push_back(
        {{"handler", effect.handler}, {"verb", effect.verb}, {"subject", effect.subject}});
  }
  Json diagnostics = Json::array();
  for (const auto& diagnostic : world.plan().diagnostics) {
    diagnostics.push_back(to_text(diagnostic));
  }
  return {{"phase", to_string(world.phase())},
          {"mode", to_string(world.plan().mode)},
          {"plan_from", world.plan().from_medium ? "medium" : "image"},
          {"now_us", engine.now()},
          {"scanned", world.scanned()},
          {"devices", world.device_count()},
          {"things", std::move(things)},
          {"late", std::move(late)},
          {"diagnostics", std::move(diagnostics)},
          {"reports", engine.reports()}};
}

}  // namespace muster
