#include "handlers/probe/probe_policy.h"

#include <fmt/format.h>

#include <algorithm>

namespace muster::probe {
namespace {

bool is_optical(const Device& device) {
  return device.kernel.starts_with("sr");
}

std::string thing_id(const Device& device) {
  return "probe:" + device.kernel;
}

}  // namespace

bool is_member(const Device& device) {
  return device.signature_property("ID_FS_USAGE") == "raid";
}

void ProbePolicy::device(const Device& device, Context& context) {
  consider(device, true, context);
}

void ProbePolicy::device_as_before(const Device& device, Context& context) {
  // Of these it takes more to tell: the event itself, the disk.
  if (is_optical(device) || device.is_partition()) {
    consider(device, true, context);
  }
}

void ProbePolicy::device_gone(const Device& device, Context& context) {
  auto* reading = readings_.find(device.devpath);
  if (reading == nullptr) {
    return;
  }
  if (const Device* still_there = context.world().find(device.devpath)) {
    // Empty, suspended or stopped: what was read of it does not hold any more.
    reading->read_once = false;
    context.clear_signature(still_there->devpath);
    if (reading->pending != 0) {
      reading->again = true;
      return;
    }
  }
  context.withdraw(thing_id(device));
  readings_.erase(device.devpath);
}

void ProbePolicy::consider(const Device& device, bool changed, Context& context) {
  if (context.world().phase() != Phase::gathering) {
    return;
  }
  std::uint64_t diskseq = device.diskseq;
  if (device.is_partition()) {
    const Device* disk = context.world().parent(device);
    if (disk == nullptr || !disk->is_block()) {
      return;
    }
    diskseq = disk->diskseq;
    const auto* disks = readings_.find(disk->devpath);
    if (disks != nullptr && (!disk->signature || disks->pending != 0)) {
      return;  // judged after its disk; done() comes back to it
    }
    if (is_member(*disk)) {
      if (device.signature) {
        context.clear_signature(device.devpath);
      }
      return;
    }
  }
  const std::string_view size = device.attribute("size");
  auto& reading = readings_[device.devpath];
  if (reading.pending != 0) {
    // What the kernel counts as another content, done() compares.
    reading.again = reading.again || reading.size != size || (is_optical(device) && changed) ||
                    (device.is_partition() && diskseq > reading.diskseq);
    return;
  }
  const bool fresh =
      reading.read_once && reading.diskseq >= diskseq && reading.size == size && device.signature;
  // An optical drive reports its next event only after somebody opened it, so each one is answered
  // by a read.
  if (fresh && !(is_optical(device) && changed)) {
    return;
  }
  reading.again = false;
  reading.size = size;
  reading.diskseq = diskseq;
  Json arguments = Json::object();
  arguments["devno"] = device.devno ? device.devno->text() : std::string();
  arguments["devpath"] = device.devpath.str();
  arguments["name"] = device.kernel;
  arguments["diskseq"] = diskseq;
  arguments["size"] = device.size_bytes();
  arguments["optical"] = is_optical(device);
  arguments["partition"] = device.is_partition();
  reading.pending =
      context.want("read", device.kernel, std::move(arguments), context.world().plan().probe_ms());
}

void ProbePolicy::partitions_of(const Device& disk, Context& context) {
  for (const Device* partition : context.world().partitions(disk)) {
    const auto& handlers = partition->handlers();
    if (std::find(handlers.begin(), handlers.end(), name()) != handlers.end()) {
      consider(*partition, false, context);
    }
  }
}

void ProbePolicy::done(const Effect& effect, const EffectDone& outcome, Context& context) {
  const auto& devpath = effect.arguments.at("devpath").get_ref<const std::string&>();
  auto* known = readings_.find(devpath);
  if (known == nullptr || known->pending != effect.id) {
    return;
  }
  auto& reading = *known;
  reading.pending = 0;
  const Device* device = context.world().find(devpath);
  if (device == nullptr) {
    readings_.erase(devpath);
    return;
  }
  context.withdraw(thing_id(*device));
  const auto& handlers = device->handlers();
  if (std::find(handlers.begin(), handlers.end(), name()) == handlers.end()) {
    readings_.erase(devpath);
    return;
  }
  Signature signature;
  signature.diskseq = reading.diskseq;
  if (outcome.ok) {
    signature.diskseq =
        std::max(signature.diskseq, outcome.result.value("diskseq", std::uint64_t{0}));
    reading.diskseq = signature.diskseq;
    if (const auto found = outcome.result.find("properties");
        found != outcome.result.end() && found->is_object()) {
      std::vector<NamedText> texts;
      texts.reserve(found->size());
      for (const auto& [key, value] : found->items()) {
        texts.push_back({key, value.get_ref<const std::string&>()});
      }
      signature.properties = TextTable(texts);
    }
    if (const auto found = outcome.result.find("details"); found != outcome.result.end()) {
      signature.details = *found;
    }
    signature.note = outcome.result.value("note", std::string());
    if (outcome.result.contains("drive")) {
      signature.details["drive"] = outcome.result["drive"];
    }
  } else {
    signature.note = outcome.error;
  }
  const bool again = reading.again || (outcome.ok && outcome.result.value("changed", false)) ||
                     (!device->is_partition() && device->diskseq > signature.diskseq);
  if (again) {
    // The content changed under the read: what it saw is nobody's.
    reading.read_once = false;
    consider(*device, true, context);
    return;
  }
  reading.read_once = true;
  if (!signature.note.empty() && !is_optical(*device)) {
    context.report(fmt::format("{}: {}", device->kernel, signature.note));
  }
  context.set_signature(devpath, std::move(signature));
  partitions_of(*context.world().find(devpath), context);
}

void ProbePolicy::late(const Effect& effect, Context& context) {
  const auto* reading =
      readings_.find(effect.arguments.at("devpath").get_ref<const std::string&>());
  if (reading == nullptr || reading->pending != effect.id) {
    return;  // of a device that is gone
  }
  Thing thing;
  thing.id = "probe:" + effect.subject;
  thing.what = "reading " + effect.subject;
  thing.state = State::broken;
  thing.why = "does not answer reads; everything that does not need it goes on";
  context.publish(std::move(thing));
}

}  // namespace muster::probe
