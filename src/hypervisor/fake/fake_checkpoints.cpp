// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/fake/fake.h"

namespace drover::fake {

Result<std::vector<CheckpointText>> FakeHypervisor::checkpoints(std::string_view uuid) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
  return found->checkpoints;
}

Status FakeHypervisor::forget_checkpoints(std::string_view uuid) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
  if (at_checkpoints) RETURN_IF_ERROR(at_checkpoints(false));
  found->checkpoints.clear();
  found->vm.checkpoints.clear();
  found->vm.snapshots = 0;
  return {};
}

Status FakeHypervisor::know_checkpoints(std::string_view uuid,
                                        std::span<const CheckpointText> checkpoints) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Machine* const found, machine(uuid));
  if (at_checkpoints) RETURN_IF_ERROR(at_checkpoints(true));
  for (const CheckpointText& text : checkpoints) {
    ASSIGN_OR_RETURN(Checkpoint checkpoint, parse_checkpoint(text));
    std::erase_if(found->checkpoints, [&](const auto& known) { return known.name == text.name; });
    std::erase_if(found->vm.checkpoints,
                  [&](const auto& known) { return known.name == text.name; });
    found->checkpoints.push_back(text);
    found->vm.checkpoints.push_back(std::move(checkpoint));
  }
  found->vm.snapshots = static_cast<std::uint32_t>(found->checkpoints.size());
  return {};
}

}  // namespace drover::fake
