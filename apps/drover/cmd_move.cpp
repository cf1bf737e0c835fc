// SPDX-License-Identifier: Apache-2.0
// drover move: plans for all VMs first, one confirmation, then all moves are asked for: what may
// not begin yet waits in the hosts' queues.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "commands.h"
#include "consent.h"
#include "destination_options.h"
#include "display_width.h"
#include "follow.h"
#include "move_text.h"
#include "plan_text.h"
#include "progress_text.h"
#include "request_options.h"
#include "side_by_side.h"
#include "vm_choice.h"

namespace drover::cli {
namespace {

// Of more VMs in one command none is measured for its forecast: each takes a second or two.
constexpr std::size_t kMeasuredMost = 3;

struct Options {
  std::vector<std::string> words;  // VM... DESTINATION; VMs only if none is to be named
  RequestOptions request;
  DestinationOptions destination;
  std::vector<std::string> labels;
  int priority = 0;
  bool all = false;
  bool rehearse = false;
  bool yes = false;
  std::vector<std::string> accepted;
};

struct Started {
  client::ApiClient client;
  Move move;
};

struct Planned {
  FoundVm found;
  Plan plan;
};

// With --best a host is chosen, and disks that go elsewhere on their host need none.
bool names_destination(const Options& options) {
  return !options.destination.best && !options.request.storage();
}

// "-" stands for the names on standard input, one a line.
std::vector<std::string> vm_words(const Options& options) {
  std::vector<std::string> vms;
  const auto end = options.words.end() - (names_destination(options) ? 1 : 0);
  for (auto word = options.words.begin(); word != end; ++word) {
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

// --all: the running VMs of the host that is asked.
Result<std::vector<std::string>> all_vms(const Session& session) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(const VmListing listing, client.vms(false));
  std::vector<std::string> vms;
  for (const Vm& vm : listing.vms) {
    if (vm.state == VmState::kRunning || vm.state == VmState::kPaused) {
      vms.push_back(vm.uuid);
    } else if (!session.json) {
      fmt::print("{} does not run and stays.\n", printable(vm.name));
    }
  }
  if (vms.empty()) return fail(ErrorCode::kNotFound, "No VM runs here.");
  return vms;
}

// "web*" stands for the VMs of that name that run, but for those that are there already. Each VM is
// meant once.
Result<std::vector<std::string>> expand_patterns(const Session& session,
                                                 const std::string& destination,
                                                 const std::vector<std::string>& words) {
  const bool any = std::ranges::any_of(words, [](const std::string& word) {
    return word.find_first_of("*?[") != std::string::npos;
  });
  if (!any) return words;
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(VmListing listing, client.vms(true));
  std::erase_if(listing.vms, [&](const Vm& vm) { return vm.host == destination; });
  std::vector<std::string> vms;
  for (const std::string& word : words) {
    ASSIGN_OR_RETURN(const auto names, matching_names(listing, word));
    for (const std::string& name : names) {
      if (std::ranges::find(vms, name) == vms.end()) vms.push_back(name);
    }
  }
  return vms;
}

// --label: the running VMs of all paired hosts that have it, but for those that are there already.
Result<std::vector<std::string>> labelled_vms(const Session& session, const Options& options) {
  const bool named = names_destination(options);
  if (options.all || options.words.size() != (named ? 1 : 0)) {
    return fail(
        ErrorCode::kInvalidArgument, "With --label {}: the labels say which VMs move.",
        named ? "only the destination is named: drover move --label web host2" : "no VM is named");
  }
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(VmListing listing, client.vms(true));
  if (named)
    std::erase_if(listing.vms, [&](const Vm& vm) { return vm.host == options.words.back(); });
  return labelled_names(listing, options.labels);
}

Result<std::vector<std::string>> chosen_vms(const Session& session, const Options& options) {
  if (!options.labels.empty()) return labelled_vms(session, options);
  if (options.all && options.request.storage()) {
    return fail(ErrorCode::kInvalidArgument,
                "--all is for moves to another host: name the VMs whose disks shall move.");
  }
  if (options.destination.best && options.request.storage()) {
    return fail(ErrorCode::kInvalidArgument,
                "--best chooses a host, and disks that go to --to-storage stay on theirs: "
                "say one of them.");
  }
  const bool best = options.destination.best;
  if (options.all) {
    if (options.words.size() == (best ? 0 : 1)) return all_vms(session);
    if (best) {
      return fail(ErrorCode::kInvalidArgument,
                  "With --all and --best nothing is named: drover move --all --best.");
    }
    return fail(ErrorCode::kInvalidArgument,
                "With --all only the destination is named: drover move --all host2.");
  }
  if (options.words.empty())
    return fail(ErrorCode::kInvalidArgument, "Name the VMs: drover move web01 host2.");
  if (options.words.size() < 2 && names_destination(options)) {
    return fail(ErrorCode::kInvalidArgument,
                "Name the VMs and then the host: drover move web01 host2. For all VMs that run "
                "here: drover move --all {}.",
                printable(options.words.back()));
  }
  std::vector<std::string> vms = vm_words(options);
  if (vms.empty()) return fail(ErrorCode::kInvalidArgument, "No VM was named on standard input.");
  // Disks move where their VM is, so none is there already.
  return expand_patterns(session, names_destination(options) ? options.words.back() : "", vms);
}

Result<Plan> plan_one(const Session& session, const Options& options, FoundVm& found, bool measure,
                      std::vector<PlacedVm>& placed) {
  ASSIGN_OR_RETURN(MoveRequest request, options.request.request(found.vm.uuid, ""));
  request.priority = options.priority;
  request.rehearse = options.rehearse;
  request.measure = request.measure && measure;
  request.hurry = options.yes;  // nobody reads the plan before it is carried out
  std::string words;
  if (options.request.storage())
    words = found.vm.host;
  else if (!options.destination.best)
    words = options.words.back();
  return make_plan(session, found, std::move(request), words, options.destination, placed);
}

// Many are planned side by side: but what is measured would disturb each other, and where hosts are
// chosen each choice counts for the next.
Result<std::vector<Planned>> make_plans(const Session& session, const Options& options,
                                        const std::vector<std::string>& vms) {
  ASSIGN_OR_RETURN(std::vector<FoundVm> found, find_vms(session, vms));
  const bool many = vms.size() > kMeasuredMost;
  std::vector<Planned> plans;
  std::vector<PlacedVm> placed;
  Status all;
  std::atomic<bool> failed = false;
  const auto work = [&](std::size_t i) -> Result<Plan> {
    if (failed) return fail(ErrorCode::kCancelled, "One before it has no plan.");
    return plan_one(session, options, found[i], !many, placed);
  };
  const auto take = [&](std::size_t i, Result<Plan> plan) {
    if (failed) return;
    if (!plan) {
      all = std::unexpected(std::move(plan).error());
      failed = true;
      return;
    }
    if (!session.json) fmt::print("{}{}", plans.empty() ? "" : "\n", plan_text(*plan));
    std::fflush(stdout);
    plans.push_back({std::move(found[i]), std::move(*plan)});
  };
  if (many && !options.destination.best) {
    side_by_side(found.size(), work, take);
  } else {
    for (std::size_t i = 0; i < found.size() && !failed; ++i) take(i, work(i));
  }
  RETURN_IF_ERROR(all);
  return plans;
}

// An error: nothing may be done. A person who says yes has accepted what the plans show.
Status confirm(const std::vector<Planned>& plans, const Options& options, Consent& consent) {
  std::vector<std::string> names;
  bool asking = false;
  for (const Planned& planned : plans) {
    const Decision decision = decide(planned.plan, consent);
    if (decision.verdict == Verdict::kRefuse)
      return fail(ErrorCode::kBlocked, "{}", decision.reason);
    asking = asking || decision.verdict == Verdict::kAsk;
    const bool last = &planned == &plans.back() ||
                      (&planned + 1)->plan.request.destination != planned.plan.request.destination;
    names.push_back(printable(planned.plan.vm.name));
    if (last && !options.request.storage())
      names.back() += " to " + printable(planned.plan.request.destination);
  }
  if (!asking) return {};
  const std::string what = fmt::format("{}", fmt::join(names, ", "));
  const bool storage = options.request.storage();
  const char* act = options.rehearse ? "Rehearse the move of" : "Move";
  if (!ask(fmt::format("\n{} {}{}?", act, storage ? "the disks of " : "", what), Otherwise::kNo)) {
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

void say_started(const Move& move) {
  if (move.queue) {
    fmt::print("Move {} of {} is {}\n", move.id, printable(move.plan.vm.name), phase_words(move));
  } else {
    fmt::print("Move {} has begun. Ctrl-C leaves it running.\n", move.id);
  }
  std::fflush(stdout);
}

// The plan before this one whose move waits in the same host's queue.
std::string plan_before(const std::vector<Planned>& plans, std::size_t index) {
  for (std::size_t i = index; i-- > 0;) {
    if (plans[i].found.vm.host == plans[index].found.vm.host) return plans[i].plan.id;
  }
  return "";
}

// All of them at once, in the order in which they were named. The hosts have changed since the
// plans were made: the daemon looks again, and accepts no more than was accepted here. One that
// cannot start stops no other.
std::vector<Started> start_all(const Session& session, std::vector<Planned>& plans,
                               const Consent& consent, ExitCode& worst) {
  std::vector<Started> started;
  const auto work = [&](std::size_t i) {
    return plans[i].found.client.start_move(
        PlanApproval{plans[i].plan.id, consent.yes, consent.accepted, plan_before(plans, i), ""});
  };
  const auto take = [&](std::size_t i, Result<Move> move) {
    if (!move) {
      fmt::print(stderr, "drover: {} was not moved. {}", printable(plans[i].plan.vm.name),
                 error_text(move.error()));
      worst = exit_code(move.error().code);
      return;
    }
    if (!session.json) say_started(*move);
    started.push_back({std::move(plans[i].found.client), std::move(*move)});
  };
  side_by_side(plans.size(), work, take);
  return started;
}

// The move that goes on after a failed one, to the next candidate. The source begins it within
// moments, or finds that no other candidate takes the VM.
std::optional<Move> continuation(client::ApiClient& client, const Move& failed) {
  if (failed.state != MoveState::kFailed || failed.plan.request.candidates.empty())
    return std::nullopt;
  constexpr int kLooks = 60;
  for (int look = 0; look < kLooks; ++look) {
    for (Move& move : client.moves().value_or(std::vector<Move>{})) {
      if (move.plan.request.continues == failed.id) return std::move(move);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
  }
  return std::nullopt;
}

Result<ExitCode> follow_all(const Session& session, std::vector<Started>& started, ExitCode worst) {
  for (std::size_t i = 0; i < started.size(); ++i) {
    auto& [client, move] = started[i];
    ASSIGN_OR_RETURN(const std::optional<Move> ended, follow(session, client, move));
    if (!ended) {
      for (; i < started.size() && !session.json; ++i) say_it_goes_on(started[i].move);
      return ExitCode::kInterrupted;
    }
    if (!session.json) fmt::print("{}", report_text(*ended, kept_disks(client)));
    if (auto next = continuation(client, *ended)) {
      if (!session.json)
        fmt::print("{} goes on to {}: move {}.\n", printable(next->plan.vm.name),
                   printable(next->destination), next->id);
      move = std::move(*next);
      --i;
      continue;
    }
    const ExitCode code = exit_code(ended->state);
    if (code != ExitCode::kDone && worst != ExitCode::kParked) worst = code;
  }
  return worst;
}

Result<ExitCode> run(const Session& session, const Options& options) {
  RETURN_IF_ERROR(check_priority(options.priority));
  RETURN_IF_ERROR(options.destination.check(false));
  ASSIGN_OR_RETURN(const std::vector<std::string> vms, chosen_vms(session, options));
  ASSIGN_OR_RETURN(std::vector<Planned> plans, make_plans(session, options, vms));
  Consent consent{options.yes, options.accepted, session.can_ask()};
  RETURN_IF_ERROR(confirm(plans, options, consent));
  ExitCode worst = ExitCode::kDone;
  std::vector<Started> started = start_all(session, plans, consent, worst);
  return follow_all(session, started, worst);
}

}  // namespace

void add_move(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "move", "Move running VMs, with their disks, to a host; or disks to another place on theirs");
  command
      ->add_option(
          "VM... DESTINATION", options->words,
          "Names, HOST/NAME, UUIDs or patterns such as 'web*' (\"-\": names on standard input), "
          "then the paired host they shall go to, or several to be tried in order: host2,host3 "
          "(none with --best, --to-storage or --item)")
      // None at all is allowed, as no option is required; with 0 CLI11 takes nothing after "--".
      ->expected(1, -1);
  command->add_flag("--all", options->all,
                    "All VMs that run on the host that is asked; then only DESTINATION is named");
  command
      ->add_option("--label", options->labels,
                   "All running VMs with this label, wherever they are; may be repeated: those "
                   "that have each. Then only DESTINATION is named")
      ->type_name("LABEL")
      ->allow_extra_args(false);
  command
      ->add_option("--priority", options->priority,
                   "In the queue, -100 to 100: higher goes first (0)")
      ->type_name("NUMBER");
  options->destination.add_to(*command);
  options->request.add_to(*command);
  command->add_flag("--rehearse", options->rehearse,
                    "Do everything up to the copy, live with a real QEMU at the destination, and "
                    "undo it; the VM stays here");
  command->add_flag("--yes", options->yes, "Do not ask; notes are accepted, warnings are not");
  command->add_option("--accept", options->accepted, "With --yes: accept the warnings of this code")
      ->type_name("CODE")
      ->allow_extra_args(false);
  command->footer(
      "Shows the plan and asks. Without a terminal and without --yes nothing is done (exit code "
      "2).\n"
      "Blockers are never overridden. Ctrl-C leaves the move running. The old disks are kept for "
      "a\n"
      "while (drover quarantine) unless you say otherwise. A host works on as many moves at once "
      "as\n"
      "its setting live-moves, or storage-moves, says; the others wait: drover queue. Of several\n"
      "hosts the first is taken that can take the VM; if the move fails and the VM is where it\n"
      "was, the next is tried.\n"
      "\n"
      "Examples:\n"
      "  drover move web01 host2\n"
      "  drover move web01 'web 02' host2 --yes\n"
      "  drover move --all host2 --priority 10\n"
      "  drover move --label web host2\n"
      "  drover move web01 host2,host3\n"
      "  drover move web01 --best --among host2,host3\n"
      "  drover move 'web*' host2 --begin 22:00 --window 02:00-04:00\n"
      "  drover move web01 host2 --rehearse\n"
      "  drover move web01 host2 --disks-to /srv/vms --keep-source\n"
      "  drover list --host host1 --names | drover move - host2 --yes\n"
      "  drover move web01 --to-storage /srv/fast\n"
      "  drover move web01 --item vdb=bigpool --yes --accept SAME_DEVICE");
  command->callback([options, &session] {
    options->request.destination_named = options->destination.best || options->all ||
                                         !options->labels.empty() || options->words.size() > 1;
    session.action = [options](Session& s) { return run(s, *options); };
  });
}

}  // namespace drover::cli
