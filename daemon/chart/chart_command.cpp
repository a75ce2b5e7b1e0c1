#include "daemon/chart/chart_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "daemon/chart/chart.h"
#include "daemon/fd.h"

namespace muster::chart {
namespace {

struct Request {
  std::string recording;
  std::string output;
};

Result<void> write_file(const std::string& path, std::string_view text) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) {
    return fail_errno(path, errno);
  }
  while (!text.empty()) {
    const auto written = ::write(fd.get(), text.data(), text.size());
    if (written < 0 && errno != EINTR) {
      return fail_errno(path, errno);
    }
    text.remove_prefix(written < 0 ? 0 : static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> run(const Request& request) {
  const auto format = format_of(request.output);
  if (!format) {
    return tl::unexpected(format.error());
  }
  const auto recording = replay::read_recording(request.recording);
  if (!recording) {
    return tl::unexpected(recording.error());
  }
  const auto text = chart(*recording, *format);
  if (!text) {
    return tl::unexpected(text.error());
  }
  return write_file(request.output, *text);
}

}  // namespace

void add_chart(CLI::App& app) {
  auto request = std::make_shared<Request>();
  auto* command = app.add_subcommand(
      "chart", "Draw a recording: what came when, and what the launch waited for");
  command->add_option("FILE", request->recording, "A journal")->required();
  command
      ->add_option("-o,--output", request->output,
                   "OUT.svg: a picture; OUT.html: a page with zoom, filter and details")
      ->required();
  command->callback([request] {
    if (const auto done = run(*request); !done) {
      fmt::print(stderr, "{}\n", done.error().text);
      throw CLI::RuntimeError(2);
    }
  });
}

}  // namespace muster::chart
