// SPDX-License-Identifier: Apache-2.0
// drover move: plans for all VMs first, one confirmation, then the moves one after another.
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "commands.h"
#include "consent.h"
#include "display_width.h"
#include "follow.h"
#include "move_text.h"
#include "plan_text.h"
#include "request_options.h"

namespace drover::cli {
namespace {

struct Options {
  std::vector<std::string> words;  // VM... DESTINATION
  RequestOptions request;
  bool yes = false;
  std::vector<std::string> accepted;
};

struct Planned {
  FoundVm found;
  Plan plan;
};

// "-" stands for the names on standard input, one a line.
std::vector<std::string> vm_words(const Options& options) {
  std::vector<std::string> vms;
  for (auto word = options.words.begin(); word + 1 != options.words.end(); ++word) {
    if (*word != "-") {
      vms.push_back(*word);
      continue;
    }
    for (std::string line; std::getline(std::cin, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (!line.empty()) vms.push_back(line);
    }
  }
  return vms;
}

Result<std::vector<Planned>> make_plans(const Session& session, const Options& options,
                                        const std::vector<std::string>& vms) {
  std::vector<Planned> plans;
  for (const std::string& vm : vms) {
    ASSIGN_OR_RETURN(FoundVm found, find_vm(session, vm));
    ASSIGN_OR_RETURN(const MoveRequest request,
                     options.request.request(found.vm.uuid, options.words.back()));
    ASSIGN_OR_RETURN(Plan plan, found.client.make_plan(request));
    if (!session.json) fmt::print("{}{}", plans.empty() ? "" : "\n", plan_text(plan));
    plans.push_back({std::move(found), std::move(plan)});
  }
  std::fflush(stdout);
  return plans;
}

// An error: nothing may be done. A person who says yes has accepted what the plans show.
Status confirm(const std::vector<Planned>& plans, const std::string& destination,
               Consent& consent) {
  std::vector<std::string> names;
  bool asking = false;
  for (const Planned& planned : plans) {
    const Decision decision = decide(planned.plan, consent);
    if (decision.verdict == Verdict::kRefuse)
      return fail(ErrorCode::kBlocked, "{}", decision.reason);
    asking = asking || decision.verdict == Verdict::kAsk;
    names.push_back(printable(planned.plan.vm.name));
  }
  if (!asking) return {};
  if (!ask(fmt::format("\nMove {} to {}?", fmt::join(names, ", "), printable(destination)),
           Otherwise::kNo)) {
    return fail(ErrorCode::kInvalidArgument, "Not confirmed. Nothing was changed.");
  }
  consent.yes = true;
  for (const Planned& planned : plans) {
    const auto seen = codes(planned.plan, FindingLevel::kWarning);
    consent.accepted.insert(consent.accepted.end(), seen.begin(), seen.end());
  }
  return {};
}

// The report's kept disks are a courtesy: a daemon that does not tell is no fault of the move.
std::vector<QuarantinedDisk> kept_disks(client::ApiClient& client) {
  return client.quarantine().value_or(std::vector<QuarantinedDisk>{});
}

// Nothing: Ctrl-C, the move goes on.
Result<std::optional<Move>> carry_out(const Session& session, Planned& planned,
                                      const Consent& consent) {
  client::ApiClient& client = planned.found.client;
  ASSIGN_OR_RETURN(const Move started, client.start_move(client::Approval{
                                           planned.plan.id, consent.yes, consent.accepted}));
  if (!session.json) {
    fmt::print("Move {} has begun. Ctrl-C leaves it running.\n", started.id);
    std::fflush(stdout);
  }
  ASSIGN_OR_RETURN(std::optional<Move> ended, follow(session, client, started));
  if (!ended) {
    if (!session.json) say_it_goes_on(started);
  } else if (!session.json) {
    fmt::print("{}", report_text(*ended, kept_disks(client)));
  }
  return ended;
}

Result<ExitCode> run(const Session& session, const Options& options) {
  const std::vector<std::string> vms = vm_words(options);
  if (vms.empty()) {
    return fail(ErrorCode::kInvalidArgument, "No VM was named on standard input.");
  }
  ASSIGN_OR_RETURN(std::vector<Planned> plans, make_plans(session, options, vms));
  Consent consent{options.yes, options.accepted, session.can_ask()};
  RETURN_IF_ERROR(confirm(plans, options.words.back(), consent));
  ExitCode worst = ExitCode::kDone;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    if (i > 0) {
      // The hosts have changed since it was made: look again, and accept no more than before.
      ASSIGN_OR_RETURN(plans[i].plan, plans[i].found.client.make_plan(plans[i].plan.request));
      const Decision decision = decide(plans[i].plan, consent);
      if (decision.verdict != Verdict::kGo) {
        fmt::print(stderr, "{}drover: {}\n", findings_text(plans[i].plan.findings),
                   decision.reason);
        worst = ExitCode::kFailed;
        continue;
      }
    }
    ASSIGN_OR_RETURN(const std::optional<Move> ended, carry_out(session, plans[i], consent));
    if (!ended) {
      for (std::size_t rest = i + 1; rest < plans.size() && !session.json; ++rest) {
        fmt::print("{} was not moved.\n", printable(plans[rest].plan.vm.name));
      }
      return ExitCode::kInterrupted;
    }
    const ExitCode code = exit_code(ended->state);
    if (code == ExitCode::kParked) return code;
    if (code != ExitCode::kDone) worst = code;
  }
  return worst;
}

}  // namespace

void add_move(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("move", "Move running VMs, with their disks, to a host");
  command
      ->add_option(
          "VM... DESTINATION", options->words,
          "Names, HOST/NAME or UUIDs (\"-\": names on standard input), then the paired host "
          "they shall go to")
      ->required()
      ->expected(2, -1);
  options->request.add_to(*command);
  command->add_flag("--yes", options->yes, "Do not ask; notes are accepted, warnings are not");
  command->add_option("--accept", options->accepted, "With --yes: accept the warnings of this code")
      ->type_name("CODE")
      ->allow_extra_args(false);
  command->footer(
      "Shows the plan and asks. Without a terminal and without --yes nothing is done (exit code "
      "2).\n"
      "Blockers are never overridden. Ctrl-C leaves the move running. The old disks are kept for "
      "a\n"
      "while (drover quarantine) unless you say otherwise.\n"
      "\n"
      "Examples:\n"
      "  drover move web01 host2\n"
      "  drover move web01 'web 02' host2 --yes\n"
      "  drover move web01 host2 --disks-to /srv/vms --keep-source\n"
      "  drover list --host host1 --names | drover move - host2 --yes");
  command->callback(
      [options, &session] { session.action = [options](Session& s) { return run(s, *options); }; });
}

}  // namespace drover::cli
