#include "handlers/medium/medium_executor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "daemon/child_process.h"
#include "daemon/quote.h"
#include "daemon/scrub.h"
#include "handlers/arguments.h"
#include "handlers/medium/medium_link.h"
#include "handlers/medium/medium_mount.h"
#include "handlers/medium/mondo_config.h"

namespace muster::medium {
namespace {

constexpr const char* kCdrom = "/mnt/cdrom";
constexpr const char* kIsodir = "/tmp/isodir";
constexpr const char* kCdromLink = "/dev/cdrom";
constexpr const char* kConfig = "/tmp/mondo-restore.cfg";
constexpr std::size_t kSmallFile = 4096;
constexpr std::size_t kMembers = std::size_t{16} << 20;
// What of images/all.tar.gz the plan is made of.
constexpr std::pair<const char*, const char*> kPlanFiles[] = {
    {"mondo-restore.cfg", "tmp/mondo-restore.cfg"},
    {"mountlist.txt", "tmp/mountlist.txt"},
    {"i-want-my-lvm", "tmp/i-want-my-lvm"},
    {"raidtab", "etc/raidtab"}};

std::optional<std::string> small_file(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info{};
  if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return std::nullopt;
  }
  std::string text(kSmallFile, '\0');
  const ssize_t count = ::read(file.get(), text.data(), text.size());
  if (count < 0) {
    return std::nullopt;
  }
  text.resize(static_cast<std::size_t>(count));
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return valid_text(text, true);
}

// The last line of a child's output that is a JSON object.
Json json_line(const std::string& output) {
  for (std::size_t end = output.size(); end > 0;) {
    const auto begin = output.rfind('\n', end - 1);
    const auto line = output.substr(begin == std::string::npos ? 0 : begin + 1,
                                    end - (begin == std::string::npos ? 0 : begin + 1));
    if (line.starts_with("{")) {
      auto json = Json::parse(line, nullptr, false);
      if (json.is_object()) {
        return json;
      }
    }
    if (begin == std::string::npos) {
      break;
    }
    end = begin;
  }
  return Json();
}

std::optional<dev_t> device_number(std::string_view devno) {
  const auto parsed = devno_from(devno);
  return parsed ? std::optional(::makedev(parsed->major, parsed->minor)) : std::nullopt;
}

}  // namespace

MediumExecutor::MediumExecutor(const Root& root, const BlockDevices& devices, std::string bin_dir,
                               std::string run_dir)
    : root_(root), devices_(devices), bin_dir_(std::move(bin_dir)), run_dir_(std::move(run_dir)) {
}

Result<Json> MediumExecutor::run(const Effect& effect) {
  if (effect.verb == "poll") {
    return poll(effect);
  }
  if (effect.verb == "examine") {
    return examine(effect);
  }
  if (effect.verb == "take") {
    return take(effect);
  }
  if (effect.verb == "tools") {
    return tools(effect);
  }
  if (effect.verb == "release") {
    return release();
  }
  return fail(Errc::unsupported, fmt::format("medium: no such effect: {}", quote(effect.verb)));
}

Result<Json> MediumExecutor::poll(const Effect& effect) {
  Arguments arguments(effect);
  const auto devpath = arguments.text("devpath");
  const auto msecs = arguments.number_or("msecs", -1);
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  const auto written =
      root_.write_file("/sys" + devpath + "/events_poll_msecs", std::to_string(msecs));
  if (!written) {
    return tl::unexpected(written.error());
  }
  return Json::object();
}

