// SPDX-License-Identifier: Apache-2.0
// drover evacuate and drover return: all VMs of a host leave it, and come back.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <signal.h>

#include "commands.h"
#include "destination_options.h"
#include "display_width.h"
#include "evacuate_folder.h"
#include "evacuation_text.h"
#include "json/evacuation_json.h"

namespace drover::cli {
namespace {

using namespace std::chrono_literals;

// How long droverd may be away (a restart, an upgrade) before we stop watching.
constexpr auto kDaemonAwayMax = 120s;

struct Options {
  std::string host;
  EvacuationKind kind = EvacuationKind::kEvacuate;
  std::string to;
  std::string folder, pool;  // that disks leave, within the host; neither: the VMs leave the host
  std::vector<std::string> accepted;
  bool delete_now = false;
  bool yes = false;
  bool plan = false;
  bool status = false;
  bool cancel = false;
};

bool is_return(const Options& options) { return options.kind == EvacuationKind::kReturn; }

void print_json(const Evacuation& job) { fmt::print("{}\n", json::to_json(job)); }

Result<std::optional<Evacuation>> find_job(client::ApiClient& client, const std::string& id) {
  ASSIGN_OR_RETURN(std::vector<Evacuation> jobs, client.evacuations());
  for (Evacuation& job : jobs) {
    if (id.empty() || job.id == id) return std::move(job);
  }
  return std::nullopt;
}

ExitCode code_of(const Evacuation& job) {
  if (job.state == EvacuationState::kRunning) return ExitCode::kDone;
  const bool all = std::ranges::all_of(
      job.vms, [](const Evacuee& vm) { return vm.state == EvacueeState::kMoved; });
  return all ? ExitCode::kDone : ExitCode::kFailed;
}

Result<ExitCode> show_status(const Session& session, const Options& options,
                             client::ApiClient& client) {
  ASSIGN_OR_RETURN(const auto job, find_job(client, ""));
  if (!job) return fail(ErrorCode::kNotFound, "{} was never evacuated.", printable(options.host));
  if (session.json) {
    print_json(*job);
  } else {
    fmt::print("{}", evacuation_text(*job));
  }
  return ExitCode::kDone;
}

Result<ExitCode> cancel(const Session& session, client::ApiClient& client) {
  ASSIGN_OR_RETURN(const Evacuation job, client.cancel_evacuation());
  if (session.json) {
    print_json(job);
  } else if (job.state == EvacuationState::kRunning) {
    fmt::print(
        "No further VM begins to move. Those under way go on: drover moves shows them, drover "
        "cancel MOVE ends one.\n");
  } else {
    fmt::print("{} may be chosen as a destination again.\n", printable(job.host));
  }
  return ExitCode::kDone;
}

// Those that were not there when we last looked. Old ones are dropped at the front.
void print_news(const std::vector<std::string>& events, std::vector<std::string>& seen) {
  std::size_t first = 0;
  while (first < events.size()) {
    // The longest end of what was seen that events begin with stands before the news.
    const std::size_t same = events.size() - first;
    if (same <= seen.size() && std::equal(events.begin(), events.begin() + static_cast<long>(same),
                                          seen.end() - static_cast<long>(same)))
      break;
    ++first;
  }
  for (std::size_t i = events.size() - first; i < events.size(); ++i)
    fmt::print("{}\n", printable(events[i]));
  std::fflush(stdout);
  seen = events;
}

// Until it has ended; nothing: Ctrl-C. It goes on then.
Result<std::optional<Evacuation>> follow(const Session& session, client::ApiClient& client,
                                         Evacuation job) {
  sigset_t signals, before;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, &before);
  auto heard_at = std::chrono::steady_clock::now();
  std::vector<std::string> seen;
  std::optional<Error> lost;
  bool interrupted = false;
  while (job.state == EvacuationState::kRunning && !interrupted && !lost) {
    const timespec second{1, 0};
    interrupted = ::sigtimedwait(&signals, nullptr, &second) > 0;
    auto now = find_job(client, job.id);
    if (now && *now) {
      job = std::move(**now);
      heard_at = std::chrono::steady_clock::now();
    } else if (!now && std::chrono::steady_clock::now() - heard_at > kDaemonAwayMax) {
      lost = now.error();
    }
    if (!session.json) print_news(job.events, seen);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (lost) return std::unexpected(std::move(*lost));
  if (job.state == EvacuationState::kRunning) return std::nullopt;
  return job;
}

std::string question_about(const Options& options, const Evacuation& plan) {
  return is_return(options) ? fmt::format("\nBring these VMs back to {}?", printable(plan.host))
                            : fmt::format("\nEvacuate {}?", printable(plan.host));
}

Result<ExitCode> run(const Session& session, const Options& options) {
  if (!options.folder.empty() || !options.pool.empty()) {
    return evacuate_folder(
        session, {options.host, options.folder, options.pool, options.to, options.accepted,
                  options.delete_now, options.yes, options.plan});
  }
  if (options.delete_now) {
    return fail(ErrorCode::kInvalidArgument,
                "--delete-now is for disks that leave a --folder or --pool of their host.");
  }
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect(options.host));
  if (options.status) return show_status(session, options, client);
  if (options.cancel) return cancel(session, client);
  EvacuationRequest request;
  request.kind = options.kind;
  request.accepted_codes = options.accepted;
  if (!options.to.empty()) {
    ASSIGN_OR_RETURN(request.to, host_list(options.to));
  }
  ASSIGN_OR_RETURN(const Evacuation plan, client.plan_evacuation(request));
  const bool any = std::ranges::any_of(
      plan.vms, [](const Evacuee& vm) { return vm.state != EvacueeState::kStays; });
  if (!session.json) fmt::print("{}", timetable_text(plan));
  std::fflush(stdout);
  if (options.plan) {
    if (session.json) print_json(plan);
    return any || plan.vms.empty() ? ExitCode::kDone : ExitCode::kNotDone;
  }
  if (!any && !plan.vms.empty())
    return fail(ErrorCode::kBlocked, "None of these VMs can move. Nothing was changed.");
  RETURN_IF_ERROR(confirm(session, options.yes, question_about(options, plan)));
  ASSIGN_OR_RETURN(const Evacuation job, client.start_evacuation(request));
  ASSIGN_OR_RETURN(const auto ended, follow(session, client, job));
  if (!ended) {
    if (!session.json)
      fmt::print(
          "It goes on. To see it: drover evacuate {} --status. To end it: drover evacuate "
          "{} --cancel.\n",
          printable(options.host), printable(options.host));
    return ExitCode::kInterrupted;
  }
  if (session.json) {
    print_json(*ended);
  } else {
    fmt::print("\n{}", outcome_text(*ended));
  }
  return code_of(*ended);
}

CLI::App* add(CLI::App& app, Session& session, const std::shared_ptr<Options>& options,
              const char* name, const char* what) {
  CLI::App* command = app.add_subcommand(name, what);
  command->add_option("HOST", options->host, "This host, or a paired one")->required();
  command->add_flag("--plan", options->plan, "Only show what it would do");
  command->add_flag("--yes", options->yes, "Do not ask; notes are accepted, warnings are not");
  command->add_option("--accept", options->accepted, "Accept the warnings of this code")
      ->type_name("CODE")
      ->allow_extra_args(false);
  command->callback(
      [options, &session] { session.action = [options](Session& s) { return run(s, *options); }; });
  return command;
}

}  // namespace

