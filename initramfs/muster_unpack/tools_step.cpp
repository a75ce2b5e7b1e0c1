#include "initramfs/muster_unpack/tools_step.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <optional>

#include "initramfs/muster_unpack/archive_source.h"
#include "initramfs/muster_unpack/safe_tree.h"

namespace muster::unpack {
namespace {

constexpr int kMostDisks = 999;
constexpr int kMostSlices = 1000;  // of one file
constexpr int kDeepest = 128;
constexpr std::array kProtected{"usr/lib/muster", "etc/muster", "proc", "sys", "dev", "run"};
constexpr std::array kKept{"etc/fstab", "etc/mtab", "etc/lvm/lvm.conf"};

bool is_within(std::string_view path, std::string_view folder) {
  return path == folder || (path.size() > folder.size() &&
                            path.substr(0, folder.size()) == folder && path[folder.size()] == '/');
}

bool is_protected(std::string_view path) {
  return std::any_of(kProtected.begin(), kProtected.end(),
                     [path](const char* folder) { return is_within(path, folder); });
}

bool holds_protected(std::string_view path) {
  return std::any_of(kProtected.begin(), kProtected.end(),
                     [path](const char* folder) { return is_within(folder, path); });
}

bool is_kept(std::string_view path) {
  return std::any_of(kKept.begin(), kKept.end(), [path](const char* file) { return path == file; });
}

std::string join(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

// A relative link of FOLDER that climbs above the root is nothing that an honest system has.
bool climbs_out(const std::string& folder, std::string_view target) {
  long depth = folder.empty() ? 0 : std::count(folder.begin(), folder.end(), '/') + 1;
  if (!target.empty() && target.front() == '/') {
    depth = 0;
  }
  while (!target.empty()) {
    const std::size_t end = std::min(target.find('/'), target.size());
    const std::string_view part = target.substr(0, end);
    target.remove_prefix(std::min(end + 1, target.size()));
    if (part == "..") {
      if (--depth < 0) {
        return true;
      }
    } else if (!part.empty() && part != ".") {
      ++depth;
    }
  }
  return false;
}

class ToolsStep {
 public:
  explicit ToolsStep(const ToolsRequest& request) : request_(request) {}

  ToolsReport run() {
    if (const auto done = steps(); !done) {
      complain(done.error().text);
    }
    return std::move(report_);
  }

 private:
  void complain(const std::string& text) {
    if (report_.error.empty()) {
      report_.error = text;
    }
  }

  void refuse(std::string path, std::string reason) {
    ++report_.refused_total;
    if (report_.refused.size() < kMostRefusals) {
      report_.refused.push_back(Refusal{std::move(path), std::move(reason)});
    }
  }

  Result<void> steps() {
    auto root = SafeTree::open(request_.root);
    if (!root) {
      return tl::unexpected(root.error());
    }
    root_.emplace(std::move(*root));
    const auto path = clean_path(request_.staging);
    if (!path || path->empty()) {
      return fail(Errc::invalid, "the staging folder must lie below the root");
    }
    staging_path_ = *path;
    const auto [parent, name] = split_path(staging_path_);
    const auto above = root_->make_folder(parent);
    if (!above) {
      return tl::unexpected(above.error());
    }
    remove_tree(above->get(), name);  // what an interrupted attempt left behind
    if (::mkdirat(above->get(), name.c_str(), 0700) != 0) {
      return fail_errno(request_.staging, errno);
    }
    const auto place = root_->place_of(above->get());
    auto staging = SafeTree::open(request_.root + "/" + join(place ? *place : parent, name));
    if (!staging) {
      return tl::unexpected(staging.error());
    }
    staging_.emplace(std::move(*staging));
    unpack_all();
    join_slices();
    keep_tables();
    const auto top = staging_->folder("");
    if (!top) {
      return tl::unexpected(top.error());
    }
    move_folder(top->get(), "", 0);
    remove_tree(above->get(), name);
    return {};
  }

  // ---------------------------------------------------------------- archives

  void unpack_all() {
    budget_.bytes = request_.limit;
    int found = 0;
    for (int disk = 1; disk <= kMostDisks; ++disk) {
      const std::string name = std::to_string(disk) + ".tar.gz";
      if (::access((request_.images + "/" + name).c_str(), F_OK) != 0) {
        break;
      }
      ++found;
      unpack(name);
    }
    if (found > 0) {
      return;
    }
    if (::access((request_.images + "/all.tar.gz").c_str(), F_OK) != 0) {
      complain(request_.images + ": neither 1.tar.gz nor all.tar.gz is there");
      return;
    }
    unpack("all.tar.gz");
  }

  void unpack(const std::string& name) {
    auto source = ArchiveSource::open(request_.images + "/" + name, budget_);
    if (!source) {
      complain(source.error().text);
      return;
    }
    ArchiveMember member;
    for (;;) {
      const auto more = source->next(member, [this](std::string path, std::string why) {
        refuse(std::move(path), std::move(why));
      });
      if (!more) {
        complain(more.error().text);
        return;
      }
      if (!*more) {
        report_.archives.push_back(name);
        return;
      }
      if (const auto placed = place(*source, member); !placed) {
        if (placed.error().code == Errc::invalid || placed.error().os_error == ENOSPC) {
          complain(placed.error().text);
          return;  // more than is allowed, or than there is room for
        }
        refuse(member.path, placed.error().text);
      }
    }
  }

  Result<void> place(ArchiveSource& source, const ArchiveMember& member) {
    if (member.kind == EntryKind::other) {
      refuse(member.path, "a device, fifo or socket");
      return {};
    }
    if (is_protected(member.path)) {
      if (member.kind != EntryKind::directory) {
        refuse(member.path, "out of reach for a medium");
      }
      return {};
    }
    const auto [parent, name] = split_path(member.path);
    if (member.kind == EntryKind::directory) {
      return made(staging_->make_folder(member.path), member.path);
    }
    const auto folder = staging_->make_folder(parent);
    if (!folder) {
      return made(folder, parent);
    }
    // A folder that is there already stays, with what is in it.
    if (::unlinkat(folder->get(), name.c_str(), 0) != 0 && errno == EISDIR) {
      refuse(member.path, "a folder stands in its place");
      return {};
    }
    switch (member.kind) {
      case EntryKind::symlink:
        return place_symlink(folder->get(), parent, name, member);
      case EntryKind::hardlink:
        return place_hardlink(folder->get(), name, member);
      default:
        return place_file(folder->get(), name, member, source);
    }
  }

  // A parent that turned out to be a file or a dead link is this entry's misfortune, not the
  // archive's.
  Result<void> made(const Result<Fd>& folder, const std::string& path) {
    if (!folder) {
      refuse(path, folder.error().text);
    }
    return {};
  }

  Result<void> place_symlink(int folder, const std::string& parent, const std::string& name,
                             const ArchiveMember& member) {
    if (member.target.empty() || member.target.size() >= PATH_MAX) {
      refuse(member.path, "a link without a usable target");
    } else if (climbs_out(parent, member.target)) {
      refuse(member.path, "a link that leads out of the root: " + member.target);
    } else if (::symlinkat(member.target.c_str(), folder, name.c_str()) != 0) {
      return fail_errno(member.path, errno);
    }
    return {};
  }

  Result<void> place_hardlink(int folder, const std::string& name, const ArchiveMember& member) {
    const auto target = clean_path(member.target);
    if (!target || target->empty()) {
      refuse(member.path, "a hard link that leads out of the archive: " + member.target);
      return {};
    }
    const auto [target_parent, target_name] = split_path(*target);
    const auto target_folder = staging_->folder(target_parent);
    struct stat status{};
    if (!target_folder ||
        ::fstatat(target_folder->get(), target_name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode)) {
      refuse(member.path, "a hard link to what is not there: " + member.target);
    } else if (::linkat(target_folder->get(), target_name.c_str(), folder, name.c_str(), 0) != 0) {
      return fail_errno(member.path, errno);
    }
    return {};
  }

  static Result<void> place_file(int folder, const std::string& name, const ArchiveMember& member,
                                 ArchiveSource& source) {
    auto file = NewFile::create(folder, name, member.mode);
    if (!file) {
      return tl::unexpected(file.error());
    }
    if (auto read = source.read([&file](std::string_view bytes) { return file->write(bytes); });
        !read) {
      Error error = read.error();
      // What libarchive says about a damaged archive ends the archive; what the disk says ends only
      // this file.
      error.code = error.os_error == 0 ? Errc::invalid : error.code;
      return tl::unexpected(error);
    }
    return file->finish(static_cast<time_t>(member.mtime));
  }

  // ---------------------------------------------------------------- slices

  // slice-K.name holds the path, slice-K.size the size in KiB, slice-K.000 and so on the pieces.
  void join_slices() {
    const auto top = staging_->folder("");
    const auto names = top ? names_in(top->get()) : Result<std::vector<std::string>>{};
    if (!names) {
      return;
    }
    std::vector<std::string> stems;
    for (const auto& name : *names) {
      if (name.rfind("slice-", 0) == 0 && name.size() > 11 &&
          name.compare(name.size() - 5, 5, ".name") == 0) {
        stems.push_back(name.substr(0, name.size() - 5));
      }
    }
    for (const auto& stem : stems) {
      if (const auto joined = join_one(stem); !joined) {
        refuse(stem, joined.error().text);
        complain("a file in slices is not complete: " + joined.error().text);
      }
    }
    for (const auto& name : *names) {
      if (name.rfind("slice-", 0) == 0) {
        ::unlinkat(top->get(), name.c_str(), 0);
      }
    }
  }

  Result<std::string> first_line(const std::string& path) const {
    const auto file = staging_->file(path);
    if (!file) {
      return tl::unexpected(file.error());
    }
    char buffer[PATH_MAX];
    const ssize_t n = ::read(file->get(), buffer, sizeof buffer);
    std::string text(buffer, n > 0 ? static_cast<std::size_t>(n) : 0);
    return text.substr(0, text.find_first_of("\r\n"));
  }

  Result<void> join_one(const std::string& stem) {
    const auto written_name = first_line(stem + ".name");
    if (!written_name) {
      return tl::unexpected(written_name.error());
    }
    const auto path = clean_path(*written_name);
    if (!path || path->empty() || is_protected(*path)) {
      return fail(Errc::invalid, stem + ".name names no place for a file: " + *written_name);
    }
    const auto [parent, name] = split_path(*path);
    const auto folder = staging_->make_folder(parent);
    if (!folder) {
      return tl::unexpected(folder.error());
    }
    auto file = NewFile::create(folder->get(), name, 0755);
    if (!file) {
      return tl::unexpected(file.error());
    }
    std::uint64_t size = 0;
    for (int piece = 0; piece < kMostSlices; ++piece) {
      std::string number = std::to_string(piece);
      number.insert(0, 3 - std::min<std::size_t>(3, number.size()), '0');
      const auto part = staging_->file(stem + "." + number);
      if (!part) {
        break;
      }
      if (auto copied = copy(part->get(), *file, size); !copied) {
        return copied;
      }
    }
    // The size was measured in whole blocks, so only a gap of more than a few KiB means a missing
    // piece.
    constexpr std::uint64_t kSlack = 8;
    const auto wanted = first_line(stem + ".size");
    std::uint64_t kib = 0;
    if (wanted) {
      std::from_chars(wanted->data(), wanted->data() + wanted->size(), kib);
    }
    if (size == 0 || size / 1024 + kSlack < kib) {
      return fail(Errc::not_found, *path + " has " + std::to_string(size / 1024) + " of " +
                                       std::to_string(kib) + " KiB");
    }
    return file->finish(0);
  }

  static Result<void> copy(int from, NewFile& to, std::uint64_t& size) {
    std::string buffer(std::size_t{256} * 1024, '\0');
    for (;;) {
      const ssize_t n = ::read(from, buffer.data(), buffer.size());
      if (n == 0) {
        return {};
      }
      if (n < 0) {
        return fail_errno("read", errno);
      }
      size += static_cast<std::uint64_t>(n);
      const std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
      if (auto written = to.write(bytes); !written) {
        return written;
      }
    }
  }

  // ---------------------------------------------------------------- tables for mondorestore

  void keep_tables() {
    report_.fstab = keep_table("etc/fstab", "fstab");
    report_.raidtab = keep_table("etc/raidtab", "raidtab");
  }

  bool keep_table(const std::string& from, const std::string& name) {
    const auto source = staging_->file(from);
    if (!source) {
      return false;  // the archive has none
    }
    const auto folder = root_->make_folder("tmp");
    auto file = folder ? NewFile::create(folder->get(), name, 0644)
                       : Result<NewFile>(tl::unexpected(folder.error()));
    std::uint64_t size = 0;
    auto copied =
        file ? copy(source->get(), *file, size) : Result<void>(tl::unexpected(file.error()));
    if (copied) {
      copied = file->finish(0);
    }
    if (!copied) {
      complain("/tmp/" + name + ": " + copied.error().text);
    }
    return copied.has_value();
  }

  // ---------------------------------------------------------------- to the root

  void move_folder(int source, const std::string& path, int depth) {
    const auto names = depth > kDeepest
                           ? Result<std::vector<std::string>>(fail(Errc::invalid, "too deep"))
                           : names_in(source);
    if (!names) {
      refuse(path, names.error().text);
      return;
    }
    for (const auto& name : *names) {
      struct stat status{};
      if (::fstatat(source, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        continue;
      }
      const std::string inner = join(path, name);
      if (path == "lib/modules" || path == "usr/lib/modules") {
        report_.module_trees.push_back(name);
      }
      if (is_within(inner, staging_path_)) {
        refuse(inner, "the staging folder itself");
      } else if (S_ISDIR(status.st_mode)) {
        const Fd folder(
            ::openat(source, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        move_subfolder(folder.get(), inner, status.st_mode & 07777, depth);
      } else if (const auto moved = move_file(source, name, path, status); !moved) {
        refuse(inner, moved.error().text);
        if (moved.error().os_error == ENOSPC) {
          complain(inner + ": " + moved.error().text);
        }
      }
    }
  }

  void move_subfolder(int source, const std::string& path, mode_t mode, int depth) {
    if (source < 0) {
      refuse(path, "cannot be opened");
      return;
    }
    const auto [parent, name] = split_path(path);
    const auto above = root_->make_folder(parent);
    if (!above) {
      refuse(path, above.error().text);
      return;
    }
    const auto above_place = root_->place_of(above->get());
    if (!above_place || is_protected(join(*above_place, name))) {
      refuse(path, "out of reach for a medium");
      return;
    }
    auto there = root_->folder(path);
    const auto place = there ? root_->place_of(there->get()) : Result<std::string>(std::string());
    if (there && (!place || is_protected(*place))) {
      // The image's own name for something of ours (lib/modules/VERSION, etc/modprobe.d): the
      // medium gets a folder of its own. A link into /run or /dev (var/run) stays.
      if (!place || !is_within(*place, kProtected[0])) {
        refuse(path, "out of reach for a medium");
        return;
      }
      there = fail(Errc::not_found, path);
    }
    if (!there) {
      ::unlinkat(above->get(), name.c_str(), 0);
      if (::mkdirat(above->get(), name.c_str(), 0755) != 0 && errno != EEXIST) {
        refuse(path, std::strerror(errno));
        return;
      }
      ::fchmodat(above->get(), name.c_str(), mode, 0);
    }
    move_folder(source, path, depth + 1);
  }

  Result<void> move_file(int source, const std::string& name, const std::string& parent,
                         const struct stat& status) {
    const std::string path = join(parent, name);
    const auto folder = root_->make_folder(parent);
    if (!folder) {
      return tl::unexpected(folder.error());
    }
    const auto place = root_->place_of(folder->get());
    if (!place) {
      return tl::unexpected(place.error());
    }
    const std::string real = join(*place, name);
    if (is_protected(real)) {
      return fail(Errc::invalid, "out of reach for a medium");
    }
    struct stat there{};
    const bool exists = ::fstatat(folder->get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
    if (exists && is_kept(real)) {
      report_.kept.push_back(real);
      return {};
    }
    if (exists && S_ISDIR(there.st_mode)) {
      if (!S_ISLNK(status.st_mode)) {
        return fail(Errc::invalid, "a folder stands in its place");
      }
      if (auto cleared = clear_folder_for_link(source, name, folder->get(), real); !cleared) {
        return cleared;
      }
    }
    auto moved = S_ISLNK(status.st_mode) ? move_link(source, name, folder->get())
                                         : move_content(source, name, folder->get(), status);
    if (moved) {
      ::unlinkat(source, name.c_str(), 0);
      ++report_.files;
    }
    return moved;
  }

  static Result<void> move_link(int source, const std::string& name, int folder) {
    char target[PATH_MAX];
    const ssize_t n = ::readlinkat(source, name.c_str(), target, sizeof target - 1);
    if (n < 0) {
      return fail_errno("link", errno);
    }
    target[n] = '\0';
    const std::string temporary = ".muster-unpack.link";
    ::unlinkat(folder, temporary.c_str(), 0);
    if (::symlinkat(target, folder, temporary.c_str()) != 0 ||
        ::renameat(folder, temporary.c_str(), folder, name.c_str()) != 0) {
      return fail_errno("link", errno);
    }
    return {};
  }

  static Result<void> move_content(int source, const std::string& name, int folder,
                                   const struct stat& status) {
    if (::renameat(source, name.c_str(), folder, name.c_str()) == 0) {
      return {};
    }
    const Fd in(::openat(source, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!in) {
      return fail_errno("open", errno);
    }
    auto file = NewFile::create(folder, name, status.st_mode);
    if (!file) {
      return tl::unexpected(file.error());
    }
    std::uint64_t size = 0;
    if (auto copied = copy(in.get(), *file, size); !copied) {
      return copied;
    }
    return file->finish(status.st_mtime);
  }

  // The medium's system is merged (bin -> usr/bin), ours is not: what we have in bin moves to where
  // the link leads, and the link can take its place.
  Result<void> clear_folder_for_link(int source, const std::string& name, int folder,
                                     const std::string& real) {
    if (holds_protected(real)) {
      return fail(Errc::invalid, "out of reach for a medium");
    }
    char target[PATH_MAX];
    const ssize_t n = ::readlinkat(source, name.c_str(), target, sizeof target - 1);
    if (n <= 0) {
      return fail_errno("link", errno);
    }
    target[n] = '\0';
    const std::string path = target[0] == '/' ? target + 1 : join(split_path(real).first, target);
    const auto to = root_->make_folder(path);
    const auto from = root_->folder(real);
    if (!to || !from) {
      return fail(Errc::invalid, "a folder stands in its place");
    }
    const auto to_place = root_->place_of(to->get());
    if (!to_place || is_protected(*to_place) || is_within(*to_place, real)) {
      return fail(Errc::invalid, "a folder stands in its place");
    }
    if (auto merged = merge(from->get(), to->get(), 0); !merged) {
      return merged;
    }
    if (::unlinkat(folder, name.c_str(), AT_REMOVEDIR) != 0) {
      return fail_errno("a folder stands in its place", errno);
    }
    return {};
  }

  // What is in TO already stays; the other one is dropped.
  static Result<void> merge(int from, int to, int depth) {
    const auto names = names_in(from);
    if (!names || depth > kDeepest) {
      return fail(Errc::invalid, "a folder stands in its place");
    }
    for (const auto& name : *names) {
      struct stat there{};
      const bool exists = ::fstatat(to, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
      struct stat here{};
      ::fstatat(from, name.c_str(), &here, AT_SYMLINK_NOFOLLOW);
      if (exists && S_ISDIR(here.st_mode) && S_ISDIR(there.st_mode)) {
        const Fd inner_from(::openat(from, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        const Fd inner_to(::openat(to, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (auto merged = merge(inner_from.get(), inner_to.get(), depth + 1); !merged) {
          return merged;
        }
        ::unlinkat(from, name.c_str(), AT_REMOVEDIR);
      } else if (exists) {
        remove_tree(from, name);
      } else if (::renameat(from, name.c_str(), to, name.c_str()) != 0) {
        return fail_errno(name, errno);
      }
    }
    return {};
  }

  ToolsRequest request_;
  ToolsReport report_;
  Budget budget_;
  std::optional<SafeTree> root_;
  std::optional<SafeTree> staging_;
  std::string staging_path_;
};

}  // namespace

ToolsReport bring_tools(const ToolsRequest& request) {
  return ToolsStep(request).run();
}

}  // namespace muster::unpack
