// Puts arrays together through the kernel's own ioctls and takes them apart; hands the unusual ones
// to mdadm.
#pragma once

#include <mutex>
#include <optional>
#include <set>

#include "handlers/block_device.h"
#include "handlers/handler.h"

namespace muster::md {

class MdExecutor : public Executor {
 public:
  explicit MdExecutor(const BlockDevices& devices) : devices_(devices), root_(devices.root()) {}

  [[nodiscard]] std::string_view name() const override { return "md"; }

  // start_ro {} -> {}: arrays come up auto-read-only, whoever starts them
  // assemble {"uuid", "number": N or -1, "version": "1.2", "members": [{"devno", "slot"}]}
  //   -> {"kernel": "md127", "devno": "9:127", "state": "read-auto"}
  //   All members or nothing: if the kernel leaves one out, or anything else fails, what was made
  //   is taken back and the Error names step and member. Errc::busy: the number is taken, or a
  //   member is. If an array with these members runs already, that is the one, whatever its number.
  // stop {"devno"} -> {}; an array that is not there is success, one in use is Errc::busy and names
  // the holders mdadm_assemble {"uuid", "number", "devices": [{"devno", "name"}]} -> as assemble,
  // and "output" inspect {"devno"} -> {"kernel", "devno", "state", "level", "raid_disks",
  // "degraded", "version", "uuid",
  //                       "members": [{"devno", "kernel", "slot", "state"}]}
  [[nodiscard]] Result<Json> run(const Effect& effect) override;

 private:
  struct Member {
    std::string devno;
    std::int64_t slot = 0;
  };
  struct Array {
    std::string kernel;  // md127
    std::string devno;   // 9:127
    Fd fd;
  };

  class NumberLease {
   public:
    NumberLease(MdExecutor& owner, std::int64_t wanted);
    ~NumberLease();
    NumberLease(const NumberLease&) = delete;
    NumberLease& operator=(const NumberLease&) = delete;
    [[nodiscard]] std::int64_t number() const { return number_; }  // -1: none

   private:
    MdExecutor& owner_;
    std::int64_t number_ = -1;
  };

  Result<Json> start_ro();
  Result<Json> assemble(const Effect& effect);
  Result<Json> stop(const Effect& effect);
  Result<Json> mdadm_assemble(const Effect& effect);
  Result<Json> run_mdadm(const std::string& mdadm, std::int64_t number, const std::string& uuid,
                         const std::vector<std::string>& nodes) const;
  [[nodiscard]] bool is_leased(std::int64_t number) const;
  Result<Json> inspect(const Effect& effect);

  Result<Array> make_array(std::int64_t number) const;
  Result<Json> start(const Array& array, int major_version, int minor_version,
                     const std::vector<Member>& members) const;
  // The array that runs with these members already, in their slots.
  [[nodiscard]] std::optional<Json> started(const std::vector<Member>& members) const;
  [[nodiscard]] Result<void> holds(const std::string& kernel,
                                   const std::vector<Member>& members) const;
  [[nodiscard]] std::string attribute(const std::string& kernel, const std::string& name) const;
  [[nodiscard]] Json members_of(const std::string& kernel) const;

  const BlockDevices& devices_;
  const Root& root_;
  mutable std::mutex numbers_;
  std::set<std::int64_t> leased_;  // guarded by it
};

}  // namespace muster::md
