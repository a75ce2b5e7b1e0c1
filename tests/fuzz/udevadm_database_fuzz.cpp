// `udevadm info --export-db`, of any age.
#include "tests/fuzz/import_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster;
  const auto text = fuzz::as_text(data, size);
  fuzz::check_import(imports::read_udevadm_database("f", text));
  return 0;
}
