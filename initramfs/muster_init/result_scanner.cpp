#include "initramfs/muster_init/result_scanner.h"

namespace muster::init {
namespace {

constexpr std::string_view kText = "Execution run ended; result=";
constexpr int kMostDigits = 18;  // always fits std::int64_t

}  // namespace

void ResultScanner::feed(std::string_view output) {
  for (const char c : output) {
    take(c);
  }
}

void ResultScanner::take(char c) {
  if (digits_ >= 0) {
    if (c == '-' && digits_ == 0 && !negative_) {
      negative_ = true;
      return;
    }
    if (c >= '0' && c <= '9' && digits_ < kMostDigits) {
      value_ = value_ * 10 + (c - '0');
      ++digits_;
      return;
    }
    found_ = result();
    digits_ = -1;
  }
  // 'E' occurs only once in the text, so a mismatch can only be the start of a new match.
  matched_ = c == kText[matched_] ? matched_ + 1 : (c == kText[0] ? 1 : 0);
  if (matched_ == kText.size()) {
    matched_ = 0;
    digits_ = 0;
    negative_ = false;
    value_ = 0;
  }
}

std::optional<std::int64_t> ResultScanner::result() const {
  if (digits_ > 0) {
    return negative_ ? -value_ : value_;
  }
  return found_;
}

}  // namespace muster::init
