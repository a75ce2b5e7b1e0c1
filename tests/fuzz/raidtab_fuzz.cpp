#include "handlers/target/raidtab.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto raidtab = muster::target::parse_raidtab(muster::fuzz::as_text(data, size), "f");
  muster::fuzz::check_diagnostics(raidtab.diagnostics, muster::Diagnostics::kMax);
  FUZZ_CHECK(raidtab.as_written || !raidtab.diagnostics.empty());
  FUZZ_CHECK(raidtab.arrays.size() <= 32);
  for (const auto& array : raidtab.arrays) {
    FUZZ_CHECK(array.members.size() <= 4 * 32);
  }
  return 0;
}
