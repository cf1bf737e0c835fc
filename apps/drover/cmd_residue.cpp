// SPDX-License-Identifier: Apache-2.0
// drover residue: what a host still has of VMs, from which their next move to it profits: what
// stands in quarantine, and memory (docs/residue.md).
#include <memory>
#include <set>
#include <string>

#include <fmt/core.h>

#include "commands.h"
#include "display_width.h"
#include "move_text.h"

namespace drover::cli {
namespace {

struct Options {
  std::string move;
  bool all = false;
  bool yes = false;
};

Result<ExitCode> list(const Session& session) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  if (session.json) return print_json(client.raw("GET", "/v1/quarantine", ""));
  ASSIGN_OR_RETURN(const std::vector<QuarantinedDisk> disks, client.quarantine());
  fmt::print("{}", quarantine_text(disks));
  return ExitCode::kDone;
}

Status check_words(const Options& options) {
  if (options.all != options.move.empty()) {
    return fail(ErrorCode::kInvalidArgument, "Say either a move or --all. Nothing was deleted.");
  }
  return {};
}

// As for quarantine: asked on a terminal, else --yes.
Status confirm(const Session& session, const Options& options) {
  if (options.yes) return {};
  if (!session.can_ask()) {
    return fail(ErrorCode::kInvalidArgument,
                "Not confirmed, and there is no terminal to ask on. Nothing was deleted. Fix: add "
                "--yes.");
  }
  const std::string what =
      options.all ? "all moves" : fmt::format("move {}", printable(options.move));
  if (ask(fmt::format("Delete what is kept of {} for good?", what), Otherwise::kNo)) return {};
  return fail(ErrorCode::kInvalidArgument, "Not confirmed. Nothing was deleted.");
}

// One that cannot be dropped does not keep the others; the first error is told.
Result<ExitCode> drop(const Session& session, const Options& options) {
  RETURN_IF_ERROR(check_words(options));
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  std::set<std::string> moves{options.move};
  if (options.all) {
    moves.clear();
    ASSIGN_OR_RETURN(const std::vector<QuarantinedDisk> disks, client.quarantine());
    for (const QuarantinedDisk& disk : disks) moves.insert(disk.move_id);
  }
  RETURN_IF_ERROR(confirm(session, options));
  Status first;
  for (const std::string& move : moves) {
    const Status dropped = client.drop_quarantine(move);
    if (!dropped && first) first = dropped;
    if (dropped && !session.json)
      fmt::print("What was kept of move {} is deleted.\n", printable(move));
  }
  RETURN_IF_ERROR(first);
  return session.json ? print_json("{}") : ExitCode::kDone;
}

}  // namespace

void add_residue(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* residue = app.add_subcommand(
      "residue", "Show or delete what makes a VM's next move to this host cheap");
  residue->require_subcommand(1);
  residue->fallthrough();
  residue->footer(
      "A VM that left is cheap to move back while its disks are in quarantine: only what changed\n"
      "travels. With keep-residue = \"disks\" in /etc/drover/droverd.toml the unfinished copy of a "
      "move to\n"
      "this host that failed serves its next attempt likewise. With --keep-residue memory a move\n"
      "leaves the VM's memory too, encrypted, until droverd ends.\n"
      "\n"
      "Examples:\n"
      "  drover residue list\n"
      "  drover residue drop k3f9x2qa --yes\n"
      "  drover residue drop --all --yes");
  CLI::App* listing = residue->add_subcommand("list", "Show what this host keeps");
  listing->footer("Example:\n  drover residue list");
  listing->callback([&session] { session.action = [](Session& s) { return list(s); }; });

  CLI::App* dropping =
      residue->add_subcommand("drop", "Delete it now; kept disks cannot be restored after that");
  dropping->add_option("MOVE", options->move, "The move it is kept from; none with --all");
  dropping->add_flag("--all", options->all, "Of all moves");
  dropping->add_flag("--yes", options->yes, "Do not ask");
  dropping->footer(
      "Examples:\n  drover residue drop k3f9x2qa --yes\n  drover residue drop --all --yes");
  dropping->callback([options, &session] {
    session.action = [options](Session& s) { return drop(s, *options); };
  });
}

}  // namespace drover::cli
