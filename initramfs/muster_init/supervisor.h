// The loop of PID 1: one thread, one poll(), no call that can block for long.
//
// Whatever may hang on hardware (sync, umount, a dying musterd) is a child with a deadline.
// Deadlines are poll's timeout; nothing here waits in any other way.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/fd.h"
#include "initramfs/muster_init/console.h"
#include "initramfs/muster_init/init_protocol.h"
#include "initramfs/muster_init/launch_ledger.h"
#include "initramfs/muster_init/respawn_policy.h"
#include "initramfs/muster_init/result_scanner.h"
#include "initramfs/muster_init/spawn.h"

namespace muster::init {

struct SupervisorOptions {
  std::vector<std::string> env;    // of every child
  bool shell_at_start = false;     // muster.shell
  bool debug = false;              // muster.init_debug
  bool recovered = false;          // muster-init itself crashed and was executed again
  std::vector<std::string> early;  // problems of the set-up, to be shown
};

// Where a crashed muster-init finds what it knew; kept up to date at each change.
inline constexpr const char* kStateFile = "/run/muster/init.state";

// The descriptors that must survive the re-execution after a crash (-1: none).
extern volatile int g_terminal_to_keep;
extern volatile int g_listener_to_keep;

class Supervisor {
 public:
  explicit Supervisor(SupervisorOptions options);
  [[noreturn]] void run();

 private:
  using Ms = std::chrono::milliseconds;
  enum class After { nothing, end_reboot, start_daemon };
  enum class Stage { none, stop_daemon, stop_all, kill_all, put_away };
  enum class How { reboot, poweroff, halt };

  struct Client {
    Fd fd;
    bool dead = false;
  };

  void open_sockets();
  void recover();
  // False, with errno: what is on the file is older.
  bool save_state();
  void debug(const std::string& text);
  StateReport report() const;

  void collect(std::vector<pollfd>& fds) const;
  int timeout() const;
  void due();

  void on_signals();
  void on_child(pid_t pid, int status);
  void reap();

  void accept_clients();
  void on_client(Client& client);
  Reply answer(const Request& request, std::string& event);
  void tell(const std::string& event);

  void start_daemon();
  void check_daemon();
  void on_daemon_exec_failed(int os_error);
  void on_daemon_gone(const std::string& how);

  Reply launch(const LaunchRequest& request, std::string& event);
  void on_program_exec_failed(int os_error);
  void on_program_ended(int status);
  void copy_output(std::size_t most);
  void copy_input();

  Result<void> start_shell(After after);
  void on_shell_ended();

  void begin_end(How how);
  void next_stage();

  SupervisorOptions options_;
  Console console_;
  Fd signals_;
  Fd listener_;
  std::vector<Client> clients_;

  std::uint64_t generation_ = 0;
  pid_t daemon_pid_ = -1;
  Fd daemon_exec_;
  std::optional<Ms> daemon_start_at_;
  std::optional<Ms> daemon_check_at_;
  RespawnPolicy respawn_;

  LaunchLedger ledger_;
  Fd program_terminal_;
  Fd program_exec_;
  ResultScanner scanner_;
  std::string input_;
  bool input_closed_ = false;

  pid_t shell_pid_ = -1;
  After after_shell_ = After::nothing;

  std::optional<How> wanted_end_;  // by a request that is still to be answered
  Stage stage_ = Stage::none;
  How how_ = How::reboot;
  pid_t work_pid_ = -1;
  std::optional<Ms> stage_deadline_;
};

}  // namespace muster::init
