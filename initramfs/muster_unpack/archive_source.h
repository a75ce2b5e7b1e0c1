// A tar archive of a medium, read with libarchive and never trusted: bounded in bytes and entries,
// no external decompressors, every failure a value.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/result.h"

namespace muster::unpack {

// What may still come out of all archives together.
struct Budget {
  std::uint64_t bytes = 0;
  std::uint64_t entries = 200'000;
};

enum class EntryKind { file, directory, symlink, hardlink, other };

struct ArchiveMember {
  std::string path;    // as it stands in the archive, leading "/" and "./" taken off; never empty
  std::string target;  // of links
  EntryKind kind = EntryKind::other;
  std::uint64_t size = 0;  // what the header says; the content may be anything
  unsigned mode = 0;
  std::int64_t mtime = 0;
};

class ArchiveSource {
 public:
  [[nodiscard]] static Result<ArchiveSource> open(const std::string& path, Budget& budget);

  // False at the end. An entry whose name is unusable is passed to `refuse` and skipped.
  [[nodiscard]] Result<bool> next(ArchiveMember& member,
                                  const std::function<void(std::string, std::string)>& refuse);

  // The content of the present entry, block by block; the callback returns false to stop.
  [[nodiscard]] Result<void> read(const std::function<Result<void>(std::string_view)>& take);

 private:
  struct Deleter {
    void operator()(archive* a) const { archive_read_free(a); }
  };

  ArchiveSource(archive* a, std::string path, Budget& budget)
      : archive_(a), path_(std::move(path)), budget_(&budget) {}
  [[nodiscard]] tl::unexpected<Error> failure(std::string_view what) const;

  std::unique_ptr<archive, Deleter> archive_;
  std::string path_;
  Budget* budget_;
};

// "./a//b/" -> "a/b". Nothing for a path with "..", with a NUL or a newline, or longer than the
// kernel takes.
[[nodiscard]] Result<std::string> clean_path(std::string_view path);

}  // namespace muster::unpack
