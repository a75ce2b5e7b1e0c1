#include "daemon/loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <asio.hpp>
#include <chrono>
#include <iterator>
#include <utility>

#include "daemon/boottime.h"
#include "daemon/event_json.h"
#include "daemon/json_line.h"

namespace muster {
namespace {

// So many events go through before effects go out and clients are heard.
constexpr std::size_t kBatch = 256;
// So many are waiting, or on their way through, and those that come behind them have to wait long.
constexpr std::size_t kCrowd = 8;
// Changes of the board that come together are drawn together.
constexpr auto kDrawAfter = std::chrono::milliseconds(50);
// CLOCK_BOOTTIME runs on while the machine is suspended, the timer's clock does not: look again now
// and then.
constexpr Micros kLongestWait = 60'000'000;

}  // namespace

struct Loop::Io {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard{context.get_executor()};
  asio::steady_timer timer{context};
  asio::steady_timer drawing{context};
  asio::signal_set signals{context};
  std::vector<std::shared_ptr<asio::posix::stream_descriptor>> watched;
};

Loop::Loop(LoopParts parts) : parts_(std::move(parts)), io_(std::make_unique<Io>()) {
}

Loop::~Loop() {
  control_.reset();
  for (const auto& descriptor : io_->watched) {
    descriptor->release();  // whoever asked for the watch owns it
  }
}

void Loop::use_journal(JournalWriter journal) {
  journal_ = std::make_unique<JournalWriter>(std::move(journal));
}

Result<void> Loop::open_control(ControlSettings settings) {
  auto control = Control::open(io_->context, std::move(settings),
                               [this](Command command) { post(EventBody(std::move(command))); });
  if (!control) {
    return tl::unexpected(control.error());
  }
  control_ = std::move(*control);
  return {};
}

void Loop::stop_on(std::initializer_list<int> signals) {
  for (const int signal : signals) {
    io_->signals.add(signal);
  }
  io_->signals.async_wait([this](const asio::error_code& error, int) {
    if (!error) {
      stop();
    }
  });
}

void Loop::post(EventBody body) {
  post(Event{boottime(), std::move(body)});
}

void Loop::post(Event event) {
  if (event.time == 0) {
    event.time = boottime();
  }
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(event));
  if (!std::exchange(scheduled_, true)) {
    asio::post(io_->context, [this] { run_batch(); });
  }
}

bool Loop::crowded() {
  const std::lock_guard lock(mutex_);
  awaited_ = queue_.size() + in_batch_ >= kCrowd;
  return awaited_;
}

void Loop::watch(int fd, std::function<bool()> ready) {
  auto descriptor = std::make_shared<asio::posix::stream_descriptor>(io_->context, fd);
  io_->watched.push_back(descriptor);
  auto wait = std::make_shared<std::function<void()>>();
  *wait = [this, descriptor, ready = std::move(ready), again = std::weak_ptr(wait)] {
    descriptor->async_wait(
        asio::posix::stream_descriptor::wait_read,
        [this, descriptor, ready, next = again.lock()](const asio::error_code& error) {
          if (error) {
            return;
          }
          if (ready()) {
            (*next)();
          } else {
            descriptor->release();
            std::erase(io_->watched, descriptor);
          }
        });
  };
  (*wait)();
}

void Loop::after(std::chrono::milliseconds wait, std::function<void()> due) {
  auto timer = std::make_shared<asio::steady_timer>(io_->context, wait);
  timer->async_wait([timer, due = std::move(due)](const asio::error_code& error) {
    if (!error) {
      due();
    }
  });
}

void Loop::run() {
  io_->context.run();
}
void Loop::close_control() {
  control_.reset();
}
void Loop::stop() {
  io_->context.stop();
}

