// SPDX-License-Identifier: Apache-2.0
// What a mover gives up before it reads a byte from another host. Irreversible, for the whole
// process.
#pragma once

#include "base/error.h"

namespace drover::mover {

// As root: own user, empty root folder, no groups, no new privileges. Always: not dumpable, limits,
// and a list of system calls. REQUIRES: one thread; everything that opens files has been loaded.
Status enter_sandbox();

}  // namespace drover::mover
