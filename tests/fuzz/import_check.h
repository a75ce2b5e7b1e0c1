// What holds for every log that can be imported.
#pragma once

#include <string>
#include <string_view>

#include "daemon/import/imported.h"
#include "daemon/root.h"
#include "tests/fuzz/fuzz_check.h"

namespace muster::fuzz {

// An error is one line that names the file; what was read is a log within its bounds; what is made
// of it can travel in a journal.
inline void check_import(const Result<imports::DeviceLog>& log,
                         const imports::StorageSeen& seen = {},
                         const imports::Answers& answers = {}) {
  if (!log) {
    FUZZ_CHECK(log.error().text.starts_with("f: ") && log.error().text.size() < 1000);
    FUZZ_CHECK(valid_text(log.error().text, false) == log.error().text);
    return;
  }
  FUZZ_CHECK(log->records.size() <= imports::kMaxRecords);
  for (const auto& record : log->records) {
    FUZZ_CHECK(record.line > 0 && !record.event.devpath.empty());
    FUZZ_CHECK(record.event.properties.size() <= imports::kMaxProperties + 10);
  }
  const auto imported = imports::make_hardware(*log, seen, answers, imports::shipped_rules());
  if (!imported) {
    FUZZ_CHECK(!imported.error().text.empty());
    return;
  }
  for (const auto& part : imported->hardware.parts) {
    FUZZ_CHECK(!part.life.empty() && part.life.front().event.action == Action::add);
    FUZZ_CHECK(!part.parent || *part.parent < imported->hardware.parts.size());
  }
  // Throws where a text is not valid UTF-8.
  FUZZ_CHECK(!imported->hardware.header.dump().empty());
  FUZZ_CHECK(!imports::summary(*imported).empty());
  for (const auto& [key, content] : imported->hardware.contents) {
    FUZZ_CHECK(!content.probe || !content.probe->result.dump().empty());
  }
}

}  // namespace muster::fuzz
