// Small text files out of an archive, without writing anything anywhere.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace muster::unpack {

inline constexpr std::uint64_t kLargestMember = std::uint64_t{4} * 1024 * 1024;

struct MemberTexts {
  std::map<std::string, std::optional<std::string>>
      members;        // by the name asked for; nothing: not in the archive
  std::string error;  // empty: the archive was read to its end
};

// Of a name that occurs twice the last counts, as it does for tar. At most `limit` bytes are
// unpacked.
[[nodiscard]] MemberTexts read_members(const std::string& archive,
                                       const std::vector<std::string>& names, std::uint64_t limit);

}  // namespace muster::unpack
