// SPDX-License-Identifier: Apache-2.0
// What a plan says of network cards that a guest can live without (hypervisor/teaming.h).
#pragma once

#include <vector>

#include "base/error.h"
#include "model/plan.h"
#include "preflight/preflight.h"

namespace drover::move {

// The definitions of `view` become those that travel: the running one without such cards, that of
// the next boot with those alone that a libvirt network gives. A note tells of each.
Status take_teamed_out(preflight::SourceView& view, std::vector<Finding>& findings);

}  // namespace drover::move
