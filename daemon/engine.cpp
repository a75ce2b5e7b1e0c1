#include "daemon/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "daemon/explain.h"

namespace muster {
namespace {

constexpr std::size_t kReportsKept = 8;
constexpr std::size_t kAttemptsKept = 64;
// Far above what any machine needs in one step; a policy that never settles is a bug, not a reason
// to hang.
constexpr std::size_t kNoticesPerStep = 200'000;

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::optional<Devno> devno_of(const Properties& properties) {
  const auto major = properties.find("MAJOR");
  const auto minor = properties.find("MINOR");
  if (major == properties.end() || minor == properties.end()) {
    return std::nullopt;
  }
  return Devno{static_cast<std::uint32_t>(number(major->second)),
               static_cast<std::uint32_t>(number(minor->second))};
}

// A device as the rules see it: its properties, what the probe found, what earlier rules assigned.
class MatchView final : public rules::DeviceView {
 public:
  MatchView(const World& world, const Device& device, Action action)
      : world_(world), device_(device), action_(action) {}

  [[nodiscard]] std::string_view action() const override { return to_string(action_); }
  [[nodiscard]] std::string_view kernel() const override { return device_.kernel; }
  [[nodiscard]] std::string_view subsystem() const override { return device_.subsystem; }
  [[nodiscard]] std::string_view driver() const override { return device_.property("DRIVER"); }
  [[nodiscard]] std::string_view devpath() const override { return device_.devpath; }
  [[nodiscard]] std::optional<std::string_view> env(std::string_view key) const override {
    if (device_.signature) {
      if (const auto found = device_.signature->properties.find(key)) {
        return found;
      }
    }
    return device_.properties.find(key);
  }
  [[nodiscard]] std::optional<std::string_view> attr(std::string_view name) const override {
    return device_.attributes.find(name);
  }
  [[nodiscard]] const std::set<std::string>& tags() const override {
    return device_.matched == nullptr ? DeviceView::tags() : device_.matched->tags;
  }
  [[nodiscard]] const rules::DeviceView* parent() const override {
    if (!parent_looked_up_) {
      parent_looked_up_ = true;
      if (const Device* above = world_.parent(device_)) {
        parent_ = std::make_unique<MatchView>(world_, *above, action_);
      }
    }
    return parent_.get();
  }

 private:
  const World& world_;
  const Device& device_;
  Action action_;
  mutable std::unique_ptr<MatchView> parent_;
  mutable bool parent_looked_up_ = false;
};

// What belongs to the event and not to the device would make equal devices differ.
bool is_transient(std::string_view property) {
  static constexpr auto kTransient = std::to_array<std::string_view>(
      {"ACTION", "DEVPATH_OLD", "DISK_EJECT_REQUEST", "DISK_MEDIA_CHANGE", "DISK_RO", "DM_ACTION",
       "DM_COOKIE", "DM_SEQNUM", "RESIZE", "SEQNUM", "SYNTH_UUID"});
  static_assert(std::is_sorted(kTransient.begin(), kTransient.end()));
  return std::binary_search(kTransient.begin(), kTransient.end(), property);
}

// Whether nothing but what belongs to the event differs.
bool says_the_same(const TextTable& known, const Properties& told) {
  std::size_t at = 0;
  for (const auto& [name, value] : told) {
    if (at < known.size()) {
      if (const NamedText text = known.at(at); text.name == name) {
        if (text.value != value) {
          return false;
        }
        ++at;
        continue;
      }
    }
    if (!is_transient(name)) {
      return false;
    }
  }
  return at == known.size();
}

// Whether all that was read now is known already.
bool says_the_same(const TextTable& known, const Attributes& read) {
  std::size_t at = 0;
  for (const auto& [name, value] : read) {
    NamedText text;
    int order = 0;
    do {
      if (at == known.size()) {
        return false;
      }
      text = known.at(at++);
      order = text.name.compare(name);
    } while (order < 0);
    if (order != 0 || text.value != value) {
      return false;
    }
  }
  return true;
}

bool is_among(const std::vector<std::string>& names, std::string_view name) {
  return std::binary_search(names.begin(), names.end(), name, std::less<>());
}

// The attributes that were read now, and those that were known before. `differs` becomes true where
// one of these names does.
void merge(const TextTable& known, const Attributes& read, const std::vector<std::string>& names,
           std::vector<NamedText>& all, bool& differs) {
  all.clear();
  all.reserve(read.size() + known.size());
  std::size_t at = 0;
  for (const auto& [name, value] : read) {
    int order = 1;
    NamedText before;
    while (at < known.size()) {
      before = known.at(at);
      order = before.name.compare(name);
      if (order >= 0) {
        break;
      }
      all.push_back(before);
      ++at;
    }
    const bool is_known = at < known.size() && order == 0;
    all.push_back({name, value});
    if (!differs && (!is_known || before.value != all.back().value)) {
      differs = is_among(names, name);
    }
    at += is_known ? 1 : 0;
  }
  while (at < known.size()) {
    all.push_back(known.at(at++));
  }
}

// Whether one of these names has another value; both are in order.
bool differs_in(const std::vector<std::string>& names, const TextTable& known,
                std::span<const NamedText> now) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    const auto it =
        std::lower_bound(now.begin(), now.end(), name,
                         [](const NamedText& text, std::string_view of) { return text.name < of; });
    return known.find(name) !=
           (it != now.end() && it->name == name ? it->value : std::optional<std::string_view>());
  });
}

}  // namespace

