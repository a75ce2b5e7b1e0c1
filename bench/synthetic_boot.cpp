#include "bench/synthetic_boot.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "handlers/registry.h"

namespace muster::bench {
namespace {

// The paths of one LUN lie on as many hosts.
struct Place {
  std::size_t lun;
  std::string scsi;
  std::string scsi_disk;
  std::string block;
  std::string kernel;
};

Place place_of(std::size_t number, std::size_t paths) {
  Place place;
  place.lun = number / paths;
  const auto address = fmt::format("{}:0:{}:0", number % paths, place.lun);
  place.scsi = fmt::format("/devices/pci0000:00/0000:00:02.0/host{}/target{}:0:{}/{}",
                           number % paths, number % paths, place.lun, address);
  place.scsi_disk = place.scsi + "/scsi_disk/" + address;
  place.kernel = fmt::format("sd{}", number);
  place.block = place.scsi + "/block/" + place.kernel;
  return place;
}

DeviceEvent event_of(Action action, std::string devpath, const char* subsystem,
                     Properties properties, Attributes attributes) {
  DeviceEvent event;
  event.action = action;
  event.devpath = std::move(devpath);
  event.subsystem = subsystem;
  event.properties = std::move(properties);
  event.properties["ACTION"] = to_string(action);
  event.properties["DEVPATH"] = event.devpath;
  event.properties["SUBSYSTEM"] = subsystem;
  event.attributes = std::move(attributes);
  return event;
}

Properties block_properties(const Place& place, std::size_t number) {
  return {{"DEVNAME", "/dev/" + place.kernel},
          {"DEVTYPE", "disk"},
          {"DISKSEQ", std::to_string(number + 1)},
          {"MAJOR", "8"},
          {"MINOR", std::to_string(number)}};
}

std::string uuid_of(std::size_t lun) {
  return fmt::format("00000000-0000-0000-0000-{:012}", lun);
}

}  // namespace

std::vector<rules::Source> shipped_rules() {
  std::vector<rules::Source> sources;
  for (const auto* name :
       {"10-driver", "20-node", "30-probe", "40-md", "50-lvm", "60-medium", "70-target"}) {
    const auto path = fmt::format("{}/rules/{}.rules", MUSTER_SOURCE_DIR, name);
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    sources.push_back({path, text.str()});
  }
  return sources;
}

std::unique_ptr<Engine> shipped_engine() {
  std::vector<rules::Diagnostic> diagnostics;
  return std::make_unique<Engine>(rules::RuleSet::load(shipped_rules(), diagnostics),
                                  make_policies());
}

SyntheticMachine::SyntheticMachine(Shape shape, Feed feed) : shape_(shape), feed_(std::move(feed)) {
  if (shape_.every_attribute) {
    std::vector<rules::Diagnostic> diagnostics;
    const auto rules = rules::RuleSet::load(shipped_rules(), diagnostics);
    attribute_names_ = rules.attributes();
    attribute_names_.insert(attribute_names_.end(), rules.parent_attributes().begin(),
                            rules.parent_attributes().end());
  }
}

void SyntheticMachine::start() {
  feed(FactsRead{{{"command_line", "compare_mode"},
                  {"mondo-restore.cfg", "backup-media-type cdr\niso-prefix x\n"},
                  {"mountlist.txt", "/dev/vg0/root / ext3 lvm\n"}}});
  feed(ScanDone{1, {}});
  answer();
}

void SyntheticMachine::add_disk(std::size_t number) {
  const auto place = place_of(number, shape_.paths);
  feed(event_of(Action::add, place.scsi, "scsi",
                {{"DEVTYPE", "scsi_device"}, {"MODALIAS", "scsi:t-0x00"}}, attributes({})));
  feed(event_of(Action::add, place.scsi_disk, "scsi_disk", {}, attributes({})));
  feed(event_of(Action::add, place.block, "block", block_properties(place, number),
                block_attributes(place.lun, false)));
  answer();
}

void SyntheticMachine::change_disk(std::size_t number, bool read_only) {
  const auto place = place_of(number, shape_.paths);
  feed(event_of(Action::change, place.block, "block", block_properties(place, number),
                block_attributes(place.lun, read_only)));
  answer();
}

void SyntheticMachine::remove_disk(std::size_t number) {
  const auto place = place_of(number, shape_.paths);
  feed(event_of(Action::remove, place.block, "block", {}, {}));
  feed(event_of(Action::remove, place.scsi_disk, "scsi_disk", {}, {}));
  feed(event_of(Action::remove, place.scsi, "scsi", {}, {}));
  answer();
}

void SyntheticMachine::feed(EventBody body) {
  now_ += 100;
  for (auto& effect : feed_(Event{now_, std::move(body)})) {
    if (effect.handler != "source" && effect.handler != "timer" && effect.handler != "report") {
      waiting_.push_back(std::move(effect));
    }
  }
}

void SyntheticMachine::answer() {
  while (!waiting_.empty()) {
    const Effect effect = std::move(waiting_.back());
    waiting_.pop_back();
    EffectDone done;
    done.id = effect.id;
    done.ok = true;
    done.result = Json::object();
    if (effect.handler == "driver" && effect.verb == "resolve") {
      done.result = {{"modules", Json::array()}, {"refused", Json::array()}};
    } else if (effect.handler == "probe") {
      const auto number = std::stoull(effect.arguments.at("name").get<std::string>().substr(2));
      const auto uuid = uuid_of(number / shape_.paths);
      done.result = {{"diskseq", effect.arguments.at("diskseq")},
                     {"properties",
                      {{"ID_FS_TYPE", "ext4"},
                       {"ID_FS_USAGE", "filesystem"},
                       {"ID_FS_UUID", uuid},
                       {"ID_FS_UUID_ENC", uuid}}},
                     {"details", Json::object()}};
    }
    feed(std::move(done));
  }
}

Attributes SyntheticMachine::block_attributes(std::size_t lun, bool read_only) const {
  Attributes present{
      {"size", "2097152"}, {"ro", read_only ? "1" : "0"}, {"hidden", "0"}, {"slaves", ""}};
  if (shape_.every_attribute) {
    present["removable"] = "0";
    present["device/vendor"] = "MUSTER";
    present["device/model"] = "Synthetic LUN";
    present["device/wwid"] = fmt::format("naa.6000000000000000{:016}", lun);
  }
  return attributes(std::move(present));
}

Attributes SyntheticMachine::attributes(Attributes present) const {
  for (const auto& name : attribute_names_) {
    present.try_emplace(name, std::nullopt);
  }
  return present;
}

replay::Recording synthetic_boot(std::size_t events) {
  replay::Segment segment;
  segment.rules = shipped_rules();
  segment.header = {{"journal", 1}, {"segment", 1}};
  const auto engine = shipped_engine();
  SyntheticMachine machine({.paths = 1, .every_attribute = false}, [&](Event event) {
    segment.steps.push_back({0, std::move(event), {}});
    auto& step = segment.steps.back();
    step.effects = engine->on(step.event);
    return step.effects;
  });
  machine.start();
  for (std::size_t i = 0; segment.steps.size() < events; ++i) {
    machine.add_disk(i);
  }
  replay::Recording recording;
  recording.name = "synthetic";
  recording.segments.push_back(std::move(segment));
  return recording;
}

}  // namespace muster::bench
