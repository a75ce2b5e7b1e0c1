// muster-mkcpio: a folder as an initramfs archive (cpio, newc), the same bytes for the same
// content.
//
//   muster-mkcpio FOLDER > FILE
//
// Nothing of the machine that packs it gets in: entries are sorted, belong to root, carry one date,
// and are numbered from one; modes are those of the files. /dev/console is added as a node, so that
// packing does not need root.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr time_t kDate = 1;
constexpr dev_t kConsoleMajor = 5;
constexpr dev_t kConsoleMinor = 1;

struct ArchiveDeleter {
  void operator()(archive* a) const { archive_write_free(a); }
};
struct EntryDeleter {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};
using Archive = std::unique_ptr<archive, ArchiveDeleter>;
using Entry = std::unique_ptr<archive_entry, EntryDeleter>;

int complain(const std::string& what) {
  std::fprintf(stderr, "muster-mkcpio: %s\n", what.c_str());
  return 1;
}

Entry make_entry(const std::string& name, mode_t mode, std::int64_t number) {
  Entry entry(archive_entry_new());
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_mode(entry.get(), mode);
  archive_entry_set_uid(entry.get(), 0);
  archive_entry_set_gid(entry.get(), 0);
  archive_entry_set_mtime(entry.get(), kDate, 0);
  archive_entry_set_ino64(entry.get(), number);
  archive_entry_set_dev(entry.get(), 0);
  archive_entry_set_nlink(entry.get(), S_ISDIR(mode) ? 2 : 1);
  archive_entry_set_size(entry.get(), 0);
  return entry;
}

bool copy_content(archive* out, const std::string& path, std::int64_t size) {
  std::ifstream in(path, std::ios::binary);
  std::vector<char> buffer(std::size_t{1} << 20);
  std::int64_t left = size;
  while (left > 0 && in) {
    in.read(buffer.data(), static_cast<std::streamsize>(
                               std::min<std::int64_t>(left, std::int64_t(buffer.size()))));
    const auto n = in.gcount();
    if (n <= 0 || archive_write_data(out, buffer.data(), static_cast<std::size_t>(n)) != n) {
      return false;
    }
    left -= n;
  }
  return left == 0;
}

std::string add(archive* out, const std::string& root, const std::string& name,
                std::int64_t number) {
  const std::string path = root + "/" + name;
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    return path + ": " + std::strerror(errno);
  }
  const Entry entry = make_entry(name, status.st_mode, number);
  if (S_ISLNK(status.st_mode)) {
    archive_entry_set_symlink(entry.get(), fs::read_symlink(path).c_str());
  } else if (S_ISREG(status.st_mode)) {
    archive_entry_set_size(entry.get(), status.st_size);
  } else if (!S_ISDIR(status.st_mode)) {
    return path + ": neither a file nor a folder nor a link";
  }
  if (archive_write_header(out, entry.get()) != ARCHIVE_OK ||
      (S_ISREG(status.st_mode) && !copy_content(out, path, status.st_size))) {
    const char* why = archive_error_string(out);
    return path + ": " + (why != nullptr ? why : "it changed while it was read");
  }
  return {};
}

int pack(const std::string& root) {
  std::vector<std::string> names;
  for (const auto& item : fs::recursive_directory_iterator(root)) {
    names.push_back(item.path().lexically_relative(root).string());
  }
  std::sort(names.begin(), names.end());
  const Archive out(archive_write_new());
  archive_write_set_format_cpio_newc(out.get());
  archive_write_add_filter_none(out.get());
  archive_write_set_bytes_per_block(out.get(), 1 << 16);
  archive_write_set_bytes_in_last_block(out.get(), 512);
  if (archive_write_open_FILE(out.get(), stdout) != ARCHIVE_OK) {
    return complain("cannot write to standard output");
  }
  std::int64_t number = 0;
  for (const auto& name : names) {
    if (const std::string problem = add(out.get(), root, name, ++number); !problem.empty()) {
      return complain(problem);
    }
  }
  const Entry console = make_entry("dev/console", S_IFCHR | 0600, ++number);
  archive_entry_set_rdevmajor(console.get(), kConsoleMajor);
  archive_entry_set_rdevminor(console.get(), kConsoleMinor);
  if (archive_write_header(out.get(), console.get()) != ARCHIVE_OK ||
      archive_write_close(out.get()) != ARCHIVE_OK || std::fflush(stdout) != 0) {
    return complain("cannot write: " + std::string(std::strerror(errno)));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: muster-mkcpio FOLDER > FILE\n", stderr);
    return 2;
  }
  try {
    return pack(argv[1]);
  } catch (const fs::filesystem_error& error) {
    return complain(error.what());
  }
}
