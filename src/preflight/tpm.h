// SPDX-License-Identifier: Apache-2.0
// What a plan says of an emulated TPM on either host. Private to src/preflight.
#pragma once

#include <string_view>

#include "model/host.h"
#include "model/plan.h"
#include "preflight/finding.h"

namespace drover::preflight {

// An old libvirt removes the TPM's state with the definition, unless that says else: a note, of a
// move that makes it forget the VM `when` the state is there. `definition`: the persistent one.
void note_told_libvirt(const HostFacts& host, const MoveRequest& request,
                       std::string_view definition, std::string_view when, Findings& findings);

}  // namespace drover::preflight