void add_evacuate(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add(app, session, options, "evacuate", "Move all VMs of a host to other hosts");
  command
      ->add_option("--to", options->to,
                   "Only to these hosts, such as host2,host3; with --folder or --pool: the folder "
                   "or pool where disks shall lie")
      ->type_name("HOSTS");
  CLI::Option* folder = command->add_option(
      "--folder", options->folder, "Only disks leave this folder, and VMs stay on the host");
  folder->type_name("FOLDER");
  CLI::Option* pool =
      command->add_option("--pool", options->pool, "Likewise, of a libvirt pool of files");
  pool->type_name("POOL")->excludes(folder);
  command->add_flag("--delete-now", options->delete_now,
                    "With --folder or --pool: delete the old disks once the new ones are in use");
  CLI::Option* status = command->add_flag(
      "--status", options->status, "Show the evacuation or return that goes on, or the last");
  command
      ->add_flag("--cancel", options->cancel,
                 "Let no further VM begin to move; after the end: let the host take VMs again")
      ->excludes(status)
      ->excludes(folder)
      ->excludes(pool);
  status->excludes(folder)->excludes(pool);
  command->footer(
      "Shows the timetable, and what cannot move and why; then asks. Its VMs wait in the host's "
      "own\n"
      "queue and under its limits. If a host drops out or a move fails, the rest is planned anew.\n"
      "The host itself carries it out: the command only watches, and Ctrl-C leaves it running. A\n"
      "VM that comes to the host meanwhile leaves it too. From the start on until drover return "
      "or\n"
      "--cancel no plan chooses the host as a destination. Exit code 1: some VMs have stayed.\n"
      "\n"
      "With --folder or --pool each VM with disks there is moved by a storage move of its own, "
      "running\n"
      "or off, under the host's setting storage-moves; the queue shows them. The old disks stay "
      "there\n"
      "in quarantine, unless you say --delete-now.\n"
      "\n"
      "Examples:\n"
      "  drover evacuate host1 --plan\n"
      "  drover evacuate host1\n"
      "  drover evacuate host1 --to host2,host3 --yes\n"
      "  drover evacuate host1 --folder /srv/old --to /srv/new\n"
      "  drover evacuate host1 --status\n"
      "  drover evacuate host1 --cancel");
}

void add_return(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  options->kind = EvacuationKind::kReturn;
  CLI::App* command = add(app, session, options, "return",
                          "Bring the VMs back that have left a host by an evacuation");
  command->footer(
      "Wherever they are now. It is shown, cancelled and carried out as an evacuation: drover\n"
      "evacuate HOST --status. The host takes VMs again from then on.\n"
      "\n"
      "Examples:\n"
      "  drover return host1 --plan\n"
      "  drover return host1 --yes");
}

}  // namespace drover::cli
