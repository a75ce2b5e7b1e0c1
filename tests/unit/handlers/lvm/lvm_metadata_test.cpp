#include "handlers/lvm/lvm_metadata.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "handlers/lvm/lvm_label.h"
#include "handlers/lvm/map_name.h"
#include "tests/support/device_image.h"

namespace muster::lvm {
namespace {

using ::muster::testing::DeviceImage;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::string_view kText = R"(
# A comment
my-vg {
id = "AAAAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAAAA"
seqno = 7
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = 8192   # 4 Megabytes
physical_volumes {
pv0 {
id = "BBBBBB-BBBB-BBBB-BBBB-BBBB-BBBB-BBBBBB"
device = "/dev/sda"
status = ["ALLOCATABLE"]
flags = []
dev_size = 131072
pe_start = 2048
pe_count = 15
}
pv1 {
id = "CCCCCC-CCCC-CCCC-CCCC-CCCC-CCCC-CCCCCC"
status = ["ALLOCATABLE"]
flags = ["MISSING"]
dev_size = 131072
pe_start = 4096
pe_count = 15
}
}
logical_volumes {
a-b {
id = "DDDDDD-DDDD-DDDD-DDDD-DDDD-DDDD-DDDDDD"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
segment_count = 2
segment1 {
start_extent = 0
extent_count = 3
type = "striped"
stripe_count = 1
stripes = [
"pv0", 2
]
}
segment2 {
start_extent = 3
extent_count = 4
type = "striped"
stripe_count = 2
stripe_size = 128
stripes = [
"pv0", 5,
"pv1", 0
]
}
}
}
}
contents = "Text Format Volume Group"
version = 1
)";

TEST(VolumeGroup, ReadsATypicalText) {
  const auto vg = parse_volume_group(std::string(kText));
  ASSERT_TRUE(vg) << vg.error().text;
  EXPECT_EQ(vg->name, "my-vg");
  EXPECT_EQ(vg->seqno, 7);
  EXPECT_TRUE(vg->pvs[1].is_missing);
  const auto lv = vg->find_lv("a-b");
  ASSERT_TRUE(lv);
  EXPECT_EQ(map_name(vg->name, "a-b"), "my--vg-a--b");
  EXPECT_EQ(dm_uuid(*vg, vg->lvs[*lv]),
            "LVM-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD");
  EXPECT_THAT(pvs_of(*vg, *lv), ElementsAre("BBBBBB-BBBB-BBBB-BBBB-BBBB-BBBB-BBBBBB",
                                            "CCCCCC-CCCC-CCCC-CCCC-CCCC-CCCC-CCCCCC"));
  const auto table = linear_table(*vg, *lv);
  ASSERT_TRUE(table);
  const TableLine first{0, 24576, TableLine::Target::linear, 0, {{vg->pvs[0].id, 2048 + 2 * 8192}}};
  const TableLine second{24576,
                         32768,
                         TableLine::Target::striped,
                         128,
                         {{vg->pvs[0].id, 2048 + 5 * 8192}, {vg->pvs[1].id, 4096}}};
  EXPECT_THAT(*table, ElementsAre(first, second));
}

// --- real volume groups

VolumeGroup group_on(const std::string& fixture) {
  DeviceImage image = DeviceImage::fixture("lvm/" + fixture);
  const auto head = read_physical_volume(image.reader(), image.size());
  EXPECT_TRUE(head && *head && (*head)->texts.size() == 1) << fixture;
  auto vg = parse_volume_group((*head)->texts.at(0).text);
  EXPECT_TRUE(vg) << vg.error().text;
  return vg.value_or(VolumeGroup{});
}

// What device-mapper had of a volume group that lvm2 activated: name -> UUID and table.
struct Device {
  std::string uuid;
  std::vector<std::string> table;
};
std::map<std::string, Device> witness(const std::string& vg) {
  std::map<std::string, Device> devices;
  std::ifstream in(DeviceImage::fixture_path("lvm/" + vg + ".witness"));
  std::string name;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("device ")) {
      const size_t space = line.find(' ', 7);
      name = line.substr(7, space - 7);
      devices[name].uuid = line.substr(space + 1);
    } else {
      devices[name].table.push_back(line.substr(2));
    }
  }
  EXPECT_THAT(devices, ::testing::Not(IsEmpty())) << vg;
  return devices;
}

