// SPDX-License-Identifier: Apache-2.0
// What this host's administrator allows, in the words of the gate's policy, and what room a move
// here keeps. Any thread.
#pragma once

#include "gate/definition_policy.h"
#include "model/host.h"
#include "model/plan.h"
#include "move/job.h"

namespace drover::move {

// Without network disks: which of those a VM may have is proven apart (network_disk_rules.h).
gate::AdministratorRules rules_of(const HostSettings& settings, const HostFacts& facts);
// The volumes that a plan has made here, each by its path. They are judged apart
// (DestinationSide::check_volumes).
void allow_volumes(const Plan& plan, gate::AdministratorRules& rules);

// Full images get back the room of what QEMU has made holes of: its NBD server does so with all
// that is empty, whatever the definition says. kNoSpace: somebody has taken it meanwhile.
Status fill_full_images(const DestinationJob& job);

}  // namespace drover::move
