#include "handlers/driver/module_tree.h"

#include <fnmatch.h>

#include <algorithm>
#include <optional>

namespace muster::driver {
namespace {

// Longer than any real name, alias or line of dependencies; what is longer is left out.
constexpr std::size_t kMaxAlias = 1024;
constexpr std::size_t kMaxPath = 1024;
constexpr std::size_t kMaxNeeds = 256;
constexpr std::string_view kBlank = " \t\r";

// Takes the first word off `text`; empty at the end.
std::string_view next_word(std::string_view& text) {
  const std::size_t start = std::min(text.find_first_not_of(kBlank), text.size());
  const std::size_t end = std::min(text.find_first_of(kBlank, start), text.size());
  const std::string_view word = text.substr(start, end - start);
  text.remove_prefix(end);
  return word;
}

std::optional<std::string_view> next_line(std::string_view& text) {
  if (text.empty()) {
    return std::nullopt;
  }
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::string_view bus_of(std::string_view alias) {
  const std::size_t colon = alias.find(':');
  const std::string_view bus = alias.substr(0, colon == std::string_view::npos ? 0 : colon);
  return bus.find_first_of("*?[") == std::string_view::npos ? bus : std::string_view{};
}

// The path relative to the tree; empty if it leads out of it.
std::string_view inside(std::string_view path, std::string_view tree_path) {
  if (path.starts_with('/')) {
    if (!path.starts_with(tree_path) || path.substr(tree_path.size()).find_first_not_of('/') == 0) {
      return {};
    }
    path.remove_prefix(tree_path.size());
    path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  }
  for (std::string_view rest = path; !rest.empty();) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    if (rest.substr(0, end) == "..") {
      return {};
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return path.size() <= kMaxPath ? path : std::string_view{};
}

}  // namespace

bool is_device_alias(std::string_view alias) {
  return alias.find(':') != std::string_view::npos && !alias.starts_with("devname:");
}

std::string normalised(std::string_view name_or_alias) {
  std::string text(name_or_alias);
  bool in_brackets = false;
  for (char& c : text) {
    if (c == '[') {
      in_brackets = true;
    } else if (c == ']') {
      in_brackets = false;
    } else if (c == '-' && !in_brackets) {
      c = '_';
    }
  }
  return text;
}

std::string module_name_of(std::string_view path) {
  const std::string_view file = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  const std::size_t suffix = file.rfind(".ko");
  if (suffix == std::string_view::npos || suffix == 0) {
    return {};
  }
  const std::string_view compression = file.substr(suffix + 3);
  if (!compression.empty() && compression != ".xz" && compression != ".zst" &&
      compression != ".gz") {
    return {};
  }
  return normalised(file.substr(0, suffix));
}

Softdep parse_softdep(std::string_view text) {
  Softdep softdep;
  // libkmod joins the last name before "post:" with it, so the split is by text and not by word.
  const std::size_t post = text.find("post:");
  std::string_view before = text.substr(0, post);
  std::string_view after =
      post == std::string_view::npos ? std::string_view{} : text.substr(post + 5);
  const std::size_t pre = before.find("pre:");
  before = pre == std::string_view::npos ? std::string_view{} : before.substr(pre + 4);
  // "post: c pre: a" is allowed as well.
  if (const std::size_t late_pre = after.find("pre:"); late_pre != std::string_view::npos) {
    before = after.substr(late_pre + 4);
    after = after.substr(0, late_pre);
  }
  for (std::string_view word = next_word(before); !word.empty(); word = next_word(before)) {
    softdep.pre.push_back(normalised(word));
  }
  for (std::string_view word = next_word(after); !word.empty(); word = next_word(after)) {
    softdep.post.push_back(normalised(word));
  }
  return softdep;
}

ModuleTree ModuleTree::parse(const Texts& texts, std::string_view tree_path) {
  while (tree_path.size() > 1 && tree_path.ends_with('/')) {
    tree_path.remove_suffix(1);
  }
  ModuleTree tree;
  std::string_view rest = texts.dep;
  while (const auto line = next_line(rest)) {
    if (line->empty()) {
      continue;
    }
    const std::size_t colon = line->find(':');
    const std::string_view path = inside(line->substr(0, std::min(colon, line->size())), tree_path);
    const std::string name = module_name_of(path);
    if (colon == std::string_view::npos || name.empty()) {
      ++tree.lines_left_out_;
      continue;
    }
    Module module{std::string(path), {}};
    bool sound = true;
    std::string_view words = line->substr(colon + 1);
    for (std::string_view word = next_word(words); !word.empty() && sound;
         word = next_word(words)) {
      std::string need = module_name_of(word);
      sound = !need.empty() && module.needs.size() < kMaxNeeds;
      module.needs.push_back(std::move(need));
    }
    if (!sound) {
      ++tree.lines_left_out_;
      continue;
    }
    std::reverse(module.needs.begin(),
                 module.needs.end());  // the file names the last to be inserted first
    tree.modules_.emplace(name, std::move(module));
  }

  rest = texts.alias;
  while (auto line = next_line(rest)) {
    if (line->empty() || line->starts_with('#')) {
      continue;
    }
    const std::string_view keyword = next_word(*line);
    const std::string_view pattern = next_word(*line);
    const std::string_view module = next_word(*line);
    if (keyword != "alias" || module.empty() || pattern.size() > kMaxAlias ||
        module.size() > kMaxAlias || !next_word(*line).empty()) {
      ++tree.lines_left_out_;
      continue;
    }
    tree.aliases_[std::string(bus_of(pattern))].push_back(
        {normalised(pattern), normalised(module)});
  }

  rest = texts.softdep;
  while (auto line = next_line(rest)) {
    if (line->empty() || line->starts_with('#')) {
      continue;
    }
    const std::string_view keyword = next_word(*line);
    const std::string_view module = next_word(*line);
    if (keyword != "softdep" || module.empty()) {
      ++tree.lines_left_out_;
      continue;
    }
    tree.softdeps_.emplace(normalised(module), parse_softdep(*line));
  }

  rest = texts.builtin;
  while (const auto line = next_line(rest)) {
    if (std::string name = module_name_of(*line); !name.empty()) {
      tree.builtin_.insert(std::move(name));
    }
  }
  return tree;
}

const ModuleTree::Module* ModuleTree::find(std::string_view name) const {
  const auto it = modules_.find(name);
  return it == modules_.end() ? nullptr : &it->second;
}

const Softdep* ModuleTree::softdep(std::string_view name) const {
  const auto it = softdeps_.find(name);
  return it == softdeps_.end() ? nullptr : &it->second;
}

std::vector<std::string> ModuleTree::matching(std::string_view alias) const {
  std::vector<std::string> names;
  if (alias.size() > kMaxAlias || alias.find('\0') != std::string_view::npos) {
    return names;
  }
  const std::string wanted = normalised(alias);
  const auto look = [&](std::string_view bus) {
    const auto it = aliases_.find(bus);
    if (it == aliases_.end()) {
      return;
    }
    for (const Alias& candidate : it->second) {
      if (::fnmatch(candidate.pattern.c_str(), wanted.c_str(), 0) == 0 &&
          std::find(names.begin(), names.end(), candidate.module) == names.end()) {
        names.push_back(candidate.module);
      }
    }
  };
  if (const std::string_view bus = bus_of(alias); !bus.empty()) {
    look(bus);
  }
  look("");
  return names;
}

}  // namespace muster::driver
