#include "handlers/registry.h"

#include <utility>

#include "daemon/root.h"
#include "handlers/block_device.h"
#include "handlers/driver/driver_executor.h"
#include "handlers/driver/driver_policy.h"
#include "handlers/launch/launch_executor.h"
#include "handlers/launch/launch_policy.h"
#include "handlers/lvm/lvm_executor.h"
#include "handlers/lvm/lvm_policy.h"
#include "handlers/md/md_executor.h"
#include "handlers/md/md_policy.h"
#include "handlers/medium/medium_executor.h"
#include "handlers/medium/medium_policy.h"
#include "handlers/node/node_executor.h"
#include "handlers/node/node_policy.h"
#include "handlers/probe/probe_executor.h"
#include "handlers/probe/probe_policy.h"
#include "handlers/target/target_policy.h"

namespace muster {
namespace {

// What the executors reach the machine by. A thread that is stuck in one of them keeps it alive.
struct Ground {
  explicit Ground(Root opened) : root(std::move(opened)), devices(root) {}
  Root root;
  BlockDevices devices;
};

struct HoldsGround {
  std::shared_ptr<const Ground> ground;
};

// An executor whose ground lives as long as it does. It is one of its kind and wraps none, so that
// whatever the interface has comes from it.
template <typename Inner>
class Grounded final : private HoldsGround, public Inner {
 public:
  template <typename... Arguments>
  explicit Grounded(std::shared_ptr<const Ground> held, Arguments&&... arguments)
      : HoldsGround{std::move(held)}, Inner(std::forward<Arguments>(arguments)...) {}
};

}  // namespace

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

Result<std::vector<std::unique_ptr<Executor>>> make_executors(const ExecutorSettings& settings) {
  auto opened = Root::open(settings.root);
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  const auto ground = std::make_shared<const Ground>(std::move(*opened));
  const auto& root = ground->root;
  const auto& devices = ground->devices;
  std::vector<std::unique_ptr<Executor>> executors;
  executors.push_back(std::make_unique<Grounded<driver::DriverExecutor>>(ground, root));
  executors.push_back(std::make_unique<Grounded<probe::ProbeExecutor>>(ground, devices));
  executors.push_back(std::make_unique<Grounded<md::MdExecutor>>(ground, devices));
  executors.push_back(std::make_unique<Grounded<lvm::LvmExecutor>>(ground, root));
  executors.push_back(std::make_unique<Grounded<medium::MediumExecutor>>(
      ground, root, devices, settings.bin_dir, settings.run_dir));
  executors.push_back(std::make_unique<Grounded<node::NodeExecutor>>(ground, root));
  executors.push_back(
      std::make_unique<Grounded<launch::LaunchExecutor>>(ground, root, settings.init_socket));
  return executors;
}

}  // namespace muster
