// SPDX-License-Identifier: Apache-2.0
// The verbs: who may call them and in which order they are possible. What they do stands in
// destination_*.cpp.
#include "move/destination/destination_side.h"

#include <algorithm>

#include "base/ip_network.h"
#include "base/log.h"
#include "base/random.h"
#include "json/model_json.h"
#include "move/cold/cold_files.h"
#include "move/group.h"
#include "move/plan/measure.h"
#include "move/plan/report_check.h"
#include "move/plan/shared_disks.h"
#include "move/residue/residue.h"
#include "net/dial.h"
#include "preflight/codes.h"
#include "preflight/preflight.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kSweepGrace = 30s;  // a source that is alive undoes sooner
constexpr auto kEventDelay = 60s;  // within which the hypervisor's events of a move have come
constexpr std::size_t kMovesMax = 64;

// Ids come from a peer and become parts of paths.
bool is_move_id(std::string_view id) {
  return id.size() == 8 && std::ranges::all_of(id, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
         });
}

// The way of the pairing may lead to any address of ours; the settings were asked before.
bool is_way_of(const Plan& plan, const std::string& local_address) {
  return plan.networks.empty() || std::ranges::any_of(plan.networks, [&](const NetworkPair& pair) {
           return pair.network == kAnyNetwork || pair.destination_address == local_address;
         });
}

}  // namespace

DestinationSide::DestinationSide(World& world, std::function<std::vector<Vm>()> vms,
                                 KeepResidue keep, std::string tpm_folder)
    : world_(world), vms_(std::move(vms)), keep_(keep), tpm_folder_(std::move(tpm_folder)) {}

DestinationSide::~DestinationSide() = default;

Status DestinationSide::recover() {
  ASSIGN_OR_RETURN(auto jobs, world_.journal.open_jobs(journal::Side::kDestination));
  for (auto& text : jobs) {
    ASSIGN_OR_RETURN(DestinationJob job, destination_job_from_json(text));
    auto entry = std::make_shared<Entry>(std::move(job));
    if (entry->job.prepared) {
      entry->carriers = world_.carriage.attach(entry->name());
      const auto decision = world_.records.decision(entry->key());
      const bool accepted = decision && *decision == gate::Decision::kAccepted;
      if (!accepted) world_.slots.keep(Slots::Way::kIn, entry->place());
    } else {
      entry->lease = Deadline::after(lease_);
      // What goes ahead was coming: its mover ends with the undo.
      if (!entry->job.created.empty()) {
        entry->carriers = world_.carriage.attach(entry->name());
        world_.slots.keep(Slots::Way::kIn, entry->place());
      }
    }
    log::info("Move {} of {} from {}: found again.", entry->job.move_id, entry->job.plan.vm.name,
              entry->job.peer);
    const std::lock_guard lock(entries_mutex_);
    entries_[entry->job.move_id] = std::move(entry);
  }
  forget_gone_members(world_);
  return {};
}

