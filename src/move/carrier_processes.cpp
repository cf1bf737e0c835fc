// SPDX-License-Identifier: Apache-2.0
#include "move/carrier_processes.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory_file.h"
#include "hypervisor/qemu_conf.h"
#include "move/residue/memory_store.h"
#include "net/unix_socket.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using net::SocketKind;

constexpr auto kStartLimit = 10s;
constexpr auto kAskLimit = 3s;
constexpr mode_t kControlMode = 0600;
// libvirtd (root) and QEMU (its own user) connect to the source's sockets; libvirt hands them over
// where it must.
constexpr mode_t kRoadMode = 0666;
constexpr mode_t kSocketFolderMode = 0711;

CarrierEvent translate(const gate::GateEvent& event) {
  using From = gate::GateEventKind;
  using To = CarrierEvent::Kind;
  switch (event.kind) {
    case From::kPolicyRefused:
      return {To::kPolicyRefused, false, event.error};
    case From::kSwitching:
      return {To::kSwitching, false, {}};
    case From::kFinishSeen:
      return {To::kFinishSeen, event.cancelled, {}};
    case From::kInDoubt:
      return {To::kInDoubt, false, event.error};
    case From::kEnded:
      return {To::kEnded, false, {}};
    case From::kPrepared:
    case From::kFinishReplied:
      break;
  }
  return {To::kOther, false, {}};
}

CarrierEvent translate(const mover::MoverEvent& event) {
  using From = mover::MoverEvent::Kind;
  using To = CarrierEvent::Kind;
  switch (event.kind) {
    case From::kLinkLost:
      return {To::kLinkLost, false, event.error};
    case From::kGaveUp:
      return {To::kGaveUp, false, event.error};
    case From::kGone:
      return {To::kMoverGone, false, {}};
    case From::kLinkUp:
    case From::kStreamOpened:
      break;
  }
  return {To::kOther, false, {}};
}

TransferKinds kinds_of(const mover::ContentCounts& counts) {
  const auto pages = [](std::uint64_t count) { return kib(4 * count); };
  return {.untouched = {counts.data_bytes},
          .zero = pages(counts.zero_pages),
          .same = pages(counts.same_pages),
          .cached = pages(counts.cached_pages),
          .own_disk = pages(counts.disk_pages),
          .residue = pages(counts.held_blocks),
          .group = pages(counts.group_blocks),
          .packed = {counts.packed_bytes},
          .wire = {counts.payload_bytes},
          .resent = pages(counts.resent_pages),
          .misses = counts.misses};
}

void count_pages(const mover::ContentCounts& counts, WireCount& out) {
  out.pages = counts.zero_pages + counts.same_pages + counts.cached_pages + counts.disk_pages +
              counts.literal_pages;
  out.resent_pages = counts.resent_pages;
  out.unchanged_pages = counts.same_pages;
}

}  // namespace

Result<GateState> CarrierProcesses::gate_state() {
  if (!gate_) return gate_missing();
  ASSIGN_OR_RETURN(const gate::GateStatus status, gate_->status(Deadline::after(kAskLimit)));
  return GateState{status.finish_seen && !status.finish_cancelled, status.in_doubt, status.held};
}

Status CarrierProcesses::standstill() {
  if (!gate_) return gate_missing();
  return gate_->standstill(Deadline::after(kAskLimit));
}

Status CarrierProcesses::deliver_runs(std::int32_t domain_id) {
  if (!gate_) return gate_missing();
  return gate_->deliver_runs(domain_id, Deadline::after(kAskLimit));
}

Status CarrierProcesses::deliver_not_run(std::string_view why) {
  if (!gate_) return gate_missing();
  return gate_->deliver_not_run(std::string(why), Deadline::after(kAskLimit));
}

Status CarrierProcesses::add_link(std::uint16_t number, UniqueFd link) {
  if (!mover_) return mover_missing();
  return mover_->add_link(number, link.get(), Deadline::after(kAskLimit));
}

