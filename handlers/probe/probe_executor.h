// Reads what stands on a block device.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

#include "handlers/block_device.h"
#include "handlers/handler.h"

namespace muster::probe {

// Metadata texts that were read last. All PVs of a volume group carry one, which is parsed once.
// Threads: any.
class KnownTexts {
 public:
  [[nodiscard]] Result<std::uint64_t> seqno_of(const std::string& text);

 private:
  struct Known {
    std::string text;
    std::uint64_t seqno = 0;
  };
  std::mutex mutex_;
  std::deque<Known> known_;
};

class ProbeExecutor : public Executor {
 public:
  explicit ProbeExecutor(const BlockDevices& devices) : devices_(devices) {}

  [[nodiscard]] std::string_view name() const override { return "probe"; }
  // Disks and arrays before maps: these are mostly a plan's targets, whose content nobody needs.
  [[nodiscard]] Urgency urgency(const Effect& effect) const override;

  // read {"devno", "optical": bool, "partition": bool} ->
  //   {"diskseq": read after open, "changed": true if it moved while we read, "size": bytes,
  //    "properties": {udev's ID_FS_*, ID_PART_TABLE_*, ID_PART_ENTRY_*; ID_FS_AMBIVALENT where
  //    nothing wins}, "details": {"md": superblock (md_superblock_json.h) and "owner" where disk
  //    and partition share it,
  //                "md_others": further ones, "lvm": {...}, "contenders": [...]},
  //    "drive": data|no_disc|tray_open|not_ready|blank (optical only), "note": one line, if there
  //    is one}
  // A device that cannot be read is a result with a note; one that is not there is Errc::not_found.
  [[nodiscard]] Result<Json> run(const Effect& effect) override;

 private:
  Result<Json> read(const Effect& effect);

  const BlockDevices& devices_;
  KnownTexts texts_;
};

}  // namespace muster::probe
