// SPDX-License-Identifier: Apache-2.0
#include "evacuate_folder.h"

#include <algorithm>
#include <cstdio>
#include <optional>

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "consent.h"
#include "display_width.h"
#include "exit_code.h"
#include "follow.h"
#include "json/model_json.h"
#include "move_text.h"
#include "plan_text.h"
#include "table.h"

namespace drover::cli {
namespace {

struct Leaver {
  Vm vm;
  std::vector<std::string> targets;  // of the disks that leave
  std::optional<Plan> plan;
  std::string stays;  // why it does; empty: it moves
};

std::string without_slash(std::string folder) {
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  return folder;
}

Result<std::string> folder_of(client::ApiClient& client, const FolderOptions& options) {
  if (options.pool.empty()) {
    if (!options.folder.starts_with('/'))
      return fail(ErrorCode::kInvalidArgument, "--folder takes an absolute path, not \"{}\".",
                  printable(options.folder));
    return without_slash(options.folder);
  }
  ASSIGN_OR_RETURN(const HostFacts facts, client.host());
  for (const PoolFacts& pool : facts.pools) {
    if (pool.name == options.pool && !pool.path.empty()) return without_slash(pool.path);
  }
  return fail(ErrorCode::kNotFound, "{} has no pool of files that is called {}.",
              printable(facts.name), printable(options.pool));
}

MoveRequest request_of(const Leaver& leaver, const FolderOptions& options) {
  MoveRequest request;
  request.vm = leaver.vm.uuid;
  request.kind = MoveKind::kStorage;
  for (const std::string& target : leaver.targets) request.items.push_back({target, options.to});
  if (options.delete_now) request.disposal = SourceDisposal::kDeleteNow;
  return request;
}

// What cannot go stays, with the reason; it keeps no other from going.
void make_plan(client::ApiClient& client, const FolderOptions& options, Leaver& leaver) {
  auto plan = client.make_plan(request_of(leaver, options));
  if (!plan) {
    leaver.stays = plan.error().message;
    return;
  }
  leaver.plan = std::move(*plan);
  std::vector<std::string> stops;
  for (const Finding& finding : leaver.plan->findings) {
    const bool accepted =
        std::ranges::find(options.accepted, finding.code) != options.accepted.end();
    const bool stops_it = finding.level == FindingLevel::kBlocker ||
                          (finding.level == FindingLevel::kWarning && !accepted);
    if (stops_it) stops.push_back(fmt::format("{} ({})", finding.what, finding.code));
  }
  leaver.stays = fmt::format("{}", fmt::join(stops, " "));
}

ByteCount bytes_of(const Leaver& leaver) {
  ByteCount sum;
  for (const Disk& disk : leaver.vm.disks) {
    if (std::ranges::find(leaver.targets, disk.target) != leaver.targets.end())
      sum += disk.allocated;
  }
  return sum;
}

std::string table_of(const std::vector<Leaver>& leavers) {
  Table table({{"VM"}, {"STATE"}, {"DISKS"}, {"USED", Table::Align::kRight}, {"STAYS BECAUSE"}});
  for (const Leaver& leaver : leavers) {
    table.add({leaver.vm.name, std::string(vm_state_words(leaver.vm.state)),
               fmt::format("{}", fmt::join(leaver.targets, ", ")), to_text(bytes_of(leaver)),
               leaver.stays});
  }
  return table.text();
}

std::string question_about(const FolderOptions& options, std::size_t count,
                           const std::string& folder) {
  return fmt::format("\nMove the disks of {} VM{} from {} to {}?", count, count == 1 ? "" : "s",
                     printable(folder), printable(options.to));
}

// A line for each that has no plan or move to be printed.
void print_stays(const Leaver& leaver) {
  fmt::print("{}\n", nlohmann::json{{"vm", leaver.vm.name},
                                    {"uuid", leaver.vm.uuid},
                                    {"disks", leaver.targets},
                                    {"stays", leaver.stays}}
                         .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

// The daemon keeps a plan for some minutes, and not any number of them: one that is gone is made
// again, and has to be as good.
Result<Move> start(client::ApiClient& client, const FolderOptions& options, Leaver& leaver) {
  const auto begin = [&] {
    return client.start_move(PlanApproval{leaver.plan->id, true, options.accepted, "", ""});
  };
  auto move = begin();
  if (move || move.error().code != ErrorCode::kNotFound) return move;
  make_plan(client, options, leaver);
  if (leaver.stays.empty()) return begin();
  return fail(ErrorCode::kBlocked, "{}", leaver.stays);
}

Result<ExitCode> carry_out(const Session& session, client::ApiClient& client,
                           const FolderOptions& options, std::vector<Leaver>& leavers) {
  ExitCode worst = ExitCode::kDone;
  std::vector<Move> moves;
  for (Leaver& leaver : leavers) {
    if (!leaver.stays.empty()) {
      worst = ExitCode::kFailed;
      if (session.json) print_stays(leaver);
      continue;
    }
    auto move = start(client, options, leaver);
    if (move) {
      moves.push_back(std::move(*move));
      continue;
    }
    if (session.json) {
      leaver.stays = move.error().message;
      print_stays(leaver);
    }
    fmt::print(stderr, "drover: the disks of {} were not moved. {}", printable(leaver.vm.name),
               error_text(move.error()));
    worst = ExitCode::kFailed;
  }
  for (std::size_t i = 0; i < moves.size(); ++i) {
    ASSIGN_OR_RETURN(const auto ended, follow(session, client, moves[i]));
    if (!ended) {
      for (; i < moves.size() && !session.json; ++i) say_it_goes_on(moves[i]);
      return ExitCode::kInterrupted;
    }
    const auto kept = client.quarantine().value_or(std::vector<QuarantinedDisk>{});
    if (!session.json) fmt::print("{}", report_text(*ended, kept));
    const ExitCode code = exit_code(ended->state);
    if (code != ExitCode::kDone && worst != ExitCode::kParked) worst = code;
  }
  return worst;
}

}  // namespace

std::vector<std::string> disks_beneath(const Vm& vm, const std::string& folder) {
  const std::string beneath = folder == "/" ? folder : folder + "/";
  std::vector<std::string> targets;
  for (const Disk& disk : vm.disks) {
    const bool image = disk.device == DiskDevice::kDisk || disk.device == DiskDevice::kLun;
    if (image && disk.path.starts_with(beneath)) targets.push_back(disk.target);
  }
  return targets;
}

Result<ExitCode> evacuate_folder(const Session& session, const FolderOptions& options) {
  if (options.to.empty() || options.to.find(',') != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument,
                "Say where the disks shall go: --to with one folder or pool of {}.",
                printable(options.host));
  }
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect(options.host));
  ASSIGN_OR_RETURN(const std::string folder, folder_of(client, options));
  ASSIGN_OR_RETURN(const VmListing listing, client.vms(false));
  std::vector<Leaver> leavers;
  for (const Vm& vm : listing.vms) {
    Leaver leaver{vm, disks_beneath(vm, folder), {}, ""};
    if (leaver.targets.empty()) continue;
    make_plan(client, options, leaver);
    leavers.push_back(std::move(leaver));
  }
  const auto going = static_cast<std::size_t>(
      std::ranges::count_if(leavers, [](const Leaver& leaver) { return leaver.stays.empty(); }));
  if (session.json && options.plan) {
    for (const Leaver& leaver : leavers) {
      if (leaver.plan) fmt::print("{}\n", json::to_json(*leaver.plan));
      if (!leaver.stays.empty()) print_stays(leaver);
    }
  } else if (!session.json) {
    fmt::print("{}", leavers.empty()
                         ? fmt::format("No disk of a VM lies beneath {}.\n", printable(folder))
                         : table_of(leavers));
  }
  std::fflush(stdout);
  if (options.plan || leavers.empty())
    return going == leavers.size() ? ExitCode::kDone : ExitCode::kNotDone;
  if (going == 0)
    return fail(ErrorCode::kBlocked, "None of these disks can move. Nothing was changed.");
  RETURN_IF_ERROR(confirm(session, options.yes, question_about(options, going, folder)));
  return carry_out(session, client, options, leavers);
}

}  // namespace drover::cli
