// Small files of /proc and /sys, and the copying of a tree that PID 1 has to do itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace muster::init {

// Up to 64 KiB; empty if it cannot be read.
[[nodiscard]] std::string read_small_file(const char* path);
bool write_small_file(const char* path, std::string_view text);

// mkdir -p
bool make_directories(const std::string& path);

// Copies regular files, directories and symbolic links below FROM to TO (an existing directory);
// each file is removed once it has been copied, so that a RAM filesystem never holds all of it
// twice. Names what could not be copied.
void move_tree(const std::string& from, const std::string& to, std::vector<std::string>& problems);

}  // namespace muster::init
