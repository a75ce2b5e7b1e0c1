#include <fmt/format.h>

#include "daemon/import/device_log.h"
#include "daemon/quote.h"
#include "daemon/root.h"

namespace muster::imports {
namespace {

int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

std::optional<std::string> bytes_of_hex(std::string_view text) {
  if (text.size() % 2 != 0) {
    return std::nullopt;
  }
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) {
      return std::nullopt;
    }
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

// C's escapes, as GLib writes them; octal ones too.
std::optional<std::string> unescaped(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes += text[i];
      continue;
    }
    if (++i == text.size()) {
      return std::nullopt;
    }
    constexpr std::string_view kLetters = "nrtbfv\\\"";
    constexpr std::string_view kMeanings = "\n\r\t\b\f\v\\\"";
    if (const auto at = kLetters.find(text[i]); at != std::string_view::npos) {
      bytes += kMeanings[at];
      continue;
    }
    int value = 0;
    std::size_t digits = 0;
    for (; digits < 3 && i + digits < text.size() && text[i + digits] >= '0' &&
           text[i + digits] <= '7';
         ++digits) {
      value = value * 8 + (text[i + digits] - '0');
    }
    if (digits == 0 || value > 255) {
      return std::nullopt;
    }
    bytes += static_cast<char>(value);
    i += digits - 1;
  }
  return bytes;
}

// Errors in words.
std::string add_attribute(LogRecord& record, char kind, std::string_view line) {
  const auto equals = line.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return "no attribute (NAME=VALUE): " + quote(line);
  }
  if (record.event.attributes.size() + record.links.size() >= kMaxProperties) {
    return fmt::format("more than {} attributes", kMaxProperties);
  }
  const auto name = valid_text(line.substr(0, equals), false);
  const auto value = line.substr(equals + 1);
  if (kind == 'L') {
    record.links.insert_or_assign(name, valid_text(value, false));
    return {};
  }
  const auto bytes = kind == 'H' ? bytes_of_hex(value) : unescaped(value);
  if (!bytes) {
    return fmt::format("the value of attribute {} is damaged", quote(name));
  }
  record.event.attributes.insert_or_assign(
      name, attribute_text(std::string_view(*bytes).substr(0, kMaxAttribute)));
  return {};
}

std::string add_line(LogRecord& record, char kind, std::string_view value) {
  auto& event = record.event;
  switch (kind) {
    case 'E':
      return add_property(event, value);
    case 'N':
      // "sda", or "bus/usb/001/002=CONTENT"
      event.properties.try_emplace("DEVNAME",
                                   "/dev/" + valid_text(value.substr(0, value.find('=')), false));
      return {};
    case 'S': {
      auto& links = event.properties["DEVLINKS"];
      if (links.size() < kMaxLogLine && links.find(value) == std::string::npos) {
        links += (links.empty() ? "/dev/" : " /dev/") + valid_text(value, false);
      }
      return {};
    }
    default:
      return add_attribute(record, kind, value);
  }
}

void finish(LogRecord& record) {
  auto& event = record.event;
  const auto text = [&](std::string_view name) {
    const auto it = event.properties.find(name);
    return it == event.properties.end() ? std::string() : it->second;
  };
  event.subsystem = text("SUBSYSTEM");
  if (event.subsystem.empty()) {
    if (const auto it = record.links.find("subsystem"); it != record.links.end()) {
      event.subsystem = it->second.substr(it->second.rfind('/') + 1);
    }
  }
  event.properties["DEVPATH"] = event.devpath;
  if (const auto it = record.links.find("driver");
      it != record.links.end() && text("DRIVER").empty()) {
    event.properties["DRIVER"] = it->second.substr(it->second.rfind('/') + 1);
  }
  const auto fill_in = [&](const char* property, const char* attribute) {
    const auto it = event.attributes.find(attribute);
    if (text(property).empty() && it != event.attributes.end() && it->second &&
        !it->second->empty()) {
      event.properties[property] = *it->second;
    }
  };
  fill_in("MODALIAS", "modalias");
  if (event.subsystem == "block") {
    fill_in("DISKSEQ", "diskseq");
  }
}

}  // namespace

Result<DeviceLog> read_umockdev(std::string_view name, std::string_view text) {
  DeviceLog log;
  log.format = Format::umockdev;
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
    if (line.text.empty() || line.text.starts_with('#')) {
      open = open && !line.text.empty();
      continue;
    }
    constexpr std::string_view kKinds = "PNSEAHL";
    if (line.text.size() < 3 || kKinds.find(line.text[0]) == std::string_view::npos ||
        line.text.substr(1, 2) != ": ") {
      return fail_at(name, number, "no line of umockdev-record: " + quote(line.text));
    }
    const char kind = line.text[0];
    const auto value = line.text.substr(3);
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
