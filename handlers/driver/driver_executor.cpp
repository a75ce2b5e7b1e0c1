#include "handlers/driver/driver_executor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <libkmod.h>
#include <linux/module.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <set>

#include "handlers/arguments.h"
#include "handlers/block_device.h"
#include "handlers/bytes.h"
#include "handlers/driver/alias_urgency.h"
#include "handlers/driver/module_info.h"
#include "handlers/driver/module_tree.h"
#include "handlers/tool.h"

namespace muster::driver {
namespace {

// A text index is 1.5 MiB for Debian's 4,000 modules.
constexpr std::size_t kMaxIndex = 32 * 1024 * 1024;
constexpr std::size_t kMaxConfigFile = 1024 * 1024;
constexpr std::size_t kMaxCommandLine = 64 * 1024;
constexpr int kCompressedFile = 4;  // MODULE_INIT_COMPRESSED_FILE, since Linux 5.17
constexpr std::int64_t kInstallDeadlineMs = 60'000;

struct KmodDeleter {
  void operator()(kmod_ctx* context) const { ::kmod_unref(context); }
  void operator()(kmod_module* module) const { ::kmod_module_unref(module); }
  void operator()(kmod_list* list) const { ::kmod_module_unref_list(list); }
  void operator()(kmod_config_iter* iter) const { ::kmod_config_iter_free_iter(iter); }
};
template <typename T>
using KmodPtr = std::unique_ptr<T, KmodDeleter>;

std::string text_of(const char* text) {
  return text == nullptr ? std::string{} : std::string{text};
}

void discard_log(void* /*data*/, int /*priority*/, const char* /*file*/, int /*line*/,
                 const char* /*fn*/, const char* /*format*/, va_list /*args*/) {
}

KmodPtr<kmod_ctx> make_context(const std::string& tree,
                               const std::vector<std::string>& config_dirs) {
  std::vector<const char*> paths;
  paths.reserve(config_dirs.size() + 1);
  for (const std::string& dir : config_dirs) {
    paths.push_back(dir.c_str());
  }
  paths.push_back(nullptr);
  KmodPtr<kmod_ctx> context(::kmod_new(tree.c_str(), paths.data()));
  if (context) {
    ::kmod_set_log_fn(context.get(), discard_log, nullptr);
  }
  return context;
}

// Whether it is a driver that the kernel binds to devices by itself. Of a compressed file it is not
// known without decompressing it: then it counts as one. What is no driver and names CPUs is what
// runs faster on them.
bool binds_devices(const Fd& file, const std::string& path) {
  struct stat status{};
  if (::fstat(file.get(), &status) != 0 || status.st_size <= 0) {
    return true;
  }
  const auto aliases =
      module_info(device_reader(file, static_cast<std::uint64_t>(status.st_size)), "alias");
  const bool driver = path.find("/drivers/") != std::string::npos;
  return !aliases || std::any_of(aliases->begin(), aliases->end(), [&](const std::string& alias) {
    return is_device_alias(alias) && (driver || !alias.starts_with("cpu:"));
  });
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

// The names in all words "KEY=a,b" of the kernel command line; with `last_counts` only those of the
// last such word.
std::vector<std::string> names_on_command_line(const Root& root, std::string_view key,
                                               bool last_counts) {
  std::vector<std::string> names;
  const std::string text = root.read_file("/proc/cmdline", kMaxCommandLine).value_or(std::string{});
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find_first_of(" \t\n"), rest.size());
    std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!word.starts_with(key)) {
      continue;
    }
    word.remove_prefix(key.size());
    if (last_counts) {
      names.clear();
    }
    while (!word.empty()) {
      const std::size_t comma = std::min(word.find(','), word.size());
      names.push_back(normalised(word.substr(0, comma)));
      word.remove_prefix(std::min(comma + 1, word.size()));
    }
  }
  return names;
}

