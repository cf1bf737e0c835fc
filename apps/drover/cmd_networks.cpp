// SPDX-License-Identifier: Apache-2.0
// drover host networks: where interfaces of VMs are plugged in at another host.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "client/fit_client.h"
#include "commands.h"
#include "display_width.h"
#include "json/access_json.h"
#include "request_options.h"
#include "table.h"

namespace drover::cli {
namespace {

struct Options {
  std::string host;
  std::vector<std::string> places;
  std::vector<std::string> forget;
};

void put(std::vector<InterfacePlace>& places, const InterfacePlace& place) {
  const auto known = std::ranges::find(places, place.from, &InterfacePlace::from);
  if (known == places.end())
    places.push_back(place);
  else
    *known = place;
}

Result<ExitCode> run(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(auto places, client::interface_places(client, options.host));
  ASSIGN_OR_RETURN(const auto wanted, parse_interface_places(options.places));
  for (const auto& place : wanted) put(places, place);
  for (const auto& from : options.forget) {
    if (std::erase_if(places, [&](const auto& place) { return place.from == from; }) == 0) {
      return fail(ErrorCode::kNotFound, "Of {} nothing is remembered for {}.",
                  printable(options.host), printable(from));
    }
  }
  if (!wanted.empty() || !options.forget.empty()) {
    ASSIGN_OR_RETURN(places, client::set_interface_places(client, options.host, places));
  }
  if (session.json) {
    fmt::print("{}\n", json::dump(json::encode_list("interfaces", places)));
  } else if (places.empty()) {
    fmt::print("Of {} nothing is remembered: interfaces go where the definition says.\n",
               printable(options.host));
  } else {
    Table table({{"INTERFACE"}, {fmt::format("AT {}", printable(options.host))}});
    for (const auto& place : places) table.add({place.from, place.to});
    fmt::print("{}", table.text());
  }
  return ExitCode::kDone;
}

}  // namespace

void add_host_networks(CLI::App& host, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* command = host.add_subcommand(
      "networks",
      "Show or set where VMs are plugged in at a host, as is remembered of moves there");
  command->add_option("HOST", options->host, "Our name for it")->required();
  command->add_option("FROM=TO", options->places,
                      "An interface's MAC, or the network or bridge it is on here, and its network "
                      "or bridge there; network:NAME and bridge:NAME say which");
  command->add_option("--forget", options->forget, "Do not remember this one any more")
      ->type_name("FROM")
      ->allow_extra_args(false);
  command->footer(
      "A move with --network is remembered here by itself, and so is the way back, there.\n"
      "\n"
      "Examples:\n"
      "  drover host networks host2\n"
      "  drover host networks host2 lan=prod\n"
      "  drover host networks host2 --forget lan");
  command->callback(
      [options, &session] { session.action = [options](Session& s) { return run(s, *options); }; });
}

}  // namespace drover::cli
