#include "initramfs/muster_init/result_scanner.h"

#include <gtest/gtest.h>

#include <string>

namespace muster::init {
namespace {

struct Case {
  const char* output;
  std::optional<std::int64_t> result;
};

class Output : public ::testing::TestWithParam<Case> {};

TEST_P(Output, GivesTheSameResultHoweverItIsCut) {
  const std::string_view output = GetParam().output;
  ResultScanner whole;
  whole.feed(output);
  EXPECT_EQ(whole.result(), GetParam().result);
  ResultScanner single;
  for (const char c : output) {
    single.feed(std::string_view(&c, 1));
  }
  EXPECT_EQ(single.result(), GetParam().result);
}

INSTANTIATE_TEST_SUITE_P(
    All, Output,
    ::testing::Values(Case{"", std::nullopt}, Case{"Execution run ended; result=0\n", 0},
                      Case{"\x1b[2JExecution run ended; result=16384\r\n", 16384},
                      Case{"Execution run ended; result=-1\n", -1},
                      Case{"Execution run ended; result=256", 256},
                      Case{"Execution run ended; result=\n", std::nullopt},
                      Case{"Execution run ended; result=-\n", std::nullopt},
                      Case{"Execution run ended; result=--5\n", std::nullopt},
                      Case{"Execution run ended result=3\n", std::nullopt},
                      Case{"ExExecution run ended; result=3\n", 3},
                      Case{"Execution run Execution run ended; result=4\n", 4},
                      Case{"Execution run ended; result=Execution run ended; result=5\n", 5},
                      Case{"Execution run ended; result=1\nExecution run ended; result=2\n", 2},
                      Case{"Execution run ended; result=1\nExecution run ended; result=x\n", 1},
                      Case{"Execution run ended; result=123456789012345678\n",
                           123456789012345678}));

TEST(ResultScanner, AnEndlessNumberIsCutOff) {
  ResultScanner scanner;
  scanner.feed("Execution run ended; result=");
  scanner.feed(std::string(100'000, '9'));
  EXPECT_EQ(scanner.result(), 999'999'999'999'999'999);
}

}  // namespace
}  // namespace muster::init
