// SPDX-License-Identifier: Apache-2.0
#include "place/peer_side.h"

#include "base/log.h"
#include "move/job.h"
#include "move/peer_messages.h"
#include "place/real_ground.h"
#include "place/verbs.h"

namespace drover::place {
namespace {

constexpr int kJobsLookedAt = 1000;

}  // namespace

Result<std::string> PeerSide::handle(std::string_view peer_name, std::string_view verb,
                                     std::string_view body) {
  if (verb == verb::kCapacity) {
    ASSIGN_OR_RETURN(const Capacity capacity, capacity_());
    return to_json(capacity);
  }
  if (verb == verb::kBring) {
    ASSIGN_OR_RETURN(const Peer peer, world_.book.find_peer(peer_name));
    return bring(peer, body);
  }
  if (verb == verb::kBrought) {
    ASSIGN_OR_RETURN(const Move move, brought(peer_name, body));
    return to_json(view_of(move));
  }
  if (verb == verb::kUnbring) {
    ASSIGN_OR_RETURN(const Move move, brought(peer_name, body));
    RETURN_IF_ERROR(recall_waiting(engine_, move.id));
    return to_json(view_of(move));
  }
  return others_.handle(peer_name, verb, body);
}

// The newest move that brought the VM here.
bool PeerSide::came_from(std::string_view vm_uuid, std::string_view peer_name) {
  const auto jobs = world_.journal.newest_jobs(journal::Side::kDestination, kJobsLookedAt);
  if (!jobs) return false;
  for (const std::string& text : *jobs) {
    const auto job = move::destination_job_from_json(text);
    if (job && job->settled && job->plan.vm.uuid == vm_uuid) return job->peer == peer_name;
  }
  return false;
}

// A host may call home what it has sent; other VMs, if it may start jobs here.
Status PeerSide::check_may_bring(const Peer& peer, std::string_view vm_uuid) {
  if (peer.rights.command || came_from(vm_uuid, peer.name)) return {};
  return fail(ErrorCode::kPermission,
              "{} may not have the VM {} moved away from {}: the VM did not come from there. Fix: "
              "on {}, drover host rights {} +command.",
              peer.name, vm_uuid, world_.host_name, world_.host_name, peer.name);
}

Result<std::string> PeerSide::bring(const Peer& peer, std::string_view body) {
  ASSIGN_OR_RETURN(const BringRequest asked, bring_request_from_json(body));
  RETURN_IF_ERROR(check_may_bring(peer, asked.vm));
  MoveRequest request;
  request.vm = asked.vm;
  request.destination = peer.name;
  request.retries = 0;  // the asker plans anew
  request.accept_notes = true;
  request.accepted_codes = asked.accepted_codes;
  request.requested_by = fmt::format("{}@{}", asked.requested_by, peer.name);
  if (asked.only_check) {
    RETURN_IF_ERROR(engine_.check(request));
    return to_json(MoveView{"", MoveState::kRunning, false, peer.name, ""});
  }
  log::info("{} calls the VM {} home, asked by {}.", peer.name, asked.vm, asked.requested_by);
  ASSIGN_OR_RETURN(const Move move, engine_.start(request));
  return to_json(view_of(move));
}

// A move to that peer: of others it learns nothing.
Result<Move> PeerSide::brought(std::string_view peer_name, std::string_view body) {
  ASSIGN_OR_RETURN(const auto name, move::move_name_from_json(body));
  auto move = engine_.move(name.move);
  if (!move || move->destination != peer_name) {
    return fail(ErrorCode::kNotFound, "{} knows of no move {} to {}.", world_.host_name, name.move,
                peer_name);
  }
  return move;
}

}  // namespace drover::place
