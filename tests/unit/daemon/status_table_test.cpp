#include "daemon/status_table.h"

#include <gmock/gmock.h>

namespace muster {
namespace {

Json thing(const char* state, const char* what, const char* device, const char* why,
           bool requirement, std::int64_t since) {
  return {{"state", state}, {"what", what},      {"device", device},
          {"why", why},     {"since_us", since}, {"requirement", requirement}};
}

TEST(StatusTable, RequirementsFirstThenEverythingElse) {
  const Json status = {
      {"mode", "nuke"},
      {"phase", "gathering"},
      {"plan_from", "image"},
      {"devices", 12},
      {"now_us", 5'000'000},
      {"things",
       {thing("ready", "array md0", "/dev/md0", "", false, 1),
        thing("waiting", "medium", "", "no disc in sr0", true, 2'500'000),
        thing("working", "drive s\xc3\xa9", "/dev/sda", "", true, 4'000'000)}},
      {"late", {{{"handler", "probe"}, {"verb", "read"}, {"subject", "/dev/sdx"}}}},
      {"diagnostics", {"/proc/cmdline: what?"}},
      {"reports", {"hello \x1b[2J"}}};
  EXPECT_EQ(status_table(status),
            "mode nuke, gathering, plan from the image, 12 devices\n"
            "\n"
            "Required:\n"
            "  waiting  medium              no disc in sr0 (for 2.5 s)\n"
            "  working  drive s\xc3\xa9  /dev/sda  for 1.0 s\n"
            "\n"
            "Else:\n"
            "  ready  array md0  /dev/md0\n"
            "\n"
            "Late (its thread was replaced, everything else goes on):\n"
            "  probe read of /dev/sdx\n"
            "\n"
            "Problems:\n"
            "  /proc/cmdline: what?\n"
            "\n"
            "Last reports:\n"
            "  hello \\x1b[2J\n");
}

TEST(StatusTable, SurvivesAnyJson) {
  EXPECT_EQ(status_table(nullptr), "mode , , plan from the , 0 devices\n");
  EXPECT_EQ(
      status_table({{"things", {1, nullptr, {{"what", 7}}}}, {"late", "x"}, {"reports", {1}}}),
      "mode , , plan from the , 0 devices\n\nElse:\n        for 0.0 s\n        for 0.0 s\n"
      "        for 0.0 s\n");
}

}  // namespace
}  // namespace muster
