#include "daemon/sysfs_reader.h"

#include <gmock/gmock.h>

#include "daemon/event_json.h"
#include "tests/support/temp_tree.h"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using testing::TempTree;
using ::testing::UnorderedElementsAre;

class SysfsReaderTest : public ::testing::Test {
 protected:
  SysfsReaderTest() : root_(Root::open(tree_.path()).value()) {}
  std::vector<std::string> scanned(const SysfsReader& reader) {
    std::vector<std::string> found;
    const auto done = reader.scan([&](DeviceEvent event) {
      EXPECT_EQ(event.action, Action::add);
      EXPECT_EQ(event.origin, DeviceEvent::Origin::scan);
      found.push_back(event.devpath);
    });
    EXPECT_TRUE(done);
    EXPECT_EQ(done->devpaths, found);
    seqnum_ = done->seqnum;
    return found;
  }
  TempTree tree_;
  Root root_;
  std::uint64_t seqnum_ = 0;
};

TEST_F(SysfsReaderTest, ScanFindsDevicesParentsFirstAndFollowsNoLink) {
  tree_.file("/sys/kernel/uevent_seqnum", "1234\n")
      .device("/devices/pci0/0000:01", "pci", "PCI_ID=1\n")
      .device("/devices/pci0/0000:01/ata2/sdb", "block", "DEVNAME=sdb\n")
      .device("/devices/pci0/0000:01/ata10/sda", "block", "DEVNAME=sda\n")
      .device("/devices/pci0/0000:01/ata10/sda/sda1", "block", "DEVNAME=sda1\n")
      .file("/sys/devices/pci0/0000:01/power/uevent", "no subsystem: not a device\n")
      .link("/sys/devices/pci0/0000:01/nosuch/subsystem", "../no_uevent_file")
      .link("/sys/devices/pci0/loop", "../pci0")
      .device("/outside/x", "block", "DEVNAME=x\n")
      .link("/sys/devices/pci0/escape", "../../outside");
  const SysfsReader reader(root_, {}, false);
  EXPECT_THAT(scanned(reader), ElementsAre("/devices/pci0/0000:01",                 //
                                           "/devices/pci0/0000:01/ata10/sda",       //
                                           "/devices/pci0/0000:01/ata10/sda/sda1",  //
                                           "/devices/pci0/0000:01/ata2/sdb"));
  EXPECT_EQ(seqnum_, 1234);
}

TEST_F(SysfsReaderTest, ScanWithoutSysfsSaysSo) {
  const auto done = SysfsReader(root_, {}, false).scan([](const DeviceEvent&) {});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().text, "/sys/kernel/uevent_seqnum: No such file or directory");
  tree_.file("/sys/kernel/uevent_seqnum", "many\n");
  EXPECT_EQ(SysfsReader(root_, {}, false).scan([](const DeviceEvent&) {}).error().text,
            "/sys/kernel/uevent_seqnum: not a number");
}

TEST_F(SysfsReaderTest, ADeviceIsItsUeventFileAndWhatItLacks) {
  tree_
      .device("/devices/d/block/sda", "block",
              "MAJOR=8\nMINOR=0\nDEVNAME=sda\nDEVTYPE=disk\nODD=a=b\x1b\nnothing\n=x\n")
      .file("/sys/devices/d/block/sda/diskseq", "7\n")
      .file("/sys/devices/d/block/sda/size", "100\n")
      .device("/devices/d", "scsi", "DEVTYPE=scsi_device\n")
      .file("/sys/devices/d/modalias", "scsi:t-0x00\n")
      .link("/sys/devices/d/driver", "../bus/scsi/drivers/sd")
      .device("/devices/e", "scsi", "MODALIAS=own\nDRIVER=own\n")
      .file("/sys/devices/e/modalias", "other\n")
      .device("/devices/d/block/sda/sda1", "block", "DEVNAME=/dev/sda1\nDEVTYPE=partition\n")
      .file("/sys/devices/d/block/sda/sda1/diskseq", "9\n");
  const SysfsReader reader(root_, {"size", "ro"}, false);
  const auto disk = reader.read("/devices/d/block/sda", Action::change);
  ASSERT_TRUE(disk);
  EXPECT_EQ(disk->action, Action::change);
  EXPECT_EQ(disk->subsystem, "block");
  EXPECT_EQ(disk->seqnum, 0);
  EXPECT_THAT(
      disk->properties,
      UnorderedElementsAre(Pair("DEVNAME", "/dev/sda"), Pair("DEVTYPE", "disk"), Pair("MAJOR", "8"),
                           Pair("MINOR", "0"), Pair("DISKSEQ", "7"), Pair("ODD", "a=b\\x1b"),
                           Pair("SUBSYSTEM", "block"), Pair("DEVPATH", "/devices/d/block/sda")));
  EXPECT_THAT(disk->attributes,
              UnorderedElementsAre(Pair("size", "100"), Pair("ro", std::nullopt)));
  const auto scsi = reader.read("/devices/d", Action::add);
  EXPECT_EQ(scsi.value().properties.at("MODALIAS"), "scsi:t-0x00");
  EXPECT_EQ(scsi->properties.at("DRIVER"), "sd");
  const auto own = reader.read("/devices/e", Action::add);
  EXPECT_EQ(own.value().properties.at("MODALIAS"), "own");
  EXPECT_EQ(own->properties.at("DRIVER"), "own");
  const auto partition = reader.read("/devices/d/block/sda/sda1", Action::add);
  EXPECT_EQ(partition.value().properties.at("DEVNAME"), "/dev/sda1");
  EXPECT_FALSE(partition->properties.contains("DISKSEQ"));
}

