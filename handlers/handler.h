// What a handler is: a *policy*, which turns facts into wanted effects and is pure, and an
// *executor*, which does them.
//
// A new kind of storage is a folder with one of each, a line in rules/ that assigns devices to it,
// and a line in registry.cpp. handlers/README.md walks through the smallest one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/event.h"
#include "daemon/world.h"

namespace muster {

// What a policy may do. All calls take effect at once in the world or go out as effects; callbacks
// they cause are delivered after the current one returned.
class Context {
 public:
  virtual ~Context() = default;
  [[nodiscard]] virtual const World& world() const = 0;
  [[nodiscard]] virtual Micros now() const = 0;

  // Sends an effect to this handler's own executor. It comes back as Policy::done with the same id.
  virtual EffectId want(std::string_view verb, std::string subject, Json arguments,
                        std::int64_t deadline_ms, std::string_view lane = {}) = 0;
  // Whether an effect of this handler with this id has not come back yet.
  [[nodiscard]] virtual bool pending(EffectId id) const = 0;
  // Whether an effect under way, of any handler, has to do with this device or one below it; what
  // is late does not count. While mondorestore is being launched, decide() follows every event.
  [[nodiscard]] virtual bool at_work_on(std::string_view devpath) const = 0;

  // Named alarms of this handler; setting one again moves it.
  virtual void set_timer(std::string_view name, Micros at) = 0;
  virtual void cancel_timer(std::string_view name) = 0;

  virtual void publish(Thing thing) = 0;  // owner, since and doomed are filled in
  virtual void withdraw(std::string_view id) = 0;

  // Asks whoever owns ids of this kind ("module:NAME") to make it; asking twice is asking once.
  virtual void request(std::string_view id) = 0;

  virtual void set_signature(std::string_view devpath, Signature signature) = 0;
  virtual void clear_signature(std::string_view devpath) = 0;

  // Has sysfs read again for this device; the answer is a DeviceEvent. For what no uevent
  // announces.
  virtual void read_again(std::string_view devpath) = 0;

  // The medium's own copies of Mondo's files replace the image's in the plan (empty: back to the
  // image's).
  virtual void set_medium_files(Json files) = 0;
  virtual void set_phase(Phase phase) = 0;

  // Answers an operator's command.
  virtual void reply(const Command& command, Json answer) = 0;

  // One line for the operator, on the board and in the journal's effects.
  virtual void report(std::string text) = 0;

  // Has decide() called after this event.
  virtual void touch() = 0;
};

class Policy {
 public:
  virtual ~Policy() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;

  // The plan is known or changed.
  virtual void plan_changed(Context&) {}
  // The rules assign this device here, and it appeared or something about it changed.
  virtual void device(const Device&, Context&) {}
  // The kernel says `change` of it, and yet all that is known of it is as it was when device() was
  // called last or as this policy set it since, and the plan and the phase are as they were then.
  // Whoever would find nothing to do does nothing here: a `change` mostly is such.
  virtual void device_as_before(const Device& device, Context& context) {
    this->device(device, context);
    context.touch();
  }
  // It was assigned here and is gone, or the rules no longer assign it.
  virtual void device_gone(const Device&, Context&) {}
  virtual void done(const Effect&, const EffectDone&, Context&) {}
  virtual void late(const Effect&, Context&) {}
  virtual void timer(std::string_view, Context&) {}
  // Any handler's thing was published, changed or (withdrawn = true) taken back.
  virtual void thing(const Thing&, bool /*withdrawn*/, Context&) {}
  // Somebody asks for a thing by id; true if its kind is ours.
  virtual bool request(std::string_view /*id*/, Context&) { return false; }
  // True if the command was ours; it must then be replied to.
  virtual bool command(const Command&, Context&) { return false; }
  // After an event that touched this policy: compare facts with wishes, want effects.
  virtual void decide(Context&) {}

  // All that it remembers between two events, for the journal's snapshots: MUSTER_POLICY_STATE
  // (daemon/state_json.h) with all of its members writes both.
  [[nodiscard]] virtual Json save() const = 0;
  [[nodiscard]] virtual Result<void> restore(const Json& json) = 0;
};

// How soon an effect is to be done where there are more of them than threads or CPUs. What the
// launch waits for comes before a look at what has just appeared, by the dozen.
enum class Urgency { now, soon, whenever };

// Runs on worker threads; may block. Knows nothing but the effect. Several effects run side by side
// unless they share a lane. What it returns becomes EffectDone::result; on failure the Error's
// text, code, and `result` is null.
class Executor {
 public:
  virtual ~Executor() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  // Called when the effect is given, on any thread.
  [[nodiscard]] virtual Urgency urgency(const Effect&) const { return Urgency::now; }
  // Another number once an effect may have become more urgent than it was.
  [[nodiscard]] virtual std::uint64_t urgency_revision() const { return 0; }
  [[nodiscard]] virtual Result<Json> run(const Effect& effect) = 0;
};

}  // namespace muster
