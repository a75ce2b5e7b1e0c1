#include "handlers/registry.h"

#include "handlers/driver/driver_policy.h"
#include "handlers/launch/launch_policy.h"
#include "handlers/lvm/lvm_policy.h"
#include "handlers/md/md_policy.h"
#include "handlers/medium/medium_policy.h"
#include "handlers/node/node_policy.h"
#include "handlers/probe/probe_policy.h"
#include "handlers/target/target_policy.h"

namespace muster {

std::vector<std::unique_ptr<Policy>> make_policies() {
  std::vector<std::unique_ptr<Policy>> policies;
  policies.push_back(std::make_unique<driver::DriverPolicy>());
  policies.push_back(std::make_unique<probe::ProbePolicy>());
  policies.push_back(std::make_unique<md::MdPolicy>());
  policies.push_back(std::make_unique<lvm::LvmPolicy>());
  policies.push_back(std::make_unique<medium::MediumPolicy>());
  policies.push_back(std::make_unique<target::TargetPolicy>());
  policies.push_back(std::make_unique<node::NodePolicy>());
  policies.push_back(std::make_unique<launch::LaunchPolicy>());
  return policies;
}

}  // namespace muster
