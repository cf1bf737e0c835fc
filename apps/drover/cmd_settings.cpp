// SPDX-License-Identifier: Apache-2.0
// drover settings: shows and changes what a host allows, without a restart.
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "commands.h"
#include "host_text.h"

namespace drover::cli {
namespace {

// [HOST] [KEY=VALUE...]: a first word without "=" is a host.
Result<ExitCode> run(const Session& session, std::vector<std::string> words) {
  std::string host;
  if (!words.empty() && words.front().find('=') == std::string::npos) {
    host = words.front();
    words.erase(words.begin());
  }
  std::vector<SettingChange> changes;
  for (const std::string& word : words) {
    ASSIGN_OR_RETURN(const SettingChange change, setting_change(word));
    changes.push_back(change);
  }
  if (!host.empty()) {
    ASSIGN_OR_RETURN(client::ApiClient asked, session.connect());
    ASSIGN_OR_RETURN(const ServerVersion server, asked.version());
    if (server.host == host) host.clear();
  }
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect(host));
  HostSettings settings;
  if (changes.empty()) {
    ASSIGN_OR_RETURN(settings, client.settings());
  } else {
    ASSIGN_OR_RETURN(settings, client.change_settings(changes));
  }
  if (session.json) return print_json(client.raw("GET", "/v1/settings", ""));
  fmt::print("{}", settings_text(settings));
  return ExitCode::kDone;
}

}  // namespace

void add_settings(CLI::App& app, Session& session) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app.add_subcommand("settings", "Show or change what a host allows");
  command->add_option("[HOST] [KEY=VALUE...]", *words,
                      "A paired host (else this one), then changes: KEY=VALUE, and for lists "
                      "KEY+=VALUE and KEY-=VALUE");
  command->footer(
      "Keys:\n"
      "  incoming          on or off: may VMs move to this host\n"
      "  outgoing          on or off: may VMs move away from this host\n"
      "  default-folder    where disks land that cannot keep their path\n"
      "  allowed-folders   where disks may land, separated by commas\n"
      "  live-moves        how many moves of VMs at once, to and from this host together: 1 to "
      "1000,\n"
      "                    unlimited, or auto: another only while link and processors have room "
      "(2).\n"
      "                    A pair of hosts does what both allow; the rest waits (drover queue). A "
      "lower\n"
      "                    limit ends no move\n"
      "  storage-moves     the same for moves of disks within this host (2)\n"
      "  performance       of moves away from this host: compress (only what the other side "
      "lacks,\n"
      "                    compressed as far as it pays), multilink (the same over several\n"
      "                    connections) or direct (as it is)\n"
      "  bandwidth         bytes a second for all moves away from this host, shared fairly; 100M, "
      "or\n"
      "                    off. Takes effect at once, also for moves under way\n"
      "  convergence       of moves away from this host whose VM outruns the link: pause:SECONDS "
      "it may\n"
      "                    stand still, wait, slow-guest or give-up:SECONDS (drover converge "
      "--help)\n"
      "  networks          where moves may go, separated by commas: 10.77.1.0/24,10.77.2.0/24, or "
      "any.\n"
      "                    Moves to this host are taken in there only; moves away use all that "
      "both\n"
      "                    hosts have, unless they say else. any: the way by which the hosts were\n"
      "                    paired\n"
      "  groups            of VMs here that may lend what their disks hold to VMs which come in "
      "the\n"
      "                    same group (drover move --group), separated by commas, or off. Hosts "
      "that\n"
      "                    move VMs of the group here can then test guesses about its disks' "
      "content\n"
      "  network-disks     that VMs which come here may have, separated by commas, or off: "
      "nbd://HOST,\n"
      "                    nbd://HOST:PORT or nbd://HOST:PORT/EXPORT, the host as their definition "
      "names it;\n"
      "                    likewise iscsi://HOST:PORT/TARGET/LUN, "
      "gluster://HOST:PORT/VOLUME/PATH\n"
      "                    and rbd://HOST:PORT/POOL/IMAGE\n"
      "  residue-max       how much memory of VMs that left with --keep-residue memory is kept "
      "here\n"
      "                    for their way back, all together: 4G, or off\n"
      "  residue-age       for how long: 24h\n"
      "  space-reserve     free space of a file system here below which no further disk is copied "
      "to\n"
      "                    it: the move stands still until there is room: 256M, or off\n"
      "  space-patience    for how long it waits for room before it gives up: 10m\n"
      "  retries           how often a move that leaves and fails for a passing reason is tried "
      "again:\n"
      "                    0 to 20\n"
      "  health-watch      for how long VMs that have left are watched at their destination: 60s, "
      "or off\n"
      "\n"
      "Examples:\n"
      "  drover settings\n"
      "  drover settings host2 allowed-folders+=/srv/vms\n"
      "  drover settings incoming=on outgoing=on\n"
      "  drover settings bandwidth=100M");
  command->callback(
      [words, &session] { session.action = [words](Session& s) { return run(s, *words); }; });
}

}  // namespace drover::cli
