// SPDX-License-Identifier: Apache-2.0
// The system calls that a mover may make, as a seccomp filter. Used by the sandbox only.
#pragma once

#include "base/error.h"

namespace drover::mover {

// Installs the filter for this process. REQUIRES: one thread, no_new_privs is set.
Status restrict_system_calls();

}  // namespace drover::mover
