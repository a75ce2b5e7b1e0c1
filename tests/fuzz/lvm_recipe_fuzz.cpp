#include "handlers/target/lvm_recipe.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto recipe = muster::target::parse_lvm_recipe(muster::fuzz::as_text(data, size), "f");
  muster::fuzz::check_diagnostics(recipe.diagnostics, muster::Diagnostics::kMax);
  FUZZ_CHECK(recipe.as_written || !recipe.diagnostics.empty());
  for (const auto& command : recipe.commands) {
    FUZZ_CHECK(!command.text.empty() && command.text.find('\n') == std::string::npos);
  }
  return 0;
}
