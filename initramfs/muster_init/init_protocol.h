// What muster-init and musterd say to each other.
//
// muster-init listens on /run/muster/init.sock, a SOCK_SEQPACKET socket: one message is one packet,
// and only root is let in (SO_PEERCRED). A message is a sequence of fields, each ended by a NUL
// byte; the first field is the verb.
//
//   requests                                                            answered with
//   STATE                                                               STATE
//   LAUNCH  generation token cwd N argv1 .. argvN env1 ..               LAUNCHED, ALREADY, STALE or
//   REFUSED AGAIN   generation token cwd N argv1 .. argvN env1 ..               LAUNCHED, STALE or
//   REFUSED SHELL                                                               OK or REFUSED END
//   shell|reboot|poweroff                                       OK or REFUSED RESTART OK (a new
//   musterd is started at once)
//
// Every answer, and every EVENT that is sent without having been asked for, has the same fields:
//
//   verb text generation console phase token pid ended status result
//
// so that whoever reads one knows the whole state. `text` is the reason of REFUSED and the name of
// an EVENT: launched, ended, launch-failed, shell-started, shell-ended, ending.
//
// LAUNCH starts the program at most once per boot: any further LAUNCH, whatever its token, is
// answered ALREADY with the state of the first. Only AGAIN (the operator asked) starts it anew, and
// only when it has ended. A program that could not be executed at all never ran: its phase is
// `failed` and LAUNCH may be repeated.
//
// generation is the number that muster-init gave the present musterd (environment
// MUSTER_GENERATION). A request that carries another one comes from a musterd that is being
// replaced: STALE, nothing is done.
//
// END is refused while the program runs: it comes from somebody who takes it for ended.
//
// When muster-init executes itself again after a crash every connection is closed, but the
// listening socket stays: whoever connects meanwhile is answered as soon as it is back. A closed
// connection says nothing about the program; STATE does. A muster-init that has failed for good
// takes the socket away.
//
// An empty environment in LAUNCH means muster-init's own (PATH, HOME, TERM). The program gets a new
// session with a pseudo terminal as its controlling terminal; muster-init copies between that and
// the console, and picks up "Execution run ended; result=N" on the way: `result` is N, or empty if
// no such line was seen.
//
// While a program or a shell owns the console (`console` field), musterd neither reads from nor
// draws on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/result.h"

namespace muster::init {

inline constexpr const char* kSocketPath = "/run/muster/init.sock";
inline constexpr const char* kGenerationVariable = "MUSTER_GENERATION";
inline constexpr std::size_t kMaxMessage = std::size_t{128} * 1024;
inline constexpr std::size_t kMaxFields = 4096;

enum class Phase { idle, running, exited, failed };
enum class Ended { no, exit, signal };
enum class ConsoleOwner { free, program, shell };
enum class EndKind { shell, reboot, poweroff };

// The one program of this boot. `status` is the exit code, the signal, or (phase failed) the errno
// of the exec.
struct LaunchState {
  Phase phase = Phase::idle;
  std::string token;
  std::int64_t pid = 0;
  Ended ended = Ended::no;
  int status = 0;
  std::optional<std::int64_t> result;

  bool operator==(const LaunchState&) const = default;
};

struct StateReport {
  std::uint64_t generation = 0;
  ConsoleOwner console = ConsoleOwner::free;
  LaunchState launch;

  bool operator==(const StateReport&) const = default;
};

struct StateRequest {
  bool operator==(const StateRequest&) const = default;
};

struct LaunchRequest {
  std::uint64_t generation = 0;
  std::string token;
  std::string cwd;
  std::vector<std::string> argv;  // never empty; argv[0] is the path of the program
  std::vector<std::string> env;   // NAME=value; empty: muster-init's own
  bool again = false;

  bool operator==(const LaunchRequest&) const = default;
};

struct ShellRequest {
  bool operator==(const ShellRequest&) const = default;
};

struct EndRequest {
  EndKind kind = EndKind::reboot;

  bool operator==(const EndRequest&) const = default;
};

struct RestartRequest {
  bool operator==(const RestartRequest&) const = default;
};

using Request = std::variant<StateRequest, LaunchRequest, ShellRequest, EndRequest, RestartRequest>;

enum class ReplyKind { state, launched, already, stale, refused, ok, event };

struct Reply {
  ReplyKind kind = ReplyKind::state;
  std::string text;
  StateReport state;

  bool operator==(const Reply&) const = default;
};

// A NUL inside a field cannot be sent: formatting cuts the field there.
[[nodiscard]] std::string format_request(const Request& request);
[[nodiscard]] Result<Request> parse_request(std::string_view message);
[[nodiscard]] std::string format_reply(const Reply& reply);
[[nodiscard]] Result<Reply> parse_reply(std::string_view message);

[[nodiscard]] std::string_view name_of(Phase phase);
[[nodiscard]] std::string_view name_of(ConsoleOwner console);
[[nodiscard]] std::string_view name_of(EndKind kind);

// One line for people: "running, pid 211", "exited with status 0, result 3".
[[nodiscard]] std::string describe(const LaunchState& launch);

}  // namespace muster::init
