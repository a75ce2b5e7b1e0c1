// A musterd with a thread that hangs in the kernel: `hung_daemon DEVICE` reads a block device that
// does not answer, says so, and kills itself. It cannot be reaped before the read comes back.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

namespace {

std::atomic<long> g_reader{0};

void read_for_ever(const char* device) {
  g_reader = ::syscall(SYS_gettid);
  const int fd = ::open(device, O_RDONLY | O_DIRECT);
  void* buffer = std::aligned_alloc(4096, 4096);
  if (fd < 0 || ::read(fd, buffer, 4096) < 0) {
    std::perror(device);
    std::_Exit(1);
  }
}

// The state letter of a thread of ours.
char state_of(const std::string& thread) {
  std::ifstream file("/proc/self/task/" + thread + "/stat");
  std::string text;
  std::getline(file, text);
  const auto end = text.rfind(')');
  return end == std::string::npos || end + 2 >= text.size() ? '?' : text[end + 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    return 2;
  }
  std::thread reader(read_for_ever, argv[1]);
  while (state_of(std::to_string(g_reader)) != 'D') {
    std::this_thread::yield();
  }
  std::puts("HUNG in the kernel");
  std::fflush(stdout);
  ::kill(::getpid(), SIGKILL);
  reader.join();
}
