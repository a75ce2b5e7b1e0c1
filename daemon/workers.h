// Effects done by executors on a pool of threads, each coming back as an event.
//
// Blocking calls are made here and nowhere else. A call that hangs cannot be taken back: when an
// effect's deadline passes, its thread is written off and replaced, so that a hung disk costs one
// thread and nobody's time. If the call returns after all, its EffectDone is still delivered and
// the thread ends.
//
// Effects of one urgency start in the order in which they were given, more urgent ones before them
// and, where they compete for the CPU, at a higher priority; some threads are kept for what is
// urgent. What is not urgent and touches no device does not begin while urgent ones of its handler
// keep every CPU busy (not those that wait for hardware), and what can wait (Urgency::whenever) not
// while anything else does, for as long as one of those reasonably does, on a device hardly at all.
// How urgent one is may change with the outcome of another of its handler
// (Executor::urgency_revision). Those of one lane run one after the other, the more urgent ones
// first: a late one holds its lane until it returns, since what shares a lane must never run side
// by side.
#pragma once

#include <time.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "daemon/event.h"
#include "handlers/handler.h"

namespace muster {

class Workers {
 public:
  static constexpr std::size_t kThreads = 8;
  static constexpr std::size_t kKept = 2;  // of them, for Urgency::now

  // What a thread has had of the CPUs so far.
  [[nodiscard]] static std::chrono::nanoseconds cpu_time_of(clockid_t thread);

  // How long others are left the CPUs by what can wait.
  struct Patience {
    // So long one keeps a CPU busy, and so long after its end, in which what it was for is asked
    // for. Much of a module's insertion runs in the kernel, which does not let go of the CPU: there
    // no priority helps.
    std::chrono::milliseconds busy{200};
    std::chrono::milliseconds linger{50};
    // But only while it is on a CPU, which is looked at so often: many an insertion waits for
    // hardware. What can wait does not begin in such a pause.
    std::chrono::milliseconds look{50};
    // But nothing waits longer than this for a CPU, and what touches a device and can wait no
    // longer than that.
    std::chrono::milliseconds longest{2000};
    std::chrono::milliseconds on_device{20};
    std::function<std::chrono::nanoseconds(clockid_t)> cpu_time = cpu_time_of;
  };

  // `deliver` is called on the pool's threads, one call at a time, never after the destructor
  // returned.
  using Deliver = std::function<void(Event)>;
  Workers(std::vector<std::unique_ptr<Executor>> executors, Deliver deliver,
          std::size_t threads = kThreads, std::size_t cpus = std::thread::hardware_concurrency());
  Workers(std::vector<std::unique_ptr<Executor>> executors, Deliver deliver, std::size_t threads,
          std::size_t cpus, Patience patience);
  // Does not wait for executors: threads that are inside one are left behind, and keep what they
  // use alive.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // From any thread. The deadline counts from the effect's start. An effect that no executor knows
  // comes back as failed.
  void run(Effect effect);

  struct Counts {
    std::size_t queued = 0;   // waiting for a thread or for their lane
    std::size_t running = 0;  // in an executor, late ones included
    std::size_t stuck = 0;    // late and not back yet
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace muster
