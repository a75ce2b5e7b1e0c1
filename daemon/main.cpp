#include <cstdio>
#include <string_view>

#include "daemon/programs.h"

int main(int argc, char** argv) {
  std::string_view name = argc > 0 ? argv[0] : "";
  name.remove_prefix(name.rfind('/') + 1);  // npos + 1 is 0
  if (name == "musterd") {
    return muster::daemon::program(argc, argv);
  }
  if (name == "muster") {
    return muster::client::program(argc, argv);
  }
  std::fprintf(
      stderr,
      "%s: I am musterd and muster, and do what the name says that I am called by; this is "
      "neither\n",
      argc > 0 ? argv[0] : "");
  return 2;
}
