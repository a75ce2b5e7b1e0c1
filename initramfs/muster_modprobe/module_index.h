// The index from which muster-modprobe loads: one text file, made by muster-modindex when the image
// is built.
//
//   #muster-modules 1                          first line
//   a ALIAS GROUP [GROUP ..]                   what an alias without wildcards leads to
//   f MODULE FILE [OPTIONS]                    a module's file, relative to the index's folder
//   i MODULE                                   has an `install` line in modprobe.d: left to kmod's
//   modprobe m MODULE GROUP                             what the module's own name leads to p
//   PATTERN GROUP [GROUP ..]                 an alias with wildcards (block-major-9-*), in the
//   order of modules.alias
//
// GROUP is what to insert, in order, separated by commas: NAME a dependency, ?NAME a soft
// dependency (its failure does not matter), =NAME the module that was meant (?NAME,..,=NAME,?NAME).
// The group - means: built into the kernel. Several groups: the alias belongs to several modules,
// each is loaded. Names and aliases are written with underscores. The lines a, f, i, m are sorted
// by byte value, so that a request is answered by a binary search over the mapped file; the p lines
// stand behind them.
//
// The reader believes nothing: it works on any bytes, and what it cannot read is as good as absent.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muster::modprobe {

inline constexpr std::string_view kIndexHeader = "#muster-modules 1";
inline constexpr const char* kIndexName = "muster.index";

enum class Role { dependency, optional, target };

struct Step {
  std::string_view module;
  Role role = Role::dependency;

  bool operator==(const Step&) const = default;
};

struct Lookup {
  bool by_alias = false;  // blacklists count for aliases only
  bool builtin = false;
  std::vector<std::vector<Step>> groups;

  bool operator==(const Lookup&) const = default;
};

struct ModuleFile {
  std::string_view path;     // relative, without ".."
  std::string_view options;  // may be empty

  bool operator==(const ModuleFile&) const = default;
};

// '-' and '_' are one in module names and aliases, except within [brackets].
[[nodiscard]] std::string normalize(std::string_view name);

// fnmatch with * ? [set] and nothing else.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view name);

// Views into `bytes`, which must outlive the index and all it returns.
class ModuleIndex {
 public:
  explicit ModuleIndex(std::string_view bytes);

  bool valid() const { return valid_; }
  // What a request for this (normalized) name leads to; nothing if the index does not know it.
  [[nodiscard]] std::optional<Lookup> find(std::string_view name) const;
  [[nodiscard]] std::optional<ModuleFile> file_of(std::string_view module) const;
  [[nodiscard]] bool has_install_line(std::string_view module) const;

 private:
  // The rest of the line that starts with "KIND KEY"; with `exact`, nothing but that may stand
  // there.
  std::optional<std::string_view> find_line(char kind, std::string_view key) const;

  bool valid_ = false;
  std::string_view sorted_;
  std::string_view patterns_;
};

}  // namespace muster::modprobe
