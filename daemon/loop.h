// The loop: events in from every thread, one after the other through the engine, effects out.
//
// One thread runs everything here, so the engine needs no lock, and nothing here blocks: effects
// that may are handed to the workers, the console and standard error have threads of their own.
// Events that arrived together are one batch: journal first (one write), then the effects go out,
// then the board. Asio is an inner matter of this file and control.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/control.h"
#include "daemon/event.h"
#include "daemon/journal.h"

namespace muster {

// What the loop drives. All are called on the loop's thread and must not block; those left empty
// are not there.
struct LoopParts {
  std::function<std::vector<Effect>(const Event&)> engine;
  std::function<void(Effect)> work;              // effects of handlers
  std::function<void()> scan;                    // "source" scan
  std::function<void(std::string)> read;         // "source" read DEVPATH
  std::function<void(std::string_view)> report;  // a line for the operator
  std::function<void()> changed;   // facts may have changed: the board may have to be redrawn
  std::function<bool()> draw;      // redraws it; false: not now, ask again in a moment
  std::function<Json()> snapshot;  // of the engine, for the journal's next segment
  std::function<void(const Effect&, Json&)> amend;  // adds to an answer what only the edges know
  std::function<void()> room;                       // there is room again after crowded() was true
};

class Loop {
 public:
  explicit Loop(LoopParts parts);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Before run().
  void use_journal(JournalWriter journal);
  [[nodiscard]] Result<void> open_control(ControlSettings settings);
  void stop_on(std::initializer_list<int> signals);

  // From any thread. An event without a time is stamped.
  void post(Event event);
  void post(EventBody body);
  // From any thread: whether so many events are waiting that whoever has many more of them should
  // wait for LoopParts::room.
  [[nodiscard]] bool crowded();

  // Calls `ready` on the loop's thread each time that the descriptor is readable, until it returns
  // false.
  void watch(int fd, std::function<bool()> ready);

  // Calls `due` once on the loop's thread.
  void after(std::chrono::milliseconds wait, std::function<void()> due);

  // Asks for LoopParts::draw soon; what is asked for in between is one.
  void redraw();

  void run();
  // After run() returned: clients are let go, and the socket is taken away.
  void close_control();
  // From any thread.
  void stop();

 private:
  struct Io;

  void run_batch();
  void journal(const std::string& lines);
  void begin_segment();
  void report_journal(const Result<void>& result, bool& failed);
  void flush();
  void dispatch(Effect effect);
  void timer_effect(const Effect& effect);
  void arm_timer();
  void timers_due();
  void draw();

  LoopParts parts_;
  std::unique_ptr<Io> io_;
  std::unique_ptr<JournalWriter> journal_;
  bool journal_failed_ = false;
  bool segment_failed_ = false;
  std::string batch_lines_;  // for the followers of events
  std::unique_ptr<Control> control_;
  std::map<std::string, Micros, std::less<>> timers_;
  std::set<std::string, std::less<>> fired_;  // due, and not yet through the engine
  bool drawing_ = false;

  std::mutex mutex_;
  std::vector<Event> queue_;
  std::size_t in_batch_ = 0;  // taken out of the queue, and not yet through
  bool scheduled_ = false;
  bool awaited_ = false;  // crowded() said so
};

}  // namespace muster
