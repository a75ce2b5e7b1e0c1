#include "daemon/chart/svg_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "daemon/chart/chart_text.h"
#include "daemon/chart/time_axis.h"

namespace muster::chart {
namespace {

constexpr double kWidth = 1280;
constexpr double kMargin = 20;
constexpr double kPlot = 330;  // where the rows' names end
constexpr double kPlotWidth = kWidth - kPlot - kMargin;
constexpr double kRow = 20;
constexpr double kOtherRow = 15;
constexpr double kSection = 24;
constexpr double kAxis = 26;
constexpr double kLabelSize = 10.5;
constexpr double kNameSize = 12;
constexpr double kSmallSize = 10.5;
constexpr double kLeast = 2.5;  // width of a bar of no duration

struct Word {
  Kind kind;
  const char* name;  // of the class
  const char* text;  // in the legend; nullptr: not in it
};
constexpr Word kWords[] = {
    {Kind::present, "present", "there"},    {Kind::waiting, "waiting", "waiting"},
    {Kind::arrival, "arrival", "uevent"},   {Kind::removal, "removal", "gone"},
    {Kind::scan, "scan", nullptr},          {Kind::driver, "driver", "driver"},
    {Kind::found, "found", nullptr},        {Kind::read, "read", "read"},
    {Kind::assemble, "assemble", "array"},  {Kind::volume, "volume", "volume"},
    {Kind::medium, "medium", "medium"},     {Kind::launch, "launch", "launch"},
    {Kind::running, "running", nullptr},    {Kind::deadline, "deadline", "deadline"},
    {Kind::command, "command", "operator"}, {Kind::other, "other", nullptr},
};

const char* class_of(Kind kind) {
  return kWords[static_cast<std::size_t>(kind)].name;
}

const char* title_of(Section section) {
  switch (section) {
    case Section::drivers:
      return "Drivers";
    case Section::disks:
      return "Disks and drives";
    case Section::arrays:
      return "Arrays";
    case Section::volumes:
      return "Logical volumes";
    case Section::media:
      return "Restore medium";
    case Section::requirements:
      return "What this restore needs";
    case Section::launch:
      return "Launch";
    case Section::others:
      return "Nothing came of these";
  }
  return "";
}

bool is_point(const Bar& bar) {
  return bar.kind == Kind::arrival || bar.kind == Kind::removal || bar.kind == Kind::command;
}
bool is_ground(const Bar& bar) {
  return bar.kind == Kind::present || bar.kind == Kind::waiting;
}

std::string tooltip(const Row& row, const Bar& bar) {
  std::string text = row.title;
  if (!bar.label.empty() && bar.kind != Kind::waiting) {
    text += ": " + bar.label;
  }
  if (bar.end > bar.start) {
    text += fmt::format("\n{} to {}: {}{}", exact_text(bar.start),
                        bar.open ? "the end" : exact_text(bar.end),
                        seconds_text(bar.end - bar.start), bar.open ? " so far" : "");
  } else {
    text += "\nat " + exact_text(bar.start);
  }
  if (bar.failed && bar.kind != Kind::waiting) {
    text += "\nFAILED";
  }
  if (bar.late) {
    text += "\nlater than its deadline";
  }
  if (bar.count > 1) {
    text += fmt::format("\n{} drawn as one:", bar.count);
  }
  text += "\n" + bar.text;
  if (bar.line != 0) {
    text += fmt::format("\nline {}", bar.line);
  }
  return text;
}

class Drawing {
 public:
  Drawing(const Chart& chart, bool page) : chart_(chart), axis_(chart, kPlotWidth), page_(page) {}
  std::string draw(double top);
  [[nodiscard]] double bottom() const { return y_; }

 private:
  void section(Section section);
  void row(const Row& row);
  void bar(const Row& row, const Bar& bar, double height);
  void label(const Row& row, const Bar& bar, double height);
  double free_after(const Row& row, const Bar& bar) const;
  void over_all(double top);
  void ticks(double top, double bottom);
  void path();
  [[nodiscard]] double left(const Bar& bar) const { return axis_.x(bar.start); }
  [[nodiscard]] double right(const Bar& bar) const {
    return std::max(axis_.x(bar.end), left(bar) + (is_point(bar) ? 5 : kLeast));
  }

