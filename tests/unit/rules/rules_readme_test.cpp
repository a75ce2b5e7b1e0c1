// The samples in rules/README.md: those called "rules" load without a word; in those called
// "rules-faults" each line is followed by what is said about it.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "rules/match.h"

namespace muster::rules {
namespace {

struct Sample {
  std::string kind;
  std::vector<std::string> lines;
};

std::vector<Sample> samples() {
  std::ifstream file(MUSTER_SOURCE_DIR "/rules/README.md");
  std::vector<Sample> found;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) {
        found.push_back({line.substr(3), {}});
      }
    } else if (inside) {
      found.back().lines.push_back(line);
    }
  }
  return found;
}

std::vector<std::string> complaints(const std::string& text) {
  const std::vector<Source> sources = {{"sample", text}};
  std::vector<Diagnostic> diagnostics;
  (void)RuleSet::load(sources, diagnostics);
  std::vector<std::string> texts;
  for (const Diagnostic& diagnostic : diagnostics) {
    texts.push_back(diagnostic.text);
  }
  return texts;
}

TEST(RulesReadme, SamplesLoad) {
  int count = 0;
  for (const Sample& sample : samples()) {
    if (sample.kind == "rules") {
      std::string text;
      for (const std::string& line : sample.lines) {
        text += line + "\n";
      }
      EXPECT_EQ(complaints(text), std::vector<std::string>()) << text;
      ++count;
    }
  }
  EXPECT_GE(count, 3);
}

TEST(RulesReadme, FaultsAreReportedAsItSays) {
  int count = 0;
  for (const Sample& sample : samples()) {
    if (sample.kind == "rules-faults") {
      for (std::size_t i = 0; i + 1 < sample.lines.size(); i += 2) {
        EXPECT_EQ(std::vector<std::string>{sample.lines[i + 1]}, [&] {
          std::vector<std::string> said = complaints(sample.lines[i]);
          for (std::string& one : said) {
            one = "# " + one;
          }
          return said;
        }()) << sample.lines[i];
        ++count;
      }
    }
  }
  EXPECT_GE(count, 5);
}

}  // namespace
}  // namespace muster::rules
