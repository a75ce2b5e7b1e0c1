// Speaks muster-init's protocol from a shell script: the test's stand-in for musterd.
//
//   init_client state                         prints the state
//   init_client launch GENERATION TOKEN PROGRAM [ARGUMENT ..]
//   init_client again  GENERATION TOKEN PROGRAM [ARGUMENT ..]
//   init_client shell | restart | end shell|reboot|poweroff
//   init_client raw TEXT                      sends TEXT as it is, with | for NUL
//   init_client await EVENT COMMAND ..        sends COMMAND, then waits for EVENT
//
// Each message that arrives is printed as one line: VERB text=.. generation=.. console=.. phase=..
// ..
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "initramfs/muster_init/init_protocol.h"

namespace {

using namespace muster::init;

std::string request_of(const std::vector<std::string>& words) {
  const std::string& verb = words[0];
  if (verb == "launch" || verb == "again") {
    LaunchRequest launch;
    launch.generation = std::stoull(words.at(1));
    launch.token = words.at(2);
    launch.cwd = "/tmp";
    launch.argv.assign(words.begin() + 3, words.end());
    launch.again = verb == "again";
    return format_request(launch);
  }
  if (verb == "shell") {
    return format_request(ShellRequest{});
  }
  if (verb == "restart") {
    return format_request(RestartRequest{});
  }
  if (verb == "end") {
    return "END" + std::string(1, '\0') + words.at(1) + std::string(1, '\0');
  }
  if (verb == "raw") {
    std::string text = words.at(1);
    std::replace(text.begin(), text.end(), '|', '\0');
    return text;
  }
  return format_request(StateRequest{});
}

std::string show(const Reply& reply) {
  const std::string verb = format_reply(reply).c_str();  // up to the first NUL
  const LaunchState& launch = reply.state.launch;
  return verb + " text=" + reply.text + " generation=" + std::to_string(reply.state.generation) +
         " console=" + std::string(name_of(reply.state.console)) +
         " phase=" + std::string(name_of(launch.phase)) + " token=" + launch.token + " (" +
         describe(launch) + ")";
}

bool print_next(int fd, Reply& reply) {
  std::string buffer(kMaxMessage, '\0');
  const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
  if (n <= 0) {
    std::puts("init_client: connection closed");
    return false;
  }
  const auto parsed = parse_reply(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
  if (!parsed) {
    std::printf("init_client: %s\n", parsed.error().text.c_str());
    return false;
  }
  reply = *parsed;
  std::printf("%s\n", show(reply).c_str());
  std::fflush(stdout);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  std::string event;
  if (words.size() > 2 && words[0] == "await") {
    event = words[1];
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.empty()) {
    return 2;
  }
  const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, kSocketPath, sizeof address.sun_path - 1);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    std::perror("init_client: connect");
    return 1;
  }
  const std::string request = request_of(words);
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    std::perror("init_client: send");
    return 1;
  }
  Reply reply;
  if (!print_next(fd, reply)) {
    return 1;
  }
  if (event == "ended" && reply.state.launch.phase == Phase::exited) {
    return 0;  // it was over before we asked
  }
  while (!event.empty() && (reply.kind != ReplyKind::event || reply.text != event)) {
    if (!print_next(fd, reply)) {
      return 1;
    }
  }
  return 0;
}
