#include "initramfs/muster_unpack/tools_step.h"

#include <gmock/gmock.h>

#include "tests/unit/initramfs/muster_unpack/archive_builder.h"

namespace muster::unpack {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ToolsStep : public ::testing::Test {
 protected:
  void SetUp() override {
    // what an image looks like where it matters
    for (const char* name :
         {"root/bin", "root/sbin", "root/tmp", "root/usr/bin", "root/dev", "root/run", "root/proc",
          "root/sys", "root/var", "root/lib/modules", "root/etc/lvm", "root/usr/lib/muster/bin",
          "root/usr/lib/muster/modules/6.1", "root/usr/lib/muster/modprobe.d", "outside"}) {
      fs::create_directories(dir_ / name);
    }
    dir_.put("root/usr/lib/muster/bin/musterd", "ours");
    dir_.put("root/usr/lib/muster/modules/6.1/modules.dep", "ours");
    dir_.put("root/etc/fstab", "/dev/cdrom /mnt/cdrom\n");
    dir_.put("root/etc/lvm/lvm.conf", "ours");
    dir_.put("root/bin/busybox", "ours");
    fs::create_symlink("/usr/lib/muster/modules/6.1", dir_ / "root/lib/modules/6.1");
    fs::create_symlink("/usr/lib/muster/modprobe.d", dir_ / "root/etc/modprobe.d");
    fs::create_symlink("/run", dir_ / "root/var/run");
    fs::create_symlink("/bin/busybox", dir_ / "root/bin/sh");
    dir_.put("outside/victim", "untouched");
  }

  std::string disk(const std::string& name) { return dir_ / ("images/" + name); }

  ToolsReport run(std::uint64_t limit = std::uint64_t{8} << 20) {
    ToolsRequest request;
    request.images = dir_ / "images";
    request.root = dir_ / "root";
    request.limit = limit;
    ToolsReport report = bring_tools(request);
    // whatever came: ours is ours, nothing left the root, nothing is left over
    EXPECT_EQ(text("usr/lib/muster/bin/musterd"), "ours");
    EXPECT_EQ(text("usr/lib/muster/modules/6.1/modules.dep"), "ours");
    EXPECT_TRUE(fs::is_empty(dir_ / "root/usr/lib/muster/modprobe.d"));
    EXPECT_TRUE(fs::is_empty(dir_ / "root/dev"));
    EXPECT_TRUE(fs::is_empty(dir_ / "root/run"));
    EXPECT_EQ(dir_.text("outside/victim"), "untouched");
    EXPECT_EQ(std::distance(fs::directory_iterator(dir_ / "outside"), {}), 1);
    EXPECT_FALSE(fs::exists(dir_ / "root/tmp/groovy-stuff"));
    return report;
  }

  std::string text(const std::string& path) { return dir_.text("root/" + path); }

