// Readies the machine for mondorestore and has muster-init start it.
//
// prepare {"mode", "medium": {"devpath", "devno", "dev_name"}, "drives": [{"name", "devno",
//         "kernel"}]}: the files Mondo expects, polling of the medium's drive off, names of the
//         plan's drives -> {"missing": [files that only cost errors]}. An error if somebody uses
//         one of the drives.
//
// filter  {"drives"}: hides everything but the plan's drives from LVM and checks it with `lvm pvs`
//         -> {"seen": [PVs]}
//
// run     {"program", "arguments"}: looks once more at the drives that were prepared; md starts
//         arrays read-write again, then the launch -> {"state"}
//
// follow  {}: waits for its end -> {"started", "success", "text", "status", "result"}; "started"
//         false: the program could not be executed, mondorestore never ran. An error means that
//         nobody knows whether it still runs; it is never an end.
//
// shell   {}
//
// end     {"then": "shell"|"reboot"|"poweroff", "journal"}: the journal is kept first, if the
//         restored system takes it in time -> {"journal": {"file", "bytes"} or {"why"}}
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "daemon/root.h"
#include "handlers/handler.h"
#include "handlers/launch/drive_nodes.h"
#include "handlers/launch/journal_keeper.h"

namespace muster::launch {

class LaunchExecutor : public Executor {
 public:
  // Keeps the journal on the restored system; called on a thread of its own.
  using Keep = std::function<Result<Json>(const KeepSettings&)>;

  // What `end` is for does not wait longer for the restored system to take the journal: its disks
  // may hang, and what hangs cannot be taken back.
  LaunchExecutor(const Root& root, std::string init_socket, Keep keep = {},
                 std::chrono::milliseconds keep_within = std::chrono::minutes(1));
  [[nodiscard]] std::string_view name() const override { return "launch"; }
  [[nodiscard]] Result<Json> run(const Effect& effect) override;

 private:
  [[nodiscard]] Result<Json> prepare(const Effect& effect);
  [[nodiscard]] Result<std::size_t> name_drives(const Json& arguments);
  [[nodiscard]] Result<Json> filter(const Effect& effect);
  [[nodiscard]] Result<Json> start(const Effect& effect);
  [[nodiscard]] Result<Json> follow();
  [[nodiscard]] Json keep(const Effect& effect);
  [[nodiscard]] Result<Json> shell();
  [[nodiscard]] Result<Json> end(const Effect& effect);

  const Root& root_;
  std::string init_socket_;
  Keep keep_;
  std::chrono::milliseconds keep_within_;
  // Of the last `prepare`, for the `run` after it: both are of one lane.
  std::vector<DriveName> drives_;
  std::vector<NodePlan> nodes_;
};

}  // namespace muster::launch
