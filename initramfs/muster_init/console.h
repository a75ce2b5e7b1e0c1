// The console as PID 1 sees it: what it writes is queued and never blocks, so that a terminal that
// was stopped with ctrl-S, or a slow serial line, stops nothing else.
#pragma once

#include <sys/ioctl.h>
#include <termios.h>

#include <string>
#include <string_view>

#include "daemon/fd.h"

namespace muster::init {

class Console {
 public:
  // Opens /dev/console, also as descriptors 0, 1 and 2 (blocking) for the children. Needs /sys for
  // the tty's name.
  void open();

  // "muster-init: TEXT" on a line of its own.
  void say(std::string_view text);
  void write(std::string_view bytes);
  void flush();
  bool has_output() const { return !queue_.empty(); }
  bool is_crowded() const { return queue_.size() > kCrowded; }

  // While a program's pseudo terminal is connected: every key goes to it as it is typed.
  void enter_raw();
  void leave_raw();

  termios settings() const;
  winsize window() const;
  int fd() const { return fd_.get(); }
  const std::string& tty_name() const { return tty_name_; }  // "ttyS0"
  std::string tty_path() const;                              // "/dev/ttyS0"

 private:
  static constexpr std::size_t kCrowded = std::size_t{32} * 1024;
  static constexpr std::size_t kFull = std::size_t{2} * 1024 * 1024;

  Fd fd_;
  std::string tty_name_;
  std::string queue_;
  termios cooked_{};
  bool raw_ = false;
};

}  // namespace muster::init
