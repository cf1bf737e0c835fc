// SPDX-License-Identifier: Apache-2.0
// drover converge: what a move under way does about a guest that outruns the link.
#include <memory>
#include <string>

#include <fmt/core.h>

#include "commands.h"
#include "display_width.h"
#include "json/model_json.h"

namespace drover::cli {
namespace {

struct Options {
  std::string id;
  std::string policy;
};

Result<ExitCode> run(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(const Convergence policy, parse_convergence(options.policy));
  ASSIGN_OR_RETURN(FoundMove found, find_move(session, options.id));
  ASSIGN_OR_RETURN(const Move move, found.client.converge_move(options.id, policy));
  if (session.json) {
    fmt::print("{}\n", json::to_json(move));
    return ExitCode::kDone;
  }
  fmt::print("The move of {} now follows the policy {}.\n", printable(move.plan.vm.name),
             convergence_text(move.convergence));
  if (move.may_slow_guest && policy.policy != ConvergencePolicy::kSlowGuest) {
    fmt::print(
        "QEMU goes on slowing the VM where it outruns the link: libvirt cannot take that "
        "back.\n");
  }
  return ExitCode::kDone;
}

}  // namespace

void add_converge(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("converge", "Change what a move does about a VM that outruns the link");
  command->add_option("MOVE", options->id, "As drover moves shows it")->required();
  command
      ->add_option("POLICY", options->policy, "pause:SECONDS, wait, slow-guest or give-up:SECONDS")
      ->required();
  command->footer(
      "A VM may change its memory faster than the link carries it: then its move does not end by\n"
      "itself. drover show and drover watch say so, with the figures.\n"
      "  pause:SECONDS     it may stand still for so long at the switch (1 to 300; pause alone: "
      "5)\n"
      "  wait              go on until it does less; it stands still for 0.3 s at the switch\n"
      "  slow-guest        QEMU takes processor time from it; only where the move began with that\n"
      "  give-up:SECONDS   end the move after so long without an end in sight; the VM stays (60)\n"
      "\n"
      "Example:\n"
      "  drover converge k3f9x2qa pause:10");
  command->callback(
      [options, &session] { session.action = [options](Session& s) { return run(s, *options); }; });
}

}  // namespace drover::cli
