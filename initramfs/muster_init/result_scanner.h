// Finds "Execution run ended; result=N" in the output of mondorestore as it passes. Pure, and
// bounded whatever comes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace muster::init {

class ResultScanner {
 public:
  void feed(std::string_view output);
  // The value of the last such line; a number that is cut off by the end of the output counts.
  [[nodiscard]] std::optional<std::int64_t> result() const;

 private:
  void take(char c);

  std::size_t matched_ = 0;  // characters of the text seen so far
  bool negative_ = false;
  int digits_ = -1;  // -1: not within a number
  std::int64_t value_ = 0;
  std::optional<std::int64_t> found_;
};

}  // namespace muster::init
