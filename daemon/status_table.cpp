#include "daemon/status_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "daemon/root.h"

namespace muster {
namespace {

struct Row {
  std::string state;
  std::string what;
  std::string device;
  std::string why;
};

std::string text(const Json& object, const char* key) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && it != object.end() && it->is_string()
             ? valid_text(it->get<std::string>(), false)
             : std::string();
}

std::int64_t number(const Json& object, const char* key) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && it != object.end() && it->is_number_integer()
             ? it->get<std::int64_t>()
             : 0;
}

const Json& list(const Json& object, const char* key) {
  static const Json kNone = Json::array();
  const auto it = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && it != object.end() && it->is_array() ? *it : kNone;
}

std::size_t columns(const std::string& cell) {
  return static_cast<std::size_t>(std::count_if(cell.begin(), cell.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80;
  }));
}

std::string padded(const std::string& cell, std::size_t width) {
  return cell + std::string(width - std::min(width, columns(cell)), ' ');
}

Row row_of(const Json& thing, std::int64_t now) {
  Row row{text(thing, "state"), text(thing, "what"), text(thing, "device"), text(thing, "why")};
  if (row.state != "ready") {
    const auto since = number(thing, "since_us");
    const std::string waited = fmt::format(
        "for {:.1f} s", static_cast<double>(std::max<std::int64_t>(now - since, 0)) / 1e6);
    row.why = row.why.empty() ? waited : fmt::format("{} ({})", row.why, waited);
  }
  return row;
}

std::string table(const std::vector<Row>& rows) {
  std::size_t state = 0;
  std::size_t what = 0;
  std::size_t device = 0;
  for (const auto& row : rows) {
    state = std::max(state, columns(row.state));
    what = std::max(what, columns(row.what));
    device = std::max(device, columns(row.device));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line = fmt::format("  {}  {}  {}  {}", padded(row.state, state),
                                   padded(row.what, what), padded(row.device, device), row.why);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string section(const char* title, const Json& lines) {
  std::string out;
  for (const auto& line : lines) {
    if (line.is_string()) {
      out += fmt::format("  {}\n", valid_text(line.get<std::string>(), false));
    }
  }
  return out.empty() ? out : fmt::format("\n{}:\n{}", title, out);
}

}  // namespace

std::string status_table(const Json& status) {
  const auto now = number(status, "now_us");
  std::vector<Row> required;
  std::vector<Row> others;
  for (const auto& thing : list(status, "things")) {
    const bool requirement = thing.is_object() && thing.contains("requirement") &&
                             thing.at("requirement").is_boolean() &&
                             thing.at("requirement").get<bool>();
    (requirement ? required : others).push_back(row_of(thing, now));
  }
  std::string out =
      fmt::format("mode {}, {}, plan from the {}, {} devices\n", text(status, "mode"),
                  text(status, "phase"), text(status, "plan_from"), number(status, "devices"));
  if (!required.empty()) {
    out += "\nRequired:\n" + table(required);
  }
  if (!others.empty()) {
    out += "\nElse:\n" + table(others);
  }
  std::string late;
  for (const auto& effect : list(status, "late")) {
    late += fmt::format("  {} {} of {}\n", text(effect, "handler"), text(effect, "verb"),
                        text(effect, "subject"));
  }
  if (!late.empty()) {
    out += "\nLate (its thread was replaced, everything else goes on):\n" + late;
  }
  out += section("Problems", list(status, "diagnostics"));
  out += section("Last reports", list(status, "reports"));
  return out;
}

}  // namespace muster
