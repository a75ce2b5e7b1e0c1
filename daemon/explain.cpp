#include "daemon/explain.h"

#include <fmt/format.h>

#include <set>

#include "daemon/engine.h"

namespace muster {
namespace {

constexpr std::size_t kMaxDepth = 16;

std::string line_of(const Engine& engine, const Thing& thing) {
  std::string text = fmt::format("{}: {}", thing.what, to_string(thing.state));
  if (!thing.why.empty()) {
    text += fmt::format(" ({})", thing.why);
  }
  if (thing.state != State::ready) {
    text += fmt::format(", since {:.1f} s", static_cast<double>(engine.now() - thing.since) / 1e6);
  }
  return text;
}

void chain(const Engine& engine, const Thing& thing, std::size_t depth, std::set<std::string>& told,
           std::string& out) {
  out += fmt::format("{:{}}{}\n", "", depth * 2, line_of(engine, thing));
  if (!told.insert(thing.id).second || depth >= kMaxDepth) {
    return;
  }
  for (const auto& id : thing.needs) {
    if (const Thing* needed = engine.world().thing(id)) {
      chain(engine, *needed, depth + 1, told, out);
    } else {
      out += fmt::format("{:{}}{}: not seen\n", "", (depth + 1) * 2, id);
    }
  }
}

}  // namespace

std::string explain_text(const Engine& engine, const std::string& subject) {
  const World& world = engine.world();
  std::string out;
  std::set<std::string> told;
  if (!subject.empty()) {
    for (const auto& [id, thing] : world.things()) {
      const bool named =
          std::find(thing.names.begin(), thing.names.end(), subject) != thing.names.end();
      const Device* device = thing.devpath.empty() ? nullptr : world.find(thing.devpath);
      const bool is_device =
          device != nullptr && (device->kernel == subject || device->dev_name() == subject);
      if (id == subject || named || is_device || thing.what.find(subject) != std::string::npos) {
        chain(engine, thing, 0, told, out);
      }
    }
    const std::string name = subject.starts_with("/dev/") ? subject.substr(5) : subject;
    if (const Device* device = world.block_by_kernel_name(name)) {
      out += fmt::format("{}: {} MiB, generation {}", device->dev_name(),
                         device->size_bytes() >> 20, device->diskseq);
      if (device->signature) {
        const auto type = device->signature->properties.find("ID_FS_TYPE");
        out += type == device->signature->properties.end() ? ", nothing recognised on it"
                                                           : ", holds " + type->second;
        if (!device->signature->note.empty()) {
          out += " (" + device->signature->note + ")";
        }
      } else {
        out += ", not read";
      }
      out += "\n";
    }
    return out.empty() ? fmt::format("{}: nothing known by this name\n", subject) : out;
  }
  if (world.phase() != Phase::gathering) {
    out += fmt::format("phase: {}\n", to_string(world.phase()));
  }
  for (const auto& [id, thing] : world.things()) {
    if (thing.requirement) {
      chain(engine, thing, 0, told, out);
    }
  }
  if (const Thing* launch = world.thing("launch")) {
    chain(engine, *launch, 0, told, out);
  }
  for (const auto id : engine.late()) {
    const auto& effect = engine.pending().at(id);
    out += fmt::format("late: {} {} of {}\n", effect.handler, effect.verb, effect.subject);
  }
  return out;
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
