#include "daemon/console.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace muster {
namespace {

using Mode = BoardPainter::Mode;

TEST(BoardPainter, LinesAreWrittenOnceEach) {
  BoardPainter painter(Mode::lines, 24, 80);
  EXPECT_EQ(painter.paint("a\nb\n"), "muster: a\r\nmuster: b\r\n");
  EXPECT_EQ(painter.paint("a\nb\n"), "");
  EXPECT_EQ(painter.paint("a\nc\n"), "muster: c\r\n");
  EXPECT_EQ(painter.paint("c\na\n"), "");  // only moved
  EXPECT_EQ(painter.paint("a\nb"), "muster: b\r\n");
  painter.forget();
  EXPECT_EQ(painter.paint("a\nb"), "muster: a\r\nmuster: b\r\n");
}

TEST(BoardPainter, AScreenIsPaintedInPlace) {
  BoardPainter painter(Mode::whole, 4, 10);
  EXPECT_EQ(painter.paint("a\nb\n"), "\x1b[H\x1b[2Ja\x1b[K\r\nb\x1b[K\r\n\x1b[J");
  EXPECT_EQ(painter.paint("a\nb\n"), "");
  EXPECT_EQ(painter.paint("c\n"), "\x1b[Hc\x1b[K\r\n\x1b[J");
  painter.forget();
  EXPECT_EQ(painter.paint("c\n"), "\x1b[H\x1b[2Jc\x1b[K\r\n\x1b[J");
}

TEST(BoardPainter, NeverScrollsAndNeverWraps) {
  BoardPainter painter(Mode::whole, 3, 4);
  EXPECT_EQ(painter.paint("12345\n\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\nthird\n"),
            "\x1b[H\x1b[2J1234\x1b[K\r\n\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\x1b[K\r\n\x1b[J");
}

TEST(SlowWriter, NobodyWaitsForABlockedReader) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  Fd read_end(ends[0]);
  const int pipe_size = ::fcntl(ends[1], F_GETPIPE_SZ);
  SlowWriter writer{Fd(ends[1])};
  constexpr std::size_t kTexts = 100;
  constexpr std::size_t kSize = std::size_t{16} * 1024;
  // Far more than a pipe holds: none of these calls waits, or this test never ends.
  for (std::size_t i = 0; i < kTexts; ++i) {
    std::string text = "text " + std::to_string(i) + " ";
    text.resize(kSize - 1, 'x');
    writer.write(text + "\n");
  }
  EXPECT_FALSE(writer.idle());
  // Every text arrives whole and in order, or is counted where it is missing.
  std::string input;
  std::array<char, 65536> buffer;
  std::size_t kept = 0;
  std::size_t next = 0;
  while (next < kTexts) {
    const ssize_t got = ::read(read_end.get(), buffer.data(), buffer.size());
    ASSERT_GT(got, 0);
    input.append(buffer.data(), static_cast<std::size_t>(got));
    for (auto end = input.find('\n'); end != std::string::npos; end = input.find('\n')) {
      const std::string line = input.substr(0, end);
      input.erase(0, end + 1);
      if (line.starts_with("text ")) {
        EXPECT_EQ(line.size(), kSize - 1);
        EXPECT_EQ(line.substr(0, line.find(" x")), "text " + std::to_string(next));
        ++next;
        ++kept;
      } else {
        std::size_t dropped = 0;
        ASSERT_EQ(std::sscanf(line.c_str(), "muster: %zu messages were dropped here", &dropped), 1)
            << line;
        next += dropped;
      }
    }
  }
  EXPECT_EQ(next, kTexts);
  EXPECT_EQ(input, "");
  // What may wait did wait. Before that the thread can have taken as much again, and the pipe.
  EXPECT_GE(kept, SlowWriter::kMostWaiting / kSize);
  EXPECT_LE(kept, (2 * SlowWriter::kMostWaiting + static_cast<std::size_t>(pipe_size)) / kSize);
}

TEST(SlowWriter, WritesWhatIsLeftAtItsEnd) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const Fd read_end(ends[0]);
  {
    SlowWriter writer{Fd(ends[1])};
    writer.write("one\n");
    writer.write("two\n");
  }
  std::array<char, 64> buffer;
  const ssize_t got = ::read(read_end.get(), buffer.data(), buffer.size());
  EXPECT_EQ(std::string_view(buffer.data(), static_cast<std::size_t>(got)), "one\ntwo\n");
}

TEST(Console, ATerminalWindowIsPaintedAPipeIsNot) {
  const Fd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(terminal);
  ASSERT_EQ(::grantpt(terminal.get()), 0);
  ASSERT_EQ(::unlockpt(terminal.get()), 0);
  const std::string name = ::ptsname(terminal.get());
  ::setenv("TERM", "xterm", 1);
  const auto window = open_console(name);
  ASSERT_TRUE(window) << window.error().text;
  EXPECT_EQ(window->mode, Mode::whole);
  ::setenv("TERM", "dumb", 1);
  EXPECT_EQ(open_console(name)->mode, Mode::lines);
  EXPECT_EQ(open_console("/dev/null")->mode, Mode::lines);
  EXPECT_EQ(open_console("/nonexistent").error().text,
            "console /nonexistent: No such file or directory");
}

}  // namespace
}  // namespace muster
