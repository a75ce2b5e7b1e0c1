#include "daemon/workers.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "daemon/boottime.h"
#include "daemon/child_process.h"

namespace muster {
namespace {

using Clock = std::chrono::steady_clock;

Json tools_of(const ChildLog& log) {
  Json tools;
  for (const auto& record : log.records()) {
    tools.push_back({{"argv", record.argv}, {"ended", record.ended}, {"output", record.output}});
    if (record.cut) {
      tools.back()["cut"] = true;
    }
  }
  return tools;
}

constexpr std::size_t kUrgencies = 3;
// Beside the loop, muster-init and mondorestore, which have 0.
constexpr std::array<int, kUrgencies> kNice{0, 10, 15};

// Of the calling thread. Without the right to it all run alike.
void set_nice(Urgency urgency) {
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, kNice.at(static_cast<std::size_t>(urgency))));
}

EffectDone call(Executor* executor, const Effect& effect) {
  EffectDone done{.id = effect.id,
                  .ok = false,
                  .result = nullptr,
                  .error = {},
                  .code = Errc::io,
                  .tools = nullptr};
  if (executor == nullptr) {
    done.code = Errc::unsupported;
    done.error = fmt::format("no executor for handler '{}'", effect.handler);
    return done;
  }
  const ChildLog log;
  try {
    auto result = executor->run(effect);
    if (result) {
      done.ok = true;
      done.result = std::move(*result);
    } else {
      done.code = result.error().code;
      done.error = std::move(result.error().text);
    }
  } catch (const std::exception& e) {
    done.error = fmt::format("internal error in handler '{}': {}", effect.handler, e.what());
  } catch (...) {
    done.error = fmt::format("internal error in handler '{}'", effect.handler);
  }
  done.tools = tools_of(log);
  return done;
}

}  // namespace

// Shared with every thread: one that hangs may outlive the Workers.
struct Workers::State : std::enable_shared_from_this<Workers::State> {
  // An effect and when its executor wants it done.
  struct Task {
    Effect effect;
    Urgency urgency = Urgency::now;
  };
  // One inside its executor.
  struct Run {
    EffectId id = 0;
    Urgency urgency = Urgency::now;
    Clock::time_point due;
    bool has_deadline = false;
    bool late = false;
  };

  mutable std::mutex mutex;
  std::condition_variable work;       // ready, or stopping
  std::condition_variable deadlines;  // runs changed, or stopping
  std::condition_variable left;       // a thread ended
  std::map<std::string, std::unique_ptr<Executor>, std::less<>> executors;
  std::array<std::deque<Task>, kUrgencies> ready;
  std::map<std::string, std::deque<Task>, std::less<>> lanes;  // busy lanes: who waits
  std::size_t waiting_in_lanes = 0;
  std::map<std::uint64_t, Run> runs;  // by thread
  std::uint64_t next_thread = 1;
  std::size_t threads = 0;       // alive, the watch included, those inside an executor too
  std::size_t patient = 0;       // runs in time that are not urgent ...
  std::size_t most_patient = 1;  // ... of which there are no more than these
  std::size_t stuck = 0;
  bool stopping = false;

  std::mutex deliver_mutex;
  Deliver deliver;

  void send(EventBody body) {
    const std::lock_guard lock(deliver_mutex);
    if (deliver) {
      deliver({boottime(), std::move(body)});
    }
  }

  // With the mutex held. Whether there is a new thread.
  bool add_thread(std::function<void(State&, std::uint64_t)> body, const char* name) {
    const std::uint64_t number = next_thread++;
    ++threads;
    try {
      std::thread([self = shared_from_this(), body = std::move(body), number, name] {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
        ::pthread_setname_np(::pthread_self(), name);
        body(*self, number);
        const std::lock_guard lock(self->mutex);
        --self->threads;
        self->left.notify_all();
      }).detach();
    } catch (const std::system_error&) {
      --threads;  // out of threads: those that there are go on
      return false;
    }
    return true;
  }

  void add_worker() {
    add_thread([](State& state, std::uint64_t number) { state.work_on(number); }, "worker");
  }

  // With the mutex held: the queue whose turn it is.
  [[nodiscard]] std::deque<Task>* next() {
    for (std::size_t urgency = 0; urgency < kUrgencies; ++urgency) {
      if (!ready.at(urgency).empty() && (urgency == 0 || patient < most_patient)) {
        return &ready.at(urgency);
      }
    }
    return nullptr;
  }

  void make_ready(Task task) {
    ready.at(static_cast<std::size_t>(task.urgency)).push_back(std::move(task));
    work.notify_one();
  }

