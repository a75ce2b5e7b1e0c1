#include "initramfs/muster_unpack/member_reader.h"

#include "initramfs/muster_unpack/archive_source.h"

namespace muster::unpack {

MemberTexts read_members(const std::string& archive, const std::vector<std::string>& names,
                         std::uint64_t limit) {
  MemberTexts texts;
  std::map<std::string, std::string> wanted;  // cleaned name -> name asked for
  for (const std::string& name : names) {
    texts.members[name];
    if (const auto clean = clean_path(name)) {
      wanted[*clean] = name;
    }
  }
  Budget budget{limit};
  auto source = ArchiveSource::open(archive, budget);
  if (!source) {
    texts.error = source.error().text;
    return texts;
  }
  ArchiveMember member;
  const auto ignore = [](const std::string&, const std::string&) {};
  for (;;) {
    const auto more = source->next(member, ignore);
    if (!more) {
      texts.error = more.error().text;
      return texts;
    }
    if (!*more) {
      return texts;
    }
    const auto found = wanted.find(member.path);
    std::string text;
    const bool take = found != wanted.end() && member.kind == EntryKind::file;
    // What is not wanted is read as well: only so it counts against the limit, and a bomb among the
    // others is seen.
    const auto read = source->read([&](std::string_view bytes) -> Result<void> {
      if (take && text.size() + bytes.size() > kLargestMember) {
        return fail(Errc::invalid, archive + ": " + member.path + " is larger than 4 MiB");
      }
      if (take) {
        text.append(bytes);
      }
      return {};
    });
    if (!read) {
      texts.error = read.error().text;
      return texts;
    }
    if (take) {
      texts.members[found->second] = std::move(text);
    }
  }
}

}  // namespace muster::unpack
