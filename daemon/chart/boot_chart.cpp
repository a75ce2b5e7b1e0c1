#include "daemon/chart/boot_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <tuple>

#include "daemon/chart/boot_history.h"
#include "daemon/chart/chart_text.h"
#include "daemon/chart/critical_path.h"

namespace muster::chart {
namespace {

constexpr std::size_t kTitle = 120;  // characters
constexpr std::size_t kText = 400;
constexpr std::size_t kReasons = 12;  // of one wait, shown one by one
constexpr std::size_t kBreakdown = 4;

std::string kernel_of(std::string_view devpath) {
  return std::string(devpath.substr(devpath.rfind('/') + 1));
}

// An array's name, level and the beginning of its UUID: enough to tell two apart. `what` is
// "array NAME (LEVEL, UUID)" or "array UUID (LEVEL)".
std::string short_array(std::string_view what) {
  if (!what.starts_with("array ")) {
    return std::string(what);
  }
  what.remove_prefix(6);
  const auto open = what.rfind(" (");
  if (open == std::string_view::npos || !what.ends_with(')')) {
    return std::string(what);
  }
  const auto name = what.substr(0, open);
  const auto inner = what.substr(open + 2, what.size() - open - 3);
  const auto comma = inner.rfind(", ");
  if (comma == std::string_view::npos) {
    return fmt::format("{} {}", inner, name.substr(0, 8));
  }
  return fmt::format("{} {} {}", name, inner.substr(0, comma), inner.substr(comma + 2, 8));
}

// A question changes nothing.
bool is_question(const Act& act) {
  static const std::set<std::string, std::less<>> kQuestions = {
      "status", "explain", "wait", "events", "drivers", "record", "version"};
  return act.kind == Kind::command && kQuestions.contains(act.verb);
}

class Builder {
 public:
  Builder(const replay::Recording& recording, const History& history)
      : recording_(recording), h_(history), path_(critical_path(history)) {}
  Chart build();

 private:
  // The row's key for an act; empty: none.
  std::string row_of(const Act& act) const;
  std::string thing_for(const Act& act) const;
  bool visible(ActId id) const;
  std::string words(const Act& act) const;
  Row& row(const std::string& key);
  void describe(Row& row, std::string_view key) const;
  void describe_disk(Row& row, const std::string& devpath) const;
  void describe_life(Row& row, const Life& life) const;
  Bar bar(ActId id) const;
  void add_acts();
  void add_lives();
  void add_span(Row& row, const Life& life, const Span& span, std::size_t merged);
  void add_devices();
  void add_others();
  void make_path();
  std::optional<std::size_t> shown_cause(std::optional<ActId> id) const;
  void tell(Chart& chart) const;
  void order(std::vector<Row>& rows) const;
  std::string title_of(std::string_view key) const {
    const auto it = rows_.find(key);
    return it == rows_.end() ? std::string(key) : it->second.title;
  }

