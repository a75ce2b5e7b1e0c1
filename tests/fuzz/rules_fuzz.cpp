// A rules file of arbitrary bytes, matched against a device: loading and matching end, every
// complaint is one printable line, and the same rules say the same twice.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "rules/match.h"
#include "tests/unit/rules/fake_device.h"

namespace {

using muster::rules::Diagnostic;
using muster::rules::FakeDevice;
using muster::rules::RuleSet;
using muster::rules::Source;

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const FakeDevice kParent({.kernel = "0:0:0:0",
                                   .subsystem = "scsi",
                                   .driver = "sd",
                                   .attrs = {{"model", "x \n"}, {"serial", "1"}},
                                   .tags = {"up"}});
  static const FakeDevice kDevice(
      {.kernel = "sda1",
       .subsystem = "block",
       .devpath = "/devices/pci0000:00/0:0:0:0/block/sda/sda1",
       .env = {{"DEVTYPE", "partition"}, {"MAJOR", "8"}, {"ID_FS_TYPE", "LVM2_member"}},
       .attrs = {{"size", "8\n"}, {"odd", "a\xff\t\"b"}}},
      &kParent);

  const std::vector<Source> sources = {
      {"fuzz.rules", std::string(reinterpret_cast<const char*>(data), size)}};
  std::vector<Diagnostic> diagnostics;
  const RuleSet rules = RuleSet::load(sources, diagnostics);
  for (const Diagnostic& diagnostic : diagnostics) {
    require(diagnostic.line >= 1 && !diagnostic.text.empty());
    require(std::none_of(diagnostic.text.begin(), diagnostic.text.end(),
                         [](char c) { return (c >= '\0' && c < ' ') || c == '\x7f'; }));
  }
  const auto outcome = rules.match(kDevice);
  require(outcome == rules.match(kDevice));
  for (const auto& [key, value] : outcome.properties) {
    require(value.size() <= 511);
  }
  return 0;
}
