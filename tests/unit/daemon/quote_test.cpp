#include "daemon/quote.h"

#include <gmock/gmock.h>

#include "daemon/text_diagnostic.h"

namespace muster {
namespace {

using testing::SizeIs;
using namespace std::string_literals;

TEST(Quote, MakesOnePrintableLine) {
  struct Case {
    std::string bytes;
    std::string quoted;
  };
  const std::vector<Case> cases{
      {"", R"("")"},
      {"sda1", R"("sda1")"},
      {"a \"b\" \\", R"("a \"b\" \\")"},
      {"a\nb\tc\r", R"("a\nb\tc\r")"},
      {"\0\x01\x1b[2J\x7f"s, R"("\x00\x01\x1b[2J\x7f")"},
      {"\xc3\xa4\xff", R"("\xc3\xa4\xff")"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(quote(c.bytes), c.quoted);
  }
}

TEST(Quote, IsBoundedAndSaysSo) {
  EXPECT_EQ(quote("abcdef", 6), R"("abcdef")");
  EXPECT_EQ(quote("abcdefg", 6), R"("abcdef"...)");
  EXPECT_EQ(quote("abcd\x01g", 6), R"("abcd"...)") << "an escape is never cut in two";
  EXPECT_THAT(quote(std::string(10'000'000, '\xff')), SizeIs(80 + 5));
}

TEST(TextDiagnostic, IsOneLineWithItsPlace) {
  EXPECT_EQ(to_text({"/tmp/mountlist.txt", 3, "has no size"}), "/tmp/mountlist.txt:3: has no size");
  EXPECT_EQ(to_text({"muster.toml", 3, "bad", 7}), "muster.toml:3:7: bad");
  EXPECT_EQ(to_text({"muster.toml", 0, "bad", 7}), "muster.toml: bad");
  EXPECT_EQ(to_text({"a\nb", 1, "x"}), R"("a\nb":1: x)");
  EXPECT_EQ(to_text({"f", 1, "x\x1b[2Jy"}), R"(f:1: "x\x1b[2Jy")");
}

TEST(TextDiagnostic, AreBoundedInNumber) {
  Diagnostics diagnostics("f");
  for (int i = 1; i <= 1000; ++i) {
    diagnostics.add(i, "bad");
  }
  ASSERT_THAT(diagnostics.list(), SizeIs(Diagnostics::kMax));
  EXPECT_EQ(to_text(diagnostics.list().front()), "f:1: bad");
  EXPECT_EQ(to_text(diagnostics.list()[98]), "f:99: bad");
  EXPECT_EQ(to_text(diagnostics.list().back()), "f:100: more problems from here on are not listed");
}

}  // namespace
}  // namespace muster
