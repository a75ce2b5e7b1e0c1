// Many rows as few: what is alike becomes one row.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "daemon/chart/boot_chart.h"
#include "daemon/chart/chart_text.h"

namespace muster::chart {
namespace {

constexpr std::size_t kTexts = 6;    // of bars drawn as one
constexpr std::size_t kPoints = 60;  // arrivals in a row
constexpr std::size_t kAlike = 3;    // rows worth drawing as one

// Those of a kind that overlap become one; critical ones, failures and removals stay themselves.
std::vector<Bar> merged(std::vector<Bar> bars) {
  std::stable_sort(bars.begin(), bars.end(), [](const Bar& a, const Bar& b) {
    return std::tie(a.kind, a.start, a.end, a.id) < std::tie(b.kind, b.start, b.end, b.id);
  });
  std::vector<Bar> result;
  std::map<std::size_t, std::set<std::string>> labels;  // of the merged, by their index
  std::optional<std::size_t> last;
  for (auto& bar : bars) {
    const bool alone = bar.critical || bar.failed || bar.late || bar.kind == Kind::removal ||
                       bar.kind == Kind::command;
    if (alone) {
      result.push_back(std::move(bar));
      continue;
    }
    // Drivers load one after the other without a pause; of everything else each step is itself.
    const auto overlaps = [&](const Bar& one) {
      return bar.start < one.end ||
             (bar.start == one.end && (bar.kind == Kind::driver || bar.kind == Kind::arrival));
    };
    if (last && result[*last].kind == bar.kind && overlaps(result[*last])) {
      Bar& one = result[*last];
      labels[*last].insert(one.label);
      labels[*last].insert(bar.label);
      one.end = std::max(one.end, bar.end);
      one.open = one.open || bar.open;
      ++one.count;
      if (one.count <= kTexts) {
        one.text += "\n" + bar.text;
      } else if (one.count == kTexts + 1) {
        one.text += "\n…";
      }
      continue;
    }
    result.push_back(std::move(bar));
    last = result.size() - 1;
  }
  for (auto& [index, names] : labels) {
    Bar& bar = result[index];
    if (bar.kind == Kind::driver) {
      const auto inserts = std::count_if(names.begin(), names.end(), [](const std::string& name) {
        return !name.starts_with("look up");
      });
      bar.label = inserts == 1 ? *names.begin() : fmt::format("{} modules", inserts);
    } else if (bar.kind == Kind::read) {
      bar.label = fmt::format("{} reads", bar.count);
    } else if (bar.kind == Kind::present || bar.kind == Kind::waiting) {
      bar.label = names.size() == 1 ? *names.begin() : std::string();
    } else {
      bar.label = names.size() == 1   ? fmt::format("{} × {}", bar.count, *names.begin())
                  : names.size() == 2 ? *names.begin() + ", " + *names.rbegin()
                                      : fmt::format("{} together", bar.count);
    }
  }
  std::stable_sort(result.begin(), result.end(), [](const Bar& a, const Bar& b) {
    return std::tie(a.start, a.end, a.id) < std::tie(b.start, b.end, b.id);
  });
  return result;
}

Row as_one(const std::vector<const Row*>& rows, const std::string& what) {
  Row one = *rows.front();
  one.bars.clear();
  one.count = 0;
  one.key = "alike " + one.key;
  std::string members;
  for (const Row* row : rows) {
    one.count += row->count;
    one.bars.insert(one.bars.end(), row->bars.begin(), row->bars.end());
    one.trouble = one.trouble || row->trouble;
  }
  one.title = fmt::format("{} × {}", one.count, what);
  one.alike = what;
  one.identity = rows.front()->title + (rows.size() > 1 ? " … " + rows.back()->title : "");
  one.bars = merged(std::move(one.bars));
  // Points that follow each other closely are a cloud either way.
  std::size_t points = 0;
  const auto is_point = [](const Bar& bar) { return bar.kind == Kind::arrival && !bar.critical; };
  for (const auto& bar : one.bars) {
    points += is_point(bar) ? 1 : 0;
  }
  if (points > kPoints) {
    std::size_t index = 0;
    std::erase_if(one.bars, [&](const Bar& bar) {
      if (!is_point(bar)) {
        return false;
      }
      const auto before = index++;
      return before * kPoints / points == index * kPoints / points;
    });
  }
  return one;
}

// The rows of one section, in order.
std::vector<Row> fewer(std::vector<Row> rows, std::size_t limit, bool spare_trouble) {
  std::map<std::string, std::vector<std::size_t>> alike;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].critical && !(spare_trouble && rows[i].trouble)) {
      alike[rows[i].alike].push_back(i);
    }
  }
  // The largest first, until it fits.
  std::vector<std::vector<std::size_t>> groups;
  for (auto& [name, members] : alike) {
    if (members.size() >= kAlike) {
      groups.push_back(std::move(members));
    }
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  std::vector<std::optional<Row>> kept(rows.begin(), rows.end());
  std::size_t count = rows.size();
  for (const auto& group : groups) {
    if (count <= limit) {
      break;
    }
    std::vector<const Row*> members;
    for (const auto index : group) {
      members.push_back(&rows[index]);
    }
    const Row one = as_one(members, rows[group.front()].alike);
    for (const auto index : group) {
      kept[index].reset();
    }
    kept[group.front()] = one;
    count -= group.size() - 1;
  }
  std::vector<Row> result;
  for (auto& row : kept) {
    if (row) {
      result.push_back(std::move(*row));
    }
  }
  return result;
}

