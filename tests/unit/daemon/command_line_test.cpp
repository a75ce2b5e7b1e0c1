#include "daemon/command_line.h"

#include <gmock/gmock.h>

namespace muster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::string_literals;

std::vector<std::string> texts(const CommandLine& line) {
  std::vector<std::string> out;
  for (const TextDiagnostic& diagnostic : line.diagnostics) {
    out.push_back(to_text(diagnostic));
  }
  return out;
}

std::string joined(const CommandLine& line) {
  std::string out;
  for (const CommandLineWord& word : line.words) {
    out += "[" + word.key + (word.value ? "|" + *word.value : "") + "]";
  }
  return out;
}

TEST(CommandLine, IsSplitAsTheKernelSplitsIt) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", ""},
      {"\n", ""},
      {"a b\tc\n", "[a][b][c]"},
      {"a=b=c =d", "[a|b=c][=d]"},
      {"a=", "[a|]"},
      {R"(a="b c" d)", "[a|b c][d]"},
      {R"("a=b c" d)", "[a|b c][d]"},
      {R"("a b" d)", "[a b][d]"},
      {R"(a=b" c"d e)", R"([a|b" c"d][e])"},
      {R"(a=x"y)", R"([a|x"y])"},
      {R"(a="b c)", "[a|b c]"},
      {R"(")", "[]"},
      {R"("")", "[]"},
      {R"(a=")", "[a|]"},
      {"a \0 b"s, "[a]"},
      {"\xff=\xfe", "[\xff|\xfe]"},
  };
  for (const auto& [text, words] : cases) {
    EXPECT_EQ(joined(parse_command_line(text)), words) << text;
  }
  EXPECT_THAT(
      texts(parse_command_line(R"(quiet a="b c)")),
      ElementsAre("/proc/cmdline:1: a quote is opened and not closed: the last word reaches "
                  "to the end of the line"));
  EXPECT_THAT(texts(parse_command_line("a \0 nuke"s)),
              ElementsAre("/proc/cmdline:1: a NUL byte ends the command line; what follows is not "
                          "read"));
}

TEST(CommandLine, ChoosesTheModeByWholeWords) {
  struct Case {
    std::string text;
    Mode mode;
    bool given;
    bool refused;
    std::vector<std::string> diagnostics;
  };
  const auto contradiction = [](const std::string& words) {
    return std::vector<std::string>{"/proc/cmdline:1: " + words +
                                    " contradict each other: the mode is interactive"};
  };
  const auto no_word = [](const std::string& word, const std::string& old) {
    return std::vector<std::string>{"/proc/cmdline:1: \"" + word + "\" is not the word \"" + old +
                                    "\": it does not choose the mode"};
  };
  const std::vector<Case> cases{
      {"quiet root=/dev/ram", Mode::interactive, false, false, {}},
      {"interactive_mode", Mode::interactive, true, false, {}},
      {"interactive", Mode::interactive, true, false, {}},
      {"nuke_mode", Mode::nuke, true, false, {}},
      {"nuke", Mode::nuke, true, false, {}},
      {"nuke nuke_mode nuke", Mode::nuke, true, false, {}},
      {"nuke restore", Mode::nuke, true, false, {}},
      {"RESTORE quiet", Mode::nuke, true, false, {}},
      {"Restore", Mode::nuke, true, false, {}},
      {"compare_mode", Mode::compare, true, false, {}},
      {"expert_mode", Mode::expert, true, false, {}},
      {"iso_mode", Mode::interactive, false, false, {}},
      {"iso_mode nuke", Mode::nuke, true, false, {}},
      {"expert_mode interactive_mode", Mode::interactive, true, false, {}},
      {"compare nuke", Mode::interactive, true, true, contradiction("\"compare\" and \"nuke\"")},
      {"nuke_mode compare", Mode::interactive, true, true,
       contradiction("\"nuke_mode\" and \"compare\"")},
      {"restore compare", Mode::interactive, true, true,
       contradiction("\"restore\" and \"compare\"")},
      {"nuke interactive", Mode::interactive, true, true,
       contradiction("\"nuke\" and \"interactive\"")},
      {"nuke expert", Mode::interactive, true, true, contradiction("\"nuke\" and \"expert\"")},
      {"compare expert", Mode::interactive, true, true,
       contradiction("\"compare\" and \"expert\"")},
      {"expert interactive nuke", Mode::interactive, true, true,
       contradiction("\"expert\" and \"interactive\" and \"nuke\"")},
      {"nukem", Mode::interactive, false, false, no_word("nukem", "nuke")},
      {"NUKE", Mode::interactive, false, false, no_word("NUKE", "nuke")},
      {"nuke=1", Mode::interactive, false, false, no_word("nuke=1", "nuke")},
      {"\"nuke it\"", Mode::interactive, false, false, no_word("nuke it", "nuke")},
      {"prefix=nuke-web7", Mode::interactive, false, false, no_word("prefix=nuke-web7", "nuke")},
      {"nuke_mode=no", Mode::interactive, false, false, no_word("nuke_mode=no", "nuke")},
      {"restored", Mode::interactive, false, false, {}},
      {"root=/dev/nuke", Mode::interactive, false, false, no_word("root=/dev/nuke", "nuke")},
      {"muster.mode=nuke", Mode::interactive, false, false, {}},
      {"muster.medium=/nuke", Mode::interactive, false, false, {}},
  };
  for (const Case& c : cases) {
    const CommandLine line = parse_command_line(c.text);
    EXPECT_EQ(line.mode, c.mode) << c.text;
    EXPECT_EQ(line.mode_given, c.given) << c.text;
    EXPECT_EQ(line.mode_refused, c.refused) << c.text;
    EXPECT_EQ(texts(line), c.diagnostics) << c.text;
  }
}