Json MediumExecutor::look_at(const std::string& directory) const {
  Json found = {{"archives", false}};
  struct stat info{};
  if (::stat((directory + "/archives").c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    found["why"] = "no archives directory on it";
    return found;
  }
  found["archives"] = true;
  found["number"] = small_file(directory + "/archives/THIS-CD-NUMBER").value_or("");
  found["serial"] = small_file(directory + "/archives/SERIAL-STRING").value_or("");
  found["not_the_last"] = ::access((directory + "/archives/NOT-THE-LAST").c_str(), F_OK) == 0;
  std::vector<std::string> argv{bin_dir_ + "/muster-unpack", "extract", "--archive",
                                directory + "/images/all.tar.gz", "--to-stdout-json"};
  for (const auto& [file, member] : kPlanFiles) {
    argv.insert(argv.end(), {"--member", member});
  }
  if (::access((directory + "/images/all.tar.gz").c_str(), R_OK) != 0) {
    found["why"] = "no images/all.tar.gz";
    return found;
  }
  ChildOptions options;
  options.output_limit = kMembers;
  options.output_is_data = true;
  const auto child = run_child(argv, options);
  if (!child) {
    found["why"] = child.error().text;
    return found;
  }
  const Json json = json_line(child->output);
  if (!json.is_object()) {
    found["why"] = fmt::format("images/all.tar.gz: {}", child->describe());
    return found;
  }
  if (json.contains("error") && json["error"].is_string() &&
      !json["error"].get<std::string>().empty()) {
    found["why"] = json["error"];
  }
  Json files = Json::object();
  for (const auto& [file, member] : kPlanFiles) {
    const auto members = json.value("members", Json::object());
    files[file] = members.contains(member) ? members.at(member) : Json();
  }
  // It may name a share with a password; the engine's copy is for its plan only.
  if (auto& config = files["mondo-restore.cfg"]; config.is_string()) {
    config = scrub_lines(config.get_ref<const std::string&>());
  }
  found["files"] = std::move(files);
  return found;
}

Result<Json> MediumExecutor::examine(const Effect& effect) {
  Arguments arguments(effect);
  const auto devno = arguments.text("devno");
  const auto filesystem = arguments.text("filesystem");
  const auto kind = arguments.text("kind");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  const auto node = devices_.node(devno);
  if (!node) {
    return tl::unexpected(node.error());
  }
  const TemporaryMount mount(fmt::format("{}/look/{}", run_dir_, effect.id));
  if (auto mounted = mount_quietly(*node, mount.directory(), filesystem); !mounted) {
    return tl::unexpected(mounted.error());
  }
  if (kind == "disc") {
    return look_at(mount.directory());
  }
  const std::string iso =
      fmt::format("{}/{}-1.iso", arguments.text("directory"), arguments.text("prefix"));
  auto loop = attach_loop(mount.directory(), iso);
  if (!loop) {
    if (loop.error().code == Errc::not_found) {
      return Json{{"archives", false}, {"why", fmt::format("no {} on it", quote(iso))}};
    }
    return tl::unexpected(loop.error());
  }
  const TemporaryMount inner(fmt::format("{}/look/{}-iso", run_dir_, effect.id));
  if (auto mounted = mount_quietly(loop->node, inner.directory(), "iso9660"); !mounted) {
    return tl::unexpected(mounted.error().within(quote(iso)));
  }
  loop->opened.reset();
  Json found = look_at(inner.directory());
  found["iso"] = iso;
  return found;
}

// The kernel's name of the device; a node of its own while a nuke that was put off has given that
// name to another disk.
Result<std::string> MediumExecutor::source_of(const std::string& dev_name,
                                              const std::string& devno) const {
  const auto number = device_number(devno);
  if (!number || leads_to(dev_name, *number) || "/dev/" + kernel_name(root_, devno) != dev_name) {
    return dev_name;
  }
  return own_node(*number);
}

// mondorestore finds the ISO directory's mount by the name in iso-dev, and follows no links: that
// very name must lead to the device, as a node.
Result<std::string> MediumExecutor::isodir_source(const Effect& effect, Json& config) const {
  const auto devno = effect.arguments.value("devno", std::string());
  const auto source = source_of(effect.arguments.value("dev_name", std::string()), devno);
  if (!source) {
    return source;
  }
  const std::string& dev_name = *source;
  const auto wanted = effect.arguments.value("iso_dev", std::string());
  const auto number = device_number(devno);
  if (wanted.empty() || wanted == dev_name || !wanted.starts_with("/dev/") ||
      wanted.find("..") != std::string::npos || !number) {
    if (wanted != dev_name) {
      config["iso-dev"] = dev_name;
    }
    return dev_name;
  }
  struct stat info{};
  const bool exists = ::stat(wanted.c_str(), &info) == 0;
  const bool leads_there = exists && S_ISBLK(info.st_mode) && info.st_rdev == *number;
  const bool is_link = ::lstat(wanted.c_str(), &info) == 0 && S_ISLNK(info.st_mode);
  if (leads_there && !is_link) {
    return wanted;
  }
  if (leads_there || !exists) {
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(wanted).parent_path(), ignored);
    if (is_link) {
      ::unlink(wanted.c_str());
    }
    if (::mknod(wanted.c_str(), S_IFBLK | 0600, *number) != 0) {
      return fail_errno(fmt::format("a second node {} for {}", quote(wanted), dev_name), errno);
    }
    return wanted;
  }
  // The name is another device's today. A nuke keeps the config it read at its start, the other
  // modes read the medium's copy again, with the old name in it.
  if (effect.arguments.value("mode", std::string()) == "nuke") {
    config["iso-dev"] = dev_name;
    return dev_name;
  }
  return fail(
      Errc::busy,
      fmt::format("the ISO files are on {}, the medium's config calls that {}, and this name is "
                  "another device's today: mondorestore would read the wrong one",
                  dev_name, quote(wanted)));
}

