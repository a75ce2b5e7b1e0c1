#include "handlers/medium/medium_link.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "handlers/block_device.h"

namespace muster::medium {

bool leads_to(const std::string& path, dev_t number) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISBLK(info.st_mode) && info.st_rdev == number;
}

Result<std::string> own_node(dev_t number, const MediumPlaces& places) {
  if (auto made = make_block_node(places.node, number); !made) {
    return tl::unexpected(made.error());
  }
  return places.node;
}

Result<void> keep_link(const std::string& dev_name, dev_t number, const MediumPlaces& places) {
  std::error_code error;
  const auto target = std::filesystem::read_symlink(places.link, error);
  if (error || target.string() != dev_name || leads_to(places.link, number)) {
    return {};
  }
  const auto node = own_node(number, places);
  if (!node) {
    return tl::unexpected(node.error());
  }
  const std::string temporary = places.link + ".muster";
  ::unlink(temporary.c_str());
  if (::symlink(node->c_str(), temporary.c_str()) != 0 ||
      ::rename(temporary.c_str(), places.link.c_str()) != 0) {
    return fail_errno(places.link, errno);
  }
  std::ofstream lives(places.lives, std::ios::trunc);
  lives << *node << "\n";
  if (!lives.flush()) {
    return fail_errno(places.lives, errno != 0 ? errno : EIO);
  }
  return {};
}

}  // namespace muster::medium
