// Events and effects as JSON: one object a line in the journal. The format is versioned by
// journal.h.
#pragma once

#include "daemon/event.h"

namespace muster {

Json to_json(const Event& event);
Json to_json(const Effect& effect, Micros time);

// Errors name the field that is missing or wrong.
[[nodiscard]] Result<Event> event_from_json(const Json& json);
[[nodiscard]] Result<Effect> effect_from_json(const Json& json);

}  // namespace muster
