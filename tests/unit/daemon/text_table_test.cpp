#include "daemon/text_table.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace muster {
namespace {

const Attributes kDisk = {
    {"device/model", "QEMU HARDDISK"}, {"removable", ""}, {"size", "2048"}, {"wwid", std::nullopt}};

TEST(TextTable, ValuesEmptyValuesAndAbsentOnes) {
  const TextTable table(named_texts(kDisk));
  EXPECT_EQ(table.size(), 4U);
  EXPECT_EQ(table.find("device/model"), "QEMU HARDDISK");
  EXPECT_EQ(table.find("removable"), "");
  EXPECT_EQ(table.find("size"), "2048");
  EXPECT_EQ(table.find("wwid"), std::nullopt);
  EXPECT_EQ(table.find("nothing"), std::nullopt);
  EXPECT_EQ(table.find(""), std::nullopt);
  EXPECT_EQ(Attributes(table), kDisk);
  EXPECT_EQ(table.at(3), (NamedText{"wwid", std::nullopt}));
}

TEST(TextTable, EmptyOne) {
  const TextTable table;
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(table.find("a"), std::nullopt);
  EXPECT_TRUE(Properties(table).empty());
  const TextTable copy = table;
  EXPECT_EQ(copy.size(), 0U);
  EXPECT_EQ(TextTable(named_texts(Properties())).size(), 0U);
}

TEST(TextTable, ZeroBytesAreText) {
  const Properties properties = {{"a", std::string("x\0y", 3)}, {"b", std::string(1, '\0')}};
  EXPECT_EQ(Properties(TextTable(named_texts(properties))), properties);
}

TEST(TextTable, CopiesAreTheirOwn) {
  TextTable table(named_texts(kDisk));
  const TextTable copy = table;
  table = TextTable(named_texts(Properties{{"a", "1"}}));
  EXPECT_EQ(Attributes(copy), kDisk);
  EXPECT_EQ(table.find("a"), "1");
  const TextTable moved = std::move(table);
  EXPECT_EQ(moved.find("a"), "1");
}

TEST(TextTable, ReplacedByOtherNamesValuesAndLengths) {
  NamePool pool;
  for (const auto& [name, value] : Attributes{{"wwid", ""},
                                              {"size", "4096"},
                                              {"size", "512"},
                                              {"size", "16777216"},
                                              {"size", std::nullopt},
                                              {"removable", "1"},
                                              {"more", "1"}}) {
    Attributes other = kDisk;
    other[name] = value;
    TextTable table(named_texts(kDisk), pool);
    table.replace(named_texts(other), pool);
    EXPECT_EQ(Attributes(table), other) << name;
    table.replace(named_texts(kDisk), pool);
    EXPECT_EQ(Attributes(table), kDisk) << name;
  }
  TextTable table;
  table.replace({}, pool);
  EXPECT_EQ(table.size(), 0U);
  table.replace(named_texts(kDisk), pool);
  EXPECT_EQ(Attributes(table), kDisk);
  table.replace({}, pool);
  EXPECT_EQ(table.size(), 0U);
}

// As an event does it that brings some of them: the others are the table's own.
TEST(TextTable, ReplacedInPartByItsOwn) {
  NamePool pool;
  for (const char* size : {"1", "4096", "16777216"}) {
    TextTable table(named_texts(kDisk), pool);
    std::vector<NamedText> texts;
    for (std::size_t i = 0; i < table.size(); ++i) {
      texts.push_back(table.at(i));
    }
    texts[2].value = size;
    table.replace(texts, pool);
    Attributes wanted = kDisk;
    wanted["size"] = size;
    EXPECT_EQ(Attributes(table), wanted);
  }
}

TEST(Names, EachIsFoundWhereItStands) {
  Attributes many;
  for (int i = 0; i < 500; ++i) {
    many["name" + std::to_string(i)] = "";
  }
  const Names names(named_texts(many));
  ASSERT_EQ(names.size(), many.size());
  std::size_t at = 0;
  for (const auto& [name, value] : many) {
    EXPECT_EQ(names[at], name);
    EXPECT_EQ(names.find(name), at);
    ++at;
  }
  EXPECT_EQ(names.find("name500"), names.size());
  EXPECT_EQ(names.find(""), names.size());
  EXPECT_EQ(Names({}).find("name"), 0U);
}

TEST(NamePool, NamesAreSharedAndNotKeptForNobody) {
  NamePool pool;
  const auto names = pool.names_of(named_texts(kDisk));
  EXPECT_EQ(pool.names_of(named_texts(kDisk)), names);
  EXPECT_NE(pool.names_of(named_texts(Properties{{"a", ""}})), names);
  std::weak_ptr<const Names> gone = pool.names_of(named_texts(Properties{{"b", ""}}));
  for (int i = 0; i < 1000; ++i) {
    static_cast<void>(pool.names_of(named_texts(Properties{{"name" + std::to_string(i), ""}})));
  }
  EXPECT_TRUE(gone.expired());
  EXPECT_EQ(pool.names_of(named_texts(kDisk)), names);

  TextTable table(named_texts(kDisk));
  table.share_names(pool);
  EXPECT_EQ(Attributes(table), kDisk);
}

}  // namespace
}  // namespace muster