  const replay::Recording& recording_;
  const History& h_;
  CriticalPath path_;
  std::set<ActId> critical_;
  std::set<std::string, std::less<>> busy_aliases_;  // their modules were inserted
  std::map<std::string, std::string, std::less<>> life_by_tail_;
  std::map<std::string, std::string, std::less<>> made_for_;  // thing -> kernel name, the last
  std::map<std::string, Row, std::less<>> rows_;
  std::set<ActId> shown_;
  std::vector<Hop> hops_;
  // From when on the launch was ours to speed up: the last hardware, or the operator's word, on
  // the critical path.
  std::optional<Micros> since_;
  std::string since_what_ = "musterd began";
  std::size_t next_id_ = 0;
};

std::string Builder::thing_for(const Act& act) const {
  if (!act.devpath.empty()) {
    if (auto thing = h_.thing_of(act.devpath, act.end); !thing.empty()) {
      return thing;
    }
  }
  for (const auto& name : {"/dev/mapper/" + act.subject, "/dev/" + act.subject, act.subject}) {
    if (const auto it = h_.life_by_name.find(name); it != h_.life_by_name.end()) {
      return it->second;
    }
  }
  const auto tail = act.subject.substr(act.subject.rfind(' ') + 1);
  if (const auto it = life_by_tail_.find(tail); it != life_by_tail_.end()) {
    return it->second;
  }
  return h_.thing_of("/devices/virtual/block/" + act.subject, act.start);
}

std::string Builder::row_of(const Act& act) const {
  if (act.handler == "uevent" || act.handler == "scan" || act.handler == "probe" ||
      (act.handler == "source" && act.verb == "read")) {
    const auto it = h_.devices.find(act.devpath);
    if (it == h_.devices.end() || it->second.subsystem != "block") {
      return {};
    }
    const auto thing = is_virtual(act.devpath) ? h_.thing_of(act.devpath, act.end) : std::string();
    return thing.empty() ? "dev " + act.devpath : thing;
  }
  if (act.handler == "driver") {
    if (act.verb == "reload") {
      return "musterd";
    }
    const auto it = h_.alias_of_module.find(act.subject);
    return "driver " +
           (act.verb == "resolve" || it == h_.alias_of_module.end() ? act.subject : it->second);
  }
  if (act.handler == "musterd" || act.handler == "source") {
    return "musterd";
  }
  if (act.handler == "operator") {
    return "operator";
  }
  if (act.handler == "launch") {
    return "launch";
  }
  if (act.handler == "medium") {
    return "medium " + kernel_of(act.devpath.empty() ? act.subject : act.devpath);
  }
  const auto thing = thing_for(act);
  return thing.empty() ? "effect " + act.handler + " " + act.subject : thing;
}

bool Builder::visible(ActId id) const {
  const Act& act = h_.acts[id];
  if (critical_.contains(id)) {
    return true;
  }
  if (act.handler == "driver" && act.verb == "resolve") {
    return busy_aliases_.contains(act.subject);
  }
  if (act.handler == "timer") {
    return act.verb == "due";
  }
  if (act.handler == "node") {
    return act.failed || act.late;
  }
  if (act.kind == Kind::scan || (act.handler == "musterd" && act.verb == "lost")) {
    return true;
  }
  if (act.kind == Kind::command) {
    return !is_question(act);
  }
  return act.effect && act.handler != "source";
}

std::string Builder::words(const Act& act) const {
  static const std::map<std::pair<std::string, std::string>, std::string> kWords = {
      {{"driver", "resolve"}, "look up"},
      {{"driver", "insert"}, "insert"},
      {{"driver", "reload"}, "read module trees again"},
      {{"probe", "read"}, "read"},
      {{"md", "assemble"}, "start"},
      {{"md", "mdadm_assemble"}, "start by mdadm"},
      {{"medium", "take"}, "mount"},
      {{"medium", "tools"}, "unpack"},
      {{"launch", "run"}, "start"},
      {{"launch", "follow"}, "mondorestore runs"},
      {{"source", "scan"}, "look at /sys"},
      {{"source", "read"}, "look again"}};
  if (act.kind == Kind::deadline) {
    return "deadline";
  }
  if (act.handler == "musterd") {
    return act.subject;
  }
  if (act.kind == Kind::command) {
    return "muster " + clip(act.verb, 40);
  }
  const auto it = kWords.find({act.handler, act.verb});
  const std::string verb = it == kWords.end() ? act.verb : it->second;
  return act.kind == Kind::driver && act.verb != "reload" ? verb + " " + clip(act.subject, 40)
                                                          : verb;
}

void Builder::describe_disk(Row& row, const std::string& devpath) const {
  row.section = Section::disks;
  row.title = kernel_of(devpath);
  const auto& seen = h_.devices.find(devpath)->second;
  row.identity = seen.identity;
  std::string role = seen.holds;
  row.alike = role.empty() ? "nothing recognised" : "with " + role;
  if (!seen.array.empty()) {
    const auto life = h_.lives.find(seen.array);
    std::string name = "an array";
    if (life != h_.lives.end()) {
      const auto made = made_for_.find(seen.array);
      name = !life->second.thing.devpath.empty() ? kernel_of(life->second.thing.devpath)
             : made != made_for_.end()           ? made->second
                                                 : short_array(life->second.thing.what);
    }
    role = seen.slot >= 0 ? fmt::format("slot {} of {}", seen.slot, name) : "member of " + name;
    row.alike = "members of " + name;
  }
  if (!role.empty()) {
    row.identity += (row.identity.empty() ? "" : " · ") + clip(role, 40);
  }
}

void Builder::describe_life(Row& row, const Life& life) const {
  const Thing& thing = life.thing;
  row.title = thing.what;
  row.section = thing.requirement         ? Section::requirements
                : thing.id == "launch"    ? Section::launch
                : thing.owner == "lvm"    ? Section::volumes
                : thing.owner == "medium" ? Section::media
                                          : Section::arrays;
  std::string kernel = thing.devpath.empty() ? std::string() : kernel_of(thing.devpath);
  if (const auto it = made_for_.find(thing.id); kernel.empty() && it != made_for_.end()) {
    kernel = it->second;
  }
  if (row.section == Section::arrays) {
    row.title = kernel.empty() ? "not started" : kernel;
    row.identity = short_array(thing.what);
  } else if (row.section == Section::volumes) {
    row.title = thing.id.starts_with("lv:") ? thing.id.substr(3) : thing.what;
    row.identity = kernel;
  } else if (row.section == Section::launch) {
    row.title = "mondorestore";
  }
  row.alike = fmt::format(
      "{} {}",
      row.section == Section::arrays         ? "arrays"
      : row.section == Section::volumes      ? "volumes"
      : row.section == Section::requirements ? "requirements"
                                             : "things",
      thing.requirement && thing.state == State::ready ? "met" : to_string(thing.state));
}

void Builder::describe(Row& row, std::string_view key) const {
  const auto after = [&](std::string_view prefix) {
    return std::string(key.substr(prefix.size()));
  };
  if (const auto life = h_.lives.find(key); life != h_.lives.end()) {
    describe_life(row, life->second);
  } else if (key.starts_with("dev ")) {
    describe_disk(row, after("dev "));
  } else if (key.starts_with("driver ")) {
    const auto alias = after("driver ");
    row.section = Section::drivers;
    row.alike = "drivers";
    const auto modules = h_.modules_of_alias.find(alias);
    const bool none = modules == h_.modules_of_alias.end() || modules->second.empty();
    row.title = none ? alias : modules->second.back();
    std::vector<std::string> users;
    for (const auto& [devpath, seen] : h_.devices) {
      if (seen.modalias == alias) {
        users.push_back(seen.subsystem + " " + seen.kernel);
      }
    }
    row.identity = users.empty() ? (row.title == alias ? "asked for" : "for " + alias)
                   : users.size() == 1
                       ? users.front()
                       : fmt::format("{} and {} more", users.front(), users.size() - 1);
  } else if (key.starts_with("medium ")) {
    row.section = Section::media;
    row.title = after("medium ");
    row.alike = "media";
    for (const auto& [devpath, seen] : h_.devices) {
      if (seen.kernel == row.title && seen.subsystem == "block") {
        row.identity = seen.holds;
      }
    }
  } else if (key == "launch") {
    row.section = Section::launch;
    row.title = "mondorestore";
  } else if (key == "musterd" || key == "operator") {
    row.section = Section::drivers;
    row.title = key;
    row.identity = key == "musterd" ? "the daemon itself" : "commands";
    row.alike = key;
  } else {
    const auto name = after("effect ");
    row.section = name.starts_with("md ") || name.starts_with("multipath ") ? Section::arrays
                  : name.starts_with("lvm ")                                ? Section::volumes
                  : name.starts_with("network ")                            ? Section::media
                                                                            : Section::drivers;
    row.title = name.substr(name.find(' ') + 1);
    row.identity = name.substr(0, name.find(' '));
    row.alike = row.identity;
  }
}

Row& Builder::row(const std::string& key) {
  auto [it, is_new] = rows_.try_emplace(key);
  if (is_new) {
    it->second.key = key;
    describe(it->second, key);
    it->second.title = clip(it->second.title, kTitle);
    it->second.identity = clip(it->second.identity, kTitle);
  }
  return it->second;
}

// The nearest act at or before this one that has a bar.
std::optional<std::size_t> Builder::shown_cause(std::optional<ActId> id) const {
  for (std::size_t steps = 0; id && steps < 64; ++steps) {
    if (shown_.contains(*id)) {
      return id;
    }
    id = h_.cause(*id);
  }
  return std::nullopt;
}

Bar Builder::bar(ActId id) const {
  const Act& act = h_.acts[id];
  Bar bar;
  bar.kind = act.kind;
  bar.start = act.start;
  bar.end = act.end;
  bar.open = !act.done;
  bar.failed = act.failed;
  bar.late = act.late;
  bar.critical = critical_.contains(id);
  bar.label = act.kind == Kind::arrival || act.kind == Kind::removal ? std::string() : words(act);
  if (bar.open && act.effect && act.kind != Kind::running) {
    bar.label += ", not over";
  }
  bar.text = fmt::format("{} {} {}", act.handler, act.verb, clip(act.subject, kTitle));
  if (act.handler == "uevent" || act.handler == "scan") {
    bar.text = act.detail;
  } else if (!act.detail.empty()) {
    bar.text += "\n" + act.detail;
  }
  bar.text = clip(bar.text, kText);
  bar.id = id;
  bar.line = act.line;
  return bar;
}

void Builder::add_acts() {
  for (ActId id = 0; id < h_.acts.size(); ++id) {
    const Act& act = h_.acts[id];
    if (!visible(id)) {
      continue;
    }
    const bool event = act.handler == "uevent" || act.handler == "scan";
    const auto key = row_of(act);
    if (key.empty() || (event && act.kind != Kind::arrival && act.kind != Kind::removal)) {
      continue;
    }
    if (!event) {
      row(key).bars.push_back(bar(id));
      shown_.insert(id);
    }
  }
  // A device that somebody did something with is drawn from its arrival to its removal.
  for (const auto& [devpath, seen] : h_.devices) {
    if (seen.subsystem != "block") {
      continue;
    }
    for (const auto* list : {&seen.arrivals, &seen.removals}) {
      for (const auto id : *list) {
        const auto it = rows_.find(row_of(h_.acts[id]));
        if (it != rows_.end() && (it->second.section == Section::disks || critical_.contains(id))) {
          it->second.bars.push_back(bar(id));
          shown_.insert(id);
        }
      }
    }
  }
}

void Builder::add_span(Row& row, const Life& life, const Span& span, std::size_t merged) {
  const bool needed = life.thing.requirement;
  if (row.section == Section::launch && span.state != State::waiting &&
      span.state != State::broken) {
    return;
  }
  if (span.state == State::working && !needed) {
    return;  // its effects are drawn
  }
  Bar bar;
  bar.kind = span.state == State::ready ? Kind::present : Kind::waiting;
  bar.start = span.start;
  bar.end = std::max(span.start, span.end.value_or(h_.end));
  bar.open = !span.end;
  bar.failed = span.state == State::impossible || span.state == State::broken;
  bar.label = clip(span.why, kTitle);
  bar.text = fmt::format("{}: {}{}{}", life.thing.what,
                         needed && span.state == State::ready ? "met" : to_string(span.state),
                         span.why.empty() ? "" : ": ", span.why);
  if (merged > 1) {
    bar.text += fmt::format("\nand {} other reasons after that", merged - 1);
  }
  bar.text = clip(bar.text, kText);
  bar.id = next_id_++;
  bar.by = shown_cause(span.by);
  bar.line = h_.acts[span.by].line;
  bar.critical = (path_.missing == life.thing.id || path_.requirement == life.thing.id) &&
                 bar.open && span.state != State::ready;
  bar.critical_end = bar.end;
  row.bars.push_back(std::move(bar));
}

void Builder::add_lives() {
  for (const auto& [id, life] : h_.lives) {
    if (id.starts_with("binding:")) {
      continue;
    }
    const bool is_medium = life.thing.owner == "medium" && !life.thing.requirement;
    const std::string key =
        is_medium && !life.thing.on.empty() ? "medium " + kernel_of(life.thing.on.front()) : id;
    auto& target = row(key);
    const auto& spans = life.spans;
    const std::size_t one_by_one = spans.size() > kReasons ? kReasons / 2 : spans.size();
    for (std::size_t i = 0; i < spans.size(); ++i) {
      // Of very many the last few; before them one bar for a run of the same state.
      if (i + one_by_one >= spans.size()) {
        add_span(target, life, spans[i], 1);
        continue;
      }
      std::size_t last = i;
      while (last + 1 + one_by_one < spans.size() && spans[last + 1].state == spans[i].state &&
             spans[last].end == spans[last + 1].start) {
        ++last;
      }
      Span run = spans[i];
      run.end = spans[last].end;
      add_span(target, life, run, last - i + 1);
      i = last;
    }
  }
}

void Builder::add_devices() {
  for (const auto& [devpath, seen] : h_.devices) {
    const auto it = rows_.find("dev " + devpath);
    if (it == rows_.end()) {
      continue;
    }
    auto& bars = it->second.bars;
    for (const auto arrival : seen.arrivals) {
      const Micros start = h_.acts[arrival].start;
      std::optional<Micros> gone;
      for (const auto removal : seen.removals) {
        if (removal > arrival && !gone) {
          gone = std::max(start, h_.acts[removal].start);
        }
      }
      Bar present;
      present.kind = Kind::present;
      present.start = start;
      present.end = gone.value_or(h_.end);
      present.open = !gone;
      present.text = fmt::format("{} is there\n{}", seen.kernel, clip(devpath, kText));
      present.id = next_id_++;
      present.by = shown_cause(arrival);
      bars.push_back(present);
      // A member waits from having been read until its array is started.
      const auto life = h_.lives.find(seen.array);
      if (life == h_.lives.end()) {
        continue;
      }
      std::optional<ActId> read;
      std::optional<Micros> used;
      for (ActId id = arrival; id < h_.acts.size(); ++id) {
        const Act& act = h_.acts[id];
        if (gone && act.start > *gone) {
          break;
        }
        if (!read && act.handler == "probe" && act.devpath == devpath && act.done) {
          read = id;
        } else if (read && act.handler == "md" && act.verb.ends_with("assemble") &&
                   act.start >= h_.acts[*read].end && thing_for(act) == seen.array) {
          used = act.start;
          break;
        }
      }
      if (read) {
        Bar waits;
        waits.kind = Kind::waiting;
        waits.start = h_.acts[*read].end;
        waits.end = std::max(waits.start, used.value_or(present.end));
        waits.open = !used && !gone;
        waits.text =
            fmt::format("{} waits for the rest of {}", seen.kernel, life->second.thing.what);
        waits.id = next_id_++;
        waits.by = shown_cause(read);
        bars.push_back(std::move(waits));
      }
    }
  }
}

// What nothing came of: a row for each subsystem.
void Builder::add_others() {
  std::set<std::string> used_aliases;
  for (const auto& [key, row] : rows_) {
    if (key.starts_with("driver ")) {
      used_aliases.insert(key.substr(7));
    }
  }
  for (const auto& [devpath, seen] : h_.devices) {
    if (rows_.contains("dev " + devpath) || used_aliases.contains(seen.modalias) ||
        seen.arrivals.empty()) {
      continue;
    }
    if (seen.subsystem == "block" && h_.claims.contains(devpath)) {
      continue;
    }
    const std::string subsystem = seen.subsystem.empty() ? "no subsystem" : seen.subsystem;
    auto [it, is_new] = rows_.try_emplace("others " + subsystem);
    auto& others = it->second;
    if (is_new) {
      others.key = it->first;
      others.section = Section::others;
      others.title = clip(subsystem, kTitle);
      others.alike = "others";
      others.count = 0;
    }
    ++others.count;
    for (const auto arrival : seen.arrivals) {
      others.bars.push_back(bar(arrival));
      others.bars.back().critical = false;
    }
  }
}

void Builder::make_path() {
  const auto& acts = path_.acts;
  Micros at = acts.empty() ? 0 : h_.acts[acts.front()].start;
  for (std::size_t i = 0; i < acts.size(); ++i) {
    const Act& act = h_.acts[acts[i]];
    const bool last = i + 1 == acts.size();
    Micros end = last ? act.end : h_.acts[acts[i + 1]].start;
    if (last && !path_.missing.empty()) {
      end = h_.lives.find(path_.missing)->second.spans.back().start;
    }
    const bool event = act.handler == "uevent";
    if (event && !last && h_.acts[acts[i + 1]].handler == "uevent") {
      continue;  // a device on the way to another: the time is the other's
    }
    if (!event && !last && h_.acts[acts[i + 1]].handler == "uevent") {
      end = std::min(end, act.end);
    }
    Hop hop;
    hop.id = acts[i];
    hop.row = row_of(act);
    if (event && act.kind != Kind::removal && !is_virtual(act.devpath)) {
      since_ = act.start;
      since_what_ = fmt::format("the last hardware it needed ({}, at {})", clip(act.subject, 40),
                                seconds_text(act.start));
    } else if (act.kind == Kind::command) {
      since_ = act.start;
      since_what_ = fmt::format("`muster {}` at {}", clip(act.verb, 40), seconds_text(act.start));
    }
    if (hop.row.empty() && !last) {
      hop.row = row_of(h_.acts[acts[i + 1]]);
    }
    if (hop.row.empty()) {
      hop.row = path_.missing.empty() ? "musterd" : path_.missing;
    }
    hop.start = at;
    hop.end = std::max(at, end);
    at = hop.end;
    auto& target = row(hop.row);
    if (event) {
      hop.text = act.kind == Kind::removal ? act.subject + " is gone" : act.subject + " appears";
      if (hop.end > hop.start) {
        Bar found;
        found.kind = Kind::found;
        found.start = hop.start;
        found.end = hop.end;
        found.critical = true;
        found.critical_end = hop.end;
        found.label = hop.text;
        found.text =
            hop.text + (i == 0 ? "" : ": from its driver to its uevent") + "\n" + act.detail;
        found.id = next_id_++;
        found.line = act.line;
        found.by = hops_.empty() ? std::nullopt : std::optional(hops_.back().id);
        if (!shown_.contains(hop.id)) {
          found.id = hop.id;
          shown_.insert(hop.id);
        }
        target.bars.push_back(std::move(found));
      } else if (!shown_.contains(hop.id)) {
        target.bars.push_back(bar(hop.id));
        shown_.insert(hop.id);
      }
    } else {
      const auto verb = words(act);
      const bool named = act.kind == Kind::driver || act.handler == "musterd" ||
                         act.kind == Kind::command || act.kind == Kind::scan ||
                         act.kind == Kind::running;
      hop.text = named               ? verb
                 : act.verb == "run" ? "start mondorestore"
                                     : verb + " " + target.title;
      if (!shown_.contains(hop.id)) {
        target.bars.push_back(bar(hop.id));
        shown_.insert(hop.id);
      }
    }
    hop.text = clip(hop.text, kTitle);
    for (auto& each : target.bars) {
      if (each.id == hop.id) {
        each.critical_end = hop.end;
      }
    }
    hops_.push_back(std::move(hop));
  }
  if (!path_.missing.empty()) {
    const auto& life = h_.lives.find(path_.missing)->second;
    Hop hop;
    hop.row = life.thing.id;
    hop.start = std::max(at, life.spans.back().start);
    hop.end = std::max(hop.start, h_.end);
    hop.text = clip(fmt::format("wait for {}", life.thing.what), kTitle);
    for (const auto& each : row(hop.row).bars) {
      if (each.critical && each.kind == Kind::waiting) {
        hop.id = each.id;
      }
    }
    hops_.push_back(std::move(hop));
  }
}

void Builder::tell(Chart& chart) const {
  std::size_t requirements = 0;
  std::size_t met = 0;
  for (const auto& [id, life] : h_.lives) {
    if (life.thing.requirement && life.there) {
      ++requirements;
      met += life.thing.state == State::ready ? 1 : 0;
    }
  }
  if (path_.launch) {
    const Act& launch = h_.acts[*path_.launch];
    const Micros from = since_.value_or(chart.begin);
    const Micros took = std::max<Micros>(0, launch.end - from);
    const std::string since = fmt::format("{} after {}", seconds_text(took), since_what_);
    if (!launch.done) {
      chart.verdict = "The launch began and was not over when the recording ended";
    } else if (launch.failed) {
      chart.verdict =
          "The launch failed: " + clip(launch.detail.substr(launch.detail.rfind('\n') + 1), 160);
    } else {
      chart.launched = launch.end;
      chart.verdict = fmt::format("{} at {}, {}", launch.verb == "shell" ? "A shell" : "Launched",
                                  seconds_text(launch.end), since);
    }
    // Where that time went, the longest first; a driver counts with the modules that it needs.
    struct Share {
      Micros time = 0;
      std::string text;
      std::string row;
    };
    std::vector<Share> shares;
    for (const auto& hop : hops_) {
      const Micros time = hop.end - std::max(hop.start, from);
      if (time <= 0) {
        continue;
      }
      const auto same = std::find_if(shares.begin(), shares.end(), [&](const Share& each) {
        return each.row == hop.row && hop.row.starts_with("driver ");
      });
      if (same == shares.end()) {
        shares.push_back({time, hop.text, hop.row});
      } else {
        same->time += time;
        same->text = "driver " + title_of(hop.row);
      }
    }
    std::stable_sort(shares.begin(), shares.end(),
                     [](const Share& a, const Share& b) { return a.time > b.time; });
    std::vector<std::string> parts;
    Micros rest = took;
    for (std::size_t i = 0; i < std::min(shares.size(), kBreakdown); ++i) {
      rest -= shares[i].time;
      parts.push_back(fmt::format("{} {}", shares[i].text, seconds_text(shares[i].time)));
    }
    if (shares.size() > kBreakdown && rest > 0) {
      parts.push_back(fmt::format("the rest {}", seconds_text(rest)));
    }
    if (!parts.empty()) {
      chart.breakdown = fmt::format("Of that: {}", fmt::join(parts, " · "));
    }
    return;
  }
  if (path_.missing.empty()) {
    chart.verdict = h_.phase == Phase::gathering ? "Nothing was launched"
                                                 : "mondorestore was started before this recording";
    return;
  }
  const auto& missing = h_.lives.find(path_.missing)->second;
  const auto& requirement = h_.lives.find(path_.requirement)->second;
  if (h_.phase != Phase::gathering) {
    chart.verdict = "mondorestore was started before this recording began";
    chart.breakdown = missing.thing.why;
    return;
  }
  chart.verdict = fmt::format("Not launched: {} is {}", requirement.thing.what,
                              to_string(requirement.thing.state));
  if (requirements != 0) {
    chart.verdict += fmt::format(" ({} of {} requirements met)", met, requirements);
  }
  chart.breakdown = fmt::format(
      "{}{} (since {}: {} when the recording ends)",
      &missing == &requirement      ? std::string()
      : missing.thing.owner == "md" ? "array " + short_array(missing.thing.what) + ": "
                                    : missing.thing.what + ": ",
      missing.thing.why.empty() ? std::string(to_string(missing.thing.state)) : missing.thing.why,
      seconds_text(missing.spans.back().start), seconds_text(h_.end - missing.spans.back().start));
}

void Builder::order(std::vector<Row>& rows) const {
  const auto place = [this](const Row& row) {
    // In the order of the parts that they belong to; then as the kernel counts; drivers by time.
    std::string group;
    std::int64_t number = 0;
    if (row.section == Section::disks) {
      const auto& seen = h_.devices.find(std::string_view(row.key).substr(4))->second;
      group = !seen.array.empty()   ? fmt::format("1 {:4} {}", row.alike.size(), row.alike)
              : !seen.holds.empty() ? "2"
                                    : "3";
      number = !seen.array.empty() ? seen.slot : static_cast<std::int64_t>(row.title.size());
    } else if (row.section == Section::drivers) {
      group = row.key == "musterd" ? "1" : row.key == "operator" ? "2" : "3";
      number =
          row.bars.empty()
              ? 0
              : std::min_element(row.bars.begin(), row.bars.end(), [](const Bar& a, const Bar& b) {
                  return a.start < b.start;
                })->start;
    } else if (row.section == Section::others) {
      number = -static_cast<std::int64_t>(row.count);
    } else {
      number = static_cast<std::int64_t>(row.title.size());
      group = row.section == Section::arrays ? "" : row.title;
    }
    return std::tuple(row.section, group, number, row.title, row.key);
  };
  std::sort(rows.begin(), rows.end(),
            [&](const Row& a, const Row& b) { return place(a) < place(b); });
}

Chart Builder::build() {
  next_id_ = h_.acts.size();
  critical_.insert(path_.acts.begin(), path_.acts.end());
  for (const auto& [id, life] : h_.lives) {
    life_by_tail_[id.substr(id.find(':') + 1)] = id;
  }
  for (const auto& [kernel, acts] : h_.makers) {
    for (const auto id : acts) {
      made_for_[thing_for(h_.acts[id])] = kernel;
    }
  }
  for (const auto& [module, inserts] : h_.inserts_of_module) {
    const auto it = h_.alias_of_module.find(module);
    busy_aliases_.insert(it == h_.alias_of_module.end() ? module : it->second);
  }
  add_acts();
  add_lives();
  add_devices();
  make_path();
  add_others();

  Chart chart;
  const std::filesystem::path file(recording_.name);
  chart.title = file.filename() == "journal.jsonl" && file.has_parent_path()
                    ? file.parent_path().filename().string() + "/journal.jsonl"
                    : file.filename().string();
  chart.title = clip(chart.title, kTitle);
  chart.begin = h_.begin;
  chart.end = std::max(h_.end, h_.begin);
  chart.segments = h_.segments;
  chart.path = hops_;
  std::string kernel;
  if (!recording_.segments.empty()) {
    const auto& header = recording_.segments.front().header;
    if (header.is_object()) {
      if (const auto it = header.find("kernel"); it != header.end() && it->is_string()) {
        kernel = it->get<std::string>();
      }
    }
  }
  chart.subtitle = fmt::format(
      "{}{}{} devices, {} uevents, {} effects in {}", h_.mode.empty() ? "" : h_.mode + " mode · ",
      kernel.empty() ? "" : "kernel " + clip(kernel, 60) + " · ", h_.devices.size(), h_.uevents,
      h_.effects, seconds_text(chart.end - chart.begin));
  if (h_.parted_at != 0) {
    chart.notes.push_back(fmt::format(
        "From line {} on this program decides otherwise than the recorded one: effects only",
        h_.parted_at));
  }
  if (recording_.cut_off) {
    chart.notes.emplace_back("The recording is cut off within its last line");
  }
  for (auto& [key, row] : rows_) {
    for (auto& bar : row.bars) {
      row.critical = row.critical || bar.critical;
      row.trouble = row.trouble || bar.failed || bar.late || bar.kind == Kind::removal;
      if (!bar.by && bar.id < h_.acts.size()) {
        bar.by = shown_cause(h_.cause(bar.id));
      }
    }
    std::stable_sort(row.bars.begin(), row.bars.end(), [](const Bar& a, const Bar& b) {
      return std::tie(a.start, a.end, a.id) < std::tie(b.start, b.end, b.id);
    });
    if (!row.bars.empty()) {
      chart.rows.push_back(row);
    }
  }
  tell(chart);
  order(chart.rows);
  return chart;
}

}  // namespace

Result<Chart> boot_chart(const replay::Recording& recording) {
  const auto history = read_history(recording);
  if (!history) {
    return tl::unexpected(history.error());
  }
  return Builder(recording, *history).build();
}

}  // namespace muster::chart
