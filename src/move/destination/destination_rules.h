// SPDX-License-Identifier: Apache-2.0
// What this host's administrator allows, in the words of the gate's policy. Any thread.
#pragma once

#include "gate/definition_policy.h"
#include "model/host.h"
#include "model/plan.h"

namespace drover::move {

// Without network disks: which of those a VM may have is proven apart (network_disk_rules.h).
gate::AdministratorRules rules_of(const HostSettings& settings, const HostFacts& facts);
// The volumes that a plan has made here, each by its path. They are judged apart
// (DestinationSide::check_volumes).
void allow_volumes(const Plan& plan, gate::AdministratorRules& rules);

}  // namespace drover::move
