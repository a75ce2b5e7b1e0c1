#include "daemon/replay/shuffle.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <sstream>

namespace muster::replay {
namespace {

constexpr std::size_t kShrinkPlays = 48;  // tries of a smaller machine before it is called sound
constexpr std::size_t kProgressEvery = 64;

std::size_t factorial(std::size_t n) {
  std::size_t product = 1;
  for (std::size_t i = 2; i <= n; ++i) {
    product *= i;
  }
  return product;
}

// Plays are compared with those that knew the same; the first that breaks or differs is kept.
class Judge {
 public:
  // True while nothing is wrong.
  bool hear(Played played, std::optional<Violation>& violation) {
    if (!played.breach.empty()) {
      violation = Violation{played.breach, {}};
      violation->plays.push_back(std::move(played));
      return false;
    }
    auto [it, is_new] = classes_.try_emplace(played.facts, std::move(played));
    if (is_new || it->second.final_state == played.final_state) {
      return true;
    }
    violation = Violation{"1: the same facts, and another end: " +
                              first_difference(it->second.final_state, played.final_state),
                          {}};
    violation->plays.push_back(std::move(it->second));
    violation->plays.push_back(std::move(played));
    return false;
  }
  [[nodiscard]] std::size_t classes() const { return classes_.size(); }

 private:
  static std::string first_difference(const std::string& a, const std::string& b) {
    std::istringstream left(a);
    std::istringstream right(b);
    std::string one;
    std::string other;
    for (;;) {
      const bool more = static_cast<bool>(std::getline(left, one));
      const bool others = static_cast<bool>(std::getline(right, other));
      if (!more && !others) {
        return "(the texts differ in their ends)";
      }
      if (!more || !others || one != other) {
        return fmt::format("'{}' against '{}'", more ? one : "nothing", others ? other : "nothing");
      }
    }
  }

  std::map<std::string, Played> classes_;
};

PlayOptions play_options(const ShuffleOptions& options) {
  PlayOptions play;
  play.drop = options.drop;
  play.duplicate = options.duplicate;
  play.remove = options.remove;
  play.late = options.late;
  play.policies = options.policies;
  return play;
}

// The n-th random play of a shuffle: half of them keep the launch back until all facts are in.
PlayOptions random_play(const ShuffleOptions& options, std::size_t n) {
  PlayOptions play = play_options(options);
  play.order_of = PlayOptions::Order::random;
  play.seed = options.seed * 1'000'003 + n;
  play.hold_launch = n % 2 == 1;
  return play;
}

class Shrinker {
 public:
  Shrinker(const Hardware& hardware, ShuffleOptions options, Violation violation)
      : hardware_(hardware),
        options_(std::move(options)),
        units_(units_of(hardware).size()),
        best_(std::move(violation)) {}

  Violation run() {
    // Every disturbance that is not needed goes first, then every disk.
    for (auto flag : {&ShuffleOptions::drop, &ShuffleOptions::duplicate}) {
      try_without([&](ShuffleOptions& fewer) { fewer.*flag = 0; });
    }
    for (auto flag : {&ShuffleOptions::remove, &ShuffleOptions::late}) {
      try_without([&](ShuffleOptions& fewer) { fewer.*flag = false; });
    }
    // In halves, then one by one: with dozens of disks most are not needed.
    for (std::size_t chunk = std::max<std::size_t>(units_ / 2, 1);; chunk /= 2) {
      for (std::size_t from = 0; from < units_; from += chunk) {
        std::set<std::size_t> absent = absent_;
        for (std::size_t unit = from; unit < std::min(from + chunk, units_); ++unit) {
          absent.insert(unit);
        }
        if (absent != absent_) {
          if (auto smaller = look(options_, absent)) {
            best_ = std::move(*smaller);
            absent_ = std::move(absent);
          }
        }
      }
      if (chunk == 1) {
        return std::move(best_);
      }
    }
  }