  TemporaryFolder dir_;
};

TEST_F(ToolsStep, DisksAreUnpackedInOrderOverTheRoot) {
  ArchiveBuilder(disk("1.tar.gz"))
      .folder("bin")
      .file("bin/tool", "first", 0755)
      .file("bin/sh", "a real shell", 0755)
      .file("tmp/mondo-restore.cfg", "iso-prefix one\n")
      .done();
  ArchiveBuilder(disk("2.tar.gz"))
      .file("./bin/tool", "second", 0700)
      .file("tmp/mondo-restore.cfg", "iso-prefix two\n")
      .file("lib/modules/5.10/x.ko", "old")
      .hard_link("bin/twin", "bin/tool")
      .link("bin/absolute", "/bin/tool")
      .done();
  ArchiveBuilder(disk("all.tar.gz")).file("bin/not-taken", "x").done();
  dir_.put("root/tmp/mondo-restore.cfg", "of the image");

  const ToolsReport report = run();

  EXPECT_EQ(report.error, "");
  EXPECT_THAT(report.refused, IsEmpty());
  EXPECT_THAT(report.archives, ElementsAre("1.tar.gz", "2.tar.gz"));
  EXPECT_THAT(report.module_trees, ElementsAre("5.10"));
  EXPECT_EQ(text("bin/tool"), "second");
  EXPECT_EQ(text("bin/twin"), "second");
  EXPECT_EQ(fs::status(dir_ / "root/bin/tool").permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::read_symlink(dir_ / "root/bin/absolute"), "/bin/tool");
  EXPECT_EQ(text("tmp/mondo-restore.cfg"), "iso-prefix two\n");
  EXPECT_FALSE(fs::is_symlink(dir_ / "root/bin/sh"));
  EXPECT_EQ(text("bin/busybox"), "ours");
  EXPECT_FALSE(fs::exists(dir_ / "root/bin/not-taken"));
  EXPECT_EQ(report.files, 6U);
}

TEST_F(ToolsStep, AllInOneWhereThereAreNoDisks) {
  ArchiveBuilder(disk("all.tar.gz")).file("bin/tool", "x").done();
  EXPECT_THAT(run().archives, ElementsAre("all.tar.gz"));
  EXPECT_EQ(text("bin/tool"), "x");
}

TEST_F(ToolsStep, NoArchiveAtAll) {
  fs::create_directories(dir_ / "images");
  EXPECT_THAT(run().error, HasSubstr("neither 1.tar.gz nor all.tar.gz"));
}

TEST_F(ToolsStep, TablesOfTheOldMachine) {
  ArchiveBuilder(disk("1.tar.gz"))
      .file("etc/fstab", "/dev/sda1 /\n")
      .file("etc/raidtab", "raiddev /dev/md0\n")
      .file("etc/lvm/lvm.conf", "theirs")
      .file("etc/mtab", "theirs")
      .done();
  const ToolsReport report = run();
  EXPECT_TRUE(report.fstab);
  EXPECT_TRUE(report.raidtab);
  EXPECT_EQ(text("tmp/fstab"), "/dev/sda1 /\n");
  EXPECT_EQ(text("tmp/raidtab"), "raiddev /dev/md0\n");
  EXPECT_EQ(text("etc/raidtab"), "raiddev /dev/md0\n");
  EXPECT_EQ(text("etc/fstab"), "/dev/cdrom /mnt/cdrom\n");
  EXPECT_EQ(text("etc/lvm/lvm.conf"), "ours");
  EXPECT_THAT(report.kept, ElementsAre("etc/fstab", "etc/lvm/lvm.conf"));
  EXPECT_EQ(text("etc/mtab"), "theirs");  // this image had none
}

TEST_F(ToolsStep, WithoutTables) {
  ArchiveBuilder(disk("1.tar.gz")).file("bin/tool", "x").done();
  const ToolsReport report = run();
  EXPECT_FALSE(report.fstab);
  EXPECT_FALSE(report.raidtab);
  EXPECT_EQ(text("tmp/fstab"), "(none)");
}

TEST_F(ToolsStep, NamesThatLeaveTheRootAreRefusedAndTheRestIsTaken) {
  ArchiveBuilder(disk("1.tar.gz"))
      .file("../outside/victim", "evil")
      .file("bin/../../outside/victim", "evil")
      .link("up", "../outside")
      .file("up/victim", "evil")
      .link("sub/up", "../../outside")
      .hard_link("bin/hard", "../outside/victim")
      .hard_link("bin/nothing", "bin/absent")
      .device("bin/disk", S_IFBLK)
      .device("bin/tty", S_IFCHR)
      .device("bin/fifo", S_IFIFO)
      .file("bin/last", "good")
      .done();
  const ToolsReport report = run();
  EXPECT_EQ(report.error, "");
  std::vector<std::string> refused;
  for (const auto& refusal : report.refused) {
    refused.push_back(refusal.path);
  }
  EXPECT_THAT(refused, ElementsAre("../outside/victim", "bin/../../outside/victim", "up", "sub/up",
                                   "bin/hard", "bin/nothing", "bin/disk", "bin/tty", "bin/fifo"));
  EXPECT_EQ(report.refused_total, 9U);
  EXPECT_EQ(text("bin/last"), "good");
  EXPECT_EQ(text("up/victim"), "evil");  // a folder of its own within the root
  EXPECT_FALSE(fs::exists(dir_ / "root/bin/disk"));
}

TEST_F(ToolsStep, WritingThroughLinksStaysInside) {
  const std::string outside = dir_ / "outside";
  ArchiveBuilder(disk("1.tar.gz"))
      .link("escape", outside)
      .file("escape/victim", "evil")
      .link("etc/own", "/usr/lib/muster")
      .file("etc/own/bin/musterd", "evil")
      .link("devices", "/dev")
      .file("devices/sda", "evil")
      .link("proc-link", "/proc")
      .file("proc-link/x", "evil")
      .done();
  const ToolsReport report = run();
  EXPECT_GE(report.refused_total, 2U);
  EXPECT_FALSE(fs::exists(dir_ / "root/proc/x"));
}

TEST_F(ToolsStep, LinksOfAnEarlierRunDoNotLeadOutEither) {
  const std::string outside = dir_ / "outside";
  ArchiveBuilder(disk("1.tar.gz")).link("escape", outside).link("ours", "usr/lib/muster").done();
  EXPECT_EQ(run().refused_total, 0U);
  ArchiveBuilder(disk("1.tar.gz"))
      .file("escape/victim", "evil")
      .file("ours/bin/musterd", "evil")
      .folder("ours/bin")
      .done();
  (void)run();
}

TEST_F(ToolsStep, WhatIsOursIsOutOfReach) {
  ArchiveBuilder(disk("1.tar.gz"))
      .file("usr/lib/libc.so", "theirs")
      .file("usr/lib/muster/bin/musterd", "evil")
      .link("usr/lib/muster", "/tmp")
      .file("dev/sda", "evil")
      .file("run/x", "evil")
      .file("var/run/x", "evil")
      .file("etc/muster/muster.toml", "evil")
      .folder("proc")
      .done();
  const ToolsReport report = run();
  EXPECT_EQ(report.error, "");
  EXPECT_EQ(text("usr/lib/libc.so"), "theirs");
  EXPECT_TRUE(fs::is_directory(fs::symlink_status(dir_ / "root/usr/lib/muster")));
  EXPECT_TRUE(fs::is_symlink(dir_ / "root/var/run"));
  EXPECT_FALSE(fs::exists(dir_ / "root/etc/muster/muster.toml"));
  EXPECT_THAT(report.refused, Contains(Refusal{"var/run", "out of reach for a medium"}));
}

TEST_F(ToolsStep, ALinkCannotReplaceAFolderThatHoldsWhatIsOurs) {
  for (const char* name : {"usr/lib", "usr"}) {
    ArchiveBuilder(disk("1.tar.gz")).link(name, "/tmp").done();
    EXPECT_THAT(run().refused, ElementsAre(Refusal{name, "out of reach for a medium"}));
  }
}

TEST_F(ToolsStep, AMediumsModulesGetTheirOwnTree) {
  ArchiveBuilder(disk("1.tar.gz"))
      .file("lib/modules/6.1/modules.dep", "theirs")
      .file("etc/modprobe.d/x.conf", "theirs")
      .done();
  EXPECT_EQ(run().refused_total, 0U);
  EXPECT_EQ(text("lib/modules/6.1/modules.dep"), "theirs");
  EXPECT_FALSE(fs::is_symlink(dir_ / "root/lib/modules/6.1"));
  EXPECT_EQ(text("etc/modprobe.d/x.conf"), "theirs");
}

TEST_F(ToolsStep, AMergedUsrReplacesOurFolders) {
  dir_.put("root/sbin/mdadm", "ours");
  dir_.put("root/usr/sbin/both", "stays");
  dir_.put("root/sbin/both", "goes");
  ArchiveBuilder(disk("1.tar.gz"))
      .link("sbin", "usr/sbin")
      .file("usr/sbin/theirs", "theirs")
      .done();
  EXPECT_EQ(run().refused_total, 0U);
  EXPECT_EQ(fs::read_symlink(dir_ / "root/sbin"), "usr/sbin");
  EXPECT_EQ(text("sbin/mdadm"), "ours");
  EXPECT_EQ(text("sbin/both"), "stays");
  EXPECT_EQ(text("sbin/theirs"), "theirs");
}

TEST_F(ToolsStep, AFileDoesNotReplaceAFolder) {
  dir_.put("root/opt/deep/file", "ours");
  ArchiveBuilder(disk("1.tar.gz")).file("opt", "x").file("zz", "y").done();
  EXPECT_THAT(run().refused, ElementsAre(Refusal{"opt", "a folder stands in its place"}));
  EXPECT_EQ(text("opt/deep/file"), "ours");
  EXPECT_EQ(text("zz"), "y");
}

TEST_F(ToolsStep, SlicesAreJoined) {
  const std::string first(240 * 1024, 'a');
  const std::string second(240 * 1024, 'b');
  ArchiveBuilder(disk("1.tar.gz"))
      .file("slice-1.name", "/usr/bin/large\n")
      .file("slice-1.size", "490\n")
      .file("slice-1.000", first)
      .file("slice-1.001", second)
      .done();
  ArchiveBuilder(disk("2.tar.gz")).file("slice-1.002", std::string(10 * 1024, 'c')).done();
  const ToolsReport report = run();
  EXPECT_EQ(report.error, "");
  EXPECT_EQ(text("usr/bin/large"), first + second + std::string(10 * 1024, 'c'));
  EXPECT_FALSE(fs::exists(dir_ / "root/slice-1.000"));
  EXPECT_NE(fs::status(dir_ / "root/usr/bin/large").permissions() & fs::perms::owner_exec,
            fs::perms::none);
}

TEST_F(ToolsStep, AMissingSliceIsAnError) {
  ArchiveBuilder(disk("1.tar.gz"))
      .file("slice-1.name", "usr/bin/large")
      .file("slice-1.size", "490")
      .file("slice-1.000", std::string(240 * 1024, 'a'))
      .file("slice-1.002", "end")
      .file("slice-2.name", "../../outside/victim")
      .file("slice-2.size", "1")
      .file("slice-2.000", "evil")
      .file("bin/tool", "x")
      .done();
  const ToolsReport report = run();
  EXPECT_THAT(report.error, HasSubstr("usr/bin/large has 240 of 490 KiB"));
  EXPECT_EQ(text("usr/bin/large"), "(none)");
  EXPECT_EQ(text("bin/tool"), "x");
}

TEST_F(ToolsStep, ABombIsStopped) {
  ArchiveBuilder(disk("1.tar.gz"))
      .file("bin/tool", "x")
      .zeros("bomb", std::uint64_t{12} << 20)
      .done();
  const ToolsReport report = run();
  EXPECT_THAT(report.error, HasSubstr("1.tar.gz: more comes out of it than is allowed"));
  EXPECT_EQ(text("bin/tool"), "x");
  EXPECT_EQ(text("bomb"), "(none)");
}

TEST_F(ToolsStep, EmptyEntriesAreBoundedToo) {
  ArchiveBuilder builder(disk("1.tar.gz"));
  for (int i = 0; i < 500; ++i) {
    builder.folder("d" + std::to_string(i));
  }
  builder.done();
  EXPECT_THAT(run(100 * 1024).error, HasSubstr("more comes out of it than is allowed"));
}

TEST_F(ToolsStep, ADamagedDiskIsReportedAndTheOthersAreTaken) {
  ArchiveBuilder(disk("1.tar.gz"))
      .file("bin/a", "a")
      .file("noise", noise(300'000))
      .done_truncated(0.6);
  ArchiveBuilder(disk("2.tar.gz")).file("bin/b", "b").done();
  const ToolsReport report = run();
  EXPECT_THAT(report.error, HasSubstr("1.tar.gz: is damaged"));
  EXPECT_THAT(report.archives, ElementsAre("2.tar.gz"));
  EXPECT_EQ(text("bin/a"), "a");
  EXPECT_EQ(text("bin/b"), "b");
  EXPECT_EQ(text("noise"), "(none)");
}

TEST_F(ToolsStep, TheListOfRefusalsIsBounded) {
  ArchiveBuilder builder(disk("1.tar.gz"));
  for (int i = 0; i < 300; ++i) {
    builder.file("../x" + std::to_string(i), "");
  }
  builder.done();
  const ToolsReport report = run();
  EXPECT_EQ(report.refused.size(), kMostRefusals);
  EXPECT_EQ(report.refused_total, 300U);
}

TEST_F(ToolsStep, LeftoversOfAnInterruptedAttemptAreNotMoved) {
  dir_.put("root/tmp/groovy-stuff/bin/half", "x");
  ArchiveBuilder(disk("1.tar.gz")).file("bin/tool", "x").done();
  (void)run();
  EXPECT_EQ(text("bin/half"), "(none)");
}

}  // namespace
}  // namespace muster::unpack
