// SPDX-License-Identifier: Apache-2.0
#include "destination_options.h"

#include <algorithm>

#include <fmt/core.h>

#include "display_width.h"
#include "evacuation_text.h"
#include "move_text.h"

namespace drover::cli {
namespace {

// Each host that is not possible, with its first obstacle.
Error nobody_takes(const std::string& vm, const BestChoice& choice) {
  Error error{ErrorCode::kBlocked, Retry::kNever, fmt::format("No host can take {}.", vm), {}};
  for (const HostChoice& host : choice.hosts) {
    if (!host.obstacles.empty())
      error.causes.push_back(fmt::format("{}: {}", host.host, host.obstacles.front().what));
  }
  return error;
}

}  // namespace

Result<std::vector<std::string>> host_list(const std::string& words) {
  std::vector<std::string> hosts;
  std::size_t begin = 0;
  while (begin <= words.size()) {
    const std::size_t end = std::min(words.find(',', begin), words.size());
    const std::string host = words.substr(begin, end - begin);
    if (host.empty()) {
      return fail(ErrorCode::kInvalidArgument, "\"{}\" has an empty name: say host2,host3.",
                  printable(words));
    }
    if (std::ranges::find(hosts, host) != hosts.end()) {
      return fail(ErrorCode::kInvalidArgument, "{} is named twice in \"{}\".", printable(host),
                  printable(words));
    }
    hosts.push_back(host);
    begin = end + 1;
  }
  return hosts;
}

void DestinationOptions::add_to(CLI::App& command) {
  CLI::Option* flag = command.add_flag(
      "--best", best,
      "To the best possible host, instead of naming one; says why, and why not the "
      "others");
  command.add_option("--among", among, "With --best: only these hosts, such as host2,host3")
      ->type_name("HOSTS")
      ->needs(flag);
}

Status DestinationOptions::check(bool named) const {
  if (best && named)
    return fail(ErrorCode::kInvalidArgument, "With --best no destination is named.");
  if (!among.empty()) RETURN_IF_ERROR(host_list(among));
  return {};
}

Result<Plan> make_plan(const Session& session, FoundVm& found, MoveRequest request,
                       const std::string& words, const DestinationOptions& options,
                       std::vector<PlacedVm>& placed) {
  if (!options.best) {
    ASSIGN_OR_RETURN(request.candidates, host_list(words));
    request.destination = request.candidates.front();
    request.candidates.erase(request.candidates.begin());
    return found.client.make_plan(request);
  }
  BestRequest best{std::move(request), {}, placed};
  if (!options.among.empty()) {
    ASSIGN_OR_RETURN(best.among, host_list(options.among));
  }
  ASSIGN_OR_RETURN(BestChoice choice, found.client.best_host(best));
  if (!session.json) fmt::print("{}\n", choice_text(found.vm.name, choice));
  if (!choice.plan) return std::unexpected(nobody_takes(found.vm.name, choice));
  placed.push_back({found.vm.uuid, choice.plan->request.destination});
  return std::move(*choice.plan);
}

}  // namespace drover::cli
