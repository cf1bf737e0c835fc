// SPDX-License-Identifier: Apache-2.0
// drover resolve: an administrator's word on who runs the VM of a move that cannot tell by itself.
#include <memory>
#include <string>

#include <fmt/core.h>

#include "commands.h"
#include "display_width.h"
#include "follow.h"
#include "json/model_json.h"
#include "move_text.h"

namespace drover::cli {
namespace {

using Peer = client::ApiClient::Peer;

struct Options {
  std::string id;
  std::string runs_on;
  bool peer_is_lost = false;
  bool yes = false;
};

// What is given up cannot be had back.
Status confirm(const Session& session, const Move& move, const Options& options) {
  if (!options.peer_is_lost || options.yes) return {};
  const std::string vm = printable(move.plan.vm.name);
  const std::string host = printable(move.destination);
  if (session.can_ask() &&
      ask(fmt::format("{0} goes on here as it was at the switch; what it did on {1} since is lost, "
                      "and {1} must never run it again. Is {1} off for good?",
                      vm, host),
          Otherwise::kNo)) {
    return {};
  }
  return fail(ErrorCode::kInvalidArgument, "Not confirmed. Nothing was changed.{}",
              session.can_ask() ? "" : " Without a terminal, say --yes.");
}

Result<ExitCode> run(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(FoundMove found, find_move(session, options.id));
  RETURN_IF_ERROR(confirm(session, found.move, options));
  ASSIGN_OR_RETURN(const Move begun, found.client.resolve_move(
                                         options.id, options.runs_on,
                                         options.peer_is_lost ? Peer::kIsLost : Peer::kAnswers));
  ASSIGN_OR_RETURN(const std::optional<Move> ended, follow(session, found.client, begun));
  if (!ended) {
    if (!session.json) say_it_goes_on(begun);
    return ExitCode::kInterrupted;
  }
  if (!session.json) {
    fmt::print(
        "{}",
        report_text(*ended, found.client.quarantine().value_or(std::vector<QuarantinedDisk>{})));
  }
  // A VM that was taken back is where it was said to be.
  const bool as_said =
      ended->state != MoveState::kParked &&
      (ended->runner == Runner::kSource ? ended->source : ended->destination) == options.runs_on;
  return as_said ? ExitCode::kDone : exit_code(ended->state);
}

}  // namespace

void add_resolve(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("resolve", "Say on which host the VM of a parked or doubtful move runs");
  command->add_option("MOVE", options->id, "As drover moves shows it")->required();
  command->add_option("--runs-on", options->runs_on, "Its source or its destination")
      ->type_name("HOST")
      ->required();
  command->add_flag("--peer-is-lost", options->peer_is_lost,
                    "The destination is off for good: take the VM back without its answer");
  command->add_flag("--yes", options->yes, "Do not ask");
  command->footer(
      "Drover holds it against what libvirt, the ownership records and the other host say, and\n"
      "refuses what is not so. Then it finishes the move, or undoes it. A move that is in doubt\n"
      "ends by itself once both hosts answer.\n"
      "With --peer-is-lost nobody can check it: if the destination runs the VM after all, it runs\n"
      "twice. Switch that host off first.\n"
      "\n"
      "Examples:\n"
      "  drover resolve k3f9x2qa --runs-on host2\n"
      "  drover resolve k3f9x2qa --runs-on host1 --peer-is-lost");
  command->callback(
      [options, &session] { session.action = [options](Session& s) { return run(s, *options); }; });
}

}  // namespace drover::cli
