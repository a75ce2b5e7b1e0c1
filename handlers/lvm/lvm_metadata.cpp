#include "handlers/lvm/lvm_metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <tuple>

#include "handlers/bytes.h"
#include "handlers/lvm/lvm_label.h"

namespace muster::lvm {
namespace {

tl::unexpected<Error> at_line(size_t line, std::string_view what) {
  return fail(Errc::invalid, fmt::format("lvm metadata, line {}: {}", line, what));
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '+' || c == '.' || c == '-';
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0';
}

}  // namespace

// --- the language

class ConfigParser {
 public:
  ConfigParser(std::string text, size_t max_nodes) : max_nodes_(max_nodes) {
    config_.text_ = std::move(text);
  }

  Result<Config> run() {
    if (config_.text_.size() > Config::kNone) {
      return fail(Errc::invalid, "lvm metadata: longer than 4 GiB");
    }
    config_.nodes_.emplace_back();
    config_.nodes_[Config::kRoot].line = 1;
    std::vector<Open> open{{Config::kRoot, Config::kNone}};
    for (;;) {
      skip_blank();
      if (at_end()) {
        break;
      }
      if (peek() == '}') {
        if (open.size() == 1) {
          return error("a } too many");
        }
        ++at_;
        if (auto ok = check_names(open.back().section); !ok) {
          return tl::unexpected(std::move(ok.error()));
        }
        open.pop_back();
        continue;
      }
      auto node = named_node();
      if (!node) {
        return tl::unexpected(std::move(node.error()));
      }
      append(open.back(), *node);
      skip_blank();
      if (!at_end() && peek() == '{') {
        ++at_;
        if (open.size() == Config::kMaxDepth) {
          return error(fmt::format("nested deeper than {}", Config::kMaxDepth));
        }
        open.push_back({*node, Config::kNone});
      } else if (!at_end() && peek() == '=') {
        ++at_;
        if (auto ok = value_or_list(*node); !ok) {
          return tl::unexpected(std::move(ok.error()));
        }
      } else {
        return error(fmt::format("expected = or {{ after {}", quoted(config_.name(*node))));
      }
    }
    if (open.size() > 1) {
      return at_line(config_.nodes_[open.back().section].line,
                     quoted(config_.name(open.back().section)) + " is not closed");
    }
    if (auto ok = check_names(Config::kRoot); !ok) {
      return tl::unexpected(std::move(ok.error()));
    }
    return std::move(config_);
  }

 private:
  using Index = Config::Index;
  // A section or list under construction.
  struct Open {
    Index section;
    Index last;
  };

  bool at_end() const { return at_ == config_.text_.size(); }
  char peek() const { return config_.text_[at_]; }
  tl::unexpected<Error> error(std::string_view what) const { return at_line(line_, what); }

  void skip_blank() {
    while (!at_end()) {
      if (peek() == '#') {
        while (!at_end() && peek() != '\n') {
          ++at_;
        }
      } else if (is_space(peek())) {
        line_ += peek() == '\n' ? 1 : 0;
        ++at_;
      } else {
        return;
      }
    }
  }

  Result<Index> new_node() {
    if (config_.nodes_.size() >= max_nodes_) {
      return error(fmt::format("more than {} values", max_nodes_));
    }
    config_.nodes_.emplace_back();
    config_.nodes_.back().line = line_;
    return static_cast<Index>(config_.nodes_.size() - 1);
  }

  void append(Open& to, Index node) {
    auto& link =
        to.last == Config::kNone ? config_.nodes_[to.section].child : config_.nodes_[to.last].next;
    link = node;
    to.last = node;
  }

  Result<Index> named_node() {
    const size_t start = at_;
    while (!at_end() && is_name_char(peek())) {
      ++at_;
    }
    if (at_ == start) {
      return error(fmt::format("unexpected {}", quoted(config_.text_.substr(at_, 1))));
    }
    auto node = new_node();
    if (node) {
      config_.nodes_[*node].name_at = static_cast<uint32_t>(start);
      config_.nodes_[*node].name_length = static_cast<uint32_t>(at_ - start);
    }
    return node;
  }

  Result<void> value_or_list(Index node) {
    skip_blank();
    if (at_end() || peek() != '[') {
      return scalar(node);
    }
    ++at_;
    config_.nodes_[node].kind = Config::Kind::list;
    Open list{node, Config::kNone};
    for (;;) {
      skip_blank();
      if (!at_end() && peek() == ']') {
        ++at_;
        return {};
      }
      auto member = new_node();
      if (!member) {
        return tl::unexpected(std::move(member.error()));
      }
      if (auto ok = scalar(*member); !ok) {
        return ok;
      }
      append(list, *member);
      skip_blank();
      if (!at_end() && peek() == ',') {
        ++at_;
      } else if (at_end() || peek() != ']') {
        return error("expected , or ] in a list");
      }
    }
  }

  Result<void> scalar(Index node) {
    if (at_end()) {
      return error("the text ends where a value should stand");
    }
    return peek() == '"' ? string(node) : number(node);
  }

