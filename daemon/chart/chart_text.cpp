#include "daemon/chart/chart_text.h"

#include <fmt/format.h>

#include <optional>

namespace muster::chart {
namespace {

// The character at the beginning and its length; nothing where the bytes are not UTF-8.
struct Character {
  char32_t value = 0;
  std::size_t length = 1;
};
std::optional<Character> first(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) {
    return Character{lead, 1};
  }
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
  if (length == 0 || lead > 0xF4 || text.size() < length) {
    return std::nullopt;
  }
  char32_t value = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) {
      return std::nullopt;
    }
    value = (value << 6U) | (byte(i) & 0x3FU);
  }
  const char32_t least = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
  if (value < least || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
    return std::nullopt;
  }
  return Character{value, length};
}

// Not drawn as itself: controls, what turns the direction of text, what has no width, and what XML
// does not know.
bool unseen(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xAD || c == 0x61C ||
         (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFB) ||
         (c & 0xFFFEU) == 0xFFFEU || (c >= 0xFDD0 && c <= 0xFDEF) || (c >= 0xE0000 && c < 0xE1000);
}

double width_of(char32_t c) {
  if (c >= 0x1100) {
    // Dashes, ellipsis and dots are narrow; from Hangul on assume the widest.
    return c >= 0x2010 && c <= 0x2027 ? 0.9 : 1.1;
  }
  static constexpr std::string_view kNarrow = " !'(),-./:;I[]fijlrt|";
  static constexpr std::string_view kWide = "MWmw@%";
  if (c < 0x80) {
    const char ascii = static_cast<char>(c);
    return kNarrow.find(ascii) != std::string_view::npos ? 0.38
           : kWide.find(ascii) != std::string_view::npos ? 0.92
           : ascii >= 'A' && ascii <= 'Z'                ? 0.70
                                                         : 0.60;
  }
  return 0.7;
}

}  // namespace

std::string clip(std::string_view text, std::size_t max) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size();) {
    if (count == max) {
      return std::string(text.substr(0, at)) + "…";
    }
    const auto c = first(text.substr(at));
    at += c ? c->length : 1;
    ++count;
  }
  return std::string(text);
}

std::string xml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto c = first(text);
    if (!c) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
      continue;
    }
    switch (c->value) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '\n':
        out += "&#10;";
        break;
      default:
        if (!unseen(c->value)) {
          out += text.substr(0, c->length);
        } else if (c->value < 0x80) {
          out += fmt::format("\\x{:02x}", static_cast<unsigned>(c->value));
        } else {
          out += fmt::format("\\u{{{:04x}}}", static_cast<unsigned>(c->value));
        }
    }
    text.remove_prefix(c->length);
  }
  return out;
}

double width_em(std::string_view text) {
  double width = 0;
  while (!text.empty()) {
    const auto c = first(text);
    width += !c ? 2.4 : unseen(c->value) ? 4.2 : width_of(c->value);
    text.remove_prefix(c ? c->length : 1);
  }
  return width;
}

std::string fitted(std::string_view text, double ems) {
  if (width_em(text) <= ems) {
    return std::string(text);
  }
  double width = width_of(U'…');
  std::size_t at = 0;
  while (at < text.size()) {
    const auto c = first(text.substr(at));
    width += !c ? 2.4 : unseen(c->value) ? 4.2 : width_of(c->value);
    if (width > ems) {
      break;
    }
    at += c ? c->length : 1;
  }
  while (at > 0 && text[at - 1] == ' ') {
    --at;
  }
  return at == 0 ? std::string() : std::string(text.substr(0, at)) + "…";
}

std::string seconds_text(Micros duration) {
  const double seconds = static_cast<double>(duration) / 1e6;
  if (duration >= 600'000'000) {
    return fmt::format("{} min", duration / 60'000'000);
  }
  if (duration >= 60'000'000) {
    return fmt::format("{} min {} s", duration / 60'000'000, duration / 1'000'000 % 60);
  }
  if (duration >= 9'950'000) {
    return fmt::format("{:.1f} s", seconds);
  }
  if (duration >= 9'500) {
    return fmt::format("{:.2f} s", seconds);
  }
  return fmt::format("{:.1f} ms", static_cast<double>(duration) / 1e3);
}

std::string exact_text(Micros time) {
  return fmt::format("{}{}.{:06} s", time < 0 ? "-" : "", (time < 0 ? -time : time) / 1'000'000,
                     (time < 0 ? -time : time) % 1'000'000);
}

std::string size_text(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return value < 10 && unit > 0 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                                : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

}  // namespace muster::chart
