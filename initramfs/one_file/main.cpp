#include <unistd.h>

#include <cstdio>

#include "initramfs/one_file/programs.h"

int main(int argc, char** argv) {
  const char* called_as = argc > 0 ? argv[0] : "";
  const auto program = muster::program_called(called_as, ::getpid() == 1);
  if (program == nullptr) {
    std::fprintf(
        stderr,
        "%s: I am muster-init, muster-modprobe and muster-unpack, and do what the name says "
        "that I am called by; this is none of them\n",
        called_as);
    return 2;
  }
  return program(argc, argv);
}
