#include "initramfs/muster_init/launch_ledger.h"

namespace muster::init {

LaunchDecision LaunchLedger::decide(const LaunchRequest& request,
                                    std::uint64_t current_generation) const {
  if (request.generation != current_generation) {
    return {LaunchVerdict::stale, {}};
  }
  switch (state_.phase) {
    case Phase::idle:
      if (request.again) {
        return {LaunchVerdict::refused, "nothing was started yet"};
      }
      return {LaunchVerdict::start, {}};
    case Phase::failed:
      return {LaunchVerdict::start, {}};
    case Phase::running:
      if (request.again) {
        return {LaunchVerdict::refused, "still running, pid " + std::to_string(state_.pid)};
      }
      return {LaunchVerdict::already, {}};
    case Phase::exited:
      break;
  }
  return {request.again ? LaunchVerdict::start : LaunchVerdict::already, {}};
}

std::string LaunchLedger::objection_to_end() const {
  return state_.phase == Phase::running
             ? "pid " + std::to_string(state_.pid) + " (" + state_.token + ") still runs"
             : std::string();
}

void LaunchLedger::started(const std::string& token, std::int64_t pid) {
  state_ = LaunchState{Phase::running, token, pid, Ended::no, 0, std::nullopt};
}

void LaunchLedger::exec_failed(int os_error) {
  if (state_.phase == Phase::running) {
    state_.phase = Phase::failed;
    state_.status = os_error;
  }
}

void LaunchLedger::ended(Ended how, int status, std::optional<std::int64_t> result) {
  if (state_.phase == Phase::running) {
    state_.phase = Phase::exited;
    state_.ended = how;
    state_.status = status;
    state_.result = result;
  }
}

}  // namespace muster::init
