#include "initramfs/muster_init/init_protocol.h"

#include <gmock/gmock.h>

namespace muster::init {
namespace {

using ::testing::HasSubstr;

std::string fields(std::string text) {
  for (char& c : text) {
    c = c == '|' ? '\0' : c;
  }
  return text;
}

LaunchRequest sample_launch() {
  return LaunchRequest{7,    "tok", "/tmp", {"/usr/bin/mondorestore", "--nuke", ""}, {"TERM=vt102"},
                       false};
}

class RequestRoundTrip : public ::testing::TestWithParam<Request> {};

TEST_P(RequestRoundTrip, ComesBackAsItWas) {
  const auto parsed = parse_request(format_request(GetParam()));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().text;
  EXPECT_EQ(*parsed, GetParam());
}

LaunchRequest sample_again() {
  LaunchRequest request = sample_launch();
  request.again = true;
  request.env.clear();
  return request;
}

INSTANTIATE_TEST_SUITE_P(All, RequestRoundTrip,
                         ::testing::Values(Request{StateRequest{}}, Request{ShellRequest{}},
                                           Request{RestartRequest{}}, Request{sample_launch()},
                                           Request{sample_again()},
                                           Request{EndRequest{EndKind::shell}},
                                           Request{EndRequest{EndKind::reboot}},
                                           Request{EndRequest{EndKind::poweroff}}));

struct BadRequest {
  std::string message;
  std::string error;
};

class MalformedRequest : public ::testing::TestWithParam<BadRequest> {};

TEST_P(MalformedRequest, IsRefusedWithTheReason) {
  const auto parsed = parse_request(fields(GetParam().message));
  ASSERT_FALSE(parsed.has_value());
  EXPECT_THAT(parsed.error().text, HasSubstr(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    All, MalformedRequest,
    ::testing::Values(
        BadRequest{"", "does not end with a NUL"}, BadRequest{"STATE", "does not end with a NUL"},
        BadRequest{"STATE|x|", "unknown request"}, BadRequest{"|", "unknown request"},
        BadRequest{"END|", "unknown request"}, BadRequest{"END|now|", "END takes"},
        BadRequest{"LAUNCH|1|t|/|", "too few fields"},
        BadRequest{"LAUNCH|1x|t|/|1|a|", "generation is not a number"},
        BadRequest{"LAUNCH|-1|t|/|1|a|", "generation is not a number"},
        BadRequest{"LAUNCH|1|t|/|0|a|", "wrong number of arguments"},
        BadRequest{"LAUNCH|1|t|/|2|a|", "wrong number of arguments"},
        BadRequest{"LAUNCH|1|t|/|99999999999999999999|a|", "wrong number of arguments"},
        BadRequest{"LAUNCH|1|t|/|18446744073709551615|a|", "wrong number of arguments"},
        BadRequest{"LAUNCH|1||/|1|a|", "empty token"},
        BadRequest{"LAUNCH|1|t|/|1||", "empty program name"},
        BadRequest{std::string(kMaxMessage, 'x') + "|", "bytes, at most"},
        BadRequest{std::string(kMaxFields + 1, '|'), "more than 4096 fields"}));

TEST(InitProtocol, AFieldIsCutAtANul) {
  LaunchRequest request = sample_launch();
  request.argv[1] = std::string("--nuke\0|LAUNCH", 14);
  const auto parsed = parse_request(format_request(Request{request}));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(std::get<LaunchRequest>(*parsed).argv[1], "--nuke");
}

class ReplyRoundTrip : public ::testing::TestWithParam<Reply> {};

TEST_P(ReplyRoundTrip, ComesBackAsItWas) {
  const auto parsed = parse_reply(format_reply(GetParam()));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().text;
  EXPECT_EQ(*parsed, GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    All, ReplyRoundTrip,
    ::testing::Values(
        Reply{},
        Reply{ReplyKind::launched,
              "",
              {3, ConsoleOwner::program, {Phase::running, "tok", 211, Ended::no, 0, std::nullopt}}},
        Reply{ReplyKind::event,
              "ended",
              {4, ConsoleOwner::free, {Phase::exited, "tok", 211, Ended::exit, 0, 16384}}},
        Reply{ReplyKind::already,
              "",
              {4, ConsoleOwner::shell, {Phase::exited, "tok", 211, Ended::signal, 11, -3}}},
        Reply{ReplyKind::stale, "", {18446744073709551615ULL, ConsoleOwner::free, {}}},
        Reply{ReplyKind::refused,
              "why",
              {1, ConsoleOwner::free, {Phase::failed, "t", 9, Ended::no, 2, std::nullopt}}},
        Reply{ReplyKind::ok, "", {}}));

class MalformedReply : public ::testing::TestWithParam<std::string> {};

TEST_P(MalformedReply, IsRefused) {
  EXPECT_FALSE(parse_reply(fields(GetParam())).has_value());
}

INSTANTIATE_TEST_SUITE_P(
    All, MalformedReply,
    ::testing::Values("", "STATE|", "STATE||1|free|idle||0|no|0|", "WHAT||1|free|idle||0|no|0||",
                      "STATE||x|free|idle||0|no|0||", "STATE||1|mine|idle||0|no|0||",
                      "STATE||1|free|dead||0|no|0||", "STATE||1|free|idle||pid|no|0||",
                      "STATE||1|free|idle||0|yes|0||", "STATE||1|free|idle||0|no|||",
                      "STATE||1|free|idle||0|no|0|3x|", "STATE||1|free|idle||0|no|0||more|"));

TEST(InitProtocol, DescribesForPeople) {
  EXPECT_EQ(describe({}), "not started");
  EXPECT_EQ(describe({Phase::running, "t", 211, Ended::no, 0, {}}), "running, pid 211");
  EXPECT_EQ(describe({Phase::exited, "t", 211, Ended::exit, 0, 256}),
            "exited with status 0, result 256");
  EXPECT_EQ(describe({Phase::exited, "t", 211, Ended::signal, 11, {}}),
            "killed by signal 11, no result seen");
  EXPECT_EQ(describe({Phase::failed, "t", 211, Ended::no, 2, {}}),
            "could not be executed: No such file or directory");
}

}  // namespace
}  // namespace muster::init
