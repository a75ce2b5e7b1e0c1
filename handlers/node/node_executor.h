// Links and nodes below /dev.
#pragma once

#include "daemon/root.h"
#include "handlers/handler.h"

namespace muster::node {

class NodeExecutor : public Executor {
 public:
  explicit NodeExecutor(const Root& root) : root_(root) {}

  [[nodiscard]] std::string_view name() const override { return "node"; }

  // link {"path": "/dev/disk/by-uuid/X", "target": "/dev/sda1"} -> {"changed": bool}
  //   A relative symbolic link, exchanged in one step; what is not a link is never replaced.
  // unlink {"path", "target" or "devno", or neither} -> {"removed": bool}
  //   A link only if it still points there, a node only if it still has that number and is not the
  //   kernel's own; what is neither stays. Directories that are empty then go too.
  // node {"path", "devno"} -> {"changed": bool}
  [[nodiscard]] Result<Json> run(const Effect& effect) override;

 private:
  Result<Json> link(const Effect& effect);
  Result<Json> unlink(const Effect& effect);
  Result<Json> make_node(const Effect& effect);

  const Root& root_;
};

// "/dev/disk/by-uuid/X" to "/dev/sda1" is "../../sda1". Both absolute and below /dev, as
// components() takes them.
[[nodiscard]] std::string relative_target(std::string_view path, std::string_view target);

// The parts of a path below /dev, without "dev"; an Error if it is not below /dev or not plain (no
// "..", no "//").
[[nodiscard]] Result<std::vector<std::string>> components(std::string_view path);

}  // namespace muster::node
