#include "handlers/md/md_superblock_json.h"

#include <gtest/gtest.h>

namespace muster::md {
namespace {

Superblock usual_one() {
  Superblock sb;
  sb.version = Version::v1_2;
  sb.major_version = 1;
  sb.minor_version = 2;
  sb.array_uuid = "00112233:44556677:8899aabb:ccddeeff";
  sb.device_uuid = "ffeeddcc:bbaa9988:77665544:33221100";
  sb.full_name = "host:data";
  sb.home_host = "host";
  sb.name = "data";
  sb.level = 5;
  sb.layout = 2;
  sb.chunk_sectors = 1024;
  sb.raid_disks = 3;
  sb.role = {Role::Kind::active, 2};
  sb.events = 1234;
  sb.used_sectors = 20480;
  sb.data_offset = 2048;
  sb.data_sectors = 20480;
  sb.super_offset = 8;
  sb.slots = {SlotState::active, SlotState::missing, SlotState::active};
  return sb;
}

Superblock everything_set() {
  Superblock sb = usual_one();
  sb.foreign_endianness = true;
  sb.layout_is_meaningful = false;
  sb.preferred_minor = 127;
  sb.device_number = 7;
  sb.write_mostly = sb.fail_fast = true;
  sb.created = 1;
  sb.updated = 2;
  sb.resync_offset = 0;
  sb.clean = false;
  sb.feature_map = 0x1ff;
  sb.unknown_features = 0x80000000U;
  sb.reserved_bytes_set = sb.clustered = sb.replacement = sb.has_journal = sb.has_bad_blocks = true;
  sb.bitmap_offset = -16;
  sb.ppl = Ppl{8, 2048};
  sb.recovery_offset = 99;
  sb.recovery_by_bitmap = true;
  sb.reshape = Reshape{100, 6, -1, 512, -2, -100, true};
  sb.bad_block_log = BadBlockLog{16, 8, 3};
  sb.slots.push_back(SlotState::replacing);
  return sb;
}

TEST(SuperblockJson, ComesBackAsItWas) {
  Superblock spare = usual_one();
  spare.role = {Role::Kind::spare, 0};
  Superblock extreme = usual_one();
  extreme.events = kMaxSector;
  extreme.data_sectors = kMaxSector;
  extreme.level = kMultipath;
  Superblock journal = usual_one();
  journal.role = {Role::Kind::journal, 0};
  for (const Superblock& sb : {usual_one(), everything_set(), spare, extreme, journal}) {
    // Through the text, as the journal does it.
    const auto back = superblock_from_json(Json::parse(to_json(sb).dump()));
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_EQ(*back, sb) << to_json(sb).dump();
  }
}

TEST(SuperblockJson, SaysWhatPoliciesRead) {
  const Json json = to_json(usual_one());
  EXPECT_EQ(json["version"], "1.2");
  EXPECT_EQ(json["uuid"], "00112233:44556677:8899aabb:ccddeeff");
  EXPECT_EQ(json["role"], 2);
  EXPECT_EQ(json["role_kind"], "active");
  EXPECT_EQ(json["chunk"], 524288);
  EXPECT_EQ(json["roles"], Json::parse(R"(["active", "missing", "active"])"));
  EXPECT_EQ(json["bitmap"], false);
  EXPECT_EQ(json["unusual"], "");
  EXPECT_EQ(json["size_sectors"], 20480);
  EXPECT_EQ(json["data_size"], 20480);
  EXPECT_EQ(to_json(everything_set())["unusual"], "written by a machine of the other byte order");
}

TEST(SuperblockJson, ErrorsNameTheField) {
  const struct {
    const char* field;
    Json value;
  } cases[] = {
      {"version", "3.1"},
      {"version", 12},
      {"uuid", nullptr},
      {"level", "five"},
      {"level", 1LL << 40},
      {"raid_disks", -1},
      {"events", 1.5},
      {"role", 4},
      {"role", -1},
      {"role_kind", "boss"},
      {"roles", "all"},
      {"roles", Json::parse(R"(["x"])")},
      {"chunk", 1ULL << 60},
      {"clean", 1},
      {"reshape", 7},
      {"ppl", Json::object()},
      {"bitmap_offset", "middle"},
      {"roles", Json(5000, "active")},
  };
  for (const auto& c : cases) {
    Json json = to_json(everything_set());
    json[c.field] = c.value;
    const auto back = superblock_from_json(json);
    ASSERT_FALSE(back) << c.field << " " << c.value.dump().substr(0, 80);
    const bool part = std::string(c.field) == "ppl";
    EXPECT_NE(back.error().text.find(part ? "\"offset\"" : "\"" + std::string(c.field) + "\""),
              std::string::npos)
        << back.error().text;
  }
  for (const char* field :
       {"version", "uuid", "events", "clean", "role", "roles", "role_kind", "chunk"}) {
    Json json = to_json(usual_one());
    json.erase(field);
    const auto back = superblock_from_json(json);
    ASSERT_FALSE(back) << field;
    EXPECT_NE(back.error().text.find(field), std::string::npos) << back.error().text;
  }
  EXPECT_FALSE(superblock_from_json(Json::array()));
}

}  // namespace
}  // namespace muster::md
