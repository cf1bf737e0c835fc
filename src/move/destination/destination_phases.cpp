// SPDX-License-Identifier: Apache-2.0
// What the destination does in each phase of a move to it, in order: reserve, prepare, answer,
// verify, settle; undo. Between verify and settle: destination_proof.cpp.
#include <set>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "content/ops.h"
#include "gate/definition_policy.h"
#include "hypervisor/allowed_folder.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/tpm_state.h"
#include "model/group.h"
#include "move/cold/cold_files.h"
#include "move/destination/destination_rules.h"
#include "move/destination/destination_side.h"
#include "move/destination/network_disk_rules.h"
#include "move/group.h"
#include "move/plan/interface_choice.h"
#include "move/plan/network_disks.h"
#include "move/plan/shared_disks.h"
#include "move/residue/residue.h"
#include "preflight/layers.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kIncomingEnds =
    15s;  // libvirt ends an incoming QEMU after its gate is gone (autodestroy)

Status sync_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(fmt::format("Cannot sync {}", path));
  return {};
}

// These files, the definition that libvirt wrote, and the names of all of them. Not the whole file
// system: other VMs' dirty pages are not this move's to wait for.
Status sync_items(const std::vector<KnownFile>& files, const std::string& vm_name) {
  const std::filesystem::path definitions = "/etc/libvirt/qemu";
  std::set<std::filesystem::path> folders{definitions};
  RETURN_IF_ERROR(sync_file((definitions / (vm_name + ".xml")).string()));
  for (const auto& file : files) {
    if (file.target == kItemSaved) continue;  // it was, and goes with the VM's first start
    RETURN_IF_ERROR(sync_file(file.path));
    folders.insert(std::filesystem::path(file.path).parent_path());
  }
  for (const auto& folder : folders) RETURN_IF_ERROR(sync_folder(folder));
  return {};
}

}  // namespace

// A peer proposes the plan as well as the definition: neither is believed. Both are held against
// this host's own rules, and again by the gate when libvirt speaks.
Status DestinationSide::check_reservation(std::string_view peer_name,
                                          const ReserveRequest& request) {
  const HostSettings settings = world_.book.settings();
  if (!settings.incoming) {
    return fail(ErrorCode::kPermission, "{} takes no VMs. Fix: drover settings {} incoming=on.",
                world_.host_name, world_.host_name);
  }
  ASSIGN_OR_RETURN(const HostFacts facts, world_.hypervisor.host_facts());
  const auto& vm = request.plan.vm;
  if (!request.plan.request.group.empty())
    RETURN_IF_ERROR(check_group_name(request.plan.request.group));
  gate::Policy policy;
  policy.host = world_.host_name;
  policy.vm_name = vm.name;
  policy.vm_uuid = vm.uuid;
  policy.rules = rules_of(settings, facts);
  policy.rules.network_disks = proven_network_disks(
      request.destination_xml, request.plan.placements, settings.network_disks);
  allow_volumes(request.plan, policy.rules);
  for (const auto* xml : {&request.destination_xml, &request.persistent_xml}) {
    RETURN_IF_ERROR(gate::reserve_references(policy, *xml));
    if (auto allowed = gate::check_domain(*xml, policy, gate::no_links_beneath); !allowed) {
      log::warning("Move {} from {}: its definition is refused: {}", request.move, peer_name,
                   allowed.error().text());
      return allowed;
    }
  }
  const auto folders = preflight::usable_folders(facts, settings);
  for (const auto& placement : request.plan.placements) {
    const auto& path = placement.destination_path;
    if (is_network(placement) || !placement.destination_pool.empty()) continue;  // below
    if (!is_plain_path(path) || !is_allowed(path, folders)) {
      return fail(ErrorCode::kPolicy, "{} is not in an allowed folder of {}.", path,
                  world_.host_name);
    }
  }
  RETURN_IF_ERROR(check_volumes(request));
  RETURN_IF_ERROR(check_named_disks(request));
  RETURN_IF_ERROR(check_networks(request.plan, settings));
  RETURN_IF_ERROR(check_shared_disks(request, folders));
  RETURN_IF_ERROR(check_network_disks(request, settings));
  RETURN_IF_ERROR(check_items(request, folders, policy));
  const auto state = world_.hypervisor.run_state(vm.uuid);
  if (!state) return std::unexpected(state.error());
  if (state->kind != RunState::Kind::kAbsent) {
    return fail(ErrorCode::kConflict, "{} knows a VM with UUID {} already ({}).", world_.host_name,
                vm.uuid, state->reason);
  }
  if (world_.hypervisor.find_vm(vm.name)) {
    return fail(ErrorCode::kConflict, "{} knows another VM called {}.", world_.host_name, vm.name);
  }
  ByteCount promised;
  for (const auto& entry : all()) {
    const std::lock_guard working(entry->working);
    if (entry->job.settled || entry->job.undone) continue;
    if (entry->job.plan.vm.uuid == vm.uuid) {
      return fail(ErrorCode::kConflict, "{} is already moving to {} (move {}).", vm.name,
                  world_.host_name, entry->job.move_id);
    }
    if (const std::string both =
            network_disk_of_both(request.plan.placements, entry->job.plan.placements);
        !both.empty()) {
      return fail(ErrorCode::kConflict, "{} is also a disk of {}, which is moving to {} (move {}).",
                  both, entry->job.plan.vm.name, world_.host_name, entry->job.move_id);
    }
    if (!(entry->carriers && entry->job.prepared) && entry->job.plan.kind != MoveKind::kOffline)
      promised += entry->job.plan.vm.memory;
  }
  if (request.plan.kind != MoveKind::kOffline && facts.memory_free < vm.memory + promised) {
    return fail(ErrorCode::kNoSpace, "{} has {} of memory free, {} of it promised; {} needs {}.",
                world_.host_name, to_text(facts.memory_free), to_text(promised), vm.name,
                to_text(vm.memory));
  }
  if (const auto shortage =
          space_short(room_for(request.plan), memory_file(request.plan, {}), WhoIsBusy::kIsAwaited))
    return std::unexpected(Error{ErrorCode::kNoSpace, Retry::kLater, shortage->what, {}});
  return {};
}

