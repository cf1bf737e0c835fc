// SPDX-License-Identifier: Apache-2.0
#include "move/storage/storage_plan.h"

#include <algorithm>

#include "base/random.h"
#include "move/plan/saved_plan.h"
#include "move/storage/storage_files.h"
#include "preflight/storage.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kPlanLife = 10min;

Status check_request(const World& world, const MoveRequest& request) {
  if (!request.destination.empty() && request.destination != world.host_name) {
    return fail(ErrorCode::kInvalidArgument,
                "A storage move stays on {}; it cannot end on {}. To take the VM there with its "
                "disks: drover move {} {}.",
                world.host_name, request.destination, request.vm, request.destination);
  }
  if (request.window || !request.candidates.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "A window and further destinations are for moves to another host.");
  }
  if (request.parallel_connections != 0) {
    return fail(ErrorCode::kInvalidArgument,
                "--parallel-connections is for moves to another host: memory stays on {}.",
                world.host_name);
  }
  if (!request.interfaces.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "--network is for moves to another host: disks that move within {} leave the "
                "network as it is.",
                world.host_name);
  }
  return {};
}

}  // namespace

Result<Planned> plan_storage_move(World& world, const MoveRequest& request) {
  RETURN_IF_ERROR(check_request(world, request));
  preflight::SourceView view;
  ASSIGN_OR_RETURN(view.vm, world.hypervisor.find_vm(request.vm));
  view.vm.host = world.host_name;
  view.request = request;
  view.request.kind = MoveKind::kStorage;
  view.request.source = view.request.destination = world.host_name;
  ASSIGN_OR_RETURN(view.host, world.hypervisor.host_facts());
  view.host.name = world.host_name;
  view.host.settings = world.book.settings();
  if (view.vm.persistent) {
    ASSIGN_OR_RETURN(view.persistent_xml,
                     world.hypervisor.definition(view.vm.uuid, DefinitionKind::kPersistent));
  }
  if (view.vm.state != VmState::kOff) {
    ASSIGN_OR_RETURN(view.live_xml,
                     world.hypervisor.definition(view.vm.uuid, DefinitionKind::kLive));
  }
  if (view.vm.snapshots != 0) {
    if (auto texts = world.hypervisor.checkpoints(view.vm.uuid))
      view.checkpoints = std::move(*texts);
  }
  ASSIGN_OR_RETURN(const auto vms, world.hypervisor.list_vms());
  ASSIGN_OR_RETURN(auto pools, preflight::volume_pools_asked(request, view.host, world.hypervisor));
  ASSIGN_OR_RETURN(auto report, preflight::check_storage(view, vms, std::move(pools)));

  Planned planned;
  Plan& plan = planned.plan;
  plan.id = random_name(8);
  plan.kind = MoveKind::kStorage;
  plan.request = view.request;
  plan.vm = view.vm;
  plan.made_at = std::chrono::system_clock::now();
  plan.expires_at = plan.made_at + kPlanLife;
  plan.findings = std::move(report.findings);
  const auto of_memory = look_at_saved_memory_here(world, view);
  plan.findings.insert(plan.findings.end(), of_memory.begin(), of_memory.end());
  plan.placements = std::move(report.placements);
  plan.files = std::move(report.files);
  for (const FilePlacement& file : moved_files(plan)) plan.bytes_expected += file.allocated;
  for (const auto& placement : plan.placements) plan.bytes_expected += placement.allocated;
  if (request.disposal != SourceDisposal::kDeleteNow) {
    plan.quarantine_bytes = plan.bytes_expected;
    for (const auto& placement : plan.placements) {
      // A volume stays beside its copy, and takes no more room than it did.
      if (!placement.source_pool.empty())
        plan.quarantine_bytes = plan.quarantine_bytes - placement.allocated;
    }
  }
  planned.persistent_xml = std::move(view.persistent_xml);
  planned.live_xml = std::move(view.live_xml);
  return planned;
}

}  // namespace drover::move
