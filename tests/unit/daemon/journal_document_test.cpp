// The example in daemon/JOURNAL.md is a journal, and plays.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "daemon/engine.h"
#include "daemon/event_json.h"
#include "daemon/json_line.h"
#include "handlers/registry.h"
#include "tests/support/model_machine.h"

namespace muster {
namespace {

TEST(JournalDocument, ItsExamplePlays) {
  std::ifstream file(MUSTER_SOURCE_DIR "/daemon/JOURNAL.md");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const std::string open = "```jsonl\n";
  const auto begin = text.find(open);
  ASSERT_NE(begin, std::string::npos);
  const auto end = text.find("```", begin + open.size());
  std::istringstream lines(text.substr(begin + open.size(), end - begin - open.size()));
  std::unique_ptr<Engine> engine;
  std::string expected;
  std::string given;
  std::size_t events = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto json = object_from_line(line);
    ASSERT_TRUE(json) << line;
    EXPECT_EQ(to_line(*json), line) << "as the daemon would write it";
    if (json->contains("journal")) {
      EXPECT_EQ(json->at("journal"), 1);
      std::vector<rules::Source> sources;
      for (const auto& source : json->at("rules")) {
        sources.push_back({source.at("name"), source.at("text")});
      }
      std::vector<rules::Diagnostic> diagnostics;
      engine =
          std::make_unique<Engine>(rules::RuleSet::load(sources, diagnostics), make_policies());
      EXPECT_TRUE(diagnostics.empty());
      if (json->contains("snapshot")) {
        const auto restored = engine->restore(json->at("snapshot"));
        ASSERT_TRUE(restored) << restored.error().text;
      }
    } else if (json->contains("event")) {
      ASSERT_NE(engine, nullptr);
      const auto event = event_from_json(*json);
      ASSERT_TRUE(event) << event.error().text;
      EXPECT_EQ(to_line(to_json(*event)), line);
      for (const auto& effect : engine->on(*event)) {
        given += to_line(to_json(effect, event->time)) + "\n";
      }
      ++events;
    } else {
      ASSERT_TRUE(effect_from_json(*json)) << line;
      expected += line + "\n";
    }
  }
  EXPECT_GE(events, 5U);
  EXPECT_EQ(given, expected);
}

}  // namespace
}  // namespace muster
