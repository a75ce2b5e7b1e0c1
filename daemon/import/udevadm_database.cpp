#include <fmt/format.h>

#include "daemon/import/device_log.h"
#include "daemon/quote.h"
#include "daemon/root.h"

namespace muster::imports {
namespace {

std::string_view property(const DeviceEvent& event, std::string_view name) {
  const auto it = event.properties.find(name);
  return it == event.properties.end() ? std::string_view() : std::string_view(it->second);
}

void fill_in(DeviceEvent& event, const char* name, std::string_view value) {
  if (!value.empty() && property(event, name).empty()) {
    event.properties.insert_or_assign(name, valid_text(value, false));
  }
}

// The subsystem of a database that names none (udev before 174): by where the device stands.
void finish(LogRecord& record) {
  auto& event = record.event;
  event.subsystem = property(event, "SUBSYSTEM");
  if (event.subsystem.empty() && event.devpath.find("/block/") != std::string::npos) {
    event.subsystem = "block";
  }
}

// Errors in words.
std::string add_line(LogRecord& record, char kind, std::string_view value) {
  auto& event = record.event;
  switch (kind) {
    case 'E':
      if (value.starts_with("DEVPATH=") && value.substr(8) != event.devpath) {
        return fmt::format("the device is {}, but its DEVPATH says {}", quote(event.devpath),
                           quote(value.substr(8)));
      }
      return add_property(event, value);
    case 'N':
      fill_in(event, "DEVNAME",
              value.starts_with('/') ? std::string(value) : "/dev/" + std::string(value));
      return {};
    case 'U':
      fill_in(event, "SUBSYSTEM", value);
      return {};
    case 'T':
      fill_in(event, "DEVTYPE", value);
      return {};
    case 'Q':
      fill_in(event, "DISKSEQ", value);
      return {};
    case 'V':
      fill_in(event, "DRIVER", value);
      return {};
    case 'S': {
      auto& links = event.properties["DEVLINKS"];
      const std::string link = "/dev/" + valid_text(value, false);
      if ((" " + links + " ").find(" " + link + " ") == std::string::npos &&
          links.size() < kMaxLogLine) {
        links += (links.empty() ? "" : " ") + link;
      }
      return {};
    }
    default:  // L M R D I J B ...: nothing that the others do not say
      return {};
  }
}

}  // namespace

Result<DeviceLog> read_udevadm_database(std::string_view name, std::string_view text) {
  DeviceLog log;
  log.format = Format::udevadm_database;
  LogLines lines(name, text);
  bool open = false;
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
    if (line.text.empty()) {
      open = false;
      continue;
    }
    const bool has_kind = line.text.size() >= 2 && line.text[0] >= 'A' && line.text[0] <= 'Z' &&
                          line.text[1] == ':' && (line.text.size() == 2 || line.text[2] == ' ');
    if (!has_kind) {
      if (!line.terminated) {
        log.unknown.push_back(fmt::format("{}: the file ends within line {}", name, number));
        break;
      }
      return fail_at(name, number, "no line of a udev database: " + quote(line.text));
    }
    const char kind = line.text[0];
    const auto value = line.text.substr(std::min<std::size_t>(3, line.text.size()));
    if (kind == 'P') {
      if (!is_devpath(value)) {
        return fail_at(name, number, "no path of a device: " + quote(value));
      }
      if (log.records.size() == kMaxRecords) {
        return fail_at(name, number, fmt::format("more than {} devices", kMaxRecords));
      }
      LogRecord record;
      record.line = number;
      record.event.origin = DeviceEvent::Origin::scan;
      record.event.devpath = valid_text(value, false);
      log.records.push_back(std::move(record));
      open = true;
      continue;
    }
    if (!open) {
      return fail_at(name, number, "a line of a device before its path (P:): " + quote(line.text));
    }
    if (const auto why = add_line(log.records.back(), kind, value); !why.empty()) {
      return fail_at(name, number, why);
    }
  }
  for (auto& record : log.records) {
    finish(record);
  }
  return log;
}

}  // namespace muster::imports
