#include "initramfs/muster_unpack/member_reader.h"

#include <gmock/gmock.h>

#include "initramfs/muster_unpack/archive_source.h"
#include "tests/unit/initramfs/muster_unpack/archive_builder.h"

namespace muster::unpack {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kLimit = std::uint64_t{12} << 20;
const std::vector<std::string> kNames{"tmp/mondo-restore.cfg", "tmp/mountlist.txt"};

TEST(MemberReader, ReadsWhatIsAskedForAndNothingElse) {
  const TemporaryFolder folder;
  const std::string path = folder / "all.tar.gz";
  ArchiveBuilder(path)
      .folder("tmp")
      .file("./tmp/mondo-restore.cfg", "backup-media-type dvd\n")
      .file("bin/tool", "xxx")
      .done();
  const MemberTexts texts = read_members(path, kNames, kLimit);
  EXPECT_EQ(texts.error, "");
  EXPECT_EQ(texts.members.at("tmp/mondo-restore.cfg"), "backup-media-type dvd\n");
  EXPECT_EQ(texts.members.at("tmp/mountlist.txt"), std::nullopt);
  EXPECT_EQ(texts.members.size(), 2U);
}

TEST(MemberReader, TheLastOfSeveralCounts) {
  const TemporaryFolder folder;
  const std::string path = folder / "all.tar.gz";
  ArchiveBuilder(path).file("tmp/mountlist.txt", "old").file("/tmp//mountlist.txt", "new").done();
  EXPECT_EQ(read_members(path, kNames, kLimit).members.at("tmp/mountlist.txt"), "new");
}

TEST(MemberReader, LinksAndFoldersAreNoTexts) {
  const TemporaryFolder folder;
  const std::string path = folder / "all.tar.gz";
  ArchiveBuilder(path)
      .link("tmp/mountlist.txt", "/etc/passwd")
      .folder("tmp/mondo-restore.cfg")
      .done();
  const MemberTexts texts = read_members(path, kNames, kLimit);
  EXPECT_EQ(texts.members.at("tmp/mountlist.txt"), std::nullopt);
  EXPECT_EQ(texts.members.at("tmp/mondo-restore.cfg"), std::nullopt);
}

TEST(MemberReader, ATextIsAtMostFourMiB) {
  const TemporaryFolder folder;
  const std::string path = folder / "all.tar.gz";
  ArchiveBuilder(path).zeros("tmp/mountlist.txt", (std::uint64_t{4} << 20)).done();
  EXPECT_EQ(read_members(path, kNames, kLimit).error, "");
  ArchiveBuilder(path).zeros("tmp/mountlist.txt", (std::uint64_t{5} << 20)).done();
  const MemberTexts texts = read_members(path, kNames, kLimit);
  EXPECT_THAT(texts.error, HasSubstr("tmp/mountlist.txt is larger than 4 MiB"));
  EXPECT_EQ(texts.members.at("tmp/mountlist.txt"), std::nullopt);
}

TEST(MemberReader, ABombIsStoppedAndWhatCameBeforeIsKept) {
  const TemporaryFolder folder;
  const std::string path = folder / "all.tar.gz";
  ArchiveBuilder(path)
      .file("tmp/mountlist.txt", "/dev/sda1 / ext3 1\n")
      .zeros("bomb", std::uint64_t{16} << 20)
      .done();
  const MemberTexts texts = read_members(path, kNames, kLimit);
  EXPECT_THAT(texts.error, HasSubstr("more comes out of it than is allowed"));
  EXPECT_EQ(texts.members.at("tmp/mountlist.txt"), "/dev/sda1 / ext3 1\n");
}

TEST(MemberReader, DamageIsReported) {
  const TemporaryFolder folder;
  const std::string path = folder / "all.tar.gz";
  EXPECT_THAT(read_members(path, kNames, kLimit).error, HasSubstr("all.tar.gz: cannot be opened"));
  folder.put("all.tar.gz", "this is no archive at all, but a text\n");
  EXPECT_NE(read_members(path, kNames, kLimit).error, "");
  ArchiveBuilder(path)
      .file("tmp/mountlist.txt", "x")
      .file("noise", noise(200'000))
      .done_truncated(0.5);
  const MemberTexts texts = read_members(path, kNames, kLimit);
  EXPECT_THAT(texts.error, HasSubstr("is damaged"));
  EXPECT_EQ(texts.members.at("tmp/mountlist.txt"), "x");
}

TEST(CleanPath, ManyWaysToWriteOne) {
  EXPECT_EQ(clean_path("./a//b/./c/").value(), "a/b/c");
  EXPECT_EQ(clean_path("/etc/passwd").value(), "etc/passwd");
  EXPECT_EQ(clean_path("./").value(), "");
  for (const std::string& bad : std::vector<std::string>{
           "..", "a/../b", "../a", "a/..", std::string("a\nb"), std::string("a\0b", 3),
           std::string(5000, 'x'), "a/" + std::string(300, 'y')}) {
    EXPECT_FALSE(clean_path(bad).has_value()) << bad;
  }
  EXPECT_EQ(clean_path("a..b/...").value(), "a..b/...");
}

}  // namespace
}  // namespace muster::unpack
