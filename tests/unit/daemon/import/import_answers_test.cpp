#include "daemon/import/import_answers.h"

#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

#include "daemon/import/import_command.h"
#include "daemon/import/imported.h"
#include "tests/support/temp_tree.h"

namespace muster::imports {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kImports = std::string(MUSTER_SOURCE_DIR) + "/tests/replay/imports/";

Result<std::string> no_file(const std::string& path) {
  return fail(Errc::not_found, path + ": No such file or directory");
}

Result<Answers> answers_of(std::string_view text) {
  return read_answers("a.toml", text, no_file);
}

struct Wrong {
  const char* text;
  const char* why;
};

class WrongAnswers : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongAnswers, NameTheLine) {
  const auto answers = answers_of(GetParam().text);
  ASSERT_FALSE(answers);
  EXPECT_EQ(answers.error().text, GetParam().why);
}

INSTANTIATE_TEST_SUITE_P(
    Answers, WrongAnswers,
    ::testing::Values(
        Wrong{"[fact]\n",
              "a.toml: line 1: unknown key \"fact\"; known here: facts, device, medium, "
              "volume_group, alias, modules"},
        Wrong{"[facts]\ncmdline = \"x\"\n",
              "a.toml: line 2: unknown key \"cmdline\"; known here: command_line, kernel, "
              "muster.toml, mondo-restore.cfg, mountlist.txt, i-want-my-lvm, raidtab"},
        Wrong{"[device.\"/dev/sda\"]\nsize = \"1M\"\n",
              "a.toml: line 2: \"size\" is a whole number, not below 0"},
        Wrong{"[device.\"/dev/sda\"]\nholds = \"iso\"\n",
              "a.toml: line 2: \"holds\" is \"nothing\"; for all else there is \"properties\""},
        Wrong{"[device.\"/dev/sda\".md]\nlevel = \"raid77\"\n",
              "a.toml: line 2: \"level\" is one such as \"raid5\" or \"linear\""},
        Wrong{"[device.\"/dev/sda\".md]\nuuid = \"x\"\n",
              "a.toml: line 2: \"uuid\" is a UUID, as mdadm prints it"},
        Wrong{"[facts]\n\"mountlist.txt\" = { file = \"m\" }\n",
              "a.toml: line 2: m: No such file or directory"},
        Wrong{"[volume_group.vg0]\nmetadata = \"vg1 {\"\n",
              "a.toml: line 2: metadata: lvm metadata, line 1: \"vg1\" is not closed"},
        Wrong{"\xc9\x9d = 1\n", "a.toml: line 1: a character beyond ASCII outside quotes"},
        Wrong{"[facts]\nkernel = \"\"\"\n\xc3\xa9\n\"\"\" \xc3\xa9\n",
              "a.toml: line 4: a character beyond ASCII outside quotes"},
        Wrong{"facts = 1\n", "a.toml: line 1: \"facts\" is a table"}));

TEST(Answers, AFileThatIsNoTomlNamesItsLine) {
  const auto answers = answers_of("[facts]\nkernel = \n");
  ASSERT_FALSE(answers);
  EXPECT_THAT(answers.error().text, StartsWith("a.toml: line 2: "));
  EXPECT_FALSE(answers_of("[=]\n"));
  EXPECT_FALSE(answers_of(std::string(5000, 'a')));
}

