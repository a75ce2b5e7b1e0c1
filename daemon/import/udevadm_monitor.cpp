#include <fmt/format.h>

#include "daemon/import/device_log.h"
#include "daemon/quote.h"
#include "daemon/root.h"

namespace muster::imports {
namespace {

// "KERNEL[12.345678] add      /devices/… (block)"; old udevadm says UEVENT for KERNEL.
std::optional<LogRecord> header_of(std::string_view line) {
  LogRecord record;
  record.event.origin = DeviceEvent::Origin::kernel;
  if (line.starts_with("UDEV")) {
    record.event.origin = DeviceEvent::Origin::udev;
    line.remove_prefix(4);
  } else if (line.starts_with("KERNEL") || line.starts_with("UEVENT")) {
    line.remove_prefix(6);
  } else {
    return std::nullopt;
  }
  const auto skip_blanks = [&] {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  };
  skip_blanks();
  const auto dot = line.find('.');
  const auto end = line.find(']');
  if (!line.starts_with('[') || end == std::string_view::npos || dot == std::string_view::npos ||
      dot > end) {
    return std::nullopt;
  }
  const auto seconds = whole_number(line.substr(1, dot - 1));
  auto fraction = line.substr(dot + 1, end - dot - 1);
  const auto micros = whole_number(fraction);
  // Six digits since udev 175; before, the fraction's leading zeros were lost.
  if (!seconds || !micros || fraction.size() > 6 || *seconds > 100'000'000'000) {
    return std::nullopt;
  }
  record.time = static_cast<Micros>(*seconds * 1'000'000 + *micros);
  line.remove_prefix(end + 1);
  skip_blanks();
  const auto action_end = std::min(line.find(' '), line.size());
  record.event.action = action_from(line.substr(0, action_end));
  line.remove_prefix(action_end);
  skip_blanks();
  const auto subsystem = line.rfind(" (");
  if (subsystem == std::string_view::npos || !line.ends_with(')')) {
    return std::nullopt;
  }
  auto devpath = line.substr(0, subsystem);
  devpath = devpath.substr(0, devpath.find_last_not_of(' ') + 1);
  if (!is_devpath(devpath)) {
    return std::nullopt;
  }
  record.event.devpath = valid_text(devpath, false);
  record.event.subsystem =
      valid_text(line.substr(subsystem + 2, line.size() - subsystem - 3), false);
  return record;
}

bool is_preamble(std::string_view line) {
  return line.starts_with("monitor will print") || line.starts_with("UDEV - ") ||
         line.starts_with("KERNEL - ") || line.starts_with("UEVENT - ") ||
         line.starts_with("calling: ") || line == "^C";
}

// What the properties contradict, or empty.
std::string check(const LogRecord& record) {
  const auto& properties = record.event.properties;
  for (const auto& [key, value] : {std::pair{"DEVPATH", &record.event.devpath},
                                   std::pair{"SUBSYSTEM", &record.event.subsystem}}) {
    if (const auto it = properties.find(key); it != properties.end() && it->second != *value) {
      return fmt::format("the event is of {}, but its {} says {}", quote(*value), key,
                         quote(it->second));
    }
  }
  return {};
}

}  // namespace

Result<DeviceLog> read_udevadm_monitor(std::string_view name, std::string_view text) {
  DeviceLog log;
  log.format = Format::udevadm_monitor;
  LogLines lines(name, text);
  bool open = false;  // within an event
  bool cut_off = false;
  const auto finish = [&]() -> Result<void> {
    if (!open) {
      return {};
    }
    open = false;
    LogRecord& record = log.records.back();
    if (record.event.properties.empty()) {
      return fail_at(name, record.line,
                     "an event without properties: make the log with `udevadm monitor --kernel "
                     "--udev --property`");
    }
    if (const auto why = check(record); !why.empty()) {
      return fail_at(name, record.line, why);
    }
    if (const auto it = record.event.properties.find("SEQNUM");
        it != record.event.properties.end()) {
      record.event.seqnum = whole_number(it->second).value_or(0);
    }
    return {};
  };
  for (;;) {
    auto next = lines.next();
    if (!next) {
      return tl::unexpected(next.error());
    }
    if (!*next) {
      break;
    }
    const TextLine& line = **next;
    const auto number = static_cast<std::size_t>(line.number);
    cut_off = !line.terminated;
    if (line.text.empty() || is_preamble(line.text)) {
      if (auto finished = finish(); !finished) {
        return tl::unexpected(finished.error());
      }
      cut_off = false;
      continue;
    }
    if (auto record = header_of(line.text)) {
      if (auto finished = finish(); !finished) {
        return tl::unexpected(finished.error());
      }
      if (log.records.size() == kMaxRecords) {
        return fail_at(name, number, fmt::format("more than {} events", kMaxRecords));
      }
      record->line = number;
      log.records.push_back(std::move(*record));
      open = true;
      continue;
    }
    if (!open) {
      if (cut_off) {
        break;  // a header that ends in its middle
      }
      return fail_at(name, number, "neither an event nor a property of one: " + quote(line.text));
    }
    if (const auto why = add_property(log.records.back().event, line.text);
        !why.empty() && !cut_off) {
      return fail_at(name, number, why);
    }
  }
  if (cut_off) {
    log.unknown.push_back(fmt::format("{}: the log ends within an event, which is left out", name));
    if (open) {
      log.records.pop_back();
    }
    open = false;
  }
  if (auto finished = finish(); !finished) {
    return tl::unexpected(finished.error());
  }
  return log;
}

}  // namespace muster::imports
