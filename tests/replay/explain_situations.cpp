// `muster explain` in situations of real machines: each must read as the text beside it says.
//
//   explain_situations [--update] [--journals DIR] TABLE
//
// The table (explain/situations.txt) names the situations. Those of recordings are replayed up to
// the point that it names. Those "by hand" are played on the model machine below, written as a
// journal, and that journal is replayed: --journals DIR keeps the journals, for `muster explain
// --journal`. --update rewrites the texts, for a reviewer to read as a diff.
// The last line is the result: `N passed, N failed`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/explain.h"
#include "daemon/replay/recording.h"
#include "daemon/replay/replay.h"
#include "tests/support/model_machine.h"

namespace {

using namespace muster;
using namespace muster::test;
namespace fs = std::filesystem;

constexpr Micros kSecond = 1'000'000;

// --- the machine of the situations by hand: a RAID5 that carries a PV, a mirror, a plain PV

constexpr const char* kArray = "8c11aa02:5f2e7d10:9b3c4411:70e2d6f5";
constexpr const char* kMirror = "3d90b7e1:11c42f08:a6e5d002:4b7781cc";
constexpr const char* kPvArray = "3fQx2a-Vn0K-8LmT-c4Ws-PzR1-eY7u-bH5dGj";
constexpr const char* kPvPlain = "9kTe4c-1aUo-Rw3N-x6Bm-Sf8L-iQ2y-vD0pZh";
constexpr const char* kGroup = "Jm5Yt1-b8Xc-4RqE-o2Nd-Uz7W-gK3s-hV9aLp";
constexpr const char* kConfig =
    "files-in-filelist 3\nlast-filelist-number 0\ntotal-slices 0\niso-prefix web7\n"
    "backup-media-type cdr\ndifferential 0\n";
constexpr const char* kMountlist =
    "/dev/vg0/root / ext3 lvm\n/dev/vg0/data /data ext3 lvm\n/dev/md1 /srv ext3 60000\n";
constexpr const char* kNukeMountlist = "/dev/sda1 / ext3 20000\n";

struct GroupText {
  std::uint64_t seqno = 3;
  std::string id = kGroup;
  std::string flags = {};  // of the group, besides the usual ones
  std::string extra = {};  // lines of the group
  std::string root_type = "striped";
  std::string plain_flags = {};  // of the plain PV
  std::string data_start = "0";  // where data lies on the plain PV
};

// root lies on the array, data on the plain PV.
std::string metadata(const GroupText& group = {}) {
  const auto physical = [](const char* name, const std::string& id, const char* hint,
                           const std::string& flags) {
    return fmt::format(
        "{} {{\nid = \"{}\"\ndevice = \"{}\"\nstatus = [\"ALLOCATABLE\"]\nflags = [{}]\n"
        "dev_size = 131072\npe_start = 2048\npe_count = 15\n}}\n",
        name, id, hint, flags);
  };
  const auto volume = [](const char* name, const char* id, const std::string& type,
                         const std::string& lines) {
    return fmt::format(
        "{} {{\nid = \"{}\"\nstatus = [\"READ\", \"WRITE\", \"VISIBLE\"]\nflags = []\n"
        "segment_count = 1\nsegment1 {{\nstart_extent = 0\nextent_count = 4\ntype = \"{}\"\n{}}}\n"
        "}}\n",
        name, id, type, lines);
  };
  const auto stripes = [](const char* pv, const std::string& start) {
    return fmt::format("stripe_count = 1\nstripes = [\"{}\", {}]\n", pv, start);
  };
  const std::string root_lines =
      group.root_type == "mirror" ? "mirror_count = 1\nextents_moved = 0\nmirrors = [\"pv0\", 0]\n"
                                  : stripes("pv0", "0");
  return fmt::format(
      "vg0 {{\nid = \"{}\"\nseqno = {}\nformat = \"lvm2\"\n"
      "status = [\"RESIZEABLE\", \"READ\", \"WRITE\"{}]\nflags = []\n{}extent_size = 8192\n"
      "max_lv = 0\nmax_pv = 0\nmetadata_copies = 0\n"
      "physical_volumes {{\n{}{}}}\nlogical_volumes {{\n{}{}}}\n}}\n"
      "contents = \"Text Format Volume Group\"\nversion = 1\n",
      group.id, group.seqno, group.flags, group.extra, physical("pv0", kPvArray, "/dev/md0", ""),
      physical("pv1", kPvPlain, "/dev/sdf", group.plain_flags),
      volume("root", "Kp4Fz2-w6Ht-3YeM-r9Jb-Xn1C-qS5o-lU8vTd", group.root_type, root_lines),
      volume("data", "Ld7Gv3-x5Iu-4ZfN-s0Kc-Yo2D-rT6p-mV9wUe", "striped",
             stripes("pv1", group.data_start)));
}

Json disc(const std::string& config = kConfig, const std::string& number = "1",
          const std::string& serial = "S1", const std::string& mountlist = kMountlist) {
  return {{"archives", true},
          {"number", number},
          {"serial", serial},
          {"not_the_last", false},
          {"files",
           {{"mondo-restore.cfg", config},
            {"mountlist.txt", mountlist},
            {"i-want-my-lvm", nullptr},
            {"raidtab", nullptr}}}};
}

Json facts(const std::string& words = {}, const std::string& config = kConfig,
           const std::string& mountlist = kMountlist) {
  return {{"command_line", words.starts_with("nuke") ? words : "compare_mode " + words},
          {"mondo-restore.cfg", config},
          {"mountlist.txt", mountlist},
          {"kernel", "6.1"},
          {"udevd", false}};
}

ModelDisk raid5(int slot, std::uint64_t events = 10) {
  return {.name = fmt::format("sd{}", static_cast<char>('a' + slot)),
          .minor = static_cast<unsigned>(16 * slot),
          .serial = fmt::format("WD-{}", slot),
          .probe = md_member(kArray, "0", 5, 3, slot, events)};
}
ModelDisk mirror(int slot, std::uint64_t events = 10, std::vector<std::string> roles = {}) {
  return {.name = fmt::format("sd{}", static_cast<char>('d' + slot)),
          .minor = static_cast<unsigned>(16 * (3 + slot)),
          .serial = fmt::format("ST-{}", slot),
          .probe = md_member(kMirror, "1", 1, 2, slot, events, std::move(roles))};
}
ModelDisk plain_pv(const GroupText& group = {}) {
  return {.name = "sdf", .minor = 80, .serial = "HG-0", .probe = lvm_pv(kPvPlain, metadata(group))};
}
ModelDisk drive() {
  return {.name = "sr0", .minor = 0, .probe = filesystem("iso9660")};
}
ModelDisk blank(const std::string& name, unsigned minor, const std::string& serial) {
  return {.name = name, .minor = minor, .serial = serial, .probe = Json::object()};
}

using Machine = std::unique_ptr<ModelMachine>;

Machine machine(const Json& known = facts()) {
  auto model = std::make_unique<ModelMachine>(known);
  model->content(kArray, lvm_pv(kPvArray, metadata()));
  model->medium("sr0", disc());
  model->start();
  return model;
}

Machine nuke(const std::string& words, bool with_disc = true) {
  auto model = std::make_unique<ModelMachine>(facts("nuke_mode " + words, kConfig, kNukeMountlist));
  model->medium("sr0", disc(kConfig, "1", "S1", kNukeMountlist));
  model->start();
  if (with_disc) {
    model->plug(drive());
  }
  return model;
}

// Everything but what is named.
void plug_all(ModelMachine& model, const std::set<std::string>& but = {}) {
  std::vector<ModelDisk> disks{raid5(0),  raid5(1),   raid5(2), mirror(0),
                               mirror(1), plain_pv(), drive()};
  for (const auto& disk : disks) {
    if (!but.contains(disk.name)) {
      model.plug(disk);
      model.wait(kSecond / 10);
    }
  }
}

Machine drive_that_is(const std::string& state) {
  auto model = machine();
  plug_all(*model, {"sr0"});
  auto empty = drive();
  empty.probe = {{"details", {{"drive", state}}}};
  model->plug(empty);
  model->wait(7 * kSecond);
  return model;
}

void plug_card(ModelMachine& model, const std::string& path, const std::string& alias) {
  DeviceEvent card;
  card.devpath = path;
  card.subsystem = "pci";
  // "pci:v00008086d000037D2sv…"
  card.properties = {{"MODALIAS", alias},
                     {"PCI_ID", fmt::format("{}:{}", alias.substr(9, 4), alias.substr(18, 4))}};
  model.send(card);
}

// The last effect of this handler and verb passes its deadline.
void late(ModelMachine& model, const std::string& handler, const std::string& verb) {
  for (auto it = model.effects().rbegin(); it != model.effects().rend(); ++it) {
    if (it->handler == handler && it->verb == verb) {
      model.wait(it->deadline_ms * 1000);
      model.send(EffectLate{it->id});
      return;
    }
  }
  std::abort();  // the situation is not what it was written for
}

constexpr const char* kHba = "pci:v00008086d000037D2sv00008086sd00000000bc01sc07i00";

const std::map<std::string, std::function<Machine()>>& by_hand() {
  static const std::map<std::string, std::function<Machine()>> kSituations = {
      {"nothing_yet",
       [] {
         auto model = machine();
         model->wait(12 * kSecond);
         return model;
       }},
      {"degraded_start_in_21_s",
       [] {
         auto model = machine(facts("muster.degraded_after=30s"));
         plug_all(*model, {"sdb"});
         model->wait(9 * kSecond);
         return model;
       }},
      {"degraded_start_under_way",
       [] {
         auto model = machine(facts("muster.degraded_after=30s"));
         plug_all(*model, {"sdb"});
         model->wait(30 * kSecond);
         model->hold("md", "assemble");
         model->timer(fmt::format("md/degraded start {}", kArray));
         model->wait(kSecond / 5);
         return model;
       }},
      {"too_few_members",
       [] {
         auto model = machine(facts("muster.degraded_after=30s"));
         plug_all(*model, {"sda", "sdb"});
         model->wait(70 * kSecond);
         return model;
       }},
      {"degraded_never",
       [] {
         auto model = machine();
         plug_all(*model, {"sde"});
         model->wait(250 * kSecond);
         return model;
       }},
      {"member_pulled",
       [] {
         auto model = machine();
         plug_all(*model, {"sr0"});
         model->wait(5 * kSecond);
         model->unplug("sdb");
         model->wait(3 * kSecond);
         return model;
       }},
      {"member_stale",
       [] {
         auto model = machine();
         plug_all(*model, {"sdc"});
         model->plug(raid5(2, 4));
         model->wait(6 * kSecond);
         return model;
       }},
      {"halves_went_on_alone",
       [] {
         auto model = machine();
         plug_all(*model, {"sdd", "sde"});
         model->plug(mirror(0, 20, {"active", "missing"}));
         model->plug(mirror(1, 30, {"missing", "active"}));
         model->wait(4 * kSecond);
         return model;
       }},
      {"slot_claimed_twice",
       [] {
         auto model = machine();
         plug_all(*model, {"sdc"});
         auto clone = raid5(1);
         clone.name = "sdc";
         clone.minor = 32;
         model->plug(clone);
         model->wait(4 * kSecond);
         return model;
       }},
      {"only_a_spare",
       [] {
         auto model = machine();
         plug_all(*model, {"sdd", "sde"});
         auto spare = mirror(0);
         spare.probe = md_member(kMirror, "1", 1, 2, -1);
         model->plug(spare);
         model->wait(4 * kSecond);
         return model;
       }},
      {"array_does_not_start",
       [] {
         auto model = machine();
         model->fail_effect("md", "assemble", "RUN_ARRAY: Invalid argument");
         plug_all(*model, {"sdd", "sde"});
         model->wait(8 * kSecond);
         return model;
       }},
      {"firmware_raid",
       [] {
         auto model = machine();
         plug_all(*model, {"sdd", "sde"});
         auto member = blank("sdd", 48, "ST-0");
         member.probe = {
             {"properties", {{"ID_FS_TYPE", "isw_raid_member"}, {"ID_FS_USAGE", "raid"}}},
             {"details", {{"md", Json::object()}}}};
         model->plug(member);
         model->wait(4 * kSecond);
         return model;
       }},
      {"personality_not_in_the_image",
       [] {
         auto model = machine();
         model->hold("driver", "resolve");
         plug_all(*model, {"sdd", "sde", "sdf", "sr0"});
         model->resolve_nothing("raid456");
         model->release("driver", "resolve");
         model->wait(4 * kSecond);
         return model;
       }},
      {"module_loads_slowly",
       [] {
         auto model = machine();
         model->hold("driver", "insert");
         plug_all(*model, {"sdf", "sr0"});
         model->wait(2 * kSecond);
         late(*model, "driver", "insert");
         model->wait(87 * kSecond);
         return model;
       }},
      {"controller_without_driver",
       [] {
         auto model = nuke("muster.target=sda:serial=WD-9");
         model->resolve_nothing(kHba);
         plug_card(*model, "/devices/pci0000:00/0000:00:1f.0",
                   "pci:v00008086d00002918sv0sd0bc06sc01i00");
         plug_card(*model, "/devices/pci0000:3a/0000:3a:00.0", kHba);
         model->wait(40 * kSecond);
         return model;
       }},
      {"driver_denied",
       [] {
         auto model = nuke("muster.target=sda:serial=WD-9 muster.deny=mpt3sas");
         model->resolve_as(kHba, "mpt3sas");
         plug_card(*model, "/devices/pci0000:3a/0000:3a:00.0", kHba);
         model->wait(40 * kSecond);
         return model;
       }},
      {"pv_not_seen",
       [] {
         auto model = machine();
         plug_all(*model, {"sdf"});
         model->wait(11 * kSecond);
         return model;
       }},
      {"pv_flagged_missing",
       [] {
         auto model = machine();
         model->content(kArray, lvm_pv(kPvArray, metadata({.plain_flags = "\"MISSING\""})));
         plug_all(*model, {"sdf"});
         model->wait(11 * kSecond);
         return model;
       }},
      {"pv_stale",
       [] {
         auto model = machine();
         model->content(kArray, lvm_pv(kPvArray, metadata({.seqno = 5, .data_start = "8"})));
         plug_all(*model, {});
         model->wait(11 * kSecond);
         return model;
       }},
      {"pv_twice",
       [] {
         auto model = machine();
         plug_all(*model, {"sr0"});
         auto clone = plain_pv();
         clone.name = "sdg";
         clone.minor = 96;
         model->plug(clone);
         model->plug(drive());
         model->wait(2 * kSecond);
         return model;
       }},
      {"group_name_twice",
       [] {
         auto model = machine();
         plug_all(*model, {"sr0"});
         model->plug({.name = "sdg",
                      .minor = 96,
                      .probe = lvm_pv("5oUi7d-2bVp-Sx4O-y7Cn-Tg9M-jR3z-wE1qAi",
                                      metadata({.id = "Zz8Yx7-w6Vu-5TsR-q4Po-Nm3L-kJ2i-hG1fEd"}))});
         model->plug(drive());
         model->wait(2 * kSecond);
         return model;
       }},
      {"group_exported",
       [] {
         auto model = machine();
         const GroupText exported{.flags = ", \"EXPORTED\""};
         model->content(kArray, lvm_pv(kPvArray, metadata(exported)));
         plug_all(*model, {"sdf"});
         model->plug(plain_pv(exported));
         model->wait(2 * kSecond);
         return model;
       }},
      {"no_group_seen",
       [] {
         auto model = machine();
         plug_all(*model, {"sda", "sdb", "sdc", "sdf"});
         model->wait(15 * kSecond);
         return model;
       }},
      {"group_without_that_volume",
       [] {
         const std::string mountlist = "/dev/vg0/home /home ext3 lvm\n";
         auto model = machine(facts({}, kConfig, mountlist));
         model->medium("sr0", disc(kConfig, "1", "S1", mountlist));
         plug_all(*model);
         model->wait(15 * kSecond);
         return model;
       }},
      {"lvm_fails",
       [] {
         auto model = machine();
         model->fail_effect("lvm", "activate",
                            "lvm lvchange: exit status 5: mirror: Required device-mapper target(s) "
                            "not detected in your kernel.");
         model->content(kArray, lvm_pv(kPvArray, metadata({.root_type = "mirror"})));
         plug_all(*model, {"sdf"});
         model->plug(plain_pv({.root_type = "mirror"}));
         model->wait(6 * kSecond);
         return model;
       }},
      {"volume_held_down_by_its_holder",
       [] {
         auto model = machine();
         plug_all(*model, {"sr0"});
         model->fail_effect("lvm", "remove", "vg0-root: Device or resource busy");
         model->unplug("sdb");
         model->wait(3 * kSecond);
         return model;
       }},
      {"disk_does_not_answer",
       [] {
         auto model = machine();
         plug_all(*model, {"sdb"});
         model->hold("probe", "read");
         model->plug(raid5(1));
         late(*model, "probe", "read");
         model->wait(12 * kSecond);
         return model;
       }},
      {"drive_tray_open", [] { return drive_that_is("tray_open"); }},
      {"drive_blank_disc", [] { return drive_that_is("blank"); }},
      {"medium_being_examined",
       [] {
         auto model = machine();
         model->hold("medium", "examine");
         plug_all(*model);
         model->wait(kSecond * 3 / 2);
         return model;
       }},
      {"medium_does_not_answer",
       [] {
         auto model = machine();
         model->hold("medium", "examine");
         plug_all(*model);
         late(*model, "medium", "examine");
         model->wait(5 * kSecond);
         return model;
       }},
      {"medium_cannot_be_mounted",
       [] {
         auto model = machine();
         model->fail_effect("medium", "take", "mount /dev/sr0: Input/output error");
         plug_all(*model);
         model->wait(5 * kSecond);
         return model;
       }},
      {"another_backup",
       [] {
         auto model = machine();
         model->medium("sr0", disc("files-in-filelist 99\nlast-filelist-number 7\ntotal-slices 0\n"
                                   "iso-prefix web7\nbackup-media-type cdr\n"));
         plug_all(*model);
         model->wait(5 * kSecond);
         return model;
       }},
      {"two_backups_that_fit",
       [] {
         auto model = machine();
         model->medium("sr1", disc(kConfig, "1", "S2"));
         plug_all(*model, {"sdf"});
         auto second = drive();
         second.name = "sr1";
         second.minor = 1;
         model->plug(second);
         model->wait(5 * kSecond);
         return model;
       }},
      {"medium_went_away",
       [] {
         auto model = machine();
         plug_all(*model, {"sdf"});
         model->hold("medium", "release");
         model->unplug("sr0");
         model->wait(2 * kSecond);
         return model;
       }},
      {"iso_not_found",
       [] {
         auto model = machine(facts({},
                                    "files-in-filelist 3\nlast-filelist-number 0\ntotal-slices 0\n"
                                    "iso-prefix web7\nbackup-media-type iso\nisodir /backup\n"
                                    "iso-dev /dev/vg0/data\n"));
         model->content("LVM-Jm5Yt1b8Xc4RqEo2NdUz7WgK3shV9aLpLd7Gv3x5Iu4ZfNs0KcYo2DrT6pmV9wUe",
                        filesystem("ext4"));
         plug_all(*model, {"sdb", "sr0"});
         model->plug({.name = "sdg", .minor = 96, .probe = filesystem("ext4")});
         model->wait(20 * kSecond);
         return model;
       }},
      {"media_type_not_supported",
       [] {
         auto model = machine(facts({},
                                    "files-in-filelist 3\nlast-filelist-number 0\ntotal-slices 0\n"
                                    "iso-prefix web7\nbackup-media-type nfs\n"));
         plug_all(*model, {"sr0"});
         model->wait(3 * kSecond);
         return model;
       }},
      {"no_mountlist",
       [] {
         auto known = facts();
         known.erase("mountlist.txt");
         auto model = std::make_unique<ModelMachine>(known);
         model->start();
         plug_all(*model, {"sr0"});
         model->wait(3 * kSecond);
         return model;
       }},
      {"nuke_disk_not_seen",
       [] {
         auto model = nuke("muster.target=sda:serial=WD-9");
         model->plug(blank("sda", 0, "OTHER"));
         model->wait(33 * kSecond);
         return model;
       }},
      {"nuke_not_bound",
       [] {
         auto model = nuke("");
         model->plug(blank("sda", 0, "WD-0"));
         model->wait(33 * kSecond);
         return model;
       }},
      {"nuke_serial_twice",
       [] {
         auto model = nuke("muster.target=sda:serial=WD-0", false);
         model->plug(blank("sda", 0, "WD-0"));
         model->plug(blank("sdb", 16, "WD-0"));
         model->plug(drive());
         model->wait(3 * kSecond);
         return model;
       }},
      {"nuke_disk_too_small",
       [] {
         auto model = std::make_unique<ModelMachine>(
             facts("nuke_mode noresize muster.target=sda:serial=WD-0", kConfig,
                   "/dev/sda1 / ext3 90000\n"));
         model->medium("sr0", disc(kConfig, "1", "S1", "/dev/sda1 / ext3 90000\n"));
         model->start();
         model->plug(drive());
         model->plug(blank("sda", 0, "WD-0"));
         model->wait(3 * kSecond);
         return model;
       }},
      {"nuke_filter_fails",
       [] {
         auto model = nuke("muster.target=sda:serial=WD-0");
         model->fail_effect("launch", "filter", "lvm pvs: exit status 5");
         model->plug(blank("sda", 0, "WD-0"));
         model->wait(9 * kSecond);
         return model;
       }},
      {"being_prepared",
       [] {
         auto model = machine();
         model->hold("launch", "prepare");
         plug_all(*model);
         model->wait(kSecond * 2 / 5);
         return model;
       }},
      {"launched",
       [] {
         auto model = machine();
         plug_all(*model);
         model->wait(75 * kSecond);
         return model;
       }},
      {"launched_by_go",
       [] {
         auto model = machine();
         plug_all(*model, {"sdb"});
         model->wait(75 * kSecond);
         model->command("go");
         model->wait(60 * kSecond);
         return model;
       }},
      {"restarted_daemon",
       [] {
         auto known = facts();
         known["launch"] = "running";
         auto model = std::make_unique<ModelMachine>(known);
         model->start();
         plug_all(*model, {"sdb"});
         model->wait(5 * kSecond);
         return model;
       }},
      {"events_lost",
       [] {
         auto model = machine();
         plug_all(*model, {"sdb"});
         model->hold("source", "scan");
         model->send(EventsLost{"the receive buffer overran"});
         model->wait(kSecond / 2);
         return model;
       }},
  };
  return kSituations;
}

// --- the table

struct Situation {
  std::string name;
  std::string scenario;
  std::string source;  // "by hand", or a recording beside the table
  std::string point;   // of a recording: "9.5s"; empty: its end
  std::string subject;
};

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? std::string()
                                    : text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

// NAME | SCENARIO | SOURCE | POINT | SUBJECT; `open` lines name what the engine does not know yet.
std::vector<Situation> read_table(const fs::path& path, std::vector<std::string>& wrong) {
  std::ifstream file(path);
  std::vector<Situation> table;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.starts_with('#')) {
      continue;
    }
    std::vector<std::string> cells;
    std::istringstream cut(line);
    for (std::string cell; std::getline(cut, cell, '|');) {
      cells.push_back(trimmed(cell));
    }
    if (cells.front() == "open" && cells.size() == 3) {
      continue;
    }
    cells.resize(std::max<std::size_t>(cells.size(), 5));
    if (cells.size() != 5 || cells[2].empty()) {
      wrong.push_back("not a line of the table: " + line);
      continue;
    }
    table.push_back({cells[0], cells[1], cells[2], cells[3], cells[4]});
  }
  return table;
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Settings {
  fs::path table;
  fs::path journals;
  bool update = false;
};

