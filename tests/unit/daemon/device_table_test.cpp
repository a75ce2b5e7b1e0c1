#include <gtest/gtest.h>

#include <map>
#include <string>

#include "daemon/world.h"

namespace muster {
namespace {

std::string path(int number) {
  return "/devices/virtual/block/loop" + std::to_string(number);
}

TEST(DeviceTable, EmptyHoldsNothing) {
  DeviceTable table;
  EXPECT_EQ(table.find(path(1)), nullptr);
  EXPECT_EQ(table.size(), 0U);
  EXPECT_TRUE(table.sorted().empty());
}

TEST(DeviceTable, DevicesStayWhereTheyAreAndAreListedInOrder) {
  DeviceTable table;
  std::map<std::string, const Device*> expected;
  for (int i = 0; i < 1000; ++i) {
    Device& device = table.insert(Devpath(path(i)));
    device.kernel = std::to_string(i);
    expected[path(i)] = &device;
  }
  for (int i = 0; i < 1000; i += 3) {
    EXPECT_EQ(table.take(expected.at(path(i))->devpath).kernel, std::to_string(i));
    expected.erase(path(i));
  }
  EXPECT_EQ(table.size(), expected.size());
  std::size_t at = 0;
  const auto sorted = table.sorted();
  ASSERT_EQ(sorted.size(), expected.size());
  for (const auto& [devpath, device] : expected) {
    EXPECT_EQ(sorted[at++], device);
    EXPECT_EQ(table.find(devpath), device);
    EXPECT_EQ(table.find(Devpath(devpath)), device);
    EXPECT_EQ(path(std::stoi(device->kernel)), devpath);
  }
  EXPECT_EQ(table.find(path(0)), nullptr);
}

TEST(DeviceTable, ThePlaceOfOneThatWentIsAsNew) {
  DeviceTable table;
  Device& first = table.insert(Devpath(path(1)));
  first.devno = Devno{7, 1};
  first.settled.era = 3;
  first.signature.emplace();
  EXPECT_TRUE(table.take(first.devpath).signature);
  Device& second = table.insert(Devpath(path(2)));
  EXPECT_EQ(second.devpath, path(2));
  EXPECT_EQ(second.devno, std::nullopt);
  EXPECT_EQ(second.settled.era, 0U);
  EXPECT_FALSE(second.signature);
  EXPECT_EQ(table.find(path(1)), nullptr);
  EXPECT_EQ(table.find(path(2)), &second);
}

}  // namespace
}  // namespace muster