Result<Json> MediumExecutor::take(const Effect& effect) {
  Arguments arguments(effect);
  const auto devno = arguments.text("devno");
  const auto dev_name = arguments.text("dev_name");
  const auto filesystem = arguments.text("filesystem");
  const auto kind = arguments.text("kind");
  if (auto status = arguments.status(); !status) {
    return tl::unexpected(status.error());
  }
  if (auto released = release(); !released) {
    return released;
  }
  Json config = Json::object();
  if (kind == "directory") {
    auto source = isodir_source(effect, config);
    if (!source) {
      return tl::unexpected(source.error());
    }
    if (auto mounted = mount_quietly(*source, kIsodir, filesystem); !mounted) {
      return tl::unexpected(mounted.error());
    }
    auto loop = attach_loop(kIsodir, effect.arguments.value("iso", std::string()));
    if (!loop) {
      return tl::unexpected(loop.error());
    }
    if (auto mounted = mount_quietly(loop->node, kCdrom, "iso9660"); !mounted) {
      return tl::unexpected(mounted.error());
    }
    std::ofstream("/tmp/CDROM-LIVES-HERE") << kCdrom << "\n";
    return Json{{"config", config}};
  }
  const auto number = device_number(devno);
  const auto source = source_of(dev_name, devno);
  if (!source) {
    return tl::unexpected(source.error());
  }
  if (!number || !leads_to(*source, *number)) {
    return fail(Errc::not_found, fmt::format("{} is not the device {} any more", dev_name, devno));
  }
  ::unlink(kCdromLink);
  if (::symlink(source->c_str(), kCdromLink) != 0) {
    return fail_errno(kCdromLink, errno);
  }
  if (auto mounted = mount_quietly(*source, kCdrom, filesystem); !mounted) {
    return tl::unexpected(mounted.error());
  }
  std::ofstream("/tmp/CDROM-LIVES-HERE") << *source << "\n";
  return Json{{"config", config}};
}

Result<Json> MediumExecutor::tools(const Effect& effect) {
  ChildOptions options;
  options.output_limit = kMembers;
  options.output_is_data = true;
  const auto child =
      run_child({bin_dir_ + "/muster-unpack", "tools", "--images", std::string(kCdrom) + "/images",
                 "--root", "/", "--staging", "/tmp/groovy-stuff"},
                options);
  if (!child) {
    return tl::unexpected(child.error().within("unpacking the tools"));
  }
  Json json = json_line(child->output);
  if (!child->ok()) {
    const auto said = json.is_object() ? json.value("error", std::string()) : std::string();
    return fail(Errc::io,
                fmt::format("unpacking the tools: {}", said.empty() ? child->describe() : said));
  }
  // The tools brought the medium's config: what has another name today is corrected after that.
  const Json config = effect.arguments.value("config", Json::object());
  for (const auto& [key, value] : config.items()) {
    const auto text = root_.read_file(kConfig, kMembers);
    if (!text) {
      return tl::unexpected(text.error());
    }
    const auto corrected = with_value(*text, key, value.get<std::string>());
    if (!corrected) {
      return tl::unexpected(corrected.error());
    }
    std::ofstream file(kConfig, std::ios::trunc | std::ios::binary);
    file << *corrected;
    if (!file.flush()) {
      return fail(Errc::io, fmt::format("{}: cannot be written", kConfig));
    }
  }
  return json.is_object() ? json : Json::object();
}

Result<Json> MediumExecutor::release() {
  for (const auto* directory : {kCdrom, kIsodir}) {
    if (auto unmounted = unmount(directory); !unmounted) {
      return tl::unexpected(unmounted.error());
    }
  }
  struct stat info{};
  if (::lstat(kCdromLink, &info) == 0 && S_ISLNK(info.st_mode)) {
    ::unlink(kCdromLink);
  }
  return Json::object();
}

}  // namespace muster::medium
