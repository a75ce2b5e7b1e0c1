#include "handlers/probe/probe_executor.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "handlers/arguments.h"
#include "handlers/lvm/lvm_metadata.h"
#include "handlers/md/md_superblock_json.h"
#include "handlers/probe/blkid_probe.h"
#include "handlers/probe/optical_drive.h"
#include "handlers/probe/signature_choice.h"

namespace muster::probe {
namespace {

// A journal line carries it; larger volume groups are left to lvm.
constexpr std::size_t kMaxMetadataText = std::size_t{4} * 1024 * 1024;

std::optional<std::uint64_t> number_in(const Root& root, const std::string& path) {
  const auto text = root.read_file(path, kMaxAttribute);
  std::uint64_t value = 0;
  if (!text ||
      std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc()) {
    return std::nullopt;
  }
  return value;
}

struct Disk {
  std::string devno;
  Extent place;  // of the partition on it
  Fd fd;
  std::uint64_t bytes = 0;
};

// The disk that a partition lies on; nothing if sysfs does not say.
std::optional<Disk> disk_of(const BlockDevices& devices, const std::string& devno) {
  const std::string here = "/sys/dev/block/" + devno;
  const auto start = number_in(devices.root(), here + "/start");
  const auto size = number_in(devices.root(), here + "/size");
  auto parent = devices.root().read_file(here + "/../dev", kMaxAttribute);
  if (!start || !size || !parent || *start > INT64_MAX / 512 || *size > INT64_MAX / 512) {
    return std::nullopt;
  }
  Disk disk;
  disk.devno = attribute_text(*parent);
  disk.place = {*start * 512, *size * 512};
  auto fd = devices.open(disk.devno, O_RDONLY | O_NONBLOCK);
  if (!fd) {
    return std::nullopt;
  }
  disk.fd = *std::move(fd);
  disk.bytes = block_size_bytes(disk.fd).value_or(0);
  return disk;
}

// mdadm's form of a UUID in udev's: groups of 8-4-4-4-12.
std::string dashed(const std::string& uuid) {
  std::string text;
  for (const char c : uuid) {
    if (c == ':') {
      continue;
    }
    if (text.size() == 8 || text.size() == 13 || text.size() == 18 || text.size() == 23) {
      text += '-';
    }
    text += c;
  }
  return text;
}

Properties properties_of(const md::Superblock& sb) {
  Properties properties{{"ID_FS_TYPE", "linux_raid_member"},
                        {"ID_FS_USAGE", "raid"},
                        {"ID_FS_VERSION", std::string(md::to_string(sb.version))}};
  if (sb.version == md::Version::v0_90) {
    properties["ID_FS_VERSION"] = fmt::format("{}.{}.0", sb.major_version, sb.minor_version);
  }
  add_text_property(properties, "ID_FS_UUID", dashed(sb.array_uuid));
  if (!sb.device_uuid.empty()) {
    add_text_property(properties, "ID_FS_UUID_SUB", dashed(sb.device_uuid));
  }
  if (!sb.full_name.empty()) {
    add_text_property(properties, "ID_FS_LABEL", sb.full_name);
  }
  return properties;
}

Properties properties_of(const lvm::Label& label) {
  Properties properties{
      {"ID_FS_TYPE", "LVM2_member"}, {"ID_FS_USAGE", "raid"}, {"ID_FS_VERSION", "LVM2 001"}};
  add_text_property(properties, "ID_FS_UUID", label.pv_uuid);
  return properties;
}

void add_note(std::string& note, const std::string& text) {
  if (!text.empty()) {
    note += (note.empty() ? "" : "; ") + text;
  }
}

// Whether a text of several lines can travel in a journal as it is.
bool is_valid_text(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return valid_text(text, false) == text;
}

// {"pv_uuid", "device_size", "vg_text_seqno", "metadata", "mda_count", "mda_usable", "used"}
Json details_of(const lvm::PhysicalVolumeHead& pv, KnownTexts& known, std::string& note) {
  std::size_t usable = 0;
  for (const lvm::MetadataText& text : pv.texts) {
    usable += text.areas.size();
  }
  Json json{{"pv_uuid", pv.label.pv_uuid},
            {"device_size", pv.label.device_bytes},
            {"mda_count", pv.label.metadata_areas.size()},
            {"mda_usable", usable},
            {"used", pv.label.is_used()}};
  std::vector<std::uint64_t> seqnos;
  std::vector<const std::string*> texts;
  for (const lvm::MetadataText& text : pv.texts) {
    if (text.text.size() > kMaxMetadataText) {
      add_note(note, fmt::format("the volume group's metadata has {} bytes: left to lvm",
                                 text.text.size()));
      continue;
    }
    if (const auto seqno = known.seqno_of(text.text)) {
      seqnos.push_back(*seqno);
      texts.push_back(&text.text);
    } else {
      add_note(note, seqno.error().text);
    }
  }
  if (!seqnos.empty()) {
    // The first of equals: older LVM2 stamps each copy with the time.
    const auto newest = std::max_element(seqnos.begin(), seqnos.end());
    const std::string& text = *texts[static_cast<std::size_t>(newest - seqnos.begin())];
    json["vg_text_seqno"] = *newest;
    if (is_valid_text(text)) {
      json["metadata"] = text;
    } else {
      add_note(note, "the volume group's metadata is not valid UTF-8: left to lvm");
    }
  }
  for (const std::string& diagnostic : pv.diagnostics) {
    add_note(note, diagnostic);
  }
  return json;
}

Json details_of(const md::Superblock& sb, const std::string& owner) {
  Json json = md::to_json(sb);
  if (!owner.empty()) {
    json["owner"] = owner;
  }
  return json;
}

// Everything that a disk says travels as valid text.
Json to_json(const Properties& properties) {
  Json json = Json::object();
  for (const auto& [name, value] : properties) {
    json[name] = valid_text(value, false);
  }
  return json;
}

struct Findings {
  Properties properties;
  Json details = Json::object();
  std::string note;
};

// The kernel is told at once of all the places where signatures may stand (those of libblkid 2.38
// and ours): they are read side by side, not one after the other, some 30 of them on a blank disk.
// Only a hint: a place that is missing here is read all the same.
void announce_reads(const Fd& device, std::uint64_t bytes) {
  constexpr std::uint64_t kPage = 4096;
  constexpr std::uint64_t kHead = std::uint64_t{260} * 1024;
  constexpr std::uint64_t kTail = std::uint64_t{132} * 1024;
  constexpr auto kFromStart =
      std::to_array<std::uint64_t>({1U << 19, 1U << 20, 1U << 21, 1U << 22});
  // Firmware RAID, in sectors.
  constexpr auto kFromEnd =
      std::to_array<std::uint64_t>({399, 591, 675, 735, 911, 951, 974, 991, 3087});
  const auto expect = [&](std::uint64_t offset, std::uint64_t length) {
    static_cast<void>(::posix_fadvise(device.get(), static_cast<off_t>(offset / kPage * kPage),
                                      static_cast<off_t>(length), POSIX_FADV_WILLNEED));
  };
  expect(0, std::min(kHead, bytes));
  if (bytes <= kHead) {
    return;
  }
  expect(bytes - std::min(bytes - kHead, kTail), kTail);
  for (const auto offset : kFromStart) {
    if (offset < bytes) {
      expect(offset, kPage);
    }
  }
  for (const auto sectors : kFromEnd) {
    if (sectors * 512 < bytes) {
      expect(bytes - sectors * 512, kPage);
    }
  }
}

// An Error is the device's.
Result<Findings> look(const Fd& device, std::uint64_t bytes, bool optical,
                      std::uint64_t session_offset, const std::optional<Disk>& disk,
                      KnownTexts& known) {
  Findings findings;
  Evidence evidence;
  evidence.device_bytes = bytes;
  if (!optical) {
    announce_reads(device, bytes);
    const Reader reader = device_reader(device, bytes);
    auto superblocks = md::read_superblocks(reader, bytes);
    if (!superblocks) {
      return tl::unexpected(superblocks.error());
    }
    evidence.md = *std::move(superblocks);
    for (const std::string& diagnostic : evidence.md.diagnostics) {
      add_note(findings.note, diagnostic);
    }
    auto head = lvm::read_physical_volume(reader, bytes);
    if (head) {
      evidence.lvm = *std::move(head);
    } else if (head.error().os_error != 0) {
      return tl::unexpected(head.error());
    } else {
      add_note(findings.note, head.error().text);
    }
  }
  if (disk) {
    evidence.place = disk->place;
    evidence.disk_bytes = disk->bytes;
  }
  auto blkid = blkid_probe_device(device, session_offset);
  if (!blkid) {
    return tl::unexpected(blkid.error());
  }
  evidence.others = blkid->others;
  evidence.table = blkid->partitions;

  const Choice choice = choose(evidence);
  add_note(findings.note, choice.note);
  switch (choice.winner) {
    case Choice::Winner::nothing:
      break;
    case Choice::Winner::md:
      findings.properties = properties_of(evidence.md.superblocks[choice.superblock]);
      break;
    case Choice::Winner::container:
      if (blkid->others.size() == 1 && blkid->others.front().usage == "raid") {
        findings.properties = blkid->filesystem;
      }
      findings.properties["ID_FS_USAGE"] = "raid";
      findings.properties["ID_FS_TYPE"] =
          *evidence.md.container == md::Container::imsm ? "isw_raid_member" : "ddf_raid_member";
      break;
    case Choice::Winner::lvm:
      findings.properties = properties_of(evidence.lvm->label);
      break;
    case Choice::Winner::other:
      findings.properties = blkid->filesystem;
      break;
    case Choice::Winner::conflict:
      findings.properties["ID_FS_AMBIVALENT"] =
          fmt::format("{}", fmt::join(choice.contenders, " "));
      findings.details["contenders"] = choice.contenders;
      break;
  }
  if (choice.table_is_ours) {
    findings.properties.insert(blkid->table.begin(), blkid->table.end());
  }
  const auto& superblocks = evidence.md.superblocks;
  for (std::size_t i = 0; i < superblocks.size(); ++i) {
    // The one that counts stands first; without one, the first that was found.
    const bool first = choice.winner == Choice::Winner::md ? i == choice.superblock : i == 0;
    if (first) {
      findings.details["md"] = details_of(superblocks[i], choice.owners[i]);
    } else {
      findings.details["md_others"].push_back(details_of(superblocks[i], choice.owners[i]));
    }
  }
  if (evidence.lvm &&
      (choice.winner == Choice::Winner::lvm || choice.winner == Choice::Winner::conflict)) {
    findings.details["lvm"] = details_of(*evidence.lvm, known, findings.note);
  }
  return findings;
}

}  // namespace

Result<std::uint64_t> KnownTexts::seqno_of(const std::string& text) {
  constexpr std::size_t kMost = 2;
  {
    const std::lock_guard lock(mutex_);
    for (const Known& each : known_) {
      if (each.text == text) {
        return each.seqno;
      }
    }
  }
  const auto group = lvm::parse_volume_group(text);
  if (!group) {
    return tl::unexpected(group.error());
  }
  const std::lock_guard lock(mutex_);
  known_.push_back({text, group->seqno});
  if (known_.size() > kMost) {
    known_.pop_front();
  }
  return group->seqno;
}

Urgency ProbeExecutor::urgency(const Effect& effect) const {
  return effect.subject.starts_with("dm-") ? Urgency::whenever : Urgency::soon;
}

Result<Json> ProbeExecutor::run(const Effect& effect) {
  if (effect.verb == "read") {
    return read(effect);
  }
  return fail(Errc::invalid, "probe: no such effect: " + effect.verb);
}

Result<Json> ProbeExecutor::read(const Effect& effect) {
  Arguments arguments(effect);
  const std::string devno = arguments.text("devno");
  const bool optical = arguments.flag_or("optical", false);
  const bool partition = arguments.flag_or("partition", false);
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  Json result{
      {"diskseq", 0}, {"size", 0}, {"properties", Json::object()}, {"details", Json::object()}};
  Fd device;
  std::uint64_t session_offset = 0;
  if (optical) {
    auto drive = look_into_drive(devices_, devno);
    if (!drive) {
      return tl::unexpected(drive.error());
    }
    result["drive"] = drive->drive;
    if (!drive->note.empty()) {
      result["note"] = drive->note;
    }
    if (!drive->disc) {
      return result;
    }
    device = std::move(drive->disc);
    session_offset = drive->session_offset;
  } else {
    auto opened = devices_.open(devno, O_RDONLY | O_NONBLOCK);
    if (!opened) {
      const int error = opened.error().os_error;
      if (error == EIO || error == ENOMEDIUM) {
        result["note"] = opened.error().text;
        return result;
      }
      return tl::unexpected(opened.error());
    }
    device = *std::move(opened);
  }

  const std::uint64_t diskseq = block_diskseq(device);
  result["diskseq"] = diskseq;
  const auto bytes = block_size_bytes(device);
  if (!bytes) {
    return tl::unexpected(bytes.error());
  }
  result["size"] = *bytes;
  if (*bytes == 0) {
    return result;  // an empty drive or an array that does not run
  }
  const std::optional<Disk> disk = partition ? disk_of(devices_, devno) : std::nullopt;
  auto findings = look(device, *bytes, optical, session_offset, disk, texts_);
  if (block_diskseq(device) != diskseq) {
    result["changed"] = true;
  }
  if (!findings) {
    result["note"] = findings.error().text;
    return result;
  }
  if (disk) {
    const auto entry = blkid_partition_entry(disk->fd, disk->place, disk->devno);
    if (entry) {
      findings->properties.insert(entry->begin(), entry->end());
    } else {
      add_note(findings->note, entry.error().text);
    }
  }
  result["properties"] = to_json(findings->properties);
  result["details"] = std::move(findings->details);
  if (!findings->note.empty()) {
    result["note"] = valid_text(findings->note, false);
  }
  return result;
}

}  // namespace muster::probe