  const Chart& chart_;
  TimeAxis axis_;
  bool page_;
  std::string out_;
  double y_ = 0;
  std::map<std::string, double, std::less<>> middle_;  // of the rows, by key
  std::map<std::size_t, double> middle_of_bar_;
};

void Drawing::section(Section section) {
  y_ += 4;
  out_ += fmt::format(
      "<g class=\"sec\" data-h=\"{:.0f}\" transform=\"translate(0 {:.1f})\"><rect class=\"head\" "
      "x=\"{:.0f}\" y=\"0\" width=\"{:.0f}\" height=\"{:.0f}\"/><text class=\"ht\" x=\"{:.0f}\" "
      "y=\"13.5\">{}</text></g>\n",
      kSection, y_, kMargin - 8, kWidth - 2 * kMargin + 16, kSection - 5, kMargin,
      title_of(section));
  y_ += kSection - 4;
}

// How far a label may reach to the right of where it starts, before the next bar of its row.
double Drawing::free_after(const Row& row, const Bar& bar) const {
  double limit = kPlotWidth;
  for (const auto& other : row.bars) {
    if (&other != &bar && !is_ground(other) && left(other) >= left(bar) &&
        std::tie(other.start, other.id) > std::tie(bar.start, bar.id)) {
      limit = std::min(limit, left(other) - (is_point(other) ? 6 : 2));
    }
  }
  for (const auto& cut : axis_.cuts()) {
    if (cut.x + cut.width > left(bar)) {
      limit = std::min(limit, cut.x);
    }
  }
  return limit;
}

void Drawing::label(const Row& row, const Bar& bar, double height) {
  if (bar.label.empty() || row.section == Section::others) {
    return;
  }
  const double middle = height / 2 + 3.7;
  const double from = left(bar);
  const double to = right(bar);
  const double limit = free_after(row, bar);
  const double wide = width_em(bar.label) * kLabelSize;
  if (bar.kind == Kind::waiting) {
    // Why it waits: only where there is room for some of it.
    const double start = std::max(from, 0.0) + 5;
    const auto text = fitted(bar.label, (std::min(to, limit) - start - 4) / kLabelSize);
    if (width_em(text) >= std::min(10.0, width_em(bar.label)) &&
        (!bar.critical || text == bar.label)) {
      out_ += fmt::format("<text class=\"l why\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", start,
                          middle, xml(text));
    } else if (bar.critical) {
      // The one wait that must be read: before it, if that is free.
      double begin = 0;
      for (const auto& other : row.bars) {
        const bool slight = is_ground(other) && right(other) - left(other) < 40;
        if (&other != &bar && left(other) < from && !slight) {
          begin = std::max(begin, std::min(right(other), from));
        }
      }
      const auto before = fitted(bar.label, (from - 6 - begin) / kLabelSize);
      if (width_em(before) > width_em(text)) {
        out_ += fmt::format("<text class=\"l why end\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>",
                            from - 5, middle, xml(before));
      } else if (!text.empty()) {
        out_ += fmt::format("<text class=\"l why\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", start,
                            middle, xml(text));
      }
    }
    return;
  }
  if (wide + 8 <= std::min(to, limit) - from) {
    out_ += fmt::format("<text class=\"l in\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", from + 4,
                        middle, xml(bar.label));
  } else if (to + 4 + wide <= limit - 2) {
    out_ += fmt::format("<text class=\"l\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", to + 4, middle,
                        xml(bar.label));
  }
}

void Drawing::bar(const Row& row, const Bar& bar, double height) {
  const double middle = height / 2;
  std::string classes = class_of(bar.kind);
  const bool in_part = bar.critical && !is_point(bar) && bar.critical_end < bar.end;
  classes += !bar.critical ? "" : in_part ? " part" : " crit";
  classes += bar.failed ? " bad" : "";
  classes += bar.late ? " late" : "";
  classes += row.section == Section::requirements ? " need" : "";
  out_ += fmt::format("<g class=\"b {}\" data-i=\"{}\"", classes, bar.id);
  if (bar.by) {
    out_ += fmt::format(" data-by=\"{}\"", *bar.by);
  }
  const auto text = xml(tooltip(row, bar));
  out_ += page_ ? fmt::format(" data-t=\"{}\">", text) : fmt::format("><title>{}</title>", text);
  const double x = left(bar);
  if (is_point(bar)) {
    const char* shape = bar.kind == Kind::removal   ? "M-3.5-3.5L3.5 3.5M3.5-3.5L-3.5 3.5"
                        : bar.kind == Kind::command ? "M0-5L4 0L0 5L-4 0Z"
                                                    : "M0-4L3.4 3.2L-3.4 3.2Z";
    const bool crowd = row.section == Section::others || row.count > 1;
    const bool notch = crowd && bar.kind == Kind::arrival && !bar.critical;
    if (notch) {
      shape = row.section == Section::others ? "M0-3.5V3.5" : "M0 3.5V8.5";
    }
    out_ += fmt::format(
        "<path class=\"pt{3}\" data-x=\"{0:.1f}\" data-y=\"{1:.1f}\" "
        "transform=\"translate({0:.1f} {1:.1f})\" d=\"{2}\"/>",
        x, middle, shape, notch ? " notch" : "");
  } else {
    const double thick = bar.kind == Kind::present ? 2 : bar.kind == Kind::waiting ? 9 : height - 6;
    const double wide = right(bar) - x;
    // What is there runs below what is done with it, like a line under text.
    const double centre = bar.kind == Kind::present ? height - 3 : middle;
    out_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>", x,
                        centre - thick / 2, wide, thick);
    if (in_part) {
      out_ += fmt::format(
          "<rect class=\"cp\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
          "height=\"{:.1f}\"/>",
          x, middle - thick / 2, std::max(kLeast, axis_.x(bar.critical_end) - x), thick);
    }
  }
  if (!is_point(bar)) {
    label(row, bar, height);
  }
  if (bar.failed && !is_ground(bar)) {
    out_ += fmt::format(
        "<path class=\"pt\" data-x=\"{0:.1f}\" data-y=\"{1:.1f}\" "
        "transform=\"translate({0:.1f} {1:.1f})\" "
        "d=\"M-3.5-3.5L3.5 3.5M3.5-3.5L-3.5 3.5\"/>",
        right(bar), middle);
  }
  out_ += "</g>\n";
}

void Drawing::row(const Row& row) {
  const double height = row.section == Section::others ? kOtherRow : kRow;
  const double room = kPlot - kMargin - 12;
  std::string name = row.title;
  const double size = row.section == Section::others ? kSmallSize : kNameSize;
  name = fitted(name, (row.identity.empty() ? room : room * 0.72) / size);
  const double used = width_em(name) * size + 8;
  const auto identity = fitted(row.identity, std::max(0.0, room - used) / kSmallSize);
  out_ += fmt::format(
      "<g class=\"row{}\" data-h=\"{:.0f}\" data-f=\"{}\" "
      "transform=\"translate(0 {:.1f})\">",
      row.critical ? " crow" : "", height,
      page_ ? xml(row.title + " " + row.identity + " " + row.key) : "", y_);
  out_ += fmt::format(
      "<rect class=\"stripe\" x=\"{:.0f}\" y=\"0\" width=\"{:.0f}\" "
      "height=\"{:.0f}\"/>",
      kMargin - 8, kWidth - 2 * kMargin + 16, height);
  out_ += fmt::format("<text class=\"{}\" x=\"{:.0f}\" y=\"{:.1f}\">{}",
                      row.section == Section::others ? "small" : "name", kMargin, height / 2 + 4,
                      xml(name));
  if (!identity.empty()) {
    out_ += fmt::format("<tspan class=\"id\" dx=\"6\">{}</tspan>", xml(identity));
  }
  out_ += fmt::format("</text><g class=\"plot\" transform=\"translate({:.0f} 0)\">\n", kPlot);
  // What stands lies below what is done; the critical path on top.
  for (int layer = 0; layer < 4; ++layer) {
    for (const auto& each : row.bars) {
      const int place = is_ground(each) && !each.critical ? 0
                        : is_point(each)                  ? 3
                        : each.critical                   ? 2
                                                          : 1;
      if (place == layer) {
        bar(row, each, height);
        middle_of_bar_.emplace(each.id, y_ + height / 2);
      }
    }
  }
  out_ += "</g></g>\n";
  middle_[row.key] = y_ + height / 2;
  y_ += height;
}

void Drawing::ticks(double top, double bottom) {
  for (const auto& tick : axis_.ticks()) {
    out_ += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" "
        "y2=\"{2:.1f}\"/><text class=\"tick\" x=\"{0:.1f}\" y=\"{3:.1f}\">{4}"
        "</text>\n",
        tick.x, top, bottom, top - 5, tick.label);
  }
}

