#include "handlers/md/start_ro.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace muster::md {
namespace {

constexpr const char* kParameter = "/sys/module/md_mod/parameters/start_ro";
constexpr const char* kBefore = "/run/muster/md-start-ro.before";

}  // namespace

Result<void> set_start_ro(const Root& root) {
  if (!root.exists(kBefore)) {
    const auto before = root.read_file(kParameter, 64);
    if (!before) {
      return tl::unexpected(before.error());
    }
    const auto file = root.open_at(kBefore, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (!file) {
      return tl::unexpected(file.error());
    }
    if (::write(file->get(), before->data(), before->size()) != static_cast<ssize_t>(before->size())) {
      return fail_errno(kBefore, errno);
    }
  }
  return root.write_file(kParameter, "1");
}

Result<void> restore_start_ro(const Root& root) {
  if (!root.exists(kBefore) || !root.exists(kParameter)) {
    return {};
  }
  const auto before = root.read_file(kBefore, 64);
  if (!before) {
    return tl::unexpected(before.error());
  }
  return root.write_file(kParameter, before->substr(0, before->find('\n')));
}

}  // namespace muster::md
