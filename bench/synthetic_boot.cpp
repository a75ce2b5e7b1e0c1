#include "bench/synthetic_boot.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "daemon/engine.h"
#include "handlers/registry.h"

namespace muster::bench {
namespace {

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

DeviceEvent device(std::string devpath, const char* subsystem, Properties properties,
                   Attributes attributes) {
  DeviceEvent event;
  event.devpath = std::move(devpath);
  event.subsystem = subsystem;
  event.properties = std::move(properties);
  event.properties["ACTION"] = "add";
  event.properties["DEVPATH"] = event.devpath;
  event.properties["SUBSYSTEM"] = subsystem;
  event.attributes = std::move(attributes);
  return event;
}

// The engine is asked once, so that the effects stand in the recording.
class Recorder {
 public:
  Recorder() {
    segment_.rules = shipped_rules();
    segment_.header = {{"journal", 1}, {"segment", 1}};
    std::vector<rules::Diagnostic> diagnostics;
    engine_ = std::make_unique<Engine>(rules::RuleSet::load(segment_.rules, diagnostics),
                                       make_policies());
  }

  void add(EventBody body) {
    now_ += 100;
    replay::Step step{0, Event{now_, std::move(body)}, {}};
    step.effects = engine_->on(step.event);
    for (const auto& effect : step.effects) {
      if (effect.handler != "source" && effect.handler != "timer" && effect.handler != "report") {
        waiting_.push_back(effect);
      }
    }
    segment_.steps.push_back(std::move(step));
  }

  // Answers everything that was wanted.
  void answer() {
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
        const auto uuid = fmt::format("00000000-0000-0000-0000-{:012}", effect.id);
        done.result = {{"diskseq", effect.arguments.at("diskseq")},
                       {"properties",
                        {{"ID_FS_TYPE", "ext4"},
                         {"ID_FS_USAGE", "filesystem"},
                         {"ID_FS_UUID", uuid},
                         {"ID_FS_UUID_ENC", uuid}}},
                       {"details", Json::object()}};
      }
      add(std::move(done));
    }
  }

  [[nodiscard]] std::size_t size() const { return segment_.steps.size(); }
  replay::Segment take() { return std::move(segment_); }

 private:
  std::unique_ptr<Engine> engine_;
  replay::Segment segment_;
  std::vector<Effect> waiting_;
  Micros now_ = 1'000'000;
};

}  // namespace

replay::Recording synthetic_boot(std::size_t events) {
  Recorder recorder;
  recorder.add(FactsRead{{{"command_line", "compare_mode"},
                          {"mondo-restore.cfg", "backup-media-type cdr\niso-prefix x\n"},
                          {"mountlist.txt", "/dev/vg0/root / ext3 lvm\n"}}});
  recorder.add(ScanDone{1, {}});
  recorder.answer();
  for (std::size_t i = 0; recorder.size() < events; ++i) {
    const auto scsi =
        fmt::format("/devices/pci0000:00/0000:00:02.0/host0/target0:0:{0}/0:0:{0}:0", i);
    recorder.add(
        device(scsi, "scsi", {{"DEVTYPE", "scsi_device"}, {"MODALIAS", "scsi:t-0x00"}}, {}));
    recorder.add(device(scsi + fmt::format("/scsi_disk/0:0:{}:0", i), "scsi_disk", {}, {}));
    const auto kernel = fmt::format("sd{}", i);
    recorder.add(device(scsi + "/block/" + kernel, "block",
                        {{"DEVNAME", "/dev/" + kernel},
                         {"DEVTYPE", "disk"},
                         {"DISKSEQ", std::to_string(i + 1)},
                         {"MAJOR", "8"},
                         {"MINOR", std::to_string(i)}},
                        {{"size", "2097152"}, {"ro", "0"}, {"hidden", "0"}, {"slaves", ""}}));
    recorder.answer();
  }
  replay::Recording recording;
  recording.name = "synthetic";
  recording.segments.push_back(recorder.take());
  return recording;
}

}  // namespace muster::bench
