// What a reader of a text has to say about it: one line each, with the place.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace muster {

struct TextDiagnostic {
  std::string file;  // as the reader was told; not opened, not resolved
  int line = 0;      // from 1; 0: the text as a whole
  std::string text;  // one line, foreign strings already through quote()
  int column = 0;    // from 1; 0: not known

  bool operator==(const TextDiagnostic&) const = default;
};

// "FILE:LINE: text", "FILE:LINE:COLUMN: text" or, about the text as a whole, "FILE: text". One
// printable line, always.
[[nodiscard]] std::string to_text(const TextDiagnostic& diagnostic);

// Collects the diagnostics of one text. The number is bounded: a hostile file of ten million broken
// lines must not become ten million messages; the last one kept says that others follow.
class Diagnostics {
 public:
  static constexpr std::size_t kMax = 100;

  explicit Diagnostics(std::string file) : file_(std::move(file)) {}

  void add(int line, std::string text, int column = 0);
  [[nodiscard]] const std::vector<TextDiagnostic>& list() const { return list_; }
  [[nodiscard]] std::vector<TextDiagnostic> take() { return std::move(list_); }

 private:
  std::string file_;
  std::vector<TextDiagnostic> list_;
};

}  // namespace muster
