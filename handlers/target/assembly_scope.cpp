#include "handlers/target/assembly_scope.h"

#include <fmt/format.h>

#include "handlers/target/target_binding.h"

namespace muster::target {

std::set<std::string> bound_disks(const World& world) {
  std::set<std::string> disks;
  for (const auto& binding : bindings(world)) {
    if (binding.disk != nullptr) {
      disks.insert(binding.disk->devpath);
    }
  }
  return disks;
}

bool may_assemble(const World& world, const std::set<std::string>& devpaths, std::string* why) {
  const Plan& plan = world.plan();
  if (world.phase() != Phase::gathering) {
    *why = "mondorestore runs: nothing is assembled any more";
    return false;
  }
  if (plan.mode != Mode::nuke) {
    if (plan.mode_asked == Mode::nuke && !plan.from_medium) {
      *why = "nuke was asked for, but what it may erase is not known before the medium is read";
      return false;
    }
    return true;
  }
  // Only a medium that lies in a filesystem can need an array or an LV. Everything else would only
  // stand in the way of a restore that removes every group and stops every array it can see.
  if (plan.config.media_type != medium::MediaType::iso) {
    *why = "nuke: only what the medium lies on is assembled, and a disc lies on nothing";
    return false;
  }
  for (const auto& binding : bindings(world)) {
    if (!binding.bound) {
      *why = fmt::format("nuke: {} is not bound to a disk yet, so no disk is known not to be it",
                         binding.drive);
      return false;
    }
  }
  const auto targets = bound_disks(world);
  for (const auto& devpath : devpaths) {
    for (const auto& disk : world.disks_below(devpath)) {
      if (targets.contains(disk)) {
        const Device* device = world.find(disk);
        *why = fmt::format("nuke: {} is a target of this restore",
                           device == nullptr ? disk : device->kernel);
        return false;
      }
    }
  }
  return true;
}

}  // namespace muster::target
