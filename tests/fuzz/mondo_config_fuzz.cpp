#include "handlers/medium/mondo_config.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster::medium;
  const std::string_view text = muster::fuzz::as_text(data, size);
  const MondoConfig config = parse_mondo_config(text, "f");
  muster::fuzz::check_diagnostics(config.diagnostics, muster::Diagnostics::kMax);
  FUZZ_CHECK(config.media_dev == mondo_value(text, "media-dev"));
  FUZZ_CHECK(config.bootloader_name == mondo_value(text, "bootloader.name"));
  for (const std::string_view key : {"media-dev", "iso-dev", "bootloader.name"}) {
    const auto changed = with_value(text, key, "/dev/sdz9");
    FUZZ_CHECK(changed.has_value());
    FUZZ_CHECK(mondo_value(*changed, key) == "/dev/sdz9");
    // Done twice it is the same, so the rest was left alone.
    FUZZ_CHECK(*with_value(*changed, key, "/dev/sdz9") == *changed);
  }
  std::string why_not;
  const bool same = same_backup(config, config, &why_not);
  FUZZ_CHECK(same == why_not.empty());
  return 0;
}
