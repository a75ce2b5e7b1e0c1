// muster-modindex: writes the index of muster-modprobe for one module tree. Runs where the image is
// built.
//
//   muster-modindex TREE CONFIG > TREE/muster.index
//
// TREE is a folder .../VERSION with depmod's indexes, CONFIG the image's modprobe.d. The order of
// loading is libkmod's (kmod_module_get_probe_list, which it does not export): soft dependencies
// first, dependencies deepest first, the module, soft dependencies that come after.
#include <libkmod.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "initramfs/muster_modprobe/module_index.h"

namespace {

using muster::modprobe::normalize;

struct CtxDeleter {
  void operator()(kmod_ctx* ctx) const { kmod_unref(ctx); }
};
struct ModuleDeleter {
  void operator()(kmod_module* module) const { kmod_module_unref(module); }
};
struct ListDeleter {
  void operator()(kmod_list* list) const { kmod_module_unref_list(list); }
};
struct IterDeleter {
  void operator()(kmod_config_iter* iter) const { kmod_config_iter_free_iter(iter); }
};
using Ctx = std::unique_ptr<kmod_ctx, CtxDeleter>;
using Module = std::unique_ptr<kmod_module, ModuleDeleter>;
using ModuleList = std::unique_ptr<kmod_list, ListDeleter>;
using Iter = std::unique_ptr<kmod_config_iter, IterDeleter>;

using Entries = std::vector<std::pair<std::string, std::string>>;

Entries read_entries(kmod_config_iter* raw) {
  Entries entries;
  const Iter iter(raw);
  while (iter && kmod_config_iter_next(iter.get())) {
    const char* value = kmod_config_iter_get_value(iter.get());
    entries.emplace_back(normalize(kmod_config_iter_get_key(iter.get())),
                         value == nullptr ? "" : value);
  }
  return entries;
}

// libkmod mixes the command line of the machine that it runs on into every configuration. The image
// must not depend on the machine that built it, so what stands in an empty configuration is taken
// out again.
Entries without(Entries entries, const Entries& host) {
  for (const auto& entry : host) {
    const auto found = std::find(entries.begin(), entries.end(), entry);
    if (found != entries.end()) {
      entries.erase(found);
    }
  }
  return entries;
}

bool is_bus_alias(const std::string& alias) {
  return alias.find(':') != std::string::npos;
}
bool has_wildcard(const std::string& alias) {
  return alias.find_first_of("*?[") != std::string::npos;
}

class Indexer {
 public:
  Indexer(std::string tree, kmod_ctx* ctx, kmod_ctx* bare) : tree_(std::move(tree)), ctx_(ctx) {
    for (const auto& [name, value] : without(read_entries(kmod_config_get_options(ctx)),
                                             read_entries(kmod_config_get_options(bare)))) {
      std::string& options = options_[name];
      options += (options.empty() ? "" : " ") + value;
    }
    for (const auto& [name, value] : without(read_entries(kmod_config_get_blacklists(ctx)),
                                             read_entries(kmod_config_get_blacklists(bare)))) {
      blacklist_.insert(name);
    }
    for (const auto& [name, value] : read_entries(kmod_config_get_install_commands(ctx))) {
      install_.insert(name);
    }
    for (const auto& [name, value] : read_entries(kmod_config_get_aliases(ctx))) {
      add_key(name);
    }
  }

  bool read_keys() {
    std::ifstream deps(tree_ + "/modules.dep");
    if (!deps) {
      std::cerr << "muster-modindex: " << tree_ << "/modules.dep: " << std::strerror(errno) << '\n';
      return false;
    }
    for (std::string line; std::getline(deps, line);) {
      add_module(line.substr(0, line.find(':')));
    }
    std::ifstream builtin(tree_ + "/modules.builtin");
    for (std::string line; std::getline(builtin, line);) {
      const std::string name = base_name(line);
      builtin_.insert(name);
      keys_.insert(name);
    }
    std::ifstream aliases(tree_ + "/modules.alias");
    for (std::string line; std::getline(aliases, line);) {
      read_alias(line);
    }
    read_builtin_aliases();
    return true;
  }

  void write(std::ostream& out) {
    std::set<std::string> lines;
    for (const std::string& key : keys_) {
      const std::string groups = groups_of(key);
      if (!groups.empty()) {
        const bool own = files_.count(key) != 0 || builtin_.count(key) != 0;
        lines.insert((own ? "m " : "a ") + key + " " + groups);
      }
    }
    for (const auto& [name, file] : files_) {
      const auto options = options_.find(name);
      lines.insert("f " + name + " " + file +
                   (options == options_.end() ? "" : " " + options->second));
      if (install_.count(name) != 0) {
        lines.insert("i " + name);
      }
    }
    // Sorted by the key alone: in a plain comparison of whole lines a blank would take part.
    std::vector<std::string> sorted(lines.begin(), lines.end());
    const auto key_of = [](const std::string& line) { return line.substr(0, line.find(' ', 2)); };
    std::stable_sort(sorted.begin(), sorted.end(), [&](const std::string& a, const std::string& b) {
      return key_of(a) < key_of(b);
    });
    out << muster::modprobe::kIndexHeader << '\n';
    for (const auto& line : sorted) {
      out << line << '\n';
    }
    for (const auto& pattern : patterns_) {
      const std::string groups = groups_of(pattern);
      if (!groups.empty()) {
        out << "p " << pattern << ' ' << groups << '\n';
      }
    }
  }

 private:
  static std::string base_name(const std::string& path) {
    std::string name = path.substr(path.rfind('/') + 1);
    return normalize(name.substr(0, name.find(".ko")));
  }