void Drawing::path() {
  // From what was over to what it set off: a line down or up at that moment.
  const Hop* before = nullptr;
  for (const auto& hop : chart_.path) {
    if (before != nullptr) {
      const auto from = middle_of_bar_.find(before->id);
      const auto to = middle_of_bar_.find(hop.id);
      if (from != middle_of_bar_.end() && to != middle_of_bar_.end() &&
          from->second != to->second) {
        out_ += fmt::format(
            "<line class=\"path\" data-a=\"{}\" data-b=\"{}\" x1=\"{:.1f}\" "
            "x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
            before->id, hop.id, axis_.x(hop.start), axis_.x(hop.start), from->second, to->second);
      }
    }
    if (middle_of_bar_.contains(hop.id)) {
      before = &hop;
    }
  }
}

void Drawing::over_all(double top) {
  for (const auto& cut : axis_.cuts()) {
    std::string edges;
    for (const double side : {0.0, cut.width}) {
      edges += fmt::format("M{:.0f} 0", side);
      bool out = true;
      for (double at = 4; at < y_ - top; at += 4, out = !out) {
        edges += fmt::format("L{:.0f} {:.0f}", side + (out ? 2.5 : -2.5), at);
      }
    }
    out_ += fmt::format(
        "<g class=\"cut\" data-x=\"{0:.1f}\" data-y=\"{1:.1f}\" transform=\"translate({0:.1f} "
        "{1:.1f})\"><rect class=\"torn\" width=\"{6:.1f}\" height=\"{7:.1f}\"><title>{3}</title>"
        "</rect><path d=\"{2}\"/><text x=\"{4:.1f}\" y=\"-5\">{5}</text></g>\n",
        cut.x, top, edges,
        xml(fmt::format("nothing happened from {} to {}", exact_text(cut.from),
                        exact_text(cut.to))),
        cut.width / 2, seconds_text(cut.to - cut.from), cut.width, y_ - top);
  }
  for (const auto segment : chart_.segments) {
    out_ += fmt::format(
        "<line class=\"segment\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" "
        "y2=\"{2:.1f}\"><title>the journal began anew</title></line>\n",
        axis_.x(segment), top, y_);
  }
}