// Written as musterd writes it, read back as any recording is.
Result<replay::Recording> journal_of(const std::string& name, ModelMachine& model,
                                     const Settings& settings) {
  replay::Segment segment;
  segment.header = {{"journal", 1}, {"kernel", "6.1"}, {"muster", "by hand"}};
  segment.rules = shipped_rule_files();
  Json rules = Json::array();
  for (const auto& source : segment.rules) {
    rules.push_back({{"name", source.name}, {"text", source.text}});
  }
  segment.header["rules"] = std::move(rules);
  for (const auto& step : model.steps()) {
    segment.steps.push_back({.line = 0, .event = step.event, .effects = step.answered});
  }
  const auto directory = settings.journals.empty() ? fs::temp_directory_path() : settings.journals;
  const auto path = directory / fmt::format("{}.jsonl", name);
  {
    std::ofstream file(path, std::ios::binary);
    file << to_text(segment);
  }
  auto recording = replay::read_recording(path);
  if (settings.journals.empty()) {
    fs::remove(path);
  }
  return recording;
}

// Where in a recording: after it ("", "end"), at a time ("9.5s"), or before or after the Nth line
// that holds a text, or so much later ("before medium take", "after operator: muster go #2 +3s").
struct Point {
  std::optional<Micros> time;
  bool before = false;
  std::string text;
  std::size_t times = 1;
  Micros later = 0;
};