Result<std::string> DestinationSide::prepare(Entry& entry) {
  if (entry.job.undone || entry.job.undoing)
    return fail(ErrorCode::kConflict, "Move {} was undone on {}.", entry.job.move_id,
                world_.host_name);
  if (entry.job.prepared) return "{}";
  RETURN_IF_ERROR(check_compared(entry));
  world_.slots.keep(Slots::Way::kIn, entry.place());
  entry.job.prepared = true;
  RETURN_IF_ERROR(save(entry));
  Status status = take_layers(entry);
  if (status) status = create_images(entry);
  if (status) status = is_cold(entry.job.plan) ? start_cold(entry) : start_carriers(entry);
  if (!status) {
    if (auto undone = undo(entry); !undone)
      log::warning("Move {}: {}", entry.job.move_id, undone.error().text());
    return std::unexpected(status.error());
  }
  log::info("Move {} of {} from {}: prepared.", entry.job.move_id, entry.job.plan.vm.name,
            entry.job.peer);
  return "{}";
}

// Each image is written down before it is made: what is made and not yet known by its inode is
// found again by path.
Status DestinationSide::create_images(Entry& entry) {
  const HostSettings settings = world_.book.settings();
  ASSIGN_OR_RETURN(const HostFacts facts, world_.hypervisor.host_facts());
  const auto folders = preflight::usable_folders(facts, settings);
  for (const auto& placement : streamed_disks(entry.job.plan)) {
    if (!placement.destination_pool.empty()) {
      RETURN_IF_ERROR(create_volume(entry, placement));
      continue;
    }
    RETURN_IF_ERROR(check_nothing_at(placement.destination_path));
    entry.job.created.push_back(known_file(placement.target, placement.destination_path, {}));
    RETURN_IF_ERROR(save(entry));
    const auto layers = preflight::layers_of(entry.job.plan, placement.target);
    auto identity = create_image(placement, folders, layers.empty() ? nullptr : &layers.front());
    if (!identity) {
      entry.job.created.pop_back();
      RETURN_IF_ERROR(save(entry));
      return std::unexpected(identity.error());
    }
    entry.job.created.back() = known_file(placement.target, placement.destination_path, *identity);
    RETURN_IF_ERROR(save(entry));
  }
  if (!entry.job.plan.nvram_destination.empty() && !is_cold(entry.job.plan)) {
    // libvirt makes this file itself, in PREPARE.
    if (::access(entry.job.plan.nvram_destination.c_str(), F_OK) == 0) {
      return fail(ErrorCode::kConflict, "{} exists already on {}; it may belong to another VM.",
                  entry.job.plan.nvram_destination, world_.host_name);
    }
    entry.job.created.push_back(known_file("nvram", entry.job.plan.nvram_destination, {}));
    RETURN_IF_ERROR(save(entry));
  }
  return {};
}

