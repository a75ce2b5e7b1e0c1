// Remembers what became of the one program of this boot. Pure: says what may be done, does nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "initramfs/muster_init/init_protocol.h"

namespace muster::init {

enum class LaunchVerdict { start, already, stale, refused };

struct LaunchDecision {
  LaunchVerdict verdict = LaunchVerdict::refused;
  std::string reason;  // of `refused`
};

class LaunchLedger {
 public:
  LaunchLedger() = default;
  // What an earlier life of muster-init wrote down.
  explicit LaunchLedger(LaunchState state) : state_(std::move(state)) {}

  [[nodiscard]] LaunchDecision decide(const LaunchRequest& request,
                                      std::uint64_t current_generation) const;
  // Why the machine may not be ended on a request: whoever asks while the program runs is mistaken
  // about it. Empty: it may. (ctrl-alt-del and `reboot` are signals and are not asked.)
  [[nodiscard]] std::string objection_to_end() const;
  void started(const std::string& token, std::int64_t pid);
  // The program file could not be executed; what ran was only our own child.
  void exec_failed(int os_error);
  // How the child ended. A child whose exec failed does not count as having ended.
  void ended(Ended how, int status, std::optional<std::int64_t> result);

  const LaunchState& state() const { return state_; }

 private:
  LaunchState state_;
};

}  // namespace muster::init