class Engine::PolicyContext final : public Context {
 public:
  PolicyContext(Engine& engine, std::size_t index, std::string name)
      : engine_(engine), index_(index), name_(std::move(name)) {}

  [[nodiscard]] const World& world() const override { return engine_.world_; }
  [[nodiscard]] Micros now() const override { return engine_.now_; }
  EffectId want(std::string_view verb, std::string subject, Json arguments,
                std::int64_t deadline_ms, std::string_view lane) override {
    return engine_.send(name_, verb, std::move(subject), std::move(arguments), deadline_ms, lane);
  }
  [[nodiscard]] bool pending(EffectId id) const override { return engine_.pending_.contains(id); }
  [[nodiscard]] bool at_work_on(std::string_view devpath) const override {
    return std::any_of(engine_.pending_.begin(), engine_.pending_.end(), [&](const auto& entry) {
      const auto& [id, effect] = entry;
      if (engine_.late_.contains(id) || !effect.arguments.is_object()) {
        return false;
      }
      const auto it = effect.arguments.find("devpath");
      if (it == effect.arguments.end() || !it->is_string()) {
        return false;
      }
      const std::string_view of = it->template get_ref<const std::string&>();
      return of.starts_with(devpath) && (of.size() == devpath.size() || of[devpath.size()] == '/');
    });
  }
  void set_timer(std::string_view name, Micros at) override {
    engine_.timers_[fmt::format("{}/{}", name_, name)] = at;
    engine_.effects_.push_back(Effect{.id = engine_.next_id_++,
                                      .handler = "timer",
                                      .verb = "set",
                                      .subject = name_ + "/" + std::string(name),
                                      .arguments = {{"at", at}},
                                      .deadline_ms = 0,
                                      .lane = {}});
  }
  void cancel_timer(std::string_view name) override {
    engine_.timers_.erase(fmt::format("{}/{}", name_, name));
    engine_.effects_.push_back(Effect{.id = engine_.next_id_++,
                                      .handler = "timer",
                                      .verb = "cancel",
                                      .subject = name_ + "/" + std::string(name),
                                      .arguments = Json::object(),
                                      .deadline_ms = 0,
                                      .lane = {}});
  }
  void publish(Thing thing) override { engine_.publish(name_, std::move(thing)); }
  void withdraw(std::string_view id) override { engine_.withdraw(name_, id); }
  void request(std::string_view id) override {
    if (engine_.requests_.insert(std::string(id)).second) {
      engine_.notices_.push_back({.kind = Notice::Kind::request, .id = std::string(id)});
    }
  }
  void set_signature(std::string_view devpath, Signature signature) override {
    if (Device* device = engine_.world_.devices_.find(devpath)) {
      signature.properties.share_names(engine_.world_.names_);
      device->signature = std::move(signature);
      engine_.rematch(*device, true, Action::change, name_);
    }
  }
  void clear_signature(std::string_view devpath) override {
    Device* device = engine_.world_.devices_.find(devpath);
    if (device != nullptr && device->signature) {
      device->signature.reset();
      device->settled = {};
      engine_.rematch(*device, true, Action::change, name_);
    }
  }
  void read_again(std::string_view devpath) override {
    engine_.effects_.push_back(Effect{.id = engine_.next_id_++,
                                      .handler = "source",
                                      .verb = "read",
                                      .subject = std::string(devpath),
                                      .arguments = Json::object(),
                                      .deadline_ms = 0,
                                      .lane = {}});
  }
  void set_medium_files(Json files) override {
    if (engine_.medium_files_ != files) {
      engine_.medium_files_ = std::move(files);
      engine_.remake_plan();
    }
  }
  void set_phase(Phase phase) override {
    if (engine_.world_.phase_ != phase) {
      engine_.world_.phase_ = phase;
      engine_.tell_plan();
      engine_.answer_waiters();
    }
  }
  void reply(const Command& command, Json answer) override {
    engine_.effects_.push_back(
        Effect{.id = engine_.next_id_++,
               .handler = "control",
               .verb = "reply",
               .subject = command.verb,
               .arguments = {{"client", command.client}, {"answer", std::move(answer)}},
               .deadline_ms = 0,
               .lane = {}});
  }
  void report(std::string text) override {
    engine_.effects_.push_back(Effect{.id = engine_.next_id_++,
                                      .handler = "report",
                                      .verb = "line",
                                      .subject = text,
                                      .arguments = {{"by", name_}},
                                      .deadline_ms = 0,
                                      .lane = {}});
    engine_.note(std::move(text));
  }
  void touch() override { engine_.slots_[index_].touched = true; }

