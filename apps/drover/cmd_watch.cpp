// SPDX-License-Identifier: Apache-2.0
// drover watch: looks on until a move ends.
#include <memory>
#include <optional>
#include <string>

#include <fmt/core.h>

#include "commands.h"
#include "follow.h"
#include "json/model_json.h"
#include "move_text.h"

namespace drover::cli {
namespace {

Result<ExitCode> run(const Session& session, const std::string& id) {
  ASSIGN_OR_RETURN(FoundMove found, find_move(session, id));
  ASSIGN_OR_RETURN(const std::optional<Move> ended, follow(session, found.client, found.move));
  if (!ended) {
    if (!session.json) say_it_goes_on(found.move);
    return ExitCode::kInterrupted;
  }
  if (!session.json) {
    const auto kept = found.client.quarantine();
    fmt::print("{}", report_text(*ended, kept.value_or(std::vector<QuarantinedDisk>{})));
  }
  return exit_code(ended->state);
}

}  // namespace

void add_watch(CLI::App& app, Session& session) {
  auto id = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("watch", "Watch a move until it ends");
  command->add_option("MOVE", *id, "As drover moves shows it")->required();
  command->footer(
      "One line, redrawn, on a terminal; lines otherwise; with --json one JSON object a line. "
      "Ctrl-C\n"
      "leaves the move running. The exit code is that of the move.\n"
      "\n"
      "Example:\n"
      "  drover watch k3f9x2qa");
  command->callback([id, &session] { session.action = [id](Session& s) { return run(s, *id); }; });
}

}  // namespace drover::cli
