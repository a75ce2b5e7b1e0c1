#include "daemon/console.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/kd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>

namespace muster {
namespace {

constexpr std::string_view kLinePrefix = "muster: ";

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// At most so many characters: a line that wraps would push the rest of the board down.
std::string_view cut(std::string_view line, std::size_t columns) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if ((static_cast<unsigned char>(line[i]) & 0xC0U) != 0x80 && characters++ == columns) {
      return line.substr(0, i);
    }
  }
  return line;
}

// Pseudo terminals: majors 136 to 143 (Documentation/admin-guide/devices.txt).
bool is_terminal_window(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) < 0 || !S_ISCHR(status.st_mode) || ::isatty(fd) == 0) {
    return false;
  }
  const auto major_number = major(status.st_rdev);
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  return major_number >= 136 && major_number <= 143 && !dumb;
}

bool is_virtual_terminal(int fd) {
  char type = 0;
  return ::ioctl(fd, KDGKBTYPE, &type) == 0;
}

}  // namespace

std::string BoardPainter::paint(std::string_view text) {
  if (text == shown_) {
    return {};
  }
  shown_ = text;
  auto lines = split(text);
  std::string out;
  if (mode_ == Mode::whole) {
    // In place, without clearing first: nothing flickers. The last row stays free, it would scroll.
    const bool cleared = !lines_.empty();
    out = cleared ? "\x1b[H" : "\x1b[H\x1b[2J";
    const std::size_t shown = std::min(lines.size(), rows_ > 1 ? rows_ - 1 : 1);
    for (std::size_t i = 0; i < shown; ++i) {
      out += cut(lines[i], columns_);
      out += "\x1b[K\r\n";
    }
    out += "\x1b[J";
  } else {
    for (const auto& line : lines) {
      if (!line.empty() && std::find(lines_.begin(), lines_.end(), line) == lines_.end()) {
        out += fmt::format("{}{}\r\n", kLinePrefix, line);
      }
    }
  }
  lines_ = std::move(lines);
  return out;
}

void BoardPainter::forget() {
  shown_.clear();
  lines_.clear();
}

struct SlowWriter::State {
  std::mutex mutex;
  std::condition_variable changed;
  Fd fd;
  std::string waiting;
  std::size_t dropped = 0;
  bool writing = false;
  bool stopping = false;
  bool done = false;

  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return stopping || !waiting.empty(); });
      if (waiting.empty()) {
        break;
      }
      std::string text = std::exchange(waiting, {});
      if (const auto count = std::exchange(dropped, 0); count > 0) {
        text += fmt::format("muster: {} messages were dropped here\n", count);
      }
      writing = true;
      lock.unlock();
      write_all(text);
      lock.lock();
      writing = false;
      changed.notify_all();
    }
    done = true;
    changed.notify_all();
  }

  void write_all(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t written = ::write(fd.get(), text.data(), text.size());
      if (written < 0 && errno != EINTR) {
        return;  // nobody is there to read it
      }
      text.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
    }
  }
};

SlowWriter::SlowWriter(Fd fd) : state_(std::make_shared<State>()) {
  state_->fd = std::move(fd);
  std::thread([state = state_] {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    ::pthread_setname_np(::pthread_self(), "writer");
    state->run();
  }).detach();
}

SlowWriter::~SlowWriter() {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->changed.notify_all();
  state_->changed.wait_for(lock, std::chrono::milliseconds(kFarewell),
                           [this] { return state_->done; });
}

void SlowWriter::write(std::string text) {
  const std::lock_guard lock(state_->mutex);
  if (state_->waiting.size() + text.size() > kMostWaiting) {
    ++state_->dropped;
    return;
  }
  state_->waiting += text;
  state_->changed.notify_all();
}

bool SlowWriter::idle() const {
  const std::lock_guard lock(state_->mutex);
  return state_->waiting.empty() && !state_->writing;
}

Result<Console> open_console(const std::string& path) {
  Console console;
  // Non-blocking for the open only: a serial line without carrier would hold it up.
  console.fd.reset(::open(path.c_str(), O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!console.fd) {
    return fail_errno(fmt::format("console {}", path), errno);
  }
  ::fcntl(console.fd.get(), F_SETFL, O_WRONLY);
  if (is_virtual_terminal(console.fd.get()) || is_terminal_window(console.fd.get())) {
    console.mode = BoardPainter::Mode::whole;
    winsize size{};
    if (::ioctl(console.fd.get(), TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
      console.rows = size.ws_row;
      console.columns = size.ws_col;
    }
  }
  return console;
}

}  // namespace muster
