// The index of muster-modprobe: any bytes may stand in it, any name may be asked for. A file
// outside of the tree is never named, a group always has the module that was meant, and the kernel
// command line is read without harm.
#include <string>

#include "initramfs/muster_modprobe/load_plan.h"
#include "initramfs/muster_modprobe/module_index.h"
#include "tests/fuzz/fuzz_check.h"

namespace {

using namespace muster::modprobe;

void ask(const ModuleIndex& index, std::string_view name) {
  if (const auto file = index.file_of(name)) {
    FUZZ_CHECK(!file->path.empty() && file->path.front() != '/');
    FUZZ_CHECK(("/" + std::string(file->path) + "/").find("/../") == std::string::npos);
  }
  (void)index.has_install_line(name);
  const auto lookup = index.find(name);
  if (!lookup) {
    return;
  }
  FUZZ_CHECK(lookup->builtin || !lookup->groups.empty());
  for (const auto& group : lookup->groups) {
    bool target = false;
    for (const Step& step : group) {
      FUZZ_CHECK(!step.module.empty() && step.module.find('/') == std::string_view::npos);
      target = target || step.role == Role::target;
    }
    FUZZ_CHECK(target);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = muster::fuzz::as_text(data, size);
  const std::string with_header = std::string(kIndexHeader) + "\n" + std::string(text);
  for (const std::string_view bytes : {text, std::string_view(with_header)}) {
    const ModuleIndex index(bytes);
    for (const char* name : {"raid456", "md_level_5", "block_major_9_127", "a", ""}) {
      ask(index, name);
    }
    // names that stand in the text itself reach further than any that are chosen beforehand
    std::size_t asked = 0;
    for (std::size_t at = 0; at < text.size() && asked < 64; ++at) {
      if (text[at] == ' ' || text[at] == '\n') {
        ask(index, text.substr(at + 1, text.find_first_of(" \n", at + 1) - at - 1));
        ++asked;
      }
    }
  }
  const CommandLine line(text);
  FUZZ_CHECK(line.options_of("no such module").empty() || text.find("no such") != text.npos);
  (void)matches(text.substr(0, size / 2), text.substr(size / 2));
  FUZZ_CHECK(normalize(normalize(text)) == normalize(text));
  return 0;
}
