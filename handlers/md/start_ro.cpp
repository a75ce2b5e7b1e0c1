#include "handlers/md/start_ro.h"

namespace muster::md {
namespace {

constexpr const char* kParameter = "/sys/module/md_mod/parameters/start_ro";

}  // namespace

Result<void> set_start_ro(const Root& root) {
  return root.write_file(kParameter, "1");
}

Result<void> clear_start_ro(const Root& root) {
  return root.exists(kParameter) ? root.write_file(kParameter, "0") : Result<void>();
}

}  // namespace muster::md
