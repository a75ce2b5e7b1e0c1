// What the readers of foreign logs have in common: a log as values, its bounds, and what may be
// said about a line of it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/event.h"
#include "daemon/result.h"
#include "daemon/text_lines.h"

namespace muster::imports {

enum class Format { udevadm_monitor, udevadm_database, umockdev, sosreport };
// "udevadm monitor", "udevadm info --export-db", "umockdev-record", "sosreport"
[[nodiscard]] std::string_view to_string(Format format);

// Above these a log is no log of one machine, and reading it on would be its writer's choice.
inline constexpr std::size_t kMaxLog = std::size_t{64} * 1024 * 1024;
inline constexpr std::size_t kMaxLogLine = std::size_t{64} * 1024;
inline constexpr std::size_t kMaxRecords = 200'000;
inline constexpr std::size_t kMaxProperties = 1000;  // of one record; attributes likewise

// One block of a log: an event, or a device as a database holds it.
struct LogRecord {
  std::size_t line = 0;  // its first
  Micros time = 0;       // since boot; 0 where the log has no times
  DeviceEvent event;     // properties as the log has them; attributes only from umockdev
  // umockdev's L: lines: "driver", "device" ... to their targets as they stand there.
  std::map<std::string, std::string, std::less<>> links;
};

struct DeviceLog {
  Format format = Format::udevadm_database;
  std::vector<LogRecord> records;
  std::vector<std::string> unknown;
};

// "NAME: line N: WHY"
[[nodiscard]] tl::unexpected<Error> fail_at(std::string_view name, std::size_t line,
                                            std::string_view why);

// Lines of a log that are fit to be looked at. Errors: a text, or a line, that is too long; a NUL.
class LogLines {
 public:
  LogLines(std::string_view name, std::string_view text)
      : name_(name), size_(text.size()), lines_(text) {}

  // Nothing at the end. A carriage return at the end is dropped: logs come through mail.
  [[nodiscard]] Result<std::optional<TextLine>> next();

 private:
  std::string name_;
  std::size_t size_;
  TextLines lines_;
};

// "KEY=VALUE" into the properties, as valid text. What is wrong with it, or empty.
[[nodiscard]] std::string add_property(DeviceEvent& event, std::string_view line);
// Begins with "/devices/" (or other roots of /sys) and is a path that sysfs could have.
[[nodiscard]] bool is_devpath(std::string_view text);

// Of files. Errors: a file that is none of those that import reads, by its first lines.
[[nodiscard]] Result<Format> recognise(std::string_view name, std::string_view text);

// What the three text formats say, in their order. Errors: "NAME: line N: WHY".
//
// `udevadm monitor --property`, of the source kernel, udev or both; old udevadm's --environment is
// the same. A log that ends within an event loses that event, and says so in `unknown`.
[[nodiscard]] Result<DeviceLog> read_udevadm_monitor(std::string_view name, std::string_view text);
// `udevadm info --export-db`, from udev 1xx (P N S L E) to systemd 25x (M R U T D I Q V J B ...).
[[nodiscard]] Result<DeviceLog> read_udevadm_database(std::string_view name, std::string_view text);
[[nodiscard]] Result<DeviceLog> read_umockdev(std::string_view name, std::string_view text);

// One of the three, as recognise() says.
[[nodiscard]] Result<DeviceLog> read_log(std::string_view name, std::string_view text);

}  // namespace muster::imports
