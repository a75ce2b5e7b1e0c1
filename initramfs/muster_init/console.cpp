#include "initramfs/muster_init/console.h"

#include <fcntl.h>

#include <cerrno>

#include "initramfs/muster_init/files.h"
#include "initramfs/muster_init/kernel_words.h"

namespace muster::init {
namespace {

constexpr unsigned short kRows = 24;
constexpr unsigned short kColumns = 80;

// A console that nobody set up, or that a program left raw.
void make_sane(termios& t) {
  t.c_iflag = BRKINT | ICRNL | IXON | IUTF8;
  t.c_oflag = OPOST | ONLCR;
  t.c_cflag = (t.c_cflag & static_cast<tcflag_t>(~(CSIZE | PARENB))) | CS8 | CREAD | HUPCL | CLOCAL;
  t.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  t.c_cc[VINTR] = 3;
  t.c_cc[VQUIT] = 28;
  t.c_cc[VERASE] = 127;
  t.c_cc[VKILL] = 21;
  t.c_cc[VEOF] = 4;
  t.c_cc[VSTART] = 17;
  t.c_cc[VSTOP] = 19;
  t.c_cc[VSUSP] = 26;
  t.c_cc[VMIN] = 1;
  t.c_cc[VTIME] = 0;
}

}  // namespace

void Console::open() {
  int shared = ::open("/dev/console", O_RDWR | O_NOCTTY);
  if (shared < 0) {
    shared = ::open("/dev/null", O_RDWR);
  }
  if (shared >= 0) {
    for (int target = 0; target <= 2; ++target) {
      if (shared != target) {
        ::dup2(shared, target);
      }
    }
    if (shared > 2) {
      ::close(shared);
    }
  }
  fd_.reset(::open("/dev/console", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  tty_name_ = last_word(read_small_file("/sys/class/tty/console/active"));
  if (tty_name_ == "tty0") {
    tty_name_ = "tty1";  // tty0 is whichever is in front; a shell belongs on a fixed one
  }
  termios now{};
  if (::tcgetattr(fd_.get(), &now) == 0) {
    cooked_ = now;
    make_sane(cooked_);
    ::tcsetattr(fd_.get(), TCSANOW, &cooked_);
  }
}

std::string Console::tty_path() const {
  return tty_name_.empty() ? "/dev/console" : "/dev/" + tty_name_;
}

void Console::say(std::string_view text) {
  write(std::string("muster-init: ") + std::string(text) + (raw_ ? "\r\n" : "\n"));
}

void Console::write(std::string_view bytes) {
  if (fd_ && queue_.size() + bytes.size() <= kFull) {
    queue_.append(bytes);
    flush();
  }
}

void Console::flush() {
  while (!queue_.empty()) {
    const ssize_t n = ::write(fd_.get(), queue_.data(), queue_.size());
    if (n > 0) {
      queue_.erase(0, static_cast<std::size_t>(n));
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else {
      if (n < 0 && errno != EAGAIN) {
        queue_.clear();  // nobody is there; what cannot be shown must not pile up
      }
      return;
    }
  }
}

void Console::enter_raw() {
  if (raw_) {
    return;
  }
  termios raw = cooked_;
  ::cfmakeraw(&raw);
  ::tcsetattr(fd_.get(), TCSANOW, &raw);
  raw_ = true;
}

void Console::leave_raw() {
  ::tcsetattr(fd_.get(), TCSANOW, &cooked_);
  raw_ = false;
}

termios Console::settings() const {
  return cooked_;
}

winsize Console::window() const {
  winsize size{};
  ::ioctl(fd_.get(), TIOCGWINSZ, &size);
  if (size.ws_row == 0 || size.ws_col == 0) {  // a serial line does not know
    size.ws_row = kRows;
    size.ws_col = kColumns;
  }
  return size;
}

}  // namespace muster::init