void Loop::run_batch() {
  std::vector<Event> events;
  {
    const std::lock_guard lock(mutex_);
    const auto count = std::min(queue_.size(), kBatch);
    const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(count);
    events.assign(std::move_iterator(queue_.begin()), std::move_iterator(end));
    queue_.erase(queue_.begin(), end);
    in_batch_ = count;
    scheduled_ = !queue_.empty();
    if (scheduled_) {
      asio::post(io_->context, [this] { run_batch(); });
    }
  }
  std::vector<Effect> effects;
  for (const auto& event : events) {
    const auto* timer = std::get_if<TimerDue>(&event.body);
    if (timer != nullptr && fired_.erase(timer->name) == 0) {
      continue;  // moved or cancelled while it was on its way
    }
    if (journal_ && journal_->due()) {
      begin_segment();
    }
    const bool written = journal_ || (control_ && control_->has_followers());
    std::string lines = written ? to_line(to_json(event)) + "\n" : std::string();
    for (auto& effect : parts_.engine(event)) {
      if (written) {
        lines += to_line(to_json(effect, event.time)) + "\n";
      }
      if (effect.handler == "timer") {
        timer_effect(effect);
      } else {
        effects.push_back(std::move(effect));
      }
    }
    journal(lines);
  }
  flush();
  for (auto& effect : effects) {
    dispatch(std::move(effect));
  }
  if (parts_.changed) {
    parts_.changed();
  }
  bool room = false;
  {
    const std::lock_guard lock(mutex_);
    in_batch_ = 0;
    room = awaited_ && queue_.size() < kCrowd;
    awaited_ = awaited_ && !room;
  }
  if (room && parts_.room) {
    parts_.room();
  }
}

void Loop::journal(const std::string& lines) {
  if (journal_) {
    journal_->add(lines);
  }
  if (control_ && control_->has_followers()) {
    batch_lines_ += lines;
  }
}

// Between two events the engine's state and the timers are whole.
void Loop::begin_segment() {
  Json state = Json::object();
  if (parts_.snapshot) {
    state["snapshot"] = parts_.snapshot();
  }
  state["timers"] = timers_;
  report_journal(journal_->begin_segment(std::move(state)), segment_failed_);
}

// Said once, and again only after it worked in between.
void Loop::report_journal(const Result<void>& result, bool& failed) {
  if (!result && !failed && parts_.report) {
    parts_.report(result.error().text);
  }
  failed = !result;
}

void Loop::flush() {
  if (journal_) {
    report_journal(journal_->flush(), journal_failed_);
  }
  if (!batch_lines_.empty() && control_) {
    control_->publish(std::exchange(batch_lines_, {}));
  }
}

void Loop::dispatch(Effect effect) {
  if (effect.handler == "source") {
    if (effect.verb == "scan" && parts_.scan) {
      parts_.scan();
    } else if (effect.verb == "read" && parts_.read) {
      parts_.read(std::move(effect.subject));
    }
  } else if (effect.handler == "control") {
    const auto client = effect.arguments.value("client", std::uint64_t{0});
    Json answer = effect.arguments.value("answer", Json());
    if (parts_.amend) {
      parts_.amend(effect, answer);
    }
    if (control_) {
      control_->reply(client, answer);
    }
  } else if (effect.handler == "report") {
    if (parts_.report) {
      parts_.report(effect.subject);
    }
  } else if (parts_.work) {
    parts_.work(std::move(effect));
  }
}

void Loop::timer_effect(const Effect& effect) {
  fired_.erase(effect.subject);
  if (effect.verb == "set") {
    timers_.insert_or_assign(effect.subject, effect.arguments.value("at", Micros{0}));
  } else {
    timers_.erase(effect.subject);
  }
  arm_timer();
}

void Loop::arm_timer() {
  if (timers_.empty()) {
    io_->timer.cancel();
    return;
  }
  const auto next =
      std::min_element(timers_.begin(), timers_.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  const Micros wait = next->second <= 0 ? 0 : next->second - boottime();
  io_->timer.expires_after(std::chrono::microseconds(std::clamp<Micros>(wait, 0, kLongestWait)));
  io_->timer.async_wait([this](const asio::error_code& error) {
    if (!error) {
      timers_due();
    }
  });
}

void Loop::timers_due() {
  const Micros now = boottime();
  std::vector<std::pair<Micros, std::string>> due;
  for (const auto& [name, at] : timers_) {
    if (at <= now) {
      due.emplace_back(at, name);
    }
  }
  std::sort(due.begin(), due.end());
  for (auto& [at, name] : due) {
    timers_.erase(name);
    fired_.insert(name);
    post(Event{now, TimerDue{std::move(name)}});
  }
  arm_timer();
}

void Loop::redraw() {
  if (!parts_.draw || std::exchange(drawing_, true)) {
    return;
  }
  io_->drawing.expires_after(kDrawAfter);
  io_->drawing.async_wait([this](const asio::error_code& error) {
    drawing_ = false;
    if (!error) {
      draw();
    }
  });
}

void Loop::draw() {
  if (!parts_.draw()) {
    redraw();
  }
}

}  // namespace muster