Result<std::string> DestinationSide::handle(std::string_view peer_name, std::string_view verb,
                                            std::string_view body) {
  if (verb == verb::kVms) return json::to_json(vms_());
  ASSIGN_OR_RETURN(const Peer peer, world_.book.find_peer(peer_name));
  if (verb == verb::kFacts) {
    ASSIGN_OR_RETURN(HostFacts facts, world_.hypervisor.host_facts());
    facts.name = world_.host_name;
    facts.settings = world_.book.settings();
    return json::to_json(facts);
  }
  if (verb == verb::kCheck)
    return to_json(CheckReply{std::chrono::system_clock::now(), version_, peer.rights.send});
  if (!peer.rights.send) {
    return fail(ErrorCode::kPermission,
                "{} may not move VMs to {}. Fix: on {}, drover host rights {} +send.", peer_name,
                world_.host_name, world_.host_name, peer_name);
  }
  if (verb == verb::kPreflight) return preflight(peer_name, body);
  if (verb == verb::kMeasure) {
    ASSIGN_OR_RETURN(const MeasureRequest request, measure_request_from_json(body));
    return to_json(measure_here(world_, peer_name, request));
  }
  if (verb == verb::kAdmit) return admit(peer_name, body);
  if (verb == verb::kReserve) return reserve(peer_name, body);

  std::string move_id;
  if (verb == verb::kArrive) {
    ASSIGN_OR_RETURN(const ArriveRequest request, arrive_request_from_json(body));
    move_id = request.move;
  } else if (verb == verb::kSettle) {
    ASSIGN_OR_RETURN(const SettleRequest request, settle_request_from_json(body));
    move_id = request.move;
  } else if (verb == verb::kSigns) {
    ASSIGN_OR_RETURN(const SignsRequest request, signs_request_from_json(body));
    move_id = request.move;
  } else if (verb == verb::kProve) {
    ASSIGN_OR_RETURN(const ProveRequest request, prove_request_from_json(body));
    move_id = request.move;
  } else {
    ASSIGN_OR_RETURN(const MoveName name, move_name_from_json(body));
    move_id = name.move;
  }
  auto entry = find(move_id);
  if (!entry) entry = recall(move_id);
  if (!entry) {
    // It came no further than to its place here: that is all there is of it.
    if (verb == verb::kUndo) world_.slots.give_back(Slots::Way::kIn, place_of(peer_name, move_id));
    return fail(ErrorCode::kNotFound, "{} knows of no move {}.", world_.host_name, move_id);
  }
  const std::lock_guard working(entry->working);
  if (entry->job.peer != peer_name) {
    return fail(ErrorCode::kPermission, "Move {} is not from {}.", move_id, peer_name);
  }
  if (verb == verb::kLayers) {
    RETURN_IF_ERROR(await_layers(*entry));
    return "{}";
  }
  if (verb == verb::kFile) {
    RETURN_IF_ERROR(compare_file(*entry, body));
    return "{}";
  }
  if (verb == verb::kPrepare) return prepare(*entry);
  if (verb == verb::kSpace) return space(*entry);
  if (verb == verb::kArrive) return arrive(*entry, body);
  if (verb == verb::kAnswer) return answer(*entry);
  if (verb == verb::kLook) return look(*entry);
  if (verb == verb::kVerify) return verify(*entry);
  if (verb == verb::kProve) return prove(*entry, body);
  if (verb == verb::kUnwatch) return unwatch(*entry);
  if (verb == verb::kSettle) return settle(*entry, body);
  if (verb == verb::kSigns) return signs(*entry, body);
  if (verb == verb::kAbandon) {
    RETURN_IF_ERROR(abandon(*entry));
    return "{}";
  }
  if (verb == verb::kUndo) {
    RETURN_IF_ERROR(undo(*entry));
    return "{}";
  }
  return fail(ErrorCode::kNotFound, "There is no peer call {}.", verb);
}

Result<std::string> DestinationSide::preflight(std::string_view peer_name, std::string_view body) {
  ASSIGN_OR_RETURN(const auto proposal, proposal_from_json(body));
  const HostSettings settings = world_.book.settings();
  ASSIGN_OR_RETURN(auto report,
                   preflight::check_destination(proposal, world_.hypervisor, settings));
  // Before the checkpoints, which may name those that are proven.
  look_at_network_disks(proposal, settings, report);
  look_at_items(proposal, brings_layers(body) ? Layers::kComeAhead : Layers::kStay, settings,
                report);
  look_at_media(proposal, settings, report);
  look_at_saved(proposal, report);
  // It is known by now which files come.
  const auto is_space = [](const Finding& finding) {
    return finding.code == preflight::code_name(preflight::Code::kSpaceShort);
  };
  if (std::ranges::none_of(report.findings, is_space)) {
    Plan plan;
    plan.kind = proposal.request.kind.value_or(MoveKind::kLive);
    plan.vm = proposal.vm;
    plan.placements = report.placements;
    plan.files = report.files;
    if (auto shortage = space_short(room_for(plan), memory_file(plan, {}), WhoIsBusy::kIsLeftOut))
      report.findings.push_back(std::move(*shortage));
  }
  // Last of all notes: it stands in nobody's way.
  if (auto note = residue_note(world_, proposal.vm.uuid, peer_name))
    report.findings.push_back(std::move(*note));
  if (auto note = memory_note(world_, proposal.vm, peer_name))
    report.findings.push_back(std::move(*note));
  if (auto note = group_note(world_, proposal.request, proposal.vm))
    report.findings.push_back(std::move(*note));
  report.host.name = world_.host_name;
  report.host.settings = settings;
  if (IpNetwork::around(listens_at_, 0)) {
    std::erase_if(report.host.networks.addresses,
                  [&](const HostAddress& at) { return at.address != listens_at_; });
  }
  return to_json(report);
}

