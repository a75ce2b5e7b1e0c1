// The loaded rules, and what they say about a device.
//
//   std::vector<Diagnostic> diagnostics;
//   const RuleSet rules = RuleSet::load(merge_by_name({shipped, local}), diagnostics);
//   const Outcome outcome = rules.match(device);   // pure: device view in, handlers and properties
//   out
//
// A RuleSet never changes after load() and may be used from any thread.
#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/rule.h"

namespace muster::rules {

// What the matcher asks about a device. What is not there is empty, for attributes std::nullopt: a
// file that is absent or unreadable matches neither == nor !=, an empty one does. Views stay valid
// until match() returns.
class DeviceView {
 public:
  virtual ~DeviceView() = default;

  [[nodiscard]] virtual std::string_view action() const = 0;
  // As libudev's sysname: the last component of the devpath with '!' shown as '/'.
  [[nodiscard]] virtual std::string_view kernel() const = 0;
  [[nodiscard]] virtual std::string_view subsystem() const = 0;
  [[nodiscard]] virtual std::string_view driver() const = 0;
  [[nodiscard]] virtual std::string_view devpath() const = 0;
  [[nodiscard]] virtual std::optional<std::string_view> env(std::string_view key) const = 0;
  // The file's content; trailing newlines may stay, and only what comes before a NUL byte counts.
  [[nodiscard]] virtual std::optional<std::string_view> attr(std::string_view name) const = 0;
  // What match() said about it last (Outcome::tags). Asked of the devices above only: the event's
  // own device begins without any, as in udev, so that matching twice is like matching once.
  [[nodiscard]] virtual const std::set<std::string>& tags() const;
  // The next device up the devpath, nullptr at the top.
  [[nodiscard]] virtual const DeviceView* parent() const { return nullptr; }
};

struct Outcome {
  std::vector<std::string> handlers;              // each once, in the order of the rules
  std::map<std::string, std::string> properties;  // changes by ENV{}=; an empty value: taken away
  std::set<std::string> tags;                     // all that the rules gave it
  std::vector<std::string> warnings;  // "FILE:LINE: …": assignments that could not be done

  bool operator==(const Outcome&) const = default;
};

// What devices came to so far, for one RuleSet: thousands of disks are told apart by their names
// and not by what the rules say of them, and share one Outcome. Grows with the combinations of
// handlers that occur, no further.
class OutcomePool {
 private:
  friend class RuleSet;
  std::map<std::uint64_t, std::shared_ptr<const Outcome>> by_handlers_;
};

class RuleSet {
 public:
  RuleSet() = default;

  // The files in the order in which their rules apply. Never fails as a whole: what cannot be used
  // is reported, what can be is used.
  [[nodiscard]] static RuleSet load(std::span<const Source> sources,
                                    std::vector<Diagnostic>& diagnostics);

  [[nodiscard]] Outcome match(const DeviceView& device) const;
  // The same, shared with devices of which the rules said the same.
  [[nodiscard]] std::shared_ptr<const Outcome> match(const DeviceView& device,
                                                     OutcomePool& pool) const;

  // What match() looks at, of devices of one subsystem: the same answers come to the same outcome.
  struct Questions {
    bool device_alone = true;  // neither the action nor the devices above
    // Besides its names. Sorted, each once.
    std::vector<std::string> properties;
    std::vector<std::string> attributes;
  };
  [[nodiscard]] const Questions& questions(std::string_view subsystem) const {
    return program(subsystem).questions;
  }

  // What a source must read for match() to see what udev would: names of files below the device's
  // own folder (ATTR{} and $attr{}), and below those of all devices above it (ATTRS{}, and $attr{}
  // where a rule up to there selects a parent). Sorted, each once. A name ATTRS{} gives is to be
  // read on the device itself too, hence stands in both.
  [[nodiscard]] const std::vector<std::string>& attributes() const { return attributes_; }
  [[nodiscard]] const std::vector<std::string>& parent_attributes() const {
    return parent_attributes_;
  }
  // Names that HANDLER+= gives. Sorted, each once. To report one that does not exist.
  [[nodiscard]] const std::vector<std::string>& handlers() const { return handlers_; }

  [[nodiscard]] std::size_t size() const { return rules_.size(); }

 private:
  // One condition. Several rules ask for one property or attribute: it is looked up once, and kept
  // in its slot.
  struct Test {
    Match match;
    std::uint32_t slot = 0;
  };
  // A rule as it stands for the devices of one subsystem: what follows from the subsystem alone is
  // decided at load.
  struct Step {
    std::uint32_t rule = 0;
    std::uint32_t next = 0;  // the step to go on with where it matched
    // It asks for a kernel name that begins with one of these: most rules end here.
    std::optional<std::bitset<256>> kernel_begins;
    std::vector<Test> tests;
  };
  struct Program {
    std::vector<Step> steps;
    Questions questions;
  };
  class Run;
  class Compiler;

  void index();
  void compile();
  void run(Run& run) const;
  [[nodiscard]] const Program& program(std::string_view subsystem) const {
    const auto own = programs_.find(subsystem);
    return own == programs_.end() ? program_ : own->second;
  }

  std::vector<std::string> files_;
  std::vector<Rule> rules_;
  std::map<std::string, Program, std::less<>> programs_;  // by subsystem
  Program program_;                                       // of every other subsystem
  std::vector<std::string> attributes_;
  std::vector<std::string> parent_attributes_;
  std::vector<std::string> handlers_;
};

// The files that count when several directories hold rules, as for udev: of files with one name the
// last directory's, nothing if that is empty (a link to /dev/null reads as empty), in the order of
// their names; names that do not end in
// ".rules" are not rules files.
[[nodiscard]] std::vector<Source> merge_by_name(
    std::initializer_list<std::span<const Source>> directories);

}  // namespace muster::rules
