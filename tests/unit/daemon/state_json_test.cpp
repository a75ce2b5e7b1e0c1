#include "daemon/state_json.h"

#include <gmock/gmock.h>

#include <deque>
#include <limits>

namespace muster::state {
namespace {

enum class Colour { red, green };

struct Part {
  int number = -1;
  std::optional<std::string> label;
  MUSTER_STATE(number, label)
};

struct Whole {
  bool on = true;
  std::uint8_t small = 0;
  std::int64_t large = 0;
  Colour colour = Colour::red;
  std::map<std::string, Part> parts;
  std::set<std::string> words;
  std::deque<std::pair<std::string, int>> pairs;
  std::vector<bool> bits;
  std::shared_ptr<const std::string> text;
  Json free;
  MUSTER_STATE(on, small, large, colour, parts, words, pairs, bits, text, free)
};

TEST(StateJson, WhatHasItsDefaultIsLeftOut) {
  EXPECT_EQ(save(Whole{}), Json::object());
  Whole whole;
  whole.on = false;
  whole.colour = Colour::green;
  whole.parts["a"];
  EXPECT_EQ(save(whole), Json::parse(R"({"on": false, "colour": "green", "parts": {"a": {}}})"));
}

TEST(StateJson, EverythingComesBack) {
  Whole whole;
  whole.small = 255;
  whole.large = std::numeric_limits<std::int64_t>::min();
  whole.colour = Colour::green;
  whole.parts = {{"a", {.number = 0, .label = ""}}, {"b", {}}};
  whole.words = {"x", "y"};
  whole.pairs = {{"p", 1}, {"q", 2}};
  whole.bits = {true, false, true};
  whole.text = std::make_shared<const std::string>("long");
  whole.free = {{"any", {1, 2}}};
  const Json json = save(whole);
  Whole again;
  ASSERT_TRUE(restore(json, again, "whole"));
  EXPECT_EQ(save(again), json);
  EXPECT_EQ(again.parts.at("a").label, "");
  EXPECT_EQ(again.bits, whole.bits);
  EXPECT_EQ(*again.text, "long");
}

TEST(StateJson, WhatIsWrongIsNamedByItsPlace) {
  const auto error = [](const char* text) {
    Whole whole;
    const auto result = restore(Json::parse(text), whole, "whole");
    return result ? std::string("accepted") : result.error().text;
  };
  EXPECT_EQ(error("{}"), "accepted");
  EXPECT_EQ(error("[]"), "whole: must be an object");
  EXPECT_EQ(error(R"({"on": 1})"), "whole.on: must be true or false");
  EXPECT_EQ(error(R"({"small": 256})"), "whole.small: must be a number in range");
  EXPECT_EQ(error(R"({"small": -1})"), "whole.small: must be a number in range");
  EXPECT_EQ(error(R"({"large": 9223372036854775808})"), "whole.large: must be a number in range");
  EXPECT_EQ(error(R"({"large": 1.5})"), "whole.large: must be a number in range");
  EXPECT_EQ(error(R"({"colour": 1})"), "whole.colour: must be a word");
  EXPECT_EQ(error(R"({"colour": "blue"})"), "whole.colour: not a word that is known");
  EXPECT_EQ(error(R"({"colour": ""})"), "whole.colour: not a word that is known");
  EXPECT_EQ(error(R"({"parts": {"a": {"number": "x"}}})"),
            "whole.parts.a.number: must be a number in range");
  EXPECT_EQ(error(R"({"parts": {"a": {"numbers": 1}}})"), "whole.parts.a.numbers: unknown");
  EXPECT_EQ(error(R"({"pairs": [["p", 1], ["q"]]})"), "whole.pairs.1: must be a pair");
  EXPECT_EQ(error(R"({"words": {"x": 1}})"), "whole.words: must be a list");
  EXPECT_EQ(error(R"({"text": 1})"), "whole.text: must be a text");
}

TEST(SharedTexts, AreWrittenOnce) {
  const std::string longer(100, 'x');
  const Json state = {{"a", longer}, {"b", {longer, "short", "short"}}, {"c", "$0"}, {"d", "$"}};
  const Json shared = share_texts(state);
  EXPECT_EQ(
      shared,
      Json({{"texts", {longer, "$0", "$"}},
            {"state", {{"a", "$0"}, {"b", {"$0", "short", "short"}}, {"c", "$1"}, {"d", "$2"}}}}));
  EXPECT_EQ(unshare_texts(shared).value(), state);
}

TEST(SharedTexts, DoNotGrowWithoutBound) {
  Json bomb = {{"texts", {std::string(1 << 20, 'x')}}, {"state", Json::array()}};
  for (int i = 0; i < 1000; ++i) {
    bomb["state"].push_back("$0");
  }
  EXPECT_EQ(unshare_texts(bomb).error().text, "too large");
}

}  // namespace
}  // namespace muster::state
