// SPDX-License-Identifier: Apache-2.0
#include "move/plan/planner.h"

#include <algorithm>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/random.h"
#include "content/file_digest.h"
#include "hypervisor/host_addresses.h"
#include "hypervisor/qemu_conf.h"
#include "hypervisor/tpm_state.h"
#include "model/group.h"
#include "move/cold/cold_files.h"
#include "move/cold/cold_layers.h"
#include "move/peer_messages.h"
#include "move/plan/interface_choice.h"
#include "move/plan/media.h"
#include "move/plan/network_marks.h"
#include "move/plan/report_check.h"
#include "move/plan/saved_plan.h"
#include "move/plan/shared_disks.h"
#include "move/plan/teaming.h"
#include "move/regular_file.h"
#include "move/storage/storage_plan.h"
#include "preflight/codes.h"
#include "preflight/item_places.h"
#include "preflight/preflight.h"
#include "preflight/road.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kPreflightLimit = 60s;  // the first answer of a libvirt that was just started
constexpr auto kPlanLife = 10min;

// What one pass over memory and disks would carry. Content and compression make it less; the
// guest's writes, more.
ByteCount bytes_of(const Plan& plan, Hypervisor& hypervisor) {
  ByteCount total =
      plan.kind == MoveKind::kOffline ? saved_memory(plan, hypervisor) : plan.vm.memory;
  for (const auto& placement : room_for(plan)) total += placement.allocated;
  return total;
}

struct Samples {
  std::vector<preflight::FileSample> samples;
  std::vector<KnownFile> files;  // the same
};

// Of what disks stand on, of checkpoints' memory and of discs, so that the plan knows what is there
// already.
Samples samples_of(const Vm& vm) {
  std::set<std::string> paths;
  for (const Disk& disk : vm.disks) {
    for (const DiskLayer& layer : disk.layers) paths.insert(layer.path);
  }
  for (const Checkpoint& checkpoint : vm.checkpoints) paths.insert(checkpoint.memory_file);
  for (const Disk& disk : media_in(vm)) paths.insert(disk.path);
  Samples all;
  for (const std::string& path : paths) {
    const auto file = open_regular(path, O_RDONLY);
    struct stat found{};
    if (!file || ::fstat(file->get(), &found) != 0) continue;
    auto digest = content::file_sample(file->get());
    const auto seen = see_file_behind(file->get(), path);
    if (!digest || !seen) continue;
    all.samples.push_back({path, {static_cast<std::uint64_t>(found.st_size)}, std::move(*digest)});
    all.files.push_back(known_file("", path, seen->identity));
  }
  return all;
}

struct Answered {
  preflight::DestinationReport report;
  bool whole_files = false;   // takes_whole_files()
  bool saved_memory = false;  // takes_saved_memory()
  std::vector<KnownFile> layers;
};

// A destination of an earlier release would start the disk without what it stands on, and the VM
// without its checkpoints.
void check_takes_items(const preflight::SourceView& view, const Answered& answered, Plan& plan) {
  const MoveKind kind = view.request.kind.value_or(MoveKind::kLive);
  if (kind == MoveKind::kOffline && view.vm.saved && !answered.saved_memory)
    plan.findings.push_back(saved_memory_left_behind(view));
  if (kind == MoveKind::kLive ? answered.report.takes_items : answered.whole_files) return;
  const bool chain =
      !view.request.flatten && std::ranges::any_of(view.vm.disks, [](const Disk& disk) {
        return !disk.backing_chain.empty();
      });
  if (kind == MoveKind::kOffline && keeps_tpm_state(view.persistent_xml)) {
    plan.findings.push_back({std::string(preflight::code_name(preflight::Code::kTpmStays)),
                             FindingLevel::kBlocker,
                             "tpm",
                             fmt::format("{} has an earlier Drover, which takes no TPM of a VM "
                                         "that is off.",
                                         view.request.destination),
                             "What the guest sealed could not be opened any more.",
                             {fmt::format("Upgrade Drover on {}.", view.request.destination)}});
  }
  if (!chain && view.vm.snapshots == 0) return;
  plan.findings.push_back(
      {std::string(preflight::code_name(chain ? preflight::Code::kDiskBackingChain
                                              : preflight::Code::kSnapshots)),
       FindingLevel::kBlocker,
       view.vm.name,
       fmt::format("{} has an earlier Drover, which knows nothing of {} in moves of this kind.",
                   view.request.destination, chain ? "backing chains" : "checkpoints"),
       "They would be lost.",
       {fmt::format("Upgrade Drover on {}.", view.request.destination)}});
}

