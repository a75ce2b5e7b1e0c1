// The loaded rules, and what they say about a device.
//
//   std::vector<Diagnostic> diagnostics;
//   const RuleSet rules = RuleSet::load(merge_by_name({shipped, local}), diagnostics);
//   const Outcome outcome = rules.match(device);   // pure: device view in, handlers and properties
//   out
//
// A RuleSet never changes after load() and may be used from any thread.
#pragma once

#include <cstdint>
#include <map>
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

class RuleSet {
 public:
  RuleSet() = default;

  // The files in the order in which their rules apply. Never fails as a whole: what cannot be used
  // is reported, what can be is used.
  [[nodiscard]] static RuleSet load(std::span<const Source> sources,
                                    std::vector<Diagnostic>& diagnostics);

  [[nodiscard]] Outcome match(const DeviceView& device) const;

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
  // Rule indices in ascending order. A rule stands in `any`, or below each SUBSYSTEM=="literal"
  // that it asks for.
  struct Index {
    std::vector<std::uint32_t> any;
    std::map<std::string, std::vector<std::uint32_t>, std::less<>> by_subsystem;
  };

  void index();

  std::vector<std::string> files_;
  std::vector<Rule> rules_;
  Index index_;
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
