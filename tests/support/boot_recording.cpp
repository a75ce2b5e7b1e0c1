#include "tests/support/boot_recording.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "daemon/replay/replay.h"
#include "tests/support/model_machine.h"

namespace muster::test {
namespace {

constexpr unsigned kDisksOfArray = 24;

std::vector<rules::Source> shipped_rule_texts() {
  std::vector<rules::Source> sources;
  std::set<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(MUSTER_SOURCE_DIR) + "/rules")) {
    if (entry.path().extension() == ".rules") {
      files.insert(entry.path());
    }
  }
  for (const auto& path : files) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    sources.push_back({path.filename().string(), text.str()});
  }
  return sources;
}

// "sda" … "sdz", "sdaa" …
std::string disk_name(unsigned index) {
  std::string letters;
  for (unsigned rest = index + 1; rest > 0; rest = (rest - 1) / 26) {
    letters.insert(letters.begin(), static_cast<char>('a' + (rest - 1) % 26));
  }
  return "sd" + letters;
}

class Machine {
 public:
  explicit Machine(const LargeBoot& boot) : boot_(boot) {}
  replay::Recording play();

 private:
  void at(Micros time, EventBody body) { queue_.emplace(time, std::move(body)); }
  void plug(Micros time, const std::string& kernel, unsigned major, unsigned minor,
            std::string serial);
  void answer(const Effect& effect, Micros now);
  Json probe(const std::string& kernel) const;

  LargeBoot boot_;
  std::multimap<Micros, EventBody> queue_;
  std::map<std::string, DeviceEvent> arrays_;
};

void Machine::plug(Micros time, const std::string& kernel, unsigned major, unsigned minor,
                   std::string serial) {
  DeviceEvent event;
  event.action = Action::add;
  event.devpath = fmt::format("/devices/pci0000:00/0000:00:0{}.0/host0/target0/{}/block/{}",
                              minor % 7, kernel, kernel);
  event.subsystem = "block";
  event.properties = {{"MAJOR", std::to_string(major)}, {"MINOR", std::to_string(minor)},
                      {"DEVNAME", "/dev/" + kernel},    {"DEVTYPE", "disk"},
                      {"SUBSYSTEM", "block"},           {"DISKSEQ", std::to_string(minor + 1)}};
  event.attributes = {{"size", "131072"}, {"serial", std::move(serial)}};
  at(time, std::move(event));
}

Json Machine::probe(const std::string& kernel) const {
  if (kernel == "sr0") {
    return filesystem("iso9660");
  }
  for (unsigned i = 0; i < boot_.disks; ++i) {
    if (disk_name(i) == kernel) {
      const unsigned array = i / kDisksOfArray;
      const unsigned members = std::min(kDisksOfArray, boot_.disks - array * kDisksOfArray);
      return md_member(fmt::format("{:08x}:11111111:22222222:33333333", array),
                       std::to_string(array), 6, static_cast<int>(members),
                       static_cast<int>(i % kDisksOfArray));
    }
  }
  return Json::object();
}