std::string log_text() {
  std::ifstream file(kImports + "stack-boot.database", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

const Json& probe_of(const Imported& imported, const std::string& kernel) {
  for (const auto& [key, content] : imported.hardware.contents) {
    if (key.first.ends_with("/" + kernel) && content.probe) {
      return content.probe->result;
    }
  }
  static const Json kNothing;
  return kNothing;
}

TEST(Answers, FillWhatTheLogDoesNotTell) {
  const auto answers = answers_of(R"(
[facts]
command_line = "quiet"
"mountlist.txt" = """
/dev/sda1 / ext4 1000
"""
[modules]
missing = ["raid456"]
[device."/dev/sda"]
size = 16777216
md = { slot = 2, raid_disks = 3, level = "raid5", events = 7, missing_slots = [1] }
[device."/dev/vda"]
holds = "nothing"
)");
  ASSERT_TRUE(answers) << answers.error().text;
  const auto before = import_text("f", log_text());
  const auto imported = import_text("f", log_text(), *answers);
  ASSERT_TRUE(before && imported) << imported.error().text;
  EXPECT_THAT(before->unknown, Contains(HasSubstr("sda: its slot")));
  EXPECT_THAT(imported->unknown, Not(Contains(HasSubstr("sda: its slot"))));
  EXPECT_THAT(imported->unknown, Not(Contains(HasSubstr("sda: its size"))));
  EXPECT_THAT(imported->unknown, Not(Contains(StartsWith("mountlist.txt"))));
  const Json& sda = probe_of(*imported, "sda");
  EXPECT_EQ(sda["size"], 16777216);
  const Json& sb = sda["details"]["md"];
  EXPECT_EQ(sb["role"], 2);
  EXPECT_EQ(sb["role_kind"], "active");
  EXPECT_EQ(sb["events"], 7);
  EXPECT_EQ(sb["roles"], Json({"active", "missing", "active"}));
  EXPECT_EQ(probe_of(*before, "vda")["properties"]["ID_FS_TYPE"], "ext4");
  EXPECT_EQ(probe_of(*imported, "vda")["properties"], Json::object());
  EXPECT_EQ(imported->hardware.facts["mountlist.txt"], "/dev/sda1 / ext4 1000\n");
  EXPECT_TRUE(imported->hardware.aliases.at("raid456").at(0).result["modules"].empty());
}

TEST(Answers, TextsMayHoldAnyCharacter) {
  const auto answers = answers_of(
      "# \xc3\xa9\n[facts]\nkernel = \"\xc3\xa9 \\\" \xc3\xa9\"\n\"muster.toml\" = '''\n\xc3\xa9 ' "
      "\"\n'''\n");
  ASSERT_TRUE(answers) << answers.error().text;
  EXPECT_EQ(answers->facts["kernel"], "\xc3\xa9 \" \xc3\xa9");
  EXPECT_EQ(answers->facts["muster.toml"], "\xc3\xa9 ' \"\n");
}

TEST(Answers, ASlotThatTheArrayDoesNotHaveStaysUnknown) {
  const auto answers = answers_of("[device.\"/dev/sda\".md]\nslot = 9\nraid_disks = 3\n");
  ASSERT_TRUE(answers);
  const auto imported = import_text("f", log_text(), *answers);
  ASSERT_TRUE(imported);
  EXPECT_EQ(probe_of(*imported, "sda")["details"]["md"]["role_kind"], "unknown");
}

TEST(Answers, AboutADeviceThatTheLogDoesNotKnowAreAnError) {
  const auto answers = answers_of("\n[device.\"/dev/sdz\"]\nsize = 1\n");
  ASSERT_TRUE(answers);
  const auto imported = import_text("f", log_text(), *answers);
  ASSERT_FALSE(imported);
  EXPECT_EQ(imported.error().text, "a.toml: line 2: the log knows no device \"/dev/sdz\"");
}

TEST(Answers, AMediumIsWhatItsExaminationFinds) {
  std::ifstream file(kImports + "disc.database", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto answers = answers_of(R"(
[medium."/dev/sr0"]
number = "1"
serial = "abc"
files = { "mondo-restore.cfg" = "backup-media-type cdr\n", "mountlist.txt" = "" }
)");
  ASSERT_TRUE(answers) << answers.error().text;
  const auto imported = import_text("f", text, *answers);
  ASSERT_TRUE(imported) << imported.error().text;
  // As the policy asks: see question().
  Effect asked;
  asked.verb = "examine";
  asked.arguments = {{"devno", "11:0"}, {"devpath", "/devices/x"}, {"name", "sr0"},
                     {"diskseq", 3},    {"filesystem", "iso9660"}, {"kind", "disc"}};
  bool found = false;
  for (const auto& [key, content] : imported->hardware.contents) {
    if (const auto it = content.examined.find(replay::question(asked));
        it != content.examined.end()) {
      found = true;
      EXPECT_EQ(it->second.result["serial"], "abc");
      EXPECT_EQ(it->second.result["archives"], true);
    }
  }
  EXPECT_TRUE(found);
}

TEST(ImportCommand, WritesWhatWasPlayedAndSaysWhatIsUnknown) {
  testing::TempTree tree;
  tree.file("/answers.toml", "[facts]\n\"mountlist.txt\" = { file = \"m/list\" }\n");
  tree.file("/m/list", "/dev/sda1 / ext4 1\n");
  const auto output = tree.path() + "/out.jsonl";
  Json header;
  const auto said =
      run_import({{kImports + "stack-boot.database"}, tree.path() + "/answers.toml", output, {}},
                 [&](const replay::Hardware& hardware) {
                   replay::Segment segment;
                   segment.header = hardware.header;
                   header = hardware.header;
                   segment.rules = hardware.rules;
                   segment.steps.push_back({2, Event{0, FactsRead{hardware.facts}}, {}});
                   return segment;
                 });
  ASSERT_TRUE(said) << said.error().text;
  EXPECT_THAT(*said, Contains(HasSubstr("unknown: sda: its size")));
  const auto recording = replay::read_recording(output);
  ASSERT_TRUE(recording) << recording.error().text;
  EXPECT_EQ(recording->segments.front().header["imported"]["from"], "udevadm info --export-db");
  EXPECT_EQ(std::get<FactsRead>(recording->segments.front().steps.front().event.body)
                .facts["mountlist.txt"],
            "/dev/sda1 / ext4 1\n");
}

TEST(ImportCommand, ChangesNothingWhereTheLogIsWrong) {
  testing::TempTree tree;
  tree.file("/log", "hello\n");
  const auto output = tree.path() + "/out.jsonl";
  const auto said = run_import({{tree.path() + "/log"}, "", output, {}},
                               [](const replay::Hardware&) { return replay::Segment{}; });
  ASSERT_FALSE(said);
  EXPECT_THAT(said.error().text, HasSubstr("/log: line 1: neither udevadm monitor"));
  EXPECT_FALSE(std::ifstream(output).good());
}

}  // namespace
}  // namespace muster::imports