 private:
  Engine& engine_;
  std::size_t index_;
  std::string name_;
};

Engine::Engine(rules::RuleSet rules, std::vector<std::unique_ptr<Policy>> policies)
    : rules_(std::move(rules)) {
  for (auto& policy : policies) {
    const auto index = slots_.size();
    std::string name(policy->name());
    const auto view = policy->name();
    slots_.push_back({std::move(policy),
                      std::make_unique<PolicyContext>(*this, index, std::move(name)), view, false});
  }
}

Engine::~Engine() = default;

std::vector<Effect> Engine::on(const Event& event) {
  now_ = std::max(now_, event.time);
  effects_.clear();
  // What executors answer is well-formed; a journal edited by hand need not be. Either way one
  // event is lost, not the daemon.
  try {
    std::visit([this](const auto& body) { apply(body); }, event.body);
    if (world_.phase() == Phase::launching) {
      for (auto& each : slots_) {
        each.touched = true;
      }
    }
    drain();
  } catch (const std::exception& e) {
    notices_.clear();
    ++era_;
    note(fmt::format("an event could not be used: {}", e.what()));
  }
  return std::move(effects_);
}

void Engine::apply(const FactsRead& event) {
  const bool first = facts_.is_null();
  facts_ = event.facts;
  remake_plan();
  if (first) {
    scan();
  }
}

void Engine::apply(const DeviceEvent& event) {
  if (event.devpath.empty()) {
    return;
  }
  if (event.action == Action::remove) {
    remove_device(event.devpath);
    return;
  }
  if (event.action == Action::move) {
    if (const auto old = event.properties.find("DEVPATH_OLD"); old != event.properties.end()) {
      remove_device(old->second);
    }
  }
  Device* known = world_.devices_.find(event.devpath);
  const bool same_properties = known != nullptr && known->subsystem == event.subsystem &&
                               says_the_same(known->properties, event.properties);
  const bool same_attributes =
      known != nullptr && says_the_same(known->attributes, event.attributes);
  if (same_properties && same_attributes && known->settled.era == era_) {
    if (event.action == Action::change && !known->handlers().empty()) {
      notices_.push_back({.kind = Notice::Kind::device_as_before,
                          .device = known->devpath,
                          .told = known->matched});
    }
    return;
  }
  const bool was_settled = known != nullptr && known->settled.era != 0;
  // Then its number is the same, and what leads to it by number or name.
  const bool same_identity = same_properties && was_settled;
  const auto devno = same_identity ? known->devno : devno_of(event.properties);
  if (known != nullptr && (known->devno != devno || known->subsystem != event.subsystem)) {
    // Another device under the same path: its removal was not seen.
    remove_device(event.devpath);
    known = nullptr;
  }
  const bool is_new = known == nullptr;
  Device& device = is_new ? world_.upsert(event.devpath) : *known;
  if (is_new) {
    device.since = now_;
    device.devno = devno;
    device.subsystem = event.subsystem;
  }
  device.settled = {};
  const auto& asked = rules_.questions(device.subsystem);
  bool judge = is_new || !was_settled || !asked.device_alone;
  // Of changes the kernel says no more than that something did; of a scan or a bind, only
  // differences count.
  bool changed = is_new || event.action == Action::change;
  if (is_new || !same_properties) {
    changed = true;
    texts_.clear();
    for (const auto& [name, value] : event.properties) {
      if (!is_transient(name)) {
        texts_.push_back({name, value});
      }
    }
    judge = judge || differs_in(asked.properties, device.properties, texts_);
    device.properties.replace(texts_, world_.names_);
  }
  if (is_new || !same_attributes) {
    changed = true;
    merge(device.attributes, event.attributes, asked.attributes, texts_, judge);
    device.attributes.replace(texts_, world_.names_);
  }
  if (is_new || !same_identity) {
    if (const auto it = event.properties.find("DISKSEQ");
        it != event.properties.end() && !device.is_partition()) {
      const auto diskseq = number(it->second);
      if (diskseq > device.diskseq) {
        device.diskseq = diskseq;
        if (device.signature && device.signature->diskseq < diskseq) {
          device.signature.reset();
          judge = true;
        }
      }
    }
    world_.index(device);
  }
  if (judge) {
    rematch(device, changed, event.action);
  } else if (changed) {
    tell(device, device.matched);
  }
  device.settled.era = changed && asked.device_alone ? era_ : 0;
}

