#include "daemon/event_json.h"

#include <array>
#include <utility>

namespace muster {
namespace {

constexpr std::array<std::pair<Action, std::string_view>, 9> kActions = {{
    {Action::add, "add"},
    {Action::remove, "remove"},
    {Action::change, "change"},
    {Action::move, "move"},
    {Action::online, "online"},
    {Action::offline, "offline"},
    {Action::bind, "bind"},
    {Action::unbind, "unbind"},
    {Action::other, "other"},
}};

constexpr std::array<std::pair<DeviceEvent::Origin, std::string_view>, 3> kOrigins = {{
    {DeviceEvent::Origin::kernel, "kernel"},
    {DeviceEvent::Origin::udev, "udev"},
    {DeviceEvent::Origin::scan, "scan"},
}};

constexpr std::array<std::pair<Errc, std::string_view>, 6> kErrcs = {{
    {Errc::invalid, "invalid"},
    {Errc::not_found, "not_found"},
    {Errc::busy, "busy"},
    {Errc::timeout, "timeout"},
    {Errc::unsupported, "unsupported"},
    {Errc::io, "io"},
}};

template <typename Table, typename Value>
std::string_view name_of(const Table& table, Value value) {
  for (const auto& [known, name] : table) {
    if (known == value) {
      return name;
    }
  }
  return table.back().second;
}

template <typename Table>
auto value_of(const Table& table, std::string_view name) {
  for (const auto& [known, text] : table) {
    if (text == name) {
      return known;
    }
  }
  return table.back().first;
}

Json body_to_json(const DeviceEvent& e) {
  Json attributes = Json::object();
  for (const auto& [name, value] : e.attributes) {
    attributes[name] = value ? Json(*value) : Json(nullptr);
  }
  return {{"event", "device"},
          {"origin", name_of(kOrigins, e.origin)},
          {"action", to_string(e.action)},
          {"devpath", e.devpath},
          {"subsystem", e.subsystem},
          {"seqnum", e.seqnum},
          {"properties", e.properties},
          {"attributes", std::move(attributes)}};
}
Json body_to_json(const FactsRead& e) {
  return {{"event", "facts"}, {"facts", e.facts}};
}
Json body_to_json(const ScanDone& e) {
  return {{"event", "scan_done"}, {"seqnum", e.seqnum}, {"devpaths", e.devpaths}};
}
Json body_to_json(const EventsLost& e) {
  return {{"event", "lost"}, {"reason", e.reason}};
}
Json body_to_json(const EffectDone& e) {
  Json json = {{"event", "done"}, {"id", e.id}, {"ok", e.ok}, {"result", e.result}};
  if (!e.ok) {
    json["error"] = e.error;
    json["code"] = name_of(kErrcs, e.code);
  }
  if (!e.tools.is_null()) {
    json["tools"] = e.tools;
  }
  return json;
}
Json body_to_json(const EffectLate& e) {
  return {{"event", "late"}, {"id", e.id}};
}
Json body_to_json(const TimerDue& e) {
  return {{"event", "timer"}, {"name", e.name}};
}
Json body_to_json(const Command& e) {
  return {{"event", "command"}, {"client", e.client}, {"verb", e.verb}, {"arguments", e.arguments}};
}

EventBody body_from_json(const Json& json) {
  const auto kind = json.at("event").get<std::string>();
  if (kind == "device") {
    DeviceEvent e;
    e.origin = value_of(kOrigins, json.at("origin").get<std::string>());
    e.action = action_from(json.at("action").get<std::string>());
    e.devpath = json.at("devpath").get<std::string>();
    e.subsystem = json.at("subsystem").get<std::string>();
    e.seqnum = json.at("seqnum").get<std::uint64_t>();
    for (const auto& [name, value] : json.at("properties").items()) {
      e.properties.emplace(name, value.get<std::string>());
    }
    for (const auto& [name, value] : json.at("attributes").items()) {
      e.attributes.emplace(
          name, value.is_null() ? std::nullopt : std::optional(value.get<std::string>()));
    }
    return e;
  }
  if (kind == "facts") {
    if (!json.at("facts").is_object()) {
      throw std::invalid_argument("its facts are no object");
    }
    return FactsRead{json.at("facts")};
  }
  if (kind == "scan_done") {
    return ScanDone{json.at("seqnum").get<std::uint64_t>(),
                    json.at("devpaths").get<std::vector<std::string>>()};
  }
  if (kind == "lost") {
    return EventsLost{json.at("reason").get<std::string>()};
  }
  if (kind == "done") {
    EffectDone e;
    e.id = json.at("id").get<EffectId>();
    e.ok = json.at("ok").get<bool>();
    e.result = json.at("result");
    if (!e.ok) {
      e.error = json.at("error").get<std::string>();
      e.code = value_of(kErrcs, json.at("code").get<std::string>());
    }
    e.tools = json.value("tools", Json());
    return e;
  }
  if (kind == "late") {
    return EffectLate{json.at("id").get<EffectId>()};
  }
  if (kind == "timer") {
    return TimerDue{json.at("name").get<std::string>()};
  }
  if (kind == "command") {
    return Command{json.at("client").get<std::uint64_t>(), json.at("verb").get<std::string>(),
                   json.at("arguments")};
  }
  throw std::invalid_argument("unknown event '" + kind + "'");
}

}  // namespace

std::string_view to_string(Action action) {
  return name_of(kActions, action);
}
Action action_from(std::string_view text) {
  return value_of(kActions, text);
}

Json to_json(const Event& event) {
  Json json = std::visit([](const auto& body) { return body_to_json(body); }, event.body);
  json["t"] = event.time;
  return json;
}

Json to_json(const Effect& effect, Micros time) {
  Json json = {{"t", time},       {"effect", effect.verb},     {"handler", effect.handler},
               {"id", effect.id}, {"subject", effect.subject}, {"arguments", effect.arguments}};
  if (effect.deadline_ms != 0) {
    json["deadline_ms"] = effect.deadline_ms;
  }
  if (!effect.lane.empty()) {
    json["lane"] = effect.lane;
  }
  return json;
}

Result<Event> event_from_json(const Json& json) {
  try {
    return Event{json.at("t").get<Micros>(), body_from_json(json)};
  } catch (const std::exception& e) {
    return fail(Errc::invalid, std::string("not an event: ") + e.what());
  }
}

Result<Effect> effect_from_json(const Json& json) {
  try {
    return Effect{.id = json.at("id").get<EffectId>(),
                  .handler = json.at("handler").get<std::string>(),
                  .verb = json.at("effect").get<std::string>(),
                  .subject = json.at("subject").get<std::string>(),
                  .arguments = json.at("arguments"),
                  .deadline_ms = json.value("deadline_ms", std::int64_t{0}),
                  .lane = json.value("lane", std::string())};
  } catch (const std::exception& e) {
    return fail(Errc::invalid, std::string("not an effect: ") + e.what());
  }
}

}  // namespace muster
