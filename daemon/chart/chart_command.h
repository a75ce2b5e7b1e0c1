// The subcommand `chart` for a program that works on recordings.
#pragma once

namespace CLI {
class App;
}

namespace muster::chart {

// Its callback throws CLI::RuntimeError (exit status 2) after one line on stderr where it fails.
void add_chart(CLI::App& app);

}  // namespace muster::chart