void Engine::apply(const ScanDone& event) {
  scanning_ = false;
  const std::set<std::string_view> present(event.devpaths.begin(), event.devpaths.end());
  for (const Device* device : world_.devices_sorted()) {
    if (!present.contains(device->devpath)) {
      remove_device(Devpath(device->devpath));
    }
  }
  if (!world_.scanned_) {
    world_.scanned_ = true;
    tell_plan();
  }
  if (scan_again_) {
    scan_again_ = false;
    scan();
  }
}

void Engine::apply(const EventsLost& event) {
  note(fmt::format("uevents were lost ({}): reading /sys again", event.reason));
  scan();
}

void Engine::apply(const EffectDone& event) {
  const auto it = pending_.find(event.id);
  if (it == pending_.end()) {
    return;
  }
  const Effect effect = std::move(it->second);
  pending_.erase(it);
  sent_.erase(event.id);
  late_.erase(event.id);
  remember(effect, event);
  if (Slot* owner = slot(effect.handler)) {
    owner->policy->done(effect, event, *owner->context);
    owner->touched = true;
  }
}

void Engine::apply(const EffectLate& event) {
  const auto it = pending_.find(event.id);
  if (it == pending_.end()) {
    return;
  }
  late_.insert(event.id);
  if (Slot* owner = slot(it->second.handler)) {
    const Effect effect = it->second;
    owner->policy->late(effect, *owner->context);
    owner->touched = true;
  }
}

void Engine::apply(const TimerDue& event) {
  timers_.erase(event.name);
  const auto slash = event.name.find('/');
  if (slash == std::string::npos) {
    return;
  }
  if (Slot* owner = slot(std::string_view(event.name).substr(0, slash))) {
    owner->policy->timer(std::string_view(event.name).substr(slash + 1), *owner->context);
    owner->touched = true;
  }
}

void Engine::apply(const Command& event) {
  for (auto& each : slots_) {
    if (each.policy->command(event, *each.context)) {
      each.touched = true;
      return;
    }
  }
  auto& context = *slots_.front().context;
  if (event.verb == "wait") {
    waiters_.push_back(event);
    answer_waiters();
  } else if (event.verb == "status") {
    context.reply(event, status_json(*this));
  } else if (event.verb == "explain") {
    Json chain = explain_json(*this, event.arguments.value("subject", std::string()), now_);
    context.reply(event, event.arguments.value("json", false)
                             ? std::move(chain)
                             : Json{{"text", explain_text(chain)}});
  } else {
    context.reply(event, {{"error", fmt::format("unknown command '{}'", event.verb)}});
  }
}

void Engine::answer_waiters() {
  if (world_.phase_ == Phase::gathering || world_.phase_ == Phase::launching) {
    return;
  }
  for (const auto& waiter : std::exchange(waiters_, {})) {
    slots_.front().context->reply(waiter, {{"phase", to_string(world_.phase_)}});
  }
}

void Engine::remove_device(std::string_view devpath) {
  const Device* known = world_.find(devpath);
  if (known == nullptr) {
    return;
  }
  const auto gone = std::make_shared<const Device>(world_.take(*known));
  doom_what_stands_on(gone->devpath);
  if (gone->matched != nullptr) {
    notices_.push_back({.kind = Notice::Kind::device_gone, .gone = gone, .told = gone->matched});
  }
}