// As dmsetup prints it; physical volumes by the name of their fixture, which is that of the first
// one and an index.
std::vector<std::string> printed(const std::vector<TableLine>& table, const VolumeGroup& vg,
                                 const std::string& stem) {
  std::vector<std::string> out;
  for (const TableLine& line : table) {
    std::string text = fmt::format("{} {} ", line.start, line.length);
    text += line.target == TableLine::Target::linear
                ? "linear"
                : fmt::format("striped {} {}", line.parts.size(), line.stripe_size);
    for (const TableLine::Part& part : line.parts) {
      text += fmt::format(" {}-{} {}", stem, vg.find_pv(part.pv_id).value_or(99), part.offset);
    }
    out.push_back(text);
  }
  return out;
}

TEST(VolumeGroup, TablesNamesAndUuidsAreThoseOfLvm2) {
  struct Case {
    std::string vg, fixture;
    std::vector<std::string> native;  // LVs that need nothing but linear and striped targets
  };
  const std::vector<Case> cases{
      {"my-vg",
       "plain",
       {"root", "lv-with--hyphens", "striped", "mixed", "readonly", "fixed", "ahead", "skipped",
        "manual", "tagged"}},
      {"raidvg", "raid", {"lin"}},
      {"thinvg", "thin", {"plain", "lvol0_pmspare"}},
  };
  for (const Case& c : cases) {
    const VolumeGroup vg = group_on(c.fixture + "-0");
    ASSERT_EQ(vg.name, c.vg);
    auto devices = witness(c.vg);
    std::vector<std::string> native;
    for (uint32_t i = 0; i < vg.lvs.size(); ++i) {
      const LogicalVolume& lv = vg.lvs[i];
      const auto table = linear_table(vg, i);
      EXPECT_EQ(table.has_value(), !why_not_linear(vg, i)) << lv.name;
      if (!table) {
        continue;
      }
      native.push_back(lv.name);
      if (!lv.is_visible) {
        continue;  // lvm2 keeps the spare for repairs inactive
      }
      const auto device = devices.find(map_name(vg.name, lv.name));
      ASSERT_NE(device, devices.end()) << lv.name;
      EXPECT_EQ(dm_uuid(vg, lv), device->second.uuid);
      EXPECT_EQ(printed(*table, vg, c.fixture), device->second.table) << lv.name;
      devices.erase(device);
    }
    EXPECT_EQ(native, c.native);
  }
}

TEST(VolumeGroup, LayersHaveNamesOfTheirOwn) {
  const VolumeGroup vg = group_on("thin-0");
  const auto devices = witness("thinvg");
  for (const auto& [name, layer] :
       {std::pair{"origin", "real"}, std::pair{"snap", "cow"}, std::pair{"pool", "tpool"}}) {
    const auto lv = vg.find_lv(name);
    ASSERT_TRUE(lv);
    const auto device = devices.find(map_name(vg.name, name, layer));
    ASSERT_NE(device, devices.end()) << name;
    EXPECT_EQ(dm_uuid(vg, vg.lvs[*lv], layer), device->second.uuid);
  }
  EXPECT_EQ(map_name(vg.name, "a-b", "_m-log"), "thinvg-a--b_m--log");
}

TEST(VolumeGroup, WhyALogicalVolumeIsLvm2s) {
  const auto reasons = [](const VolumeGroup& vg, const std::vector<std::string>& names) {
    std::vector<std::string> out;
    for (const std::string& name : names) {
      out.push_back(why_not_linear(vg, *vg.find_lv(name)).value_or("none"));
    }
    return out;
  };
  EXPECT_THAT(
      reasons(group_on("raid-0"), {"r1", "r5", "r0", "mir", "r1_rimage_0", "mir_mlog"}),
      ElementsAre(R"(has a segment of type "raid1")", R"(has a segment of type "raid5")",
                  R"(has a segment of type "raid0")", R"(has a segment of type "mirror")",
                  R"("r1" is built on it (raid1))", R"("mir" is built on it (mirror_log))"));
  EXPECT_THAT(
      reasons(group_on("thin-0"), {"thin1", "origin", "snap", "ext", "ofext", "slow", "plain"}),
      ElementsAre(R"("thinsnap" is built on it (origin))", R"("snapshot0" is built on it (origin))",
                  R"("snapshot0" is built on it (cow_store))",
                  R"("ofext" is built on it (external_origin))", R"(has a segment of type "thin")",
                  R"(has a segment of type "cache")", "none"));
}