// For the mover, which may read what it has written. One that cannot be opened is read through
// QEMU.
std::vector<UniqueFd> DestinationSide::open_created(const Entry& entry) {
  std::vector<UniqueFd> images;
  if (!entry.job.plan.request.references) return images;
  const auto facts = world_.hypervisor.host_facts();
  if (!facts) return images;
  const auto folders = preflight::usable_folders(*facts, world_.book.settings());
  for (const KnownFile& file : entry.job.created) {
    if (file.inode == 0 || images.size() == content::kOwnDisksMax) continue;
    auto image = open_image(file.path, identity_of(file), folders);
    if (image) images.push_back(std::move(*image));
  }
  return images;
}

// What its mover may read of other moves, and on storage that both hosts see.
std::vector<UniqueFd> DestinationSide::held_files(const Entry& entry) {
  auto held = open_shared(world_, entry.job.plan, content::kOwnDisksMax);
  for (auto& file : open_residue(world_, entry.job.plan.vm.uuid, entry.job.peer)) {
    if (held.size() < content::kOwnDisksMax) held.push_back(std::move(file));
  }
  return held;
}

Status DestinationSide::start_carriers(Entry& entry) {
  const auto& vm = entry.job.plan.vm;
  entry.job.recorded = true;
  RETURN_IF_ERROR(save(entry));
  RETURN_IF_ERROR(world_.records.create_destination(entry.key(), entry.job.move_id));
  const HostSettings settings = world_.book.settings();
  ASSIGN_OR_RETURN(const HostFacts facts, world_.hypervisor.host_facts());
  const CarrierName name = entry.name();
  const CarrierPaths paths = world_.carriage.paths(name);
  gate::Policy policy;
  policy.host = world_.host_name;
  policy.vm_name = vm.name;
  policy.vm_uuid = vm.uuid;
  policy.rules = rules_of(settings, facts);
  policy.rules.network_disks = proven_network_disks(
      entry.job.destination_xml, entry.job.plan.placements, settings.network_disks);
  allow_volumes(entry.job.plan, policy.rules);
  policy.memory_uri = paths.memory_uri;
  if (copies_disks(entry.job.plan)) policy.disks_uri = paths.disks_uri;
  for (const auto& placement : copied_disks(entry.job.plan))
    policy.disk_targets.push_back(placement.target);
  for (const auto* xml : {&entry.job.destination_xml, &entry.job.persistent_xml}) {
    RETURN_IF_ERROR(gate::reserve_references(policy, *xml));
  }
  const bool record_writes =
      copies_disks(entry.job.plan) && entry.job.plan.request.verification != Verification::kNone;
  ASSIGN_OR_RETURN(auto key, from_hex(entry.job.link_key));
  ASSIGN_OR_RETURN(entry.carriers,
                   world_.carriage.start_destination(
                       name, {std::move(key), entry.job.link_identity}, gate::policy_text(policy),
                       {held_files(entry), open_group(world_, entry.job.plan), open_created(entry),
                        world_.memories->find(vm.uuid, entry.job.peer), record_writes,
                        is_read_back(entry.job.plan)}));
  entry.job.link_key.clear();
  return save(entry);
}