void Engine::rematch(Device& device, bool changed, Action action, std::string_view by) {
  const auto before =
      std::exchange(device.matched, rules_.match(MatchView(world_, device, action), outcomes_));
  // The handlers of the one that are not the other's.
  const auto without = [](const rules::Outcome* some, const rules::Outcome* others) {
    rules::Outcome rest;
    for (std::size_t i = 0; some != nullptr && i < some->handlers.size(); ++i) {
      if (others == nullptr || std::find(others->handlers.begin(), others->handlers.end(),
                                         some->handlers[i]) == others->handlers.end()) {
        rest.handlers.push_back(some->handlers[i]);
      }
    }
    return rest;
  };
  rules::Outcome left;
  rules::Outcome entered;
  if (before != device.matched) {
    left = without(before.get(), device.matched.get());
    entered = without(device.matched.get(), before.get());
  }
  for (const auto& handler : left.handlers) {
    world_.assigned_[handler].erase(device.devpath);
  }
  for (const auto& handler : entered.handlers) {
    world_.assigned_[handler].insert(device.devpath);
  }
  if (!left.handlers.empty()) {
    notices_.push_back({.kind = Notice::Kind::device_gone,
                        .gone = std::make_shared<Device>(device),
                        .told = std::make_shared<const rules::Outcome>(std::move(left))});
  }
  if (!changed && entered.handlers.empty()) {
    return;
  }
  tell(device,
       changed ? device.matched : std::make_shared<const rules::Outcome>(std::move(entered)), by);
}

void Engine::tell(const Device& device, std::shared_ptr<const rules::Outcome> told,
                  std::string_view by) {
  if (!told->handlers.empty()) {
    notices_.push_back({.kind = Notice::Kind::device,
                        .device = device.devpath,
                        .told = std::move(told),
                        .knows = by});
  }
}

void Engine::doom_what_stands_on(std::string_view devpath) {
  std::vector<std::string> unvisited{std::string(devpath)};
  while (!unvisited.empty()) {
    const std::string path = std::move(unvisited.back());
    unvisited.pop_back();
    const auto it = world_.ids_on_.find(path);
    if (it == world_.ids_on_.end()) {
      continue;
    }
    for (const auto& id : it->second) {
      Thing& thing = world_.things_.find(id)->second;
      if (thing.doomed) {
        continue;
      }
      thing.doomed = true;
      ++world_.things_revision_;
      notices_.push_back({.kind = Notice::Kind::thing, .id = id});
      if (!thing.devpath.empty()) {
        unvisited.push_back(thing.devpath);
        if (const Device* device = world_.find(thing.devpath)) {
          for (const Device* partition : world_.partitions(*device)) {
            unvisited.push_back(partition->devpath.str());
          }
        }
      }
    }
  }
}

void Engine::publish(std::string_view owner, Thing thing) {
  thing.owner = owner;
  thing.doomed = std::any_of(thing.on.begin(), thing.on.end(),
                             [this](const std::string& devpath) { return world_.lost(devpath); });
  thing.since = now_;
  if (const Thing* old = world_.thing(thing.id)) {
    if (old->state == thing.state) {
      thing.since = old->since;
    }
    if (old->state == thing.state && old->why == thing.why && old->what == thing.what &&
        old->needs == thing.needs && old->past == thing.past && old->names == thing.names &&
        old->devpath == thing.devpath && old->on == thing.on &&
        old->requirement == thing.requirement && old->doomed == thing.doomed) {
      return;
    }
  }
  const std::string id = thing.id;
  const std::string devpath = thing.devpath;
  const bool doomed = thing.doomed;
  world_.put(std::move(thing));
  notices_.push_back({.kind = Notice::Kind::thing, .id = id});
  if (doomed && !devpath.empty()) {
    doom_what_stands_on(devpath);
  }
}

void Engine::withdraw(std::string_view owner, std::string_view id) {
  const Thing* old = world_.thing(id);
  if (old == nullptr || old->owner != owner) {
    return;
  }
  auto withdrawn = std::make_shared<Thing>(*old);
  world_.drop(id);
  notices_.push_back({.kind = Notice::Kind::thing_withdrawn, .withdrawn = withdrawn});
}

void Engine::remake_plan() {
  world_.plan_ = make_plan(facts_, medium_files_);
  tell_plan();
}

void Engine::tell_plan() {
  ++era_;
  notices_.push_back({.kind = Notice::Kind::plan});
}

