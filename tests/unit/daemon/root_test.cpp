#include "daemon/root.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include "tests/support/temp_tree.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempTree;

Root open(const TempTree& tree) {
  auto root = Root::open(tree.path());
  EXPECT_TRUE(root);
  return std::move(*root);
}

TEST(Root, AMissingRootIsAnErrorThatNamesIt) {
  const auto root = Root::open("/nonexistent/root");
  ASSERT_FALSE(root);
  EXPECT_EQ(root.error().text, "root directory /nonexistent/root: No such file or directory");
  EXPECT_EQ(root.error().code, Errc::not_found);
}

TEST(Root, ReadsWritesAndListsBelowItself) {
  TempTree tree;
  tree.file("/etc/muster/a", "hello\n").file("/etc/muster/b", "old");
  const Root root = open(tree);
  EXPECT_EQ(root.read_file("/etc/muster/a", 6).value(), "hello\n");
  EXPECT_EQ(root.read_file("etc/muster/a", 100).value(), "hello\n");
  EXPECT_TRUE(root.write_file("/etc/muster/b", "new"));
  EXPECT_EQ(tree.text("/etc/muster/b"), "new");
  EXPECT_THAT(root.list("/etc/muster").value(), ElementsAre("a", "b"));
  EXPECT_TRUE(root.exists("/etc/muster"));
  EXPECT_FALSE(root.exists("/etc/passwd"));
  EXPECT_EQ(root.host_path("/dev/sda"), tree.path("/dev/sda"));
}

TEST(Root, FailsWithTheNameAndTheReason) {
  TempTree tree;
  tree.file("/big", "1234567");
  const Root root = open(tree);
  EXPECT_EQ(root.read_file("/none", 10).error().text, "/none: No such file or directory");
  EXPECT_EQ(root.read_file("/big", 6).error().text, "/big: more than 6 bytes");
  // Never creates: a mistyped attribute must not become a file.
  EXPECT_EQ(root.write_file("/none", "x").error().text, "/none: No such file or directory");
  EXPECT_FALSE(root.list("/big"));
}

TEST(Root, AbsoluteLinksStayInsideAnotherRoot) {
  TempTree tree;
  tree.file("/real", "inside")
      .link("/link", "/real")
      .link("/out", "../../../../../../../etc/passwd");
  const Root root = open(tree);
  EXPECT_EQ(root.read_file("/link", 100).value(), "inside");
  EXPECT_FALSE(root.read_file("/out", 1 << 20));
}

TEST(Root, AFifoDoesNotHoldUpTheReader) {
  TempTree tree;
  ASSERT_EQ(::mkfifo(tree.path("/fifo").c_str(), 0600), 0);
  EXPECT_EQ(open(tree).read_file("/fifo", 100).value_or("failed"), "");
}

TEST(Root, Attributes) {
  TempTree tree;
  tree.file("/sys/devices/d/size", "2048\n")
      .file("/sys/devices/d/model", "QEMU HARDDISK   \n")
      .file("/sys/devices/d/empty", "")
      .file("/sys/devices/d/queue/rotational", "0\n")
      .file("/sys/devices/d/odd", std::string("a\0b\n\x1b[2J\\\xff\xc3\xa9z\n", 14))
      .file("/sys/devices/d/long", std::string(10000, 'x'))
      .directory("/sys/devices/d/slaves/sdb")
      .directory("/sys/devices/d/slaves/sda1")
      .directory("/sys/devices/d/holders")
      .link("/sys/devices/d/driver", "../../bus/pci/drivers/ahci")
      .link("/sys/devices/d/broken", "nowhere");
  const Root root = open(tree);
  const auto read = [&](std::string_view name) { return root.read_attribute("/devices/d", name); };
  EXPECT_EQ(read("size"), "2048");
  EXPECT_EQ(read("model"), "QEMU HARDDISK");
  EXPECT_EQ(read("empty"), "");
  EXPECT_EQ(read("queue/rotational"), "0");
  EXPECT_EQ(read("odd"), "a\\x00b\\x0a\\x1b[2J\\x5c\\xff\xc3\xa9z");
  EXPECT_EQ(read("long"), std::string(4096, 'x'));
  EXPECT_EQ(read("slaves"), "sda1 sdb");
  EXPECT_EQ(read("holders"), "");
  EXPECT_EQ(read("driver"), "ahci");
  EXPECT_EQ(read("broken"), std::nullopt);
  EXPECT_EQ(read("none"), std::nullopt);
  EXPECT_EQ(root.read_attribute("/devices/none", "size"), std::nullopt);
}

TEST(Root, AnAttributeThatRefusesToBeReadIsAbsent) {
  // Reading one's own /proc/self/mem at offset 0 fails with EIO, like an attribute of a dying
  // device.
  const auto root = Root::open("/");
  ASSERT_TRUE(root);
  const auto self = root->open_at("/proc/self", O_PATH | O_DIRECTORY);
  ASSERT_TRUE(self);
  EXPECT_EQ(Root::read_attribute(*self, "mem"), std::nullopt);
}

TEST(ValidText, EveryKindOfBadByte) {
  const struct {
    std::string_view bytes;
    std::string_view text;
  } kCases[] = {
      {"plain ASCII ~", "plain ASCII ~"},
      {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
      {"\x7f\t", "\\x7f\\x09"},
      {"\xc2\x9b", "\\xc2\\x9b"},                    // CSI as one control character
      {"\xc0\xaf", "\\xc0\\xaf"},                    // over-long
      {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},           // over-long
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // surrogate
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},  // above U+10FFFF
      {"\xe2\x82", "\\xe2\\x82"},                    // cut off
      {"\x80z", "\\x80z"},
  };
  for (const auto& each : kCases) {
    EXPECT_EQ(valid_text(each.bytes, false), each.text);
  }
  EXPECT_EQ(valid_text("a\\b", false), "a\\b");
  EXPECT_EQ(valid_text("a\\b", true), "a\\x5cb");
}

}  // namespace
}  // namespace muster