// What a rule may name: a file, a folder, what lies in one, behind a link, or one level up.
TEST_F(SysfsReaderTest, AttributesAreReadWhereverTheirNamesLead) {
  tree_.device("/devices/d", "scsi", "")
      .file("/sys/devices/d/model", "Disk")
      .device("/devices/d/block/sda", "block", "")
      .file("/sys/devices/d/block/sda/size", "100")
      .file("/sys/devices/d/block/sda/queue/rotational", "1")
      .directory("/sys/devices/d/block/sda/holders/md0")
      .link("/sys/devices/d/block/sda/device", "../..");
  const std::vector<std::string> names{"../sda/size",
                                       "device/model",
                                       "device/vendor",
                                       "holders",
                                       "queue/rotational",
                                       "queue/scheduler",
                                       "queue/../size",
                                       "siz",
                                       "size",
                                       "subsystem",
                                       "wwid",
                                       "zoned/x"};
  const auto wanted = UnorderedElementsAre(
      Pair("../sda/size", "100"), Pair("device/model", "Disk"), Pair("device/vendor", std::nullopt),
      Pair("holders", "md0"), Pair("queue/rotational", "1"), Pair("queue/scheduler", std::nullopt),
      Pair("queue/../size", "100"), Pair("siz", std::nullopt), Pair("size", "100"),
      Pair("subsystem", "block"), Pair("wwid", std::nullopt), Pair("zoned/x", std::nullopt));
  const SysfsReader reader(root_, names, false);
  EXPECT_THAT(reader.read("/devices/d/block/sda", Action::add).value().attributes, wanted);
  EXPECT_THAT(reader.read_attributes("/devices/d/block/sda"), wanted);
  const auto gone = reader.read_attributes("/devices/d/block/sdb");
  EXPECT_EQ(gone.size(), names.size());
  EXPECT_EQ(gone.at("size"), std::nullopt);
}

// device_del() takes the `uevent` file away before it sends `remove`, and the directory after.
TEST_F(SysfsReaderTest, ADirectoryWithoutUeventFileIsADeviceThatIsGone) {
  tree_.device("/devices/d", "scsi", "").remove("/sys/devices/d/uevent");
  const SysfsReader reader(root_, {}, false);
  EXPECT_EQ(reader.read("/devices/d", Action::change), std::nullopt);
  EXPECT_EQ(reader.read("/devices/none", Action::change), std::nullopt);
}

TEST_F(SysfsReaderTest, WithAUdevdItsPropertiesCount) {
  tree_.device("/devices/sda", "block", "MAJOR=8\nMINOR=0\nDEVNAME=sda\n")
      .device("/devices/tty", "tty", "MAJOR=4\nMINOR=64\nDEVNAME=ttyS0\n")
      .device("/devices/eth0", "net", "IFINDEX=2\nINTERFACE=eth0\n")
      .device("/devices/pci/0:1", "pci", "")
      .device("/devices/new", "block", "MAJOR=8\nMINOR=16\nDEVNAME=sdb\n")
      .file("/run/udev/data/b8:0", "S:disk/by-id/z\nS:disk/by-id/a\nI:5\nE:ID_FS_TYPE=ext4\nG:x\n")
      .file("/run/udev/data/c4:64", "E:ID=c\n")
      .file("/run/udev/data/n2", "E:ID=n\n")
      .file("/run/udev/data/+pci:0:1", "E:ID=p\n");
  const SysfsReader reader(root_, {}, true);
  const auto properties = [&](const char* devpath) {
    return reader.read(devpath, Action::add).value().properties;
  };
  EXPECT_EQ(properties("/devices/sda").at("ID_FS_TYPE"), "ext4");
  EXPECT_EQ(properties("/devices/sda").at("DEVLINKS"), "/dev/disk/by-id/a /dev/disk/by-id/z");
  EXPECT_EQ(properties("/devices/tty").at("ID"), "c");
  EXPECT_EQ(properties("/devices/eth0").at("ID"), "n");
  EXPECT_EQ(properties("/devices/pci/0:1").at("ID"), "p");
  EXPECT_FALSE(properties("/devices/new").contains("ID"));
  EXPECT_FALSE(SysfsReader(root_, {}, false)
                   .read("/devices/sda", Action::add)
                   .value()
                   .properties.contains("ID_FS_TYPE"));
}

}  // namespace
}  // namespace muster
