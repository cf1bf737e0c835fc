// SPDX-License-Identifier: Apache-2.0
// The road of a move to another host: its links over one or several networks, and its share of the
// bandwidth.
#include <algorithm>
#include <thread>

#include "base/log.h"
#include "move/peer_move.h"
#include "mover/limits.h"
#include "preflight/codes.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookInterval = 1000ms;  // at the links that are up, and at the bandwidth
constexpr auto kFirstDialLimit = 5s;
constexpr auto kDialLimit = 3s;
constexpr unsigned kLinksOfAPathMax = 4;
// Half of what a mover takes (docs/mover_protocol.md, "Limits"): a lost link may overlap its
// successor.
constexpr unsigned kLinksWantedMax = 8;

// A further link is worth its thread only if there is a processor for it.
unsigned links_by_processors() {
  return std::clamp(std::thread::hardware_concurrency() / 2, 1u, kLinksOfAPathMax);
}

}  // namespace

bool is_spared_by_plan(const Plan& plan) {
  return std::ranges::any_of(plan.findings, [](const Finding& finding) {
    return finding.code == preflight::code_name(preflight::Code::kResidueUsed) ||
           finding.code == preflight::code_name(preflight::Code::kGroupUsed);
  });
}

// As asked for, or as this host's settings say.
RoadOptions PeerMove::road_options() const {
  const auto& asked = job_.move.plan.request;
  RoadOptions road;
  road.performance = asked.performance.value_or(world_.book.settings().performance);
  road.references = asked.references;
  road.bandwidth = bandwidth_told_;
  road.memory_waits = is_spared_by_plan(job_.move.plan);
  const BytesPerSecond link =
      job_.move.plan.forecast ? job_.move.plan.forecast->link_rate : BytesPerSecond{};
  // On a link that was measured as fast a mover would name nothing, whatever the plan promised.
  if (!road.memory_waits || link.value < mover::kSlowLinkBytesPerSecond) road.link = link;
  return road;
}

// Its share changes with the settings, and with the other moves that begin and end.
void PeerMove::keep_bandwidth() {
  if (!bandwidth_) bandwidth_.emplace(world_.bandwidth, job_.move.plan.request.bandwidth);
  BytesPerSecond share = bandwidth_->share(world_.book.settings().bandwidth);
  if (bandwidth_most_.value > 0 && (share.value == 0 || bandwidth_most_ < share))
    share = bandwidth_most_;
  if (share == bandwidth_told_ && !bandwidth_unsure_) return;
  // Before the carriers are there, they are started with it.
  bandwidth_unsure_ = carriers_ && !carriers_->set_bandwidth(share);
  bandwidth_told_ = share;
}

// One a network of the plan. A plan of before there were networks has the way of the pairing only.
std::size_t PeerMove::path_count() const {
  return std::max<std::size_t>(job_.move.plan.networks.size(), 1);
}

Result<std::vector<LinkPath>> PeerMove::paths() const {
  ASSIGN_OR_RETURN(const Peer peer, world_.book.find_peer(job_.move.destination));
  std::vector<LinkPath> paths;
  for (const auto& pair : job_.move.plan.networks) {
    // The pairing may have got another address since.
    if (pair.network == kAnyNetwork) continue;
    paths.push_back({pair.source_address, {pair.destination_address, peer.mover_port}});
  }
  if (paths.empty()) paths.push_back({{}, {peer.address, peer.mover_port}});
  return paths;
}

// On each path as many as multilink has, or one, and one more as long as a link's own thread is
// what holds the move up.
unsigned PeerMove::links_wanted() const {
  const auto most = std::max<unsigned>(kLinksWantedMax / static_cast<unsigned>(path_count()), 1);
  const bool many = road_options().performance == Performance::kMultilink;
  return std::min(many ? kLinksOfAPathMax : 1 + links_added_, most);
}

// A move begins with the first link that is there; a network that is cut just then does not matter
// if there is another.
Status PeerMove::first_link() {
  keeper_.emplace(job_.move.epoch, path_count());
  ASSIGN_OR_RETURN(const auto ways, paths());
  keeper_->keep(ways, {}, 1, kFirstDialLimit);
  Status outcome =
      fail(ErrorCode::kUnavailable, "No link to {} was dialled.", job_.move.destination);
  bool is_first = true;
  while (auto dialled = keeper_->next(Deadline::after(kFirstDialLimit * 2))) {
    Status linked = use(std::move(*dialled));
    if (linked) return linked;
    // Of several failures the one of the network that was named first.
    if (std::exchange(is_first, false)) outcome = std::move(linked);
  }
  return outcome;
}

Status PeerMove::use(DialledLink dialled) {
  if (!dialled.link) {
    log::warning("Move {}: {}", job_.move.id, dialled.link.error().text());
    return std::unexpected(std::move(dialled.link).error());
  }
  return carriers_->add_link(dialled.number, std::move(*dialled.link));
}

// A move without a link stalls; it does not fail until the mover's patience is over. One whose
// mover ended with the droverd before this one has no road any more, and only asks.
void PeerMove::keep_links() {
  if (!keeper_ || !carriers_) return;
  while (auto dialled = keeper_->next(Deadline::after(0ms))) {
    if (auto linked = use(std::move(*dialled)); !linked) continue;
  }
  if (!next_look_.expired() || !carriers_->mover_alive()) return;
  next_look_ = Deadline::after(kLookInterval);
  keep_bandwidth();
  const auto wire = carriers_->wire_count();
  if (!wire) return;
  wire_ = *wire;
  if (wire->saturated && 1 + links_added_ < links_by_processors()) ++links_added_;
  const auto ways = paths();
  if (ways) keeper_->keep(*ways, wire->up, links_wanted(), kDialLimit);
  // After the dialling has begun: where the network is cut this question takes seconds as well.
  if (wire->up.empty()) links_are_down();
}

std::vector<NetworkTraffic> PeerMove::network_traffic() const {
  std::vector<NetworkTraffic> traffic;
  for (const auto& pair : job_.move.plan.networks) traffic.push_back({pair.network, {}});
  for (const auto& [number, carried] : wire_.carried) {
    if (!traffic.empty()) traffic[path_of(number, traffic.size())].wire += carried;
  }
  return traffic;
}

}  // namespace drover::move
