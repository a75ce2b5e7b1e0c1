#include "daemon/options.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

namespace muster {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::string_literals;

std::vector<std::string> texts(const ParsedOptions& parsed) {
  std::vector<std::string> out;
  for (const TextDiagnostic& diagnostic : parsed.diagnostics) {
    out.push_back(to_text(diagnostic));
  }
  return out;
}

ParsedOptions parse(std::string_view toml, std::string_view command_line = "") {
  return parse_options(toml, "muster.toml", parse_command_line(command_line));
}

std::string sample() {
  std::ifstream file(MUSTER_SOURCE_DIR "/initramfs/muster.toml.sample", std::ios::binary);
  EXPECT_TRUE(file.is_open());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Options, TheSampleIsTheDefaultsAndNamesEveryKey) {
  const std::string text = sample();
  const ParsedOptions parsed = parse(text);
  EXPECT_THAT(texts(parsed), IsEmpty());
  EXPECT_EQ(parsed.options, Options{});
  for (const std::string_view key : option_keys()) {
    const std::string last(key.substr(key.rfind('.') + 1));
    EXPECT_THAT(text, testing::ContainsRegex("\n#?" + last + " = ")) << key;
  }
  // What the sample has as a comment must work, too.
  std::string uncommented = text;
  for (const std::string_view line : {"#mode = ", "#   target = "}) {
    const std::size_t at = uncommented.find(line);
    ASSERT_NE(at, std::string::npos) << line;
    uncommented.erase(at, 1);
  }
  uncommented.replace(uncommented.find("\ntarget = []"), 12, "");
  const ParsedOptions used = parse(uncommented);
  EXPECT_THAT(texts(used), IsEmpty());
  EXPECT_EQ(used.options.mode, Mode::nuke);
  EXPECT_THAT(used.options.targets, SizeIs(3));
}

TEST(Options, AMissingFileIsTheDefaults) {
  EXPECT_EQ(parse("").options, Options{});
  EXPECT_THAT(parse("").diagnostics, IsEmpty());
}

TEST(Options, ReadsEveryKeyFromTheFile) {
  const ParsedOptions parsed = parse(R"(
mode = "compare"
target = ["sda:serial=ABC", "/dev/cciss/c0d0:path=pci-0000:00:1f.2-ata-3"]
degraded_after = "90s"
at_end = "reboot"
deny = ["usb-storage", "floppy"]
medium = "/dev/disk/by-label/BACKUP"
log_level = "debug"
console = "/dev/ttyS0"
[deadlines]
probe = "1s"
tool = "2m"
medium = "never"
module = "3h"
mount = "500ms"
network = "7s"
[launch]
program = "/opt/mondorestore"
arguments = ["-Z", "{mode}"]
)");
  EXPECT_THAT(texts(parsed), IsEmpty());
  Options expected;
  expected.mode = Mode::compare;
  expected.targets = {{"sda", BindingKind::serial, "ABC"},
                      {"cciss/c0d0", BindingKind::path, "pci-0000:00:1f.2-ata-3"}};
  expected.degraded_after = seconds(90);
  expected.at_end = AtEnd::reboot;
  expected.deny = {"usb_storage", "floppy"};
  expected.medium = "/dev/disk/by-label/BACKUP";
  expected.log_level = LogLevel::debug;
  expected.console = "/dev/ttyS0";
  expected.deadlines = {seconds(1), minutes(2),        std::nullopt,
                        hours(3),   milliseconds(500), seconds(7)};
  expected.launch = {"/opt/mondorestore", {"-Z", "{mode}"}};
  EXPECT_EQ(parsed.options, expected);
}

TEST(Options, ReadsEveryKeyFromTheCommandLineWhichWins) {
  const ParsedOptions parsed = parse(
      "mode = \"nuke\"\ndegraded_after = \"1s\"\nat_end = \"reboot\"\ndeny = [\"x\"]\nmedium = "
      "\"/m\"\n"
      "log_level = \"error\"\nconsole = \"/dev/tty2\"\ntarget = [\"sda:serial=OLD\", "
      "\"sdx:serial=X\"]\n"
      "[launch]\narguments = [\"a\"]\n",
      "muster.mode=compare muster.target=sda:serial=NEW muster.target=\"sdb:wwn=0x5A B\" "
      "muster.degraded_after=2m muster.at_end=poweroff muster.deny=a-b,c muster.deny=d "
      "muster.medium= "
      "muster.log_level=warning muster.console=/dev/ttyS1 muster.deadlines.probe=1s "
      "muster.deadlines.tool=2s muster.deadlines.medium=3s muster.deadlines.module=4s "
      "muster.deadlines.mount=5s muster.deadlines.network=6s muster.launch.program=mr "
      "muster.launch.arguments=\"-Z {mode}\"");
  EXPECT_THAT(texts(parsed), IsEmpty());
  Options expected;
  expected.mode = Mode::compare;
  expected.mode_from_command_line = true;
  expected.targets = {{"sda", BindingKind::serial, "NEW"}, {"sdb", BindingKind::wwn, "0x5A B"}};
  expected.degraded_after = minutes(2);
  expected.at_end = AtEnd::poweroff;
  expected.deny = {"a_b", "c", "d"};
  expected.log_level = LogLevel::warning;
  expected.console = "/dev/ttyS1";
  expected.deadlines = {seconds(1), seconds(2), seconds(3), seconds(4), seconds(5), seconds(6)};
  expected.launch = {"mr", {"-Z", "{mode}"}};
  EXPECT_EQ(parsed.options, expected);
}

TEST(Options, SaysWhatIsWrongAndUsesTheRest) {
  struct Case {
    std::string toml;
    std::string command_line;
    std::vector<std::string> diagnostics;
  };
  const std::vector<Case> cases{
      {"log_levle = \"debug\"\n",
       "",
       {"muster.toml:1:1: unknown key \"log_levle\"; did you mean \"log_level\"?"}},
      {"probe = \"1s\"\n",
       "",
       {"muster.toml:1:1: unknown key \"probe\"; did you mean \"deadlines.probe\"?"}},
      {"[deadlines]\n  prob = \"1s\"\n",
       "",
       {"muster.toml:2:3: unknown key \"deadlines.prob\"; did you mean \"deadlines.probe\"?"}},
      {"colour = \"blue\"\n", "", {"muster.toml:1:1: unknown key \"colour\""}},
      {"[colours]\na = 1\n", "", {"muster.toml:1:2: unknown key \"colours\""}},
      {"\"a\\nb\" = 1\n", "", {"muster.toml:1:1: unknown key \"a\\nb\""}},
      {"launch = \"x\"\n", "", {"muster.toml:1:1: launch is a section: write [launch]"}},
      {"at_end = \"halt\"\n",
       "",
       {"muster.toml:1:10: at_end: \"halt\" is not one of shell, reboot, poweroff: ignored"}},
      {"at_end = 5\n", "", {"muster.toml:1:10: at_end is a string in quotes: ignored"}},
      {"at_end = [\"shell\"]\n", "", {"muster.toml:1:10: at_end is a string in quotes: ignored"}},
      {"deny = 1\n", "", {"muster.toml:1:8: deny is a list of strings in quotes: ignored"}},
      {"deny = [\"a\",\n 5]\n",
       "",
       {"muster.toml:2:2: deny is a list of strings in quotes: ignored"}},
      {"deny = [\"../evil\"]\n",
       "",
       {"muster.toml:1:8: deny: \"../evil\" is not a list of module names: ignored"}},
      {"[deadlines]\nprobe = \"10\"\ntool = \"0s\"\n",
       "",
       {"muster.toml:2:9: deadlines.probe: \"10\" is not a duration such as \"500ms\", \"10s\", "
        "\"2m\" "
        "or \"never\": ignored",
        "muster.toml:3:8: deadlines.tool: \"0s\" is not a duration above zero, or \"never\": "
        "ignored"}},
      {"[launch]\nprogram = \"../x\"\n",
       "",
       {"muster.toml:2:11: launch.program: \"../x\" is not the name of a program or its absolute "
        "path: "
        "ignored"}},
      {"console = \"ttyS0\"\n",
       "",
       {"muster.toml:1:11: console: \"ttyS0\" is not a device below /dev: ignored"}},
      {"target = [\n  \"sda\",\n  \"sda:colour=x\",\n]\n",
       "",
       {"muster.toml:2:3: \"sda\" is not DRIVE:serial=..., DRIVE:wwn=... or DRIVE:path=...: this "
        "target "
        "is dropped",
        "muster.toml:3:3: \"sda:colour=x\" is not DRIVE:serial=..., DRIVE:wwn=... or "
        "DRIVE:path=...: "
        "this target is dropped"}},
      {"", "muster.prob=1s", {"/proc/cmdline:1: unknown key \"muster.prob\""}},
      {"",
       "muster.deadline.probe=1s",
       {"/proc/cmdline:1: unknown key \"muster.deadline.probe\"; did you mean "
        "\"muster.deadlines.probe\"?"}},
      {"", "muster.at_end", {"/proc/cmdline:1: muster.at_end needs a value: ignored"}},
      {"",
       "muster.at_end=now",
       {"/proc/cmdline:1: at_end: \"now\" is not one of shell, reboot, poweroff: ignored"}},
      {"",
       "muster.target=sda",
       {"/proc/cmdline:1: \"sda\" is not DRIVE:serial=..., DRIVE:wwn=... or DRIVE:path=...: this "
        "target "
        "is dropped"}},
  };
  for (const Case& c : cases) {
    const ParsedOptions parsed = parse(c.toml, c.command_line);
    EXPECT_EQ(texts(parsed), c.diagnostics) << c.toml << c.command_line;
    EXPECT_EQ(parsed.options, Options{}) << c.toml << c.command_line;
  }
}

TEST(Options, ABrokenFileLosesOnlyItsBrokenLines) {
  struct Case {
    std::string toml;
    std::vector<int> lines;  // complained of
  };
  const std::vector<Case> cases{
      {"at_end = reboot\nmedium = \"/m\"\n", {1}},
      {"medium = \"/m\"\nat_end = \"reboot\n", {2}},
      {"= 5\nmedium = \"/m\"\n???\n", {1, 3}},
      {"medium = \"/m\"\n[launch\nprogram = \"x\"\nmedium = \"/n\"\n", {2}},
      {"medium = \"/m\"\nconsole = \"/dev/a\xff\"\n", {2}},
      {"medium = \"/m\"\n[=]\nmedium = \"/n\"\n[deadlines]\n[[?\n", {2, 5}},
      {"medium = \"/m\"\nmedium = \"/n\"\n", {2}},
      {"medium = \"/m\"\nmedium\u00a0= \"/n\"\n# \u00fc, and \u00a0\n", {2}},
      {std::string(2000, 'a') + " = 1\nmedium = \"/m\"\n", {1}},
      {"a" + std::string(300, '.') + " = 1\nmedium = \"/m\"\n", {1}},
  };
  for (const Case& c : cases) {
    const ParsedOptions parsed = parse(c.toml);
    EXPECT_EQ(parsed.options.medium, "/m") << c.toml;
    std::vector<int> lines;
    for (const TextDiagnostic& diagnostic : parsed.diagnostics) {
      lines.push_back(diagnostic.line);
      EXPECT_THAT(diagnostic.text, HasSubstr("this line is left out"));
    }
    EXPECT_EQ(lines, c.lines) << c.toml;
    Options expected;
    expected.medium = "/m";
    EXPECT_EQ(parsed.options, expected);
  }
  // A header after the broken one is a new beginning.
  const ParsedOptions parsed =
      parse("[launch\nprogram = \"x\"\n\n\n[deadlines]\nprobe = \"1s\"\n", "muster.medium=/m");
  EXPECT_EQ(parsed.options.deadlines.probe, seconds(1));
  EXPECT_EQ(parsed.options.launch, Launch{});
  EXPECT_EQ(parsed.options.medium, "/m");
  EXPECT_EQ(parsed.diagnostics[0].column, 8);
}

TEST(Options, SurvivesHostileFiles) {
  EXPECT_THAT(texts(parse(std::string(10'000'000, 'x'), "muster.medium=/m")),
              ElementsAre("muster.toml: larger than 64 KiB: not read"));
  EXPECT_EQ(parse(std::string(10'000'000, 'x'), "muster.medium=/m").options.medium, "/m");
  EXPECT_EQ(parse("a = " + std::string(900, '[')).options, Options{});
  EXPECT_EQ(parse(std::string(900, '[')).options, Options{});
  EXPECT_EQ(parse("\0\0\0"s).options, Options{});
  std::string deep;
  for (int i = 0; i < 200; ++i) {
    deep += "a = [ {" + std::string(450, 'a') + "=[\n";
  }
  EXPECT_EQ(parse(deep).options, Options{});
  std::string dots = "a";
  for (int i = 0; i < 490; ++i) {
    dots += ".a";
  }
  EXPECT_EQ(parse(dots + " = 1\n").options, Options{});
  std::string broken;
  for (int i = 0; i < 1000; ++i) {
    broken += "?\n";
  }
  EXPECT_LE(parse(broken).diagnostics.size(), 22U);
  std::string list = "deny = [";
  for (int i = 0; i < 3000; ++i) {
    list += "\"a\",\n";
  }
  EXPECT_THAT(parse(list + "]\n").options.deny, IsEmpty());
}

TEST(Bindings, AreParsed) {
  struct Case {
    std::string text;
    std::optional<Binding> binding;
  };
  const std::vector<Case> cases{
      {"sda:serial=ABC", Binding{"sda", BindingKind::serial, "ABC"}},
      {"/dev/sda:serial=A=B:C D", Binding{"sda", BindingKind::serial, "A=B:C D"}},
      {"nvme0n1:wwn=eui.0025", Binding{"nvme0n1", BindingKind::wwn, "eui.0025"}},
      {"cciss/c0d0:path=pci-0000:00", Binding{"cciss/c0d0", BindingKind::path, "pci-0000:00"}},
      {"", std::nullopt},
      {"sda", std::nullopt},
      {"sda:", std::nullopt},
      {":serial=A", std::nullopt},
      {"sda:serial", std::nullopt},
      {"sda:serial=", std::nullopt},
      {"sda:serial= A", std::nullopt},
      {"sda:Serial=A", std::nullopt},
      {"sda:serials=A", std::nullopt},
      {"sda:serial=A\n", std::nullopt},
      {"sda:serial=\xff", std::nullopt},
      {"s da:serial=A", std::nullopt},
      {"/sda:serial=A", std::nullopt},
      {"../sda:serial=A", std::nullopt},
      {"sda:serial=" + std::string(257, 'x'), std::nullopt},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(parse_binding(c.text), c.binding) << c.text;
  }
}

TEST(Bindings, ThatContradictEachOtherAreAllRefused) {
  struct Case {
    std::string words;
    std::vector<std::string> drives;
    std::vector<std::string> diagnostics;
  };
  const std::vector<Case> cases{
      {"sda:serial=A sdb:serial=B", {"sda", "sdb"}, {}},
      {"sda:serial=A sda:serial=A", {"sda"}, {}},
      {"sda:serial=A sdb:wwn=A", {"sda", "sdb"}, {}},
      {"sda:serial=A sda:serial=B sdb:serial=C",
       {"sdb"},
       {"/proc/cmdline:1: drive \"sda\" is bound twice, by \"sda:serial=A\" and by "
        "\"sda:serial=B\": "
        "both are refused"}},
      {"sda:serial=A sda:wwn=5 sdb:serial=C",
       {"sdb"},
       {"/proc/cmdline:1: drive \"sda\" is bound twice, by \"sda:serial=A\" and by \"sda:wwn=5\": "
        "both "
        "are refused"}},
      {"sda:wwn=0x5A sdb:wwn=naa.5a",
       {},
       {"/proc/cmdline:1: \"sda:wwn=0x5A\" and \"sdb:wwn=naa.5a\" are one drive under two names: "
        "both "
        "are refused"}},
      {"sda:serial=A sda:serial=B sdb:serial=B",
       {},
       {"/proc/cmdline:1: drive \"sda\" is bound twice, by \"sda:serial=A\" and by "
        "\"sda:serial=B\": "
        "both are refused",
        "/proc/cmdline:1: \"sda:serial=B\" and \"sdb:serial=B\" are one drive under two names: "
        "both are "
        "refused"}},
  };
  for (const Case& c : cases) {
    std::string line;
    std::istringstream words(c.words);
    for (std::string word; words >> word;) {
      line += "muster.target=" + word + " ";
    }
    const ParsedOptions parsed = parse("target = [\"sda:serial=FILE\"]\n", line);
    std::vector<std::string> drives;
    for (const Binding& binding : parsed.options.targets) {
      drives.push_back(binding.drive);
    }
    EXPECT_EQ(drives, c.drives) << c.words;
    EXPECT_EQ(texts(parsed), c.diagnostics) << c.words;
  }
  // A list that the operator got wrong does not bring the file's back.
  EXPECT_THAT(parse("target = [\"sda:serial=FILE\"]\n", "muster.target=sda").options.targets,
              IsEmpty());
  const ParsedOptions file = parse("target = [\"sda:serial=A\",\n\"sda:serial=B\"]\n");
  EXPECT_THAT(texts(file),
              ElementsAre("muster.toml:2:1: drive \"sda\" is bound twice, by "
                          "\"sda:serial=A\" and by \"sda:serial=B\": both are refused"));
}

TEST(Deadlines, HaveUnits) {
  struct Case {
    std::string text;
    std::optional<Deadline> deadline;
    std::string written;
  };
  const std::vector<Case> cases{
      {"never", Deadline{}, "never"},
      {"10s", Deadline(seconds(10)), "10s"},
      {"0s", Deadline(seconds(0)), "0s"},
      {"500ms", Deadline(milliseconds(500)), "500ms"},
      {"120s", Deadline(minutes(2)), "2m"},
      {"1h", Deadline(hours(1)), "1h"},
      {"8760h", Deadline(hours(8760)), "8760h"},
      {"8761h", std::nullopt, ""},
      {"99999999999999999999s", std::nullopt, ""},
      {"18446744073709551615h", std::nullopt, ""},
      {"", std::nullopt, ""},
      {"10", std::nullopt, ""},
      {"s", std::nullopt, ""},
      {"-1s", std::nullopt, ""},
      {"1.5s", std::nullopt, ""},
      {"10 s", std::nullopt, ""},
      {"1d", std::nullopt, ""},
      {"Never", std::nullopt, ""},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(parse_deadline(c.text), c.deadline) << c.text;
    if (c.deadline) {
      EXPECT_EQ(to_text(*c.deadline), c.written);
    }
  }
}

TEST(EffectiveMode, NeverMakesANukeOfADoubt) {
  struct Case {
    std::string toml;
    std::string command_line;
    Mode mode;
    std::string why;
  };
  const std::string nuke = "mode = \"nuke\"\n";
  const std::vector<Case> cases{
      {"", "", Mode::interactive, ""},
      {nuke, "", Mode::nuke, ""},
      {nuke, "compare_mode", Mode::compare, ""},
      {nuke, "interactive", Mode::interactive, ""},
      {"mode = \"compare\"\n", "nuke", Mode::nuke, ""},
      {"", "muster.mode=nuke", Mode::nuke, ""},
      {"mode = \"compare\"\n", "muster.mode=nuke", Mode::nuke, ""},
      {nuke, "muster.mode=compare", Mode::compare, ""},
      {nuke, "muster.mode=compar", Mode::interactive, ""},
      {"mode = \"nuk\"\n", "", Mode::interactive, ""},
      {"", "muster.mode=nuke nuke", Mode::nuke, ""},
      {"", "muster.mode=nuke muster.mode=nuke", Mode::nuke, ""},
      {"", "muster.mode=compare muster.mode=nuke", Mode::interactive, ""},
      {"", "muster.mode=compare muster.mode=nuke muster.mode=nuke", Mode::interactive, ""},
      {"", "muster.mode=compar muster.mode=nuke", Mode::interactive, ""},
      {"", "muster.mode=nuke compare", Mode::interactive,
       "the command line asks for compare and, by muster.mode, for nuke"},
      {"", "muster.mode=compar nuke", Mode::interactive,
       "the command line asks for nuke and, by muster.mode, for interactive"},
      {nuke, "compare nuke", Mode::interactive,
       "the words of the command line contradict each other"},
      {"", "muster.mode=nuke compare nuke", Mode::interactive,
       "the words of the command line contradict each other"},
  };
  for (const Case& c : cases) {
    const CommandLine line = parse_command_line(c.command_line);
    const ParsedOptions parsed = parse_options(c.toml, "muster.toml", line);
    std::string why;
    EXPECT_EQ(effective_mode(parsed.options, line, &why), c.mode) << c.toml << c.command_line;
    EXPECT_EQ(why, c.why) << c.command_line;
  }
}

TEST(LaunchArguments, PutTheModeIn) {
  EXPECT_THAT(launch_arguments({}, Mode::nuke), ElementsAre("--nuke"));
  EXPECT_THAT(launch_arguments({"x", {"-Z", "{mode}", "{mode}{mode}", "{mod}"}}, Mode::compare),
              ElementsAre("-Z", "compare", "comparecompare", "{mod}"));
}

}  // namespace
}  // namespace muster