constexpr std::string_view kBlacklistKey = "modprobe.blacklist=";
// What the kernel refuses to load whoever asks; for it the last one counts.
constexpr std::string_view kKernelBlacklistKey = "module_blacklist=";

// Where the configuration says "blacklist NAME": for the operator, so read when needed and not
// kept.
std::string where_blacklisted(const Root& root, const DriverSettings& settings,
                              std::string_view name) {
  const auto on_command_line = names_on_command_line(root, kBlacklistKey, false);
  if (std::find(on_command_line.begin(), on_command_line.end(), name) != on_command_line.end()) {
    return "blacklisted on the kernel command line (modprobe.blacklist=)";
  }
  for (const std::string& dir : settings.config_dirs) {
    for (const std::string& name_of_file : root.list(dir).value_or(std::vector<std::string>{})) {
      const std::string file = dir + "/" + name_of_file;
      const auto text = root.read_file(file, kMaxConfigFile);
      if (!text || !name_of_file.ends_with(".conf")) {
        continue;
      }
      std::string_view rest = *text;
      for (int number = 1; !rest.empty(); ++number) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        std::array<std::string, 2> words;
        for (std::string& word : words) {
          line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
          const std::size_t length = std::min(line.find_first_of(" \t\r"), line.size());
          word = line.substr(0, length);
          line.remove_prefix(length);
        }
        if (words[0] == "blacklist" && normalised(words[1]) == name) {
          return fmt::format("blacklisted by {}:{}", file, number);
        }
      }
    }
  }
  return "blacklisted";
}

std::string why_refused(int error) {
  switch (error) {
    case ENOENT:
      return "unknown symbol or parameter (ENOENT)";
    case ENODEV:
      return "the module found no device that it drives (ENODEV)";
    case ENOEXEC:
      return "not a module of this kernel (ENOEXEC)";
    case EKEYREJECTED:
      return "its signature is not accepted (EKEYREJECTED)";
    case EPERM:
      return "not permitted: blacklisted in the kernel, locked down, or modules are disabled "
             "(EPERM)";
    case EINVAL:
      return "the module refused its options or this machine (EINVAL)";
    default:
      return std::strerror(error);
  }
}

// "live", "coming", "going"; empty if the kernel does not have it.
std::string module_state(const Root& root, std::string_view name) {
  return attribute_text(root.read_file(fmt::format("/sys/module/{}/initstate", name), kMaxAttribute)
                            .value_or(std::string{}));
}

std::int64_t microseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                               start)
      .count();
}

}  // namespace

DriverSettings DriverSettings::of_this_machine() {
  DriverSettings settings;
  struct utsname name = {};
  if (::uname(&name) == 0) {
    settings.module_dirs = {fmt::format("/usr/lib/muster/modules/{}", name.release),
                            fmt::format("/lib/modules/{}", name.release)};
  }
  return settings;
}

// The context and the trees: used by one thread at a time, which `in_use` proves.
class DriverExecutor::Kmod final : private ModuleKnowledge {
 public:
  Kmod(const Root& root, const DriverSettings& settings) : root_(root), settings_(settings) {}

  std::atomic_flag in_use;

