// The board on the console, and lines for people on standard error. Neither may ever hold up the
// loop: a serial line with flow control, a terminal stopped with ^S or a full pipe blocks whoever
// writes to it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/fd.h"
#include "daemon/result.h"

namespace muster {

// Turns the board's text into what is to be written. Pure.
class BoardPainter {
 public:
  // `whole`: a screen, repainted in place. `lines`: a serial line or a log; only lines that were
  // not there before.
  enum class Mode { whole, lines };
  BoardPainter(Mode mode, std::size_t rows, std::size_t columns)
      : mode_(mode), rows_(rows), columns_(columns) {}

  // Empty if there is nothing to write.
  [[nodiscard]] std::string paint(std::string_view text);
  // Somebody else wrote on the console: the next paint() is complete.
  void forget();

 private:
  Mode mode_;
  std::size_t rows_;
  std::size_t columns_;
  std::string shown_;
  std::vector<std::string> lines_;
};

// Writes on a thread of its own.
class SlowWriter {
 public:
  // What cannot be kept waiting is dropped, and the number of dropped texts is written in their
  // place.
  static constexpr std::size_t kMostWaiting = std::size_t{256} * 1024;

  explicit SlowWriter(Fd fd);
  // Waits at most `kFarewell` ms for what is left; a thread that hangs is left behind.
  ~SlowWriter();
  SlowWriter(const SlowWriter&) = delete;
  SlowWriter& operator=(const SlowWriter&) = delete;

  void write(std::string text);
  // Everything was written.
  [[nodiscard]] bool idle() const;

 private:
  static constexpr int kFarewell = 200;
  struct State;
  std::shared_ptr<State> state_;
};

struct Console {
  Fd fd;
  BoardPainter::Mode mode = BoardPainter::Mode::lines;
  std::size_t rows = 24;
  std::size_t columns = 80;
};

// A virtual terminal or a terminal window is painted, everything else gets lines.
[[nodiscard]] Result<Console> open_console(const std::string& path);

}  // namespace muster
