// Makes and removes logical volumes: linear and striped ones through libdevmapper, all others
// through lvm.
#pragma once

#include "daemon/root.h"
#include "handlers/handler.h"

namespace muster::lvm {

class LvmExecutor : public Executor {
 public:
  explicit LvmExecutor(const Root& root) : root_(root) {}

  [[nodiscard]] std::string_view name() const override { return "lvm"; }

  // create {"dm_name", "dm_uuid", "read_only", "table": [{"start", "length", "type", "params"}]}
  //   -> {"kernel": "dm-0", "devno": "254:0", "existed": bool}
  // remove {"dm_name", "dm_uuid"} -> {}
  // activate {"vg", "lv", "vg_uuid", "devices": ["/dev/sda" ...]} -> {"kernel", "devno", "output",
  // "status": 0} deactivate (the same; "devices" may be empty) -> {"output", "status": 0}
  //   Where lvm cannot read the group any more, its maps are taken down one by one.
  //   A status other than 0 is an Error with what lvm said last.
  [[nodiscard]] Result<Json> run(const Effect& effect) override;

 private:
  Result<Json> create(const Effect& effect);
  Result<Json> remove(const Effect& effect);
  Result<Json> change(const Effect& effect, bool activate);

  const Root& root_;
};

}  // namespace muster::lvm