TEST(CommandLine, ReadsMondosOtherWords) {
  const CommandLine line = parse_command_line(
      "pxe textonly noresize nopart donteject prefix=web7 ipconf=eth0:dhcp nfsmount=srv:/export "
      "ping=5 RESTORE iso_mode devfs=nomount acpi=off\n");
  EXPECT_THAT(texts(line), IsEmpty());
  EXPECT_TRUE(line.pxe);
  EXPECT_TRUE(line.textonly);
  EXPECT_TRUE(line.noresize);
  EXPECT_TRUE(line.nopart);
  EXPECT_TRUE(line.donteject);
  EXPECT_TRUE(line.restore);
  EXPECT_TRUE(line.iso_mode);
  EXPECT_EQ(line.prefix, "web7");
  EXPECT_EQ(line.ipconf, (IpConf{"eth0", true, "", "", "", ""}));
  EXPECT_EQ(line.nfsmount, "srv:/export");
  EXPECT_EQ(line.ping, 5U);

  const CommandLine none = parse_command_line("pxelinux notextonly noresized xnopart donteject=1");
  EXPECT_FALSE(none.pxe || none.textonly || none.noresize || none.nopart || none.donteject);
}

TEST(CommandLine, ChecksValuesAndKeepsTheLastGoodOne) {
  const std::string form = "IF:dhcp or IF:ADDRESS:MASK:BROADCAST:GATEWAY: ignored";
  struct Case {
    std::string text;
    std::vector<std::string> diagnostics;
  };
  const std::vector<Case> cases{
      {"ipconf=eth0", {"/proc/cmdline:1: ipconf=\"eth0\" is not " + form}},
      {"ipconf=:dhcp", {"/proc/cmdline:1: ipconf=\":dhcp\" is not " + form}},
      {"ipconf=eth0:dhcp:x", {"/proc/cmdline:1: ipconf=\"eth0:dhcp:x\" is not " + form}},
      {"ipconf=eth0:10.0.0.300:255.0.0.0",
       {"/proc/cmdline:1: ipconf=\"eth0:10.0.0.300:255.0.0.0\" is not " + form}},
      {"ipconf=eth0:10.0.0.3:255.0.0.0:::",
       {"/proc/cmdline:1: ipconf=\"eth0:10.0.0.3:255.0.0.0:::\" is not " + form}},
      {"nfsmount=/export",
       {"/proc/cmdline:1: nfsmount=\"/export\" is not SERVER:/EXPORT: ignored"}},
      {"nfsmount=:/export",
       {"/proc/cmdline:1: nfsmount=\":/export\" is not SERVER:/EXPORT: ignored"}},
      {"ping=0", {"/proc/cmdline:1: ping=\"0\" is not a number from 1 to 1000: ignored"}},
      {"ping=three", {"/proc/cmdline:1: ping=\"three\" is not a number from 1 to 1000: ignored"}},
      {"prefix=../x",
       {"/proc/cmdline:1: prefix=\"../x\" is not the stem of STEM-N.iso, without '/': ignored"}},
      {"prefix=",
       {"/proc/cmdline:1: prefix=\"\" is not the stem of STEM-N.iso, without '/': ignored"}},
      {"prefix", {"/proc/cmdline:1: \"prefix\" needs a value: ignored"}},
  };
  for (const Case& c : cases) {
    const CommandLine line = parse_command_line(c.text);
    EXPECT_EQ(texts(line), c.diagnostics) << c.text;
    EXPECT_FALSE(line.ipconf || line.nfsmount || line.ping || line.prefix) << c.text;
  }
  const CommandLine twice = parse_command_line("prefix=a prefix=b prefix=b prefix=/");
  EXPECT_EQ(twice.prefix, "b");
  EXPECT_THAT(
      texts(twice),
      ElementsAre("/proc/cmdline:1: prefix= is given more than once; the last one counts: \"b\"",
                  "/proc/cmdline:1: prefix=\"/\" is not the stem of STEM-N.iso, without '/': "
                  "ignored"));
  EXPECT_EQ(parse_command_line("ipconf=eth1:10.0.0.2:255.255.255.0:10.0.0.255:10.0.0.1").ipconf,
            (IpConf{"eth1", false, "10.0.0.2", "255.255.255.0", "10.0.0.255", "10.0.0.1"}));
  EXPECT_EQ(parse_command_line("ipconf=eth1:10.0.0.2:255.255.255.0::10.0.0.1").ipconf,
            (IpConf{"eth1", false, "10.0.0.2", "255.255.255.0", "", "10.0.0.1"}));
  EXPECT_EQ(parse_command_line("ipconf=eth1:10.0.0.2:255.255.255.0").ipconf,
            (IpConf{"eth1", false, "10.0.0.2", "255.255.255.0", "", ""}));
}