Point read_point(const std::string& cell) {
  Point point;
  std::vector<std::string> words;
  std::istringstream cut(cell);
  for (std::string word; cut >> word;) {
    if (word.starts_with('#')) {
      point.times = std::strtoull(word.c_str() + 1, nullptr, 10);
    } else if (word.starts_with('+') || word.starts_with('-')) {
      point.later = static_cast<Micros>(std::strtod(word.c_str(), nullptr) * 1e6);
    } else {
      words.push_back(word);
    }
  }
  if (!words.empty() && (words.front() == "before" || words.front() == "after")) {
    point.before = words.front() == "before";
    point.text = fmt::format("{}", fmt::join(words.begin() + 1, words.end(), " "));
  } else if (!words.empty() && words.front() != "end") {
    point.time = static_cast<Micros>(std::strtod(words.front().c_str(), nullptr) * 1e6);
  }
  return point;
}

// When it is, and how many steps have been taken then.
struct Moment {
  Micros now = 0;
  std::size_t steps = 0;
};

std::optional<Moment> find(const Point& point, const replay::Recording& recording) {
  std::vector<const replay::Step*> steps;
  for (const auto& segment : recording.segments) {
    for (const auto& step : segment.steps) {
      steps.push_back(&step);
    }
  }
  const auto at = [&](Micros time) {
    const auto later = std::find_if(steps.begin(), steps.end(), [&](const replay::Step* step) {
      return step->event.time > time;
    });
    return Moment{time, static_cast<std::size_t>(later - steps.begin())};
  };
  if (steps.empty()) {
    return std::nullopt;
  }
  if (point.time) {
    return at(*point.time);
  }
  if (point.text.empty()) {
    return Moment{steps.back()->event.time, steps.size()};
  }
  std::size_t seen = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto& [line, event, effects] = *steps[i];
    const auto holds = [&](const std::string& text) {
      return text.find(point.text) != std::string::npos;
    };
    const bool here = holds(replay::describe(event)) ||
                      std::any_of(effects.begin(), effects.end(), [&](const Effect& effect) {
                        return holds(replay::describe(effect));
                      });
    if (here && ++seen == point.times) {
      return point.later != 0 ? at(event.time + point.later)
                              : Moment{event.time, point.before ? i : i + 1};
    }
  }
  return std::nullopt;
}

