// SPDX-License-Identifier: Apache-2.0
// drover export, import and archives: VMs written into folders, and made of them again.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <signal.h>

#include "archive_text.h"
#include "commands.h"
#include "display_width.h"
#include "json/access_json.h"
#include "json/archive_json.h"
#include "model/performance.h"

namespace drover::cli {
namespace {

using namespace std::chrono_literals;

// How long droverd may be away (a restart, an upgrade) before we stop watching.
constexpr auto kDaemonAwayMax = 120s;
// The end of a short one is noticed soon, that of a long one without asking often.
constexpr std::chrono::nanoseconds kLookLeast = 5ms, kLookMost = 200ms;
constexpr int kLooks = 20;  // in the time it has taken so far
constexpr auto kSayInterval = 2s;

struct Options {
  std::string vm, folder, name, disks_to, bandwidth;
  bool as_register = false, as_restore = false, as_copy = false;
  std::vector<std::string> accepted;
  bool yes = false, plan = false, memory = false;
};

// One line, redrawn on a terminal; else a line now and then.
void say(const Session& session, const Archive& job, std::chrono::steady_clock::time_point& said) {
  if (session.json) return;
  const auto now = std::chrono::steady_clock::now();
  if (session.draws()) {
    fmt::print("\r\x1b[K{}", archive_progress(job));
  } else if (now - said >= kSayInterval) {
    fmt::print("{}\n", archive_progress(job));
    said = now;
  }
  std::fflush(stdout);
}

// Until it has ended; nothing: Ctrl-C. It goes on then.
Result<std::optional<Archive>> follow(const Session& session, client::ApiClient& client,
                                      Archive job) {
  sigset_t signals, before;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, &before);
  const auto begun = std::chrono::steady_clock::now();
  auto heard_at = begun, said = begun;
  std::optional<Error> lost;
  bool interrupted = false;
  while (job.state == ArchiveState::kRunning && !interrupted && !lost) {
    const std::chrono::nanoseconds taken = std::chrono::steady_clock::now() - begun;
    const timespec look{0, std::clamp(taken / kLooks, kLookLeast, kLookMost).count()};
    interrupted = ::sigtimedwait(&signals, nullptr, &look) > 0;
    auto now = client.archive(job.id);
    if (now) {
      job = std::move(*now);
      heard_at = std::chrono::steady_clock::now();
      if (job.state == ArchiveState::kRunning) say(session, job, said);
    } else if (now.error().code == ErrorCode::kNotFound ||
               std::chrono::steady_clock::now() - heard_at > kDaemonAwayMax) {
      lost = now.error();
    }
  }
  if (session.draws() && !session.json) fmt::print("\r\x1b[K");
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (lost) return std::unexpected(std::move(*lost));
  if (job.state == ArchiveState::kRunning) return std::nullopt;
  return job;
}

// What of the plan is accepted; an error: nothing may be done.
Result<std::vector<std::string>> confirm(const Session& session, const Options& options,
                                         const Archive& plan) {
  const std::string_view what = plan.request.kind == ArchiveKind::kExport ? "exported" : "imported";
  if (is_blocked(plan)) {
    return fail(ErrorCode::kBlocked, "{} cannot be {}. Nothing was changed.",
                printable(plan.vm_name), what);
  }
  std::vector<std::string> accepted = options.accepted;
  const auto open = open_warnings(plan, accepted);
  if (options.yes) {
    if (open.empty()) return accepted;
    return fail(ErrorCode::kBlocked,
                "--yes does not accept warnings. Nothing was changed. Fix: if they do not matter "
                "for {}, add --accept {}.",
                printable(plan.vm_name), fmt::join(open, " --accept "));
  }
  if (!session.can_ask()) {
    return fail(ErrorCode::kInvalidArgument,
                "Not confirmed, and there is no terminal to ask on. Nothing was changed. To go on: "
                "say --yes.");
  }
  const auto otherwise = open.empty() ? Otherwise::kYes : Otherwise::kNo;
  if (!ask(fmt::format("\nShall it be {}?", what), otherwise))
    return fail(ErrorCode::kInvalidArgument, "Not confirmed. Nothing was changed.");
  accepted.insert(accepted.end(), open.begin(), open.end());
  return accepted;
}

Result<ExitCode> carry_out(const Session& session, const Options& options,
                           client::ApiClient& client, ArchiveRequest request) {
  ASSIGN_OR_RETURN(const Archive plan, client.plan_archive(request));
  if (!session.json) fmt::print("{}", archive_plan_text(plan));
  std::fflush(stdout);
  if (options.plan) {
    if (session.json) fmt::print("{}\n", json::to_json(plan));
    return is_blocked(plan) ? ExitCode::kNotDone : ExitCode::kDone;
  }
  ASSIGN_OR_RETURN(request.accepted_codes, confirm(session, options, plan));
  ASSIGN_OR_RETURN(const Archive job, client.start_archive(request));
  ASSIGN_OR_RETURN(const auto ended, follow(session, client, job));
  if (!ended) {
    if (!session.json) {
      fmt::print(
          "\nIt goes on. To see it: drover archives {}. To end it: drover archives {} "
          "--cancel\n",
          job.id, job.id);
    }
    return ExitCode::kInterrupted;
  }
  if (session.json) {
    fmt::print("{}\n", json::to_json(*ended));
  } else {
    fmt::print("{}", archive_outcome(*ended));
  }
  return ended->state == ArchiveState::kDone ? ExitCode::kDone : ExitCode::kFailed;
}

Result<ExitCode> run_export(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(FoundVm found, find_vm(session, options.vm));
  ArchiveRequest request;
  request.vm = found.vm.uuid;
  request.folder = options.folder;
  request.accepted_codes = options.accepted;
  if (!options.bandwidth.empty()) {
    ASSIGN_OR_RETURN(request.bandwidth, parse_bandwidth(options.bandwidth));
  }
  request.memory = options.memory;
  return carry_out(session, options, found.client, std::move(request));
}

Result<ExitCode> run_import(const Session& session, const Options& options) {
  if (options.as_register + options.as_restore + options.as_copy != 1) {
    return fail(
        ErrorCode::kInvalidArgument,
        "Say what shall become of it: --register (use the images where they lie), --restore "
        "(the same VM, from copies of them) or --copy (another VM).");
  }
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ArchiveRequest request;
  request.kind = ArchiveKind::kImport;
  request.folder = options.folder;
  request.mode = options.as_register  ? ImportMode::kRegister
                 : options.as_restore ? ImportMode::kRestore
                                      : ImportMode::kCopy;
  request.name = options.name;
  request.disks_to = options.disks_to;
  request.accepted_codes = options.accepted;
  return carry_out(session, options, client, std::move(request));
}

struct ListOptions {
  std::string id;
  bool cancel = false, give_up = false;
};

Result<ExitCode> run_archives(const Session& session, const ListOptions& options) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  if (options.id.empty()) {
    if (options.cancel || options.give_up)
      return fail(ErrorCode::kInvalidArgument, "Name the one to end: drover archives ID --cancel");
    ASSIGN_OR_RETURN(const std::vector<Archive> all, client.archives());
    if (session.json) {
      fmt::print("{}\n", json::dump(json::encode_list("archives", all)));
    } else {
      fmt::print("{}", archives_text(all));
    }
    return ExitCode::kDone;
  }
  ASSIGN_OR_RETURN(const Archive job, options.give_up  ? client.give_up_archive(options.id)
                                      : options.cancel ? client.cancel_archive(options.id)
                                                       : client.archive(options.id));
  if (session.json) {
    fmt::print("{}\n", json::to_json(job));
  } else if (options.cancel) {
    fmt::print("It is being cancelled. To see how it ends: drover archives {}\n",
               printable(job.id));
  } else if (options.give_up) {
    fmt::print("Its undo is given up. To see what is left: drover archives {}\n",
               printable(job.id));
  } else {
    fmt::print("{}", archive_text(job));
  }
  return ExitCode::kDone;
}

