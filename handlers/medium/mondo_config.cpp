#include "handlers/medium/mondo_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <utility>
#include <variant>

#include "daemon/quote.h"
#include "daemon/text_lines.h"

namespace muster::medium {

namespace {

enum class Reading {
  text,     // words 2 to 5
  line,     // the whole rest of the line; mondorestore does not look at it
  number,   // a whole number
  yes,      // true if it contains "yes"
  enabled,  // true for "yes" and "1"
  present,  // true whatever it says
  ignored,  // known, and of no interest to us
};

using Field = std::variant<std::monostate, std::optional<std::string> MondoConfig::*,
                           std::string MondoConfig::*, std::optional<std::uint64_t> MondoConfig::*,
                           std::uint64_t MondoConfig::*, bool MondoConfig::*>;

struct KeyRow {
  std::string_view key;
  Reading reading;
  Field field;
};

// All that is known about the file stands here. Rows of one field: the first one that has a value
// wins.
const std::array<KeyRow, 44> kKeys{{
    {"backup-media-type", Reading::text, &MondoConfig::media_type_text},
    {"media-dev", Reading::text, &MondoConfig::media_dev},
    {"media-size", Reading::number, &MondoConfig::media_size_mb},
    {"internal-tape-block-size", Reading::number, &MondoConfig::tape_block_size},
    {"use-lzo", Reading::yes, &MondoConfig::use_lzo},
    {"use-gzip", Reading::yes, &MondoConfig::use_gzip},
    {"use-comp", Reading::yes, &MondoConfig::use_comp},
    {"use-star", Reading::yes, &MondoConfig::use_star},
    {"datestamp", Reading::line, &MondoConfig::datestamp},
    {"files-in-filelist", Reading::number, &MondoConfig::files_in_filelist},
    {"last-filelist-number", Reading::number, &MondoConfig::last_filelist_number},
    {"total-slices", Reading::number, &MondoConfig::total_slices},
    {"iso-dev", Reading::text, &MondoConfig::iso_dev},
    {"iso-mnt", Reading::text, &MondoConfig::iso_mnt},
    {"isodir", Reading::text, &MondoConfig::isodir},
    {"iso-prefix", Reading::text, &MondoConfig::iso_prefix},
    {"bootloader.device", Reading::text, &MondoConfig::bootloader_device},
    {"bootloader.name", Reading::text, &MondoConfig::bootloader_name},
    {"differential", Reading::enabled, &MondoConfig::differential},
    {"please-dont-eject", Reading::present, &MondoConfig::please_dont_eject},
    {"keymap-lives-here", Reading::ignored, {}},
    {"tapedev-has-data-disks", Reading::ignored, {}},
    {"nfs-server-mount", Reading::text, &MondoConfig::nfs_server_mount},
    {"nfs-server-path", Reading::text, &MondoConfig::nfs_server_path},
    {"nfs-server-ipaddr", Reading::text, &MondoConfig::nfs_server_ipaddr},
    {"nfs-dev", Reading::text, &MondoConfig::nfs_dev},
    {"nfs-client-ipaddr", Reading::text, &MondoConfig::nfs_client_ipaddr},
    {"nfs-client-netmask", Reading::text, &MondoConfig::nfs_client_netmask},
    {"nfs-client-broadcast", Reading::text, &MondoConfig::nfs_client_broadcast},
    {"nfs-client-defgw", Reading::text, &MondoConfig::nfs_client_defgw},
    // Names of later versions.
    {"netfs-proto", Reading::text, &MondoConfig::netfs_proto},
    {"netfs-server-user", Reading::text, &MondoConfig::netfs_server_user},
    {"netfs-server-mount", Reading::text, &MondoConfig::nfs_server_mount},
    {"netfs-server-path", Reading::text, &MondoConfig::nfs_server_path},
    {"netfs-server-ipaddr", Reading::text, &MondoConfig::nfs_server_ipaddr},
    {"netfs-dev", Reading::text, &MondoConfig::nfs_dev},
    {"netfs-client-ipaddr", Reading::text, &MondoConfig::nfs_client_ipaddr},
    {"netfs-client-netmask", Reading::text, &MondoConfig::nfs_client_netmask},
    {"netfs-client-broadcast", Reading::text, &MondoConfig::nfs_client_broadcast},
    {"netfs-client-defgw", Reading::text, &MondoConfig::nfs_client_defgw},
    {"usb-dev", Reading::text, &MondoConfig::usb_dev},
    {"acl", Reading::ignored, {}},
    {"xattr", Reading::ignored, {}},
    {"using-cdstream", Reading::ignored, {}},
}};

constexpr std::array<std::pair<std::string_view, MediaType>, 10> kMediaTypes{{
    {"cdr", MediaType::cdr},
    {"cdrw", MediaType::cdrw},
    {"dvd", MediaType::dvd},
    {"cdstream", MediaType::cdstream},
    {"iso", MediaType::iso},
    {"nfs", MediaType::nfs},
    {"tape", MediaType::tape},
    {"udev", MediaType::udev},
    {"usb", MediaType::usb},
    {"netfs", MediaType::netfs},
}};

// grep "KEY .*": anywhere in the line, and a dot of the key is any character.
bool grep_finds(std::string_view line, std::string_view key) {
  const std::string_view head = key.substr(0, key.find('.'));  // all of most keys
  for (std::size_t at = line.find(head);
       at != std::string_view::npos && at + key.size() < line.size();
       at = line.find(head, at + 1)) {
    std::size_t i = head.size();
    while (i < key.size() && (key[i] == '.' || key[i] == line[at + i])) {
      ++i;
    }
    if (i == key.size() && line[at + i] == ' ') {
      return true;
    }
  }
  return false;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') {
    text.remove_prefix(1);
  }
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') {
    text.remove_suffix(1);
  }
  return text;
}

