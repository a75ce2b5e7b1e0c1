#include "initramfs/muster_unpack/archive_source.h"

#include <sys/stat.h>

#include <cerrno>
#include <climits>

namespace muster::unpack {
namespace {

// Entries that carry no bytes cost as well: headers of a megabyte of zeros must not go on for ever.
constexpr std::uint64_t kEntryCost = 512;

EntryKind kind_of(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) {
    return EntryKind::hardlink;
  }
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return EntryKind::file;
    case AE_IFDIR:
      return EntryKind::directory;
    case AE_IFLNK:
      return EntryKind::symlink;
    default:
      return EntryKind::other;
  }
}

std::string text_or_empty(const char* text) {
  return text == nullptr ? "" : text;
}

}  // namespace

Result<std::string> clean_path(std::string_view path) {
  std::string clean;
  if (path.size() >= PATH_MAX) {
    return fail(Errc::invalid, "the name is too long");
  }
  if (path.find_first_of(std::string_view("\0\n", 2)) != std::string_view::npos) {
    return fail(Errc::invalid, "the name holds a control character");
  }
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (part.empty() || part == ".") {
      continue;
    }
    if (part == "..") {
      return fail(Errc::invalid, "the name leads out of the archive");
    }
    if (part.size() > NAME_MAX) {
      return fail(Errc::invalid, "the name is too long");
    }
    clean += (clean.empty() ? "" : "/") + std::string(part);
  }
  return clean;
}

tl::unexpected<Error> ArchiveSource::failure(std::string_view what) const {
  return fail(Errc::io, path_ + ": " + std::string(what) + ": " +
                            text_or_empty(archive_error_string(archive_.get())));
}

Result<ArchiveSource> ArchiveSource::open(const std::string& path, Budget& budget) {
  ArchiveSource source(archive_read_new(), path, budget);
  archive* a = source.archive_.get();
  // By name, not "all": some filters of libarchive start programs.
  archive_read_support_filter_none(a);
  archive_read_support_filter_gzip(a);
  archive_read_support_filter_bzip2(a);
  archive_read_support_filter_xz(a);
  archive_read_support_filter_zstd(a);
  archive_read_support_format_tar(a);
  if (archive_read_open_filename(a, path.c_str(), std::size_t{64} * 1024) != ARCHIVE_OK) {
    return source.failure("cannot be opened");
  }
  return source;
}

Result<bool> ArchiveSource::next(ArchiveMember& member,
                                 const std::function<void(std::string, std::string)>& refuse) {
  for (;;) {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(archive_.get(), &entry);
    if (code == ARCHIVE_EOF) {
      return false;
    }
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) {
      return failure("is damaged");
    }
    if (budget_->entries == 0 || budget_->bytes < kEntryCost) {
      return fail(Errc::invalid, path_ + ": more comes out of it than is allowed");
    }
    --budget_->entries;
    budget_->bytes -= kEntryCost;
    const std::string name = text_or_empty(archive_entry_pathname(entry));
    auto clean = clean_path(name);
    if (!clean) {
      refuse(name, clean.error().text);
      continue;
    }
    if (clean->empty()) {
      continue;  // "./"
    }
    member = ArchiveMember{};
    member.path = std::move(*clean);
    member.kind = kind_of(entry);
    member.target = member.kind == EntryKind::hardlink
                        ? text_or_empty(archive_entry_hardlink(entry))
                        : text_or_empty(archive_entry_symlink(entry));
    const std::int64_t size = archive_entry_size(entry);
    member.size = size > 0 ? static_cast<std::uint64_t>(size) : 0;
    member.mode = archive_entry_perm(entry);
    member.mtime = archive_entry_mtime(entry);
    return true;
  }
}

Result<void> ArchiveSource::read(const std::function<Result<void>(std::string_view)>& take) {
  std::string buffer(std::size_t{64} * 1024, '\0');
  for (;;) {
    // Holes of a sparse entry come out as zeros and count like any other bytes.
    const la_ssize_t n = archive_read_data(archive_.get(), buffer.data(), buffer.size());
    if (n == 0) {
      return {};
    }
    if (n < 0) {
      return failure("is damaged");
    }
    const auto size = static_cast<std::uint64_t>(n);
    if (size > budget_->bytes) {
      budget_->bytes = 0;
      return fail(Errc::invalid, path_ + ": more comes out of it than is allowed");
    }
    budget_->bytes -= size;
    if (auto taken = take(std::string_view(buffer.data(), static_cast<std::size_t>(n))); !taken) {
      return taken;
    }
  }
}

}  // namespace muster::unpack
