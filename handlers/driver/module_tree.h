// A module tree that is not ours (one that came with a disk or a medium), read from the texts that
// depmod wrote.
//
// libkmod maps the binary indexes of a tree and believes every offset in them; an index that lies
// takes the process with it. So libkmod reads only the image's own tree, and all others are read
// here: whatever the texts contain costs the modules of that tree and nothing else. Pure: texts in,
// values out.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace muster::driver {

// Underscores for hyphens, but not within brackets, as libkmod normalises names, aliases and
// patterns.
[[nodiscard]] std::string normalised(std::string_view name_or_alias);

// Whether an alias of a module is one that a bus makes for a device ("pci:v00008086d*"), so that
// the kernel binds the module to devices; others are names ("fs-ext4", "md-raid5",
// "devname:loop-control").
[[nodiscard]] bool is_device_alias(std::string_view alias);

// "kernel/drivers/md/raid456.ko.xz" -> "raid456"; empty if that is no module file's name.
[[nodiscard]] std::string module_name_of(std::string_view path);

struct Softdep {
  std::vector<std::string> pre;
  std::vector<std::string> post;
};

// "pre: a b post: c", also as libkmod prints it ("pre: a bpost: c"); names may be aliases.
[[nodiscard]] Softdep parse_softdep(std::string_view text);

class ModuleTree {
 public:
  struct Texts {
    std::string dep;      // modules.dep
    std::string alias;    // modules.alias
    std::string softdep;  // modules.softdep
    std::string builtin;  // modules.builtin
  };
  struct Module {
    std::string path;                // relative to the tree
    std::vector<std::string> needs;  // names, first to be inserted first
  };

  // Lines that make no sense are left out; so is a path that leaves the tree. `tree_path` is what
  // absolute paths in modules.dep must start with.
  [[nodiscard]] static ModuleTree parse(const Texts& texts, std::string_view tree_path);

  [[nodiscard]] const Module* find(std::string_view name) const;
  [[nodiscard]] bool is_builtin(std::string_view name) const { return builtin_.contains(name); }
  [[nodiscard]] const Softdep* softdep(std::string_view name) const;
  // Names of all modules that match, each once, in the order of modules.alias.
  [[nodiscard]] std::vector<std::string> matching(std::string_view alias) const;

  [[nodiscard]] std::size_t size() const { return modules_.size(); }
  [[nodiscard]] std::size_t lines_left_out() const { return lines_left_out_; }

 private:
  struct Alias {
    std::string pattern;
    std::string module;
  };

  std::map<std::string, Module, std::less<>> modules_;
  // By what stands before the first colon ("pci", "usb"), or "" for patterns without one; then in
  // file order.
  std::map<std::string, std::vector<Alias>, std::less<>> aliases_;
  std::map<std::string, Softdep, std::less<>> softdeps_;
  std::set<std::string, std::less<>> builtin_;
  std::size_t lines_left_out_ = 0;
};

}  // namespace muster::driver
