// SPDX-License-Identifier: Apache-2.0
// Prints the server's routes and the members it writes, for openapi_check.py:
// {"routes":[...],"shapes":{...}}.
#include <cstdio>

#include "api/routes.h"
#include "json/access_json.h"
#include "json/archive_json.h"
#include "json/evacuation_json.h"
#include "json/fit_json.h"

namespace {

using namespace drover;
using Json = nlohmann::json;

// A value with every optional member set.
Move full_move() {
  Move move;
  move.error.emplace();
  move.queue.emplace().not_before = move.started_at;
  move.queue->expected_at = move.started_at;
  move.attempts.emplace_back();
  move.resolution.emplace();
  move.health.emplace().first.emplace().clock_ahead_ms = 1;
  move.health->before.clock_ahead_ms = 1;
  move.health->first->interfaces.emplace_back();
  move.plan.request.retries = 1;
  move.phases.push_back({Phase::kPlan, {}, move.started_at});
  move.progress.left_least = move.progress.left_most = std::chrono::milliseconds(1);
  move.report.emplace().pause = std::chrono::milliseconds(1);
  move.report->kinds.emplace();
  move.report->proof.emplace();
  move.report->passes.emplace_back();
  move.plan.request.performance = Performance::kDirect;
  move.plan.request.parallel_connections = 2;
  move.plan.request.convergence.emplace();
  move.plan.request.begin_at.emplace();
  move.plan.request.window.emplace();
  move.progress.warning.emplace();
  move.plan.request.networks.emplace();
  move.plan.request.group = "web";
  move.plan.request.kind = MoveKind::kStorage;
  move.plan.request.media = Media::kEject;
  move.plan.request.items.emplace_back();
  move.plan.request.format = "qcow2";
  move.plan.request.allocation = Allocation::kThin;
  move.plan.request.interfaces.emplace_back();
  move.plan.request.candidates = {"host3"};
  move.plan.request.passed = {"host2: It does not answer."};
  move.plan.request.continues = "k3f9x2qa";
  move.plan.networks.emplace_back();
  move.plan.forecast.emplace().strategies.emplace_back();
  move.plan.forecast->dirty_rate.emplace();
  move.report->networks.emplace_back();
  move.ended_at = move.started_at;
  move.plan.findings.emplace_back();
  move.plan.placements.emplace_back().allocation = Allocation::kThin;
  move.plan.vm.disks.emplace_back().layers.emplace_back();
  move.plan.vm.checkpoints.emplace_back();
  move.plan.files.emplace_back();
  return move;
}

}  // namespace