// "Runs, and everything of it is on stable storage": only after this word the source lets its
// copies go.
Result<std::string> DestinationSide::verify(Entry& entry) {
  const auto& vm = entry.job.plan.vm;
  ASSIGN_OR_RETURN(const RunState state, world_.hypervisor.run_state(vm.uuid));
  VerifyReply reply;
  reply.runs = state.kind == RunState::Kind::kRunning ||
               state.kind == RunState::Kind::kMigratingOut ||
               (state.kind == RunState::Kind::kPaused) ||
               (entry.job.plan.kind == MoveKind::kOffline && state.kind == RunState::Kind::kOff);
  reply.text = state.reason;
  if (!reply.runs) keep_definition(entry, state);
  if (reply.runs) {
    if (is_cold(entry.job.plan)) end_cold(entry);
    RETURN_IF_ERROR(world_.hypervisor.definition(vm.uuid, DefinitionKind::kPersistent));
    reply.checkpoints_lost = tell_checkpoints(entry);
    if (const auto filled = fill_full_images(entry.job); !filled)
      log::warning("Move {}: {}", entry.job.move_id, filled.error().text());
    RETURN_IF_ERROR(sync_items(entry.job.created, vm.name));
    plug_teamed(entry);
    if (const auto job = world_.hypervisor.completed_job(vm.uuid)) {
      reply.pause = job->pause + held_by_gate(entry);
      reply.memory_sent = job->memory_sent;
      reply.disks_sent = job->disks_sent;
    }
  }
  return to_json(reply);
}

Result<std::string> DestinationSide::settle(Entry& entry, std::string_view body) {
  if (entry.job.settled) return "{}";
  if (entry.job.undone || entry.job.undoing)
    return fail(ErrorCode::kConflict, "Move {} was undone on {}.", entry.job.move_id,
                world_.host_name);
  if (!entry.job.prepared)
    return fail(ErrorCode::kConflict, "Move {} was never prepared on {}.", entry.job.move_id,
                world_.host_name);
  ASSIGN_OR_RETURN(const SettleRequest request, settle_request_from_json(body));
  const auto& vm = entry.job.plan.vm;
  if (request.autostart) RETURN_IF_ERROR(world_.hypervisor.set_autostart(vm.uuid, true));
  // The source's libvirt has ended its QEMU by now.
  keep_images_with_qemu(entry.job.plan, Runs::kAtTheDestination);
  std::set<std::string> folders;
  for (const auto& file : entry.job.created)
    folders.insert(std::filesystem::path(file.path).parent_path().string());
  for (const auto& folder : folders) (void)world_.hypervisor.refresh_pool(folder);
  end_proof(entry);
  // A gate that still has libvirt's last answer to come would wait for it without a record, and
  // then for ever: who proved that the guest runs may be faster. The source asks again.
  const Status stopped = entry.carriers ? entry.carriers->stop() : Status();
  if (!stopped && stopped.error().code == ErrorCode::kConflict)
    return std::unexpected(stopped.error());
  entry.carriers.reset();
  world_.carriage.remove_files(entry.name());
  RETURN_IF_ERROR(settle_group(world_, entry.key(), entry.job.plan));
  // The record first: one that nobody removes later would let the VM start here for ever, whatever
  // a later move of it says.
  RETURN_IF_ERROR(world_.records.remove(entry.key()));
  world_.memories->drop_of_vm(vm.uuid);
  if (auto kept = remember_way_back(world_, entry.job.peer, entry.job.plan.request.interfaces);
      !kept)
    log::warning("Move {}: {}", entry.job.move_id, kept.error().text());
  entry.job.settled = true;
  if (auto saved = save(entry); !saved) {
    entry.job.settled = false;
    return std::unexpected(saved.error());
  }
  log::info("Move {} of {} from {}: settled.", entry.job.move_id, vm.name, entry.job.peer);
  return "{}";
}

// Whether the VM can never run here by this move; as in answer(), asking records the refusal.
Status DestinationSide::check_undo(Entry& entry) {
  const auto& vm = entry.job.plan.vm;
  const auto decision = world_.records.decide(entry.key(), gate::Decision::kRefused);
  if (decision && *decision == gate::Decision::kRefused) return {};
  if (decision) {
    const Answer answer = answer_accepted(entry);
    if (answer.kind == Answer::Kind::kGone && answer.ran == Answer::Ran::kNo) return {};
    return fail(ErrorCode::kInDoubt, "{} accepted {}: {}. Nothing is undone.", world_.host_name,
                vm.name, answer.text);
  }
  if (decision.error().code != ErrorCode::kNotFound) return std::unexpected(decision.error());
  // Either prepare() did not come to the record, so that there was never a gate, or settle() has
  // removed it: then the VM is here.
  ASSIGN_OR_RETURN(const RunState state, world_.hypervisor.run_state(vm.uuid));
  if (state.kind == RunState::Kind::kAbsent) return {};
  return fail(ErrorCode::kInDoubt, "{} is on {} ({}) and no record says why. Nothing is undone.",
              vm.name, world_.host_name, state.reason);
}

