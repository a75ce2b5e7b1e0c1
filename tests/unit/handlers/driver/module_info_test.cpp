#include "handlers/driver/module_info.h"

#include <gmock/gmock.h>

#include <cstring>

namespace muster::driver {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

Reader reader_of(const std::string& file) {
  return [&file](std::uint64_t offset, std::size_t length) -> Result<std::vector<std::byte>> {
    const Bytes bytes = as_bytes_of(file);
    const auto from = std::min<std::uint64_t>(offset, bytes.size());
    const auto part = bytes.subspan(from, std::min<std::size_t>(length, bytes.size() - from));
    return std::vector<std::byte>(part.begin(), part.end());
  };
}

void put(std::string& file, std::size_t at, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    file.at(at + i) = static_cast<char>(value >> (8 * i));
  }
}

// Header, .modinfo, names, table of three sections.
std::string module_file(const std::string& info, bool wide = true) {
  const std::string names("\0.modinfo\0.shstrtab\0", 20);
  const std::size_t header = wide ? 0x40 : 0x34;
  const std::size_t section = wide ? 0x40 : 0x28;
  std::string file(header, '\0');
  file.replace(0, 6,
               wide ? "\x7f"
                      "ELF\2\1"
                    : "\x7f"
                      "ELF\1\1");
  file += info + names;
  const std::size_t table = file.size();
  file.resize(table + 3 * section);
  put(file, wide ? 0x28 : 0x20, table, 4);
  put(file, wide ? 0x3A : 0x2E, section, 2);
  put(file, wide ? 0x3C : 0x30, 3, 2);
  put(file, wide ? 0x3E : 0x32, 2, 2);
  const auto describe = [&](std::size_t index, std::size_t name, std::size_t at, std::size_t size) {
    const std::size_t here = table + index * section;
    put(file, here, name, 4);
    put(file, here + (wide ? 0x18 : 0x10), at, 4);
    put(file, here + (wide ? 0x20 : 0x14), size, 4);
  };
  describe(1, 1, header, info.size());
  describe(2, 10, header + info.size(), names.size());
  return file;
}

const std::string kInfo("license=GPL\0alias=pci:v1*\0aliases=no\0alias=fs-x\0depends=", 56);

TEST(ModuleInfoTest, TheValuesOfOneKeyInBothWidths) {
  for (const bool wide : {true, false}) {
    const std::string file = module_file(kInfo, wide);
    EXPECT_THAT(module_info(reader_of(file), "alias"), Optional(ElementsAre("pci:v1*", "fs-x")));
    EXPECT_THAT(module_info(reader_of(file), "depends"), Optional(ElementsAre("")));
    EXPECT_THAT(module_info(reader_of(file), "parm"), Optional(ElementsAre()));
  }
}

TEST(ModuleInfoTest, WhatIsNoModuleSaysNothing) {
  const std::string whole = module_file(kInfo);
  std::string big_endian = whole;
  big_endian[5] = 2;
  std::string renamed = whole;
  renamed.replace(renamed.find(".modinfo"), 4, ".mad");
  for (const std::string& file : {std::string(),
                                  std::string("\xFD"
                                              "7zXZ"),
                                  big_endian, renamed}) {
    EXPECT_EQ(module_info(reader_of(file), "alias"), std::nullopt);
  }
}

TEST(ModuleInfoTest, AFileThatIsCutOffOrLiesCostsNothing) {
  const std::string whole = module_file(kInfo);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::string cut = whole.substr(0, length);
    EXPECT_EQ(module_info(reader_of(cut), "alias"), std::nullopt) << length;
  }
  for (std::size_t at = 4; at < whole.size(); ++at) {
    for (const char value : {'\0', '\x7f', '\xff'}) {
      std::string file = whole;
      file[at] = value;
      static_cast<void>(module_info(reader_of(file), "alias"));
    }
  }
}

}  // namespace
}  // namespace muster::driver
