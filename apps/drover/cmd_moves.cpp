// SPDX-License-Identifier: Apache-2.0
// drover moves, show, cancel: what is or was under way.
#include <memory>
#include <string>

#include <fmt/core.h>

#include "commands.h"
#include "display_width.h"
#include "json/access_json.h"
#include "move_text.h"

namespace drover::cli {
namespace {

struct ListOptions {
  bool under_way = false;
  bool names = false;
};

Result<ExitCode> list(const Session& session, const ListOptions& options) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(std::vector<Move> moves, client.moves());
  if (options.under_way) {
    std::erase_if(moves, [](const Move& move) { return move.state != MoveState::kRunning; });
  }
  if (options.names && !session.json) {
    for (const Move& move : moves) fmt::print("{}\n", printable(move.id));
    return ExitCode::kDone;
  }
  if (session.json) {
    fmt::print("{}\n", json::dump(json::encode_list("moves", moves)));
  } else {
    fmt::print("{}", moves_text(moves));
  }
  return ExitCode::kDone;
}

Result<ExitCode> show(const Session& session, const std::string& id) {
  ASSIGN_OR_RETURN(FoundMove found, find_move(session, id));
  if (session.json) {
    fmt::print("{}\n", json::to_json(found.move));
  } else {
    const auto kept = found.client.quarantine();
    fmt::print("{}", show_text(found.move, kept.value_or(std::vector<QuarantinedDisk>{})));
  }
  return ExitCode::kDone;
}

Result<ExitCode> cancel(const Session& session, const std::string& id) {
  ASSIGN_OR_RETURN(FoundMove found, find_move(session, id));
  ASSIGN_OR_RETURN(const Move move, found.client.cancel_move(id));
  if (session.json) {
    fmt::print("{}\n", json::to_json(move));
  } else if (move.state == MoveState::kRunning) {
    fmt::print("The move of {} is being cancelled. To see how it ends: drover watch {}.\n",
               printable(move.plan.vm.name), move.id);
  } else {
    fmt::print("{}", report_text(move, {}));
  }
  return ExitCode::kDone;
}

}  // namespace

void add_moves(CLI::App& app, Session& session) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command = app.add_subcommand("moves", "Show the moves under way and those that ended");
  command->add_flag("--under-way", options->under_way, "Only those under way");
  command->add_flag("--names", options->names, "Only what show, watch and cancel take, one a line");
  command->footer("Examples:\n  drover moves\n  drover moves --under-way --names");
  command->callback([options, &session] {
    session.action = [options](Session& s) { return list(s, *options); };
  });
}

void add_show(CLI::App& app, Session& session) {
  auto id = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("show", "Show one move: its phases with times, its report");
  command->add_option("MOVE", *id, "As drover moves shows it")->required();
  command->footer("Example:\n  drover show k3f9x2qa");
  command->callback([id, &session] { session.action = [id](Session& s) { return show(s, *id); }; });
}

void add_cancel(CLI::App& app, Session& session) {
  auto id = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("cancel", "End a move; the VM runs on at the source");
  command->add_option("MOVE", *id, "As drover moves shows it")->required();
  command->footer(
      "Once the guest has stopped for the switch it is too late: a VM that runs at the\n"
      "destination stays there; move it back instead.\n"
      "\n"
      "Example:\n"
      "  drover cancel k3f9x2qa");
  command->callback(
      [id, &session] { session.action = [id](Session& s) { return cancel(s, *id); }; });
}

}  // namespace drover::cli
