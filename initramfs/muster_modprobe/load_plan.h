// What the kernel command line says about modules. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace muster::modprobe {

// As kmod reads it: `modprobe.blacklist=a,b` and `MODULE.parameter=value`.
struct CommandLine {
  explicit CommandLine(std::string_view text);

  [[nodiscard]] bool is_blacklisted(std::string_view module) const;
  // "parameter=value parameter=value" of this module, in order.
  [[nodiscard]] std::string options_of(std::string_view module) const;

 private:
  struct Option {
    std::string module;
    std::string text;
  };
  std::vector<std::string> blacklist_;
  std::vector<Option> options_;
};

// The name that the kernel (`modprobe -q -- NAME`) or a person asks for; empty if there is none.
[[nodiscard]] std::string_view requested_name(int argc, const char* const* argv);

}  // namespace muster::modprobe
