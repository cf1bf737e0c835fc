// SPDX-License-Identifier: Apache-2.0
// drover version: ours and the daemon's.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "display_width.h"

namespace drover::cli {
namespace {

// A daemon that does not answer is told, but is no failure: half of the answer is there.
Result<ExitCode> run(const Session& session) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  const Result<ServerVersion> server = client.version();
  if (session.json) {
    nlohmann::json said{{"drover", DROVER_VERSION}, {"droverd", nullptr}, {"host", nullptr}};
    if (server) {
      said["droverd"] = server->version;
      said["host"] = server->host;
    }
    fmt::print("{}\n", said.dump());
    return ExitCode::kDone;
  }
  fmt::print("drover {}\n", DROVER_VERSION);
  if (server) {
    fmt::print("droverd {} on {}\n", printable(server->version), printable(server->host));
  } else {
    fmt::print("droverd: {}\n", printable(server.error().message));
  }
  return ExitCode::kDone;
}

}  // namespace

void add_version(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("version", "Show the version of drover and of droverd");
  command->footer("Example:\n  drover version");
  command->callback([&session] { session.action = [](Session& s) { return run(s); }; });
}

}  // namespace drover::cli