  Result<void> string(Index node) {
    const size_t opened_at_line = line_;
    const size_t start = ++at_;
    size_t end = start;  // the resolved text grows here, never beyond what was read
    std::string& text = config_.text_;
    while (!at_end() && peek() != '"') {
      if (peek() == '\\' && at_ + 1 < text.size() &&
          (text[at_ + 1] == '"' || text[at_ + 1] == '\\')) {
        ++at_;
      }
      line_ += peek() == '\n' ? 1 : 0;
      text[end++] = text[at_++];
    }
    if (at_end()) {
      return at_line(opened_at_line, "a string is not closed");
    }
    ++at_;
    Config::Node& n = config_.nodes_[node];
    n.kind = Config::Kind::string;
    n.text_at = static_cast<uint32_t>(start);
    n.text_length = static_cast<uint32_t>(end - start);
    return {};
  }

  Result<void> number(Index node) {
    const size_t start = at_;
    while (!at_end() && (is_name_char(peek()) && peek() != '_')) {
      ++at_;
    }
    const std::string_view word = std::string_view(config_.text_).substr(start, at_ - start);
    Config::Node& n = config_.nodes_[node];
    std::string_view digits = word;
    if (!digits.empty() && (digits[0] == '+' || digits[0] == '-')) {
      digits.remove_prefix(1);
    }
    const bool decimal = !digits.empty() &&
                         digits.find_first_not_of("0123456789.") == std::string_view::npos &&
                         digits[0] != '.' && std::count(digits.begin(), digits.end(), '.') <= 1;
    if (!decimal) {
      return error("expected a value, found " +
                   quoted(word.empty() ? std::string_view(config_.text_).substr(start, 1) : word));
    }
    if (digits.find('.') != std::string_view::npos) {
      n.kind = Config::Kind::real;
      n.text_at = static_cast<uint32_t>(start);
      n.text_length = static_cast<uint32_t>(word.size());
      return {};
    }
    // LVM2 would read it as octal, and never writes such a number.
    if (digits.size() > 1 && digits[0] == '0') {
      return error(quoted(word) + " has a leading zero");
    }
    const std::string_view plain = word[0] == '+' ? digits : word;
    const auto [end, ec] = std::from_chars(plain.data(), plain.data() + plain.size(), n.integer);
    if (ec != std::errc() || end != plain.data() + plain.size()) {
      return error(quoted(word) + " does not fit in 64 bits");
    }
    n.kind = Config::Kind::integer;
    return {};
  }

  Result<void> check_names(Index section) {
    names_.clear();
    for (Index n = config_.first_child(section); n != Config::kNone; n = config_.next(n)) {
      names_.emplace_back(config_.name(n), n);
    }
    std::sort(names_.begin(), names_.end());
    for (size_t i = 1; i < names_.size(); ++i) {
      if (names_[i].first == names_[i - 1].first) {
        return at_line(config_.line(names_[i].second),
                       quoted(names_[i].first) + " stands twice in its section");
      }
    }
    return {};
  }

