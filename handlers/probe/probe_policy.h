// Which block devices are read, and when: each generation of a device's content once, a disk before
// its partitions.
//
// What stands inside a member (the partitions of a disk that belongs to an array, say) is that
// member's content and is not the machine's: it is never read. A device that does not answer costs
// one worker; a thing "probe:NAME" says so.
#pragma once

#include <map>
#include <set>
#include <string>

#include "daemon/state_json.h"
#include "handlers/handler.h"

namespace muster::probe {

// True if what the device holds belongs to something that will be built from it, so that nothing
// else about it counts.
[[nodiscard]] bool is_member(const Device& device);

class ProbePolicy final : public Policy {
 public:
  [[nodiscard]] std::string_view name() const override { return "probe"; }
  void device(const Device& device, Context& context) override;
  void device_as_before(const Device& device, Context& context) override;
  void device_gone(const Device& device, Context& context) override;
  void done(const Effect& effect, const EffectDone& outcome, Context& context) override;
  void late(const Effect& effect, Context& context) override;

  MUSTER_POLICY_STATE(readings_)

 private:
  struct Reading {
    EffectId pending = 0;
    bool again = false;         // something changed while a read was under way
    std::uint64_t diskseq = 0;  // generation and size that were read last
    std::string size;
    bool read_once = false;
    MUSTER_STATE(pending, again, diskseq, size, read_once)
  };

  void consider(const Device& device, bool changed, Context& context);
  void partitions_of(const Device& disk, Context& context);

  DevpathMap<Reading> readings_;
};

}  // namespace muster::probe
