#include "handlers/target/mountlist.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <utility>

#include "daemon/quote.h"
#include "daemon/text_lines.h"

namespace muster::target {

namespace {

constexpr std::size_t kMaxEntries = 500;  // ARBITRARY_MAXIMUM; one more and mondorestore ends

// The columns of struct mountlist_line without their NUL; sscanf writes beyond them without asking.
struct Column {
  std::string_view name;
  std::size_t max;
};
constexpr std::array<Column, 5> kColumns{
    {{"device", 63}, {"mount point", 255}, {"format", 63}, {"size", 379}, {"label", 255}}};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

// mondorestore moves three characters to the left over the last slash and no more: right for
// /dev/md/0 and /dev/md/12, while /dev/md/127 becomes /dev/md1277 and /dev/md/root /dev/mdrooot.
std::string contract_md(std::string device) {
  const std::size_t slash = device.rfind('/');
  for (std::size_t i = 0; i < 3 && slash + i < device.size(); ++i) {
    if (slash + i + 1 == device.size()) {
      device.resize(slash + i);
      break;
    }
    device[slash + i] = device[slash + i + 1];
  }
  return device;
}

bool is_skipped(std::string_view device) {
  constexpr std::array<std::string_view, 6> kSkipped{"/proc", "proc",    "/sys",
                                                     "sys",   "/devpts", "devpts"};
  return std::find(kSkipped.begin(), kSkipped.end(), device) != kSkipped.end();
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view file)
      : lines_(text), diagnostics_(std::string(file)) {}

  Mountlist read() {
    while (const auto line = lines_.next()) {
      if (!line->terminated) {
        lost(*line);
        break;
      }
      if (!take(*line)) {
        break;
      }
    }
    result_.diagnostics = diagnostics_.take();
    return std::move(result_);
  }

 private:
  void misread(int line, std::string text) {
    if (std::exchange(result_.as_written, false)) {
      result_.misread_line = line;
    }
    diagnostics_.add(line, std::move(text));
  }

  void lost(const TextLine& line) {
    const auto words = split_words(line.text, 1);
    if (!words.empty() && !words.front().starts_with('#')) {
      misread(line.number,
              fmt::format(
                  "the newline at the end is missing, so mondorestore does not see the line of {}",
                  quote(words.front())));
    }
  }

  // false: mondorestore stops here
  bool take(const TextLine& line) {
    std::string_view text = line.text;
    const std::size_t nul = text.find('\0');
    if (nul != std::string_view::npos) {
      misread(line.number, "contains a NUL byte; mondorestore reads up to there");
      text = text.substr(0, nul);
    }
    const auto words = split_words(text, kColumns.size());
    if (!fits(words, line.number)) {
      return true;
    }
    // What the line does not have stays as it was. The size is a variable of its own, the others
    // belong to the slot.
    const std::array<std::string*, 5> slot{&slot_.device, &slot_.mount_point, &slot_.format,
                                           &slot_.size_text, &slot_.label};
    const std::string old_size = slot_.size_text;
    const bool stale_label = words.size() < 5 && !slot_.label.empty();
    for (std::size_t i = 0; i < words.size(); ++i) {
      *slot[i] = words[i];
    }
    if (words.empty() || slot_.device.front() == '#' || is_skipped(slot_.device)) {
      return true;
    }
    if (result_.entries.size() == kMaxEntries) {
      misread(line.number, fmt::format("mondorestore ends with more than {} entries", kMaxEntries));
      return false;
    }
    complain_of_columns(words.size(), line.number, stale_label);
    finish_entry(line.number);
    return true;
  }

