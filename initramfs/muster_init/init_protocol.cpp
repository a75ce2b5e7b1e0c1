#include "initramfs/muster_init/init_protocol.h"

#include <array>
#include <charconv>
#include <utility>

namespace muster::init {
namespace {

template <typename Enum, std::size_t N>
using Names = std::array<std::pair<Enum, std::string_view>, N>;

constexpr Names<Phase, 4> kPhases{{{Phase::idle, "idle"},
                                   {Phase::running, "running"},
                                   {Phase::exited, "exited"},
                                   {Phase::failed, "failed"}}};
constexpr Names<Ended, 3> kEnded{
    {{Ended::no, "no"}, {Ended::exit, "exit"}, {Ended::signal, "signal"}}};
constexpr Names<ConsoleOwner, 3> kConsoles{{{ConsoleOwner::free, "free"},
                                            {ConsoleOwner::program, "program"},
                                            {ConsoleOwner::shell, "shell"}}};
constexpr Names<EndKind, 3> kEndKinds{
    {{EndKind::shell, "shell"}, {EndKind::reboot, "reboot"}, {EndKind::poweroff, "poweroff"}}};
constexpr Names<ReplyKind, 7> kReplyKinds{{{ReplyKind::state, "STATE"},
                                           {ReplyKind::launched, "LAUNCHED"},
                                           {ReplyKind::already, "ALREADY"},
                                           {ReplyKind::stale, "STALE"},
                                           {ReplyKind::refused, "REFUSED"},
                                           {ReplyKind::ok, "OK"},
                                           {ReplyKind::event, "EVENT"}}};

template <typename Enum, std::size_t N>
std::string_view to_name(const Names<Enum, N>& names, Enum value) {
  for (const auto& [candidate, name] : names) {
    if (candidate == value) {
      return name;
    }
  }
  return "?";
}

template <typename Enum, std::size_t N>
std::optional<Enum> from_name(const Names<Enum, N>& names, std::string_view text) {
  for (const auto& [candidate, name] : names) {
    if (name == text) {
      return candidate;
    }
  }
  return std::nullopt;
}

template <typename Number>
std::optional<Number> to_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

void add_field(std::string& message, std::string_view field) {
  message.append(field.substr(0, field.find('\0')));
  message.push_back('\0');
}

Result<std::vector<std::string_view>> split_fields(std::string_view message) {
  if (message.size() > kMaxMessage) {
    return fail(Errc::invalid, "message of " + std::to_string(message.size()) + " bytes, at most " +
                                   std::to_string(kMaxMessage) + " are taken");
  }
  if (message.empty() || message.back() != '\0') {
    return fail(Errc::invalid, "message does not end with a NUL byte");
  }
  std::vector<std::string_view> fields;
  while (!message.empty()) {
    if (fields.size() == kMaxFields) {
      return fail(Errc::invalid,
                  "message with more than " + std::to_string(kMaxFields) + " fields");
    }
    const auto end = message.find('\0');
    fields.push_back(message.substr(0, end));
    message.remove_prefix(end + 1);
  }
  return fields;
}

Result<Request> parse_launch(const std::vector<std::string_view>& fields) {
  constexpr std::size_t kArguments = 5;
  if (fields.size() < kArguments) {
    return fail(Errc::invalid, "launch request with too few fields");
  }
  LaunchRequest request;
  request.again = fields[0] == "AGAIN";
  const auto generation = to_number<std::uint64_t>(fields[1]);
  const auto count = to_number<std::size_t>(fields[4]);
  if (!generation) {
    return fail(Errc::invalid, "launch request: the generation is not a number");
  }
  if (!count || *count == 0 || *count > fields.size() - kArguments) {
    return fail(Errc::invalid, "launch request: wrong number of arguments");
  }
  if (fields[2].empty()) {
    return fail(Errc::invalid, "launch request: empty token");
  }
  if (fields[kArguments].empty()) {
    return fail(Errc::invalid, "launch request: empty program name");
  }
  request.generation = *generation;
  request.token = fields[2];
  request.cwd = fields[3];
  for (std::size_t i = kArguments; i < fields.size(); ++i) {
    (i < kArguments + *count ? request.argv : request.env).emplace_back(fields[i]);
  }
  return Request{std::move(request)};
}

}  // namespace

std::string_view name_of(Phase phase) {
  return to_name(kPhases, phase);
}
std::string_view name_of(ConsoleOwner console) {
  return to_name(kConsoles, console);
}
std::string_view name_of(EndKind kind) {
  return to_name(kEndKinds, kind);
}

std::string format_request(const Request& request) {
  std::string message;
  if (std::holds_alternative<StateRequest>(request)) {
    add_field(message, "STATE");
  } else if (std::holds_alternative<ShellRequest>(request)) {
    add_field(message, "SHELL");
  } else if (std::holds_alternative<RestartRequest>(request)) {
    add_field(message, "RESTART");
  } else if (const auto* end = std::get_if<EndRequest>(&request)) {
    add_field(message, "END");
    add_field(message, name_of(end->kind));
  } else if (const auto* launch = std::get_if<LaunchRequest>(&request)) {
    add_field(message, launch->again ? "AGAIN" : "LAUNCH");
    add_field(message, std::to_string(launch->generation));
    add_field(message, launch->token);
    add_field(message, launch->cwd);
    add_field(message, std::to_string(launch->argv.size()));
    for (const auto& argument : launch->argv) {
      add_field(message, argument);
    }
    for (const auto& variable : launch->env) {
      add_field(message, variable);
    }
  }
  return message;
}

Result<Request> parse_request(std::string_view message) {
  const auto fields = split_fields(message);
  if (!fields) {
    return tl::unexpected(fields.error());
  }
  const std::string_view verb = fields->front();
  if (verb == "LAUNCH" || verb == "AGAIN") {
    return parse_launch(*fields);
  }
  if (verb == "END" && fields->size() == 2) {
    if (const auto kind = from_name(kEndKinds, (*fields)[1])) {
      return Request{EndRequest{*kind}};
    }
    return fail(Errc::invalid, "END takes shell, reboot or poweroff");
  }
  if (fields->size() == 1) {
    if (verb == "STATE") {
      return Request{StateRequest{}};
    }
    if (verb == "SHELL") {
      return Request{ShellRequest{}};
    }
    if (verb == "RESTART") {
      return Request{RestartRequest{}};
    }
  }
  return fail(Errc::invalid, "unknown request");
}

std::string format_reply(const Reply& reply) {
  const LaunchState& launch = reply.state.launch;
  std::string message;
  add_field(message, to_name(kReplyKinds, reply.kind));
  add_field(message, reply.text);
  add_field(message, std::to_string(reply.state.generation));
  add_field(message, name_of(reply.state.console));
  add_field(message, name_of(launch.phase));
  add_field(message, launch.token);
  add_field(message, std::to_string(launch.pid));
  add_field(message, to_name(kEnded, launch.ended));
  add_field(message, std::to_string(launch.status));
  add_field(message, launch.result ? std::to_string(*launch.result) : "");
  return message;
}

Result<Reply> parse_reply(std::string_view message) {
  constexpr std::size_t kFields = 10;
  const auto fields = split_fields(message);
  if (!fields) {
    return tl::unexpected(fields.error());
  }
  if (fields->size() != kFields) {
    return fail(Errc::invalid, "reply of " + std::to_string(fields->size()) + " fields");
  }
  const auto& f = *fields;
  const auto kind = from_name(kReplyKinds, f[0]);
  const auto generation = to_number<std::uint64_t>(f[2]);
  const auto console = from_name(kConsoles, f[3]);
  const auto phase = from_name(kPhases, f[4]);
  const auto pid = to_number<std::int64_t>(f[6]);
  const auto ended = from_name(kEnded, f[7]);
  const auto status = to_number<int>(f[8]);
  const auto result = to_number<std::int64_t>(f[9]);
  if (!kind || !generation || !console || !phase || !pid || !ended || !status ||
      (!result && !f[9].empty())) {
    return fail(Errc::invalid, "malformed reply");
  }
  return Reply{*kind, std::string(f[1]),
               StateReport{*generation, *console,
                           LaunchState{*phase, std::string(f[5]), *pid, *ended, *status, result}}};
}

std::string describe(const LaunchState& launch) {
  switch (launch.phase) {
    case Phase::idle:
      return "not started";
    case Phase::running:
      return "running, pid " + std::to_string(launch.pid);
    case Phase::failed:
      return std::string("could not be executed: ") + std::strerror(launch.status);
    case Phase::exited:
      break;
  }
  std::string text = launch.ended == Ended::signal ? "killed by signal " : "exited with status ";
  text += std::to_string(launch.status);
  return text + (launch.result ? ", result " + std::to_string(*launch.result) : ", no result seen");
}

}  // namespace muster::init
