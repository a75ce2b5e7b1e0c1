// What a user types, and what comes of it.
#include "daemon/chart/chart_command.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "daemon/chart/chart.h"

namespace muster::chart {
namespace {

struct Ran {
  int status = 0;
  std::string error;
};

Ran run(const std::string& arguments) {
  CLI::App app{"test"};
  add_chart(app);
  ::testing::internal::CaptureStderr();
  Ran ran;
  try {
    app.parse(arguments, false);
  } catch (const CLI::RuntimeError& error) {
    ran.status = error.get_exit_code();
  } catch (const CLI::ParseError& error) {
    ran.status = 100 + error.get_exit_code();
  }
  ran.error = ::testing::internal::GetCapturedStderr();
  return ran;
}

TEST(ChartCommand, WritesTheFileOrSaysWhyNot) {
  const auto directory = std::filesystem::path(::testing::TempDir()) / "muster-chart-command";
  std::filesystem::create_directories(directory);
  const std::string recording = std::string(MUSTER_SOURCE_DIR) + "/tests/replay/logs/order_1.jsonl";
  const auto output = (directory / "boot.svg").string();
  EXPECT_EQ(run("chart " + recording + " -o " + output).error, "");
  std::stringstream text;
  text << std::ifstream(output).rdbuf();
  EXPECT_TRUE(text.str() == *chart(*replay::read_recording(recording), Format::svg));

  const auto wrong = run("chart " + recording + " -o boot.png");
  EXPECT_EQ(wrong.status, 2);
  EXPECT_EQ(wrong.error, "\"boot.png\": its name must end in .svg or .html\n");
  const auto absent = run("chart /nowhere.jsonl -o " + output);
  EXPECT_EQ(absent.status, 2);
  EXPECT_EQ(absent.error, "/nowhere.jsonl: No such file or directory\n");
  EXPECT_EQ(run("chart " + recording + " -o /nowhere/boot.svg").error,
            "/nowhere/boot.svg: No such file or directory\n");
  EXPECT_GT(run("chart " + recording).status, 100);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace muster::chart
