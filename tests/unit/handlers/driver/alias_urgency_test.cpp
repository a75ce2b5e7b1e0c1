#include "handlers/driver/alias_urgency.h"

#include <gtest/gtest.h>

namespace muster::driver {
namespace {

TEST(AliasUrgencyTest, WhatLeadsToDisksComesBeforeWhatDoesNot) {
  static constexpr struct {
    const char* what;
    const char* alias;
    Urgency urgency;
  } kCases[] = {
      {"AHCI", "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01", Urgency::now},
      {"NVMe", "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02", Urgency::now},
      {"xHCI", "pci:v00001B36d0000000Dsv00001AF4sd00001100bc0Csc03i30", Urgency::soon},
      {"FibreChannel", "pci:v00001077d00002532sv00001077d0000015Cbc0Csc04i00", Urgency::now},
      {"SD host", "pci:v00001B36d00000007sv00001AF4sd00001100bc08sc05i01", Urgency::now},
      {"timer", "pci:v00008086d00000001sv00001AF4sd00001100bc08sc02i00", Urgency::soon},
      {"SMBus", "pci:v00008086d00002930sv00001AF4sd00001100bc0Csc05i00", Urgency::whenever},
      {"network", "pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00", Urgency::soon},
      {"display", "pci:v00001234d00001111sv00001AF4sd00001100bc03sc00i00", Urgency::whenever},
      {"bridge", "pci:v00008086d00002918sv00001AF4sd00001100bc06sc01i00", Urgency::soon},
      {"no class known", "pci:v00001AF4d00001005sv00001AF4sd00000004bc00scFFi00", Urgency::now},
      {"no class at all", "pci:v00001AF4d00001005", Urgency::now},
      {"USB disk", "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00", Urgency::now},
      {"USB hub", "usb:v1D6Bp0003d0601dc09dsc00dp03ic09isc00ip00in00", Urgency::now},
      {"USB vendor's own", "usb:v0BDAp0129d3960dcFFdscFFdpFFicFFisc06ip50in00", Urgency::now},
      {"USB keyboard", "usb:v0627p0001d0000dc00dsc00dp00ic03isc01ip01in00", Urgency::soon},
      {"USB camera", "usb:v046Dp0825d0012dcEFdsc02dp01ic0Eisc01ip00in00", Urgency::whenever},
      {"virtio SCSI", "virtio:d00000008v00001AF4", Urgency::now},
      {"virtio disk", "virtio:d00000002v00001AF4", Urgency::now},
      {"virtio network", "virtio:d00000001v00001AF4", Urgency::soon},
      {"virtio balloon", "virtio:d00000005v00001AF4", Urgency::whenever},
      {"SCSI disk", "scsi:t-0x00", Urgency::now},
      {"SCSI CD", "scsi:t-0x05", Urgency::now},
      {"SCSI tape", "scsi:t-0x01", Urgency::soon},
      {"memory card", "mmc:block", Urgency::now},
      {"Xen disk", "xen:vbd", Urgency::now},
      {"Hyper-V", "vmbus:d96361baa104294db60572e2ffb1dc7f", Urgency::now},
      {"ACPI", "acpi:PNP0303:", Urgency::soon},
      {"CPU", "cpu:type:x86,ven0000fam0006mod0055:feature:,0000,0001", Urgency::whenever},
      {"a module's name", "raid456", Urgency::soon},
      {"a file system's name", "fs-ext4", Urgency::whenever},
      {"nothing", "", Urgency::soon},
  };
  for (const auto& each : kCases) {
    EXPECT_EQ(urgency_of_alias(each.alias), each.urgency) << each.what;
  }
}

}  // namespace
}  // namespace muster::driver
