// SPDX-License-Identifier: Apache-2.0
// drover quarantine: the disks that a host keeps after their VM left.
#include <memory>
#include <string>

#include <fmt/core.h>

#include "commands.h"
#include "display_width.h"
#include "move_text.h"

namespace drover::cli {
namespace {

struct Options {
  std::string move;
  bool yes = false;
};

Result<ExitCode> list(const Session& session) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  if (session.json) return print_json(client.raw("GET", "/v1/quarantine", ""));
  ASSIGN_OR_RETURN(const std::vector<QuarantinedDisk> disks, client.quarantine());
  fmt::print("{}", quarantine_text(disks));
  return ExitCode::kDone;
}

Result<ExitCode> restore(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  RETURN_IF_ERROR(client.restore_quarantine(options.move));
  if (session.json) return print_json("{}");
  fmt::print("The disks of move {} are back at their places.\n", printable(options.move));
  return ExitCode::kDone;
}

// Deleting is for good, so it follows the rule of moves: asked on a terminal, else --yes.
Status confirm_drop(const Session& session, const Options& options) {
  if (options.yes) return {};
  if (!session.can_ask()) {
    return fail(ErrorCode::kInvalidArgument,
                "Not confirmed, and there is no terminal to ask on. Nothing was deleted. Fix: add "
                "--yes.");
  }
  if (ask(fmt::format("Delete the kept disks of move {} for good?", printable(options.move)),
          Otherwise::kNo)) {
    return {};
  }
  return fail(ErrorCode::kInvalidArgument, "Not confirmed. Nothing was deleted.");
}

Result<ExitCode> drop(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  RETURN_IF_ERROR(confirm_drop(session, options));
  RETURN_IF_ERROR(client.drop_quarantine(options.move));
  if (session.json) return print_json("{}");
  fmt::print("The kept disks of move {} are deleted.\n", printable(options.move));
  return ExitCode::kDone;
}

}  // namespace

void add_quarantine(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* quarantine =
      app.add_subcommand("quarantine", "Show, restore or delete disks kept after a move");
  quarantine->require_subcommand(1);
  quarantine->fallthrough();
  quarantine->footer(
      "Examples:\n"
      "  drover quarantine list\n"
      "  drover quarantine restore k3f9x2qa\n"
      "  drover quarantine drop k3f9x2qa --yes\n"
      "  drover --at host2 quarantine list");
  CLI::App* listing = quarantine->add_subcommand("list", "Show the disks that this host keeps");
  listing->footer("Example:\n  drover quarantine list");
  listing->callback([&session] { session.action = [](Session& s) { return list(s); }; });

  CLI::App* restoring = quarantine->add_subcommand(
      "restore", "Put kept disks back; refused while their VM runs elsewhere");
  restoring->add_option("MOVE", options->move, "The move they are kept from")->required();
  restoring->footer("Example:\n  drover quarantine restore k3f9x2qa");
  restoring->callback([options, &session] {
    session.action = [options](Session& s) { return restore(s, *options); };
  });

  CLI::App* dropping = quarantine->add_subcommand("drop", "Delete kept disks now");
  dropping->add_option("MOVE", options->move, "The move they are kept from")->required();
  dropping->add_flag("--yes", options->yes, "Do not ask");
  dropping->footer("Example:\n  drover quarantine drop k3f9x2qa --yes");
  dropping->callback([options, &session] {
    session.action = [options](Session& s) { return drop(s, *options); };
  });
}

}  // namespace drover::cli
