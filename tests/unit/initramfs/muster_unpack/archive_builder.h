// Archives as a medium has them, good and bad, made with libarchive.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>

namespace muster::unpack {

// Bytes that cannot be compressed.
inline std::string noise(std::size_t size) {
  std::mt19937 random(1);
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(random() & 0xffU);
  }
  return bytes;
}

class ArchiveBuilder {
 public:
  explicit ArchiveBuilder(const std::string& path) : path_(path), archive_(archive_write_new()) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    archive_write_set_format_gnutar(archive_);
    archive_write_add_filter_gzip(archive_);
    if (archive_write_open_filename(archive_, path.c_str()) != ARCHIVE_OK) {
      throw std::runtime_error(archive_error_string(archive_));
    }
  }
  ArchiveBuilder(const ArchiveBuilder&) = delete;
  ArchiveBuilder& operator=(const ArchiveBuilder&) = delete;
  ~ArchiveBuilder() { archive_write_free(archive_); }

  ArchiveBuilder& file(const std::string& name, const std::string& text, unsigned mode = 0644) {
    archive_entry* entry = make(name, S_IFREG | mode);
    archive_entry_set_size(entry, static_cast<la_int64_t>(text.size()));
    put(entry);
    archive_write_data(archive_, text.data(), text.size());
    return *this;
  }
  ArchiveBuilder& zeros(const std::string& name, std::uint64_t size) {
    archive_entry* entry = make(name, S_IFREG | 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(size));
    put(entry);
    const std::string block(1 << 20, '\0');
    for (std::uint64_t done = 0; done < size; done += block.size()) {
      archive_write_data(archive_, block.data(), block.size());
    }
    return *this;
  }
  ArchiveBuilder& folder(const std::string& name) {
    put(make(name, S_IFDIR | 0755));
    return *this;
  }
  ArchiveBuilder& link(const std::string& name, const std::string& target) {
    archive_entry* entry = make(name, S_IFLNK | 0777);
    archive_entry_set_symlink(entry, target.c_str());
    put(entry);
    return *this;
  }
  ArchiveBuilder& hard_link(const std::string& name, const std::string& target) {
    archive_entry* entry = make(name, S_IFREG | 0644);
    archive_entry_set_hardlink(entry, target.c_str());
    put(entry);
    return *this;
  }
  ArchiveBuilder& device(const std::string& name, mode_t kind) {
    archive_entry* entry = make(name, kind | 0666);
    archive_entry_set_rdevmajor(entry, 8);
    archive_entry_set_rdevminor(entry, 0);
    put(entry);
    return *this;
  }
  void done() { archive_write_close(archive_); }
  // The end is missing, as of a disc with a bad sector.
  void done_truncated(double part) {
    archive_write_close(archive_);
    const auto size = std::filesystem::file_size(path_);
    std::filesystem::resize_file(path_,
                                 static_cast<std::uintmax_t>(static_cast<double>(size) * part));
  }

 private:
  static archive_entry* make(const std::string& name, mode_t mode) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_mode(entry, mode);
    archive_entry_set_mtime(entry, 1'000'000'000, 0);
    archive_entry_set_size(entry, 0);
    return entry;
  }
  void put(archive_entry* entry) {
    archive_write_header(archive_, entry);
    archive_entry_free(entry);
  }

  std::string path_;
  archive* archive_;
};

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = std::filesystem::temp_directory_path() / "muster-unpack.XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  void put(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
  }
  std::string text(const std::string& name) const {
    std::ifstream in(path_ / name, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return in ? out.str() : "(none)";
  }

 private:
  std::filesystem::path path_;
};

}  // namespace muster::unpack