Result<WireCount> CarrierProcesses::wire_count() {
  if (!mover_) return mover_missing();
  ASSIGN_OR_RETURN(const mover::SessionStatus status, mover_->status(Deadline::after(kAskLimit)));
  WireCount count;
  count.sent = {status.bytes_sent};
  count.received = {status.bytes_received};
  count.up = status.links;
  for (const auto& link : status.carried) count.carried[link.number] = {link.bytes};
  count.saturated = status.saturated;
  count.kinds = kinds_of(status.content);
  count_pages(status.content, count);
  for (const auto& stream : status.streams) {
    if (stream.kind == mover::StreamKind::kMemory) {
      count.memory_taken = {stream.sent_bytes};
      count.memory_applied = {stream.acknowledged_bytes};
    }
    if (stream.kind == mover::StreamKind::kDisks) count.disks_taken = {stream.sent_bytes};
  }
  return count;
}

Status CarrierProcesses::set_bandwidth(BytesPerSecond bandwidth) {
  if (!mover_) return mover_missing();
  return mover_->set_bandwidth(bandwidth.value, Deadline::after(kAskLimit));
}

Status CarrierProcesses::hold_memory(bool held) {
  if (!mover_) return mover_missing();
  return mover_->hold_memory(held, Deadline::after(kAskLimit));
}

Status CarrierProcesses::pass_memory(std::chrono::milliseconds span) {
  if (!mover_) return mover_missing();
  return mover_->pass_memory(span, Deadline::after(kAskLimit));
}

Status CarrierProcesses::hold_disks(std::chrono::milliseconds span) {
  if (!mover_) return mover_missing();
  return mover_->hold_disks(span, Deadline::after(kAskLimit));
}

gate::GateProcess::Handlers CarrierProcesses::gate_handlers() {
  return {[events = events_](const gate::GateEvent& event) { events->push(translate(event)); },
          [events = events_, gone = gate_gone_] {
            gone->store(true);
            events->push({CarrierEvent::Kind::kGateGone, false, {}});
          }};
}

mover::MoverProcess::EventHandler CarrierProcesses::mover_handler() {
  return [events = events_, gone = mover_gone_](const mover::MoverEvent& event) {
    if (event.kind == mover::MoverEvent::Kind::kGone) gone->store(true);
    events->push(translate(event));
  };
}

Status CarrierProcesses::start(gate::GateRole role, const LinkSecret& secret,
                               std::vector<gate::FencedDisk> fence, std::string_view policy,
                               const RoadOptions& road, const DestinationGifts& gifts) {
  RETURN_IF_ERROR(make_folder(options_.socket_folder, kSocketFolderMode));
  RETURN_IF_ERROR(give_folder_to_qemu(options_.socket_folder, qemu_conf().user));
  RETURN_IF_ERROR(make_folder(paths_.gate_control.parent_path(), 0700));
  ASSIGN_OR_RETURN(auto rpc, net::socket_pair(SocketKind::kStream));
  ASSIGN_OR_RETURN(auto talk, net::socket_pair(SocketKind::kPackets));
  if (road.gate && gifts.gate) {
    RETURN_IF_ERROR(
        start_gate(role, rpc.first.get(), talk.first.get(), std::move(fence), policy, gifts));
  } else {
    keeper_ = std::make_unique<RoadKeeper>(std::move(rpc.first), std::move(talk.first),
                                           paths_.disks, gifts.take_file);
  }
  return start_mover(role, rpc.second.get(), talk.second.get(), secret, road, gifts);
}

