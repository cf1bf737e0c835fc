// SPDX-License-Identifier: Apache-2.0
// drover report: how moves went, beside what was forecast of them.
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "commands.h"
#include "forecast_text.h"
#include "json/access_json.h"
#include "move_text.h"

namespace drover::cli {
namespace {

Result<ExitCode> all(const Session& session) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(std::vector<Move> moves, client.moves());
  std::erase_if(moves, [](const Move& move) { return move.state != MoveState::kDone; });
  if (session.json) {
    fmt::print("{}\n", json::dump(json::encode_list("moves", moves)));
  } else {
    fmt::print("{}", comparison_text(moves));
  }
  return ExitCode::kDone;
}

Result<ExitCode> one(const Session& session, const std::string& id) {
  ASSIGN_OR_RETURN(FoundMove found, find_move(session, id));
  if (session.json) {
    fmt::print("{}\n", json::dump(json::encode_list("moves", std::vector<Move>{found.move})));
    return ExitCode::kDone;
  }
  const auto kept = found.client.quarantine();
  fmt::print("{}", report_text(found.move, kept.value_or(std::vector<QuarantinedDisk>{})));
  if (found.move.plan.forecast && found.move.state == MoveState::kDone)
    fmt::print("\n{}", comparison_text({found.move}));
  return ExitCode::kDone;
}

}  // namespace

void add_report(CLI::App& app, Session& session) {
  auto id = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("report", "Show how moves went, beside what was forecast of them");
  command->add_option("MOVE", *id, "As drover moves shows it; else all that have arrived");
  command->footer("Examples:\n  drover report\n  drover report k3f9x2qa");
  command->callback([id, &session] {
    session.action = [id](Session& s) { return id->empty() ? all(s) : one(s, *id); };
  });
}

}  // namespace drover::cli