// That the engine still does what was recorded is what replay_logs looks at.
Result<std::string> explained(const Situation& situation, const Settings& settings) {
  Point point;
  Result<replay::Recording> recording;
  if (situation.source == "by hand") {
    const auto model = by_hand().at(situation.name)();
    point.time = model->now();
    recording = journal_of(situation.name, *model, settings);
  } else {
    point = read_point(situation.point);
    recording = replay::read_recording(settings.table.parent_path() / situation.source);
  }
  if (!recording) {
    return tl::unexpected(recording.error());
  }
  const auto moment = find(point, *recording);
  if (!moment) {
    return fail(Errc::not_found, fmt::format("{} holds no such line", situation.source));
  }
  std::unique_ptr<Engine> engine;
  std::size_t steps = 0;
  for (const auto& segment : recording->segments) {
    if (steps == moment->steps) {
      break;
    }
    auto next = replay::engine_for(segment);
    if (!next) {
      return tl::unexpected(next.error());
    }
    engine = std::move(*next);
    for (const auto& step : segment.steps) {
      if (steps++ == moment->steps) {
        --steps;
        break;
      }
      (void)engine->on(step.event);
    }
  }
  return engine == nullptr ? fail(Errc::invalid, "nothing happened before")
                           : Result<std::string>(explain_text(
                                 explain_json(*engine, situation.subject, moment->now)));
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{"Explains situations and compares the texts.", "explain_situations"};
  app.add_option("table", settings.table, "the situations")->required();
  app.add_flag("--update", settings.update, "rewrite the texts");
  app.add_option("--journals", settings.journals, "keep the journals of those by hand here");
  CLI11_PARSE(app, argc, argv);

  std::vector<std::string> wrong;
  std::size_t passed = 0;
  std::set<std::string> names;
  for (const auto& situation : read_table(settings.table, wrong)) {
    if (!names.insert(situation.name).second ||
        (situation.source == "by hand") != by_hand().contains(situation.name)) {
      wrong.push_back(situation.name + ": twice in the table, or its source is wrong");
      continue;
    }
    const auto text = explained(situation, settings);
    const auto golden = settings.table.parent_path() / fmt::format("{}.txt", situation.name);
    if (!text) {
      wrong.push_back(fmt::format("{}: {}", situation.name, text.error().text));
    } else if (settings.update) {
      std::ofstream(golden, std::ios::binary) << *text;
      ++passed;
    } else if (const auto known = read_file(golden); known != *text) {
      wrong.push_back(fmt::format("{} says\n{}\nand it is now\n{}", golden.string(), known, *text));
    } else {
      ++passed;
    }
  }
  for (const auto& [name, play] : by_hand()) {
    if (!names.contains(name)) {
      wrong.push_back(name + ": not in the table");
    }
  }
  for (const auto& entry : fs::directory_iterator(fs::absolute(settings.table).parent_path())) {
    const auto name = entry.path().stem().string();
    if (entry.path().extension() == ".txt" &&
        entry.path().filename() != settings.table.filename() && !names.contains(name)) {
      wrong.push_back(entry.path().string() + ": no situation of the table");
    }
  }
  for (const auto& each : wrong) {
    fmt::print("{}\n", each);
  }
  fmt::print("{} passed, {} failed\n", passed, wrong.size());
  return wrong.empty() ? 0 : 1;
}
