// Text for a picture: safe in XML, of known width, short enough.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/event.h"

namespace muster::chart {

// At most `max` characters; what was cut is told by "…". Never cuts within a character.
[[nodiscard]] std::string clip(std::string_view text, std::size_t max);

// For XML text and attribute values, from any bytes: & < > " ' are escaped; what XML does not
// allow, what is not UTF-8, and what would reorder or hide other text is shown as \xNN or \u{NNNN}.
// A newline stays one.
[[nodiscard]] std::string xml(std::string_view text);

// How wide a line is about to be, in a usual sans-serif face, in ems: an upper estimate.
[[nodiscard]] double width_em(std::string_view text);
// The longest beginning that fits, with "…" if something was cut; empty if not even that fits.
[[nodiscard]] std::string fitted(std::string_view text, double ems);

// "0.41 s", "12.3 s", "3 min 20 s": three figures, as much as a reader needs.
[[nodiscard]] std::string seconds_text(Micros duration);
// "12.345678 s": all there is.
[[nodiscard]] std::string exact_text(Micros time);
[[nodiscard]] std::string size_text(std::uint64_t bytes);

}  // namespace muster::chart
