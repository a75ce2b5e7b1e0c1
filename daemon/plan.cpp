#include "daemon/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "daemon/quote.h"

namespace muster {
namespace {

std::string text_of(const nlohmann::json& facts, const char* key) {
  const auto it = facts.is_object() ? facts.find(key) : facts.end();
  return facts.is_object() && it != facts.end() && it->is_string() ? it->get<std::string>()
                                                                   : std::string();
}

bool has(const nlohmann::json& facts, const char* key) {
  return facts.is_object() && facts.contains(key) && facts.at(key).is_string();
}

// The first line that mondorestore reads otherwise than a human does.
template <typename Text>
std::optional<TextDiagnostic> misread_in(const Text& text, const char* what) {
  if (text.as_written) {
    return std::nullopt;
  }
  TextDiagnostic doubt{"", text.misread_line, "", 0};
  if (!text.diagnostics.empty()) {
    doubt.file = text.diagnostics.front().file;
  }
  doubt.text =
      std::string("nuke with ") + what + " that mondorestore would misread: interactive instead";
  return doubt;
}

// A restore that nobody understands is not one that may erase disks by itself.
std::optional<TextDiagnostic> doubt_about(const Plan& plan) {
  if (plan.has_config && !plan.has_mountlist) {
    return TextDiagnostic{"/tmp/mountlist.txt", 0, "nuke without a mountlist: interactive instead",
                          0};
  }
  if (plan.has_mountlist && plan.mountlist.entries.empty()) {
    return TextDiagnostic{"/tmp/mountlist.txt", 0,
                          "nuke with an empty mountlist: interactive instead", 0};
  }
  if (auto doubt = misread_in(plan.mountlist, "a mountlist")) {
    return doubt;
  }
  if (auto doubt = misread_in(plan.lvm_recipe, "an LVM recipe")) {
    return doubt;
  }
  if (auto doubt = misread_in(plan.raidtab, "a raidtab")) {
    return doubt;
  }
  // mondorestore erases nothing then, but it writes to drives by names that nothing binds.
  if (plan.config.differential) {
    return TextDiagnostic{"/tmp/mondo-restore.cfg", 0,
                          "nuke of a differential backup: interactive instead", 0};
  }
  // An array is made of the drives of the raidtab: only those that the mountlist names are bound.
  const auto known = target::drives(plan.mountlist);
  for (const auto& array : plan.raidtab.arrays) {
    for (const auto& member : array.members) {
      if (member.device.starts_with("/dev/md") || target::split_lv_device(member.device)) {
        continue;
      }
      const auto drive = target::real_drive(member.device);
      if (std::none_of(known.begin(), known.end(),
                       [&](const auto& each) { return each.device == drive; })) {
        return TextDiagnostic{
            "/etc/raidtab", member.line,
            fmt::format(
                "nuke with {} in {}, which the mountlist does not name: interactive instead",
                quote(member.device), array.device),
            0};
      }
    }
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::gathering:
      return "gathering";
    case Phase::launching:
      return "launching";
    case Phase::restoring:
      return "restoring";
    case Phase::done:
      return "done";
  }
  return "done";
}

Plan make_plan(const nlohmann::json& facts, const nlohmann::json& medium_files) {
  Plan plan;
  const auto adopt = [&plan](const std::vector<TextDiagnostic>& more) {
    plan.diagnostics.insert(plan.diagnostics.end(), more.begin(), more.end());
  };
  plan.command_line = parse_command_line(text_of(facts, "command_line"));
  adopt(plan.command_line.diagnostics);
  auto options =
      parse_options(text_of(facts, "muster.toml"), "/etc/muster/muster.toml", plan.command_line);
  plan.options = std::move(options.options);
  adopt(options.diagnostics);
  std::string why;
  plan.mode = effective_mode(plan.options, plan.command_line, &why);
  plan.mode_asked = plan.mode;
  if (!why.empty()) {
    plan.diagnostics.push_back({"/proc/cmdline", 0, why, 0});
  }
  if (facts.is_object() && facts.contains("notes")) {
    for (const auto& note : facts.at("notes")) {
      plan.diagnostics.push_back(
          {"musterd", 0, note.is_string() ? note.get<std::string>() : "", 0});
    }
  }
  plan.udevd = facts.is_object() && facts.value("udevd", false);
  plan.launch_state = text_of(facts, "launch");
  if (has(facts, "mondo-restore.cfg")) {
    plan.image_config =
        medium::parse_mondo_config(text_of(facts, "mondo-restore.cfg"), "/tmp/mondo-restore.cfg");
  }
  plan.from_medium = medium_files.is_object() && !medium_files.empty();

  // The medium's copy wins over the image's, file by file, as it does for mondorestore.
  const auto source = [&](const char* key) -> const nlohmann::json& {
    return has(medium_files, key) ? medium_files : facts;
  };
  const auto file = [&](const char* key, const char* path) {
    return has(medium_files, key) ? std::string("images/all.tar.gz: ") + (path + 1)
                                  : std::string(path);
  };
  if (has(source("mondo-restore.cfg"), "mondo-restore.cfg")) {
    plan.config =
        medium::parse_mondo_config(text_of(source("mondo-restore.cfg"), "mondo-restore.cfg"),
                                   file("mondo-restore.cfg", "/tmp/mondo-restore.cfg"));
    plan.has_config = plan.config.media_type.has_value();
    adopt(plan.config.diagnostics);
  }
  if (has(source("mountlist.txt"), "mountlist.txt")) {
    plan.mountlist = target::parse_mountlist(text_of(source("mountlist.txt"), "mountlist.txt"),
                                             file("mountlist.txt", "/tmp/mountlist.txt"));
    plan.has_mountlist = true;
    adopt(plan.mountlist.diagnostics);
  }
  if (has(source("i-want-my-lvm"), "i-want-my-lvm")) {
    plan.lvm_recipe = target::parse_lvm_recipe(text_of(source("i-want-my-lvm"), "i-want-my-lvm"),
                                               file("i-want-my-lvm", "/tmp/i-want-my-lvm"));
    plan.has_lvm_recipe = true;
    adopt(plan.lvm_recipe.diagnostics);
  }
  if (has(source("raidtab"), "raidtab")) {
    plan.raidtab = target::parse_raidtab(text_of(source("raidtab"), "raidtab"),
                                         file("raidtab", "/etc/raidtab"));
    adopt(plan.raidtab.diagnostics);
  }
  if (plan.mode == Mode::nuke) {
    if (const auto doubt = doubt_about(plan)) {
      plan.diagnostics.push_back(*doubt);
      plan.mode = Mode::interactive;
    }
  }
  return plan;
}

}  // namespace muster
