#include "initramfs/muster_init/kernel_words.h"

#include <algorithm>
#include <cctype>

namespace muster::init {

std::vector<std::string> split_command_line(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  bool started = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
      started = true;
    } else if (!quoted && (c == ' ' || c == '\n' || c == '\t')) {
      if (started) {
        words.push_back(std::move(word));
        word.clear();
      }
      started = false;
    } else if (c != '\0') {
      word.push_back(c);
      started = true;
    }
  }
  if (started) {
    words.push_back(std::move(word));
  }
  return words;
}

bool has_word(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string_view term_for_tty(std::string_view tty_name) {
  const bool virtual_terminal = tty_name.size() > 3 && tty_name.substr(0, 3) == "tty" &&
                                std::isdigit(static_cast<unsigned char>(tty_name[3])) != 0;
  return virtual_terminal || tty_name.empty() ? "linux" : "vt102";
}

std::string_view last_word(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) {
    line.remove_suffix(1);
  }
  const auto blank = line.rfind(' ');
  return blank == std::string_view::npos ? line : line.substr(blank + 1);
}

}  // namespace muster::init
