#include <array>

#include "initramfs/one_file/programs.h"

namespace muster {

namespace {

struct Name {
  std::string_view name;
  Program program;
};

constexpr std::array kNames{Name{"muster-init", init::program}, Name{"init", init::program},
                            Name{"muster-modprobe", modprobe::program},
                            Name{"muster-unpack", unpack::program}};

}  // namespace

Program program_called(std::string_view called_as, bool is_first_process) {
  if (is_first_process) {
    return init::program;
  }
  called_as.remove_prefix(called_as.rfind('/') + 1);  // npos + 1 is 0
  for (const Name& known : kNames) {
    if (known.name == called_as) {
      return known.program;
    }
  }
  return nullptr;
}

}  // namespace muster
