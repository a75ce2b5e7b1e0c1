#include "handlers/lvm/lvm_executor.h"

#include <gtest/gtest.h>

namespace muster::lvm {
namespace {

Result<Json> run(const std::string& verb, Json arguments) {
  const Root root = *Root::open();
  LvmExecutor executor(root);
  return executor.run({1, "lvm", verb, "", std::move(arguments), 0, ""});
}

TEST(LvmExecutor, WhatCannotBeIsRefusedBeforeAnythingIsDone) {
  const Json line = {{"start", 0}, {"length", 8}, {"type", "linear"}, {"params", "8:0 0"}};
  const struct {
    const char* verb;
    Json arguments;
    const char* in_error;
  } cases[] = {
      {"create", {{"dm_uuid", "LVM-x"}, {"table", {line}}}, "dm_name"},
      {"create", {{"dm_name", "a/b"}, {"dm_uuid", "LVM-x"}, {"table", {line}}}, "a/b"},
      {"create",
       {{"dm_name", ".."}, {"dm_uuid", "LVM-x"}, {"table", {line}}},
       "cannot be the name"},
      {"create",
       {{"dm_name", std::string(128, 'a')}, {"dm_uuid", "LVM-x"}, {"table", {line}}},
       "cannot be the name"},
      {"create", {{"dm_name", "a"}, {"dm_uuid", "LVM x"}, {"table", {line}}}, "cannot be the UUID"},
      {"create", {{"dm_name", "a"}, {"dm_uuid", "LVM-x"}, {"table", Json::array()}}, "empty table"},
      {"create", {{"dm_name", "a"}, {"dm_uuid", "LVM-x"}, {"table", {{{"start", -1}}}}}, "start"},
      {"create", {{"dm_name", "a"}, {"dm_uuid", "LVM-x"}, {"table", {"linear"}}}, "start"},
      {"activate",
       {{"vg", "-x"}, {"lv", "l"}, {"vg_uuid", "a"}, {"devices", {"/dev/sda"}}},
       "-x/l"},
      {"activate",
       {{"vg", "v"}, {"lv", "l l"}, {"vg_uuid", "a"}, {"devices", {"/dev/sda"}}},
       "v/l l"},
      {"activate",
       {{"vg", "v"}, {"lv", "l"}, {"vg_uuid", "a"}, {"devices", {"/dev/sda,/dev/sdb"}}},
       "not a device"},
      {"activate",
       {{"vg", "v"}, {"lv", "l"}, {"vg_uuid", "a"}, {"devices", {"--config"}}},
       "not a device"},
      {"activate",
       {{"vg", "v"}, {"lv", "l"}, {"vg_uuid", "a"}, {"devices", Json::array()}},
       "no devices"},
      {"activate",
       {{"vg", "v"}, {"lv", "l"}, {"vg_uuid", "a\" || true"}, {"devices", {"/dev/sda"}}},
       "not a UUID"},
      {"activate",
       {{"vg", "v"}, {"lv", "l"}, {"vg_uuid", ""}, {"devices", {"/dev/sda"}}},
       "not a UUID"},
      {"explode", Json::object(), "no such effect"},
  };
  for (const auto& c : cases) {
    const auto result = run(c.verb, c.arguments);
    ASSERT_FALSE(result) << c.arguments.dump();
    EXPECT_EQ(result.error().code, Errc::invalid) << result.error().text;
    EXPECT_NE(result.error().text.find(c.in_error), std::string::npos) << result.error().text;
  }
}

}  // namespace
}  // namespace muster::lvm
