// Engine::snapshot() and restore(): everything that an event may change, and nothing that follows
// from it.
#include <fmt/format.h>

#include <algorithm>

#include "daemon/engine.h"
#include "daemon/event_json.h"
#include "daemon/state_json.h"

MUSTER_STATE_OF(muster::Devno, major, minor)
MUSTER_STATE_OF(muster::Signature, diskseq, properties, details, note)
MUSTER_STATE_OF(muster::Device, devpath, subsystem, devno, settled, properties, attributes, diskseq,
                matched, kernel, since, signature)
MUSTER_STATE_OF(muster::Thing, id, owner, what, state, why, needs, past, names, devpath, on,
                requirement, doomed, since)
MUSTER_STATE_OF(muster::FailedAttempt, handler, verb, subject, error, last, times)
MUSTER_STATE_OF(muster::Command, client, verb, arguments)
MUSTER_STATE_OF(muster::rules::Outcome, handlers, properties, tags, warnings)

namespace muster {

template <>
struct state::Custom<Effect> {
  static Json save(const Effect& effect) {
    Json json = to_json(effect, 0);
    json.erase("t");
    return json;
  }
  static void restore(const Json& json, Effect& effect) {
    auto read = effect_from_json(json);
    if (!read) {
      throw Malformed(": " + read.error().text);
    }
    effect = std::move(*read);
  }
};

// What is restored is told once more than needed.
template <>
struct state::Custom<Settled> {
  static Json save(const Settled&) { return nullptr; }
  static void restore(const Json&, Settled& settled) { settled = {}; }
};
template <>
struct state::Custom<TextTable> {
  static Json save(const TextTable& table) {
    Json json = Json::object();
    for (std::size_t i = 0; i < table.size(); ++i) {
      const NamedText text = table.at(i);
      json[std::string(text.name)] = text.value ? Json(*text.value) : Json(nullptr);
    }
    return json;
  }
  static void restore(const Json& json, TextTable& table) {
    Attributes texts;
    restore_value(json, texts);
    table = TextTable(named_texts(texts));
  }
};
template <>
struct state::Custom<std::shared_ptr<const rules::Outcome>> {
  static Json save(const std::shared_ptr<const rules::Outcome>& outcome) {
    return state::save(outcome == nullptr ? rules::Outcome() : *outcome);
  }
  static void restore(const Json& json, std::shared_ptr<const rules::Outcome>& outcome) {
    rules::Outcome read;
    restore_value(json, read);
    outcome = std::make_shared<const rules::Outcome>(std::move(read));
  }
};

namespace {

// Most devices lack the same attributes: the names of those are written once for all.
using AbsentNames = std::vector<std::string>;

AbsentNames take_absent(Json& attributes) {
  AbsentNames absent;
  for (auto it = attributes.begin(); it != attributes.end();) {
    if (it->is_null()) {
      absent.push_back(it.key());
      it = attributes.erase(it);
    } else {
      ++it;
    }
  }
  return absent;
}

// Which indexes of the world lead to a device: more than one may claim a devno or a name.
struct Indexed {
  bool devno = false;
  bool name = false;
  bool partition = false;
  bool operator==(const Indexed&) const = default;
  MUSTER_STATE(devno, name, partition)
};

Indexed usually(const Device& device) {
  return {device.is_block() && device.devno.has_value(), device.is_block(),
          device.is_block() && device.is_partition()};
}

std::string_view above(std::string_view devpath) {
  const auto slash = devpath.rfind('/');
  return devpath.substr(0, slash == std::string_view::npos ? 0 : slash);
}

template <typename T>
void take(const Json& json, const char* name, T& value) {
  const auto it = json.find(name);
  if (it == json.end()) {
    throw state::Malformed(fmt::format(".{}: missing", name));
  }
  state::restore_within(*it, value, fmt::format(".{}", name));
}

}  // namespace

Json Engine::snapshot() const {
  // A member that is added to the engine or the world has to be thought of here: these do not
  // compile then.
  [[maybe_unused]] const auto& [rules, outcomes, slots, world, facts, medium_files, now, next_id,
                                effects, pending, sent, timers, late, failed_attempts, notices,
                                texts, requests, reports, waiters, scanning, scan_again, era] =
      *this;
  [[maybe_unused]] const auto& [devices, by_devno, block_by_name, partitions, assigned, things,
                                ids_by_name, id_by_devpath, ids_on, things_revision, name_lists,
                                plan, phase, scanned] = world;

  std::map<AbsentNames, std::size_t> absent_sets;
  Json device_list = Json::object();
  for (const Device* device : world.devices_sorted()) {
    Json json = state::save(*device);
    json.erase("devpath");
    json.erase("kernel");
    if (const auto attributes = json.find("attributes"); attributes != json.end()) {
      json["absent"] =
          absent_sets.try_emplace(take_absent(*attributes), absent_sets.size()).first->second;
    }
    Indexed indexed;
    if (auto* const* known = device->devno ? by_devno.find(*device->devno) : nullptr) {
      indexed.devno = *known == device;
    }
    if (auto* const* known = block_by_name.find(device->kernel)) {
      indexed.name = *known == device;
    }
    if (const auto* known = partitions.find(above(device->devpath))) {
      indexed.partition = known->contains(device->devpath.str());
    }
    if (indexed != usually(*device)) {
      json["indexed"] = state::save(indexed);
    }
    device_list[device->devpath.str()] = std::move(json);
  }
  Json absent_list = Json::array();
  absent_list.get_ref<Json::array_t&>().resize(absent_sets.size());
  for (const auto& [names, number] : absent_sets) {
    absent_list[number] = names;
  }

  Json thing_list = Json::array();
  for (const auto& [id, thing] : things) {
    thing_list.push_back(state::save(thing));
    const auto provider = id_by_devpath.find(thing.devpath);
    if (provider != id_by_devpath.end() && provider->second != id) {
      thing_list.back()["hidden"] = true;
    }
  }

  Json pending_list = Json::array();
  for (const auto& [id, effect] : pending) {
    pending_list.push_back(state::save(effect));
    pending_list.back()["sent"] = sent.at(id);
  }
  Json touched = Json::array();
  Json policies = Json::object();
  for (const auto& each : slots) {
    policies[std::string(each.policy->name())] = each.policy->save();
    if (each.touched) {
      touched.push_back(each.policy->name());
    }
  }
  return state::share_texts({{"now", now},
                             {"next_id", next_id},
                             {"phase", state::save(phase)},
                             {"scanned", scanned},
                             {"scanning", scanning},
                             {"scan_again", scan_again},
                             {"facts", facts},
                             {"medium_files", medium_files},
                             {"absent", std::move(absent_list)},
                             {"devices", std::move(device_list)},
                             {"things", std::move(thing_list)},
                             {"pending", std::move(pending_list)},
                             {"timers", state::save(timers)},
                             {"late", state::save(late)},
                             {"failed_attempts", state::save(failed_attempts)},
                             {"requests", state::save(requests)},
                             {"reports", state::save(reports)},
                             {"waiters", state::save(waiters)},
                             {"touched", std::move(touched)},
                             {"policies", std::move(policies)}});
}

Result<void> Engine::restore(const Json& snapshot) {
  auto unshared = state::unshare_texts(snapshot);
  if (!unshared) {
    return tl::unexpected(unshared.error().within("snapshot"));
  }
  try {
    restore_state(*unshared);
  } catch (const std::exception& error) {
    return fail(Errc::invalid, fmt::format("snapshot{}", error.what()));
  }
  return {};
}

void Engine::restore_state(const Json& json) {
  state::expect(json.is_object(), "an object");
  world_ = World();
  take(json, "now", now_);
  take(json, "next_id", next_id_);
  take(json, "phase", world_.phase_);
  take(json, "scanned", world_.scanned_);
  take(json, "scanning", scanning_);
  take(json, "scan_again", scan_again_);
  take(json, "facts", facts_);
  take(json, "medium_files", medium_files_);
  if (!facts_.is_null() || !medium_files_.is_null()) {
    world_.plan_ = make_plan(facts_, medium_files_);
  }
  take(json, "timers", timers_);
  take(json, "late", late_);
  take(json, "failed_attempts", failed_attempts_);
  take(json, "requests", requests_);
  take(json, "reports", reports_);
  take(json, "waiters", waiters_);

  std::vector<AbsentNames> absent;
  take(json, "absent", absent);
  std::map<std::string, Json> devices;
  take(json, "devices", devices);
  for (auto& [devpath, record] : devices) {
    restore_device(devpath, std::move(record), absent);
  }
  std::vector<Json> things;
  take(json, "things", things);
  for (auto& record : things) {
    state::expect(record.is_object(), "an object");
    const bool hidden = record.erase("hidden") > 0;
    Thing thing;
    state::restore_within(record, thing, ".things");
    const std::string id = thing.id;
    const std::string devpath = thing.devpath;
    const auto provider = world_.id_by_devpath_.find(devpath);
    const std::string known =
        provider == world_.id_by_devpath_.end() ? std::string() : provider->second;
    world_.put(std::move(thing));
    if (hidden && known.empty()) {
      world_.id_by_devpath_.erase(devpath);
    } else if (hidden) {
      world_.id_by_devpath_[devpath] = known;
    }
  }
  std::vector<Json> pending;
  take(json, "pending", pending);
  pending_.clear();
  sent_.clear();
  for (std::size_t i = 0; i < pending.size(); ++i) {
    const std::string where = fmt::format(".pending.{}", i);
    Micros sent = now_;
    if (const auto it = pending[i].find("sent"); it != pending[i].end()) {
      state::restore_within(*it, sent, where + ".sent");
      pending[i].erase(it);
    }
    Effect effect;
    state::restore_within(pending[i], effect, where);
    sent_.emplace(effect.id, sent);
    pending_.emplace(effect.id, std::move(effect));
  }

  std::set<std::string> touched;
  take(json, "touched", touched);
  std::map<std::string, Json> policies;
  take(json, "policies", policies);
  for (auto& each : slots_) {
    const std::string name(each.policy->name());
    each.touched = touched.contains(name);
    const auto it = policies.find(name);
    if (it == policies.end()) {
      throw state::Malformed(fmt::format(".policies.{}: missing", name));
    }
    if (auto restored = each.policy->restore(it->second); !restored) {
      throw state::Malformed(".policies." + restored.error().text);
    }
    policies.erase(it);
  }
  if (!policies.empty()) {
    throw state::Malformed(
        fmt::format(".policies.{}: there is no such handler", policies.begin()->first));
  }
}

void Engine::restore_device(const std::string& devpath, Json record,
                            const std::vector<std::vector<std::string>>& absent) {
  const std::string where = ".devices." + devpath;
  state::expect(record.is_object(), "an object");
  // A property that is absent is not in the table, an attribute may be.
  const auto share_properties = [this](TextTable& table, const std::string& of) {
    for (std::size_t i = 0; i < table.size(); ++i) {
      if (const NamedText text = table.at(i); !text.value) {
        throw state::Malformed(fmt::format("{}.{}: must be a text", of, text.name));
      }
    }
    table.share_names(world_.names_);
  };
  std::optional<std::size_t> absent_set;
  std::optional<Indexed> indexed;
  if (const auto it = record.find("absent"); it != record.end()) {
    state::restore_within(*it, absent_set, where + ".absent");
    record.erase(it);
  }
  if (const auto it = record.find("indexed"); it != record.end()) {
    state::restore_within(*it, indexed, where + ".indexed");
    record.erase(it);
  }
  Device& device = world_.upsert(devpath);
  const std::string kernel = device.kernel;
  const Devpath own = device.devpath;
  state::restore_within(record, device, where);
  device.devpath = own;
  device.kernel = kernel;
  if (device.signature) {
    share_properties(device.signature->properties, where + ".signature.properties");
  }
  share_properties(device.properties, where + ".properties");
  if (absent_set) {
    if (*absent_set >= absent.size()) {
      throw state::Malformed(where + ".absent: no such list");
    }
    Attributes attributes = device.attributes;
    for (const auto& name : absent[*absent_set]) {
      attributes.try_emplace(name, std::nullopt);
    }
    device.attributes = TextTable(named_texts(attributes));
  }
  device.attributes.share_names(world_.names_);
  const Indexed wanted = indexed.value_or(usually(device));
  if (wanted.devno && device.devno) {
    world_.by_devno_[*device.devno] = &device;
  }
  if (wanted.name) {
    world_.block_by_name_[device.kernel] = &device;
  }
  if (wanted.partition && devpath.rfind('/') != std::string::npos) {
    world_.partitions_[std::string(above(devpath))].insert(devpath);
  }
  for (const auto& handler : device.handlers()) {
    world_.assigned_[handler].insert(device.devpath);
  }
}

}  // namespace muster