TEST(VolumeGroup, PhysicalVolumesThatALogicalVolumeLiesOn) {
  const auto needs = [](const VolumeGroup& vg, const std::string& name) {
    return vg.lvs[*vg.find_lv(name)].needed_pvs;
  };
  const VolumeGroup plain = group_on("plain-0");
  EXPECT_THAT(needs(plain, "root"), ElementsAre(0));
  EXPECT_THAT(needs(plain, "mixed"), ElementsAre(0, 1));
  EXPECT_THAT(needs(plain, "striped"), ElementsAre(0, 1, 2));
  EXPECT_THAT(pvs_of(plain, *plain.find_lv("mixed")),
              ::testing::UnorderedElementsAre(plain.pvs[0].id, plain.pvs[1].id));
  const VolumeGroup raid = group_on("raid-0");
  EXPECT_THAT(needs(raid, "r1"), ElementsAre(0, 1));
  EXPECT_THAT(needs(raid, "r10"), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(needs(raid, "mir"), ElementsAre(0, 1, 3));  // its log is on the fourth
  EXPECT_THAT(needs(raid, "lin"), ElementsAre(0));
  const VolumeGroup thin = group_on("thin-0");
  EXPECT_THAT(needs(thin, "thin1"), ElementsAre(0));
  EXPECT_THAT(needs(thin, "ofext"), ElementsAre(0, 1));  // the pool, and the origin outside it
  EXPECT_THAT(needs(thin, "ext"), ElementsAre(1));
  EXPECT_THAT(needs(thin, "slow"), ElementsAre(0, 1));
  // A snapshot and its origin: one without the other is of no use, and neither is half of either.
  EXPECT_THAT(needs(thin, "origin"), ElementsAre(0, 1));
  EXPECT_THAT(needs(thin, "snap"), ElementsAre(0, 1));
  EXPECT_THAT(needs(group_on("missing-0"), "safe"), ElementsAre(0));
  EXPECT_THAT(needs(group_on("missing-0"), "half"), ElementsAre(1, 2));
}

TEST(VolumeGroup, WhatIsShownIsWhatLvsShows) {
  const VolumeGroup vg = group_on("thin-0");
  std::vector<std::string> visible;
  for (const LogicalVolume& lv : vg.lvs) {
    if (lv.is_visible) {
      visible.push_back(lv.name);
    }
  }
  EXPECT_THAT(visible, ElementsAre("pool", "thin1", "thinsnap", "origin", "snap", "snap2", "ext",
                                   "ofext", "slow", "plain"));
}

TEST(VolumeGroup, WishesOfLogicalVolumes) {
  const VolumeGroup vg = group_on("plain-0");
  const auto lv = [&vg](const std::string& name) { return vg.lvs[*vg.find_lv(name)]; };
  EXPECT_TRUE(lv("root").is_writable);
  EXPECT_FALSE(lv("readonly").is_writable);
  EXPECT_EQ(lv("fixed").minor, 77);
  EXPECT_EQ(lv("root").minor, std::nullopt);
  EXPECT_EQ(lv("ahead").read_ahead, 512);
  EXPECT_EQ(lv("root").read_ahead, std::nullopt);
  EXPECT_TRUE(lv("skipped").skips_activation);
  EXPECT_FALSE(lv("root").skips_activation);
  EXPECT_FALSE(lv("manual").auto_activation);
  EXPECT_TRUE(lv("root").auto_activation);
}

TEST(VolumeGroup, FlagsOfTheGroup) {
  EXPECT_TRUE(group_on("exported-0").is_exported);
  EXPECT_FALSE(group_on("plain-0").is_exported);
  const VolumeGroup foreign = group_on("foreign-0");
  EXPECT_EQ(foreign.system_id, "elsewhere");
  EXPECT_TRUE(foreign.is_writable);  // WRITE_LOCKED
  EXPECT_EQ(group_on("plain-0").system_id, "");
}

// --- texts that somebody made up

// kText with the one place that reads FROM changed to TO.
std::string changed(std::string_view from, std::string_view to) {
  std::string text(kText);
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  EXPECT_EQ(text.find(from, at + 1), std::string::npos) << "ambiguous: " << from;
  return text.replace(at, from.size(), to);
}

struct Change {
  std::string from, to, error;
};

TEST(HostileMetadata, LiesAreErrors) {
  const std::vector<Change> changes{
      {"extent_size = 8192", "extent_size = 0", "line 9: extent size is 0 sectors"},
      {"extent_size = 8192", "extent_size = -1", "line 9: extent_size is no number of this kind"},
      {"extent_size = 8192", "extent_size = 9223372036854775807", "extent size is"},
      {"extent_size = 8192", "extent_size = 9223372036854775808", "does not fit in 64 bits"},
      {"extent_size = 8192", "", R"("my-vg" has no extent_size)"},
      {"seqno = 7", "seqno = \"7\"", "seqno is no number"},
      {"format = \"lvm2\"", "format = \"lvm1\"", R"(format is "lvm1")"},
      {"version = 1", "version = 2", "not a text format volume group"},
      {"contents = \"Text Format Volume Group\"", "", "not a text format volume group"},
      {"my-vg {", "-my-vg {", R"("-my-vg" is no name for a volume group)"},
      {"my-vg {", ".. {", R"(".." is no name for a volume group)"},
      {"a-b {", ". {", R"("." is no logical volume)"},
      {"a-b {", "a/b {", "line 30: expected = or { after \"a\""},
      {"pe_start = 2048", "pe_start = 9223372036854775807", "from sector 9223372036854775807 on"},
      {"id = \"AAAAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAAAA\"", "", "is no UUID"},
      {"BBBBBB-BBBB-BBBB", "BBBBBB-BBBB-BBB?", "is no UUID"},
      {"CCCCCC-CCCC-CCCC-CCCC-CCCC-CCCC-CCCCCC", "BBBBBB-BBBB-BBBB-BBBB-BBBB-BBBB-BBBBBB",
       "two physical volumes with id BBBBBB"},
      {"pv1 {", "pv0 {", R"(line 20: "pv0" stands twice in its section)"},
      {"segment2 {", "segment1 {", R"(line 44: "segment1" stands twice)"},
      {"segment_count = 2", "segment_count = 1",
       R"(logical volume "a-b": lvm metadata, line 30: 2 segments, announced are 1)"},
      {"segment_count = 2", "segment_count = 2147483648", "2 segments, announced are 2147483648"},
      {"extent_count = 3", "extent_count = 0", "line 35: 0 extents from extent 0 on"},
      {"extent_count = 3", "extent_count = 2", "a segment starts at extent 3, expected 2"},
      {"extent_count = 3", "extent_count = 4", "a segment starts at extent 3, expected 4"},
      {"extent_count = 4", "extent_count = 5", "5 extents do not divide into 2 stripes"},
      {"extent_count = 4", "extent_count = 22",
       R"(logical volume "a-b": extents 5+11 reach beyond the 15 of "pv0")"},
      {"\"pv0\", 5", "\"pv0\", 14", R"(extents 14+2 reach beyond the 15 of "pv0")"},
      {"\"pv0\", 5", "\"pv0\", 4", R"(extent 4 of "pv0" belongs to "a-b" and to "a-b")"},
      {"\"pv0\", 5", "\"pv0\", -5", "extent -5"},
      {"\"pv0\", 5", "\"pv0\"", "no extent after \"pv0\""},
      {"\"pv0\", 5", "\"pv9\", 5", R"(line 51: there is no volume "pv9")"},
      {"\"pv0\", 5", "\"a-b\", 0", R"(logical volume "a-b" is made of itself)"},
      {"stripe_count = 2", "stripe_count = 2147483648", "2 stripes, announced are 2147483648"},
      {"stripe_count = 1", "stripe_count = 0", "1 stripes, announced are 0"},
      {"stripe_count = 1", "", R"("segment1" has no stripe_count)"},
      {"stripe_size = 128", "stripe_size = 0", "stripe size is 0 sectors"},
      {"stripe_size = 128", "stripe_size = 7", "stripe size is 7 sectors"},
      {"stripe_size = 128", "stripe_size = 4294967296", "stripe size is 4294967296 sectors"},
      {"status = [\"READ\", \"WRITE\", \"VISIBLE\"]", "status = 3", "status is no list"},
      {"status = [\"READ\", \"WRITE\", \"VISIBLE\"]", "status = [3]", "expected a string"},
      {"physical_volumes {", "physical_volumen {", "has no physical volumes"},
  };
  for (const Change& c : changes) {
    SCOPED_TRACE(c.to);
    const auto vg = parse_volume_group(changed(c.from, c.to));
    ASSERT_FALSE(vg);
    EXPECT_THAT(vg.error().text, HasSubstr(c.error));
    EXPECT_EQ(vg.error().text.find('\n'), std::string::npos);
  }
}

TEST(HostileMetadata, EveryTruncationIsAnError) {
  // As long as anything of the end is missing the text does not say what it is.
  for (size_t n = 0; n + 2 < kText.size(); ++n) {
    EXPECT_FALSE(parse_volume_group(std::string(kText.substr(0, n)))) << n;
  }
}

std::string segment(const std::string& type, const std::string& rest) {
  return fmt::format(
      "segment_count = 1\nsegment1 {{\nstart_extent = 0\nextent_count = 1\ntype = \"{}\"\n{}\n}}\n",
      type, rest);
}

// A volume group on pv0 (1000 extents), with these logical volumes: name and segment.
std::string group_with(const std::vector<std::pair<std::string, std::string>>& lvs) {
  std::string text =
      "vg {\nid = \"AAAAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAAAA\"\nseqno = 1\nextent_size = 8\n"
      "physical_volumes {\n"
      "pv0 {\nid = \"BBBBBB-BBBB-BBBB-BBBB-BBBB-BBBB-BBBBBB\"\npe_start = 8\npe_count = "
      "1000000\n}\n"
      "pv1 {\nid = \"CCCCCC-CCCC-CCCC-CCCC-CCCC-CCCC-CCCCCC\"\npe_start = 8\npe_count = "
      "1000000\n}\n}\n"
      "logical_volumes {\n";
  size_t i = 0;
  for (const auto& [name, body] : lvs) {
    text += fmt::format(
        "{} {{\nid = \"{:032}\"\nstatus = [\"READ\", \"WRITE\", \"VISIBLE\"]\nflags = []\n{}}}\n",
        name, i++, body);
  }
  return text + "}\n}\ncontents = \"Text Format Volume Group\"\nversion = 1\n";
}

std::string linear(const std::string& volume, size_t extent) {
  return segment("striped",
                 fmt::format("stripe_count = 1\nstripes = [\"{}\", {}]", volume, extent));
}

TEST(HostileMetadata, LoopsOfEachKindAreRefused) {
  struct Case {
    std::string what;
    std::vector<std::pair<std::string, std::string>> lvs;
  };
  const std::vector<Case> cases{
      {"itself", {{"a", linear("a", 0)}}},
      {"two", {{"a", linear("b", 0)}, {"b", linear("a", 0)}}},
      {"raid", {{"a", segment("raid1", "raids = [\"b\", \"b\"]")}, {"b", linear("a", 0)}}},
      {"thin",
       {{"a", segment("thin", "thin_pool = \"b\"")},
        {"b", segment("thin-pool", "pool = \"a\"\nmetadata = \"a\"")}}},
      {"snapshot",
       {{"a", linear("pv0", 0)},
        {"c", linear("s", 0)},
        {"s", segment("snapshot", "origin = \"a\"\ncow_store = \"c\"")}}},
      {"unknown type", {{"a", segment("future", "whatever = \"b\"")}, {"b", linear("a", 0)}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const auto vg = parse_volume_group(group_with(c.lvs));
    ASSERT_FALSE(vg);
    EXPECT_THAT(vg.error().text, HasSubstr("is made of itself"));
  }
}

TEST(HostileMetadata, NamesThatLeadNowhere) {
  for (const std::string rest :
       {"origin = \"x\"", "thin_pool = \"x\"", "raids = [\"x\"]", "mirror_log = \"x\"",
        "raids = [\"pv0\"]", "metadata = 3", "raids = [3]", "raids = \"x\""}) {
    const auto vg = parse_volume_group(group_with({{"a", segment("raid1", rest)}}));
    EXPECT_FALSE(vg) << rest;
  }
  std::string many = "raids = [";
  for (int i = 0; i < 1025; ++i) {
    many += "\"b\", ";
  }
  const auto vg = parse_volume_group(
      group_with({{"a", segment("raid1", many + "]")}, {"b", linear("pv0", 0)}}));
  ASSERT_FALSE(vg);
  EXPECT_THAT(vg.error().text, HasSubstr("more than 1024 raids"));
}

TEST(HostileMetadata, TwoVolumesOnOneExtent) {
  const auto vg = parse_volume_group(
      group_with({{"a", linear("pv0", 5)}, {"b", linear("pv1", 5)}, {"c", linear("pv0", 5)}}));
  ASSERT_FALSE(vg);
  EXPECT_EQ(vg.error().text, R"(lvm metadata: extent 5 of "pv0" belongs to "a" and to "c")");
}

TEST(HostileMetadata, ManyNamesOfFewVolumes) {
  // Each of 150 volumes names each of the layer below, over and over.
  std::vector<std::pair<std::string, std::string>> lvs;
  for (int layer = 0; layer < 6; ++layer) {
    for (int i = 0; i < 150; ++i) {
      std::string list = "raids = [";
      for (int j = 0; j < 150 && layer > 0; ++j) {
        list += fmt::format("\"l{}-{}\", ", layer - 1, j);
      }
      lvs.emplace_back(fmt::format("l{}-{}", layer, i), layer == 0
                                                            ? linear("pv0", static_cast<size_t>(i))
                                                            : segment("raid1", list + "]"));
    }
  }
  // A lot of names, but all of them lead to one physical volume: read, and quickly.
  const auto vg = parse_volume_group(group_with(lvs));
  ASSERT_TRUE(vg) << vg.error().text;
  EXPECT_THAT(vg->lvs.back().needed_pvs, ElementsAre(0));
}

TEST(Metadata, FutureSegmentTypesKeepTheirPhysicalVolumes) {
  const auto vg = parse_volume_group(
      group_with({{"a", segment("future+FLAG", "one = \"b\"\ntwo = [\"pv1\", 7]\nthree = \"x\"")},
                  {"b", linear("pv0", 0)}}));
  ASSERT_TRUE(vg) << vg.error().text;
  EXPECT_THAT(vg->lvs[0].needed_pvs, ElementsAre(0, 1));
  EXPECT_EQ(why_not_linear(*vg, 0), R"(has a segment of type "future+FLAG")");
  EXPECT_EQ(why_not_linear(*vg, 1), R"("a" is built on it (one))");
}

TEST(Metadata, FlagsThatChangeWhatIsActivatedAreLvm2s) {
  for (const std::string flag : {"PVMOVE", "LOCKED", "VIRTUAL", "MERGING", "FROM_THE_FUTURE"}) {
    std::string text = group_with({{"a", linear("pv0", 0)}});
    text.replace(text.find("\"VISIBLE\""), 9, fmt::format("\"VISIBLE\", \"{}\"", flag));
    const auto vg = parse_volume_group(text);
    ASSERT_TRUE(vg);
    EXPECT_EQ(why_not_linear(*vg, 0), fmt::format("has the flag \"{}\"", flag));
    EXPECT_EQ(linear_table(*vg, 0), std::nullopt);
  }
}

TEST(Metadata, VolumesOnVolumesAreLvm2s) {
  const auto vg = parse_volume_group(group_with({{"a", linear("b", 0)}, {"b", linear("pv1", 3)}}));
  ASSERT_TRUE(vg);
  EXPECT_EQ(why_not_linear(*vg, 0), R"(lies on logical volume "b")");
  EXPECT_THAT(vg->lvs[0].needed_pvs, ElementsAre(1));
}

TEST(Metadata, SharedGroups) {
  std::string text = group_with({});
  text.replace(text.find("seqno = 1"), 9, "seqno = 1\nlock_type = \"sanlock\"");
  EXPECT_EQ(parse_volume_group(text)->lock_type, "sanlock");
}

TEST(Metadata, FiveThousandLogicalVolumes) {
  std::vector<std::pair<std::string, std::string>> lvs;
  for (size_t i = 0; i < 5000; ++i) {
    lvs.emplace_back(fmt::format("lv{}", i), linear(i % 2 == 0 ? "pv0" : "pv1", i));
  }
  const auto vg = parse_volume_group(group_with(lvs));
  ASSERT_TRUE(vg) << vg.error().text;
  EXPECT_THAT(vg->lvs, SizeIs(5000));
  EXPECT_THAT(*linear_table(*vg, 4999),
              ElementsAre(TableLine{0, 8, TableLine::Target::linear, 0, {{vg->pvs[1].id, 40000}}}));
}

// --- the language

TEST(ConfigText, ValuesOfEachKind) {
  const auto c = Config::parse(
      "# first\n a = 1 # one\n b=\"x\\\"y\\\\z\\n\"\nc = [1, \"two\", 3.5,]\nd { e = -7 }\nf = []\n"
      "0g = +2");
  ASSERT_TRUE(c) << c.error().text;
  EXPECT_EQ(c->integer(c->find(Config::kRoot, "a")), 1);
  EXPECT_EQ(c->text(c->find(Config::kRoot, "b")), "x\"y\\z\\n");
  const auto list = c->find(Config::kRoot, "c");
  EXPECT_EQ(c->kind(list), Config::Kind::list);
  const auto one = c->first_child(list);
  EXPECT_EQ(c->integer(one), 1);
  EXPECT_EQ(c->text(c->next(one)), "two");
  EXPECT_EQ(c->text(c->next(c->next(one))), "3.5");
  EXPECT_EQ(c->kind(c->next(c->next(one))), Config::Kind::real);
  EXPECT_EQ(c->next(c->next(c->next(one))), Config::kNone);
  EXPECT_EQ(c->integer(c->find(c->find(Config::kRoot, "d"), "e")), -7);
  EXPECT_EQ(c->first_child(c->find(Config::kRoot, "f")), Config::kNone);
  EXPECT_EQ(c->integer(c->find(Config::kRoot, "0g")), 2);
  EXPECT_EQ(c->find(Config::kRoot, "h"), Config::kNone);
  EXPECT_EQ(c->line(c->find(Config::kRoot, "f")), 6);
}

TEST(ConfigText, ErrorsNameTheLine) {
  const std::map<std::string, std::string> expected{
      {"a", R"(lvm metadata, line 1: expected = or { after "a")"},
      {"a =", "lvm metadata, line 1: the text ends where a value should stand"},
      {"\n\na = ]", R"(lvm metadata, line 3: expected a value, found "]")"},
      {"a = b", R"(lvm metadata, line 1: expected a value, found "b")"},
      {"a = 1.2.3", R"(lvm metadata, line 1: expected a value, found "1.2.3")"},
      {"a = 0x10", R"(lvm metadata, line 1: expected a value, found "0x10")"},
      {"a = 010", R"(lvm metadata, line 1: "010" has a leading zero)"},
      {"a = -", R"(lvm metadata, line 1: expected a value, found "-")"},
      {"a = 1\na = 2", R"(lvm metadata, line 2: "a" stands twice in its section)"},
      {"a {\n", R"(lvm metadata, line 1: "a" is not closed)"},
      {"a { } }", "lvm metadata, line 1: a } too many"},
      {"a = [1 2]", "lvm metadata, line 1: expected , or ] in a list"},
      {"a = [[1]]", R"(lvm metadata, line 1: expected a value, found "[")"},
      {"a = [1", "lvm metadata, line 1: expected , or ] in a list"},
      {"a = \"x\n", "lvm metadata, line 1: a string is not closed"},
      {"a = \"x\\", "lvm metadata, line 1: a string is not closed"},
      {"= 1", R"(lvm metadata, line 1: unexpected "=")"},
      {"a = 1\n\x01", R"(lvm metadata, line 2: unexpected "\x01")"},
  };
  std::map<std::string, std::string> got;
  for (const auto& [text, error] : expected) {
    const auto c = Config::parse(text);
    got[text] = c ? "no error" : c.error().text;
  }
  EXPECT_EQ(got, expected);
}

TEST(ConfigText, DepthAndNumberAreBounded) {
  std::string deep;
  for (int i = 0; i < 15; ++i) {
    deep += "a { ";
  }
  EXPECT_TRUE(Config::parse(deep + std::string(15, '}')));
  EXPECT_THAT(Config::parse("a { " + deep + std::string(16, '}')).error().text,
              HasSubstr("nested deeper than 16"));
  // A million opening braces cost nothing.
  std::string endless;
  for (int i = 0; i < 1000000; ++i) {
    endless += "a{";
  }
  EXPECT_FALSE(Config::parse(endless));
  std::string many;
  for (int i = 0; i < 100; ++i) {
    many += fmt::format("a{} = [1, 2]\n", i);
  }
  EXPECT_TRUE(Config::parse(many, 301));
  EXPECT_THAT(Config::parse(many, 300).error().text, HasSubstr("line 100: more than 300 values"));
}

TEST(ConfigText, EmptyAndBlankAreFine) {
  for (const std::string text : {"", " \n\t", "# nothing", "\n#\n"}) {
    EXPECT_TRUE(Config::parse(text));
    EXPECT_FALSE(parse_volume_group(text));
  }
}

}  // namespace
}  // namespace muster::lvm
