// SPDX-License-Identifier: Apache-2.0
// drover plan: what a move would do, and what stands in its way. Changes nothing.
#include <memory>
#include <string>

#include <fmt/core.h>

#include "client/fit_client.h"
#include "commands.h"
#include "consent.h"
#include "destination_options.h"
#include "display_width.h"
#include "fit_text.h"
#include "json/model_json.h"
#include "move_text.h"
#include "plan_text.h"
#include "request_options.h"

namespace drover::cli {
namespace {

struct Options {
  std::string vm;
  std::string fix;   // a code whose fix shall be applied first
  std::string undo;  // a fix that shall be taken back first
  std::string destination;
  RequestOptions request;
  DestinationOptions where;
};

Result<ExitCode> run(const Session& session, const Options& options) {
  RETURN_IF_ERROR(options.where.check(!options.destination.empty()));
  const bool elsewhere = !options.destination.empty() || options.where.best;
  if (options.request.storage() == elsewhere) {
    return fail(
        ErrorCode::kInvalidArgument,
        "Name the host that {} shall go to, or say --best, or, for disks that stay on their "
        "host, --to-storage or --item: drover plan {} host2.",
        printable(options.vm), printable(options.vm));
  }
  ASSIGN_OR_RETURN(FoundVm found, find_vm(session, options.vm));
  ASSIGN_OR_RETURN(MoveRequest request, options.request.request(found.vm.uuid, ""));
  std::vector<PlacedVm> placed;
  const std::string destination = options.request.storage() ? found.vm.host : options.destination;
  MoveRequest again = request;
  if (!options.undo.empty()) {
    ASSIGN_OR_RETURN(const AppliedFix undone, client::undo_fix(found.client, options.undo));
    if (!session.json) fmt::print("Undone: {}\n\n", printable(undone.undo));
  }
  ASSIGN_OR_RETURN(
      Plan plan, make_plan(session, found, std::move(request), destination, options.where, placed));
  if (!options.fix.empty()) {
    ASSIGN_OR_RETURN(const auto fixes, client::apply_fix(found.client, plan.id, options.fix));
    for (const AppliedFix& fix : fixes) {
      if (!session.json) fmt::print("{}", applied_text(fix));
    }
    if (!session.json) fmt::print("\n");
    placed.clear();
    ASSIGN_OR_RETURN(
        plan, make_plan(session, found, std::move(again), destination, options.where, placed));
  }
  const bool blocked = !codes(plan, FindingLevel::kBlocker).empty();
  if (session.json) {
    fmt::print("{}\n", json::to_json(plan));
  } else {
    fmt::print("{}", plan_text(plan));
    if (!blocked && options.request.storage()) {
      fmt::print("\nNothing was changed. To move them: drover move with the same words.\n");
    } else if (!blocked) {
      fmt::print("\n{} To move it: drover move {} {}\n",
                 options.fix.empty() && options.undo.empty() ? "Nothing was changed."
                                                             : "Nothing was moved.",
                 shell_word(options.vm), shell_word(plan.request.destination));
    }
  }
  return blocked ? ExitCode::kNotDone : ExitCode::kDone;
}

}  // namespace

void add_plan(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("plan", "Show what a move would do; changes nothing but by --fix");
  command->add_option("VM", options->vm, "Its name, HOST/NAME, or UUID")->required();
  command->add_option("DESTINATION", options->destination,
                      "The paired host it shall go to, or several to be tried in order: "
                      "host2,host3; none with --best, --to-storage or --item");
  options->where.add_to(*command);
  options->request.add_to(*command);
  command
      ->add_option(
          "--fix", options->fix,
          "Apply what Drover can do itself about the findings of this code, then plan again")
      ->type_name("CODE");
  command->add_option("--undo-fix", options->undo, "Take this fix back first (drover fixes list)")
      ->type_name("FIX");
  command->footer(
      "Exit code 2: the plan has blockers.\n"
      "\n"
      "Examples:\n"
      "  drover plan web01 host2\n"
      "  drover plan web01 --best\n"
      "  drover plan web01 host2 --fix MEDIA_INSERTED\n"
      "  drover plan host3/web01 host2 --disks-to /srv/vms\n"
      "  drover plan web01 --to-storage /srv/fast --item vdb=bigpool");
  command->callback([options, &session] {
    options->request.destination_named = options->where.best || !options->destination.empty();
    session.action = [options](Session& s) { return run(s, *options); };
  });
}

}  // namespace drover::cli
