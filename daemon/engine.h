// The engine: on(event) -> effects.
//
// A pure function over the world it owns: no system calls, no clock (time arrives on events), no
// threads, no globals. The same events give the same effects, byte for byte; that is what makes a
// journal a recording that replays.
//
// It knows no kind of storage. It keeps devices, matches rules, and hands facts to the policies; a
// policy's callbacks may cause further facts, which are delivered until nothing is left, before
// on() returns.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/event.h"
#include "daemon/world.h"
#include "handlers/handler.h"
#include "rules/match.h"

namespace muster {

// An effect that failed, and has not succeeded since.
struct FailedAttempt {
  std::string handler;
  std::string verb;
  std::string subject;
  std::string error;  // of the last time
  Micros last = 0;
  std::uint32_t times = 0;
};

class Engine {
 public:
  // `policies` in the order in which they are asked; names are unique.
  Engine(rules::RuleSet rules, std::vector<std::unique_ptr<Policy>> policies);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] std::vector<Effect> on(const Event& event);

  // The whole state between two events, for the journal. An engine with the same rules and policies
  // that is restored from it goes on as this one does, ids included.
  [[nodiscard]] Json snapshot() const;
  // Into a new engine; it is of no use where this fails. Errors name the place that is malformed.
  [[nodiscard]] Result<void> restore(const Json& snapshot);

  [[nodiscard]] const World& world() const { return world_; }
  [[nodiscard]] Micros now() const { return now_; }
  // The last lines reported to the operator, oldest first.
  [[nodiscard]] const std::deque<std::string>& reports() const { return reports_; }
  [[nodiscard]] const std::map<EffectId, Effect>& pending() const { return pending_; }
  [[nodiscard]] const std::set<EffectId>& late() const { return late_; }
  // /sys is being read.
  [[nodiscard]] bool scanning() const { return scanning_; }
  // What is due when: "HANDLER/WHAT SUBJECT".
  [[nodiscard]] const std::map<std::string, Micros>& timers() const { return timers_; }
  // When a pending effect was sent.
  [[nodiscard]] Micros sent(EffectId id) const;
  // What was tried in vain, oldest first; the last ones.
  [[nodiscard]] const std::deque<FailedAttempt>& failed_attempts() const {
    return failed_attempts_;
  }

 private:
  class PolicyContext;
  struct Slot {
    std::unique_ptr<Policy> policy;
    std::unique_ptr<PolicyContext> context;
    std::string_view name;
    bool touched = false;
  };
  // A fact that policies have not heard of yet.
  struct Notice {
    enum class Kind {
      device,
      device_as_before,
      device_gone,
      thing,
      thing_withdrawn,
      request,
      plan
    } kind;
    std::string id = {};
    Devpath device = {};
    std::shared_ptr<const Device> gone = {};
    std::shared_ptr<const Thing> withdrawn = {};
    std::shared_ptr<const rules::Outcome> told = {};  // its handlers, but for the one that knows
    std::string_view knows = {};
  };

  void apply(const FactsRead& event);
  void apply(const DeviceEvent& event);
  void apply(const ScanDone& event);
  void apply(const EventsLost& event);
  void apply(const EffectDone& event);
  void apply(const EffectLate& event);
  void apply(const TimerDue& event);
  void apply(const Command& event);

  void remove_device(std::string_view devpath);
  // `by` found out itself what changed and need not be told.
  void rematch(Device& device, bool changed, Action action, std::string_view by = {});
  void tell(const Device& device, std::shared_ptr<const rules::Outcome> told,
            std::string_view by = {});
  void doom_what_stands_on(std::string_view devpath);
  void publish(std::string_view owner, Thing thing);
  void withdraw(std::string_view owner, std::string_view id);
  void remake_plan();
  // All are told that the plan or the phase is another, or that the first scan is complete.
  void tell_plan();
  void drain();
  void deliver(const Notice& notice);
  EffectId send(std::string_view handler, std::string_view verb, std::string subject,
                Json arguments, std::int64_t deadline_ms, std::string_view lane);
  void scan();
  void note(std::string text);
  void answer_waiters();
  void remember(const Effect& effect, const EffectDone& outcome);
  Slot* slot(std::string_view name);
  void restore_state(const Json& json);
  void restore_device(const std::string& devpath, Json record,
                      const std::vector<std::vector<std::string>>& absent);

  rules::RuleSet rules_;
  rules::OutcomePool outcomes_;
  std::vector<Slot> slots_;
  World world_;
  Json facts_;
  Json medium_files_;
  Micros now_ = 0;
  EffectId next_id_ = 1;
  std::vector<Effect> effects_;
  std::map<EffectId, Effect> pending_;
  std::map<EffectId, Micros> sent_;  // the pending ones
  std::map<std::string, Micros> timers_;
  std::set<EffectId> late_;
  std::deque<FailedAttempt> failed_attempts_;
  std::deque<Notice> notices_;
  std::vector<NamedText> texts_;  // of the event at hand
  std::set<std::string, std::less<>> requests_;
  std::deque<std::string> reports_;
  std::vector<Command> waiters_;
  bool scanning_ = false;
  bool scan_again_ = false;
  // What policies were told of a device (Device::settled) holds until the plan changes or an event
  // is cut off: then another era begins.
  std::uint32_t era_ = 1;
};

}  // namespace muster
