#include <gtest/gtest.h>

#include "initramfs/one_file/programs.h"

// Stand-ins: which one is chosen is what is tested here.
namespace muster::init {
int program(int /*argc*/, char** /*argv*/) {
  return 11;
}
}  // namespace muster::init
namespace muster::modprobe {
int program(int /*argc*/, char** /*argv*/) {
  return 12;
}
}  // namespace muster::modprobe
namespace muster::unpack {
int program(int /*argc*/, char** /*argv*/) {
  return 13;
}
}  // namespace muster::unpack

namespace muster {
namespace {

constexpr int kNone = 0;

int chosen(std::string_view name, bool is_first_process = false) {
  const Program program = program_called(name, is_first_process);
  return program == nullptr ? kNone : program(0, nullptr);
}

TEST(ProgramCalled, FollowsTheNameWithoutItsFolders) {
  EXPECT_EQ(chosen("muster-init"), 11);
  EXPECT_EQ(chosen("/usr/lib/muster/bin/muster-init"), 11);
  EXPECT_EQ(chosen("/init"), 11);
  EXPECT_EQ(chosen("/usr/lib/muster/bin/muster-modprobe"), 12);
  EXPECT_EQ(chosen("muster-modprobe"), 12);
  EXPECT_EQ(chosen("./muster-unpack"), 13);
}

TEST(ProgramCalled, KnowsNoOtherName) {
  for (const char* name : {"", "/", "muster", "muster-init2", "xmuster-init", "muster-modprobe/",
                           "/muster-unpack/x", "modprobe", "MUSTER-INIT"}) {
    EXPECT_EQ(chosen(name), kNone) << name;
  }
}

TEST(ProgramCalled, IsInitAsTheFirstProcessWhateverTheName) {
  for (const char* name : {"/init", "/sbin/init", "/rescue", "", "muster-modprobe"}) {
    EXPECT_EQ(chosen(name, true), 11) << name;
  }
}

}  // namespace
}  // namespace muster
