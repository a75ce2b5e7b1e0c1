#include "handlers/medium/medium_policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/quote.h"
#include "handlers/target/assembly_scope.h"
#include "handlers/target/target_binding.h"

namespace muster::medium {
namespace {

constexpr std::string_view kNeed = "need:medium";
constexpr std::string_view kMedium = "medium";
constexpr std::int64_t kPollMs =
    500;  // how often the kernel asks a drive that has no interrupt for its disc

bool is_optical(const Device& device) {
  return device.kernel.starts_with("sr");
}

bool is_removable(const Device& device) {
  return is_optical(device) || (!device.is_partition() && device.attribute("removable") == "1");
}

bool is_disc_filesystem(std::string_view type) {
  return type == "iso9660" || type == "udf";
}

std::string few(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 6;
  const auto shown = static_cast<std::ptrdiff_t>(std::min(names.size(), kMost));
  return fmt::format(
      "{}{}", fmt::join(names.begin(), names.begin() + shown, ", "),
      names.size() > kMost ? fmt::format(" and {} more", names.size() - kMost) : std::string());
}

// Whether two media are copies of one backup: by its serial string, or by Mondo's files where there
// is none.
bool same_content(const Json& a, const Json& b) {
  const auto serial = a.value("serial", std::string());
  return serial == b.value("serial", std::string()) &&
         (!serial.empty() || a.value("files", Json()) == b.value("files", Json()));
}

MondoConfig config_of(const Json& found) {
  const auto files = found.value("files", Json::object());
  const auto it = files.find("mondo-restore.cfg");
  return parse_mondo_config(
      it != files.end() && it->is_string() ? it->get<std::string>() : std::string(),
      "images/all.tar.gz: tmp/mondo-restore.cfg");
}

bool has_file(const Json& found, const char* name) {
  const auto files = found.value("files", Json::object());
  return files.contains(name) && files.at(name).is_string();
}

// A disc, or a filesystem where the plan expects ISO files. While no config says what the medium
// is, the operator's word (muster.medium) is a reason to look into a filesystem, too. Loop devices
// are ours, made to look into an ISO file, or mondorestore's: the file below is the candidate.
bool may_hold_medium(const Device& device, std::string_view filesystem, const Plan& plan) {
  if (device.kernel.starts_with("loop")) {
    return false;
  }
  const bool files = plan.config.media_type == MediaType::iso ||
                     (!plan.config.media_type && !plan.options.medium.empty());
  return is_disc_filesystem(filesystem) ||
         (files && device.signature_property("ID_FS_USAGE") == "filesystem");
}

}  // namespace

void MediumPolicy::plan_changed(Context& context) {
  const Plan& plan = context.world().plan();
  // Needed by nearly every medium, and quick: loaded before they are needed.
  if (plan.mode != Mode::expert) {
    context.request("module:isofs");
    context.request("module:sr_mod");
    if (plan.config.media_type == MediaType::iso) {
      context.request("module:loop");
    }
  }
  for (const Device* device : context.world().assigned(name())) {
    this->device(*device, context);
  }
  context.touch();
}

void MediumPolicy::device(const Device& device, Context& context) {
  if (context.world().phase() != Phase::gathering) {
    return;
  }
  const std::string filesystem(device.signature_property("ID_FS_TYPE"));
  if (is_removable(device) && polled_.insert(device.devpath).second) {
    context.want("poll", device.kernel, {{"devpath", device.devpath}, {"msecs", kPollMs}}, 0);
  }
  // Of thousands of disks most can hold no medium: they are not kept.
  if (!is_optical(device) && !may_hold_medium(device, filesystem, context.world().plan())) {
    forget(device.devpath, context);
    return;
  }
  auto& candidate = candidates_[device.devpath];
  candidate.devpath = device.devpath;
  candidate.kernel = device.kernel;
  const auto diskseq = device.signature ? device.signature->diskseq : device.diskseq;
  candidate.drive_state =
      device.signature ? device.signature->details.value("drive", std::string()) : std::string();
  if (candidate.filesystem != filesystem || candidate.diskseq != diskseq) {
    candidate.filesystem = filesystem;
    candidate.diskseq = diskseq;
    candidate.examined = false;
    candidate.told_to_use = false;
    candidate.asked_with.clear();
    candidate.found = Json();
    candidate.error.clear();
  }
  if (!filesystem.empty()) {
    examine(candidate, device, context);
  }
}

void MediumPolicy::device_as_before(const Device& device, Context& context) {
  if (candidates_.contains(device.devpath)) {
    this->device(device, context);
    context.touch();
  }
}

void MediumPolicy::device_gone(const Device& device, Context& context) {
  if (context.world().find(device.devpath) == nullptr) {
    polled_.erase(device.devpath);
  }
  forget(device.devpath, context);
}

void MediumPolicy::forget(const std::string& devpath, Context& context) {
  if (const auto it = candidates_.find(devpath); it != candidates_.end()) {
    candidates_.erase(it);
    context.touch();
  }
}

std::string MediumPolicy::type_refusal(const Plan& plan) const {
  const auto& type = plan.config.media_type;
  if (!type) {
    return {};
  }
  switch (*type) {
    case MediaType::cdr:
    case MediaType::cdrw:
    case MediaType::dvd:
    case MediaType::iso:
      return {};
    case MediaType::unknown:
      return fmt::format("backup-media-type {} is not one that mondorestore knows",
                         quote(plan.config.media_type_text));
    default:
      return fmt::format(
          "backup-media-type {}: this version of muster finds discs, USB sticks and ISO files only",
          to_string(*type));
  }
}

void MediumPolicy::examine(Candidate& candidate, const Device& device, Context& context) {
  const World& world = context.world();
  const Plan& plan = world.plan();
  if (candidate.examining != 0 || plan.mode == Mode::expert || !type_refusal(plan).empty()) {
    return;
  }
  if (!may_hold_medium(device, candidate.filesystem, plan)) {
    return;
  }
  const bool disc = is_disc_filesystem(candidate.filesystem);
  if (device.is_partition()) {
    // A disc image written to a whole disk shows once more in its own partition table: it counts
    // once.
    const Device* disk = world.parent(device);
    if (disk != nullptr && is_disc_filesystem(disk->signature_property("ID_FS_TYPE"))) {
      return;
    }
  }
  if (!plan.options.medium.empty()) {
    const auto& home = plan.options.medium;
    const auto links = {
        "/dev/" + device.kernel,
        "/dev/disk/by-uuid/" + std::string(device.signature_property("ID_FS_UUID")),
        "/dev/disk/by-label/" + std::string(device.signature_property("ID_FS_LABEL")),
        "UUID=" + std::string(device.signature_property("ID_FS_UUID")),
        "LABEL=" + std::string(device.signature_property("ID_FS_LABEL"))};
    const auto named = [&](const std::string& link) { return link == home; };
    const Thing* provider = world.provider(device.devpath);
    const bool by_thing =
        provider != nullptr && std::any_of(provider->names.begin(), provider->names.end(), named);
    if (std::none_of(links.begin(), links.end(), named) && !by_thing) {
      return;
    }
  }
  if (plan.mode == Mode::nuke) {
    // What is about to be erased is no place for a medium, and looking would only hold it.
    for (const auto& disk : world.disks_below(device.devpath)) {
      if (target::bound_disks(world).contains(disk)) {
        return;
      }
    }
  }
  const std::string driver =
      disc ? (candidate.filesystem == "udf" ? "udf" : "isofs") : "fs-" + candidate.filesystem;
  context.request("module:" + driver);
  if (!disc) {
    context.request("module:loop");
    context.request("module:isofs");
  }
  const Thing* module = world.thing("module:" + driver);
  // A driver that is no module is built in or missing: the mount will tell.
  if (module == nullptr || module->state == State::working) {
    return;
  }
  Json arguments = {{"devno", device.devno ? device.devno->text() : std::string()},
                    {"devpath", device.devpath},
                    {"name", device.kernel},
                    {"diskseq", candidate.diskseq},
                    {"filesystem", candidate.filesystem},
                    {"kind", disc ? "disc" : "directory"}};
  if (!disc) {
    arguments["directory"] = plan.config.isodir.value_or("/");
    arguments["prefix"] = plan.config.iso_prefix;
  }
  const auto asked_with = arguments.dump();
  if (candidate.examined && candidate.asked_with == asked_with) {
    return;
  }
  candidate.examined = false;
  candidate.asked_with = asked_with;
  candidate.examining =
      context.want("examine", device.kernel, std::move(arguments), plan.medium_ms());
}

MediumPolicy::Verdict MediumPolicy::judge(const Candidate& candidate, const World& world,
                                          std::string* why) const {
  const Plan& plan = world.plan();
  if (!candidate.error.empty()) {
    *why = candidate.error;
    return Verdict::not_it;
  }
  const Json& found = candidate.found;
  if (!found.value("archives", false)) {
    *why = found.value("why", std::string("no Mondo backup on it"));
    return Verdict::not_it;
  }
  const auto number = found.value("number", std::string());
  if (number.empty()) {
    *why = "a boot disc without a backup";
    return Verdict::not_it;
  }
  if (number != "1") {
    *why = fmt::format("disc {} is in it: disc 1 is needed", quote(number));
    return Verdict::not_it;
  }
  if (!has_file(found, "mondo-restore.cfg") || !has_file(found, "mountlist.txt")) {
    *why = fmt::format("images/all.tar.gz does not hold Mondo's files: {}",
                       found.value("why", std::string("missing")));
    return Verdict::not_it;
  }
  const auto config = config_of(found);
  const auto type = config.media_type.value_or(MediaType::unknown);
  const bool is_file = found.contains("iso");
  const bool type_fits = is_file ? type == MediaType::iso
                                 : type == MediaType::cdr || type == MediaType::cdrw ||
                                       type == MediaType::dvd || type == MediaType::iso;
  if (!type_fits) {
    *why = fmt::format("its own config says backup-media-type {}",
                       quote(config.media_type_text.empty() ? std::string(to_string(type))
                                                            : config.media_type_text));
    return Verdict::not_it;
  }
  std::string difference;
  if (plan.image_config.media_type && !same_backup(plan.image_config, config, &difference)) {
    *why = fmt::format("{}; `muster use {}` takes it", difference, candidate.kernel);
    return Verdict::other_backup;
  }
  return Verdict::exact;
}

void MediumPolicy::show(State state, std::string why, std::vector<std::string> needs,
                        Context& context) {
  const Thing* shown = context.world().thing(kNeed);
  if (shown != nullptr && shown->state == state && shown->why == why && shown->needs == needs) {
    return;
  }
  Thing thing;
  thing.id = kNeed;
  thing.what = "restore medium";
  thing.state = state;
  thing.why = std::move(why);
  thing.needs = std::move(needs);
  thing.requirement = true;
  if (state == State::ready) {
    thing.names = {"/dev/cdrom"};
  }
  context.publish(std::move(thing));
}

void MediumPolicy::release(Context& context) {
  stage_ = Stage::releasing;
  pending_ = context.want("release", chosen_, {{"devpath", chosen_}},
                          context.world().plan().tool_ms(), "medium");
}

void MediumPolicy::choose(Context& context) {
  const World& world = context.world();
  const Plan& plan = world.plan();
  if (const auto refusal = type_refusal(plan); !refusal.empty()) {
    show(State::impossible, refusal, {}, context);
    return;
  }
  std::vector<const Candidate*> fitting;
  std::vector<std::string> others;
  std::vector<std::string> plain;  // filesystems without a sign of Mondo
  std::vector<std::string> examining;
  for (const auto& [devpath, candidate] : candidates_) {
    if (candidate.examining != 0) {
      examining.push_back(candidate.kernel);
      continue;
    }
    if (!candidate.examined) {
      static const std::map<std::string, std::string, std::less<>> kDriveStates = {
          {"no_disc", "no disc"},
          {"tray_open", "tray open"},
          {"not_ready", "becoming ready"},
          {"blank", "blank disc"}};
      if (const auto it = kDriveStates.find(candidate.drive_state); it != kDriveStates.end()) {
        others.push_back(fmt::format("{}: {}", candidate.kernel, it->second));
      }
      continue;
    }
    std::string why;
    const Verdict verdict = judge(candidate, world, &why);
    if (verdict == Verdict::exact || (verdict == Verdict::other_backup && candidate.told_to_use)) {
      fitting.push_back(&candidate);
    } else if (is_disc_filesystem(candidate.filesystem) ||
               candidate.found.value("archives", false)) {
      others.push_back(fmt::format("{}: {}", candidate.kernel, why));
    } else {
      plain.push_back(candidate.error.empty() ? candidate.kernel
                                              : fmt::format("{}: {}", candidate.kernel, why));
    }
  }
  if (fitting.empty()) {
    const bool iso = plan.config.media_type == MediaType::iso;
    std::string why = iso ? fmt::format("no filesystem with {}/{}-1.iso seen yet",
                                        plan.config.isodir.value_or(""), plan.config.iso_prefix)
                          : std::string("no disc, stick or disk with the backup seen yet");
    if (!others.empty()) {
      why = fmt::format("{}", fmt::join(others, "; "));
    }
    if (!plain.empty()) {
      why += fmt::format("; no backup on {}", few(plain));
    }
    if (!examining.empty()) {
      why += fmt::format("; {} being examined", few(examining));
    }
    if (!plan.options.medium.empty()) {
      why += fmt::format("; only {} is looked at (muster.medium)", quote(plan.options.medium));
    }
    std::vector<std::string> needs;
    if (iso) {
      // What the ISO files lie on may still be incomplete.
      for (const auto& [id, thing] : world.things()) {
        if ((thing.owner == "md" || thing.owner == "lvm") && thing.state != State::ready) {
          needs.push_back(id);
        }
      }
    }
    show(State::waiting, why, std::move(needs), context);
    return;
  }
  // Copies of one backup are one choice; a disc wins over a file, then the order of the devpaths.
  std::stable_sort(fitting.begin(), fitting.end(), [](const Candidate* a, const Candidate* b) {
    const auto rank = [](const Candidate* each) {
      return (each->told_to_use ? 0 : 2) + (each->found.contains("iso") ? 1 : 0);
    };
    return rank(a) < rank(b);
  });
  const Candidate& best = *fitting.front();
  for (const Candidate* rival : fitting) {
    if (!best.told_to_use && !same_content(rival->found, best.found)) {
      show(State::impossible,
           fmt::format(
               "{} and {} hold different backups that both fit: `muster use {}` or `muster use {}`",
               best.kernel, rival->kernel, best.kernel, rival->kernel),
           {}, context);
      return;
    }
  }
  if (!failed_.empty() && failed_with_ == fmt::format("{} {}", best.devpath, best.diskseq)) {
    show(State::broken, failed_, {}, context);
    return;
  }
  failed_.clear();
  chosen_ = best.devpath;
  chosen_diskseq_ = best.diskseq;
  stage_ = Stage::taking;
  const Device* device = world.find(best.devpath);
  Thing thing;
  thing.id = kMedium;
  thing.what = fmt::format("medium on {}", best.kernel);
  thing.state = State::working;
  thing.on = {best.devpath};
  context.publish(std::move(thing));
  show(State::working, fmt::format("found on {}; being mounted", best.kernel), {}, context);
  Json arguments = {{"devno", device->devno->text()},
                    {"devpath", best.devpath},
                    {"name", best.kernel},
                    {"dev_name", device->dev_name()},
                    {"filesystem", best.filesystem},
                    {"kind", best.found.contains("iso") ? "directory" : "disc"}};
  if (best.found.contains("iso")) {
    arguments["iso"] = best.found.at("iso");
    arguments["iso_dev"] = config_of(best.found).iso_dev.value_or("");
    arguments["mode"] = to_string(plan.mode);
  }
  pending_ = context.want("take", best.kernel, std::move(arguments), plan.medium_ms(), "medium");
}

void MediumPolicy::done(const Effect& effect, const EffectDone& outcome, Context& context) {
  if (effect.verb == "poll") {
    if (!outcome.ok) {
      context.report(
          fmt::format("{}: its disc changes are not reported: {}", effect.subject, outcome.error));
    }
    return;
  }
  if (effect.verb == "examine") {
    const auto it = candidates_.find(effect.arguments.at("devpath").get<std::string>());
    if (it == candidates_.end() || it->second.examining != effect.id) {
      return;
    }
    auto& candidate = it->second;
    candidate.examining = 0;
    if (candidate.asked_with != effect.arguments.dump()) {
      if (const Device* device = context.world().find(candidate.devpath)) {
        this->device(*device, context);
      }
      return;
    }
    candidate.examined = true;
    candidate.found = outcome.ok ? outcome.result : Json::object();
    candidate.error = outcome.ok ? std::string() : outcome.error;
    return;
  }
  if (effect.id != pending_) {
    return;
  }
  pending_ = 0;
  if (effect.verb == "release") {
    if (!outcome.ok) {
      context.report(fmt::format("the medium's mount could not be taken down: {}", outcome.error));
    }
    stage_ = Stage::none;
    chosen_.clear();
    context.withdraw(kMedium);
    context.set_medium_files(Json());
    return;
  }
  if (!outcome.ok) {
    failed_ = outcome.error;
    failed_with_ = fmt::format("{} {}", chosen_, chosen_diskseq_);
    context.report(fmt::format("medium: {}", outcome.error));
    release(context);
    return;
  }
  const auto it = candidates_.find(chosen_);
  if (it == candidates_.end() || !it->second.examined || it->second.diskseq != chosen_diskseq_) {
    // It went, or its disc was changed, while it was being mounted.
    release(context);
    return;
  }
  const auto& candidate = it->second;
  if (effect.verb == "take") {
    context.set_medium_files(candidate.found.at("files"));
    stage_ = Stage::unpacking;
    show(State::working,
         fmt::format("mounted from {}; its tools are being unpacked", candidate.kernel), {},
         context);
    pending_ = context.want(
        "tools", candidate.kernel,
        {{"devpath", chosen_}, {"config", outcome.result.value("config", Json::object())}},
        context.world().plan().medium_ms(), "medium");
    return;
  }
  // The tools may have brought drivers: devices without one are tried again.
  stage_ = Stage::ready;
  for (const auto& refused : outcome.result.value("refused", Json::array())) {
    context.report(fmt::format("tools of the medium: refused {}",
                               refused.is_string() ? refused.get<std::string>() : refused.dump()));
  }
  context.request(fmt::format("modules:reload {}", ++reloads_));
}

void MediumPolicy::late(const Effect& effect, Context& context) {
  if (effect.verb == "examine") {
    context.report(
        fmt::format("{} does not answer; other candidates are not held up", effect.subject));
  } else if (effect.id == pending_) {
    context.report(fmt::format("medium: {} of {} takes longer than expected",
                               effect.verb == "take"    ? "mounting"
                               : effect.verb == "tools" ? "unpacking the tools"
                                                        : "unmounting",
                               effect.subject));
  }
}

void MediumPolicy::thing(const Thing& thing, bool withdrawn, Context& context) {
  if (thing.id.starts_with("module:") && !withdrawn && thing.state != State::working) {
    for (auto& [devpath, candidate] : candidates_) {
      const Device* device = context.world().find(devpath);
      if (!candidate.filesystem.empty() && !candidate.examined && device != nullptr) {
        examine(candidate, *device, context);
      }
    }
  }
  if (thing.owner != name()) {
    context.touch();
  }
}

bool MediumPolicy::command(const Command& command, Context& context) {
  if (command.verb != "use") {
    return false;
  }
  std::string device = command.arguments.value("device", std::string());
  if (device.starts_with("/dev/")) {
    device.erase(0, 5);
  }
  const auto it = std::find_if(candidates_.begin(), candidates_.end(),
                               [&](const auto& entry) { return entry.second.kernel == device; });
  std::string why = "no such candidate; `muster status` lists them";
  if (const Device* again = it == candidates_.end() || it->second.error.empty()
                                ? nullptr
                                : context.world().find(it->first)) {
    // What could not be read may be readable now: nobody but the operator can know.
    it->second.examined = false;
    it->second.error.clear();
    it->second.asked_with.clear();
    examine(it->second, *again, context);
    context.reply(command, {{"text", fmt::format("{} is read again", device)}});
    return true;
  }
  if (it == candidates_.end() || (judge(it->second, context.world(), &why) == Verdict::not_it)) {
    context.reply(command, {{"error", fmt::format("{}: {}", quote(device), why)}});
    return true;
  }
  for (auto& [devpath, candidate] : candidates_) {
    candidate.told_to_use = devpath == it->first;
  }
  failed_.clear();
  context.reply(command, {{"text", fmt::format("the medium on {} is taken", device)}});
  return true;
}

void MediumPolicy::decide(Context& context) {
  const World& world = context.world();
  if (world.phase() != Phase::gathering) {
    return;
  }
  if (world.plan().mode == Mode::expert) {
    context.withdraw(kNeed);
    return;
  }
  if (stage_ == Stage::none) {
    choose(context);
    return;
  }
  if (stage_ == Stage::releasing) {
    return;
  }
  // Taken: does it still hold?
  const auto it = candidates_.find(chosen_);
  const Thing* held = world.thing(kMedium);
  std::string why;
  const bool gone = it == candidates_.end() || it->second.diskseq != chosen_diskseq_ ||
                    it->second.filesystem.empty() || (held != nullptr && held->doomed);
  if (gone) {
    show(State::waiting, "the medium went away", {}, context);
    if (pending_ == 0) {
      failed_.clear();
      release(context);
    }
    return;
  }
  if (world.plan().mode == Mode::nuke) {
    for (const auto& disk : world.disks_below(chosen_)) {
      if (target::bound_disks(world).contains(disk)) {
        show(State::impossible,
             fmt::format("it lies on {}, which this nuke would erase", world.find(disk)->kernel),
             {}, context);
        return;
      }
    }
  }
  // A second, different backup that fits as well, known before the launch, makes the choice
  // ambiguous in every order.
  for (const auto& [devpath, candidate] : candidates_) {
    if (devpath != chosen_ && candidate.examined &&
        judge(candidate, world, &why) == Verdict::exact &&
        !same_content(candidate.found, it->second.found) && !it->second.told_to_use) {
      show(State::impossible,
           fmt::format(
               "{} and {} hold different backups that both fit: `muster use {}` or `muster use {}`",
               it->second.kernel, candidate.kernel, it->second.kernel, candidate.kernel),
           {}, context);
      return;
    }
  }
  if (stage_ == Stage::ready) {
    Thing thing;
    thing.id = kMedium;
    thing.what = fmt::format("medium on {}", it->second.kernel);
    thing.state = State::ready;
    thing.on = {chosen_};
    context.publish(std::move(thing));
    show(State::ready, {}, {}, context);
  }
}

}  // namespace muster::medium
