// A log of `udevadm monitor`.
#include "tests/fuzz/import_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster;
  const auto text = fuzz::as_text(data, size);
  fuzz::check_import(imports::read_udevadm_monitor("f", text));
  fuzz::check_import(imports::read_log("f", text));
  return 0;
}
