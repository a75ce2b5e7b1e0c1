// What can be wrong with a rules file, and what is said about it. The texts are part of the
// interface: people search for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rules/match.h"
#include "tests/unit/rules/fake_device.h"

namespace muster::rules {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> complaints(const std::string& text) {
  const std::vector<Source> sources = {{"f", text}};
  std::vector<Diagnostic> diagnostics;
  (void)RuleSet::load(sources, diagnostics);
  std::vector<std::string> texts;
  for (const Diagnostic& diagnostic : diagnostics) {
    texts.push_back(to_string(diagnostic));
  }
  return texts;
}

struct Case {
  std::string line;
  std::string complaint;  // about line 1
};

TEST(Load, SaysWhatIsWrongWithALine) {
  const Case cases[] = {
      // Words.
      {R"(KERNEL)", R"(no operator (==, !=, =, +=, -=) after "KERNEL")"},
      {R"(KERNEL "a")", R"(no operator (==, !=, =, +=, -=) after "KERNEL")"},
      {R"(KERNEL<"a")", R"(no operator (==, !=, =, +=, -=) after "KERNEL<")"},
      {R"(KERNEL==a)", R"(the value of "KERNEL" is not in double quotes)"},
      {R"(KERNEL=='a')", R"(the value of "KERNEL" is not in double quotes)"},
      {R"(KERNEL==)", R"(the value of "KERNEL" is not in double quotes)"},
      {R"(KERNEL=="a)", R"(the value of "KERNEL" has no closing quote)"},
      {R"(KERNEL=="a\")", R"(the value of "KERNEL" has no closing quote)"},
      {R"(KERNEL==ee"a")", R"(the prefix of the value of "KERNEL" is repeated)"},
      {R"(KERNEL==iei"a")", R"(the prefix of the value of "KERNEL" is repeated)"},
      {R"(KERNEL==e"a\q")", R"("\q"" is not an escape sequence that e"…" knows)"},
      {R"(KERNEL==e"a\x0")", R"("\x0"" is not an escape sequence that e"…" knows)"},
      {R"(KERNEL==e"\x00b")", R"("\x00" is not an escape sequence that e"…" knows)"},
      {R"(KERNEL==e"\777")", R"("\777" is not an escape sequence that e"…" knows)"},
      {R"(KERNEL==e"\ud800")", R"("\ud8" is not an escape sequence that e"…" knows)"},
      {R"(ATTR{size=="0")", R"("ATTR{" has no closing brace)"},
      {R"(=="a")", R"(a key is missing before "=="a"")"},
      {R"("a")", R"(a key is missing before ""a"")"},
      {R"(HANDLER+="a" # why)", "a comment needs a line of its own"},
      {R"(KERNEL=="a", \ )", "a backslash continues a line only as its last character"},
      // Keys.
      {R"(FOO=="a")", R"(unknown key "FOO")"},
      {R"(kernel=="a")", R"(unknown key "kernel")"},
      {"KERN\x1b[2JEL==\"a\"", R"(unknown key "KERN\x1b[2JEL")"},
      {R"(PROGRAM=="a")", "PROGRAM is not supported: muster's rules start no program"},
      {R"(RESULT=="a")", "RESULT is not supported: muster's rules start no program"},
      {R"(RUN+="a")", "RUN is not supported: muster's rules start no program"},
      {R"(RUN{builtin}+="kmod load")", "RUN is not supported: muster's rules start no program"},
      {R"(IMPORT{db}="A")",
       "IMPORT is not supported: muster's rules see only the event and the attributes they name"},
      {R"(TEST=="a")",
       "TEST is not supported: muster's rules see only the event and the attributes they name"},
      {R"(CONST{arch}=="x86")",
       "CONST is not supported: muster's rules see only the event and the attributes they name"},
      {R"(SYSCTL{a}=="1")",
       "SYSCTL is not supported: muster's rules see only the event and the attributes they name"},
      {R"(NAME="a")", R"(NAME is not supported: nodes and links are the handler "node"'s)"},
      {R"(SYMLINK+="a")", R"(SYMLINK is not supported: nodes and links are the handler "node"'s)"},
      {R"(SYMLINK=="a")", R"(SYMLINK is not supported: nodes and links are the handler "node"'s)"},
      {R"(OWNER="a")", R"(OWNER is not supported: nodes and links are the handler "node"'s)"},
      {R"(GROUP="a")", R"(GROUP is not supported: nodes and links are the handler "node"'s)"},
      {R"(MODE="0600")", R"(MODE is not supported: nodes and links are the handler "node"'s)"},
      {R"(SECLABEL{x}="a")",
       R"(SECLABEL is not supported: nodes and links are the handler "node"'s)"},
      {R"(OPTIONS+="watch")", "OPTIONS is not supported: none of udev's options exists here"},
      // Operators and names.
      {R"(KERNEL="a")", "KERNEL takes == or !=, not ="},
      {R"(SUBSYSTEMS+="a")", "SUBSYSTEMS takes == or !=, not +="},
      {R"(ATTRS{a}="a")", "ATTRS takes == or !=, not ="},
      {R"(ATTR{a}="1")", "ATTR{} cannot be assigned: muster's rules write nothing to /sys"},
      {R"(KERNEL{a}=="a")", "KERNEL takes no name in braces"},
      {R"(TAG{a}+="a")", "TAG takes no name in braces"},
      {R"(ENV=="a")", "ENV needs a name in braces"},
      {R"(ENV{}=="a")", "ENV needs a name in braces"},
      {R"(ENV{}="a")", "ENV needs a name in braces"},
      {R"(ATTR=="a")", "ATTR needs a name in braces"},
      {R"(ENV{A}-="a")", "ENV takes ==, !=, = or +=, not -="},
      {R"(ENV{DEVNAME}="a")", "ENV{DEVNAME} cannot be set: it is the kernel's"},
      {R"(ENV{ACTION}+="a")", "ENV{ACTION} cannot be set: it is the kernel's"},
      {R"(ATTR{[dmi/id]sys_vendor}=="a")",
       R"("ATTR{[dmi/id]sys_vendor}" names no fixed attribute of the device itself: [subsystem/kernel] and substitutions are not supported)"},
      {R"(ATTRS{a$kernel}=="a")",
       R"("ATTRS{a$kernel}" names no fixed attribute of the device itself: [subsystem/kernel] and substitutions are not supported)"},
      {"ENV{" + std::string(1024, 'a') + "}=\"1\"", "the name after ENV is longer than 1023 bytes"},
      {"ATTR{" + std::string(1024, 'a') + "}==\"1\", HANDLER+=\"h\"",
       "the name after ATTR is longer than 1023 bytes"},
      {R"(HANDLER="md")",
       "HANDLER takes += only: a rule adds a handler, it never takes one away, not ="},
      {R"(HANDLER-="md")",
       "HANDLER takes += only: a rule adds a handler, it never takes one away, not -="},
      {R"(HANDLER=="md")",
       "HANDLER takes += only: a rule adds a handler, it never takes one away, not =="},
      {R"(HANDLER+="")", R"("" is not a handler's name (letters, digits, - and _))"},
      {R"(HANDLER+="a b")", R"("a b" is not a handler's name (letters, digits, - and _))"},
      {R"(HANDLER+="$kernel")", R"("$kernel" is not a handler's name (letters, digits, - and _))"},
      {R"(HANDLER{a}+="md")", "HANDLER takes no name in braces"},
      {R"(GOTO=="a")", "GOTO takes = only, not =="},
      {R"(LABEL+="a")", "LABEL takes = only, not +="},
      {R"(GOTO="")", "GOTO needs a value"},
      {R"(LABEL="")", "LABEL needs a value"},
      {R"(TAG+="")", "TAG needs a value"},
      {R"(ENV{A}=i"a")", "i\"…\" after ENV{A} is for == and != only"},
      {R"(HANDLER+=i"md")", "i\"…\" after HANDLER is for == and != only"},
      {"F\x1fO=i\"a\"", "i\"…\" after F\\x1fO is for == and != only"},
      {"ENV{\x1b[2J}=\"$x\"",
       R"("$x" in the value of ENV{\x1b[2J} is no substitution; a plain $ is written twice)"},
      // Values.
      {R"(ENV{A}="$foo")",
       R"("$foo" in the value of ENV{A} is no substitution; a plain $ is written twice)"},
      {R"(ENV{A}="100%")",
       R"("%" in the value of ENV{A} is no substitution; a plain % is written twice)"},
      {R"(ENV{A}="$")",
       R"("$" in the value of ENV{A} is no substitution; a plain $ is written twice)"},
      {R"(ENV{A}="a%z")",
       R"("%z" in the value of ENV{A} is no substitution; a plain % is written twice)"},
      {R"(ENV{A}="$devnode")", R"("$devnode" in the value of ENV{A} is not supported)"},
      {R"(TAG+="%c{1}")", R"("%c" in the value of TAG is not supported)"},
      {R"(ENV{A}="$id$driver")", R"("$id" in the value of ENV{A} is not supported)"},
      {R"(ENV{A}="$sysfs{size}")", R"("$sysfs" in the value of ENV{A} is not supported)"},
      {R"(ENV{A}="$name")", R"("$name" in the value of ENV{A} is not supported)"},
      {R"(ENV{A}="$attr")", R"("$attr" in the value of ENV{A} needs a name in braces)"},
      {R"(ENV{A}="%E{}")", R"("%E" in the value of ENV{A} needs a name in braces)"},
      {R"(ENV{A}="$attr{a")", R"("$attr" in the value of ENV{A} has no closing brace)"},
      {R"(ENV{A}="$kernel{a}")", R"("$kernel" in the value of ENV{A} takes no name in braces)"},
      {R"(ENV{A}="$attr{[dmi/id]sys_vendor}")",
       R"("$attr" in the value of ENV{A}: an attribute of another device ([subsystem/kernel]) is not supported)"},
      // Whole rules.
      {R"(KERNEL=="a")", "the line has no effect: it assigns nothing"},
      {R"(,, ,)", "the line has no effect: it assigns nothing"},
      {R"(GOTO="a")", R"(GOTO="a" has no LABEL in this file, the GOTO is ignored)"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(complaints(c.line + "\n"), ElementsAre("f:1: " + c.complaint)) << c.line;
  }
}

TEST(Load, TakesWhatUdevTakes) {
  for (const char* text : {
           "",
           "\n\n",
           "# comment\n   # comment\n",
           "HANDLER+=\"a\"",
           "HANDLER+=\"a\"\r\n\r\n# c\r\nHANDLER+=\"b\"\r\n",
           "  ,, KERNEL == \"a\" ,,\t HANDLER += \"a\" , \n",
           "KERNEL==\"a\"HANDLER+=\"a\"\n",  // commas are optional
           "KERNEL==\"a\", \\\n  # between\n\tHANDLER+=\"a\"\n",
           "LABEL=\"x\"\n",
           "GOTO=\"x\"\nLABEL=\"x\"",
           "KERNEL==\"ä\", HANDLER+=\"a\"\n",
           "KERNEL==e\"\\xff\", HANDLER+=\"a\"\n",
           "ENV{A}=\"$$ %% $kernel\"\n",
           "ENV{a b}=\"\"\n",
           "ATTR{../x}==\"1\", HANDLER+=\"a\"\n",
       }) {
    EXPECT_THAT(complaints(text), IsEmpty()) << text;
  }
}

TEST(Load, NamesTheLineOfTheFault) {
  EXPECT_THAT(complaints("# one\n\nKERNEL=\"a\"\r\nFOO=\"b\"\n"),
              ElementsAre("f:3: KERNEL takes == or !=, not =", "f:4: unknown key \"FOO\""));
  // Inside a continued line: where it is, not where the rule begins or ends.
  EXPECT_THAT(
      complaints("KERNEL==\"a\", \\\n# c\n  FOO==\"b\", \\\n  HANDLER+=\"x\"\nBAR==\"b\"\n"),
      ElementsAre("f:3: unknown key \"FOO\"", "f:5: unknown key \"BAR\""));
  EXPECT_THAT(complaints("KERNEL==\"a\", \\\n  HANDLER+=\"x\n"),
              ElementsAre("f:2: the value of \"HANDLER\" has no closing quote"));
  EXPECT_THAT(complaints("KERNEL==\"a\", \\\n  SUBSYSTEM==\"b\"\n"),
              ElementsAre("f:1: the line has no effect: it assigns nothing"));
}

TEST(Load, ComplainsInTheOrderOfTheLines) {
  EXPECT_THAT(complaints("GOTO=\"x\"\nFOO=\"1\"\nGOTO=\"y\"\n"),
              ElementsAre("f:1: GOTO=\"x\" has no LABEL in this file, the GOTO is ignored",
                          "f:2: unknown key \"FOO\"",
                          "f:3: GOTO=\"y\" has no LABEL in this file, the GOTO is ignored"));
}

TEST(Load, AGotoOnlyJumpsForward) {
  EXPECT_THAT(
      complaints("LABEL=\"x\"\nHANDLER+=\"a\", GOTO=\"x\"\n"),
      ElementsAre("f:2: GOTO=\"x\" has no LABEL after it (it only jumps forward), the GOTO is "
                  "ignored"));
  EXPECT_THAT(
      complaints("LABEL=\"x\", GOTO=\"x\"\n"),
      ElementsAre("f:1: GOTO=\"x\" has no LABEL after it (it only jumps forward), the GOTO is "
                  "ignored"));
}

TEST(Load, TheFirstGotoAndTheLastLabelOfARuleCount) {
  const std::string text =
      "GOTO=\"a\", GOTO=\"b\"\n"
      "HANDLER+=\"1\"\n"
      "LABEL=\"b\", LABEL=\"a\"\n"
      "HANDLER+=\"2\"\n";
  EXPECT_THAT(complaints(text),
              ElementsAre("f:1: a second GOTO in one rule; GOTO=\"b\" is ignored",
                          "f:3: a second LABEL in one rule; LABEL=\"b\" is ignored"));
  const std::vector<Source> sources = {{"f", text}};
  std::vector<Diagnostic> diagnostics;
  EXPECT_THAT(RuleSet::load(sources, diagnostics).match(FakeDevice({})).handlers, ElementsAre("2"));
}

TEST(Load, UsesTheRestOfTheFile) {
  const std::string text = std::string("HANDLER+=\"1\"\n") +         //
                           "FOO=\"1\", HANDLER+=\"no\"\n" +          //
                           "HANDLER+=\"no\", KERNEL=\"x\"\n" +       //
                           "HANDLER+=\"2\"\n" +                      //
                           "HANDLER+=\"\xff\"\n" +                   //
                           std::string("HANDLER\0+=\"no\"\n", 15) +  //
                           "HANDLER+=\"3\", GOTO=\"none\"\n" +       //
                           "HANDLER+=\"4";
  const std::vector<Source> sources = {{"f", text}, {"g", "HANDLER+=\"5\""}};
  std::vector<Diagnostic> diagnostics;
  const RuleSet rules = RuleSet::load(sources, diagnostics);
  EXPECT_THAT(rules.match(FakeDevice({})).handlers, ElementsAre("1", "2", "3", "5"));
  EXPECT_THAT(
      diagnostics,
      ElementsAre(
          Diagnostic{"f", 2, "unknown key \"FOO\""},
          Diagnostic{"f", 3, "KERNEL takes == or !=, not ="},
          Diagnostic{"f", 5, "the line is not valid UTF-8"},
          Diagnostic{"f", 6, "the line contains a NUL byte"},
          Diagnostic{"f", 7, "GOTO=\"none\" has no LABEL in this file, the GOTO is ignored"},
          Diagnostic{"f", 8, "the value of \"HANDLER\" has no closing quote"}));
}

TEST(Load, ReportsBytesThatDoNotBelongInARulesFile) {
  EXPECT_THAT(complaints("\xef\xbb\xbfHANDLER+=\"a\"\n"),
              ElementsAre("f:1: the file begins with a byte order mark, which is ignored; save it "
                          "without"));
  EXPECT_THAT(complaints("\xef\xbb\xbf"),
              ElementsAre("f:1: the file begins with a byte order mark, which is ignored; save it "
                          "without"));
  EXPECT_THAT(complaints(std::string("# a\0b\n", 6)),
              ElementsAre("f:1: the line contains a NUL byte"));
  EXPECT_THAT(complaints("# \xff is fine in a comment\n"), IsEmpty());
  EXPECT_THAT(complaints("HANDLER+=\"a\xc3\"\n"), ElementsAre("f:1: the line is not valid UTF-8"));
  EXPECT_THAT(complaints("HANDLER+=\"a\xc0\xaf\"\n"),
              ElementsAre("f:1: the line is not valid UTF-8"));
  for (const char* bytes :
       {"\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    EXPECT_THAT(complaints(std::string("HANDLER+=\"") + bytes + "\"\n"),
                ElementsAre("f:1: the line is not valid UTF-8"));
  }
  // One bad line in a continuation: the rule is gone as a whole, and said once.
  EXPECT_THAT(complaints("KERNEL==\"a\", \\\n\xff, \\\n\xff, \\\nHANDLER+=\"x\"\nFOO=\"1\"\n"),
              ElementsAre("f:2: the line is not valid UTF-8", "f:5: unknown key \"FOO\""));
}

TEST(Load, TheFileMayNotEndInsideAContinuedLine) {
  EXPECT_THAT(complaints("HANDLER+=\"a\", \\"),
              ElementsAre("f:1: the file ends in the middle of a continued line"));
  EXPECT_THAT(complaints("HANDLER+=\"a\", \\\n# c\n"),
              ElementsAre("f:2: the file ends in the middle of a continued line"));
  EXPECT_THAT(complaints("HANDLER+=\"a\", \\\n\n"), IsEmpty());
}

TEST(Load, LinesHaveUdevsLimit) {
  const auto line = [](std::size_t size) {
    const std::string frame = "ENV{A}==\"\", HANDLER+=\"a\"";
    return "ENV{A}==\"" + std::string(size - frame.size(), 'x') + "\", HANDLER+=\"a\"";
  };
  EXPECT_THAT(complaints(line(16383) + "\n"), IsEmpty());
  EXPECT_THAT(complaints(line(16384) + "\nFOO=\"1\"\n"),
              ElementsAre("f:1: the line is longer than 16383 bytes", "f:2: unknown key \"FOO\""));
  const std::string half = "ENV{A}==\"" + std::string(9000, 'x') + "\", ";
  EXPECT_THAT(complaints(half + "\\\n" + half + "\\\nHANDLER+=\"a\"\nFOO=\"1\"\n"),
              ElementsAre("f:2: the line is longer than 16383 bytes", "f:4: unknown key \"FOO\""));
}

TEST(Load, AFileOfGarbageGivesAScreenfulOfComplaints) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += "garbage\n";
  }
  const std::vector<std::string> all = complaints(text);
  ASSERT_EQ(all.size(), 51U);
  EXPECT_EQ(all[49], "f:50: no operator (==, !=, =, +=, -=) after \"garbage\"");
  EXPECT_EQ(all[50], "f:51: 950 more faults in this file from here on");
}

TEST(Load, QuotesForeignTextForTheScreen) {
  EXPECT_EQ(quote("plain"), "\"plain\"");
  EXPECT_EQ(quote("a\"b\\\x1b\n\xc3"), "\"a\"b\\\\x1b\\x0a\\xc3\"");
  EXPECT_EQ(quote(std::string(61, 'x')), "\"" + std::string(60, 'x') + "…\"");
}

}  // namespace
}  // namespace muster::rules
