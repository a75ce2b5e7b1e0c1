// A machine for tests of the engine: hardware as data, effects answered as the kernel would.
//
// Devices arrive when the test says so. Each effect that the engine sends is answered from the
// model at once or, in arrival tests, as one of the things that may happen next: so every causally
// possible order can be played.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/engine.h"

namespace muster::test {

struct ModelDisk {
  std::string name;    // "sda"
  unsigned minor = 0;  // of major 8
  std::uint64_t sectors = 131072;
  std::string serial = {};
  Json probe = Json::object();  // what a read of it finds: {"properties", "details"}
};

// A member of an md array, as the probe reports it.
[[nodiscard]] Json md_member(const std::string& uuid, const std::string& name, int level,
                             int raid_disks, int slot, std::uint64_t events = 10,
                             std::vector<std::string> roles = {});
// A PV that carries this metadata text.
[[nodiscard]] Json lvm_pv(const std::string& pv_uuid, const std::string& metadata);
[[nodiscard]] Json filesystem(const std::string& type, const std::string& uuid = "1111-2222");

[[nodiscard]] std::vector<rules::Source> shipped_rule_files();
// With the shipped rules and all handlers.
[[nodiscard]] std::unique_ptr<Engine> shipped_engine();

// An event and the effects that the engine answered it with, a JSON object a line.
struct Step {
  Event event;
  std::string effects;
  std::vector<Effect> answered;  // the same
};
[[nodiscard]] std::string lines_of(const std::vector<Effect>& effects);

class ModelMachine {
 public:
  explicit ModelMachine(Json facts);

  // The first event: what the daemon knows at its start; then /sys is read and found empty.
  void start();
  void plug(const ModelDisk& disk);
  void unplug(const std::string& name);
  void command(const std::string& verb, Json arguments = Json::object());
  void timer(const std::string& name);
  void send(EventBody body);
  // Time goes by.
  void wait(Micros micros) { now_ += micros; }
  [[nodiscard]] Micros now() const { return now_; }

  // What reading the device an array or LV becomes finds on it.
  void content(const std::string& array_uuid_or_dm_uuid, Json probe) {
    contents_[array_uuid_or_dm_uuid] = std::move(probe);
  }
  // What examining a candidate finds.
  void medium(const std::string& kernel_name, Json found) {
    media_[kernel_name] = std::move(found);
  }
  // What the module tree says of an alias: nothing, or this module.
  void resolve_nothing(const std::string& alias) { modules_[alias] = {}; }
  void resolve_as(const std::string& alias, const std::string& module) { modules_[alias] = module; }
  // Effects of this handler and verb are kept back until released.
  void hold(const std::string& handler, const std::string& verb) {
    held_.insert(handler + " " + verb);
  }
  void release(const std::string& handler, const std::string& verb);
  // From now on; without an error: no longer.
  void fail_effect(const std::string& handler, const std::string& verb, std::string error,
                   Errc code = Errc::io);

  [[nodiscard]] Engine& engine() { return *engine_; }
  [[nodiscard]] const World& world() const { return engine_->world(); }
  [[nodiscard]] const std::vector<Effect>& effects() const { return effects_; }
  // Everything so far.
  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }
  [[nodiscard]] std::size_t count(const std::string& handler, const std::string& verb) const;
  [[nodiscard]] std::vector<Json> arguments_of(const std::string& handler,
                                               const std::string& verb) const;
  [[nodiscard]] const std::vector<Json>& replies() const { return replies_; }
  [[nodiscard]] std::string state(const std::string& thing_id) const;
  [[nodiscard]] std::string why(const std::string& thing_id) const;
  // Kernel-name-free text of everything that is there in the end.
  [[nodiscard]] std::string final_state() const;

 private:
  void answer(const Effect& effect);
  void finish(const Effect& effect, Result<Json> result);
  void appear(const std::string& kernel, unsigned major, unsigned minor, std::uint64_t sectors,
              Attributes attributes);
  void vanish(const std::string& kernel);

  std::unique_ptr<Engine> engine_;
  Json facts_;
  Micros now_ = 1'000'000;
  std::vector<Effect> effects_;
  std::vector<Step> steps_;
  std::deque<Effect> queue_;
  bool working_ = false;
  std::map<std::string, ModelDisk> disks_;          // by kernel name
  std::map<std::string, DeviceEvent> virtual_;      // arrays and dm devices by kernel name
  std::map<std::string, std::string> identity_of_;  // their UUIDs
  std::map<std::string, Json> contents_;
  std::map<std::string, Json> media_;
  std::map<std::string, std::string> modules_;  // by alias, where it is not the alias itself
  std::set<std::string> held_;
  std::vector<Effect> kept_;
  std::map<std::string, Error> failures_;
  std::vector<Json> replies_;
  unsigned next_md_ = 127;
  unsigned next_dm_ = 0;
};

}  // namespace muster::test
