#include "daemon/devpath.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <random>
#include <set>
#include <string>
#include <utility>

namespace muster {
namespace {

TEST(Devpath, CopiesAreEqualAndOutliveTheFirst) {
  Devpath copy;
  {
    const Devpath first("/devices/a");
    copy = first;
    EXPECT_EQ(copy, first);
    EXPECT_EQ(&copy.str(), &first.str());
  }
  EXPECT_EQ(copy.str(), "/devices/a");
  const Devpath moved = std::move(copy);
  EXPECT_EQ(moved, "/devices/a");
  Devpath& itself = copy = moved;
  itself = copy;
  EXPECT_EQ(copy, moved);
}

TEST(Devpath, ComparedByText) {
  EXPECT_EQ(Devpath("/devices/a"), Devpath("/devices/a"));
  EXPECT_NE(Devpath("/devices/a"), Devpath("/devices/b"));
  EXPECT_LT(Devpath("/devices/a"), Devpath("/devices/b"));
  EXPECT_LT(Devpath(), Devpath("/"));
  EXPECT_EQ(Devpath(), Devpath(""));
  EXPECT_TRUE(Devpath("").empty());
  EXPECT_EQ(DevpathHash{}(Devpath("/devices/a")), DevpathHash{}(std::string_view("/devices/a")));
  EXPECT_EQ(DevpathHash{}(Devpath()), DevpathHash{}(std::string_view()));
  EXPECT_EQ("to " + Devpath("/x"), "to /x");
  EXPECT_EQ(fmt::format("{:>4}", Devpath("/x")), "  /x");
}

std::vector<std::string> texts(const std::vector<Devpath>& paths) {
  return {paths.begin(), paths.end()};
}

// Whatever is asked for in between, it is the same as a std::set.
TEST(DevpathSet, BehavesAsASet) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    DevpathSet set;
    std::set<std::string> measure;
    for (int i = 0; i < 600; ++i) {
      const std::string text = "/devices/" + std::to_string(random() % 90);
      switch (random() % 8) {
        case 0:
          ASSERT_EQ(texts(set.sorted()), std::vector(measure.begin(), measure.end())) << seed;
          break;
        case 1:
          if (!measure.empty()) {
            ASSERT_EQ(set.first().str(), *measure.begin()) << seed;
          }
          break;
        case 2:
        case 3:
        case 4:
          set.erase(std::string_view(text));
          measure.erase(text);
          break;
        default:
          set.insert(Devpath(text));
          measure.insert(text);
      }
      ASSERT_EQ(set.size(), measure.size());
      ASSERT_EQ(set.contains(text), measure.contains(text));
      ASSERT_EQ(set.empty(), measure.empty());
    }
    std::vector<std::string> in_order;
    for (const Devpath* path : set.in_order()) {
      in_order.push_back(path->str());
    }
    EXPECT_EQ(in_order, std::vector(measure.begin(), measure.end()));
    EXPECT_EQ(set.any_of([](const Devpath& path) { return path.str().ends_with("7"); }),
              std::any_of(measure.begin(), measure.end(),
                          [](const std::string& text) { return text.ends_with("7"); }));
  }
}

// Asked for once, and then a device comes and goes for hours.
TEST(DevpathSet, WhatComesAndGoesLeavesNothingBehind) {
  DevpathSet set;
  set.insert(Devpath("/stays"));
  EXPECT_EQ(set.sorted().size(), 1U);
  EXPECT_EQ(set.first().str(), "/stays");
  const auto before = mallinfo2().uordblks;
  for (int i = 0; i < 100'000; ++i) {
    const Devpath path("/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host7");
    set.insert(path);
    set.erase(path);
  }
  EXPECT_LT(mallinfo2().uordblks, before + 100'000);
  set.insert(Devpath("/a"));
  EXPECT_EQ(texts(set.sorted()), (std::vector<std::string>{"/a", "/stays"}));
  EXPECT_EQ(set.first().str(), "/a");
}

TEST(DevpathSet, WhatWentAndCameAgainIsThereOnce) {
  DevpathSet set;
  set.insert(Devpath("/a"));
  set.insert(Devpath("/b"));
  EXPECT_EQ(set.sorted().size(), 2U);
  set.erase(std::string_view("/a"));
  set.insert(Devpath("/a"));
  EXPECT_EQ(texts(set.sorted()), (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(set.first().str(), "/a");
}

}  // namespace
}  // namespace muster
