// SPDX-License-Identifier: Apache-2.0
// Whether a plan may be carried out: a blocker stops it, a warning has to be accepted by its code.
// Pure.
#pragma once

#include "base/error.h"
#include "model/archive.h"

namespace drover::archive {

// kBlocked: it may not; the causes say why.
Status check_acceptance(const Archive& archive);

}  // namespace drover::archive
