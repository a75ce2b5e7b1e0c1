// The world outside: sysfs, /dev, /proc, /run, /etc and /tmp, all reached below one root directory.
//
// That directory is held as a descriptor: "/" on a live machine, a tree of files in a test. Paths
// are given as they are known ("/sys/block"); below another root than "/" absolute symbolic links
// resolve inside it as well. Threads: every call is const and may be made from any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/fd.h"
#include "daemon/result.h"

namespace muster {

inline constexpr std::size_t kMaxAttribute = 4096;

class Root {
 public:
  [[nodiscard]] static Result<Root> open(const std::string& path = "/");

  [[nodiscard]] const std::string& path() const { return path_; }
  // The path as a program outside this class would have to write it.
  [[nodiscard]] std::string host_path(std::string_view path) const;

  // `flags` as for open(2); O_CLOEXEC is added.
  [[nodiscard]] Result<Fd> open_at(std::string_view path, int flags, unsigned mode = 0) const;
  // A directory's own descriptor, or one of a file below it.
  [[nodiscard]] static Result<Fd> open_below(const Fd& directory, const char* name, int flags);

  [[nodiscard]] bool exists(std::string_view path) const;

  // The whole content; an error if there is more than `limit` bytes of it.
  [[nodiscard]] Result<std::string> read_file(std::string_view path, std::size_t limit) const;
  // One write(2) to a file that exists: what sysfs and procfs want.
  [[nodiscard]] Result<void> write_file(std::string_view path, std::string_view text) const;

  // Names in a directory without "." and "..", sorted by bytes.
  [[nodiscard]] Result<std::vector<std::string>> list(std::string_view path) const;

  // An attribute of the device at `devpath` ("/devices/…"), as one line of valid UTF-8 (see
  // attribute_text). A directory reads as its sorted names joined by one blank; the links "driver",
  // "subsystem" and "module" as the last component of their target, like udev. What does not exist,
  // or refuses to be read, is nullopt. At most kMaxAttribute bytes.
  [[nodiscard]] std::optional<std::string> read_attribute(std::string_view devpath,
                                                          std::string_view name) const;
  [[nodiscard]] static std::optional<std::string> read_attribute(const Fd& device,
                                                                 const std::string& name);

  // Below an open directory.
  [[nodiscard]] static Result<std::string> read_below(const Fd& directory, const char* name,
                                                      std::size_t limit);
  [[nodiscard]] static std::optional<std::string> link_name(const Fd& directory, const char* name);

 private:
  Root(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Fd fd_;
  std::string path_;
};

// Foreign bytes as text: what is not valid UTF-8, and control characters, as \xNN; with
// `escape_backslash` a backslash too, so that the bytes can be told from the text.
[[nodiscard]] std::string valid_text(std::string_view bytes, bool escape_backslash);

// An attribute's bytes: trailing newlines and blanks dropped, the rest as valid_text.
[[nodiscard]] std::string attribute_text(std::string_view bytes);

}  // namespace muster