void add_consent(CLI::App& command, Options& options) {
  command.add_flag("--plan", options.plan, "Only show what it would do");
  command.add_flag("--yes", options.yes, "Do not ask; notes are accepted, warnings are not");
  command.add_option("--accept", options.accepted, "Accept the warnings of this code")
      ->type_name("CODE")
      ->allow_extra_args(false);
}

}  // namespace

void add_export(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("export", "Write a VM, running or off, into a folder of its host");
  command->add_option("VM", options->vm, "Name or UUID")->required();
  command
      ->add_option("FOLDER", options->folder, "Made by this; its parent must be there and allowed")
      ->required();
  command
      ->add_option("--bandwidth", options->bandwidth,
                   "At most so many bytes a second, such as 100M")
      ->type_name("RATE");
  command->add_flag("--memory", options->memory,
                    "With the memory of a running VM, for which it stands still");
  add_consent(*command, *options);
  command->footer(
      "The disks of a running VM are exported as they all were at one instant, as after a loss of\n"
      "power; a VM that is off cannot be started meanwhile, and goes along with the memory that\n"
      "libvirt keeps for it. With --memory a running guest stands still while its memory is\n"
      "written, and what is restored from the folder goes on from there. Ctrl-C leaves the export\n"
      "running. docs/export.md says what is in the folder.\n"
      "\n"
      "Examples:\n"
      "  drover export web01 /srv/exports/web01 --plan\n"
      "  drover export web01 /srv/exports/web01 --yes\n"
      "  drover export web01 /srv/exports/web01-now --memory --yes");
  command->callback([options, &session] {
    session.action = [options](Session& s) { return run_export(s, *options); };
  });
}

