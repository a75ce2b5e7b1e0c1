// What muster-init says: whether mondorestore was started, and who owns the console. On the loop's
// thread.
//
// While a program or a shell owns the console, musterd does not draw on it (init_protocol.h).
// Without a muster-init, as on an ordinary system, the console is nobody else's.
#pragma once

#include <functional>
#include <string>

#include "daemon/fd.h"
#include "daemon/loop.h"
#include "daemon/result.h"
#include "initramfs/muster_init/init_protocol.h"

namespace muster {

class InitWatch {
 public:
  // How long muster-init may take to answer at the start.
  static constexpr int kAnswerMs = 5000;
  // When muster-init was gone (it executes itself again after a crash) it is asked again in such
  // steps. The loop must not be held up then.
  static constexpr int kAgainMs = 1000;
  static constexpr int kAnswerAgainMs = 50;

  explicit InitWatch(std::string path) : path_(std::move(path)) {}

  // Connects and takes the first state. Errc::not_found: there is no muster-init.
  [[nodiscard]] Result<void> connect(int answer_ms = kAnswerMs);
  // The same, until muster-init has answered, however long that takes: while it is our parent,
  // whether mondorestore runs must be known, not guessed. `say` is told what is waited for.
  void connect_surely(const std::function<void(const std::string&)>& say,
                      int answer_ms = kAnswerMs);
  [[nodiscard]] const init::StateReport& state() const { return state_; }
  [[nodiscard]] bool console_is_free() const { return state_.console == init::ConsoleOwner::free; }

  // From now on `changed` is called when muster-init reported something. Only after connect()
  // succeeded.
  void follow(Loop& loop, std::function<void()> changed);

 private:
  [[nodiscard]] Result<Fd> ask() const;
  // Errc::timeout: no answer yet; `socket` is still good for one.
  [[nodiscard]] Result<void> take_answer(Fd& socket, int answer_ms);
  [[nodiscard]] bool receive();
  void reconnect(Loop& loop);

  std::string path_;
  Fd socket_;
  init::StateReport state_;
  std::function<void()> changed_;
};

}  // namespace muster