std::string Drawing::draw(double top) {
  y_ = top + kAxis;
  const double rows_top = y_;
  std::optional<Section> current;
  for (const auto& each : chart_.rows) {
    if (current != each.section) {
      current = each.section;
      section(each.section);
    }
    row(each);
  }
  y_ += 6;
  const std::string rows = std::move(out_);
  out_.clear();
  const auto layer = [&](const char* name) {
    out_ += fmt::format("<g class=\"plot {}\" transform=\"translate({:.0f} 0)\">\n", name, kPlot);
  };
  layer("axis");
  ticks(rows_top, y_);
  if (chart_.launched) {
    const double x = axis_.x(*chart_.launched);
    out_ += fmt::format(
        "<line class=\"go\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" "
        "y2=\"{2:.1f}\"/>\n",
        x, rows_top, y_);
  }
  out_ += "</g>\n" + rows;
  layer("over");
  path();
  over_all(rows_top);
  out_ += "</g>\n";
  return std::move(out_);
}

}  // namespace

std::string svg_style() {
  return R"CSS(
svg{background:#fff}
text{font-family:system-ui,"Segoe UI","DejaVu Sans",Roboto,Helvetica,Arial,sans-serif;fill:#1b1f24}
.paper{fill:#fff}
.title{font-size:20px;font-weight:600}
.sub,.note,.small,.id,.key,.tick,.cut text{font-size:10.5px;fill:#57606a}
.sub,.key{font-size:11.5px}
.verdict{font-size:15px;font-weight:600;fill:#b33a00}
.more{font-size:12.5px}
.name{font-size:12px}
.crow .name{font-weight:600}
.crow .id{font-weight:400}
.ht{font-size:11.5px;font-weight:600;fill:#414a54}
.head{fill:#eef1f4}
.stripe{fill:none}
.crow .stripe{fill:#fdf3ec}
.grid{stroke:#e3e7eb}
.tick,.cut text{text-anchor:middle}
.l{font-size:10.5px;paint-order:stroke;stroke:#fff;stroke-width:3.5px;stroke-linejoin:round;pointer-events:none}
.why{fill:#57606a}
.end{text-anchor:end}
.in{stroke:none;fill:#0d1117}
.b rect{fill:#aab2bb;rx:1.5px}
.b.present rect{fill:#aeb6bf}
.b.present.need rect{fill:#2a9d78}
.b.waiting rect{fill:url(#hatch)}
.b.waiting.bad rect{fill:url(#badhatch)}
.b.driver rect{fill:#8fbdea}
.b.scan rect,.b.other rect{fill:#c3cad2}
.b.read rect{fill:#6cc3a6}
.b.assemble rect{fill:#7f9fdf}
.b.volume rect{fill:#b09fe0}
.b.medium rect{fill:#e9c766}
.b.launch rect{fill:#8a949f}
.b.running rect{fill:#c3cad2}
.b.deadline rect{fill:none;stroke:#57606a;stroke-dasharray:3 2}
.b.crit rect,.b rect.cp{fill:#d1480a}
.b.crit.found rect,.b.crit.waiting rect{fill:url(#crithatch);stroke:#d1480a;stroke-width:.8px}
.b.crit .in{fill:#fff}
.b.crit.found .l,.b.crit.waiting .l{fill:#8f2f00;stroke:#fff;stroke-width:3px}
.b.bad rect{stroke:#b0005e;stroke-width:1.6px}
.b.waiting.bad rect,.b.present.bad rect{stroke:none}
.b.late rect{stroke:#8a5a00;stroke-width:1.6px;stroke-dasharray:4 2}
.pt{fill:#57606a;stroke:none}
.removal .pt,.bad>.pt{fill:none;stroke:#b0005e;stroke-width:2px}
.arrival.crit .pt{fill:#d1480a}
.command .pt{fill:#0d1117}
.arrival .notch{stroke:#7d8690;stroke-width:1px}
.path{stroke:#d1480a;stroke-width:1.6px}
.go{stroke:#d1480a;stroke-width:1px;stroke-dasharray:2 3}
.goes .pt{stroke:#d1480a;stroke-dasharray:2 3}
.segment{stroke:#57606a;stroke-dasharray:1 3}
.torn{fill:#fff}
.cut path{fill:none;stroke:#b4bcc5;stroke-width:.8px}
.cut text{font-style:italic}
.h0{stroke:#9aa3ad;stroke-width:1.4px}.h1{stroke:#b0005e;stroke-width:1.4px}.h2{stroke:#d1480a;stroke-width:1.2px}
@media (prefers-color-scheme:dark){
svg{background:#0d1117}
text{fill:#e6edf3}
.paper{fill:#0d1117}
.sub,.note,.small,.id,.key,.tick,.cut text{fill:#9aa5b1}
.verdict{fill:#ff9257}
.ht{fill:#c2ccd6}
.head{fill:#1b222b}
.crow .stripe{fill:#21180f}
.grid{stroke:#222a33}
.l{stroke:#0d1117}
.why{fill:#9aa5b1}
.in{stroke:none;fill:#0d1117}
.b rect{fill:#6e7781}
.b.present rect{fill:#57616c}
.b.present.need rect{fill:#3fb68f}
.b.driver rect{fill:#6ea3d8}
.b.scan rect,.b.other rect,.b.running rect{fill:#86919d}
.b.read rect{fill:#4fae8f}
.b.assemble rect{fill:#7b9be0}
.b.volume rect{fill:#a18fd8}
.b.medium rect{fill:#cfa93f}
.b.launch rect{fill:#97a2ae}
.b.deadline rect{fill:none;stroke:#9aa5b1}
.b.crit rect,.b rect.cp{fill:#ff7a33}
.b.crit.found rect,.b.crit.waiting rect{fill:url(#crithatch);stroke:#ff7a33}
.b.crit .in{fill:#0d1117}
.b.crit.found .l,.b.crit.waiting .l{fill:#ffb48a;stroke:#0d1117}
.b.bad rect{stroke:#ff5fa8}
.b.late rect{stroke:#e3b341}
.pt{fill:#9aa5b1}
.removal .pt,.bad>.pt{stroke:#ff5fa8}
.arrival.crit .pt{fill:#ff7a33}
.command .pt{fill:#e6edf3}
.arrival .notch{stroke:#8b949e}
.path,.go,.goes .pt{stroke:#ff7a33}
.segment{stroke:#9aa5b1}
.torn{fill:#0d1117}
.cut path{fill:none;stroke:#57616c}
.h0{stroke:#76808b}.h1{stroke:#ff5fa8}.h2{stroke:#ff7a33}
}
)CSS";
}

namespace {

std::string definitions() {
  std::string out = "<defs>";
  const char* names[] = {"hatch", "badhatch", "crithatch"};
  for (std::size_t i = 0; i < 3; ++i) {
    out += fmt::format(
        "<pattern id=\"{}\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" "
        "patternTransform=\"rotate(45)\"><path class=\"h{}\" d=\"M0 0V5\"/></pattern>",
        names[i], i);
  }
  return out + "</defs>\n";
}

}  // namespace

std::string svg_legend(const Chart& chart, double x, double y) {
  std::set<std::size_t> used;
  bool bad = false;
  bool late = false;
  for (const auto& row : chart.rows) {
    for (const auto& bar : row.bars) {
      used.insert(static_cast<std::size_t>(bar.kind));
      bad = bad || (bar.failed && !is_ground(bar));
      late = late || bar.late;
    }
  }
  std::string out;
  const auto entry = [&](const std::string& classes, const char* text, const char* shape,
                         double thick) {
    out += fmt::format("<g class=\"b {}\">", classes);
    if (shape != nullptr) {
      out += fmt::format("<path class=\"pt\" transform=\"translate({:.1f} {:.1f})\" d=\"{}\"/>",
                         x + 10, y - 4, shape);
    } else {
      out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"20\" height=\"{}\"/>", x,
                         y - 4 - thick / 2, thick);
    }
    out += fmt::format("</g><text class=\"key\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", x + 25, y,
                       text);
    x += 25 + width_em(text) * 11.5 + 14;
  };
  entry("crit other", "critical path", nullptr, 12);
  if (used.contains(static_cast<std::size_t>(Kind::found))) {
    entry("crit found", "until it appeared", nullptr, 12);
  }
  for (const auto& word : kWords) {
    if (word.text == nullptr || !used.contains(static_cast<std::size_t>(word.kind))) {
      continue;
    }
    const char* shape = word.kind == Kind::arrival   ? "M0-4L3.4 3.2L-3.4 3.2Z"
                        : word.kind == Kind::removal ? "M-3.5-3.5L3.5 3.5M3.5-3.5L-3.5 3.5"
                        : word.kind == Kind::command ? "M0-5L4 0L0 5L-4 0Z"
                                                     : nullptr;
    entry(word.name, word.text, shape,
          word.kind == Kind::present   ? 2
          : word.kind == Kind::waiting ? 9
                                       : 12);
  }
  if (chart.launched) {
    entry("goes", "launched", "M0-8V8", 0);
  }
  if (bad) {
    entry("other bad", "failed", nullptr, 12);
  }
  if (late) {
    entry("other late", "late", nullptr, 12);
  }
  return out;
}

std::string svg_drawing(const Chart& chart) {
  Drawing drawing(chart, true);
  const auto body = drawing.draw(0);
  const double height = drawing.bottom() + 8;
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "width=\"{0:.0f}\" height=\"{1:.0f}\" data-left=\"{2:.0f}\" data-width=\"{3:.0f}\" "
      "data-top=\"{4:.0f}\">\n{5}{6}</svg>\n",
      kWidth, height, kPlot, kPlotWidth, kAxis, definitions(), body);
}

std::string to_svg(const Chart& chart) {
  std::string head;
  double y = 36;
  const auto line = [&](const char* name, const std::string& text, double size, double next) {
    if (!text.empty()) {
      head += fmt::format("<text class=\"{}\" x=\"{:.0f}\" y=\"{:.0f}\">{}</text>\n", name, kMargin,
                          y, xml(fitted(text, (kWidth - 2 * kMargin) / size)));
      y += next;
    }
  };
  line("title", chart.title, 20, 20);
  line("sub", chart.subtitle, 11.5, 28);
  line("verdict", chart.verdict, 15.5, 20);
  line("more", chart.breakdown, 12.5, 20);
  for (const auto& note : chart.notes) {
    line("note", note, 10.5, 16);
  }
  y += 6;
  head += svg_legend(chart, kMargin, y);
  y += 12;
  Drawing drawing(chart, false);
  const auto body = drawing.draw(y);
  const double height = drawing.bottom() + 14;
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\" role=\"img\">\n"
      "<title>{2}</title>\n<desc>{3}</desc>\n<style>{4}</style>\n{5}"
      "<rect class=\"paper\" width=\"{0:.0f}\" height=\"{1:.0f}\"/>\n{6}{7}</svg>\n",
      kWidth, height, xml(chart.title), xml(chart.verdict + "\n" + chart.breakdown), svg_style(),
      definitions(), head, body);
}

}  // namespace muster::chart