  void reload() {
    std::vector<std::string> config_dirs;
    for (const std::string& dir : settings_.config_dirs) {
      config_dirs.push_back(root_.host_path(dir));
    }
    context_ = make_context(
        settings_.module_dirs.empty() ? "/" : root_.host_path(settings_.module_dirs.front()),
        config_dirs);
    if (context_) {
      (void)::kmod_load_resources(
          context_.get());  // what is missing is looked for again at each use
    }
    blacklist_.clear();
    softdeps_.clear();
    if (context_) {
      KmodPtr<kmod_config_iter> iter(::kmod_config_get_blacklists(context_.get()));
      while (iter && ::kmod_config_iter_next(iter.get())) {
        blacklist_.insert(normalised(text_of(::kmod_config_iter_get_key(iter.get()))));
      }
      iter.reset(::kmod_config_get_softdeps(context_.get()));
      while (iter && ::kmod_config_iter_next(iter.get())) {
        softdeps_.emplace_back(text_of(::kmod_config_iter_get_key(iter.get())),
                               parse_softdep(text_of(::kmod_config_iter_get_value(iter.get()))));
      }
    }
    for (std::string& name : names_on_command_line(root_, kBlacklistKey, false)) {
      blacklist_.insert(std::move(name));
    }
    kernel_blacklist_ = names_on_command_line(root_, kKernelBlacklistKey, true);

    others_.clear();
    for (std::size_t i = 1; i < settings_.module_dirs.size(); ++i) {
      const std::string& dir = settings_.module_dirs[i];
      if (const Identity as_of = identity(dir); is_of_libkmod(as_of)) {
        others_.push_back({dir, as_of, {}});
        continue;
      }
      const auto text = [&](const char* file) {
        return root_.read_file(dir + "/" + file, kMaxIndex).value_or(std::string{});
      };
      const Identity as_of = identity(dir);
      others_.push_back({dir, as_of,
                         ModuleTree::parse({text("modules.dep"), text("modules.alias"),
                                            text("modules.softdep"), text("modules.builtin")},
                                           dir)});
    }
  }

  [[nodiscard]] std::vector<std::string> existing_trees() const {
    std::vector<std::string> trees;
    for (const std::string& dir : settings_.module_dirs) {
      if (root_.exists(dir + "/modules.dep") || root_.exists(dir + "/modules.dep.bin")) {
        trees.push_back(dir);
      }
    }
    return trees;
  }

  ModuleOrder resolve(const std::string& alias) {
    if (!context_ || ::kmod_validate_resources(context_.get()) != KMOD_RESOURCES_OK ||
        std::any_of(others_.begin(), others_.end(),
                    [&](const Other& other) { return other.as_of != identity(other.dir); })) {
      reload();
    }
    top_options_.clear();
    std::vector<std::string> wanted;
    std::vector<Refusal> refused;
    for (std::string& name : look_up_tops(alias)) {
      // A blacklist hides a module from its aliases; whoever names it means it.
      if (blacklist_.contains(name) && normalised(alias) != name) {
        refused.push_back({name, where_blacklisted(root_, settings_, name)});
      } else {
        wanted.push_back(std::move(name));
      }
    }
    ModuleOrder order = order_modules(wanted, *this);
    order.refused.insert(order.refused.begin(), refused.begin(), refused.end());
    return order;
  }

 private:
  using Identity = std::array<std::int64_t, 5>;
  struct Other {
    std::string dir;
    Identity as_of;
    ModuleTree tree;
  };

  // libkmod gives paths as it was given the tree's.
  std::string below_root(std::string path) const {
    const std::string own = settings_.module_dirs.empty() ? "" : settings_.module_dirs.front();
    const std::string on_host = root_.host_path(own);
    if (!path.empty() && path.starts_with(on_host)) {
      path.replace(0, on_host.size(), own);
    }
    return path;
  }

