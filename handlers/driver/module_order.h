// In which order modules are to be inserted, and why some are not: dependencies, softdeps,
// refusals. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "handlers/driver/module_tree.h"

namespace muster::driver {

// What is known about one module.
struct ModuleFacts {
  std::string name;
  std::string path;  // of the file; empty if built in, or if there is only an install command
  std::string options;
  std::string state;    // absent, live, builtin, coming
  std::string install;  // the command that stands in for inserting it; empty if there is none
  std::vector<std::string> needs;  // must be live before
  Softdep softdep;                 // names or aliases
};

struct OrderedModule {
  ModuleFacts facts;
  std::vector<std::string> needs;  // must be live before; all stand earlier in the list
  std::vector<std::string> wants;  // should have been tried before; all stand earlier in the list
  bool soft = false;               // its failure is only a warning
};

struct Refusal {
  std::string name;
  std::string why;
  friend bool operator==(const Refusal&, const Refusal&) = default;
};

struct ModuleOrder {
  std::vector<OrderedModule> modules;
  std::vector<Refusal> refused;
};

class ModuleKnowledge {
 public:
  virtual ~ModuleKnowledge() = default;
  // Modules that a name or alias stands for.
  [[nodiscard]] virtual std::vector<std::string> look_up(std::string_view name_or_alias) = 0;
  [[nodiscard]] virtual std::optional<ModuleFacts> facts(std::string_view name) = 0;
  // Why it may not be inserted at all, not even as a dependency.
  [[nodiscard]] virtual std::optional<std::string> forbidden(std::string_view name) = 0;
};

// `names` and all they need. What softdeps name is soft unless something that is not soft needs it;
// a module that is soft and cannot be had is left out without a word, as modprobe does.
[[nodiscard]] ModuleOrder order_modules(const std::vector<std::string>& names,
                                        ModuleKnowledge& knowledge);

}  // namespace muster::driver