TEST(CommandLine, CollectsModuleLists) {
  const CommandLine line = parse_command_line(
      "denymods=usb-storage,floppy denymods=\"parport lp\" forcemods=sr-mod,,st "
      "modprobe.blacklist=nouveau rd.driver.blacklist=snd-hda-intel module_blacklist=a,b "
      "module-blacklist=c blacklist=d");
  EXPECT_THAT(line.denymods, ElementsAre("usb_storage", "floppy", "parport", "lp"));
  EXPECT_THAT(line.forcemods, ElementsAre("sr_mod", "st"));
  EXPECT_THAT(line.modprobe_blacklist, ElementsAre("nouveau", "snd_hda_intel"));
  EXPECT_THAT(line.module_blacklist, ElementsAre("a", "b", "c"));
  EXPECT_THAT(texts(line), IsEmpty());
}

TEST(CommandLine, CollectsOurOwnWordsInOrder) {
  const CommandLine line = parse_command_line(
      "muster.target=sda:serial=A muster.debug x muster.target=\"sdb:serial=B C\" muster.=1 "
      "musterx=2");
  EXPECT_THAT(
      line.muster,
      ElementsAre(CommandLineWord{"target", "sda:serial=A"}, CommandLineWord{"debug", std::nullopt},
                  CommandLineWord{"target", "sdb:serial=B C"}, CommandLineWord{"", "1"}));
  EXPECT_THAT(texts(line), IsEmpty());
}

TEST(CommandLine, SurvivesHostileTexts) {
  EXPECT_THAT(parse_command_line(std::string(10'000'000, '"')).words, SizeIs(1));
  EXPECT_THAT(parse_command_line(std::string(10'000'000, ' ')).words, IsEmpty());
  EXPECT_THAT(parse_command_line("ipconf=" + std::string(10'000'000, ':')).ipconf, std::nullopt);
  EXPECT_THAT(parse_command_line("ipconf=e:" + std::string(10'000'000, '.') + ":x").ipconf,
              std::nullopt);
  std::string many;
  for (int i = 0; i < 100'000; ++i) {
    many += "nukes ";
  }
  const CommandLine line = parse_command_line(many);
  EXPECT_EQ(line.mode, Mode::interactive);
  EXPECT_THAT(line.diagnostics, SizeIs(Diagnostics::kMax));
}

TEST(Mode, HasNames) {
  for (const std::string name : {"interactive", "nuke", "compare", "expert"}) {
    ASSERT_TRUE(mode_from(name).has_value()) << name;
    EXPECT_EQ(to_string(*mode_from(name)), name);
  }
  EXPECT_EQ(mode_from("nuke_mode"), std::nullopt);
  EXPECT_EQ(mode_from(""), std::nullopt);
}

}  // namespace
}  // namespace muster
