// What arrives on muster-init's socket: any bytes. What is taken is written again as it was, and a
// launch always has a program. The same bytes as a program's output never give a result that does
// not stand in them.
#include <string>

#include "initramfs/muster_init/init_protocol.h"
#include "initramfs/muster_init/result_scanner.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace muster::init;
  const std::string_view text = muster::fuzz::as_text(data, size);
  if (const auto request = parse_request(text)) {
    if (const auto* launch = std::get_if<LaunchRequest>(&*request)) {
      FUZZ_CHECK(!launch->argv.empty() && !launch->argv.front().empty() && !launch->token.empty());
      FUZZ_CHECK(launch->argv.size() + launch->env.size() <= kMaxFields);
    }
    const auto again = parse_request(format_request(*request));
    FUZZ_CHECK(again && *again == *request);
  }
  if (const auto reply = parse_reply(text)) {
    const auto again = parse_reply(format_reply(*reply));
    FUZZ_CHECK(again && *again == *reply);
    (void)describe(reply->state.launch);
  }
  ResultScanner whole;
  whole.feed(text);
  ResultScanner halves;
  halves.feed(text.substr(0, size / 2));
  halves.feed(text.substr(size / 2));
  FUZZ_CHECK(whole.result() == halves.result());
  FUZZ_CHECK(!whole.result() || text.find("Execution run ended; result=") != text.npos);
  return 0;
}