// Its disk would be left out of the copy.
void check_takes_volumes(const preflight::SourceView& view,
                         const preflight::DestinationReport& report, Plan& plan) {
  if (report.destination_xml.empty()) return;  // there are other reasons
  for (const Disk& disk : view.vm.disks) {
    const bool travels = disk.device == DiskDevice::kDisk && !disk.read_only && !disk.shareable;
    const auto placed = std::ranges::find(report.placements, disk.target, &DiskPlacement::target);
    if (disk.pool.empty() || !travels || placed != report.placements.end()) continue;
    plan.findings.push_back(
        {std::string(preflight::code_name(preflight::Code::kDiskBlockDevice)),
         FindingLevel::kBlocker,
         disk.target,
         fmt::format("{} has an earlier Drover, which takes no volumes of pools in.",
                     view.request.destination),
         "The disk would be missing there.",
         {fmt::format("Upgrade Drover on {}.", view.request.destination)}});
  }
}

Result<Answered> ask_destination(World& world, const MoveRequest& request,
                                 const preflight::SourceView& view) {
  const DiskMarks marks = DiskMarks::on(view.vm);
  const NetworkMarks network = NetworkMarks::read(view.live_xml, secrets_of(world.hypervisor));
  auto all_marks = marks.where();
  for (auto& mark : network.all()) all_marks.push_back(std::move(mark));
  Samples samples = samples_of(view.vm);
  const preflight::Proposal proposal{
      view.vm,
      view.live_xml,
      view.persistent_xml,
      request,
      view.host,
      std::move(all_marks),
      world.hypervisor.guest_addresses(view.vm.uuid).value_or(std::vector<GuestAddress>{}),
      std::move(samples.samples),
      view.checkpoints};
  const auto before = std::chrono::system_clock::now();
  const auto text = world.peers.call(request.destination, verb::kPreflight, to_json(proposal),
                                     Deadline::after(kPreflightLimit));
  if (!text) return std::unexpected(text.error());
  ASSIGN_OR_RETURN(auto report, destination_report_from_json(*text));
  RETURN_IF_ERROR(check_report(proposal, report));
  RETURN_IF_ERROR(check_shared(proposal.marks, report, request.destination));
  judge_network_disks(view, network, secrets_of(world.hypervisor), report);
  report.host.name = request.destination;
  check_clock(report.host, before, std::chrono::system_clock::now(), report.findings);
  std::erase_if(samples.files, [&](const KnownFile& file) {
    return std::ranges::find(report.files, file.path, &FilePlacement::source_path) ==
           report.files.end();
  });
  return Answered{std::move(report), takes_whole_files(*text), takes_saved_memory(*text),
                  std::move(samples.files)};
}

// Of a list of candidates, one before this destination.
Finding passed_note(const std::string& passed, const std::string& vm) {
  return {std::string(preflight::code_name(preflight::Code::kCandidatePassed)),
          FindingLevel::kNote,
          vm,
          fmt::format("A candidate before this host was passed over. {}", passed),
          "",
          {}};
}

// Of a VM that is off only its definition and disks can move.
MoveKind kind_of(const MoveRequest& request, const Vm& vm) {
  return request.kind.value_or(vm.state == VmState::kOff ? MoveKind::kOffline : MoveKind::kLive);
}

// What only a migration of libvirt's can do.
Status check_live_wishes(const MoveRequest& request, MoveKind kind) {
  const char* wish = nullptr;
  if (request.window) wish = "switches within a window";
  if (request.convergence) wish = "has a policy for a guest that outruns the link";
  if (request.keep_memory) wish = "keeps the guest's memory at the source";
  if (request.parallel_connections != 0) wish = "sends memory over several connections of QEMU's";
  if (kind == MoveKind::kLive || wish == nullptr) return {};
  return fail(ErrorCode::kInvalidArgument, "Only a live move {}; this one is {}.", wish,
              move_kind_name(kind));
}

