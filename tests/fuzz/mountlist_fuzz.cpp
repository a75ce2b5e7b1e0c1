#include "handlers/target/mountlist.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster::target;
  const Mountlist list = parse_mountlist(muster::fuzz::as_text(data, size), "f");
  muster::fuzz::check_diagnostics(list.diagnostics, muster::Diagnostics::kMax);
  FUZZ_CHECK(list.as_written || !list.diagnostics.empty());
  FUZZ_CHECK(list.entries.size() <= 500);
  for (const MountlistEntry& entry : list.entries) {
    FUZZ_CHECK(!entry.written.empty() && entry.written.front() != '#' && entry.line > 0);
    FUZZ_CHECK(entry.device.size() <= 63 + 4 && entry.mount_point.size() <= 255);
  }
  // Whatever nuke would partition is in the list of drives.
  std::size_t lines = 0;
  for (const TargetDrive& drive : drives(list)) {
    lines += drive.lines.size();
    FUZZ_CHECK(drive.allocated_kib >= 0);
    FUZZ_CHECK(drive.device == drive.mondo_device || !drive.note.empty());
  }
  std::size_t sized = 0;
  for (const MountlistEntry& entry : list.entries) {
    sized += entry.size_kib != 0 && !entry.is_array() ? 1 : 0;
  }
  FUZZ_CHECK(lines == sized);
  FUZZ_CHECK(needed_for_compare(list).size() <= list.entries.size());
  FUZZ_CHECK(arrays(list).size() <= list.entries.size());
  FUZZ_CHECK(lvs(list).size() + sized <= list.entries.size());
  FUZZ_CHECK(file_systems(list).size() <= 2 * list.entries.size());
  return 0;
}
