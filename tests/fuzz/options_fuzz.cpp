// The first line is the kernel command line, the rest is muster.toml.
#include <set>
#include <string>

#include "daemon/options.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster;
  const std::string_view text = fuzz::as_text(data, size);
  const std::size_t end = std::min(text.find('\n'), text.size());
  const CommandLine line = parse_command_line(text.substr(0, end));
  const ParsedOptions parsed =
      parse_options(text.substr(std::min(end + 1, text.size())), "f", line);
  fuzz::check_diagnostics(parsed.diagnostics, 2 * Diagnostics::kMax);
  const Options& options = parsed.options;
  std::set<std::string> drives;
  for (const Binding& binding : options.targets) {
    FUZZ_CHECK(drives.insert(binding.drive).second);
    for (const Binding& other : options.targets) {
      FUZZ_CHECK(&binding == &other || !same_identity(binding, other));
    }
  }
  for (const Deadline& deadline :
       {options.deadlines.probe, options.deadlines.tool, options.deadlines.medium,
        options.deadlines.module, options.deadlines.mount, options.deadlines.network}) {
    FUZZ_CHECK(!deadline || deadline->count() > 0);
    FUZZ_CHECK(parse_deadline(to_text(deadline)) == deadline);
  }
  FUZZ_CHECK(!options.launch.program.empty());
  FUZZ_CHECK(options.console.starts_with("/dev/"));
  std::string why;
  const Mode mode = effective_mode(options, line, &why);
  FUZZ_CHECK(why.empty() || mode == Mode::interactive);
  FUZZ_CHECK(!line.mode_given || line.mode == Mode::nuke || mode != Mode::nuke);
  FUZZ_CHECK(launch_arguments(options.launch, mode).size() == options.launch.arguments.size());
  return 0;
}
