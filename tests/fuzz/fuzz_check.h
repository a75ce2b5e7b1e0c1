// What holds for every text, asked in the fuzz targets: an assertion that is on in each build.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "daemon/text_diagnostic.h"

#define FUZZ_CHECK(condition)                                                             \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

namespace muster::fuzz {

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Few, short, and each one printable line.
inline void check_diagnostics(const std::vector<TextDiagnostic>& diagnostics, std::size_t max) {
  FUZZ_CHECK(diagnostics.size() <= max);
  for (const TextDiagnostic& diagnostic : diagnostics) {
    FUZZ_CHECK(diagnostic.text.size() < 1000);
    FUZZ_CHECK(std::all_of(diagnostic.text.begin(), diagnostic.text.end(),
                           [](char c) { return c >= 0x20 && c < 0x7f; }));
    FUZZ_CHECK(to_text(diagnostic).find('\n') == std::string::npos);
  }
}

}  // namespace muster::fuzz
