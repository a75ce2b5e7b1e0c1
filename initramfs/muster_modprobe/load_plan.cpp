#include "initramfs/muster_modprobe/load_plan.h"

#include <algorithm>

#include "initramfs/muster_init/kernel_words.h"
#include "initramfs/muster_modprobe/module_index.h"

namespace muster::modprobe {

CommandLine::CommandLine(std::string_view text) {
  for (const std::string& word : init::split_command_line(text)) {
    constexpr std::string_view kBlacklist = "modprobe.blacklist=";
    if (word.starts_with(kBlacklist)) {
      std::string_view names = std::string_view(word).substr(kBlacklist.size());
      while (!names.empty()) {
        const std::size_t end = std::min(names.find(','), names.size());
        blacklist_.push_back(normalize(names.substr(0, end)));
        names.remove_prefix(std::min(end + 1, names.size()));
      }
      continue;
    }
    const std::size_t dot = word.find('.');
    const std::size_t equals = word.find('=');
    if (dot == std::string::npos || dot == 0 || dot + 1 == word.size() ||
        (equals != std::string::npos && equals < dot)) {
      continue;
    }
    std::string option = word.substr(dot + 1);
    if (equals != std::string::npos && option.find(' ') != std::string::npos) {
      option.insert(equals - dot, "\"");  // the kernel wants its quotes back
      option.push_back('"');
    }
    options_.push_back(Option{normalize(word.substr(0, dot)), std::move(option)});
  }
}

bool CommandLine::is_blacklisted(std::string_view module) const {
  return std::find(blacklist_.begin(), blacklist_.end(), module) != blacklist_.end();
}

std::string CommandLine::options_of(std::string_view module) const {
  std::string result;
  for (const Option& option : options_) {
    if (option.module == module) {
      result += (result.empty() ? "" : " ") + option.text;
    }
  }
  return result;
}

std::string_view requested_name(int argc, const char* const* argv) {
  bool options = true;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (options && word == "--") {
      options = false;
    } else if (!options || word.empty() || word.front() != '-') {
      return word;
    }
  }
  return {};
}

}  // namespace muster::modprobe