  // Of the file that depmod writes first; all zero where there is none.
  Identity identity(const std::string& dir) const {
    struct stat status = {};
    const auto file = root_.open_at(dir + "/modules.dep", O_PATH);
    if (!file || ::fstat(file->get(), &status) != 0) {
      return {};
    }
    return {static_cast<std::int64_t>(status.st_dev), static_cast<std::int64_t>(status.st_ino),
            status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
  }

  // As long as no medium brings a tree, the second name is a link to the first: reading its texts
  // and asking them for what the indexes do not have finds nothing else.
  bool is_of_libkmod(const Identity& other) const {
    if (settings_.module_dirs.empty() || other == Identity{}) {
      return false;
    }
    const std::string& first = settings_.module_dirs.front();
    return other == identity(first) && root_.exists(first + "/modules.dep.bin") &&
           root_.exists(first + "/modules.alias.bin");
  }

  std::vector<std::string> look_up_tops(const std::string& alias) {
    std::vector<std::string> names;
    // An embedded NUL would make libkmod see a shorter alias than everybody else.
    if (alias.empty() || alias.size() >= PATH_MAX || alias.find('\0') != std::string::npos) {
      return names;
    }
    kmod_list* raw = nullptr;
    if (context_ && ::kmod_module_new_from_lookup(context_.get(), alias.c_str(), &raw) >= 0) {
      const KmodPtr<kmod_list> list(raw);
      kmod_list* entry = nullptr;
      kmod_list_foreach(entry, list.get()) {
        const KmodPtr<kmod_module> module(::kmod_module_get_module(entry));
        std::string name = text_of(::kmod_module_get_name(module.get()));
        // Options may stand under the alias: only this object knows it.
        if (const char* options = ::kmod_module_get_options(module.get()); options != nullptr) {
          top_options_[name] = options;
        }
        if (std::find(names.begin(), names.end(), name) == names.end()) {
          names.push_back(std::move(name));
        }
      }
    }
    if (!names.empty()) {
      return names;
    }
    const std::string plain = normalised(alias);
    for (const Other& other : others_) {
      if (other.tree.find(plain) != nullptr || other.tree.is_builtin(plain)) {
        names.push_back(plain);
      } else {
        names = other.tree.matching(alias);
      }
      if (!names.empty()) {
        break;
      }
    }
    return names;
  }

  std::vector<std::string> look_up(std::string_view name_or_alias) override {
    return look_up_tops(std::string(name_or_alias));
  }

  std::optional<std::string> forbidden(std::string_view name) override {
    if (std::find(kernel_blacklist_.begin(), kernel_blacklist_.end(), name) !=
        kernel_blacklist_.end()) {
      return "the kernel command line forbids it (module_blacklist=)";
    }
    return std::nullopt;
  }

  std::optional<ModuleFacts> facts(std::string_view name) override {
    ModuleFacts facts;
    facts.name = name;
    kmod_module* raw = nullptr;
    if (!context_ || ::kmod_module_new_from_name(context_.get(), facts.name.c_str(), &raw) < 0) {
      return std::nullopt;
    }
    const KmodPtr<kmod_module> module(raw);
    facts.path = below_root(text_of(::kmod_module_get_path(module.get())));
    const auto options = top_options_.find(name);
    facts.options = options != top_options_.end()
                        ? options->second
                        : text_of(::kmod_module_get_options(module.get()));
    bool has_softdep = false;
    for (const auto& [pattern, softdep] : softdeps_) {
      if (::fnmatch(pattern.c_str(), facts.name.c_str(), 0) == 0) {
        facts.softdep = softdep;
        has_softdep = true;
        break;
      }
    }
    bool builtin = false;
    if (!facts.path.empty()) {
      const KmodPtr<kmod_list> needs(::kmod_module_get_dependencies(module.get()));
      kmod_list* entry = nullptr;
      kmod_list_foreach(entry, needs.get()) {
        const KmodPtr<kmod_module> need(::kmod_module_get_module(entry));
        facts.needs.push_back(text_of(::kmod_module_get_name(need.get())));
      }
    } else {
      builtin = ::kmod_module_get_initstate(module.get()) == KMOD_MODULE_BUILTIN;
      for (const Other& other : others_) {
        if (builtin) {
          break;
        }
        if (const ModuleTree::Module* found = other.tree.find(name); found != nullptr) {
          facts.path = other.dir + "/" + found->path;
          facts.needs = found->needs;
          if (const Softdep* softdep = other.tree.softdep(name);
              softdep != nullptr && !has_softdep) {
            facts.softdep = *softdep;
            has_softdep = true;
          }
          break;
        }
        builtin = other.tree.is_builtin(name);
      }
    }
    // A module with softdeps is inserted all the same: its install line is what older distributions
    // wrote for them.
    if (!has_softdep) {
      facts.install = text_of(::kmod_module_get_install_commands(module.get()));
      replace_all(facts.install, "$CMDLINE_OPTS", facts.options);
    }
    const std::string state = module_state(root_, facts.name);
    facts.state = builtin ? "builtin" : state == "live" || state == "coming" ? state : "absent";
    if (facts.path.empty() && facts.install.empty() && facts.state == "absent") {
      return std::nullopt;
    }
    return facts;
  }

  const Root& root_;
  const DriverSettings& settings_;
  KmodPtr<kmod_ctx> context_;
  std::set<std::string, std::less<>> blacklist_;
  std::vector<std::string> kernel_blacklist_;
  std::vector<std::pair<std::string, Softdep>> softdeps_;  // by glob; the first that matches counts
  std::vector<Other> others_;
  std::map<std::string, std::string, std::less<>> top_options_;
};

DriverExecutor::DriverExecutor(const Root& root, DriverSettings settings)
    : root_(root), settings_(std::move(settings)), kmod_(std::make_unique<Kmod>(root_, settings_)) {
}

DriverExecutor::~DriverExecutor() = default;

Urgency DriverExecutor::urgency(const Effect& effect) const {
  if (effect.verb == "resolve") {
    return urgency_of_alias(effect.subject);
  }
  if (effect.verb == "bind") {
    return Urgency::now;
  }
  if (effect.verb != "insert" && effect.verb != "install") {
    return Urgency::whenever;
  }
  const std::lock_guard lock(mutex_);
  const auto known = urgencies_.find(effect.subject);
  return known == urgencies_.end() ? Urgency::now : known->second;
}

void DriverExecutor::note_urgency(const std::string& alias, const ModuleOrder& order) {
  const Urgency urgency = urgency_of_alias(alias);
  const std::lock_guard lock(mutex_);
  for (const OrderedModule& module : order.modules) {
    const auto [known, is_new] = urgencies_.try_emplace(module.facts.name, urgency);
    if (urgency < known->second) {
      known->second = urgency;
      ++urgency_revision_;
    }
  }
}

std::uint64_t DriverExecutor::urgency_revision() const {
  const std::lock_guard lock(mutex_);
  return urgency_revision_;
}

Result<Json> DriverExecutor::run(const Effect& effect) {
  if (effect.verb == "insert") {
    return insert(effect);
  }
  if (effect.verb == "install") {
    return install(effect);
  }
  if (effect.verb == "bind") {
    return bind(effect);
  }
  if (effect.verb != "resolve" && effect.verb != "reload") {
    return fail(Errc::invalid, "driver: no such effect: " + effect.verb);
  }
  if (effect.lane != "kmod") {
    return fail(Errc::invalid, "driver " + effect.verb + ": must run in lane kmod");
  }
  if (kmod_->in_use.test_and_set(std::memory_order_acquire)) {
    return fail(Errc::busy, "driver " + effect.verb +
                                ": the module index is still in use by an earlier request");
  }
  auto result = effect.verb == "resolve" ? resolve(effect) : reload();
  kmod_->in_use.clear(std::memory_order_release);
  return result;
}

Result<Json> DriverExecutor::reload() {
  kmod_->reload();
  return Json{{"trees", kmod_->existing_trees()}};
}

Result<Json> DriverExecutor::resolve(const Effect& effect) {
  Arguments arguments(effect);
  const std::string alias = arguments.text("alias");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  const ModuleOrder order = kmod_->resolve(alias);
  note_urgency(alias, order);
  Json modules = Json::array();
  for (const OrderedModule& module : order.modules) {
    Json json{{"name", module.facts.name}, {"options", module.facts.options},
              {"needs", module.needs},     {"wants", module.wants},
              {"soft", module.soft},       {"state", module.facts.state}};
    if (!module.facts.path.empty()) {
      json["path"] = module.facts.path;
    }
    if (!module.facts.install.empty()) {
      json["install"] = module.facts.install;
    }
    modules.push_back(std::move(json));
  }
  Json refused = Json::array();
  for (const Refusal& refusal : order.refused) {
    refused.push_back(Json{{"name", refusal.name}, {"why", refusal.why}});
  }
  return Json{{"modules", std::move(modules)}, {"refused", std::move(refused)}};
}

Result<Json> DriverExecutor::insert(const Effect& effect) {
  Arguments arguments(effect);
  const std::string name = arguments.text("name");
  const std::string path = arguments.text("path");
  std::string options = arguments.text_or("options", "");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  const auto start = std::chrono::steady_clock::now();
  const auto file = root_.open_at(path, O_RDONLY | O_NOCTTY);
  if (!file) {
    return tl::unexpected(file.error());
  }
  // The kernel ends an insertion by waiting for every asynchronous probe in the machine, such as
  // half a second for the ports of an AHCI controller, and what needs the module waits with it. A
  // module that asks for asynchronous probes of its own is spared that (do_init_module() in
  // kernel/module). Those that bind no device have none: nothing else changes for them.
  if (!binds_devices(*file, path)) {
    options += options.empty() ? "async_probe=1" : " async_probe=1";
  }
  const bool compressed = !path.ends_with(".ko");
  int error = ::syscall(SYS_finit_module, file->get(), options.c_str(),
                        compressed ? kCompressedFile : 0) == 0
                  ? 0
                  : errno;
  if (compressed && (error == EOPNOTSUPP || error == EINVAL)) {
    // This kernel does not decompress; libkmod does, and needs neither index nor configuration for
    // it.
    const KmodPtr<kmod_ctx> context = make_context("/", {});
    kmod_module* raw = nullptr;
    if (context &&
        ::kmod_module_new_from_path(context.get(), root_.host_path(path).c_str(), &raw) >= 0) {
      const KmodPtr<kmod_module> module(raw);
      error = -::kmod_module_insert_module(module.get(), 0, options.c_str());
    }
  }
  if (error == EEXIST || error == EBUSY) {
    // Somebody else was faster, unless it is on its way out.
    const std::string state = module_state(root_, name);
    if (state != "live") {
      return fail(Errc::busy, fmt::format("{}: the kernel has it as {}", path,
                                          state.empty() ? "unknown" : printable(state)));
    }
    return Json{{"took_us", microseconds_since(start)}, {"existed", true}};
  }
  if (error != 0) {
    return tl::unexpected(
        Error{error == EBUSY ? Errc::busy : Errc::io, path + ": " + why_refused(error), error});
  }
  return Json{{"took_us", microseconds_since(start)}};
}

Result<Json> DriverExecutor::bind(const Effect& effect) const {
  Arguments arguments(effect);
  const std::string bus = arguments.text("bus");
  const std::string device = arguments.text("device");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  if (bus.empty() || bus.front() == '.' || bus.find('/') != std::string::npos) {
    return fail(Errc::invalid, "driver bind: no such bus: " + printable(bus));
  }
  if (auto asked = root_.write_file("/sys/bus/" + bus + "/drivers_probe", device); !asked) {
    return tl::unexpected(asked.error());
  }
  return Json::object();
}

Result<Json> DriverExecutor::install(const Effect& effect) {
  Arguments arguments(effect);
  const std::string name = arguments.text("name");
  const std::string command = arguments.text("command");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  const auto start = std::chrono::steady_clock::now();
  const auto shell = find_tool(root_, "sh");
  if (!shell) {
    return tl::unexpected(shell.error());
  }
  ChildOptions options;
  options.deadline_ms = effect.deadline_ms > 0 ? effect.deadline_ms : kInstallDeadlineMs;
  options.kill_late = true;
  auto output = run_tool({*shell, "-c", command}, options);
  if (!output) {
    return tl::unexpected(output.error().within("install command of " + name));
  }
  return Json{{"took_us", microseconds_since(start)}, {"output", printable(*output)}};
}

}  // namespace muster::driver