// A place for a move that has not begun: lost in a minute unless it comes (prepare). One that is
// here and rests, until its window opens, gives its place back and takes it again.
Result<std::string> DestinationSide::admit(std::string_view peer_name, std::string_view body) {
  ASSIGN_OR_RETURN(const AdmitRequest request, admit_request_from_json(body));
  if (!is_move_id(request.move))
    return fail(ErrorCode::kProtocol, "A move's id is 8 characters of 0-9 and a-z.");
  const HostSettings settings = world_.book.settings();
  const std::string place = place_of(peer_name, request.move);
  const bool is_here = find(request.move) != nullptr;
  if (request.give_back) {
    if (!is_here || request.rests) world_.slots.give_back(Slots::Way::kIn, place);
    return to_json(AdmitReply{true, ""});
  }
  if (!settings.incoming && !is_here) {
    return fail(ErrorCode::kPermission, "{} takes no VMs. Fix: drover settings {} incoming=on.",
                world_.host_name, world_.host_name);
  }
  const bool granted = is_here ? world_.slots.take(Slots::Way::kIn, place, settings.live_moves)
                               : world_.slots.lease(Slots::Way::kIn, place, settings.live_moves);
  return to_json(AdmitReply{
      granted, granted ? "" : full_text(world_.host_name, world_.slots.used(), settings)});
}

Result<std::string> DestinationSide::reserve(std::string_view peer_name, std::string_view body) {
  ASSIGN_OR_RETURN(const ReserveRequest request, reserve_request_from_json(body));
  if (!is_move_id(request.move) || request.epoch != request.move) {
    return fail(ErrorCode::kProtocol, "A move's id is 8 characters of 0-9 and a-z.");
  }
  const auto known = find(request.move);
  if (known) {
    const std::lock_guard working(known->working);
    if (known->job.peer == peer_name && !known->job.prepared && !known->job.undone) return "{}";
  }
  if (known || recall(request.move)) {
    return fail(ErrorCode::kConflict, "Move {} exists already on {}.", request.move,
                world_.host_name);
  }
  const std::lock_guard reserving(reserving_);
  RETURN_IF_ERROR(check_reservation(peer_name, request));
  const HostSettings settings = world_.book.settings();
  if (!world_.slots.lease(Slots::Way::kIn, place_of(peer_name, request.move),
                          settings.live_moves)) {
    return std::unexpected(Error{ErrorCode::kUnavailable,
                                 Retry::kLater,
                                 full_text(world_.host_name, world_.slots.used(), settings),
                                 {}});
  }
  DestinationJob job;
  job.move_id = request.move;
  job.epoch = request.epoch;
  job.peer = peer_name;
  job.plan = request.plan;
  job.destination_xml = request.destination_xml;
  job.persistent_xml = request.persistent_xml;
  job.checkpoints = request.checkpoints;
  job.link_key = request.link_key;
  job.link_identity = request.link_identity;
  job.recorded = false;
  auto entry = std::make_shared<Entry>(std::move(job));
  entry->watch_unbroken = world_.hypervisor.connected();
  entry->lease = Deadline::after(lease_);
  RETURN_IF_ERROR(save(*entry));
  const std::lock_guard lock(entries_mutex_);
  entries_[request.move] = std::move(entry);
  log::info("Move {} of {} from {}: reserved.", request.move, request.plan.vm.name, peer_name);
  return "{}";
}

Status DestinationSide::save(Entry& entry) {
  const bool ended = entry.job.settled || entry.job.undone;
  if (ended) world_.slots.give_back(Slots::Way::kIn, entry.place());
  if (ended) entry.concern_ends = Deadline::after(kEventDelay).at();
  const auto state = ended ? journal::JobState::kEnded : journal::JobState::kOpen;
  return world_.journal.save(journal::Side::kDestination, entry.job.move_id, state,
                             to_json(entry.job));
}

void DestinationSide::take_link(std::string_view move_id, std::uint16_t link_number,
                                UniqueFd link) {
  const auto entry = find(move_id);
  if (!entry) {
    log::warning("A link came for move {}, which is not known here; it was closed.", move_id);
    return;
  }
  const std::lock_guard working(entry->working);
  if (!entry->carriers) return;
  const auto local = net::local_address(link.get());
  if (!local || !is_way_of(entry->job.plan, local->host)) {
    log::warning("Move {}: link {} came to {}, which its plan does not name; it was closed.",
                 move_id, link_number, local ? local->host : "an unknown address");
    return;
  }
  if (auto added = entry->carriers->add_link(link_number, std::move(link)); !added) {
    log::warning("Move {}: link {} was not taken: {}", move_id, link_number, added.error().text());
  }
}

bool DestinationSide::admits(const std::string& local_address) const {
  return lies_in_networks(local_address, world_.book.settings().networks);
}

