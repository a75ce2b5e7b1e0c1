#include "daemon/chart/critical_path.h"

#include <algorithm>
#include <set>

namespace muster::chart {
namespace {

// A chain is as long as there are layers, retries included; a recording may be made to loop
// forever.
constexpr std::size_t kMaxPath = 400;
constexpr std::size_t kMaxDepth = 32;

std::vector<ActId> chain_to(const History& history, ActId last) {
  std::vector<ActId> chain{last};
  while (chain.size() < kMaxPath) {
    const auto cause = history.cause(chain.back());
    if (!cause) {
      break;
    }
    chain.push_back(*cause);
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

int rank(State state) {
  switch (state) {
    case State::impossible:
      return 0;
    case State::broken:
      return 1;
    case State::waiting:
      return 2;
    case State::working:
      return 3;
    case State::ready:
      break;
  }
  return 4;
}

// The requirement that is farthest from being met.
const Life* unmet(const History& history) {
  const Life* worst = nullptr;
  for (const auto& [id, life] : history.lives) {
    if (life.there && life.thing.requirement && life.thing.state != State::ready &&
        (worst == nullptr || rank(life.thing.state) < rank(worst->thing.state))) {
      worst = &life;
    }
  }
  return worst;
}

const Life* first_missing(const History& history, const Life& requirement) {
  std::set<std::string> seen;
  const Life* life = &requirement;
  for (std::size_t depth = 0; depth < kMaxDepth; ++depth) {
    const auto& needs = life->thing.needs;
    // A need is an id, or a name under /dev.
    const auto next =
        std::find_if(history.lives.begin(), history.lives.end(), [&](const auto& entry) {
          const auto& [id, other] = entry;
          const auto& names = other.thing.names;
          return other.there && other.thing.state != State::ready && !seen.contains(id) &&
                 std::any_of(needs.begin(), needs.end(), [&, &id = id](const auto& need) {
                   return need == id || std::find(names.begin(), names.end(), need) != names.end();
                 });
        });
    if (next == history.lives.end()) {
      break;
    }
    seen.insert(next->first);
    life = &next->second;
  }
  return life;
}

}  // namespace

CriticalPath critical_path(const History& history) {
  CriticalPath path;
  for (ActId id = 0; id < history.acts.size(); ++id) {
    const auto& act = history.acts[id];
    if (act.handler == "launch" && act.effect && (act.verb == "run" || act.verb == "shell")) {
      path.launch = id;
    }
  }
  if (path.launch) {
    path.acts = chain_to(history, *path.launch);
    return path;
  }
  const Life* requirement = history.phase == Phase::gathering ? unmet(history) : nullptr;
  if (requirement == nullptr) {
    const auto launch = history.lives.find("launch");
    if (launch == history.lives.end()) {
      return path;
    }
    requirement = &launch->second;
  }
  const Life* missing = first_missing(history, *requirement);
  path.requirement = requirement->thing.id;
  path.missing = missing->thing.id;
  path.acts = chain_to(history, missing->spans.back().by);
  return path;
}

}  // namespace muster::chart