Status CarrierProcesses::start_gate(gate::GateRole role, int rpc, int mover,
                                    std::vector<gate::FencedDisk> fence, std::string_view policy,
                                    const DestinationGifts& gifts) {
  gate::GateStart start;
  start.move = name_.move_id;
  start.role = role;
  start.vm_name = name_.vm_name;
  start.vm_uuid = name_.vm_uuid;
  start.epoch = name_.epoch;
  start.instance = options_.instance_id;
  gate::GateDescriptors descriptors;
  ASSIGN_OR_RETURN(const UniqueFd control,
                   net::listen_unix(paths_.gate_control, SocketKind::kPackets, kControlMode));
  const UniqueFd records(
      ::open(options_.records_folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!records) return fail_errno(fmt::format("Cannot open {}", options_.records_folder.string()));
  descriptors.control = control.get();
  descriptors.records = records.get();
  descriptors.rpc = rpc;
  descriptors.mover = mover;
  UniqueFd listen;
  if (role == gate::GateRole::kSource) {
    ASSIGN_OR_RETURN(listen, net::listen_unix(paths_.rpc, SocketKind::kStream, kControlMode));
    descriptors.listen = listen.get();
    for (const auto& disk : fence) descriptors.fences.push_back({disk.target, disk.image.get()});
  } else {
    start.libvirt_socket = options_.libvirt_socket;
    start.memory_socket = paths_.memory;
    start.disks_socket = paths_.disks;
    start.watch = gifts.watch_guest;
    ASSIGN_OR_RETURN(start.policy, gate::parse_policy(policy));
  }
  ASSIGN_OR_RETURN(gate_, gate::GateProcess::start(options_.gate_program, start, descriptors,
                                                   gate_handlers(), Deadline::after(kStartLimit)));
  return {};
}

Status CarrierProcesses::start_mover(gate::GateRole role, int rpc, int gate,
                                     const LinkSecret& secret, const RoadOptions& road,
                                     const DestinationGifts& gifts) {
  mover::MoverSettings start;
  start.move = name_.move_id;
  start.role = role == gate::GateRole::kSource ? mover::Role::kSource : mover::Role::kDestination;
  start.identity = secret.identity;
  start.patience = options_.patience;
  start.pause_budget = options_.pause_budget;
  start.content = road.performance != Performance::kDirect;
  start.references = road.references;
  start.memory_waits = road.memory_waits;
  start.bandwidth_bytes_per_second = road.bandwidth.value;
  start.link_bytes_per_second = road.link.value;
  mover::MoverDescriptors descriptors;
  ASSIGN_OR_RETURN(const UniqueFd control,
                   net::listen_unix(paths_.mover_control, SocketKind::kPackets, kControlMode));
  ASSIGN_OR_RETURN(const UniqueFd key, memory_file("drover-key", secret.key));
  descriptors.control = control.get();
  descriptors.psk = key.get();
  descriptors.rpc = rpc;
  descriptors.gate = gate;
  UniqueFd memory, disks;
  if (role == gate::GateRole::kSource) {
    ASSIGN_OR_RETURN(memory, net::listen_unix(paths_.memory, SocketKind::kStream, kRoadMode));
    ASSIGN_OR_RETURN(disks, net::listen_unix(paths_.disks, SocketKind::kStream, kRoadMode));
    descriptors.memory = memory.get();
    descriptors.disks = disks.get();
  } else if (gifts.writes) {
    descriptors.writes = gifts.writes.get();
  }
  const MemoryFile* kept = role == gate::GateRole::kSource ? road.keep.get() : gifts.memory.get();
  UniqueFd kept_key;
  if (kept != nullptr) {
    ASSIGN_OR_RETURN(kept_key, memory_file("drover-key", kept->key));
    descriptors.kept = kept->file.get();
    descriptors.kept_key = kept_key.get();
  }
  for (const UniqueFd& file : gifts.held) descriptors.held.push_back(file.get());
  for (const UniqueFd& file : gifts.group) descriptors.group.push_back(file.get());
  for (const UniqueFd& file : gifts.images) descriptors.images.push_back(file.get());
  ASSIGN_OR_RETURN(mover_,
                   mover::MoverProcess::start(options_.mover_program, start, descriptors,
                                              mover_handler(), Deadline::after(kStartLimit)));
  return {};
}

void CarrierProcesses::attach() {
  auto gate =
      gate::GateProcess::attach(paths_.gate_control, gate_handlers(), Deadline::after(kAskLimit));
  if (gate) gate_ = std::move(*gate);
  auto mover = mover::MoverProcess::attach(paths_.mover_control, mover_handler(),
                                           Deadline::after(kAskLimit));
  if (mover) mover_ = std::move(*mover);
}

// The gate first: it may refuse, or be busy and forward FINISH yet, and then the mover must stay as
// well. Only one whose channel is closed needs no answer.
Status CarrierProcesses::cut_road() {
  return mover_alive() ? mover_->stop(Deadline::after(kAskLimit)) : Status{};
}

Status CarrierProcesses::stop() {
  if (gate_alive()) {
    if (auto stopped = gate_->stop(Deadline::after(kAskLimit));
        !stopped && stopped.error().code != ErrorCode::kUnavailable) {
      return stopped;
    }
  }
  if (mover_alive()) (void)mover_->stop(Deadline::after(kAskLimit));
  gate_.reset();
  mover_.reset();
  keeper_.reset();
  remove_carrier_files(options_, name_);
  return {};
}

}  // namespace drover::move
