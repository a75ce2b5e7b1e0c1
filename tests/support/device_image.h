// A device of zeros with some bytes in it: a fixture (tests/fixtures/README.md), or what a test
// puts there.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "handlers/bytes.h"

namespace muster::testing {

class DeviceImage {
 public:
  explicit DeviceImage(uint64_t size) : size_(size) {}

  // tests/fixtures/NAME.image, NAME like "md/v12-l5-0"
  static DeviceImage fixture(const std::string& name) {
    std::ifstream in(fixture_path(name + ".image"));
    EXPECT_TRUE(in) << "no fixture " << name;
    std::string word;
    uint64_t size = 0;
    in >> word >> size;
    DeviceImage image(size);
    std::string offset;
    std::string hex;
    while (in >> offset >> hex) {
      uint64_t at = std::stoull(offset, nullptr, 16);
      for (size_t i = 0; i + 1 < hex.size(); i += 2) {
        unsigned value = 0;
        std::from_chars(&hex[i], &hex[i] + 2, value, 16);
        image.put(at++, static_cast<uint8_t>(value));
      }
    }
    return image;
  }

  static std::string fixture_path(const std::string& name) {
    return std::string(MUSTER_SOURCE_DIR) + "/tests/fixtures/" + name;
  }

  // Names (without folder and ending) of all fixtures of a folder, sorted.
  static std::vector<std::string> fixture_names(const std::string& folder,
                                                const std::string& ending) {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(fixture_path(folder))) {
      if (file.path().extension() == ending) {
        names.push_back(file.path().stem());
      }
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  [[nodiscard]] uint64_t size() const { return size_; }
  void resize(uint64_t size) { size_ = size; }

  void put(uint64_t at, uint8_t value) {
    pages_[at / kPage][at % kPage] = static_cast<std::byte>(value);
  }
  void put(uint64_t at, Bytes bytes) {
    for (const std::byte b : bytes) {
      put(at++, static_cast<uint8_t>(b));
    }
  }
  void put(uint64_t at, std::string_view text) { put(at, as_bytes_of(text)); }
  // LENGTH bytes, little-endian
  void put_le(uint64_t at, size_t length, uint64_t value) {
    for (size_t i = 0; i < length; ++i, value >>= 8) {
      put(at + i, static_cast<uint8_t>(value));
    }
  }

  [[nodiscard]] std::vector<std::byte> bytes(uint64_t at, size_t length) const {
    std::vector<std::byte> out;
    for (uint64_t i = at; i < std::min(size_, at + length); ++i) {
      const auto page = pages_.find(i / kPage);
      out.push_back(page == pages_.end() ? std::byte{0} : page->second[i % kPage]);
    }
    return out;
  }

  // Shares this image; what is read is counted in bytes_read.
  [[nodiscard]] Reader reader() {
    return [this](uint64_t offset, size_t length) -> Result<std::vector<std::byte>> {
      bytes_read += length;
      return bytes(offset, length);
    };
  }
  uint64_t bytes_read = 0;

 private:
  static constexpr uint64_t kPage = 4096;
  uint64_t size_;
  std::map<uint64_t, std::array<std::byte, kPage>> pages_;
};

}  // namespace muster::testing
