// SPDX-License-Identifier: Apache-2.0
// drover host: pairing and what paired hosts may do here.
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "commands.h"
#include "display_width.h"
#include "host_text.h"
#include "time_words.h"

namespace drover::cli {
namespace {

struct Options {
  std::string name;
  std::string address;
  std::string code;
  std::vector<std::string> allow;
  bool no_moves = false;
  bool names = false;
};

// Pairing grants send and receive; --allow adds to them.
Result<PeerRights> granted(const Options& options) {
  ASSIGN_OR_RETURN(PeerRights rights, rights_from_words(options.allow));
  rights.send = true;
  rights.receive = true;
  return rights;
}

// Moves are off until somebody wants them; who pairs hosts does. Asked where there is a person.
Result<bool> wants_moves_on(const Session& session, client::ApiClient& client,
                            const Options& options) {
  if (options.no_moves) return false;
  ASSIGN_OR_RETURN(const HostSettings settings, client.settings());
  if (settings.incoming && settings.outgoing) return false;
  return !session.can_ask() ||
         ask("Moves from and to this host are off. Turn them on?", Otherwise::kYes);
}

constexpr const char* kMovesOn =
    "Moves from and to this host are on now (drover settings incoming=off outgoing=off ends "
    "that).\n";

Result<ExitCode> invite(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  InviteRequest request;
  ASSIGN_OR_RETURN(request.rights, granted(options));
  request.name = options.name;
  ASSIGN_OR_RETURN(const Invite made, client.invite(request));
  ASSIGN_OR_RETURN(const bool moves_on, wants_moves_on(session, client, options));
  if (moves_on) {
    using Op = SettingChange::Op;
    RETURN_IF_ERROR(
        client.change_settings({{"incoming", Op::kSet, "on"}, {"outgoing", Op::kSet, "on"}}));
    if (!session.json) fmt::print("{}", kMovesOn);
  }
  if (session.json) {
    fmt::print("{}\n", invite_json(made));
  } else {
    fmt::print("Run this on the other host, before {}; the code works once:\n\n  {}\n\n",
               moment_words(made.expires_at), made.line);
  }
  return ExitCode::kDone;
}

Result<ExitCode> add(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  HostAddition addition{options.address, options.code, options.name, {}, false};
  ASSIGN_OR_RETURN(addition.rights, granted(options));
  ASSIGN_OR_RETURN(addition.enable_moves, wants_moves_on(session, client, options));
  ASSIGN_OR_RETURN(const HostEntry host, client.add_host(addition));
  if (session.json)
    return print_json(client.raw("GET", "/v1/hosts/" + path_part(host.peer.name), ""));
  fmt::print("Paired with {} at {}. It may here: {}.\n", printable(host.peer.name),
             printable(host.peer.address), rights_words(host.peer.rights));
  if (addition.enable_moves) fmt::print("{}", kMovesOn);
  return ExitCode::kDone;
}

Result<ExitCode> list(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  if (session.json) return print_json(client.raw("GET", "/v1/hosts", ""));
  ASSIGN_OR_RETURN(const std::vector<HostEntry> hosts, client.hosts());
  if (!options.names) fmt::print("{}", hosts_text(hosts));
  for (const HostEntry& host : hosts) {
    if (options.names) fmt::print("{}\n", printable(host.peer.name));
  }
  return ExitCode::kDone;
}

Result<ExitCode> remove(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  RETURN_IF_ERROR(client.remove_host(options.name));
  if (session.json) return print_json("{}");
  fmt::print(
      "{} is no longer paired with this host; it and the others were told where they answer.\n",
      printable(options.name));
  return ExitCode::kDone;
}

Result<ExitCode> approve(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(const HostEntry host, client.approve_host(options.name));
  if (session.json)
    return print_json(client.raw("GET", "/v1/hosts/" + path_part(options.name), ""));
  fmt::print("{} is paired with this host now. It may here: {}.\n", printable(host.peer.name),
             rights_words(host.peer.rights));
  return ExitCode::kDone;
}

Result<ExitCode> rights(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(HostEntry host, client.host(options.name));
  if (!options.allow.empty()) {
    ASSIGN_OR_RETURN(const PeerRights wanted, rights_from_words(options.allow, host.peer.rights));
    ASSIGN_OR_RETURN(host, client.set_rights(options.name, wanted));
  }
  if (session.json)
    return print_json(client.raw("GET", "/v1/hosts/" + path_part(options.name), ""));
  fmt::print("{} may here: {}.\n", printable(host.peer.name), rights_words(host.peer.rights));
  return ExitCode::kDone;
}

using Run = Result<ExitCode> (*)(const Session&, const Options&);

// One subcommand of host, with options of its own.
struct Subcommand {
  CLI::App* app;
  std::shared_ptr<Options> options;
};

Subcommand add_subcommand(CLI::App& host, Session& session, const char* name, const char* what,
                          Run run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = host.add_subcommand(name, what);
  command->callback([options, run, &session] {
    session.action = [options, run](Session& s) { return run(s, *options); };
  });
  return {command, options};
}

void add_pairing_options(const Subcommand& command) {
  command.app->add_option("--name", command.options->name, "What to call the other host here")
      ->type_name("NAME");
  command.app
      ->add_option("--allow", command.options->allow,
                   "Further rights of the other host here: command (start jobs here), introduce "
                   "(add further hosts)")
      ->type_name("RIGHT,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.app->add_flag("--no-moves", command.options->no_moves,
                        "Leave moves from and to this host off where they are off");
}

void add_host_name(const Subcommand& command) {
  command.app->add_option("HOST", command.options->name, "Our name for it")->required();
}

}  // namespace

void add_host(CLI::App& app, Session& session) {
  CLI::App* host = app.add_subcommand("host", "Pair hosts, and say what they may do here");
  host->require_subcommand(1);
  host->fallthrough();
  host->footer(
      "Examples:\n"
      "  drover host invite                 on host1; prints the line to paste on host2\n"
      "  drover host add host1 CODE         on host2\n"
      "  drover host list");

  const auto inviting =
      add_subcommand(*host, session, "invite", "Print the line that pairs another host", invite);
  add_pairing_options(inviting);
  inviting.app->footer("Example:\n  drover host invite --allow command");

  const auto adding =
      add_subcommand(*host, session, "add", "Pair with a host that invited us", add);
  adding.app->add_option("ADDRESS", adding.options->address, "Where the other host answers")
      ->required();
  adding.app->add_option("CODE", adding.options->code, "The code that its invite printed")
      ->required();
  add_pairing_options(adding);
  adding.app->footer("Example:\n  drover host add 10.0.0.1 CODE --name host1");

  const auto listing = add_subcommand(*host, session, "list", "Show the paired hosts", list);
  listing.app->add_flag("--names", listing.options->names, "Only names, one a line");
  listing.app->footer("Example:\n  drover host list");

  const auto removing = add_subcommand(
      *host, session, "remove", "End the pairing with a host, here and on the others", remove);
  add_host_name(removing);
  removing.app->footer("Example:\n  drover host remove host3");

  const auto approving = add_subcommand(*host, session, "approve",
                                        "Accept a host that another one introduced", approve);
  add_host_name(approving);
  approving.app->footer("Example:\n  drover host approve host3");

  const auto granting =
      add_subcommand(*host, session, "rights", "Show or set what a host may do here", rights);
  add_host_name(granting);
  granting.app
      ->add_option(
          "RIGHT", granting.options->allow,
          "Exactly these: send (move VMs to us), receive (get VMs from us), command (start "
          "jobs here), introduce (add hosts), or none")
      ->delimiter(',');
  granting.app->footer(
      "Examples:\n  drover host rights host2\n  drover host rights host2 +command\n"
      "  drover host rights host2 send,receive");
  add_host_networks(*host, session);
}

}  // namespace drover::cli