// cut -d' ' -f2,3,4,5
std::string_view fields_2_to_5(std::string_view line) {
  const std::size_t first = line.find(' ');
  if (first == std::string_view::npos) {
    return {};
  }
  line.remove_prefix(first + 1);
  std::size_t end = 0;
  for (int field = 2; end < line.size(); ++end) {
    if (line[end] == ' ' && ++field > 5) {
      break;
    }
  }
  return line.substr(0, end);
}

bool plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

struct FoundValue {
  std::string_view value;
  TextLine line;
};

class Reader {
 public:
  Reader(std::string_view text, std::string_view file)
      : text_(text), diagnostics_(std::string(file)) {}

  MondoConfig read() {
    TextLines lines(text_);
    while (const auto line = lines.next()) {
      take(*line);
    }
    for (std::size_t i = 0; i < kKeys.size(); ++i) {
      if (found_[i]) {
        store(kKeys[i], *found_[i]);
      }
    }
    finish();
    result_.diagnostics = diagnostics_.take();
    return std::move(result_);
  }

 private:
  void take(const TextLine& line) {
    const std::string_view text = trim(line.text);
    if (text.empty()) {
      return;
    }
    const std::string_view word = line.text.substr(0, line.text.find(' '));
    bool known = false;
    bool misread = false;
    for (std::size_t i = 0; i < kKeys.size(); ++i) {
      known = known || word == kKeys[i].key;
      if (!grep_finds(line.text, kKeys[i].key)) {
        continue;
      }
      const std::string_view value = trim(fields_2_to_5(line.text));
      if (word != kKeys[i].key) {
        misread = true;
        diagnostics_.add(line.number,
                         fmt::format("mondorestore takes this line as {}, with the value {}",
                                     quote(kKeys[i].key), quote(value)));
      }
      if (!value.empty()) {  // an empty answer is passed over, the line before it counts
        found_[i] = FoundValue{value, line};
      }
    }
    if (word.starts_with('#')) {
      return;
    }
    check_shape(line, word, known, misread);
    if (!word.empty() && word.size() < line.text.size()) {
      remember_pair(line, word);
    }
  }

