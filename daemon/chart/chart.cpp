#include "daemon/chart/chart.h"

#include "daemon/chart/boot_chart.h"
#include "daemon/chart/html_writer.h"
#include "daemon/chart/svg_writer.h"
#include "daemon/quote.h"

namespace muster::chart {
namespace {

// Fits on a page or two, whatever the machine.
constexpr std::size_t kRows = 16;

}  // namespace

Result<Format> format_of(const std::string& path) {
  if (path.ends_with(".svg")) {
    return Format::svg;
  }
  if (path.ends_with(".html") || path.ends_with(".htm")) {
    return Format::html;
  }
  return fail(Errc::invalid, quote(path) + ": its name must end in .svg or .html");
}

Result<std::string> chart(const replay::Recording& recording, Format format) {
  const auto whole = boot_chart(recording);
  if (!whole) {
    return tl::unexpected(whole.error());
  }
  const auto few = condensed(*whole, kRows);
  return format == Format::svg ? to_svg(few) : to_html(few, *whole);
}

}  // namespace muster::chart
