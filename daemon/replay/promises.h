// What must hold at every step of every order (design: the promises that can be checked without a
// kernel). Told of each step; the first breach is kept.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "daemon/engine.h"

namespace muster::replay {

class Promises {
 public:
  // After the engine took `event` and answered `effects`.
  void step(const Event& event, const std::vector<Effect>& effects, const Engine& engine);
  // Nothing more will happen by itself: whatever is not there must say why.
  void settled(const Engine& engine);

  // Empty while all of them are kept; else one line that says which was broken, and by what.
  [[nodiscard]] const std::string& breach() const { return breach_; }
  [[nodiscard]] bool launched() const { return launched_; }

 private:
  void check(const Effect& effect, const Engine& engine);
  void acts_on_what_is_there(const Effect& effect, const Engine& engine);
  void leaves_targets_alone(const Effect& effect, const Engine& engine);
  void break_promise(std::string text);

  std::string breach_;
  bool launched_ = false;
  bool told_to_go_ = false;
  std::set<std::string> loading_;  // modules whose insertion is under way
  std::map<EffectId, std::string> inserts_;
};

}  // namespace muster::replay