void Engine::drain() {
  for (std::size_t delivered = 0; delivered < kNoticesPerStep; ++delivered) {
    if (!notices_.empty()) {
      const Notice notice = std::move(notices_.front());
      notices_.pop_front();
      deliver(notice);
      continue;
    }
    const auto touched =
        std::find_if(slots_.begin(), slots_.end(), [](const Slot& each) { return each.touched; });
    if (touched == slots_.end()) {
      return;
    }
    touched->touched = false;
    touched->policy->decide(*touched->context);
  }
  notices_.clear();
  ++era_;
  note("internal error: the policies do not settle; this event was cut off");
}

void Engine::note(std::string text) {
  reports_.push_back(std::move(text));
  if (reports_.size() > kReportsKept) {
    reports_.pop_front();
  }
}

Micros Engine::sent(EffectId id) const {
  const auto it = sent_.find(id);
  return it == sent_.end() ? now_ : it->second;
}

void Engine::remember(const Effect& effect, const EffectDone& outcome) {
  const auto known = std::find_if(
      failed_attempts_.begin(), failed_attempts_.end(), [&](const FailedAttempt& attempt) {
        return attempt.handler == effect.handler && attempt.verb == effect.verb &&
               attempt.subject == effect.subject;
      });
  FailedAttempt attempt{effect.handler, effect.verb, effect.subject, outcome.error, now_, 1};
  if (known != failed_attempts_.end()) {
    attempt.times += known->times;
    failed_attempts_.erase(known);
  }
  if (outcome.ok) {
    return;
  }
  failed_attempts_.push_back(std::move(attempt));
  if (failed_attempts_.size() > kAttemptsKept) {
    failed_attempts_.pop_front();
  }
}

void Engine::deliver(const Notice& notice) {
  switch (notice.kind) {
    case Notice::Kind::device: {
      const Device* device = world_.find(notice.device);
      if (device == nullptr) {
        return;
      }
      for (const auto& handler : notice.told->handlers) {
        if (Slot* owner = handler == notice.knows ? nullptr : slot(handler)) {
          owner->policy->device(*device, *owner->context);
          owner->touched = true;
          device = world_.find(notice.device);
          if (device == nullptr) {
            return;
          }
        }
      }
      return;
    }
    case Notice::Kind::device_as_before:
      for (const auto& handler : notice.told->handlers) {
        const Device* device = world_.find(notice.device);
        Slot* owner = slot(handler);
        if (device != nullptr && owner != nullptr) {
          owner->policy->device_as_before(*device, *owner->context);
        }
      }
      return;
    case Notice::Kind::device_gone:
      for (const auto& handler : notice.told->handlers) {
        if (Slot* owner = slot(handler)) {
          owner->policy->device_gone(*notice.gone, *owner->context);
          owner->touched = true;
        }
      }
      return;
    case Notice::Kind::thing:
      if (const Thing* thing = world_.thing(notice.id)) {
        const Thing copy = *thing;
        for (auto& each : slots_) {
          each.policy->thing(copy, false, *each.context);
        }
      }
      return;
    case Notice::Kind::thing_withdrawn:
      for (auto& each : slots_) {
        each.policy->thing(*notice.withdrawn, true, *each.context);
      }
      return;
    case Notice::Kind::request:
      for (auto& each : slots_) {
        if (each.policy->request(notice.id, *each.context)) {
          each.touched = true;
          return;
        }
      }
      return;
    case Notice::Kind::plan:
      for (auto& each : slots_) {
        each.policy->plan_changed(*each.context);
        each.touched = true;
      }
      return;
  }
}

EffectId Engine::send(std::string_view handler, std::string_view verb, std::string subject,
                      Json arguments, std::int64_t deadline_ms, std::string_view lane) {
  Effect effect{.id = next_id_++,
                .handler = std::string(handler),
                .verb = std::string(verb),
                .subject = std::move(subject),
                .arguments = std::move(arguments),
                .deadline_ms = deadline_ms,
                .lane = std::string(lane)};
  pending_.emplace(effect.id, effect);
  sent_.emplace(effect.id, now_);
  effects_.push_back(std::move(effect));
  return effects_.back().id;
}

void Engine::scan() {
  if (scanning_) {
    scan_again_ = true;
    return;
  }
  scanning_ = true;
  effects_.push_back(Effect{.id = next_id_++,
                            .handler = "source",
                            .verb = "scan",
                            .subject = "/sys",
                            .arguments = Json::object(),
                            .deadline_ms = 0,
                            .lane = {}});
}

Engine::Slot* Engine::slot(std::string_view name) {
  for (auto& each : slots_) {
    if (each.name == name) {
      return &each;
    }
  }
  return nullptr;
}

}  // namespace muster