  void add_module(const std::string& path) {
    const std::string name = base_name(path);
    files_[name] = path;
    keys_.insert(name);
  }

  void add_key(const std::string& name) {
    if (is_bus_alias(name) || name.find(' ') != std::string::npos) {
      return;
    }
    if (!has_wildcard(name)) {
      keys_.insert(name);
    } else if (std::find(patterns_.begin(), patterns_.end(), name) == patterns_.end()) {
      patterns_.push_back(name);
    }
  }

  void read_alias(const std::string& line) {
    const std::string_view text = line;
    if (!text.starts_with("alias ")) {
      return;
    }
    const std::size_t blank = line.rfind(' ');
    const std::string alias = normalize(line.substr(6, blank - 6));
    add_key(alias);
    alias_modules_[alias].push_back(normalize(line.substr(blank + 1)));
  }

  void read_builtin_aliases() {
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
    if (!file || kmod_dump_index(ctx_, KMOD_INDEX_MODULES_BUILTIN_ALIAS, fileno(file.get())) != 0) {
      return;  // a tree without modules.builtin.modinfo
    }
    std::rewind(file.get());
    std::vector<char> line(1 << 16);
    while (std::fgets(line.data(), static_cast<int>(line.size()), file.get()) != nullptr) {
      std::string alias(line.data());
      if (alias.starts_with("alias ")) {
        alias.erase(0, 6);
      }
      alias = normalize(alias.substr(0, alias.find_first_of(" \n")));
      if (!is_bus_alias(alias) && !has_wildcard(alias)) {
        keys_.insert(alias);
      }
    }
  }

  // libkmod looks names up; a pattern as such cannot be looked up, its modules stand in
  // modules.alias.
  std::string groups_of(const std::string& key) {
    std::string result;
    const auto add = [&result](const std::string& group) {
      if ((" " + result + " ").find(" " + group + " ") == std::string::npos) {
        result += (result.empty() ? "" : " ") + group;
      }
    };
    kmod_list* raw = nullptr;
    if (has_wildcard(key)) {
      for (const std::string& name : alias_modules_[key]) {
        kmod_module* module = nullptr;
        if (kmod_module_new_from_name(ctx_, name.c_str(), &module) == 0) {
          const Module owned(module);
          if (blacklist_.count(name) == 0) {
            add(group_of(module));
          }
        }
      }
      return result;
    }
    if (kmod_module_new_from_lookup(ctx_, key.c_str(), &raw) != 0) {
      return {};
    }
    const ModuleList list(raw);
    for (kmod_list* l = raw; l != nullptr; l = kmod_list_next(raw, l)) {
      const Module module(kmod_module_get_module(l));
      const std::string name = normalize(kmod_module_get_name(module.get()));
      if (builtin_.count(name) != 0 && files_.count(name) == 0) {
        add("-");
      } else if (name == key || blacklist_.count(name) == 0) {
        add(group_of(module.get()));
      }
    }
    return result;
  }

  std::string group_of(kmod_module* target) {
    std::set<std::string> seen;
    std::string group;
    const std::string target_name = normalize(kmod_module_get_name(target));
    if (files_.count(target_name) == 0) {
      return builtin_.count(target_name) != 0 ? "-" : "";
    }
    append(target, true, target_name, seen, group);
    return group;
  }

  void append_all(kmod_list* raw, bool required, const std::string& target,
                  std::set<std::string>& seen, std::string& group) {
    for (kmod_list* l = raw; l != nullptr; l = kmod_list_next(raw, l)) {
      const Module module(kmod_module_get_module(l));
      append(module.get(), required, target, seen, group);
    }
  }

  void append(kmod_module* module, bool required, const std::string& target,
              std::set<std::string>& seen, std::string& group) {
    const std::string name = normalize(kmod_module_get_name(module));
    if (!seen.insert(name).second) {
      return;
    }
    kmod_list* pre = nullptr;
    kmod_list* post = nullptr;
    kmod_module_get_softdeps(module, &pre, &post);
    const ModuleList owned_pre(pre);
    const ModuleList owned_post(post);
    append_all(pre, false, target, seen, group);
    const ModuleList dependencies(kmod_module_get_dependencies(module));
    append_all(dependencies.get(), required, target, seen, group);
    if (files_.count(name) != 0) {
      group += (group.empty() ? "" : ",") +
               std::string(name == target ? "="
                           : required     ? ""
                                          : "?") +
               name;
    }
    append_all(post, false, target, seen, group);
  }

  std::string tree_;
  kmod_ctx* ctx_;
  std::map<std::string, std::string> files_;
  std::map<std::string, std::string> options_;
  std::set<std::string> builtin_;
  std::set<std::string> blacklist_;
  std::set<std::string> install_;
  std::set<std::string> keys_;
  std::vector<std::string> patterns_;
  std::map<std::string, std::vector<std::string>> alias_modules_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr
        << "usage: muster-modindex TREE MODPROBE.D\n"
           "Writes the index of muster-modprobe for the module tree TREE to standard output.\n";
    return 2;
  }
  const char* config[] = {argv[2], nullptr};
  const char* nothing[] = {nullptr};
  const Ctx ctx(kmod_new(argv[1], config));
  const Ctx bare(kmod_new(argv[1], nothing));
  if (!ctx || !bare) {
    std::cerr << "muster-modindex: " << argv[1] << ": cannot be read\n";
    return 1;
  }
  kmod_load_resources(ctx.get());
  Indexer indexer(argv[1], ctx.get(), bare.get());
  if (!indexer.read_keys()) {
    return 1;
  }
  indexer.write(std::cout);
  std::cout.flush();
  return std::cout ? 0 : 1;
}
