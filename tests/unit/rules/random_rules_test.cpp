// Whatever bytes a rules file holds, loading and matching end, and what is said about them can be
// printed. The fuzzer (tests/fuzz/rules_fuzz.cpp) goes further; this runs everywhere, always with
// the same bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "rules/match.h"
#include "tests/unit/rules/fake_device.h"

namespace muster::rules {
namespace {

bool is_one_clean_line(const std::string& text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    return (c >= '\0' && c < ' ') || c == '\x7f';
  });
}

void check(const std::string& text, const DeviceView& device) {
  const std::vector<Source> sources = {{"f.rules", text}};
  std::vector<Diagnostic> diagnostics;
  const RuleSet rules = RuleSet::load(sources, diagnostics);
  const int lines = 1 + static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) {
                      return c == '\n' || c == '\r';
                    }));
  for (const Diagnostic& diagnostic : diagnostics) {
    ASSERT_TRUE(is_one_clean_line(diagnostic.text)) << diagnostic.text;
    ASSERT_GE(diagnostic.line, 1);
    ASSERT_LE(diagnostic.line, lines);
  }
  const Outcome outcome = rules.match(device);
  ASSERT_EQ(outcome, rules.match(device));
  for (const std::string& handler : outcome.handlers) {
    ASSERT_TRUE(std::binary_search(rules.handlers().begin(), rules.handlers().end(), handler));
  }
  for (const auto& [key, value] : outcome.properties) {
    ASSERT_LE(value.size(), 511U) << key;
  }
}

class RandomRules : public ::testing::Test {
 protected:
  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

  std::mt19937 random_{20240229};
  FakeDevice parent_{{.kernel = "0:0:0:0", .subsystem = "scsi", .attrs = {{"model", "x"}}}};
  FakeDevice device_{{.kernel = "sda1",
                      .subsystem = "block",
                      .devpath = "/devices/a/sda1",
                      .env = {{"MAJOR", "8"}, {"A", "1"}},
                      .attrs = {{"size", "8\n"}},
                      .tags = {"t"}},
                     &parent_};
};

TEST_F(RandomRules, ArbitraryBytes) {
  for (int i = 0; i < 2000; ++i) {
    std::string text(below(300), '\0');
    std::generate(text.begin(), text.end(), [&] { return static_cast<char>(below(256)); });
    check(text, device_);
  }
}

// Made of the language's own words, mostly in their places, so that it gets past the first key.
TEST_F(RandomRules, ArbitraryWords) {
  const std::vector<std::string> conditions = {
      "KERNEL", "SUBSYSTEM", "ENV{A}",  "ATTR{size}", "ATTRS{model}", "TAG",
      "TAGS",   "DRIVERS",   "KERNELS", "ACTION",     "SUBSYSTEMS",   "DRIVER"};
  const std::vector<std::string> assignments = {
      "ENV{A}=", "ENV{.B}=",  "ENV{A}+=",  "TAG+=", "TAG=",
      "TAG-=",   "HANDLER+=", "HANDLER+=", "GOTO=", "LABEL="};
  const std::vector<std::string> values = {
      "\"sd*\"",    "\"block\"",     "\"\"",      "\"$env{A} $attr{model}\"",
      "\"%k%n%M\"", "\"[!a-\"",      "\"t\"",     "\"a|b|\"",
      "\"md\"",     "e\"\\x41\\n\"", "i\"SDA1\"", "\"*\""};
  const std::vector<std::string> noise = {
      "RUN", "FOO", "\"", "\\\n", "\r\n", "#", " ", "\xff", std::string(1, '\0'),
      "{",   "}",   "=",  "i",    "$"};
  const auto pick = [&](const std::vector<std::string>& from) { return from[below(from.size())]; };
  int useful = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string text;
    for (std::size_t n = below(12); n > 0; --n) {
      text += below(2) == 0 ? pick(conditions) + (below(3) == 0 ? "!=" : "==") : pick(assignments);
      text += pick(values) + (below(3) == 0 ? "\n" : ", ");
      if (below(10) == 0) {
        text += pick(noise);
      }
    }
    check(text, device_);
    const std::vector<Source> sources = {{"f.rules", text}};
    std::vector<Diagnostic> diagnostics;
    const RuleSet rules = RuleSet::load(sources, diagnostics);
    useful += rules.match(device_) != RuleSet().match(device_) ? 1 : 0;
  }
  EXPECT_GT(useful, 500);  // or it only ever tested the first error
}

TEST_F(RandomRules, ManyOfEverything) {
  std::string gotos;
  std::string continued;
  std::string brackets = "KERNEL==\"";
  for (int i = 0; i < 20000; ++i) {
    gotos += "GOTO=\"l" + std::to_string(i % 7) + "\", HANDLER+=\"h\"\nLABEL=\"l" +
             std::to_string(i % 5) + "\"\n";
    continued += "\\\n";
  }
  brackets += std::string(16000, '[') + "\", HANDLER+=\"h\"\n";
  check(gotos, device_);
  check(continued + "KERNEL=\"x\"\n", device_);
  check(brackets, device_);
}

}  // namespace
}  // namespace muster::rules
