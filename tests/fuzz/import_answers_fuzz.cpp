// The file that says what a log does not.
#include "tests/fuzz/import_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster;
  const auto answers = imports::read_answers(
      "f", fuzz::as_text(data, size),
      [](const std::string& path) { return Result<std::string>("text of " + path); });
  if (!answers) {
    FUZZ_CHECK(answers.error().text.starts_with("f"));
    FUZZ_CHECK(valid_text(answers.error().text, false) == answers.error().text);
    return 0;
  }
  FUZZ_CHECK(!answers->facts.dump().empty());
  static constexpr std::string_view kLog =
      "P: /devices/h/block/sda\nE: DEVPATH=/devices/h/block/sda\nE: SUBSYSTEM=block\n"
      "E: DEVNAME=/dev/sda\nE: DEVTYPE=disk\nE: MAJOR=8\nE: MINOR=0\nE: DISKSEQ=1\n"
      "E: ID_FS_TYPE=iso9660\n";
  fuzz::check_import(imports::read_udevadm_database("f", kLog), {}, *answers);
  return 0;
}
