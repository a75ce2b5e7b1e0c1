// fnmatch(3) with flags 0 (or FNM_CASEFOLD), as udev calls it in the C locale: bytes, not
// characters; '*' and '?' also match '/' and a leading dot.
//
// Not fnmatch itself: glibc's recurses for each '*' (time exponential in their number on a hostile
// value), and other C libraries read brackets differently, while a recording must replay alike
// everywhere.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace muster::rules {

class Glob {
 public:
  explicit Glob(std::string_view pattern, bool ignore_case = false);

  // At most pattern length times text length steps; no allocation, no recursion.
  [[nodiscard]] bool matches(std::string_view text) const;

  // What the first byte of a text may be that it matches.
  [[nodiscard]] std::bitset<256> first_bytes() const;

 private:
  struct Element {
    enum class Kind : std::uint8_t { star, any, byte, set, nothing };
    Kind kind = Kind::nothing;
    unsigned char byte = 0;
    std::size_t set = 0;  // index into sets_
  };

  [[nodiscard]] bool fits(const Element& element, unsigned char c) const;

  std::vector<Element> elements_;
  std::vector<std::bitset<256>> sets_;
  bool ignore_case_;
};

}  // namespace muster::rules
