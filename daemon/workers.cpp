#include "daemon/workers.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

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
// Beside the loop, muster-init and mondorestore, which have 0. No more than this: a thread that
// turns to something urgent pays for what it ran before at a low priority.
constexpr std::array<int, kUrgencies> kNice{0, 5, 10};

// As root, which musterd is: nobody else may raise a priority again.
void set_nice(pid_t thread, Urgency urgency) {
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(thread),
                                  kNice.at(static_cast<std::size_t>(urgency))));
}

clockid_t cpu_clock_of_this_thread() {
  clockid_t clock = CLOCK_THREAD_CPUTIME_ID;
  static_cast<void>(::pthread_getcpuclockid(::pthread_self(), &clock));
  return clock;
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

std::chrono::nanoseconds Workers::cpu_time_of(clockid_t thread) {
  timespec now{};
  static_cast<void>(::clock_gettime(thread, &now));
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// Shared with every thread: one that hangs may outlive the Workers.
struct Workers::State : std::enable_shared_from_this<Workers::State> {
  // An effect and when its executor wants it done.
  struct Task {
    Effect effect;
    Urgency urgency = Urgency::now;
    Clock::time_point ready;
  };
  // One inside its executor. All times are of Clock, but for `cpu`.
  struct Run {
    const Effect* effect = nullptr;
    pid_t thread = 0;
    Urgency urgency = Urgency::now;  // when it began
    Urgency nice = Urgency::now;     // more urgent than that, if somebody else needs it since
    Clock::time_point began;
    Clock::time_point due;
    bool has_deadline = false;
    bool late = false;
    clockid_t cpu_clock = 0;       // of its thread
    std::chrono::nanoseconds cpu;  // what the thread had used when it was looked at
    Clock::time_point looked;
    Clock::time_point busy;  // it counts as busy until then
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
  std::size_t cpus = 1;
  Patience patience;
  struct End {
    Clock::time_point at;
    Urgency urgency = Urgency::now;
    std::string handler;
  };
  std::deque<End> ended;                           // the last ones that could not wait
  std::map<std::string, std::uint64_t> revisions;  // by handler, when urgencies were asked for last
  Clock::time_point began = Clock::now();
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

  // With the mutex held: until when this one keeps a CPU busy, as far as can be seen. To what can
  // wait it does so also while it waits for hardware: there will be something to do.
  [[nodiscard]] Clock::time_point busy_until(Run& run, Urgency urgency,
                                             Clock::time_point now) const {
    if (urgency == Urgency::whenever) {
      return run.began + patience.busy;
    }
    // Eight threads may share the CPU that one is not given up for.
    constexpr int kLeastShare = 8;
    if (run.busy <= now && run.looked + patience.look <= now) {
      const auto cpu = patience.cpu_time(run.cpu_clock);
      if ((cpu - run.cpu) * kLeastShare >= now - run.looked) {
        run.busy = std::min(now + patience.look, run.began + patience.busy);
      }
      run.looked = now;
      run.cpu = cpu;
    }
    return run.busy;
  }

  // With the mutex held: until when others have the CPUs to themselves, those of its own handler
  // that are urgent, and if it can wait all that cannot.
  [[nodiscard]] Clock::time_point busy_until(Urgency urgency, const std::string& handler,
                                             Clock::time_point now) {
    const auto counts = [&](Urgency other, const std::string& its_handler) {
      return urgency == Urgency::whenever ? other < urgency
                                          : other < urgency && its_handler == handler;
    };
    std::vector<Clock::time_point> taken;
    for (auto& [number, run] : runs) {
      if (counts(run.urgency, run.effect->handler)) {
        taken.push_back(busy_until(run, urgency, now));
      }
    }
    for (const auto& end : ended) {
      if (counts(end.urgency, end.handler)) {
        taken.push_back(end.at + patience.linger);
      }
    }
    if (taken.size() < cpus) {
      return began + patience.linger;  // what is urgent may not have been seen yet
    }
    const auto nth = taken.begin() + static_cast<std::ptrdiff_t>(cpus - 1);
    std::nth_element(taken.begin(), nth, taken.end(), std::greater<>());
    return *nth;
  }

  // With the mutex held: whose turn it is. Nothing: until `again`.
  [[nodiscard]] std::optional<Task> next(Clock::time_point& again) {
    again = Clock::time_point::max();
    if (!ready[0].empty()) {
      return take(ready[0], ready[0].begin());
    }
    if (patient >= most_patient) {
      return std::nullopt;
    }
    const auto now = Clock::now();
    for (std::size_t urgency = 1; urgency < kUrgencies; ++urgency) {
      auto& queue = ready.at(urgency);
      std::optional<std::pair<std::string_view, std::chrono::milliseconds>> closed;
      for (auto task = queue.begin(); task != queue.end(); ++task) {
        const auto hold = longest_hold(*task);
        if (hold <= std::chrono::milliseconds(0)) {
          return take(queue, task);
        }
        if (closed == std::pair(std::string_view(task->effect.handler), hold)) {
          continue;  // as the one before it
        }
        const auto until =
            std::min(busy_until(task->urgency, task->effect.handler, now), task->ready + hold);
        if (until <= now) {
          return take(queue, task);
        }
        again = std::min(again, until);
        closed.emplace(task->effect.handler, hold);
      }
    }
    return std::nullopt;
  }

  // What touches a device is hardly held back: mondorestore, once it runs, must have the devices to
  // itself. Nor is what others stand behind, but for what can wait.
  [[nodiscard]] std::chrono::milliseconds longest_hold(const Task& task) const {
    const Json& arguments = task.effect.arguments;
    const bool can_wait = task.urgency == Urgency::whenever;
    if (arguments.is_object() && arguments.contains("devpath")) {
      return can_wait ? patience.on_device : std::chrono::milliseconds(0);
    }
    return task.effect.lane.empty() || can_wait ? patience.longest : std::chrono::milliseconds(0);
  }

  static Task take(std::deque<Task>& queue, std::deque<Task>::iterator at) {
    Task task = std::move(*at);
    queue.erase(at);
    return task;
  }

  // With the mutex held: what the outcome of one says of the urgency of others. One that runs
  // already gets the priority, one that waits its place.
  void reconsider() {
    for (std::size_t urgency = 1; urgency < kUrgencies; ++urgency) {
      auto& queue = ready.at(urgency);
      for (auto task = queue.begin(); task != queue.end();) {
        task->urgency = std::min(task->urgency, urgency_of(task->effect));
        const auto now = static_cast<std::size_t>(task->urgency);
        if (now < urgency) {
          ready.at(now).push_back(std::move(*task));
          task = queue.erase(task);
          work.notify_one();
        } else {
          ++task;
        }
      }
    }
    for (auto& [number, run] : runs) {
      if (run.nice != Urgency::now) {
        hurry(run, urgency_of(*run.effect));
      }
    }
  }

  [[nodiscard]] Urgency urgency_of(const Effect& effect) const {
    const auto executor = executors.find(effect.handler);
    return executor == executors.end() ? Urgency::now : executor->second->urgency(effect);
  }

  // Who waits for a lane is held up by whoever has it: that is as urgent, then.
  void hurry_lane(const std::string& lane, Urgency urgency) {
    for (std::size_t is = static_cast<std::size_t>(urgency) + 1; is < kUrgencies; ++is) {
      auto& queue = ready.at(is);
      const auto task = std::find_if(queue.begin(), queue.end(),
                                     [&](const Task& each) { return each.effect.lane == lane; });
      if (task != queue.end()) {
        Task hurried = std::move(*task);
        queue.erase(task);
        hurried.urgency = urgency;
        make_ready(std::move(hurried));
        return;
      }
    }
  }

  static void hurry(Run& run, Urgency urgency) {
    if (urgency < run.nice) {
      run.nice = urgency;
      set_nice(run.thread, urgency);
    }
  }

  void make_ready(Task task) {
    task.ready = Clock::now();
    ready.at(static_cast<std::size_t>(task.urgency)).push_back(std::move(task));
    work.notify_one();
  }

  void work_on(std::uint64_t number) {
    const pid_t thread = ::gettid();
    const clockid_t cpu_clock = cpu_clock_of_this_thread();
    Urgency nice = Urgency::now;
    std::unique_lock lock(mutex);
    for (;;) {
      if (stopping) {
        return;
      }
      Clock::time_point again;
      const auto turn = next(again);
      if (!turn) {
        if (again == Clock::time_point::max()) {
          work.wait(lock);
        } else {
          work.wait_until(lock, again);
        }
        continue;
      }
      const Task& task = *turn;
      if (!ready[1].empty() || !ready[2].empty()) {
        work.notify_one();  // somebody else has to see when their time comes
      }
      const Effect& effect = task.effect;
      if (task.urgency != Urgency::now) {
        ++patient;
      }
      // Whoever has a lane may hold up others any time.
      const Urgency priority = effect.lane.empty() ? task.urgency : Urgency::now;
      const auto now = Clock::now();
      Run run{.effect = &effect,
              .thread = thread,
              .urgency = task.urgency,
              .nice = priority,
              .began = now,
              .due = {},
              .has_deadline = effect.deadline_ms > 0,
              .late = false,
              .cpu_clock = cpu_clock,
              .cpu = patience.cpu_time(cpu_clock),
              .looked = now,
              .busy = now + std::min(patience.look, patience.busy)};
      if (run.has_deadline) {
        run.due = run.began + std::chrono::milliseconds(effect.deadline_ms);
        deadlines.notify_one();
      }
      if (std::exchange(nice, priority) != priority) {
        set_nice(thread, priority);
      }
      runs.emplace(number, run);
      const auto executor = executors.find(effect.handler);
      lock.unlock();
      send(call(executor == executors.end() ? nullptr : executor->second.get(), effect));
      lock.lock();
      nice = runs.at(number).nice;
      const bool replaced = runs.at(number).late;
      if (!replaced) {
        in_time_no_more(task.urgency);
      }
      if (task.urgency != Urgency::whenever) {
        ended.push_back({Clock::now(), task.urgency, effect.handler});
        while (ended.front().at + patience.linger < ended.back().at) {
          ended.pop_front();
        }
      }
      runs.erase(number);
      leave_lane(effect.lane);
      if (executor != executors.end()) {
        const auto revision = executor->second->urgency_revision();
        if (std::exchange(revisions[effect.handler], revision) != revision) {
          reconsider();
        }
      }
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
    auto& tasks = lane->second;
    if (tasks.empty()) {
      lanes.erase(lane);
      return;
    }
    const auto next =
        std::min_element(tasks.begin(), tasks.end(),
                         [](const Task& a, const Task& b) { return a.urgency < b.urgency; });
    make_ready(std::move(*next));
    tasks.erase(next);
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
          late.push_back(run.effect->id);
          add_worker();
          work.notify_one();  // its place is free, even if there is no new thread
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
                 std::size_t threads, std::size_t cpus)
    : Workers(std::move(executors), std::move(deliver), threads, cpus, Patience{}) {
}

Workers::Workers(std::vector<std::unique_ptr<Executor>> executors, Deliver deliver,
                 std::size_t threads, std::size_t cpus, Patience patience)
    : state_(std::make_shared<State>()) {
  const std::lock_guard lock(state_->mutex);
  state_->deliver = std::move(deliver);
  for (auto& executor : executors) {
    std::string name(executor->name());
    state_->executors.insert_or_assign(std::move(name), std::move(executor));
  }
  state_->cpus = std::max<std::size_t>(cpus, 1);
  state_->patience = patience;
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
  State::Task task;
  task.effect = std::move(effect);
  task.urgency = state_->urgency_of(task.effect);
  if (!task.effect.lane.empty()) {
    const auto [lane, is_free] = state_->lanes.try_emplace(task.effect.lane);
    if (!is_free) {
      state_->hurry_lane(task.effect.lane, task.urgency);
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
