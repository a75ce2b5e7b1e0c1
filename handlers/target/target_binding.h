// Which physical disk each drive of a nuke's mountlist means. Pure.
//
// A mountlist holds only kernel names, and those are order of arrival. A drive is bound by
// muster.target=NAME:serial=, wwn= or path=; without a binding there is a proposal (the disk that
// has the name today), which only an operator may accept (`muster go`).
#pragma once

#include <string>
#include <vector>

#include "daemon/world.h"

namespace muster::target {

struct DriveBinding {
  std::string drive;                 // "/dev/sda", as the mountlist says
  bool bound = false;                // an identity was given, or the operator accepted the proposal
  std::string identity;              // "serial=ABC"; empty if unbound
  const Device* disk = nullptr;      // the disk with that identity; null while it is not there
  const Device* proposal = nullptr;  // unbound: the disk that has the name today
  std::string conflict;              // several disks answer to the identity: both named
};

// One for each drive of the plan's mountlist, in its order.
[[nodiscard]] std::vector<DriveBinding> bindings(const World& world);

// The serial numbers, WWNs and paths by which a disk may be named, normalised as in matches().
struct DiskIdentity {
  std::string serial;
  std::string wwn;
  std::string path;  // the devpath of the device that the disk sits on
};
[[nodiscard]] DiskIdentity identity_of(const World& world, const Device& disk);
// "serial=ABC, wwn=naa.5000…": what the board shows.
[[nodiscard]] std::string identity_text(const World& world, const Device& disk);

// What a thing "binding:DRIVE" says of the disk that the operator accepted for it.
[[nodiscard]] std::string accepted_text(const World& world, const Device& disk);

}  // namespace muster::target