  bool fits(const std::vector<std::string_view>& words, int line) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      // "_dup" may have to be appended to the device
      if (words[i].size() > kColumns[i].max) {
        misread(
            line,
            fmt::format("the {} is longer than {} characters, which mondorestore has no room for; "
                        "the line is left out: {}",
                        kColumns[i].name, kColumns[i].max, quote(words[i])));
        return false;
      }
    }
    return true;
  }

  void complain_of_columns(std::size_t count, int line, bool stale_label) {
    if (count == 1) {
      misread(line, fmt::format("{} has no mount point and no format", quote(slot_.device)));
    } else if (count == 2) {
      misread(line, fmt::format("{} has no format", quote(slot_.device)));
    }
    if (count < 4) {
      misread(line,
              slot_.size_text.empty()
                  ? fmt::format("{} has no size", quote(slot_.device))
                  : fmt::format("{} has no size; mondorestore takes the one it read before, {}",
                                quote(slot_.device), quote(slot_.size_text)));
    }
    if (stale_label) {
      diagnostics_.add(
          line,
          fmt::format("{} has no label; mondorestore takes {} from the line that it skipped before",
                      quote(slot_.device), quote(slot_.label)));
    }
  }

  void finish_entry(int line) {
    MountlistEntry entry = slot_;
    slot_ = MountlistEntry{};
    slot_.size_text = entry.size_text;
    entry.written = entry.device;
    entry.line = line;
    entry.size_kib = leading_number(entry.size_text);
    if (devices_.contains(entry.device)) {
      entry.device += "_dup";
      misread(line, fmt::format("{} is there already; mondorestore calls this one {}",
                                quote(entry.written), quote(entry.device)));
    }
    if (entry.device.find("/dev/md/") != std::string::npos) {
      contract(&entry);
    }
    check_entry(entry);
    devices_.insert(entry.device);
    result_.entries.push_back(std::move(entry));
  }

  void contract(MountlistEntry* entry) {
    entry->device = contract_md(entry->device);
    const std::string_view name =
        std::string_view(entry->written).substr(entry->written.rfind('/') + 1);
    if (entry->device != "/dev/md" + std::string(name)) {
      misread(entry->line, fmt::format("mondorestore garbles {} to {}", quote(entry->written),
                                       quote(entry->device)));
    }
  }

  void check_entry(const MountlistEntry& entry) {
    if (!entry.device.starts_with("/dev/")) {
      diagnostics_.add(entry.line,
                       fmt::format("{} is not a device below /dev", quote(entry.device)));
    }
    if (!all_digits(entry.size_text) && entry.size_text != "lvm" && !entry.size_text.empty()) {
      misread(entry.line, fmt::format("{} is not a size; mondorestore reads {}",
                                      quote(entry.size_text), entry.size_kib));
    } else if (entry.size_kib == std::numeric_limits<std::int64_t>::max()) {
      misread(entry.line, fmt::format("the size {} is too large", quote(entry.size_text)));
    }
    if (entry.is_image() && entry.format != "7") {
      diagnostics_.add(
          entry.line,
          fmt::format("a nuke refuses the type {} of a partition image; it knows only 7",
                      quote(entry.format)));
    }
  }

  TextLines lines_;
  Diagnostics diagnostics_;
  Mountlist result_;
  MountlistEntry slot_;
  std::set<std::string, std::less<>> devices_;
};

// truncate_to_drive_name() of mondorestore.
std::string mondo_drive(std::string device) {
  const std::size_t slash = device.rfind('/');
  if (slash != std::string::npos && device.compare(slash, 5, "/part") == 0) {
    return device.substr(0, slash) + "/disc";  // devfs
  }
  std::size_t end = device.size();
  while (end > 0 && is_digit(device[end - 1])) {
    --end;
  }
  if (end > 1 && device[end - 1] == 'p' && is_digit(device[end - 2])) {
    --end;
  }
  device.resize(end);
  return device;
}

// Consumes PREFIX and digits.
bool take_numbered(std::string_view* text, std::string_view prefix) {
  if (!text->starts_with(prefix)) {
    return false;
  }
  text->remove_prefix(prefix.size());
  std::size_t digits = 0;
  while (digits < text->size() && is_digit((*text)[digits])) {
    ++digits;
  }
  text->remove_prefix(digits);
  return digits > 0;
}

// Drives whose own name ends in a digit; their partitions have a 'p' between.
bool is_numbered_drive(std::string_view device) {
  struct Family {
    std::string_view first;
    std::string_view second;  // empty: one number only
  };
  constexpr std::array<Family, 12> kFamilies{{{"/dev/nvme", "n"},
                                              {"/dev/mmcblk", ""},
                                              {"/dev/cciss/c", "d"},
                                              {"/dev/ida/c", "d"},
                                              {"/dev/rd/c", "d"},
                                              {"/dev/ataraid/d", ""},
                                              {"/dev/nbd", ""},
                                              {"/dev/loop", ""},
                                              {"/dev/drbd", ""},
                                              {"/dev/pmem", ""},
                                              {"/dev/zram", ""},
                                              {"/dev/dm-", ""}}};
  return std::any_of(kFamilies.begin(), kFamilies.end(), [&](const Family& family) {
    std::string_view rest = device;
    return take_numbered(&rest, family.first) &&
           (family.second.empty() || take_numbered(&rest, family.second)) && rest.empty();
  });
}

}  // namespace

std::string real_drive(const std::string& device) {
  if (is_numbered_drive(device)) {
    return device;
  }
  // /dev/disk/by-id/NAME-part1, /dev/mapper/NAME-part1
  const std::size_t part = device.rfind("-part");
  if (part != std::string::npos && all_digits(std::string_view(device).substr(part + 5))) {
    return device.substr(0, part);
  }
  return mondo_drive(device);
}

namespace {

std::string note_of(const TargetDrive& drive) {
  if (drive.device != drive.mondo_device) {
    return fmt::format("mondorestore takes the drive to be {} and will not find it",
                       quote(drive.mondo_device));
  }
  if (drive.device.starts_with("/dev/nvme") || drive.device.starts_with("/dev/mmcblk")) {
    return "mondorestore of 2006 does not know names of this kind; a newer one may";
  }
  return {};
}

std::int64_t add_saturating(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::int64_t>::max() : sum;
}

}  // namespace