void add_import(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("import", "Make a VM out of a folder that an export has written");
  command->add_option("FOLDER", options->folder, "On the host that shall have the VM")->required();
  command->add_flag("--register", options->as_register, "Use the images where they lie");
  command->add_flag("--restore", options->as_restore, "The same VM, from copies of the images");
  command->add_flag(
      "--copy", options->as_copy,
      "Another VM, with a name, UUID and MAC addresses of its own; any number of times");
  command->add_option("--name", options->name, "Of the copy; else NAME-copy, NAME-copy2, ...")
      ->type_name("NAME");
  command->add_option("--to", options->disks_to, "Folder for the copied images")
      ->type_name("FOLDER");
  add_consent(*command, *options);
  command->footer(
      "Every file is compared with the hash in the manifest before the VM is defined. A folder "
      "with\n"
      "a libvirt definition and images but without a manifest is imported, too, unverified "
      "(--accept\n"
      "NOT_VERIFIED). The VM is not started. On another host: --at HOST.\n"
      "\n"
      "Examples:\n"
      "  drover import /srv/exports/web01 --restore\n"
      "  drover import /srv/exports/web01 --copy --name web02 --yes\n"
      "  drover --at host2 import /srv/shared/web01 --register --plan");
  command->callback([options, &session] {
    session.action = [options](Session& s) { return run_import(s, *options); };
  });
}

void add_archives(CLI::App& app, Session& session) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command =
      app.add_subcommand("archives", "Show the exports and imports of a host, or one, or end it");
  command->add_option("ID", options->id, "As the list shows it");
  auto* cancel = command->add_flag("--cancel", options->cancel, "End it; nothing is left of it");
  command
      ->add_flag("--give-up", options->give_up,
                 "End an undo that does not succeed; what is left stays and is named")
      ->excludes(cancel);
  command->footer(
      "Examples:\n  drover archives\n  drover archives k3f9x2qa\n  drover archives k3f9x2qa "
      "--cancel");
  command->callback([options, &session] {
    session.action = [options](Session& s) { return run_archives(s, *options); };
  });
}

}  // namespace drover::cli
