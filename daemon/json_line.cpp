#include "daemon/json_line.h"

#include <fmt/format.h>

namespace muster {
namespace {

bool nested_too_deeply(std::string_view text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxNesting) {
        return true;
      }
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

}  // namespace

std::string to_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Json> object_from_line(std::string_view line) {
  if (nested_too_deeply(line)) {
    return fail(Errc::invalid, fmt::format("nested more than {} deep", kMaxNesting));
  }
  auto json = Json::parse(line, nullptr, false);
  if (json.is_discarded()) {
    return fail(Errc::invalid, "not JSON");
  }
  if (!json.is_object()) {
    return fail(Errc::invalid, "not a JSON object");
  }
  return json;
}

}  // namespace muster