  Config config_;
  size_t max_nodes_;
  size_t at_ = 0;
  uint32_t line_ = 1;
  std::vector<std::pair<std::string_view, Index>> names_;
};

Result<Config> Config::parse(std::string text, size_t max_nodes) {
  return ConfigParser(std::move(text), std::min(max_nodes, kMaxNodes)).run();
}

std::string_view Config::name(Index n) const {
  return std::string_view(text_).substr(nodes_[n].name_at, nodes_[n].name_length);
}

std::string_view Config::text(Index n) const {
  return std::string_view(text_).substr(nodes_[n].text_at, nodes_[n].text_length);
}

Config::Index Config::find(Index section, std::string_view wanted) const {
  for (Index n = first_child(section); n != kNone; n = next(n)) {
    if (name(n) == wanted) {
      return n;
    }
  }
  return kNone;
}

// --- the volume group

namespace {

// More stripes, legs or images than LVM2 can make; a list that says so is not taken for one.
constexpr uint64_t kMaxAreas = 1024;
// Sizes in sectors stay below this, so that sums of two of them and bytes of one fit in 64 bits.
constexpr uint64_t kMaxSectors = uint64_t{1} << 54;
// Sum of the lengths of all needed_pvs: 5,000 thin volumes on a pool that lies on 500 disks take a
// third of it.
constexpr size_t kMaxNeeded = size_t{1} << 23;

bool is_valid_name(std::string_view s) {
  return !s.empty() && s.size() <= 127 && s != "." && s != ".." && s[0] != '-' &&
         std::all_of(s.begin(), s.end(), is_name_char);
}

// A * B, or nothing beyond LIMIT.
std::optional<uint64_t> product(uint64_t a, uint64_t b, uint64_t limit) {
  if (a != 0 && b > limit / a) {
    return std::nullopt;
  }
  return a * b;
}

bool has(const std::vector<std::string>& flags, std::string_view flag) {
  return std::find(flags.begin(), flags.end(), flag) != flags.end();
}

// An owned or shared volume group says WRITE_LOCKED, so that an LVM2 that knows nothing of owners
// leaves it alone.
bool is_writable(const std::vector<std::string>& flags) {
  return has(flags, "WRITE") || has(flags, "WRITE_LOCKED");
}

// Segment types whose words we know; in any other each string that names a volume is taken for a
// reference.
bool is_known_type(std::string_view type) {
  constexpr std::array<std::string_view, 13> kTypes{
      "striped",    "linear", "mirror",   "snapshot",  "thin",  "thin-pool", "cache",
      "cache-pool", "vdo",    "vdo-pool", "integrity", "error", "zero"};
  return type.starts_with("raid") || type == "writecache" ||
         std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

// Words whose value is the name of a logical volume.
bool is_reference(std::string_view word) {
  constexpr std::array<std::string_view, 14> kWords{
      "origin",   "cow_store",  "merging_store", "mirror_log", "pool",
      "metadata", "data",       "thin_pool",     "merge",      "external_origin",
      "vdo_pool", "cache_pool", "writecache",    "meta_dev"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

// Words whose value is a list of volumes, each followed by an extent where it has one.
bool is_area_list(std::string_view word) {
  return word == "stripes" || word == "mirrors" || word == "raids" || word == "raid0_lvs";
}

class VolumeGroupReader {
 public:
  explicit VolumeGroupReader(const Config& config) : c_(config) {}

  Result<VolumeGroup> run() {
    for (auto step : {&VolumeGroupReader::read_head, &VolumeGroupReader::read_pvs,
                      &VolumeGroupReader::read_lvs, &VolumeGroupReader::check_areas,
                      &VolumeGroupReader::show_snapshots, &VolumeGroupReader::resolve_needs}) {
      if (auto ok = (this->*step)(); !ok) {
        return tl::unexpected(std::move(ok.error()));
      }
    }
    return std::move(vg_);
  }

 private:
  using Index = Config::Index;
  using Kind = Config::Kind;

  Result<void> read_head() {
    const Index contents = c_.find(Config::kRoot, "contents");
    const Index version = c_.find(Config::kRoot, "version");
    if (contents == Config::kNone || c_.kind(contents) != Kind::string ||
        c_.text(contents) != "Text Format Volume Group" || version == Config::kNone ||
        c_.kind(version) != Kind::integer || c_.integer(version) != 1) {
      return fail(Errc::invalid, "lvm metadata: not a text format volume group of version 1");
    }
    section_ = c_.first_child(Config::kRoot);
    while (section_ != Config::kNone && c_.kind(section_) != Kind::section) {
      section_ = c_.next(section_);
    }
    if (section_ == Config::kNone) {
      return fail(Errc::invalid, "lvm metadata: no volume group in it");
    }
    vg_.name = c_.name(section_);
    if (!is_valid_name(vg_.name)) {
      return at_line(c_.line(section_), quoted(vg_.name) + " is no name for a volume group");
    }
    auto id = uuid(section_);
    auto seqno = number(section_, "seqno");
    auto extent_size = number(section_, "extent_size");
    auto flags = read_flags(section_);
    auto system_id = optional_text(section_, "system_id");
    auto lock_type = optional_text(section_, "lock_type");
    auto format = optional_text(section_, "format");
    for (Error* e : {error_of(id), error_of(seqno), error_of(extent_size), error_of(flags),
                     error_of(system_id), error_of(lock_type), error_of(format)}) {
      if (e != nullptr) {
        return tl::unexpected(std::move(*e));
      }
    }
    if (!format->empty() && *format != "lvm2") {
      return fail(Errc::unsupported, "lvm metadata: format is " + quoted(*format));
    }
    if (*extent_size == 0 || *extent_size > kMaxSectors) {
      return at_line(c_.line(c_.find(section_, "extent_size")),
                     fmt::format("extent size is {} sectors", *extent_size));
    }
    vg_.id = std::move(*id);
    vg_.seqno = *seqno;
    vg_.extent_size = *extent_size;
    vg_.flags = std::move(*flags);
    vg_.system_id = printable(*system_id);
    vg_.lock_type = printable(*lock_type);
    vg_.is_resizeable = has(vg_.flags, "RESIZEABLE");
    vg_.is_readable = has(vg_.flags, "READ");
    vg_.is_writable = is_writable(vg_.flags);
    vg_.is_exported = has(vg_.flags, "EXPORTED");
    vg_.is_partial = has(vg_.flags, "PARTIAL");
    vg_.is_clustered = has(vg_.flags, "CLUSTERED");
    vg_.auto_activation = !has(vg_.flags, "NOAUTOACTIVATE");
    return {};
  }

  Result<void> read_pvs() {
    const Index list = c_.find(section_, "physical_volumes");
    if (list == Config::kNone || c_.kind(list) != Kind::section) {
      return at_line(c_.line(section_), "the volume group has no physical volumes");
    }
    for (Index n = c_.first_child(list); n != Config::kNone; n = c_.next(n)) {
      if (auto ok = read_pv(n); !ok) {
        return ok;
      }
    }
    return check_ids(vg_.pvs, "physical volumes");
  }

  Result<void> read_pv(Index n) {
    if (c_.kind(n) != Kind::section) {
      return at_line(c_.line(n), quoted(c_.name(n)) + " is no physical volume");
    }
    auto id = uuid(n);
    auto pe_start = number(n, "pe_start");
    auto pe_count = number(n, "pe_count");
    auto dev_size = number(n, "dev_size", 0);
    auto flags = read_flags(n);
    auto device = optional_text(n, "device");
    for (Error* e : {error_of(id), error_of(pe_start), error_of(pe_count), error_of(dev_size),
                     error_of(flags), error_of(device)}) {
      if (e != nullptr) {
        return tl::unexpected(std::move(*e));
      }
    }
    if (*pe_start > kMaxSectors || !product(*pe_count, vg_.extent_size, kMaxSectors)) {
      return at_line(c_.line(n),
                     fmt::format("physical volume {} claims {} extents from sector {} on",
                                 quoted(c_.name(n)), *pe_count, *pe_start));
    }
    PhysicalVolume pv;
    pv.key = c_.name(n);
    pv.id = std::move(*id);
    pv.device_hint = printable(*device);
    pv.dev_size = *dev_size;
    pv.pe_start = *pe_start;
    pv.pe_count = *pe_count;
    pv.flags = std::move(*flags);
    pv.is_missing = has(pv.flags, "MISSING");
    pv.is_allocatable = has(pv.flags, "ALLOCATABLE");
    pv_by_key_.emplace(c_.name(n), static_cast<uint32_t>(vg_.pvs.size()));
    vg_.pvs.push_back(std::move(pv));
    return {};
  }

  Result<void> read_lvs() {
    const Index list = c_.find(section_, "logical_volumes");
    if (list == Config::kNone) {
      return {};
    }
    if (c_.kind(list) != Kind::section) {
      return at_line(c_.line(list), "logical_volumes is no section");
    }
    // Names first: a segment may name a logical volume that comes later.
    for (Index n = c_.first_child(list); n != Config::kNone; n = c_.next(n)) {
      if (c_.kind(n) != Kind::section || !is_valid_name(c_.name(n))) {
        return at_line(c_.line(n), quoted(c_.name(n)) + " is no logical volume");
      }
      lv_by_name_.emplace(c_.name(n), static_cast<uint32_t>(vg_.lvs.size()));
      vg_.lvs.emplace_back().name = c_.name(n);
    }
    uint32_t i = 0;
    for (Index n = c_.first_child(list); n != Config::kNone; n = c_.next(n)) {
      if (auto ok = read_lv(n, vg_.lvs[i]); !ok) {
        return tl::unexpected(ok.error().within("logical volume " + quoted(c_.name(n))));
      }
      ++i;
    }
    return check_ids(vg_.lvs, "logical volumes");
  }

  Result<void> read_lv(Index n, LogicalVolume& lv) {
    auto id = uuid(n);
    auto flags = read_flags(n);
    auto segment_count = number(n, "segment_count");
    for (Error* e : {error_of(id), error_of(flags), error_of(segment_count)}) {
      if (e != nullptr) {
        return tl::unexpected(std::move(*e));
      }
    }
    lv.id = std::move(*id);
    lv.flags = std::move(*flags);
    lv.is_visible = has(lv.flags, "VISIBLE");
    lv.is_writable = is_writable(lv.flags);
    lv.skips_activation = has(lv.flags, "ACTIVATION_SKIP");
    lv.auto_activation = !has(lv.flags, "NOAUTOACTIVATE");
    read_device_wishes(n, lv);
    for (Index s = c_.first_child(n); s != Config::kNone; s = c_.next(s)) {
      if (c_.kind(s) == Kind::section && c_.name(s).starts_with("segment")) {
        auto segment = read_segment(s);
        if (!segment) {
          return tl::unexpected(std::move(segment.error()));
        }
        lv.segments.push_back(std::move(*segment));
      }
    }
    if (lv.segments.empty() || lv.segments.size() != *segment_count) {
      return at_line(c_.line(n), fmt::format("{} segments, announced are {}", lv.segments.size(),
                                             *segment_count));
    }
    std::stable_sort(
        lv.segments.begin(), lv.segments.end(),
        [](const Segment& a, const Segment& b) { return a.start_extent < b.start_extent; });
    for (const Segment& s : lv.segments) {
      if (s.start_extent != lv.extent_count) {
        return at_line(c_.line(n), fmt::format("a segment starts at extent {}, expected {}",
                                               s.start_extent, lv.extent_count));
      }
      lv.extent_count += s.extent_count;
      if (!product(lv.extent_count, vg_.extent_size, kMaxSectors)) {
        return at_line(c_.line(n), fmt::format("{} extents", lv.extent_count));
      }
    }
    return {};
  }

  // minor and read_ahead are there only where somebody asked for them; -1 and "auto" say that
  // nobody did.
  void read_device_wishes(Index n, LogicalVolume& lv) {
    const auto small = [this, n](std::string_view word) -> std::optional<uint32_t> {
      const Index v = c_.find(n, word);
      if (v == Config::kNone || c_.kind(v) != Kind::integer || c_.integer(v) < 0 ||
          c_.integer(v) > 0xfffff) {
        return std::nullopt;
      }
      return static_cast<uint32_t>(c_.integer(v));
    };
    lv.minor = small("minor");
    lv.read_ahead = small("read_ahead");
  }

  Result<Segment> read_segment(Index n) {
    auto start = number(n, "start_extent");
    auto count = number(n, "extent_count");
    auto type = optional_text(n, "type");
    auto stripe_size = number(n, "stripe_size", 0);
    for (Error* e : {error_of(start), error_of(count), error_of(type), error_of(stripe_size)}) {
      if (e != nullptr) {
        return tl::unexpected(std::move(*e));
      }
    }
    if (*count == 0 || *count > kMaxSectors || *start > kMaxSectors) {
      return at_line(c_.line(n), fmt::format("{} extents from extent {} on", *count, *start));
    }
    if (type->empty()) {
      return at_line(c_.line(n), "a segment without a type");
    }
    Segment s;
    s.start_extent = *start;
    s.extent_count = *count;
    s.type = printable(*type);
    s.stripe_size = *stripe_size;
    // A type may carry flags: cache+METADATA_FORMAT.
    const bool known = is_known_type(std::string_view(s.type).substr(0, s.type.find('+')));
    for (Index v = c_.first_child(n); v != Config::kNone; v = c_.next(v)) {
      Result<void> ok;
      if (is_area_list(c_.name(v))) {
        ok = read_area_list(v, s);
      } else if (known && is_reference(c_.name(v))) {
        ok = read_reference(v, s);
      } else if (!known) {
        guess_references(v, s);
      }
      if (!ok) {
        return tl::unexpected(std::move(ok.error()));
      }
    }
    if (s.type == "striped" || s.type == "linear") {
      if (auto ok = check_stripes(n, s); !ok) {
        return tl::unexpected(std::move(ok.error()));
      }
    }
    return s;
  }

  Result<void> read_area_list(Index list, Segment& s) {
    if (c_.kind(list) != Kind::list) {
      return at_line(c_.line(list), quoted(c_.name(list)) + " is no list");
    }
    // RAID images are logical volumes, as wide as the segment; the others say where on a volume
    // they begin.
    const bool is_plain = c_.name(list) == "stripes" || c_.name(list) == "mirrors";
    uint64_t count = 0;
    for (Index v = c_.first_child(list); v != Config::kNone; v = c_.next(v)) {
      if (c_.kind(v) != Kind::string) {
        return at_line(c_.line(v), fmt::format("{}: expected the name of a volume", c_.name(list)));
      }
      if (++count > kMaxAreas) {
        return at_line(c_.line(list), fmt::format("more than {} {}", kMaxAreas, c_.name(list)));
      }
      const auto volume = is_plain ? find_volume(c_.text(v)) : find_logical(c_.text(v));
      if (!volume) {
        return at_line(c_.line(v), "there is no volume " + quoted(c_.text(v)));
      }
      const Index extent = c_.next(v);
      SegmentArea area = *volume;
      if (extent != Config::kNone && c_.kind(extent) == Kind::integer) {
        if (c_.integer(extent) < 0) {
          return at_line(c_.line(extent), fmt::format("extent {}", c_.integer(extent)));
        }
        area.start_extent = static_cast<uint64_t>(c_.integer(extent));
        v = extent;
      } else if (is_plain) {
        return at_line(c_.line(v),
                       fmt::format("{}: no extent after {}", c_.name(list), quoted(c_.text(v))));
      }
      s.areas.push_back(area);
    }
    return {};
  }

  Result<void> read_reference(Index v, Segment& s) {
    if (c_.kind(v) != Kind::string) {
      return at_line(c_.line(v), quoted(c_.name(v)) + " is no name");
    }
    const auto lv = lv_by_name_.find(c_.text(v));
    if (lv == lv_by_name_.end()) {
      return at_line(c_.line(v), "there is no logical volume " + quoted(c_.text(v)));
    }
    s.references.push_back({std::string(c_.name(v)), lv->second});
    return {};
  }

  void guess_references(Index v, Segment& s) {
    if (c_.name(v) == "type" || c_.name(v) == "tags") {
      return;
    }
    const auto guess = [&](Index value) {
      const auto volume =
          c_.kind(value) == Kind::string ? find_volume(c_.text(value)) : std::nullopt;
      if (volume && volume->on == SegmentArea::On::lv) {
        s.references.push_back({std::string(c_.name(v)), volume->index});
      } else if (volume) {
        s.areas.push_back(*volume);
      }
    };
    if (c_.kind(v) != Kind::list) {
      guess(v);
      return;
    }
    for (Index m = c_.first_child(v); m != Config::kNone; m = c_.next(m)) {
      guess(m);
    }
  }

  Result<void> check_stripes(Index n, const Segment& s) {
    auto stripe_count = number(n, "stripe_count");
    if (!stripe_count) {
      return tl::unexpected(std::move(stripe_count.error()));
    }
    if (*stripe_count == 0 || *stripe_count != s.areas.size()) {
      return at_line(c_.line(n),
                     fmt::format("{} stripes, announced are {}", s.areas.size(), *stripe_count));
    }
    if (s.extent_count % *stripe_count != 0) {
      return at_line(c_.line(n), fmt::format("{} extents do not divide into {} stripes",
                                             s.extent_count, *stripe_count));
    }
    // As dm-stripe wants it: a whole number of chunks on each device.
    if (*stripe_count > 1) {
      const auto sectors = product(s.extent_count / *stripe_count, vg_.extent_size, kMaxSectors);
      if (!sectors || s.stripe_size == 0 || s.stripe_size > 0xffffffff ||
          *sectors % s.stripe_size != 0) {
        return at_line(c_.line(n), fmt::format("stripe size is {} sectors", s.stripe_size));
      }
    }
    return {};
  }

  // How much of each of its areas a segment takes; nothing where that is the segment type's own
  // affair.
  static std::optional<uint64_t> area_extents(const Segment& s) {
    if (s.type == "striped" || s.type == "linear") {
      return s.extent_count / s.areas.size();
    }
    if (s.type == "mirror") {
      return s.extent_count;
    }
    return std::nullopt;
  }

  Result<void> check_areas() {
    struct Taken {
      uint32_t pv;
      uint64_t start;
      uint64_t count;
      uint32_t lv;
    };
    std::vector<Taken> taken;
    for (uint32_t i = 0; i < vg_.lvs.size(); ++i) {
      for (const Segment& s : vg_.lvs[i].segments) {
        const auto count = area_extents(s);
        if (!count) {
          continue;
        }
        for (const SegmentArea& a : s.areas) {
          const bool on_pv = a.on == SegmentArea::On::pv;
          const uint64_t room = on_pv ? vg_.pvs[a.index].pe_count : vg_.lvs[a.index].extent_count;
          if (a.start_extent > room || *count > room - a.start_extent) {
            return fail(Errc::invalid,
                        fmt::format("lvm metadata: logical volume {}: extents {}+{} reach beyond "
                                    "the {} of {}",
                                    quoted(vg_.lvs[i].name), a.start_extent, *count, room,
                                    quoted(on_pv ? vg_.pvs[a.index].key : vg_.lvs[a.index].name)));
          }
          if (on_pv) {
            taken.push_back({a.index, a.start_extent, *count, i});
          }
        }
      }
    }
    std::sort(taken.begin(), taken.end(), [](const Taken& a, const Taken& b) {
      return std::tie(a.pv, a.start, a.lv) < std::tie(b.pv, b.start, b.lv);
    });
    for (size_t i = 1; i < taken.size(); ++i) {
      const Taken& a = taken[i - 1];
      const Taken& b = taken[i];
      if (a.pv == b.pv && b.start < a.start + a.count) {
        return fail(Errc::invalid,
                    fmt::format("lvm metadata: extent {} of {} belongs to {} and to {}", b.start,
                                quoted(vg_.pvs[a.pv].key), quoted(vg_.lvs[a.lv].name),
                                quoted(vg_.lvs[b.lv].name)));
      }
    }
    return {};
  }

  // In the text a snapshot's store is hidden and its link to the origin (snapshot0) visible;
  // everybody who uses LVM2 sees the store, under its own name, and never the link.
  Result<void> show_snapshots() {
    for (LogicalVolume& link : vg_.lvs) {
      for (const Segment& s : link.segments) {
        if (s.type != "snapshot") {
          continue;
        }
        for (const Reference& r : s.references) {
          if (r.role == "cow_store") {
            vg_.lvs[r.lv].is_visible = link.is_visible;
          }
        }
        link.is_visible = false;
      }
    }
    return {};
  }

  // used_by and needed_pvs. Volumes that only work together (a snapshot and its origin) form one
  // group; groups are worked off from those that name no other upwards, and what cannot be worked
  // off names itself.
  Result<void> resolve_needs() {
    const auto count = static_cast<uint32_t>(vg_.lvs.size());
    note_users();
    std::vector<uint32_t> group(count);
    std::iota(group.begin(), group.end(), 0U);
    const auto leader = [&group](uint32_t i) {
      while (group[i] != i) {
        group[i] = group[group[i]];
        i = group[i];
      }
      return i;
    };
    for (const LogicalVolume& lv : vg_.lvs) {
      for (const Segment& s : lv.segments) {
        if (s.type == "snapshot") {
          for (const Reference& r : s.references) {
            group[leader(r.lv)] = leader(s.references.front().lv);
          }
        }
      }
    }

    std::vector<std::vector<uint32_t>> parents(
        count);                            // of each leader: leaders of those that name it
    std::vector<uint32_t> open(count, 0);  // of each leader: names not yet worked off
    std::vector<std::vector<uint32_t>> needs(count);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t me = leader(i);
      const auto names = [&](uint32_t lv) {
        parents[leader(lv)].push_back(me);
        ++open[me];
      };
      for (const Segment& s : vg_.lvs[i].segments) {
        for (const SegmentArea& a : s.areas) {
          if (a.on == SegmentArea::On::pv) {
            needs[me].push_back(a.index);
          } else {
            names(a.index);
          }
        }
        for (const Reference& r : s.references) {
          names(r.lv);
        }
      }
    }

    std::vector<uint32_t> ready;
    for (uint32_t i = 0; i < count; ++i) {
      if (leader(i) == i && open[i] == 0) {
        ready.push_back(i);
      }
    }
    size_t total = 0;
    while (!ready.empty()) {
      const uint32_t me = ready.back();
      ready.pop_back();
      sort_unique(needs[me]);
      for (const uint32_t parent : parents[me]) {
        total += needs[me].size();
        if (total > kMaxNeeded) {
          return fail(Errc::invalid,
                      "lvm metadata: the logical volumes are entangled beyond measure");
        }
        auto& theirs = needs[parent];
        theirs.insert(theirs.end(), needs[me].begin(), needs[me].end());
        if (--open[parent] == 0) {
          ready.push_back(parent);
        }
      }
    }
    for (uint32_t i = 0; i < count; ++i) {
      if (open[leader(i)] != 0) {
        return fail(Errc::invalid, fmt::format("lvm metadata: logical volume {} is made of itself",
                                               quoted(vg_.lvs[i].name)));
      }
      total += needs[leader(i)].size();
      if (total > kMaxNeeded) {
        return fail(Errc::invalid,
                    "lvm metadata: the logical volumes are entangled beyond measure");
      }
      vg_.lvs[i].needed_pvs = needs[leader(i)];
    }
    return {};
  }

  static void sort_unique(std::vector<uint32_t>& v) {
    std::sort(v.begin(), v.end());
    v.erase(std::unique(v.begin(), v.end()), v.end());
  }

  void note_users() {
    for (uint32_t i = 0; i < vg_.lvs.size(); ++i) {
      for (const Segment& s : vg_.lvs[i].segments) {
        for (const SegmentArea& a : s.areas) {
          if (a.on == SegmentArea::On::lv) {
            vg_.lvs[a.index].used_by.push_back({s.type, i});
          }
        }
        for (const Reference& r : s.references) {
          vg_.lvs[r.lv].used_by.push_back({r.role, i});
        }
      }
    }
  }

  // --- pieces of a section

  template <typename T>
  static Error* error_of(Result<T>& r) {
    return r ? nullptr : &r.error();
  }

  Result<uint64_t> number(Index section, std::string_view word,
                          std::optional<uint64_t> otherwise = std::nullopt) {
    const Index n = c_.find(section, word);
    if (n == Config::kNone) {
      if (otherwise) {
        return *otherwise;
      }
      return at_line(c_.line(section), fmt::format("{} has no {}", quoted(c_.name(section)), word));
    }
    if (c_.kind(n) != Kind::integer || c_.integer(n) < 0) {
      return at_line(c_.line(n), fmt::format("{} is no number of this kind", word));
    }
    return static_cast<uint64_t>(c_.integer(n));
  }

  Result<std::string> optional_text(Index section, std::string_view word) {
    const Index n = c_.find(section, word);
    if (n == Config::kNone) {
      return std::string();
    }
    if (c_.kind(n) != Kind::string) {
      return at_line(c_.line(n), fmt::format("{} is no string", word));
    }
    return std::string(c_.text(n));
  }

  Result<std::string> uuid(Index section) {
    auto text = optional_text(section, "id");
    if (!text) {
      return text;
    }
    std::string raw = *text;
    std::erase(raw, '-');
    if (auto dashed = dashed_uuid(raw)) {
      return std::move(*dashed);
    }
    return at_line(c_.line(section),
                   fmt::format("{}: {} is no UUID", quoted(c_.name(section)), quoted(*text)));
  }

  // Flags stand in "status", those that an older LVM2 may ignore in "flags".
  Result<std::vector<std::string>> read_flags(Index section) {
    std::vector<std::string> flags;
    for (const std::string_view word : {"status", "flags"}) {
      const Index n = c_.find(section, word);
      if (n == Config::kNone) {
        continue;
      }
      if (c_.kind(n) == Kind::string) {
        flags.push_back(printable(c_.text(n)));
        continue;
      }
      if (c_.kind(n) != Kind::list) {
        return at_line(c_.line(n), fmt::format("{} is no list", word));
      }
      for (Index m = c_.first_child(n); m != Config::kNone; m = c_.next(m)) {
        if (c_.kind(m) != Kind::string) {
          return at_line(c_.line(m), fmt::format("{}: expected a string", word));
        }
        flags.push_back(printable(c_.text(m)));
      }
    }
    return flags;
  }

  // As LVM2 looks volumes up: physical ones by key first.
  std::optional<SegmentArea> find_volume(std::string_view name) const {
    if (const auto pv = pv_by_key_.find(name); pv != pv_by_key_.end()) {
      return SegmentArea{SegmentArea::On::pv, pv->second, 0};
    }
    return find_logical(name);
  }

  std::optional<SegmentArea> find_logical(std::string_view name) const {
    if (const auto lv = lv_by_name_.find(name); lv != lv_by_name_.end()) {
      return SegmentArea{SegmentArea::On::lv, lv->second, 0};
    }
    return std::nullopt;
  }

  template <typename T>
  static Result<void> check_ids(const std::vector<T>& things, std::string_view what) {
    std::vector<std::string_view> ids;
    for (const T& t : things) {
      ids.push_back(t.id);
    }
    std::sort(ids.begin(), ids.end());
    if (const auto twice = std::adjacent_find(ids.begin(), ids.end()); twice != ids.end()) {
      return fail(Errc::invalid, fmt::format("lvm metadata: two {} with id {}", what, *twice));
    }
    return {};
  }

  const Config& c_;
  Index section_ = Config::kNone;
  VolumeGroup vg_;
  std::map<std::string_view, uint32_t> pv_by_key_;
  std::map<std::string_view, uint32_t> lv_by_name_;
};

std::string without_dashes(std::string id) {
  std::erase(id, '-');
  return id;
}

}  // namespace

std::optional<uint32_t> VolumeGroup::find_lv(std::string_view lv_name) const {
  for (uint32_t i = 0; i < lvs.size(); ++i) {
    if (lvs[i].name == lv_name) {
      return i;
    }
  }
  return std::nullopt;
}

std::optional<uint32_t> VolumeGroup::find_pv(std::string_view pv_id) const {
  for (uint32_t i = 0; i < pvs.size(); ++i) {
    if (pvs[i].id == pv_id) {
      return i;
    }
  }
  return std::nullopt;
}

Result<VolumeGroup> parse_volume_group(std::string text) {
  auto config = Config::parse(std::move(text));
  if (!config) {
    return tl::unexpected(std::move(config.error()));
  }
  return VolumeGroupReader(*config).run();
}

std::set<std::string> pvs_of(const VolumeGroup& vg, uint32_t lv) {
  std::set<std::string> ids;
  for (const uint32_t pv : vg.lvs[lv].needed_pvs) {
    ids.insert(vg.pvs[pv].id);
  }
  return ids;
}

std::string dm_uuid(const VolumeGroup& vg, const LogicalVolume& lv, std::string_view layer) {
  std::string uuid = "LVM-" + without_dashes(vg.id) + without_dashes(lv.id);
  if (!layer.empty()) {
    uuid += '-';
    uuid += layer;
  }
  return uuid;
}

std::optional<std::string> why_not_linear(const VolumeGroup& vg, uint32_t lv) {
  const LogicalVolume& v = vg.lvs[lv];
  if (!v.used_by.empty()) {
    const Reference& user = v.used_by.front();
    return fmt::format("{} is built on it ({})", quoted(vg.lvs[user.lv].name), user.role);
  }
  for (const Segment& s : v.segments) {
    if (s.type != "striped" && s.type != "linear") {
      return "has a segment of type " + quoted(s.type);
    }
    for (const SegmentArea& a : s.areas) {
      if (a.on == SegmentArea::On::lv) {
        return "lies on logical volume " + quoted(vg.lvs[a.index].name);
      }
    }
  }
  // A flag that changes what is to be activated, or one from the future.
  constexpr std::array<std::string_view, 7> kPlain{
      "READ",        "WRITE",           "WRITE_LOCKED",  "VISIBLE",
      "FIXED_MINOR", "ACTIVATION_SKIP", "NOAUTOACTIVATE"};
  for (const std::string& flag : v.flags) {
    if (std::find(kPlain.begin(), kPlain.end(), flag) == kPlain.end()) {
      return "has the flag " + quoted(flag);
    }
  }
  return std::nullopt;
}

std::optional<std::vector<TableLine>> linear_table(const VolumeGroup& vg, uint32_t lv) {
  if (why_not_linear(vg, lv)) {
    return std::nullopt;
  }
  std::vector<TableLine> table;
  for (const Segment& s : vg.lvs[lv].segments) {
    TableLine line;
    line.start = s.start_extent * vg.extent_size;
    line.length = s.extent_count * vg.extent_size;
    if (s.areas.size() > 1) {
      line.target = TableLine::Target::striped;
      line.stripe_size = s.stripe_size;
    }
    for (const SegmentArea& a : s.areas) {
      const PhysicalVolume& pv = vg.pvs[a.index];
      line.parts.push_back({pv.id, pv.pe_start + a.start_extent * vg.extent_size});
    }
    table.push_back(std::move(line));
  }
  return table;
}

}  // namespace muster::lvm
