#include "handlers/driver/module_order.h"

#include <algorithm>
#include <map>
#include <set>

namespace muster::driver {
namespace {

// Real trees are about ten deep; a tree that lies may be as deep as it is long.
constexpr int kMaxDepth = 64;
constexpr int kMaxVisits = 20'000;

class Ordering {
 public:
  explicit Ordering(ModuleKnowledge& knowledge) : knowledge_(knowledge) {}

  void top(const std::string& name) {
    if (const auto why = visit(name, 0)) {
      refuse(name, *why);
    } else {
      require(name);
    }
  }

  ModuleOrder take() {
    for (OrderedModule& module : order_.modules) {
      module.soft = !required_.contains(module.facts.name);
    }
    return std::move(order_);
  }

 private:
  enum class Mark { visiting, placed };

  // Places a module and what it needs; says why that cannot be. A failure is not remembered: it may
  // only be that of a circle through a softdep, from which the same module asked for by itself is
  // free.
  std::optional<std::string> visit(const std::string& name, int depth) {
    if (const auto seen = marks_.find(name); seen != marks_.end()) {
      if (seen->second == Mark::visiting) {
        return "it depends on itself";
      }
      return std::nullopt;
    }
    if (depth > kMaxDepth || ++visits_ > kMaxVisits) {
      return "its dependencies are nested too deeply";
    }
    marks_[name] = Mark::visiting;
    auto why = place(name, depth);
    if (why) {
      marks_.erase(name);
    } else {
      marks_[name] = Mark::placed;
    }
    return why;
  }

  std::optional<std::string> place(const std::string& name, int depth) {
    if (auto why = knowledge_.forbidden(name)) {
      return why;
    }
    auto facts = knowledge_.facts(name);
    if (!facts) {
      return "there is no such module";
    }
    OrderedModule module{std::move(*facts), {}, {}, false};
    if (module.facts.state == "builtin") {
      order_.modules.push_back(std::move(module));
      return std::nullopt;
    }
    for (const std::string& need : module.facts.needs) {
      if (auto why = visit(need, depth + 1)) {
        return "it needs " + need + ": " + *why;
      }
      module.needs.push_back(need);
    }
    const Softdep softdep = module.facts.softdep;
    module.wants = try_all(softdep.pre, depth);
    order_.modules.push_back(std::move(module));
    // What follows it softly is tried after it.
    marks_[name] = Mark::placed;
    const std::size_t before = order_.modules.size();
    try_all(softdep.post, depth);
    for (std::size_t i = before; i < order_.modules.size(); ++i) {
      if (!contains(order_.modules[i].needs, name)) {
        order_.modules[i].wants.push_back(name);
      }
    }
    return std::nullopt;
  }

  // Those of them that were placed.
  std::vector<std::string> try_all(const std::vector<std::string>& names_or_aliases, int depth) {
    std::vector<std::string> placed;
    for (const std::string& alias : names_or_aliases) {
      for (const std::string& name : knowledge_.look_up(alias)) {
        if (!visit(name, depth + 1) && !contains(placed, name)) {
          placed.push_back(name);
        }
      }
    }
    return placed;
  }

  void require(const std::string& name) {
    if (!required_.insert(name).second) {
      return;
    }
    const auto module = std::find_if(order_.modules.begin(), order_.modules.end(),
                                     [&](const OrderedModule& m) { return m.facts.name == name; });
    if (module == order_.modules.end()) {
      return;
    }
    for (const std::string& need : std::vector<std::string>(module->needs)) {
      require(need);
    }
  }

  void refuse(const std::string& name, const std::string& why) {
    const Refusal refusal{name, why};
    if (std::find(order_.refused.begin(), order_.refused.end(), refusal) == order_.refused.end()) {
      order_.refused.push_back(refusal);
    }
  }

  static bool contains(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  }

  ModuleKnowledge& knowledge_;
  ModuleOrder order_;
  std::map<std::string, Mark> marks_;
  int visits_ = 0;
  std::set<std::string> required_;
};

}  // namespace

ModuleOrder order_modules(const std::vector<std::string>& names, ModuleKnowledge& knowledge) {
  Ordering ordering(knowledge);
  for (const std::string& name : names) {
    ordering.top(name);
  }
  return ordering.take();
}

}  // namespace muster::driver