void DestinationSide::take_vm_event(const VmEvent& event) {
  // Another VM may get this UUID later, and it is of no group.
  if (event.kind == VmEvent::Kind::kUndefined) (void)world_.journal.leave_group(event.uuid);
  for (const auto& entry : all()) {
    if (event.kind == VmEvent::Kind::kDisconnected) entry->watch_unbroken = false;
    if (event.uuid != entry->vm_uuid) continue;
    if (event.kind == VmEvent::Kind::kResumed) entry->resumed_seen = true;
    if (event.kind == VmEvent::Kind::kStopped) entry->stopped_seen = true;
  }
}

// What a source that never came back left, and what an undo left that was broken off.
void DestinationSide::sweep() {
  for (const auto& entry : all()) {
    const std::unique_lock working(entry->working, std::try_to_lock);
    if (!working || entry->job.settled || entry->job.undone) continue;
    let_held_guest_run(*entry);
    if (is_cold(entry->job.plan) && !entry->job.undoing) {
      const auto decision = world_.records.decision(entry->key());
      if (decision && *decision && **decision == gate::Decision::kAccepted)
        go_on_with_arrival(*entry);
    }
    if (!entry->job.undoing) {
      if (!is_left(*entry)) {
        entry->sweep_after = Deadline::never();
        continue;
      }
      if (entry->sweep_after.is_never())
        entry->sweep_after = Deadline::after(entry->job.prepared ? kSweepGrace : 0s);
    }
    if (!entry->sweep_after.is_never() && !entry->sweep_after.expired()) continue;
    log::warning("Move {} of {} from {}: {}; what was prepared is removed.", entry->job.move_id,
                 entry->job.plan.vm.name, entry->job.peer,
                 entry->job.undoing ? "its undo is not done" : "its source is silent");
    if (auto undone = undo(*entry); !undone) {
      log::warning("Move {}: {}", entry->job.move_id, undone.error().text());
      entry->sweep_after = Deadline::after(kSweepGrace);
    }
  }
  const std::lock_guard lock(entries_mutex_);
  if (entries_.size() > kMovesMax) {
    std::erase_if(entries_, [](const auto& item) {
      return item.second->job.settled || item.second->job.undone;
    });
  }
}

// It was reserved and its source has not come back; or its gate ended, and the record does not say
// accepted; or droverd died before there was a gate.
bool DestinationSide::is_left(Entry& entry) {
  if (!entry.job.prepared) {
    if (!is_fed(entry)) return entry.lease.expired();
    entry.lease = Deadline::after(lease_);
    return false;
  }
  if (!entry.job.recorded) return true;
  if (is_fed(entry)) return false;
  if (entry.carriers && entry.carriers->gate_alive()) {
    while (entry.carriers->next_event(Deadline::after(0ms))) {
    }
    return false;
  }
  const auto decision = world_.records.decision(entry.key());
  return decision && !(*decision && **decision == gate::Decision::kAccepted);
}

std::vector<DestinationSide::Incoming> DestinationSide::incoming() const {
  std::vector<Incoming> moves;
  for (const auto& entry : all()) {
    const std::unique_lock working(entry->working, std::try_to_lock);
    if (!working || entry->job.settled || entry->job.undone) continue;
    moves.push_back(
        {entry->job.move_id, entry->job.plan.vm.uuid, entry->job.plan.vm.name, entry->job.peer});
  }
  return moves;
}

bool DestinationSide::concerns(std::string_view vm_uuid) const {
  return std::ranges::any_of(all(), [&](const auto& entry) {
    return entry->vm_uuid == vm_uuid && Deadline::Clock::now() < entry->concern_ends.load();
  });
}

std::shared_ptr<DestinationSide::Entry> DestinationSide::find(std::string_view move_id) const {
  const std::lock_guard lock(entries_mutex_);
  const auto it = entries_.find(move_id);
  return it == entries_.end() ? nullptr : it->second;
}

// A move that ended here, from the journal: its source may have been off for long, and may start
// the VM only once it has been answered.
std::shared_ptr<DestinationSide::Entry> DestinationSide::recall(std::string_view move_id) const {
  const auto text = world_.journal.job(journal::Side::kDestination, move_id);
  if (!text) return nullptr;
  auto job = destination_job_from_json(*text);
  if (!job || !(job->undone || job->settled)) return nullptr;
  return std::make_shared<Entry>(std::move(*job));
}

std::vector<std::shared_ptr<DestinationSide::Entry>> DestinationSide::all() const {
  const std::lock_guard lock(entries_mutex_);
  std::vector<std::shared_ptr<Entry>> entries;
  for (const auto& [id, entry] : entries_) entries.push_back(entry);
  return entries;
}

}  // namespace drover::move
