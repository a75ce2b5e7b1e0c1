// The board: each requirement, its state, what it waits for and since when. Pure; changes only when
// a fact does.
#pragma once

#include <string>

namespace muster {

class Engine;

// Lines of at most `width` columns, ready for a serial console: no control characters but the
// newline.
[[nodiscard]] std::string board_text(const Engine& engine, std::size_t width = 79);

}  // namespace muster
