#include "daemon/import/import_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "daemon/facts.h"
#include "daemon/fd.h"
#include "daemon/root.h"

namespace muster::imports {
namespace {

Result<std::string> read_text(const std::string& path, std::size_t limit) {
  const auto slash = path.rfind('/');
  const auto root = Root::open(slash == std::string::npos ? "." : path.substr(0, slash + 1));
  if (!root) {
    return tl::unexpected(root.error());
  }
  auto text =
      root->read_file("/" + (slash == std::string::npos ? path : path.substr(slash + 1)), limit);
  return text ? std::move(text) : tl::unexpected(text.error().within(path));
}

Result<void> write_all(const Fd& fd, const std::string& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd.get(), text.data(), text.size());
    if (written < 0) {
      return fail_errno(path, errno);
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> write_text(const std::string& path, const std::string& text) {
  if (path == "-") {
    return write_all(Fd(::dup(STDOUT_FILENO)), "standard output", text);
  }
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (fd.get() < 0) {
    return fail_errno(path, errno);
  }
  return write_all(fd, path, text);
}

constexpr std::size_t kMaxFile = std::size_t{4} * 1024 * 1024;

}  // namespace

Result<std::vector<std::string>> run_import(const ImportRequest& request, const Play& play) {
  Answers answers;
  if (!request.answers.empty()) {
    const auto text = read_text(request.answers, kMaxFile);
    if (!text) {
      return tl::unexpected(text.error());
    }
    const auto slash = request.answers.rfind('/');
    const std::string beside =
        slash == std::string::npos ? std::string() : request.answers.substr(0, slash + 1);
    auto read = read_answers(request.answers, *text, [&](const std::string& path) {
      return read_text(path.starts_with('/') ? path : beside + path, kMaxFile);
    });
    if (!read) {
      return tl::unexpected(read.error());
    }
    answers = std::move(*read);
  }
  std::vector<rules::Source> rules = shipped_rules();
  std::vector<std::string> said;
  if (!request.rules.empty()) {
    const auto root = Root::open("/");
    if (!root) {
      return tl::unexpected(root.error());
    }
    rules = read_rules(*root, request.rules, said);
  }
  auto imported = import_paths(request.paths, answers, rules);
  if (!imported) {
    return tl::unexpected(imported.error());
  }
  const replay::Segment segment = play(imported->hardware);
  if (auto written = write_text(request.output, replay::to_text(segment)); !written) {
    return tl::unexpected(written.error());
  }
  said.push_back(fmt::format("{}: {} devices, {} arrays and volumes, {} events", request.output,
                             imported->hardware.parts.size(), imported->hardware.built.size(),
                             segment.steps.size()));
  for (const auto& line : imported->unknown) {
    said.push_back("unknown: " + line);
  }
  return said;
}

void add_import(CLI::App& app, Play play, int& exit_status) {
  auto request = std::make_shared<ImportRequest>();
  CLI::App* command =
      app.add_subcommand("import", "Make a recording of what another system's tools wrote down");
  command
      ->add_option("FILE", request->paths,
                   "udevadm monitor, udevadm info --export-db, umockdev-record, or the directory "
                   "of a sosreport; with it mdadm --examine, /etc/lvm/backup/VG, fdisk -l")
      ->required();
  command->add_option("--answers", request->answers,
                      "what the log cannot tell (TOML; see IMPORT.md)");
  command->add_option("--rules", request->rules, "directories of rules instead of those that ship");
  command->add_option("-o,--output", request->output, "the journal to write; - for standard output")
      ->required();
  command->footer(
      "Examples:\n"
      "  udevadm monitor --kernel --udev --property > boot.log\n"
      "  muster import boot.log -o boot.jsonl && muster replay boot.jsonl\n"
      "  muster import sosreport-web7/ --answers web7.toml -o web7.jsonl\n"
      "  muster import udev.db examine.txt /etc/lvm/backup/vg0 -o web7.jsonl");
  command->callback([request, play = std::move(play), &exit_status] {
    const auto said = run_import(*request, play);
    if (!said) {
      std::fprintf(stderr, "muster: %s\n", said.error().text.c_str());
      exit_status = 1;
      return;
    }
    for (const auto& line : *said) {
      std::fprintf(stderr, "%s\n", line.c_str());
    }
    exit_status = 0;
  });
}

}  // namespace muster::imports