// Nothing of this move is left here. Refuses under `accepted`: then the VM may be ours. Safe to run
// again from wherever it ended.
Status DestinationSide::undo(Entry& entry) {
  if (entry.job.undone || entry.job.settled) return {};
  const auto& vm = entry.job.plan.vm;
  if ((entry.job.prepared || !entry.job.created.empty()) && !entry.job.undoing) {
    if (entry.job.prepared) RETURN_IF_ERROR(check_undo(entry));
    // Kept before the record goes: without either, nobody could be told of the refusal.
    entry.job.undoing = true;
    if (auto saved = save(entry); !saved) {
      entry.job.undoing = false;
      return saved;
    }
  }
  entry.check.reset();
  entry.compared.clear();
  if (entry.carriers) RETURN_IF_ERROR(entry.carriers->stop());
  entry.carriers.reset();
  entry.sink.reset();
  entry.server.reset();
  world_.carriage.remove_files(entry.name());
  if (entry.job.prepared) {
    RETURN_IF_ERROR(put_saved_aside(entry));  // libvirt keeps a VM whose memory it has
    RETURN_IF_ERROR(entry.job.abandoned ? undefine_abandoned(entry) : wait_until_gone(vm.uuid));
    // Once more: a QEMU that was being started made its sockets meanwhile, and leaves them when it
    // is killed.
    world_.carriage.remove_files(entry.name());
  }
  RETURN_IF_ERROR(remove_created(entry));
  if (entry.job.prepared) RETURN_IF_ERROR(world_.records.remove(entry.key()));
  entry.job.undone = true;
  entry.job.link_key.clear();
  log::info("Move {} of {} from {}: undone.", entry.job.move_id, vm.name, entry.job.peer);
  return save(entry);
}

Status DestinationSide::wait_until_gone(const std::string& uuid) {
  for (const Deadline limit = Deadline::after(kIncomingEnds); !limit.expired(); ::usleep(100'000)) {
    ASSIGN_OR_RETURN(const RunState state, world_.hypervisor.run_state(uuid));
    if (state.kind == RunState::Kind::kAbsent) return {};
    // The reservation began with no such VM here, so a definition that is left is this move's.
    if (state.kind == RunState::Kind::kOff) return undefine(uuid);
  }
  // libvirt did not end it by itself; under a recorded refusal we may.
  RETURN_IF_ERROR(world_.hypervisor.destroy(uuid));
  return undefine(uuid);
}

// libvirt undefines no VM that has checkpoints.
Status DestinationSide::undefine(const std::string& uuid) {
  const auto forgotten = world_.hypervisor.forget_checkpoints(uuid);
  if (!forgotten && forgotten.error().code != ErrorCode::kNotFound) return forgotten;
  return world_.hypervisor.undefine(uuid);
}

Status DestinationSide::remove_created(Entry& entry) {
  std::set<std::string> folders;
  for (const auto& file : entry.job.created) {
    if (!file.pool.empty()) {
      RETURN_IF_ERROR(remove_volume(entry, file));
      continue;
    }
    folders.insert(std::filesystem::path(file.path).parent_path().string());
    if (file.target.starts_with(kItemLayer)) {
      ASSIGN_OR_RETURN(const bool needed, others_need(entry, file.path));
      if (needed) {
        log::info("Move {}: {} stays: another VM needs it.", entry.job.move_id, file.path);
        continue;
      }
    }
    FileIdentity identity = identity_of(file);
    const std::string path = made_at(entry.job, file);
    if (file.inode == 0) {
      const auto found = file_identity(path);
      if (!found) continue;  // it was never made
      identity = *found;
    }
    if (entry.job.abandoned) {
      RETURN_IF_ERROR(keep_abandoned(world_, entry.job, file, identity));
      continue;
    }
    if (keep_ == KeepResidue::kDisks && keep_unfinished(world_, entry.job, file, identity))
      continue;
    if (auto removed = remove_image(path, identity);
        !removed && removed.error().code != ErrorCode::kNotFound) {
      return removed;
    }
    if (file.target == kItemTpm) remove_tpm_folders(file.path);
  }
  for (const auto& folder : folders) (void)world_.hypervisor.refresh_pool(folder);
  return {};
}

}  // namespace drover::move