Result<Planned> plan_peer_move(World& world, const MoveRequest& request) {
  if (request.destination == world.host_name) {
    return fail(ErrorCode::kInvalidArgument,
                "{} is on {} already: source and destination are the same.", request.vm,
                world.host_name);
  }
  if (!request.group.empty()) RETURN_IF_ERROR(check_group_name(request.group));
  ASSIGN_OR_RETURN(const Peer peer, world.book.find_peer(request.destination));
  preflight::SourceView view;
  ASSIGN_OR_RETURN(view.vm, world.hypervisor.find_vm(request.vm));
  view.vm.host = world.host_name;
  view.request = request;
  view.request.source = world.host_name;
  const MoveKind kind = kind_of(request, view.vm);
  RETURN_IF_ERROR(check_live_wishes(request, kind));
  if (request.parallel_connections != 0) {
    const Performance usual = world.book.settings().performance;
    RETURN_IF_ERROR(check_parallel_connections(request.parallel_connections,
                                               request.performance.value_or(usual)));
  }
  if (kind != MoveKind::kLive) view.request.kind = kind;
  view.peer_known = peer.state == PeerState::kPaired && peer.rights.receive;
  ASSIGN_OR_RETURN(view.host, world.hypervisor.host_facts());
  view.host.name = world.host_name;
  view.host.settings = world.book.settings();
  view.tls_forced = qemu_conf().tls_forced;
  if (view.vm.persistent) {
    ASSIGN_OR_RETURN(view.persistent_xml,
                     world.hypervisor.definition(view.vm.uuid, DefinitionKind::kPersistent));
  }
  const bool has_qemu = view.vm.state == VmState::kRunning || view.vm.state == VmState::kPaused;
  if (view.vm.snapshots != 0) {
    if (auto texts = world.hypervisor.checkpoints(view.vm.uuid))
      view.checkpoints = std::move(*texts);
  }
  if (has_qemu) {
    ASSIGN_OR_RETURN(view.live_xml,
                     world.hypervisor.definition(view.vm.uuid, DefinitionKind::kLive));
  } else {
    view.live_xml = view.persistent_xml;
  }
  const auto of_saved_memory = look_at_saved_memory(world, view);
  ASSIGN_OR_RETURN(const auto interfaces, choose_interfaces(world, peer, view));

  Planned planned;
  Plan& plan = planned.plan;
  plan.id = random_name(8);
  plan.kind = kind;
  plan.request = view.request;
  plan.vm = view.vm;
  plan.made_at = std::chrono::system_clock::now();
  plan.expires_at = plan.made_at + kPlanLife;
  plan.findings = preflight::check_source(view);
  plan.findings.insert(plan.findings.end(), of_saved_memory.begin(), of_saved_memory.end());
  note_interfaces(interfaces, view, plan.findings);
  if (auto note = memory_not_kept(plan.request, plan.vm, view.host.settings))
    plan.findings.push_back(std::move(*note));
  for (const std::string& passed : plan.request.passed)
    plan.findings.push_back(passed_note(passed, plan.vm.name));
  MoveRequest for_this_host = view.request;
  for_this_host.interfaces = interfaces;
  preflight::SourceView for_there = view;
  RETURN_IF_ERROR(take_media_out(for_there, plan.findings));
  RETURN_IF_ERROR(take_teamed_out(for_there, plan.findings));
  ASSIGN_OR_RETURN(auto answered, ask_destination(world, for_this_host, for_there));
  auto& report = answered.report;
  require_media(plan.request, report.findings);
  plan.findings.insert(plan.findings.end(), report.findings.begin(), report.findings.end());
  check_takes_items(view, answered, plan);
  check_takes_volumes(view, report, plan);
  if (const std::string item = preflight::misplaced_item(request, report.host, report.placements,
                                                         report.files, report.nvram_destination);
      !item.empty() && !report.placements.empty()) {
    return fail(ErrorCode::kConflict,
                "{} has an earlier Drover, which gives {} no place of its own. Fix: upgrade Drover "
                "there, or name one folder for all disks: --disks-to.",
                request.destination, item);
  }
  if (kind == MoveKind::kQuick) {
    const auto folder = world.carriage.state_file({}).parent_path();
    if (auto shortage = state_short(folder, world.host_name, plan.vm.name, plan.vm.memory))
      plan.findings.push_back(std::move(*shortage));
  }
  ASSIGN_OR_RETURN(auto road,
                   preflight::choose_road({plan.request, view.host, report.host, peer.address,
                                           address_towards(peer.address)}));
  plan.findings.insert(plan.findings.end(), road.findings.begin(), road.findings.end());
  plan.networks = std::move(road.pairs);
  plan.placements = std::move(report.placements);
  plan.files = std::move(report.files);
  if (auto blocker = misnamed_layer(plan)) plan.findings.push_back(std::move(*blocker));
  std::ranges::stable_sort(plan.findings, {}, &Finding::level);
  plan.nvram_destination = std::move(report.nvram_destination);
  plan.bytes_expected = bytes_of(plan, world.hypervisor);
  if (request.disposal != SourceDisposal::kDeleteNow) {
    for (const auto& placement : copied_disks(plan)) {
      if (placement.source_pool.empty()) plan.quarantine_bytes += placement.allocated;
    }
  }
  planned.persistent_xml = std::move(view.persistent_xml);
  planned.live_xml = std::move(view.live_xml);
  planned.destination_xml = std::move(report.destination_xml);
  planned.destination_persistent_xml = std::move(report.persistent_xml);
  planned.layers = std::move(answered.layers);
  planned.checkpoints = std::move(view.checkpoints);
  planned.destination_checkpoints = std::move(report.checkpoints);
  return planned;
}

