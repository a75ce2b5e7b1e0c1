#include "daemon/workers.h"

#include <fmt/format.h>
#include <pthread.h>

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
  // An effect inside its executor.
  struct Run {
    EffectId id = 0;
    Clock::time_point due;
    bool has_deadline = false;
    bool late = false;
  };

  mutable std::mutex mutex;
  std::condition_variable work;       // ready, or stopping
  std::condition_variable deadlines;  // runs changed, or stopping
  std::condition_variable left;       // a thread ended
  std::map<std::string, std::unique_ptr<Executor>, std::less<>> executors;
  std::deque<Effect> ready;
  std::map<std::string, std::deque<Effect>, std::less<>> lanes;  // busy lanes: who waits
  std::size_t waiting_in_lanes = 0;
  std::map<std::uint64_t, Run> runs;  // by thread
  std::uint64_t next_thread = 1;
  std::size_t threads = 0;  // alive, the watch included, those inside an executor too
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

  void work_on(std::uint64_t number) {
    std::unique_lock lock(mutex);
    for (;;) {
      work.wait(lock, [this] { return stopping || !ready.empty(); });
      if (stopping) {
        return;
      }
      const Effect effect = std::move(ready.front());
      ready.pop_front();
      Run run{.id = effect.id, .due = {}, .has_deadline = effect.deadline_ms > 0, .late = false};
      if (run.has_deadline) {
        run.due = Clock::now() + std::chrono::milliseconds(effect.deadline_ms);
        deadlines.notify_one();
      }
      runs.emplace(number, run);
      const auto executor = executors.find(effect.handler);
      lock.unlock();
      send(call(executor == executors.end() ? nullptr : executor->second.get(), effect));
      lock.lock();
      const bool replaced = runs.at(number).late;
      runs.erase(number);
      leave_lane(effect.lane);
      if (replaced) {
        --stuck;
        return;
      }
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
    ready.push_back(std::move(lane->second.front()));
    lane->second.pop_front();
    --waiting_in_lanes;
    work.notify_one();
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
  if (!effect.lane.empty()) {
    const auto [lane, is_free] = state_->lanes.try_emplace(effect.lane);
    if (!is_free) {
      lane->second.push_back(std::move(effect));
      ++state_->waiting_in_lanes;
      return;
    }
  }
  state_->ready.push_back(std::move(effect));
  state_->work.notify_one();
}

Workers::Counts Workers::counts() const {
  const std::lock_guard lock(state_->mutex);
  return {.queued = state_->ready.size() + state_->waiting_in_lanes,
          .running = state_->runs.size(),
          .stuck = state_->stuck};
}

}  // namespace muster
