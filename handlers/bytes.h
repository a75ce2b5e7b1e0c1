// Foreign bytes: bounded little- and big-endian loads, the way a reader asks for more of a device,
// and text that is safe to put on a screen or into a log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/result.h"

namespace muster {

using Bytes = std::span<const std::byte>;

// Reads LENGTH bytes at OFFSET of a device. Gives exactly that many, or fewer where the device
// ends, or an Error. Readers ask for small pieces (a few KiB) but for a volume group's metadata
// text, which is bounded by its reader.
using Reader = std::function<Result<std::vector<std::byte>>(uint64_t offset, size_t length)>;

// An integer of N bytes at OFFSET; 0 where the bytes do not reach that far. A reader checks the
// length of what it was given once; that a forgotten check reads zeros and nothing else is the
// second line of defence.
template <size_t N>
[[nodiscard]] constexpr uint64_t load_le(Bytes b, size_t offset) {
  static_assert(N >= 1 && N <= 8);
  if (b.size() < N || offset > b.size() - N) {
    return 0;
  }
  uint64_t v = 0;
  for (size_t i = N; i-- > 0;) {
    v = v << 8 | static_cast<uint64_t>(b[offset + i]);
  }
  return v;
}

template <size_t N>
[[nodiscard]] constexpr uint64_t load_be(Bytes b, size_t offset) {
  static_assert(N >= 1 && N <= 8);
  if (b.size() < N || offset > b.size() - N) {
    return 0;
  }
  uint64_t v = 0;
  for (size_t i = 0; i < N; ++i) {
    v = v << 8 | static_cast<uint64_t>(b[offset + i]);
  }
  return v;
}

[[nodiscard]] constexpr uint16_t le16(Bytes b, size_t offset) {
  return static_cast<uint16_t>(load_le<2>(b, offset));
}
[[nodiscard]] constexpr uint32_t le32(Bytes b, size_t offset) {
  return static_cast<uint32_t>(load_le<4>(b, offset));
}
[[nodiscard]] constexpr uint64_t le64(Bytes b, size_t offset) {
  return load_le<8>(b, offset);
}

// The bytes as text, nothing interpreted.
[[nodiscard]] inline std::string_view as_text(Bytes b) {
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}
[[nodiscard]] inline Bytes as_bytes_of(std::string_view s) {
  return std::as_bytes(std::span<const char>(s.data(), s.size()));
}

// Valid UTF-8 without control characters is left as it is; in any other text each byte that is not
// printable ASCII becomes \xNN, as udev does.
[[nodiscard]] std::string printable(std::string_view foreign);

// printable() in double quotes, cut after 64 bytes: for errors.
[[nodiscard]] std::string quoted(std::string_view foreign);

}  // namespace muster
