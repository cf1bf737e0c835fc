// SPDX-License-Identifier: Apache-2.0
// drover list: the VMs of all paired hosts.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "commands.h"
#include "display_width.h"
#include "list_text.h"
#include "vm_choice.h"

namespace drover::cli {
namespace {

struct Options {
  std::string host;
  std::vector<std::string> labels;
  bool names = false;
};

// A host without VMs is fine, a host that nobody knows is not.
Status need_host(client::ApiClient& client, const std::string& name) {
  ASSIGN_OR_RETURN(const ServerVersion server, client.version());
  if (server.host == name) return {};
  RETURN_IF_ERROR(client.host(name));
  return {};
}

Result<ExitCode> run(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  if (session.json && options.host.empty() && options.labels.empty()) {
    return print_json(client.raw("GET", session.at.empty() ? "/v1/vms?all=1" : "/v1/vms", ""));
  }
  ASSIGN_OR_RETURN(VmListing listing, client.vms(session.at.empty()));
  if (!options.host.empty()) {
    RETURN_IF_ERROR(keep_host(listing, options.host));
    if (listing.vms.empty()) RETURN_IF_ERROR(need_host(client, options.host));
  }
  std::erase_if(listing.vms, [&](const Vm& vm) { return !has_labels(vm, options.labels); });
  if (session.json) {
    fmt::print("{}\n", listing_json(listing));
  } else if (options.names) {
    for (const std::string& name : unique_names(listing)) fmt::print("{}\n", name);
  } else {
    fmt::print("{}", list_text(listing));
  }
  if (!session.json) fmt::print(stderr, "{}", list_troubles(listing));
  return ExitCode::kDone;
}

}  // namespace

void add_list(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("list", "Show the VMs of all paired hosts");
  command->add_option("--host", options->host, "Only the VMs of this paired host")
      ->type_name("HOST");
  command->add_option("--label", options->labels, "Only VMs with this label; may be repeated")
      ->type_name("LABEL")
      ->allow_extra_args(false);
  command->add_flag("--names", options->names,
                    "Only names, one a line, as drover move - reads them");
  command->footer(
      "Hosts that do not answer are named below the list.\n"
      "\n"
      "Examples:\n"
      "  drover list\n"
      "  drover list --host host2\n"
      "  drover list --label web\n"
      "  drover list --host host1 --names | drover move - host2 --yes");
  command->callback(
      [options, &session] { session.action = [options](Session& s) { return run(s, *options); }; });
}

}  // namespace drover::cli