  void work_on(std::uint64_t number) {
    Urgency nice = Urgency::now;
    std::unique_lock lock(mutex);
    for (;;) {
      work.wait(lock, [this] { return stopping || next() != nullptr; });
      if (stopping) {
        return;
      }
      auto& queue = *next();
      const Task task = std::move(queue.front());
      queue.pop_front();
      const Effect& effect = task.effect;
      if (task.urgency != Urgency::now) {
        ++patient;
      }
      Run run{.id = effect.id,
              .urgency = task.urgency,
              .due = {},
              .has_deadline = effect.deadline_ms > 0,
              .late = false};
      if (run.has_deadline) {
        run.due = Clock::now() + std::chrono::milliseconds(effect.deadline_ms);
        deadlines.notify_one();
      }
      runs.emplace(number, run);
      const auto executor = executors.find(effect.handler);
      lock.unlock();
      if (std::exchange(nice, task.urgency) != task.urgency) {
        set_nice(task.urgency);
      }
      send(call(executor == executors.end() ? nullptr : executor->second.get(), effect));
      lock.lock();
      const bool replaced = runs.at(number).late;
      if (!replaced) {
        in_time_no_more(task.urgency);
      }
      runs.erase(number);
      leave_lane(effect.lane);
      if (replaced) {
        --stuck;
        return;
      }
    }
  }

  void in_time_no_more(Urgency urgency) {
    if (urgency != Urgency::now) {
      --patient;
    }
  }

  void leave_lane(const std::string& name) {
    if (name.empty()) {
      return;
    }
    const auto lane = lanes.find(name);
    if (lane->second.empty()) {
      lanes.erase(lane);
      return;
    }
    make_ready(std::move(lane->second.front()));
    lane->second.pop_front();
    --waiting_in_lanes;
  }

  // Writes off threads whose deadline passed.
  void watch() {
    std::unique_lock lock(mutex);
    while (!stopping) {
      const auto now = Clock::now();
      auto next = Clock::time_point::max();
      std::vector<EffectId> late;
      for (auto& [number, run] : runs) {
        if (!run.has_deadline || run.late) {
          continue;
        }
        if (run.due <= now) {
          run.late = true;
          in_time_no_more(run.urgency);
          ++stuck;
          late.push_back(run.id);
          add_worker();
        } else {
          next = std::min(next, run.due);
        }
      }
      if (!late.empty()) {
        lock.unlock();
        for (const EffectId id : late) {
          send(EffectLate{id});
        }
        lock.lock();
        continue;
      }
      if (next == Clock::time_point::max()) {
        deadlines.wait(lock);
      } else {
        deadlines.wait_until(lock, next);
      }
    }
  }
};

Workers::Workers(std::vector<std::unique_ptr<Executor>> executors, Deliver deliver,
                 std::size_t threads)
    : state_(std::make_shared<State>()) {
  const std::lock_guard lock(state_->mutex);
  state_->deliver = std::move(deliver);
  for (auto& executor : executors) {
    std::string name(executor->name());
    state_->executors.insert_or_assign(std::move(name), std::move(executor));
  }
  state_->most_patient = threads > kKept ? threads - kKept : 1;
  state_->add_thread([](State& state, std::uint64_t) { state.watch(); }, "deadlines");
  for (std::size_t i = 0; i < threads; ++i) {
    state_->add_worker();
  }
}

Workers::~Workers() {
  {
    const std::lock_guard lock(state_->deliver_mutex);
    state_->deliver = nullptr;
  }
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->work.notify_all();
  state_->deadlines.notify_all();
  state_->left.wait(lock, [this] { return state_->threads <= state_->runs.size(); });
}

void Workers::run(Effect effect) {
  const std::lock_guard lock(state_->mutex);
  State::Task task{.effect = std::move(effect)};
  if (const auto executor = state_->executors.find(task.effect.handler);
      executor != state_->executors.end()) {
    task.urgency = executor->second->urgency(task.effect);
  }
  if (!task.effect.lane.empty()) {
    const auto [lane, is_free] = state_->lanes.try_emplace(task.effect.lane);
    if (!is_free) {
      lane->second.push_back(std::move(task));
      ++state_->waiting_in_lanes;
      return;
    }
  }
  state_->make_ready(std::move(task));
}

Workers::Counts Workers::counts() const {
  const std::lock_guard lock(state_->mutex);
  std::size_t ready = 0;
  for (const auto& queue : state_->ready) {
    ready += queue.size();
  }
  return {.queued = ready + state_->waiting_in_lanes,
          .running = state_->runs.size(),
          .stuck = state_->stuck};
}

}  // namespace muster