void Machine::answer(const Effect& effect, Micros now) {
  const auto& arguments = effect.arguments;
  const auto done = [&](Micros took, Json result) {
    EffectDone event;
    event.id = effect.id;
    event.ok = true;
    event.result = std::move(result);
    at(now + took, std::move(event));
  };
  if (effect.handler == "report" || effect.handler == "control" || effect.handler == "timer" ||
      effect.verb == "follow") {
    return;
  }
  if (effect.handler == "source") {
    if (effect.verb == "scan") {
      at(now + 400'000, ScanDone{1, {}});
      return;
    }
    const auto kernel = effect.subject.substr(effect.subject.rfind('/') + 1);
    if (const auto it = arrays_.find(kernel); it != arrays_.end()) {
      DeviceEvent event = it->second;
      event.origin = DeviceEvent::Origin::scan;
      event.action = Action::change;
      at(now + 2'000, std::move(event));
    }
    return;
  }
  if (effect.handler == "driver" && effect.verb == "resolve") {
    const auto name = arguments.at("alias").get<std::string>();
    const Json module = {{"name", name},           {"path", name + ".ko"}, {"options", ""},
                         {"needs", Json::array()}, {"soft", false},        {"state", "absent"}};
    done(5'000, Json{{"modules", Json::array({module})}, {"refused", Json::array()}});
  } else if (effect.handler == "driver") {
    done(effect.subject == "raid456" ? 410'000 : 60'000, Json::object());
  } else if (effect.handler == "probe") {
    Json result = {{"diskseq", 1}, {"properties", Json::object()}, {"details", Json::object()}};
    result.update(probe(arguments.at("name").get<std::string>()));
    done(30'000, std::move(result));
  } else if (effect.handler == "md" && effect.verb == "assemble") {
    const auto kernel = fmt::format("md{}", arguments.at("number").get<int>());
    std::string slaves;
    for (const auto& member : arguments.at("members")) {
      slaves += (slaves.empty() ? "" : " ") + member.at("name").get<std::string>();
    }
    DeviceEvent event;
    event.action = Action::add;
    event.devpath = "/devices/virtual/block/" + kernel;
    event.subsystem = "block";
    event.properties = {
        {"MAJOR", "9"},      {"MINOR", kernel.substr(2)}, {"DEVNAME", "/dev/" + kernel},
        {"DEVTYPE", "disk"}, {"SUBSYSTEM", "block"},      {"DISKSEQ", "1"}};
    event.attributes = {{"size", "131072"}, {"md/array_state", "read-auto"}, {"slaves", slaves}};
    arrays_[kernel] = event;
    at(now + 80'000, event);
    done(90'000, Json{{"kernel", kernel}, {"devno", "9:" + kernel.substr(2)}});
  } else if (effect.handler == "medium" && effect.verb == "examine") {
    std::string mountlist;
    for (unsigned i = 0; i * kDisksOfArray < boot_.disks; ++i) {
      mountlist += fmt::format("/dev/md{} /srv{} ext3 60000\n", i, i);
    }
    done(200'000, Json{{"archives", true},
                       {"number", "1"},
                       {"serial", "S1"},
                       {"not_the_last", false},
                       {"files",
                        {{"mondo-restore.cfg", "iso-prefix lab\nbackup-media-type cdr\n"},
                         {"mountlist.txt", mountlist},
                         {"i-want-my-lvm", nullptr},
                         {"raidtab", nullptr}}}});
  } else {
    done(effect.handler == "node" ? 1'000 : 40'000, Json::object());
  }
}

replay::Recording Machine::play() {
  std::string mountlist;
  for (unsigned i = 0; i * kDisksOfArray < boot_.disks; ++i) {
    mountlist += fmt::format("/dev/md{} /srv{} ext3 60000\n", i, i);
  }
  const Micros begin = 2'000'000;
  at(begin, FactsRead{{{"command_line", "compare_mode"},
                       {"mondo-restore.cfg", "iso-prefix lab\nbackup-media-type cdr\n"},
                       {"mountlist.txt", mountlist},
                       {"kernel", "6.1"},
                       {"udevd", false}}});
  if (boot_.medium) {
    plug(begin + 500'000, "sr0", 11, 0, "DRIVE");
  }
  for (unsigned i = 0; i < boot_.disks; ++i) {
    const bool slow = static_cast<int>(i) == boot_.slow;
    plug(begin + 600'000 + static_cast<Micros>(i) * 4'000 + (slow ? 30'000'000 : 0), disk_name(i),
         8 + i / 16, i % 16 * 16, boot_.serial_prefix + std::to_string(i));
  }
  if (boot_.go_at != 0) {
    at(boot_.go_at, Command{1, "go", Json::object()});
  }
  const auto empty = recording_of("large", {});
  auto engine = replay::engine_for(empty.segments.front());
  std::vector<Event> events;
  while (!queue_.empty()) {
    Event event{queue_.begin()->first, std::move(queue_.begin()->second)};
    queue_.erase(queue_.begin());
    for (const auto& effect : (*engine)->on(event)) {
      answer(effect, event.time);
    }
    events.push_back(std::move(event));
  }
  return recording_of(fmt::format("{}-disks.jsonl", boot_.disks), events);
}

}  // namespace

replay::Recording recording_of(std::string name, const std::vector<Event>& events) {
  replay::Recording recording;
  recording.name = std::move(name);
  replay::Segment segment;
  segment.line = 1;
  segment.rules = shipped_rule_texts();
  Json rules = Json::array();
  for (const auto& source : segment.rules) {
    rules.push_back({{"name", source.name}, {"text", source.text}});
  }
  segment.header = {
      {"journal", 1}, {"segment", 1}, {"muster", "0.1.0"}, {"kernel", "6.1.0"}, {"rules", rules}};
  const auto engine = replay::engine_for(segment);
  std::size_t line = 1;
  for (const auto& event : events) {
    replay::Step step{++line, event, (*engine)->on(event)};
    line += step.effects.size();
    segment.steps.push_back(std::move(step));
  }
  recording.segments.push_back(std::move(segment));
  return recording;
}

replay::Recording large_boot(const LargeBoot& boot) {
  return Machine(boot).play();
}

}  // namespace muster::test
