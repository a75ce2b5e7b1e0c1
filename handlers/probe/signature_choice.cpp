#include "handlers/probe/signature_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace muster::probe {
namespace {

using md::Superblock;
using md::Version;
using Winner = Choice::Winner;

constexpr std::uint64_t kSector = 512;

bool at_the_end(const Superblock& sb) {
  return sb.version == Version::v0_90 || sb.version == Version::v1_0;
}

// Sectors come from the disk: the sum must not wrap.
std::uint64_t data_end(const Superblock& sb) {
  constexpr std::uint64_t kMax = md::kMaxSector / kSector / 2;
  return (std::min(sb.data_offset, kMax) + std::min(sb.data_sectors, kMax)) * kSector;
}

std::string label_of(const Superblock& sb) {
  return fmt::format("raid:linux_raid_member:{}", to_string(sb.version));
}
std::string label_of(md::Container container) {
  return container == md::Container::imsm ? "raid:isw_raid_member:" : "raid:ddf_raid_member:";
}
std::string label_of(const Other& other) {
  return fmt::format("{}:{}:{}", other.usage, other.type, other.version);
}
constexpr const char* kLvmLabel = "raid:LVM2_member:LVM2 001";

std::optional<std::uint64_t> superblock_offset(Version version, std::uint64_t device_bytes) {
  const auto kind =
      version == Version::v0_90 ? md::WindowKind::superblock_0_90 : md::WindowKind::superblock_1_0;
  for (const md::Window& window : md::windows(device_bytes)) {
    if (window.kind == kind) {
      return window.offset;
    }
  }
  return std::nullopt;
}

// Their makers write where superblock 1.2 stands (4 KiB), so one that is intact there is younger
// than they are.
bool overwrites_4k(const std::string& type) {
  constexpr std::array kTypes{"ext2", "ext3", "ext4", "xfs"};
  return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

std::string_view word_of(md::Owner owner) {
  switch (owner) {
    case md::Owner::disk:
      return "disk";
    case md::Owner::partition:
      return "partition";
    case md::Owner::ambiguous:
      return "ambiguous";
    case md::Owner::neither:
      return "neither";
  }
  return "";
}

class Chooser {
 public:
  explicit Chooser(const Evidence& evidence) : evidence_(evidence) {}

  Choice choose() {
    choice_.owners.resize(evidence_.md.superblocks.size());
    const auto superblock = outermost_superblock();
    if (choice_.winner == Winner::conflict) {
      return finish();
    }
    if (superblock) {
      judge_md(*superblock);
    } else if (evidence_.md.container) {
      // Its volumes hold everything up to the metadata at the end.
      choice_.winner = Winner::container;
      choice_.table_is_ours = false;
    } else if (evidence_.lvm) {
      judge_lvm();
    } else {
      judge_others();
    }
    return finish();
  }

 private:
  // Of the superblocks that are this device's and not its disk's or its last partition's.
  std::optional<std::size_t> outermost_superblock() {
    std::vector<std::size_t> ours;
    for (std::size_t i = 0; i < evidence_.md.superblocks.size(); ++i) {
      const Superblock& sb = evidence_.md.superblocks[i];
      const auto owner = at_the_end(sb) ? shared_with(sb) : std::nullopt;
      if (!owner) {
        ours.push_back(i);
        continue;
      }
      choice_.owners[i] = word_of(*owner);
      const md::Owner self = evidence_.place ? md::Owner::partition : md::Owner::disk;
      if (*owner == self) {
        ours.push_back(i);
      } else if (*owner == md::Owner::ambiguous) {
        contend(label_of(sb));
        contend("part:" +
                (evidence_.table.type.empty() ? std::string("disk") : evidence_.table.type));
        choice_.note =
            fmt::format("the md superblock {} at the end may be the disk's or its last partition's",
                        to_string(sb.version));
        return std::nullopt;
      } else if (*owner == md::Owner::neither) {
        note(fmt::format("an md superblock {} fits neither the disk nor its last partition",
                         to_string(sb.version)));
      }
    }
    if (ours.size() < 2) {
      return ours.empty() ? std::nullopt : std::optional(ours.front());
    }
    std::vector<Superblock> candidates;
    for (const std::size_t i : ours) {
      candidates.push_back(evidence_.md.superblocks[i]);
    }
    if (const auto index = md::outermost(candidates)) {
      return ours[*index];
    }
    for (const Superblock& sb : candidates) {
      contend(label_of(sb));
    }
    return std::nullopt;
  }

  // Whose a superblock is that is seen at the end of the disk and of a partition alike; nothing if
  // it is not shared.
  std::optional<md::Owner> shared_with(const Superblock& sb) const {
    const std::uint64_t here = sb.super_offset * kSector;
    if (evidence_.place) {
      if (superblock_offset(sb.version, evidence_.disk_bytes) != evidence_.place->start + here) {
        return std::nullopt;
      }
      return md::which_owns(evidence_.disk_bytes, evidence_.place->start, evidence_.place->size,
                            sb);
    }
    for (const Extent& partition : evidence_.table.partitions) {
      const auto there = superblock_offset(sb.version, partition.size);
      if (there && partition.start + *there == here) {
        return md::which_owns(evidence_.device_bytes, partition.start, partition.size, sb);
      }
    }
    return std::nullopt;
  }

  void judge_md(std::size_t index) {
    const Superblock& sb = evidence_.md.superblocks[index];
    choice_.superblock = index;
    choice_.table_is_ours = false;
    if (evidence_.md.container) {
      contend(label_of(*evidence_.md.container));
    }
    if (evidence_.lvm && !lvm_is_beneath(sb)) {
      contend(kLvmLabel);
    }
    if (!evidence_.table.partitions.empty() && !table_is_beneath(sb)) {
      contend("part:" + evidence_.table.type);
    }
    if (!at_the_end(sb)) {
      for (const Other& other : evidence_.others) {
        if (sb.version != Version::v1_2 || !overwrites_4k(other.type)) {
          contend(label_of(other));
        }
      }
    }
    if (choice_.winner == Winner::conflict) {
      choice_.contenders.insert(choice_.contenders.begin(), label_of(sb));
    } else {
      choice_.winner = Winner::md;
    }
  }

  // The label is the array's content, or what an earlier use left behind.
  bool lvm_is_beneath(const Superblock& sb) const {
    const lvm::PhysicalVolumeHead& pv = *evidence_.lvm;
    if (at_the_end(sb)) {
      // A PV made on the array cannot be as large as the member; one on a mirror not larger than
      // its data.
      return pv.label.device_bytes != evidence_.device_bytes &&
             (sb.level != 1 || pv.label.device_bytes <= data_end(sb));
    }
    // 1.1 and 1.2 keep the start for themselves. Metadata that the label points to and that is gone
    // was overwritten.
    return pv.texts.empty() && !pv.label.metadata_areas.empty();
  }

  bool table_is_beneath(const Superblock& sb) const {
    const Table& table = evidence_.table;
    if (at_the_end(sb)) {
      const bool too_large =
          sb.level == 1 && std::any_of(table.partitions.begin(), table.partitions.end(),
                                       [&](const Extent& p) { return p.end() > data_end(sb); });
      return !table.spans_device && !too_large;
    }
    // GPT's first copy covers 4 KiB, in its header or in its entries: a superblock there is
    // younger.
    return table.type == "gpt" && sb.version == Version::v1_2;
  }

  void judge_lvm() {
    const lvm::PhysicalVolumeHead& pv = *evidence_.lvm;
    if (!evidence_.table.partitions.empty()) {
      // LVM2 itself does not look at a disk that has partitions.
      note("an LVM label was left behind on a partitioned disk");
      judge_others();
      return;
    }
    const bool destroyed =
        pv.texts.empty() && !pv.label.metadata_areas.empty() && !pv.diagnostics.empty();
    if (destroyed && !evidence_.others.empty()) {
      note("an LVM label without metadata was left behind");
      judge_others();
      return;
    }
    for (const Other& other : evidence_.others) {
      if (!overwrites_4k(other.type) || pv.texts.empty()) {
        contend(label_of(other));
      }
    }
    if (choice_.winner == Winner::conflict) {
      choice_.contenders.insert(choice_.contenders.begin(), kLvmLabel);
      return;
    }
    choice_.winner = Winner::lvm;
    choice_.table_is_ours = false;
  }

  void judge_others() {
    if (evidence_.others.size() == 1) {
      choice_.winner = Winner::other;
    } else {
      for (const Other& other : evidence_.others) {
        contend(label_of(other));
      }
    }
  }

  void contend(std::string contender) {
    choice_.winner = Winner::conflict;
    choice_.contenders.push_back(std::move(contender));
  }

  void note(std::string text) {
    if (choice_.note.empty()) {
      choice_.note = std::move(text);
    }
  }

  Choice finish() {
    if (choice_.winner == Winner::conflict) {
      choice_.table_is_ours = false;
      if (choice_.note.empty()) {
        choice_.note = fmt::format("cannot tell which of these signatures counts: {}",
                                   fmt::join(choice_.contenders, ", "));
      }
    }
    return std::move(choice_);
  }

  const Evidence& evidence_;
  Choice choice_;
};

}  // namespace

Choice choose(const Evidence& evidence) {
  return Chooser(evidence).choose();
}

}  // namespace muster::probe
