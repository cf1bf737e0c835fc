// SPDX-License-Identifier: Apache-2.0
// drover plan: what a move would do, and what stands in its way. Changes nothing.
#include <memory>
#include <string>

#include <fmt/core.h>

#include "commands.h"
#include "consent.h"
#include "json/model_json.h"
#include "move_text.h"
#include "plan_text.h"
#include "request_options.h"

namespace drover::cli {
namespace {

struct Options {
  std::string vm;
  std::string destination;
  RequestOptions request;
};

Result<ExitCode> run(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(FoundVm found, find_vm(session, options.vm));
  ASSIGN_OR_RETURN(const MoveRequest request,
                   options.request.request(found.vm.uuid, options.destination));
  ASSIGN_OR_RETURN(const Plan plan, found.client.make_plan(request));
  const bool blocked = !codes(plan, FindingLevel::kBlocker).empty();
  if (session.json) {
    fmt::print("{}\n", json::to_json(plan));
  } else {
    fmt::print("{}", plan_text(plan));
    if (!blocked) {
      fmt::print("\nNothing was changed. To move it: drover move {} {}\n", shell_word(options.vm),
                 shell_word(options.destination));
    }
  }
  return blocked ? ExitCode::kNotDone : ExitCode::kDone;
}

}  // namespace

void add_plan(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("plan", "Show what a move would do; changes nothing");
  command->add_option("VM", options->vm, "Its name, HOST/NAME, or UUID")->required();
  command->add_option("DESTINATION", options->destination, "The paired host it shall go to")
      ->required();
  options->request.add_to(*command);
  command->footer(
      "Exit code 2: the plan has blockers.\n"
      "\n"
      "Examples:\n"
      "  drover plan web01 host2\n"
      "  drover plan host3/web01 host2 --disks-to /srv/vms");
  command->callback(
      [options, &session] { session.action = [options](Session& s) { return run(s, *options); }; });
}

}  // namespace drover::cli
