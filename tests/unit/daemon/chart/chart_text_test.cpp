#include "daemon/chart/chart_text.h"

#include <gtest/gtest.h>

namespace muster::chart {
namespace {

TEST(ChartText, XmlFromAnyBytes) {
  const struct {
    std::string in, out;
  } cases[] = {
      {"sda", "sda"},
      {"a&b<c>\"d\"'e'", "a&amp;b&lt;c&gt;&quot;d&quot;&#39;e&#39;"},
      {"</title><script>", "&lt;/title&gt;&lt;script&gt;"},
      {"two\nlines", "two&#10;lines"},
      {std::string("nul\0x", 5), "nul\\x00x"},
      {"\x1b[2J\r\t\x7f", "\\x1b[2J\\x0d\\x09\\x7f"},
      {"\xff\xfe", "\\xff\\xfe"},
      {"\xc3", "\\xc3"},                             // cut off
      {"\xc0\xaf", "\\xc0\\xaf"},                    // too long a form
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // half of a pair
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},  // beyond Unicode
      {"\xef\xbf\xbe", "\\u{fffe}"},                 // not for XML
      {"a\xe2\x80\xae"
       "b",
       "a\\u{202e}b"},  // would turn what follows around
      {"a\xe2\x80\x8b"
       "b",
       "a\\u{200b}b"},            // no width
      {"\xc2\x9b", "\\u{009b}"},  // a control in two bytes
      {"größe 大小 … ·", "größe 大小 … ·"},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(xml(each.in), each.out);
  }
}

TEST(ChartText, ClipCountsCharacters) {
  EXPECT_EQ(clip("", 3), "");
  EXPECT_EQ(clip("abc", 3), "abc");
  EXPECT_EQ(clip("abcd", 3), "abc…");
  EXPECT_EQ(clip("äöüß", 3), "äöü…");
  EXPECT_EQ(clip("\xff\xff\xff\xff", 2), "\xff\xff…");
}

TEST(ChartText, FittedIsNeverWider) {
  for (const std::string text : {"md_mod.start_ro", "大小大小大小大小大小", "WWWWWWWWWWWW",
                                 "target /dev/mapper/vg--main-home----x", "\xff\xff\xff\xff\xff"}) {
    for (double ems = 0.5; ems < 30; ems += 0.7) {
      const auto part = fitted(text, ems);
      EXPECT_LE(width_em(part), ems + 0.001) << text << " " << ems;
    }
    EXPECT_EQ(fitted(text, 100), text);
  }
  EXPECT_EQ(fitted("abcdefgh", 0.5), "");
}

TEST(ChartText, Durations) {
  const struct {
    Micros time;
    const char* text;
  } cases[] = {{0, "0.0 ms"},
               {900, "0.9 ms"},
               {9'400, "9.4 ms"},
               {9'500, "0.01 s"},
               {410'000, "0.41 s"},
               {9'940'000, "9.94 s"},
               {9'950'000, "9.9 s"},
               {59'900'000, "59.9 s"},
               {200'000'000, "3 min 20 s"},
               {3'600'000'000, "60 min"}};
  for (const auto& each : cases) {
    EXPECT_EQ(seconds_text(each.time), each.text);
  }
  EXPECT_EQ(exact_text(12'345'678), "12.345678 s");
  EXPECT_EQ(exact_text(1), "0.000001 s");
}

TEST(ChartText, Sizes) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(512), "512 B");
  EXPECT_EQ(size_text(std::uint64_t{4} << 20), "4.0 MiB");
  EXPECT_EQ(size_text(std::uint64_t{16} << 30), "16 GiB");
  EXPECT_EQ(size_text(~std::uint64_t{0}), "16 EiB");
}

}  // namespace
}  // namespace muster::chart
