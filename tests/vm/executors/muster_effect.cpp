// Does effects and prints what came of them. The VM cases drive the executors with it, against a
// real kernel and without the daemon.
//
//   muster-effect [--together] < LINES
//
// A line: {"handler", "verb", "arguments", "deadline_ms"}; its answer, in the same order: {"ok":
// true, "result": {...}} or
// {"ok": false, "code": "busy", "error": "..."}. With --together each effect runs on a thread of
// its own, but for those of one lane. Exit status 0: all are ok.
#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "handlers/driver/driver_executor.h"
#include "handlers/lvm/lvm_executor.h"
#include "handlers/md/md_executor.h"
#include "handlers/node/node_executor.h"
#include "handlers/probe/probe_executor.h"

namespace {

using namespace muster;

const char* word_of(Errc code) {
  constexpr std::array kWords{"invalid", "not_found", "busy", "timeout", "unsupported", "io"};
  return kWords.at(static_cast<std::size_t>(code));
}

Json perform(const std::vector<std::unique_ptr<Executor>>& executors, const std::string& line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) {
    return {{"ok", false}, {"code", "invalid"}, {"error", "not an object: " + line}};
  }
  Effect effect;
  effect.handler = json.value("handler", "");
  effect.verb = json.value("verb", "");
  effect.arguments = json.value("arguments", Json::object());
  effect.deadline_ms = json.value("deadline_ms", 0);
  effect.lane = effect.verb == "resolve" || effect.verb == "reload" ? "kmod" : "";
  for (const auto& executor : executors) {
    if (executor->name() == effect.handler) {
      auto result = executor->run(effect);
      return result ? Json{{"ok", true}, {"result", *std::move(result)}}
                    : Json{{"ok", false},
                           {"code", word_of(result.error().code)},
                           {"error", result.error().text}};
    }
  }
  return {{"ok", false}, {"code", "invalid"}, {"error", "no such handler: " + effect.handler}};
}

}  // namespace

int main(int argc, char** argv) {
  const bool together = argc == 2 && std::string_view(argv[1]) == "--together";
  if (argc > 1 && !together) {
    std::fputs("usage: muster-effect [--together] < LINES\n", stderr);
    return 2;
  }
  const auto root = Root::open();
  if (!root) {
    std::fprintf(stderr, "%s\n", root.error().text.c_str());
    return 2;
  }
  const BlockDevices devices(*root);
  std::vector<std::unique_ptr<Executor>> executors;
  executors.push_back(std::make_unique<driver::DriverExecutor>(*root));
  executors.push_back(std::make_unique<probe::ProbeExecutor>(devices));
  executors.push_back(std::make_unique<md::MdExecutor>(devices));
  executors.push_back(std::make_unique<lvm::LvmExecutor>(*root));
  executors.push_back(std::make_unique<node::NodeExecutor>(*root));

  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);) {
    lines.push_back(line);
  }
  std::vector<Json> answers(lines.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (together) {
      threads.emplace_back([&, i] { answers[i] = perform(executors, lines[i]); });
    } else {
      answers[i] = perform(executors, lines[i]);
    }
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  bool ok = true;
  for (const Json& answer : answers) {
    std::puts(answer.dump().c_str());
    ok = ok && answer["ok"].get<bool>();
  }
  return ok ? 0 : 1;
}
