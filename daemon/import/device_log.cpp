#include "daemon/import/device_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/quote.h"
#include "daemon/root.h"

namespace muster::imports {
namespace {

constexpr std::size_t kLinesToRecognise = 4000;

bool is_monitor_line(std::string_view line) {
  return line.starts_with("monitor will print") || line.starts_with("KERNEL[") ||
         line.starts_with("UEVENT[") ||
         (line.starts_with("UDEV") &&
          line.substr(4).find_first_not_of(' ') != std::string_view::npos &&
          line[line.find_first_not_of(' ', 4)] == '[');
}

}  // namespace

std::string_view to_string(Format format) {
  switch (format) {
    case Format::udevadm_monitor:
      return "udevadm monitor";
    case Format::udevadm_database:
      return "udevadm info --export-db";
    case Format::umockdev:
      return "umockdev-record";
    case Format::sosreport:
      return "sosreport";
  }
  return "";
}

tl::unexpected<Error> fail_at(std::string_view name, std::size_t line, std::string_view why) {
  return fail(Errc::invalid, fmt::format("{}: line {}: {}", name, line, why));
}

Result<std::optional<TextLine>> LogLines::next() {
  if (size_ > kMaxLog) {
    return fail(Errc::unsupported,
                fmt::format("{}: {} bytes; a log of more than {} MiB is not read", name_, size_,
                            kMaxLog / 1024 / 1024));
  }
  auto line = lines_.next();
  if (!line) {
    return std::optional<TextLine>();
  }
  const auto number = static_cast<std::size_t>(line->number);
  if (line->text.size() > kMaxLogLine) {
    return fail_at(name_, number, fmt::format("longer than {} KiB", kMaxLogLine / 1024));
  }
  if (line->text.find('\0') != std::string_view::npos) {
    return fail_at(name_, number, "a NUL byte: the file is damaged, or is no text");
  }
  if (line->text.ends_with('\r')) {
    line->text.remove_suffix(1);
  }
  return line;
}

std::string add_property(DeviceEvent& event, std::string_view line) {
  const auto equals = line.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return "no property (KEY=VALUE): " + quote(line);
  }
  if (event.properties.size() >= kMaxProperties) {
    return fmt::format("more than {} properties", kMaxProperties);
  }
  auto value = valid_text(line.substr(equals + 1), false);
  const auto key = valid_text(line.substr(0, equals), false);
  if (key == "DEVNAME" && !value.empty() && value.front() != '/') {
    value = "/dev/" + value;
  }
  event.properties.insert_or_assign(key, std::move(value));
  return {};
}

bool is_devpath(std::string_view text) {
  return text.starts_with('/') && text.size() > 1 && text.size() < 4096 && !text.ends_with('/') &&
         text.find("//") == std::string_view::npos && text.find("/../") == std::string_view::npos &&
         !text.ends_with("/..") &&
         std::none_of(
             text.begin(), text.end(),
             [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<Format> recognise(std::string_view name, std::string_view text) {
  LogLines lines(name, text);
  bool is_database = false;
  for (std::size_t seen = 0; seen < kLinesToRecognise;) {
    auto line = lines.next();
    if (!line) {
      return tl::unexpected(line.error());
    }
    if (!*line) {
      break;
    }
    const auto here = (*line)->text;
    if (here.empty()) {
      continue;
    }
    if (!is_database && is_monitor_line(here)) {
      return Format::udevadm_monitor;
    }
    if (seen++ == 0) {
      if (here.starts_with("\x1f\x8b") ||
          here.starts_with("\xfd"
                           "7zXZ") ||
          here.starts_with("BZh")) {
        return fail_at(name, 1, "compressed: unpack it first");
      }
      if (here.starts_with("{\"journal\"")) {
        return fail_at(name, 1, "a journal of muster already: replay it");
      }
    }
    is_database = is_database || here.starts_with("P: /");
    if (!is_database) {
      return fail_at(name, static_cast<std::size_t>((*line)->number),
                     "neither udevadm monitor, udevadm info --export-db nor umockdev-record: " +
                         quote(here, 40));
    }
    // Only umockdev writes attributes; only udevadm says the path twice.
    if (here.starts_with("A: ") || here.starts_with("H: ")) {
      return Format::umockdev;
    }
    if (here.starts_with("E: DEVPATH=") || here.starts_with("M: ")) {
      return Format::udevadm_database;
    }
  }
  if (!is_database) {
    return fail_at(name, 1, "nothing in it");
  }
  return Format::udevadm_database;
}

Result<DeviceLog> read_log(std::string_view name, std::string_view text) {
  const auto format = recognise(name, text);
  if (!format) {
    return tl::unexpected(format.error());
  }
  switch (*format) {
    case Format::udevadm_monitor:
      return read_udevadm_monitor(name, text);
    case Format::umockdev:
      return read_umockdev(name, text);
    default:
      return read_udevadm_database(name, text);
  }
}

}  // namespace muster::imports
