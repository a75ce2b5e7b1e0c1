// A folder tree below a root that no name and no link can leave.
//
// Every path is resolved by the kernel with RESOLVE_IN_ROOT, as if the root were "/": an absolute
// link, or one with "..", that an archive has planted leads back into the tree.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "daemon/fd.h"
#include "daemon/result.h"

namespace muster::unpack {

class SafeTree {
 public:
  [[nodiscard]] static Result<SafeTree> open(const std::string& root);

  // The folder PATH, made with its parents where it is missing.
  [[nodiscard]] Result<Fd> make_folder(const std::string& path) const;
  // An existing folder, links followed within the tree.
  [[nodiscard]] Result<Fd> folder(const std::string& path) const;
  [[nodiscard]] Result<Fd> file(const std::string& path) const;

  // Where a descriptor really is, relative to the root ("" for the root itself).
  [[nodiscard]] Result<std::string> place_of(int fd) const;

 private:
  SafeTree(Fd root, std::string place) : root_(std::move(root)), place_(std::move(place)) {}
  [[nodiscard]] Result<Fd> resolve(const std::string& path, int flags) const;

  Fd root_;
  std::string place_;
};

// Parent and name of "a/b/c": {"a/b", "c"}.
[[nodiscard]] std::pair<std::string, std::string> split_path(const std::string& path);

// A file under a name of its own in FOLDER, which takes NAME's place in one step when it is
// complete.
class NewFile {
 public:
  [[nodiscard]] static Result<NewFile> create(int folder, const std::string& name, unsigned mode);
  NewFile(NewFile&&) = default;
  NewFile& operator=(NewFile&&) = delete;
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile();

  [[nodiscard]] Result<void> write(std::string_view bytes);
  [[nodiscard]] Result<void> finish(time_t mtime);

 private:
  NewFile(int folder, Fd fd, std::string name, std::string temporary)
      : folder_(folder),
        fd_(std::move(fd)),
        name_(std::move(name)),
        temporary_(std::move(temporary)) {}

  int folder_;
  Fd fd_;
  std::string name_;
  std::string temporary_;
};

// Everything below FOLDER (and NAME itself) is removed; links are not followed.
void remove_tree(int folder, const std::string& name);

[[nodiscard]] Result<std::vector<std::string>> names_in(int folder);  // sorted, without . and ..

}  // namespace muster::unpack