int main() {
  Json all = Json::array();
  for (const auto& route : api::routes()) {
    if (route.who != api::Who::kUser) continue;
    all.push_back({{"method", route.method}, {"path", route.pattern}, {"query", route.query}});
  }
  const Json move = json::encode(full_move());
  HostFacts facts;
  facts.pools.emplace_back();
  facts.networks.addresses.emplace_back();
  facts.networks.links.emplace_back();
  facts.clock.emplace();
  const Json host = json::encode(facts);
  QuarantinedDisk disk;
  disk.until = disk.since;
  Json request = move["plan"]["request"];
  for (const char* name : {"requested_by", "passed", "continues"}) request.erase(name);
  BestChoice choice;
  choice.hosts.emplace_back();
  choice.plan.emplace();
  Evacuee evacuee;
  evacuee.starts_in = evacuee.ends_in = std::chrono::milliseconds(1);
  Evacuation evacuation;
  evacuation.ended_at = evacuation.started_at;
  AppliedFix fix;
  fix.undone_at = fix.applied_at;
  VmMobility mobile;
  mobile.change.emplace();
  Archive archive;
  archive.error.emplace();
  archive.ended_at = archive.started_at;
  ArchiveRequest import;
  import.kind = ArchiveKind::kImport;
  Json archived = json::encode(archive);
  archived.update(Json::parse(json::request_body(import)));
  const Json shapes{{"Error", move["error"]},
                    {"Version", json::encode(ServerVersion{})},
                    {"HostSettings", host["settings"]},
                    {"SettingChange", json::encode(SettingChange{})},
                    {"NetworkFacts", host["networks"]},
                    {"HostAddress", host["networks"]["addresses"][0]},
                    {"LinkFacts", host["networks"]["links"][0]},
                    {"PoolFacts", host["pools"][0]},
                    {"HostFacts", host},
                    {"PeerRights", json::encode(PeerRights{})},
                    {"HostEntry", json::encode(HostEntry{})},
                    {"HostAddition", json::encode(HostAddition{})},
                    {"InviteRequest", json::encode(InviteRequest{})},
                    {"Invite", json::encode(Invite{})},
                    {"Token", json::encode(Token{})},
                    {"NewToken", json::encode(NewToken{})},
                    {"DiskLayer", move["plan"]["vm"]["disks"][0]["layers"][0]},
                    {"Checkpoint", move["plan"]["vm"]["checkpoints"][0]},
                    {"Disk", move["plan"]["vm"]["disks"][0]},
                    {"Vm", move["plan"]["vm"]},
                    {"UnreachableHost", json::encode(UnreachableHost{})},
                    {"SessionVm", json::encode(SessionVm{})},
                    {"VmListing", json::encode(VmListing{})},
                    {"ItemPlace", request["items"][0]},
                    {"InterfacePlace", request["interfaces"][0]},
                    {"MoveRequest", request},
                    {"PlannedRequest", move["plan"]["request"]},
                    {"Finding", move["plan"]["findings"][0]},
                    {"AppliedFix", json::encode(fix)},
                    {"CpuCompat", json::encode(CpuCompat{})},
                    {"Mobility", json::encode(Mobility{})},
                    {"VmMobility", json::encode(mobile)},
                    {"MobilityPlace", json::encode(MobilityPlace{})},
                    {"MobilityChange", json::encode(*mobile.change)},
                    {"DiskPlacement", move["plan"]["placements"][0]},
                    {"FilePlacement", move["plan"]["files"][0]},
                    {"NetworkPair", move["plan"]["networks"][0]},
                    {"Forecast", move["plan"]["forecast"]},
                    {"StrategyForecast", move["plan"]["forecast"]["strategies"][0]},
                    {"Plan", move["plan"]},
                    {"QueuePlace", move["queue"]},
                    {"Attempt", move["attempts"][0]},
                    {"Resolution", move["resolution"]},
                    {"Health", move["health"]},
                    {"HealthBefore", move["health"]["before"]},
                    {"GuestSigns", move["health"]["first"]},
                    {"InterfaceSigns", move["health"]["first"]["interfaces"][0]},
                    {"PhaseTimes", move["phases"][0]},
                    {"TransferProgress", move["progress"]["disks"]},
                    {"Progress", move["progress"]},
                    {"Report", move["report"]},
                    {"NetworkTraffic", move["report"]["networks"][0]},
                    {"TransferKinds", move["report"]["kinds"]},
                    {"MemoryPass", move["report"]["passes"][0]},
                    {"Proof", move["report"]["proof"]},
                    {"Move", move},
                    {"BestRequest", Json::parse(json::request_body(BestRequest{}))},
                    {"PlacedVm", json::encode(PlacedVm{})},
                    {"BestChoice", json::encode(choice)},
                    {"HostChoice", json::encode(choice.hosts[0])},
                    {"EvacuationRequest", Json::parse(json::request_body(EvacuationRequest{}))},
                    {"Evacuation", json::encode(evacuation)},
                    {"Evacuee", json::encode(evacuee)},
                    {"ExportRequest", Json::parse(json::request_body(ArchiveRequest{}))},
                    {"ImportRequest", Json::parse(json::request_body(import))},
                    {"Archive", archived},
                    {"ArchiveItem", json::encode(ArchiveItem{})},
                    {"QuarantinedDisk", json::encode(disk)}};
  std::puts(Json{{"routes", all}, {"shapes", shapes}}.dump().c_str());
  return 0;
}