  void check_shape(const TextLine& line, std::string_view word, bool known, bool misread) {
    if (word.empty()) {
      diagnostics_.add(line.number, "starts with a blank");
      return;
    }
    if (word.size() == line.text.size()) {
      diagnostics_.add(line.number,
                       fmt::format("{} has no value: mondorestore does not find it", quote(word)));
      return;
    }
    const std::string_view rest = line.text.substr(word.size() + 1);
    const std::string_view value = trim(rest);
    if (!known) {
      if (!misread) {
        diagnostics_.add(line.number, fmt::format("unknown key {}", quote(word)));
      }
      return;
    }
    if (value.empty()) {
      diagnostics_.add(line.number,
                       fmt::format("{} has no value: mondorestore does not find it", quote(word)));
      return;
    }
    if (rest.front() == ' ') {
      diagnostics_.add(line.number, fmt::format("more than one blank after {}", quote(word)));
    }
    if (!plain(value)) {
      diagnostics_.add(line.number,
                       fmt::format("the value of {} has bytes that mondorestore garbles: {}",
                                   quote(word), quote(value)));
    }
    const std::string_view read = trim(fields_2_to_5(line.text));
    if (word != "datestamp" && read != value) {
      diagnostics_.add(line.number, fmt::format("mondorestore reads no more of {} than {}",
                                                quote(word), quote(read)));
    }
  }

  void remember_pair(const TextLine& line, std::string_view word) {
    std::string_view value = line.text.substr(word.size() + 1);
    if (value.ends_with('\r')) {
      value.remove_suffix(1);
    }
    const auto [seen, is_new] = first_lines_.try_emplace(std::string(word), line.number);
    if (!is_new) {
      diagnostics_.add(
          line.number,
          fmt::format("{} is there already in line {}; mondorestore takes the last one",
                      quote(word), seen->second));
    }
    result_.pairs.push_back({std::string(word), std::string(value), line.number});
  }

  void store(const KeyRow& row, const FoundValue& found) {
    const std::string value(found.value);
    if (const auto* text = std::get_if<std::optional<std::string> MondoConfig::*>(&row.field)) {
      store_text(row, result_.**text, found);
    } else if (const auto* plain_text = std::get_if<std::string MondoConfig::*>(&row.field)) {
      result_.** plain_text = value;
      result_.iso_prefix_given = result_.iso_prefix_given || row.key == "iso-prefix";
    } else if (const auto* number =
                   std::get_if<std::optional<std::uint64_t> MondoConfig::*>(&row.field)) {
      result_.** number = number_of(row, found);
    } else if (const auto* defaulted = std::get_if<std::uint64_t MondoConfig::*>(&row.field)) {
      result_.** defaulted = number_of(row, found).value_or(result_.**defaulted);
    } else if (const auto* flag = std::get_if<bool MondoConfig::*>(&row.field)) {
      result_.** flag = row.reading == Reading::present ||
                        (row.reading == Reading::yes && value.find("yes") != std::string::npos) ||
                        (row.reading == Reading::enabled && (value == "yes" || value == "1"));
    }
  }

  void store_text(const KeyRow& row, std::optional<std::string>& field, const FoundValue& found) {
    std::string value(found.value);
    if (row.reading == Reading::line && found.line.text.starts_with(row.key)) {
      value = trim(found.line.text.substr(row.key.size()));
    }
    if (field && *field != value) {
      diagnostics_.add(
          found.line.number,
          fmt::format("{} says {}, but the older name of this key says {}, which counts",
                      quote(row.key), quote(value), quote(*field)));
    }
    if (!field) {
      field = std::move(value);
    }
  }

  std::optional<std::uint64_t> number_of(const KeyRow& row, const FoundValue& found) {
    const auto number = whole_number(found.value);
    if (!number) {
      diagnostics_.add(found.line.number,
                       fmt::format("{} is not a number: {}", quote(row.key), quote(found.value)));
    }
    return number;
  }

  void finish() {
    if (text_.find('\0') != std::string_view::npos) {
      diagnostics_.add(
          0, "contains NUL bytes: grep takes it for a binary file, mondorestore reads nothing");
    }
    const std::string& type = result_.media_type_text;
    if (type.empty()) {
      diagnostics_.add(0, "backup-media-type is missing: mondorestore ends at once");
      return;
    }
    const auto* const known = std::find_if(kMediaTypes.begin(), kMediaTypes.end(),
                                           [&](const auto& row) { return row.first == type; });
    result_.media_type = known != kMediaTypes.end() ? known->second : MediaType::unknown;
    if (result_.media_type == MediaType::unknown) {
      diagnostics_.add(0, fmt::format("backup-media-type {} is not known", quote(type)));
    }
    const bool stream =
        result_.media_type == MediaType::tape || result_.media_type == MediaType::udev;
    if (stream && !result_.media_dev) {
      diagnostics_.add(0, fmt::format("media-dev is missing: mondorestore needs it for {}", type));
    }
    if (result_.tape_block_size == 0) {
      diagnostics_.add(0, "internal-tape-block-size is 0: 32768 is taken instead");
      result_.tape_block_size = 32768;
    }
  }

