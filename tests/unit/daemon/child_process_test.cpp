#include "daemon/child_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "daemon/fd.h"

namespace muster {
namespace {

using ::testing::HasSubstr;

Result<ChildResult> shell(const std::string& script, ChildOptions options = {}) {
  return run_child({"/bin/sh", "-c", script}, options);
}

TEST(ChildProcess, StatusSignalAndOutput) {
  const auto result = shell("echo out; echo err >&2; exit 7");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "out\nerr\n");
  EXPECT_EQ(result->status, 7);
  EXPECT_FALSE(result->ok());
  EXPECT_EQ(result->describe(), "exit status 7");
  EXPECT_EQ(shell("kill -TERM $$").value().describe(), "killed by signal 15");
  EXPECT_TRUE(shell(":").value().ok());
}

TEST(ChildProcess, WhatCannotBeStartedIsAnError) {
  EXPECT_EQ(run_child({"/nonexistent/program"}).error().text,
            "/nonexistent/program: No such file or directory");
  EXPECT_EQ(run_child({"sh"}).error().text, "'sh' is not the path of a program");
  EXPECT_EQ(run_child({}).error().text, "'' is not the path of a program");
}

TEST(ChildProcess, OutputIsBounded) {
  ChildOptions options;
  options.output_limit = 10;
  const auto result =
      shell("i=0; while [ $i -lt 20000 ]; do echo 123456789; i=$((i+1)); done", options);
  EXPECT_EQ(result.value().output, "123456789\n");
  EXPECT_TRUE(result->truncated);
  EXPECT_TRUE(result->ok());
  EXPECT_FALSE(shell("echo short", options).value().truncated);
}

TEST(ChildProcess, InputAndEnvironment) {
  ChildOptions options;
  options.input = std::string(1'000'000, 'x');
  EXPECT_EQ(shell("wc -c", options).value().output, "1000000\n");
  EXPECT_EQ(shell("wc -c").value().output, "0\n");
  options = {};
  options.environment = {{"MUSTER_TEST", "set"}, {"HOME", std::nullopt}};
  EXPECT_EQ(shell("echo $MUSTER_TEST,${HOME-gone},${PATH:+kept}", options).value().output,
            "set,gone,kept\n");
}

TEST(ChildProcess, InheritsNoDescriptorAndNoBlockedSignal) {
  // Without O_CLOEXEC; high enough that `ls` cannot have opened it.
  const int open = ::fcntl(STDERR_FILENO, F_DUPFD, 100);
  ASSERT_GE(open, 100);
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  const auto old_handler = ::signal(SIGPIPE, SIG_IGN);
  // Each looks at itself: a shell blocks all signals for the moment in which it starts a program.
  const auto descriptors = run_child({"/bin/ls", "/proc/self/fd"});
  const auto signals = run_child({"/bin/grep", "-E", "SigBlk|SigIgn", "/proc/self/status"});
  ::signal(SIGPIPE, old_handler);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::close(open);
  EXPECT_EQ(descriptors.value().output, "0\n1\n2\n3\n");  // 3 is the folder that it lists
  EXPECT_THAT(signals.value().output, HasSubstr("SigBlk:\t0000000000000000\n"));
  // 32 and 33 are the C library's own.
  const auto ignored = signals->output.substr(signals->output.find("SigIgn:") + 8, 16);
  EXPECT_EQ(std::stoull(ignored, nullptr, 16) & ~0x180000000ULL, 0) << ignored;
}

TEST(ChildProcess, ALateChildIsKilledOnlyIfAskedTo) {
  ChildOptions options;
  options.deadline_ms = 20;
  options.kill_late = true;
  const auto killed = run_child({"/bin/cat", "/dev/zero"}, options);  // writes for ever, too
  EXPECT_EQ(killed.value().describe(), "killed by signal 9 after its deadline");
  EXPECT_TRUE(killed->truncated);
  options.kill_late = false;
  options.deadline_ms = 1;
  // Ends by itself, after its deadline.
  const auto late =
      run_child({"/bin/sh", "-c", "read line < /proc/uptime; sleep 0.2; exit 3"}, options);
  EXPECT_EQ(late.value().describe(), "exit status 3 after its deadline");
}

TEST(ChildProcess, AGrandchildThatKeepsTheOutputOpenIsNotWaitedFor) {
  const auto result = shell("sleep 1000 & echo $!; exit 0");
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->ok());
  ASSERT_GT(std::stoi(result->output), 1);
  EXPECT_EQ(::kill(std::stoi(result->output), SIGKILL), 0);
}

TEST(ChildProcess, OtherChildrenOfThisProcessAreLeftAlone) {
  const pid_t other = ::fork();
  ASSERT_GE(other, 0);
  if (other == 0) {
    ::_exit(5);
  }
  EXPECT_EQ(shell("exit 1").value().status, 1);
  int status = 0;
  EXPECT_EQ(::waitpid(other, &status, 0), other);
  EXPECT_EQ(WEXITSTATUS(status), 5);
}

TEST(ChildLog, HoldsWhatWasRunHowItEndedAndTheBeginningOfWhatItSaid) {
  const ChildLog log;
  static_cast<void>(run_child({"/bin/sh", "-c", "echo password=x; exit 3", "token=y"}));
  static_cast<void>(run_child({"/bin/sh", "-c", "head -c 10000 /dev/zero | tr '\\0' x"}));
  static_cast<void>(run_child({"/nonexistent"}));
  ChildOptions data;
  data.output_is_data = true;
  static_cast<void>(run_child({"/bin/sh", "-c", "echo data"}, data));
  const auto& records = log.records();
  ASSERT_EQ(records.size(), 4U);
  EXPECT_EQ(records[0].argv,
            (std::vector<std::string>{"/bin/sh", "-c", "echo password=*** exit 3", "token=***"}));
  EXPECT_EQ(records[0].ended, "exit status 3");
  EXPECT_EQ(records[0].output, "password=***\n");
  EXPECT_FALSE(records[0].cut);
  EXPECT_EQ(records[1].output, std::string(ChildRecord::kOutput, 'x'));
  EXPECT_TRUE(records[1].cut);
  EXPECT_EQ(records[2].ended, "/nonexistent: No such file or directory");
  EXPECT_EQ(records[3].output, "");
  EXPECT_TRUE(records[3].cut);
}

TEST(ChildLog, TakesOnlyWhatItsOwnThreadRunsWhileItLives) {
  static_cast<void>(run_child({"/bin/true"}));
  const ChildLog outer;
  {
    const ChildLog inner;
    static_cast<void>(run_child({"/bin/true"}));
    EXPECT_EQ(inner.records().size(), 1U);
  }
  std::thread([] { static_cast<void>(run_child({"/bin/true"})); }).join();
  EXPECT_EQ(outer.records().size(), 0U);
}

}  // namespace
}  // namespace muster
