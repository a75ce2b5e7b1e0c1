// A program run to its end: arguments in, exit status and bounded output back. For worker threads.
//
// The child is known by pidfd from its start to its reaping; no other child of this process is ever
// waited for. It gets descriptors 0 to 2 and no others, default signal handling and nothing
// blocked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/result.h"

namespace muster {

struct ChildOptions {
  // Set, or taken away (nullopt), on top of our own environment.
  std::vector<std::pair<std::string, std::optional<std::string>>> environment;
  std::optional<std::string> input;  // on standard input; else it is empty
  std::size_t output_limit = std::size_t{64} * 1024;
  std::int64_t deadline_ms = 0;  // 0: none
  bool kill_late = false;        // SIGKILL at the deadline; else the wait goes on
  bool output_is_data = false;   // and no words for people: not for the log of children
};

struct ChildResult {
  int status = 0;          // exit status, if no signal ended it
  int signal = 0;          // that ended it; 0: none
  bool late = false;       // the deadline passed before it ended
  bool truncated = false;  // it wrote more than `output`
  std::string output;      // standard output and error, as they came

  [[nodiscard]] bool ok() const { return signal == 0 && status == 0; }
  // "exit status 5", "killed by signal 9 after its deadline"
  [[nodiscard]] std::string describe() const;
};

// argv[0] is the path of the program; PATH is not searched. An error: the program could not be
// started.
[[nodiscard]] Result<ChildResult> run_child(const std::vector<std::string>& argv,
                                            const ChildOptions& options = {});

// What the journal is told of a child.
struct ChildRecord {
  static constexpr std::size_t kOutput = 4096;
  std::vector<std::string> argv;
  std::string ended;   // ChildResult::describe(), or why it was not started
  std::string output;  // its first bytes, secrets taken out
  bool cut = false;    // it wrote more
};

// While one lives, what this thread runs is noted in it; an inner one takes over from an outer one.
class ChildLog {
 public:
  ChildLog();
  ~ChildLog();
  ChildLog(const ChildLog&) = delete;
  ChildLog& operator=(const ChildLog&) = delete;
  [[nodiscard]] const std::vector<ChildRecord>& records() const { return records_; }

 private:
  friend Result<ChildResult> run_child(const std::vector<std::string>&, const ChildOptions&);
  std::vector<ChildRecord> records_;
  ChildLog* outer_;
};

}  // namespace muster