 private:
  template <typename Change>
  void try_without(const Change& change) {
    ShuffleOptions fewer = options_;
    change(fewer);
    if (auto found = look(fewer, absent_)) {
      best_ = std::move(*found);
      options_ = std::move(fewer);
    }
  }

  // Plain orders first: they read best.
  std::optional<Violation> look(const ShuffleOptions& options,
                                const std::set<std::size_t>& absent) {
    std::vector<std::size_t> order;
    for (std::size_t unit = 0; unit < units_; ++unit) {
      if (!absent.contains(unit)) {
        order.push_back(unit);
      }
    }
    Judge judge;
    std::optional<Violation> violation;
    for (std::size_t n = 0; n < kShrinkPlays; ++n) {
      PlayOptions play = play_options(options);
      play.order_of = PlayOptions::Order::given;
      play.order = order;
      play.absent = absent;
      play.seed = n;
      if (!judge.hear(muster::replay::play(hardware_, play), violation)) {
        return violation;
      }
      if (!std::next_permutation(order.begin(), order.end())) {
        break;
      }
    }
    for (std::size_t n = 0; n < kShrinkPlays; ++n) {
      PlayOptions play = random_play(options, n);
      play.absent = absent;
      if (!judge.hear(muster::replay::play(hardware_, play), violation)) {
        return violation;
      }
    }
    return std::nullopt;
  }

  const Hardware& hardware_;
  ShuffleOptions options_;
  std::size_t units_;
  Violation best_;
  std::set<std::size_t> absent_;
};

bool is_arrival(const std::string& line) {
  return !line.starts_with("  ");
}

}  // namespace

Shuffled shuffle(const Hardware& hardware, const ShuffleOptions& options) {
  Shuffled result;
  result.units = units_of(hardware).size();
  result.every_order = options.every_order && result.units <= kEveryOrderUpTo;
  Judge judge;
  const auto hear = [&](Played played) {
    ++result.plays;
    result.unknown.insert(played.unknown.begin(), played.unknown.end());
    if (options.progress && result.plays % kProgressEvery == 0) {
      options.progress(result.plays);
    }
    return judge.hear(std::move(played), result.violation);
  };
  bool sound = hear(play(hardware, play_options(options)));
  for (std::size_t n = 0; sound && n < options.plays; ++n) {
    sound = hear(play(hardware, random_play(options, n)));
  }
  if (sound && result.every_order) {
    PlayOptions given = play_options(options);
    given.order_of = PlayOptions::Order::given;
    given.order.resize(result.units);
    std::iota(given.order.begin(), given.order.end(), std::size_t{0});
    for (std::size_t n = 0; sound && n < factorial(result.units); ++n) {
      given.seed = options.seed + n;
      sound = hear(play(hardware, given));
      std::next_permutation(given.order.begin(), given.order.end());
    }
  }
  result.classes = judge.classes();
  if (result.violation) {
    result.violation = Shrinker(hardware, options, std::move(*result.violation)).run();
  }
  return result;
}

std::string story(const Violation& violation) {
  std::string text = fmt::format("broken promise {}\n", violation.what);
  for (std::size_t i = 0; i < violation.plays.size(); ++i) {
    const Played& played = violation.plays[i];
    if (violation.plays.size() > 1) {
      text += fmt::format("{} order:\n", i == 0 ? "one" : "another");
    }
    std::size_t number = 0;
    for (const auto& line : played.story) {
      text += is_arrival(line) ? fmt::format("{:>4}. {}\n", ++number, line)
                               : fmt::format("    {}\n", line);
    }
  }
  return text;
}

std::size_t arrivals(const Violation& violation) {
  std::size_t most = 0;
  for (const auto& played : violation.plays) {
    most = std::max(most, static_cast<std::size_t>(
                              std::count_if(played.story.begin(), played.story.end(), is_arrival)));
  }
  return most;
}

}  // namespace muster::replay
