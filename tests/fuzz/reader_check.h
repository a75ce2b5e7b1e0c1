// What the fuzz targets of binary readers share.
#pragma once

#include <string>
#include <vector>

#include "handlers/bytes.h"
#include "tests/fuzz/fuzz_check.h"

namespace muster::fuzz {

// What ends up on a screen or in a log: one line, nothing that a terminal obeys.
inline void check_text(const std::string& text) {
  FUZZ_CHECK(!text.empty() && text.size() < 1000);
  FUZZ_CHECK(text.find('\n') == std::string::npos && printable(text) == text);
}

inline void put_le32(std::vector<std::byte>& bytes, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; ++i, value >>= 8) {
    bytes[at + i] = static_cast<std::byte>(value);
  }
}

}  // namespace muster::fuzz
