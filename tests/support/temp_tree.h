// A directory of files that a test states in one expression, and that is gone when the test ends.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace muster::testing {

class TempTree {
 public:
  TempTree() {
    std::string name = (std::filesystem::temp_directory_path() / "muster-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TempTree() { std::filesystem::remove_all(path_); }
  TempTree(const TempTree&) = delete;
  TempTree& operator=(const TempTree&) = delete;

  [[nodiscard]] std::string path(const std::string& below = "") const { return path_ + below; }

  TempTree& directory(const std::string& below) {
    std::filesystem::create_directories(path(below));
    return *this;
  }
  TempTree& file(const std::string& below, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path(below)).parent_path());
    std::ofstream(path(below), std::ios::binary | std::ios::trunc) << text;
    return *this;
  }
  TempTree& link(const std::string& below, const std::string& target) {
    std::filesystem::create_directories(std::filesystem::path(path(below)).parent_path());
    std::filesystem::create_symlink(target, path(below));
    return *this;
  }
  TempTree& remove(const std::string& below) {
    std::filesystem::remove_all(path(below));
    return *this;
  }
  [[nodiscard]] std::string text(const std::string& below) const {
    std::ostringstream content;
    content << std::ifstream(path(below), std::ios::binary).rdbuf();
    return content.str();
  }

  // A device in sysfs: its `uevent` file and `subsystem` link.
  TempTree& device(const std::string& devpath, const std::string& subsystem,
                   const std::string& uevent) {
    return file("/sys" + devpath + "/uevent", uevent)
        .link("/sys" + devpath + "/subsystem", "/sys/class/" + subsystem);
  }

 private:
  std::string path_;
};

}  // namespace muster::testing
