// SPDX-License-Identifier: Apache-2.0
// Makes the plan of a move: asks this host's checks, then the destination's. Reads only. Any
// thread.
#pragma once

#include <string>

#include "base/error.h"
#include "model/plan.h"
#include "move/job.h"
#include "move/world.h"

namespace drover::move {

struct Planned {
  Plan plan;
  std::string persistent_xml;   // the source's definition as it is
  std::string live_xml;         // likewise of the VM as it runs; of one that is off the same
  std::string destination_xml;  // empty when there are blockers
  std::string destination_persistent_xml;
  std::vector<KnownFile> layers = {};            // of the plan's files, as they were looked at
  std::vector<CheckpointText> checkpoints = {};  // as libvirt here knows them
  std::vector<CheckpointText> destination_checkpoints = {};  // adapted
};

// An error when there is nothing to plan: unknown VM, unknown host, destination = source, no answer
// from the destination. What only stands in the way is a finding of the plan. With its forecast,
// for which the guest, the disks and the way are measured if the request lets it (a second or two).
Result<Planned> plan_move(World& world, const MoveRequest& request);

// Into a move's job what it goes by beside its plan.
void keep_planned(SourceJob& job, Planned planned);

// kBlocked with every open finding when the plan may not be carried out as its request stands:
// blockers always, warnings unless accepted by code, notes unless accepted at all.
Status check_acceptance(const Plan& plan);

}  // namespace drover::move