Result<Planned> plan_kind(World& world, const MoveRequest& request) {
  if (!request.format.empty() && request.format != "raw" && request.format != "qcow2") {
    return fail(ErrorCode::kInvalidArgument, "Images can become raw or qcow2, not \"{}\".",
                request.format);
  }
  if (request.kind == MoveKind::kStorage) return plan_storage_move(world, request);
  return plan_peer_move(world, request);
}

}  // namespace

Result<Planned> plan_move(World& world, const MoveRequest& request) {
  world.forecaster->begin(world, request);
  ASSIGN_OR_RETURN(Planned planned, plan_kind(world, request));
  planned.plan.forecast = world.forecaster->make(world, planned.plan);
  return planned;
}

void keep_planned(SourceJob& job, Planned planned) {
  job.persistent_xml = std::move(planned.persistent_xml);
  job.destination_xml = std::move(planned.destination_xml);
  job.destination_persistent_xml = std::move(planned.destination_persistent_xml);
  job.layers = std::move(planned.layers);
  job.checkpoints = std::move(planned.checkpoints);
  job.destination_checkpoints = std::move(planned.destination_checkpoints);
}

Status check_acceptance(const Plan& plan) {
  std::vector<std::string> open;
  for (const auto& finding : plan.findings) {
    const auto& codes = plan.request.accepted_codes;
    const bool accepted = finding.level == FindingLevel::kNote ? plan.request.accept_notes
                          : finding.level == FindingLevel::kWarning
                              ? std::ranges::find(codes, finding.code) != codes.end()
                              : false;
    if (accepted) continue;
    std::string line = fmt::format("{}: {}", finding.code, finding.what);
    for (const auto& fix : finding.fixes) line += " Fix: " + fix;
    open.push_back(std::move(line));
  }
  if (open.empty()) return {};
  return std::unexpected(Error{
      ErrorCode::kBlocked, Retry::kNever,
      plan.kind == MoveKind::kStorage
          ? fmt::format("The disks of {} cannot move as asked.", plan.vm.name)
          : fmt::format("{} cannot move to {} as asked.", plan.vm.name, plan.request.destination),
      std::move(open)});
}

}  // namespace drover::move