Mountlist parse_mountlist(std::string_view text, std::string_view file) {
  return Reader(text, file).read();
}

std::vector<TargetDrive> drives(const Mountlist& mountlist) {
  std::vector<TargetDrive> found;
  for (const MountlistEntry& entry : mountlist.entries) {
    // Not "greater than": mondorestore, too, counts a negative size as one.
    if (entry.is_array() || entry.size_kib == 0) {
      continue;
    }
    const std::string device = real_drive(entry.device);
    auto drive = std::find_if(found.begin(), found.end(),
                              [&](const TargetDrive& d) { return d.device == device; });
    if (drive == found.end()) {
      found.push_back({device, mondo_drive(entry.device), 0, {}, {}});
      drive = std::prev(found.end());
    } else if (drive->mondo_device == drive->device) {
      drive->mondo_device = mondo_drive(entry.device);
    }
    drive->lines.push_back(entry.line);
    if (entry.size_kib > 0) {
      drive->allocated_kib = add_saturating(drive->allocated_kib, entry.size_kib);
    }
  }
  for (TargetDrive& drive : found) {
    drive.note = note_of(drive);
  }
  return found;
}

std::vector<MountlistEntry> needed_for_compare(const Mountlist& mountlist) {
  std::vector<MountlistEntry> needed;
  for (const MountlistEntry& entry : mountlist.entries) {
    if (!entry.is_raid_member() && !entry.is_pv() && !entry.is_image() &&
        entry.mount_point != "none") {
      needed.push_back(entry);
    }
  }
  return needed;
}

std::vector<TargetArray> arrays(const Mountlist& mountlist) {
  std::vector<TargetArray> found;
  for (const MountlistEntry& entry : mountlist.entries) {
    if (!entry.is_array()) {
      continue;
    }
    std::string_view rest = entry.device;
    TargetArray array{entry.device, std::nullopt, {}};
    std::string_view tail = rest;
    if (take_numbered(&tail, "/dev/md")) {
      const std::string_view whole = rest.substr(0, rest.size() - tail.size());
      const auto number = whole_number(whole.substr(std::string_view("/dev/md").size()));
      const bool partition = tail.starts_with('p') && all_digits(tail.substr(1));
      // 20 bits: the kernel has no higher minor number.
      if (number && *number < (1U << 20) && (tail.empty() || partition)) {
        array.device = whole;
        array.number = static_cast<unsigned>(*number);
      }
    }
    const auto known = std::find_if(found.begin(), found.end(),
                                    [&](const TargetArray& a) { return a.device == array.device; });
    if (known == found.end()) {
      array.lines.push_back(entry.line);
      found.push_back(std::move(array));
    } else {
      known->lines.push_back(entry.line);
    }
  }
  return found;
}

std::vector<std::string> raid_members(const Mountlist& mountlist) {
  std::vector<std::string> devices;
  for (const MountlistEntry& entry : mountlist.entries) {
    if (entry.is_raid_member()) {
      devices.push_back(entry.device);
    }
  }
  return devices;
}

std::vector<std::string> pvs(const Mountlist& mountlist) {
  std::vector<std::string> devices;
  for (const MountlistEntry& entry : mountlist.entries) {
    if (entry.is_pv()) {
      devices.push_back(entry.device);
    }
  }
  return devices;
}

std::optional<LvName> split_lv_device(std::string_view device) {
  constexpr std::string_view kMapper = "/dev/mapper/";
  if (device.starts_with(kMapper)) {
    const std::string_view mapped = device.substr(kMapper.size());
    return mapped.find('/') == std::string_view::npos ? lvm::split_map_name(mapped) : std::nullopt;
  }
  constexpr std::string_view kDev = "/dev/";
  if (!device.starts_with(kDev)) {
    return std::nullopt;
  }
  device.remove_prefix(kDev.size());
  const std::size_t slash = device.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == device.size() ||
      device.find('/', slash + 1) != std::string_view::npos) {
    return std::nullopt;
  }
  return LvName{std::string(device.substr(0, slash)), std::string(device.substr(slash + 1))};
}

std::vector<TargetLv> lvs(const Mountlist& mountlist) {
  std::vector<TargetLv> found;
  for (const MountlistEntry& entry : mountlist.entries) {
    if (entry.size_kib != 0 || entry.is_array() || entry.is_pv() || entry.is_raid_member()) {
      continue;
    }
    if (auto name = split_lv_device(entry.device)) {
      found.push_back({std::move(*name), entry.device, entry.line});
    }
  }
  return found;
}

std::vector<std::string> file_systems(const Mountlist& mountlist) {
  std::set<std::string> found;
  for (const MountlistEntry& entry : needed_for_compare(mountlist)) {
    if (entry.format == "swap" || entry.format == "raid" || entry.format == "lvm" ||
        entry.format.empty() || entry.is_swap()) {
      continue;
    }
    found.insert(entry.format);
    if (entry.format == "ext3") {
      found.insert("ext2");
    }
  }
  return {found.begin(), found.end()};
}

}  // namespace muster::target
