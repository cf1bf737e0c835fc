// SPDX-License-Identifier: Apache-2.0
// What this host's administrator allows, in the words of the gate's policy. Any thread.
#pragma once

#include "gate/definition_policy.h"
#include "model/host.h"

namespace drover::move {

// Without network disks: which of those a VM may have is proven apart (network_disk_rules.h).
gate::AdministratorRules rules_of(const HostSettings& settings, const HostFacts& facts);

}  // namespace drover::move
