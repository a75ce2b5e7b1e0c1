#include "daemon/dense_map.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>

namespace muster {
namespace {

using Texts = DenseMap<std::string, int, TextHash>;

TEST(DenseMap, EmptyHoldsNothing) {
  Texts map;
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.find("a"), nullptr);
  EXPECT_FALSE(map.contains(""));
  EXPECT_FALSE(map.erase("a"));
  EXPECT_TRUE(map.sorted().empty());
}

TEST(DenseMap, WhatIsThereIsNotReplaced) {
  Texts map;
  const auto [first, is_new] = map.try_emplace("a");
  EXPECT_TRUE(is_new);
  *first = 7;
  const auto [again, is_new_again] = map.try_emplace("a");
  EXPECT_FALSE(is_new_again);
  EXPECT_EQ(*again, 7);
  map["a"] += 1;
  EXPECT_EQ(*map.find(std::string_view("a")), 8);
  EXPECT_EQ(map.size(), 1U);
}

TEST(DenseMap, SortedByKey) {
  Texts map;
  for (const char* key : {"c", "a", "", "b"}) {
    map[key] = key[0];
  }
  std::string keys;
  for (const auto* entry : map.sorted()) {
    keys += entry->first + ",";
  }
  EXPECT_EQ(keys, ",a,b,c,");
}

// All keys in one chain, which is what erasing has to leave whole.
struct OneHash {
  std::uint64_t operator()(int) const { return 5; }
};
struct FewHashes {
  std::uint64_t operator()(int key) const { return static_cast<std::uint64_t>(key) % 3; }
};
struct WideHash {
  std::uint64_t operator()(int key) const {
    return static_cast<std::uint64_t>(key) * 0x9e3779b97f4a7c15U;
  }
};

// The same as std::map whatever comes and goes.
template <typename Hash>
void behaves_as_a_map(unsigned seed, int keys) {
  std::mt19937 random(seed);
  DenseMap<int, std::unique_ptr<int>, Hash> map;
  std::map<int, int> measure;
  for (int i = 0; i < 4000; ++i) {
    const int key = static_cast<int>(random() % static_cast<unsigned>(keys));
    if (random() % 2 == 0) {
      map[key] = std::make_unique<int>(i);
      measure[key] = i;
    } else {
      ASSERT_EQ(map.erase(key), measure.erase(key) == 1);
    }
    ASSERT_EQ(map.size(), measure.size());
    ASSERT_EQ(map.contains(key), measure.contains(key));
  }
  const auto sorted = map.sorted();
  ASSERT_EQ(sorted.size(), measure.size());
  auto at = measure.begin();
  for (const auto* entry : sorted) {
    EXPECT_EQ(entry->first, at->first);
    EXPECT_EQ(*entry->second, at->second);
    EXPECT_EQ(**map.find(entry->first), at->second);
    ++at;
  }
}

TEST(DenseMap, BehavesAsAMap) {
  behaves_as_a_map<WideHash>(1, 300);
  behaves_as_a_map<WideHash>(2, 3);
  behaves_as_a_map<FewHashes>(3, 40);
  behaves_as_a_map<OneHash>(4, 20);
}

TEST(DenseMap, ErasedByItsOwnKey) {
  Texts map;
  for (const char* key : {"first of some length beyond the short ones", "second", "third"}) {
    map[key] = 1;
  }
  EXPECT_TRUE(map.erase(map.unsorted().front().first));
  EXPECT_EQ(map.size(), 2U);
  EXPECT_TRUE(map.contains("second"));
  EXPECT_TRUE(map.contains("third"));
}

TEST(DenseMap, ClearedItCanBeFilledAgain) {
  Texts map;
  map["a"] = 1;
  map.clear();
  EXPECT_FALSE(map.contains("a"));
  map["a"] = 2;
  EXPECT_EQ(*map.find("a"), 2);
}

TEST(TextHash, TellsTextsApart) {
  EXPECT_EQ(text_hash("abc"), text_hash(std::string("abc")));
  EXPECT_NE(text_hash(""), text_hash("a"));
  EXPECT_NE(text_hash("abcdefgh"), text_hash("abcdefgi"));
  EXPECT_NE(text_hash("abcdefgh1"), text_hash("abcdefgh2"));
  EXPECT_NE(text_hash(std::string_view("a\0", 2)), text_hash("a"));
}

}  // namespace
}  // namespace muster