// How much a row would be missed: trouble first, then the time that its effects took; of what is
// only counted, the count.
std::tuple<bool, Micros> weight(const Row& row) {
  Micros time = row.section == Section::others ? static_cast<Micros>(row.count) : 0;
  for (const auto& bar : row.bars) {
    if (bar.kind != Kind::present && bar.kind != Kind::waiting) {
      time += bar.end - bar.start;
    }
  }
  return {row.trouble, time};
}

std::string many(Section section) {
  switch (section) {
    case Section::drivers:
      return "other drivers";
    case Section::disks:
      return "other disks";
    case Section::arrays:
      return "other arrays";
    case Section::volumes:
      return "other volumes";
    case Section::media:
      return "other candidates";
    case Section::requirements:
      return "other requirements";
    case Section::launch:
      return "others";
    case Section::others:
      return "other subsystems";
  }
  return "others";
}

}  // namespace

Chart condensed(const Chart& chart, std::size_t rows_per_section) {
  Chart result = chart;
  result.rows.clear();
  std::map<Section, std::vector<Row>> sections;
  for (const auto& row : chart.rows) {
    sections[row.section].push_back(row);
  }
  for (auto& [section, rows] : sections) {
    const std::size_t limit = std::max<std::size_t>(
        2, section == Section::others ? rows_per_section / 2 : rows_per_section);
    for (auto& row : rows) {
      row.bars = merged(std::move(row.bars));
    }
    if (section != Section::others && section != Section::drivers) {
      rows = fewer(std::move(rows), limit, true);
      rows = fewer(std::move(rows), limit, false);
    }
    if (rows.size() > limit) {
      // Whatever is left: those that took the least time, none of them critical.
      std::vector<std::size_t> order;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!rows[i].critical) {
          order.push_back(i);
        }
      }
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return weight(rows[a]) < weight(rows[b]);
      });
      order.resize(std::min(order.size(), rows.size() - limit + 1));
      std::sort(order.begin(), order.end());
      std::vector<const Row*> members;
      std::vector<Row> kept;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (std::binary_search(order.begin(), order.end(), i)) {
          members.push_back(&rows[i]);
        } else {
          kept.push_back(rows[i]);
        }
      }
      if (!members.empty()) {
        kept.push_back(as_one(members, many(section)));
      }
      rows = std::move(kept);
    }
    for (auto& row : rows) {
      if (section == Section::others && row.key.starts_with("others ")) {
        row = as_one({&row}, row.title);
        row.identity.clear();
      }
      result.rows.push_back(std::move(row));
    }
  }
  return result;
}

}  // namespace muster::chart