  std::string_view text_;
  MondoConfig result_;
  Diagnostics diagnostics_;
  std::array<std::optional<FoundValue>, kKeys.size()> found_;
  std::map<std::string, int, std::less<>> first_lines_;
};

std::optional<FoundValue> find_value(std::string_view text, std::string_view key) {
  std::optional<FoundValue> found;
  TextLines lines(text);
  while (const auto line = lines.next()) {
    if (grep_finds(line->text, key)) {
      const std::string_view value = trim(fields_2_to_5(line->text));
      if (!value.empty()) {
        found = FoundValue{value, *line};
      }
    }
  }
  return found;
}

bool carriable(std::string_view text) {
  return !text.empty() && text.size() <= 300 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

std::string_view to_string(MediaType type) {
  for (const auto& [name, value] : kMediaTypes) {
    if (value == type) {
      return name;
    }
  }
  return "unknown";
}

MondoConfig parse_mondo_config(std::string_view text, std::string_view file) {
  return Reader(text, file).read();
}

std::optional<std::string> mondo_value(std::string_view text, std::string_view key) {
  const auto found = find_value(text, key);
  return found ? std::optional(std::string(found->value)) : std::nullopt;
}

bool same_backup(const MondoConfig& image, const MondoConfig& medium, std::string* why_not) {
  const auto differ = [&](std::string text) {
    if (why_not != nullptr) {
      *why_not = std::move(text);
    }
    return false;
  };
  constexpr std::array<std::pair<std::string_view, std::optional<std::uint64_t> MondoConfig::*>, 3>
      kCounts{{{"files-in-filelist", &MondoConfig::files_in_filelist},
               {"last-filelist-number", &MondoConfig::last_filelist_number},
               {"total-slices", &MondoConfig::total_slices}}};
  bool compared = false;
  for (const auto& [key, field] : kCounts) {
    if (!(image.*field) || !(medium.*field)) {
      continue;
    }
    compared = true;
    if (image.*field != medium.*field) {
      return differ(fmt::format("another backup: {} is {} in the image and {} on the medium", key,
                                *(image.*field), *(medium.*field)));
    }
  }
  if (image.iso_prefix_given && medium.iso_prefix_given) {
    compared = true;
    if (image.iso_prefix != medium.iso_prefix) {
      return differ(
          fmt::format("another backup: iso-prefix is {} in the image and {} on the medium",
                      quote(image.iso_prefix), quote(medium.iso_prefix)));
    }
  }
  return compared ||
         differ("not known to be the same backup: no key of the image's config is on the medium");
}

Result<std::string> with_value(std::string_view text, std::string_view key,
                               std::string_view value) {
  if (!carriable(key)) {
    return fail(Errc::invalid,
                fmt::format("mondo-restore.cfg cannot carry the key {}", quote(key)));
  }
  if (!carriable(value)) {
    return fail(Errc::invalid, fmt::format("mondo-restore.cfg cannot carry {} as the value of {}",
                                           quote(value), quote(key)));
  }
  const auto found = find_value(text, key);
  if (found && found->line.text.size() > key.size() && found->line.text.starts_with(key) &&
      found->line.text[key.size()] == ' ') {
    const auto line = static_cast<std::size_t>(found->line.text.data() - text.data());
    const std::size_t begin = line + key.size() + 1;
    std::size_t end = line + found->line.text.size();
    if (text[end - 1] == '\r') {
      --end;
    }
    return std::string(text.substr(0, begin)) + std::string(value) + std::string(text.substr(end));
  }
  std::string out(text);
  if (!out.empty() && !out.ends_with('\n')) {
    out += '\n';
  }
  return out + std::string(key) + ' ' + std::string(value) + '\n';
}

}  // namespace muster::medium
