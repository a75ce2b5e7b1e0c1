#include "daemon/command_line.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster;
  const std::string_view text = fuzz::as_text(data, size);
  const CommandLine line = parse_command_line(text);
  fuzz::check_diagnostics(line.diagnostics, Diagnostics::kMax);
  // A nuke was asked for by a word, and by no other word than these; nothing else was.
  bool nuke = false;
  bool other = false;
  for (const CommandLineWord& word : line.words) {
    if (word.value) {
      continue;
    }
    std::string lower = word.key;
    for (char& c : lower) {
      c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
    nuke = nuke || word.key == "nuke" || word.key == "nuke_mode" || lower == "restore";
    for (const std::string_view mode : {"compare", "interactive", "expert"}) {
      other = other || word.key == mode || word.key == std::string(mode) + "_mode";
    }
  }
  FUZZ_CHECK((line.mode == Mode::nuke) == (nuke && !other));
  FUZZ_CHECK(!line.mode_refused || line.mode == Mode::interactive);
  FUZZ_CHECK(!line.prefix || line.prefix->find('/') == std::string::npos);
  return 0;
}
